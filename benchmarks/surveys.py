"""Runs of the workflow on a survey of many tiny observations."""

import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).resolve().parents[1]


def run_workflow(folder: Path, *arguments: str) -> tuple[float, float, str]:
    """Wall seconds, peak memory of snakemake itself in MB, and what it said."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--configfile", str(folder / "study.yaml")]
    log = folder / "run.log"
    start = perf_counter()
    with open(log, "w", encoding="utf-8") as file:
        run = subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=file, stderr=file)
        _, status, usage = os.wait4(run.pid, 0)
    seconds = perf_counter() - start
    run.returncode = os.waitstatus_to_exitcode(status)
    text = log.read_text(encoding="utf-8")
    if run.returncode != 0:
        raise RuntimeError(text[-2000:])
    return seconds, usage.ru_maxrss / 1024, text
