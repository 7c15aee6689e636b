"""What the workflow costs before any job runs: dry runs of 1,000 and 10,000 observations."""

import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.survey import survey, write_survey

from benchmarks.surveys import run_workflow


def run() -> Iterator[tuple[str, float, str]]:
    """Wall time, memory and number of jobs of a dry run."""
    for number in (1000, 10_000):
        with TemporaryDirectory() as name:
            write_survey(Path(name), survey(), number)
            seconds, memory, text = run_workflow(Path(name), "-n")
        jobs = re.search(r"^total +(\d+)$", text, re.MULTILINE)
        assert jobs is not None
        yield f"workflow.dry_run_seconds_n{number}", seconds, "s"
        yield f"workflow.dry_run_memory_n{number}", memory, "MB"
        yield f"workflow.jobs_n{number}", int(jobs[1]), ""
