"""1,000 tiny observations for real, from the study to the report, on all cores."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.survey import survey, write_survey

from benchmarks.surveys import run_workflow

LONG = True
OBSERVATIONS = 1000


def run() -> Iterator[tuple[str, float, str]]:
    """Wall time of the fan-out and of all after it, and what a run costs that has nothing to do."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_survey(folder, survey(), OBSERVATIONS)
        fan_out, _, _ = run_workflow(folder, "--cores", "all", "--until", "marginalise_bundle")
        rest, _, _ = run_workflow(folder, "--cores", "all")
        nothing, _, _ = run_workflow(folder, "-n")
    yield "survey.fan_out_seconds", fan_out, "s"
    yield "survey.rest_seconds", rest, "s"
    yield "survey.nothing_to_do_seconds", nothing, "s"
