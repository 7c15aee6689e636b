"""Start-up: how long the command line takes to answer."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.timing import median_seconds

COMMAND = str(Path(sys.executable).with_name("skymix"))
STUDY = str(Path(__file__).resolve().parents[1] / "config" / "config.yaml")


def answer(*arguments: str) -> None:
    """Run the command line and drop what it prints."""
    subprocess.run([COMMAND, *arguments], stdout=subprocess.DEVNULL, check=True)


def run() -> Iterator[tuple[str, float, str]]:
    """Wall time of a bare Python, of the help and of reading a study."""
    python = partial(subprocess.run, [sys.executable, "-c", "pass"], check=True)
    yield "cli.python_seconds", median_seconds(python, 5), "s"
    yield "cli.help_seconds", median_seconds(partial(answer, "--help"), 5), "s"
    yield "cli.validate_seconds", median_seconds(partial(answer, "validate", STUDY), 5), "s"
