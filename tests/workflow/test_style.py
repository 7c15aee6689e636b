"""The workflow follows snakemake's own rules of style."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RULES = sorted((ROOT / "workflow" / "rules").glob("*.smk"))


def test_lint_is_clean(snakemake):
    run = snakemake("--lint")
    assert run.code == 0, run.text
    assert "in a good condition" in run.text


def test_format_is_clean(tool):
    done = subprocess.run(
        [tool("snakefmt"), "--check", "Snakefile", "workflow"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_is_complete():
    for path in RULES:
        text = path.read_text(encoding="utf-8")
        for rule in text.split("\nrule ")[1:] + ([text[5:]] if text.startswith("rule ") else []):
            name = rule.split(":")[0]
            for part in ("log:", "benchmark:", "threads:", "mem_mb=growing(", "runtime=growing("):
                assert part in rule, f"{path.name}: {name} has no {part}"
            assert "settings=" in rule, f"{path.name}: {name}"
            command = "sample-posterior" if name == "sample_run" else name.replace("_", "-")
            assert f"skymix {command} " in rule, f"{path.name}: {name}"


def test_rule_files_are_short():
    assert len(RULES) >= 8
    for path in [*RULES, ROOT / "Snakefile"]:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 80, path.name
