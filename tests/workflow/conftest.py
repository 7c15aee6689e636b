import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Run:
    """What a run of snakemake said."""

    code: int
    text: str

    @property
    def jobs(self) -> dict[str, int]:
        """Number of jobs by rule, from the table that snakemake prints; the target left out."""
        table = re.search(r"Job stats:\n.*\n[- ]+\n((?:\w+ +\d+\n)+)", self.text)
        if table is None:
            return {}
        pairs = (line.split() for line in table[1].splitlines())
        return {rule: int(n) for rule, n in pairs if rule not in ("all", "total")}


@pytest.fixture
def snakemake(tmp_path: Path) -> Callable[..., Run]:
    """Run the workflow in a folder of its own, with this environment's snakemake."""

    def run(*arguments: str, **environment: str) -> Run:
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        done = subprocess.run(
            [*command, "--directory", str(tmp_path), *arguments],
            cwd=ROOT,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        return Run(done.returncode, done.stdout + done.stderr)

    return run


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Path of a command beside this Python."""

    def find(name: str) -> str:
        path = shutil.which(name, path=str(Path(sys.executable).parent))
        assert path, f"{name} is not installed beside {sys.executable}"
        return path

    return find
