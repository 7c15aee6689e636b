"""Commands that sample a fit, read its posterior and report; of studies of any domain."""

import os
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import click

from skymix.cli.options import (
    LIKELIHOOD,
    OF_EVENTS,
    OF_MARGINALS,
    OUTPUT,
    STUDY,
    path_option,
)

if TYPE_CHECKING:
    from skymix.study.load import AnyStudy

_STAGES = {"gamma": "pipeline", "stars": "star_pipeline", "pymc": "pymc_pipeline"}


def _loaded(study: Path) -> "tuple[AnyStudy, ModuleType]":
    """A study and the stages of its domain."""
    from skymix.study.load import load_any_study

    loaded = load_any_study(study)
    return loaded, import_module(f"skymix.{_STAGES[loaded.domain]}")


@click.command("read-catalogue")
@STUDY
@OUTPUT
def read_catalogue(study: Path, output: Path) -> None:
    """Read and select the stars of a study of stars."""
    from skymix.errors import StudyError

    loaded, stages = _loaded(study)
    if loaded.domain != "stars":
        raise StudyError(f"{study}: has the domain {loaded.domain}; this command is for stars")
    catalogue = stages.read_catalogue(loaded, output)
    click.echo(f"{output}: {catalogue.row.size} stars; removed {catalogue.cuts}")


@click.command("sample-posterior")
@STUDY
@LIKELIHOOD
@OUTPUT
@click.option("--run", type=int, help="Make one of the study's independent runs, from 1.")
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    help="File that keeps the run while it goes on.  [default: OUTPUT.checkpoint]",
)
@click.option(
    "--walltime",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MINUTES",
    help="Stop with a checkpoint before so many minutes are over; in a SLURM job, before it ends.",
)
def sample_posterior(
    study: Path,
    likelihood: Path,
    output: Path,
    run: int | None,
    checkpoint: Path | None,
    walltime: float | None,
) -> None:
    """Sample the posterior of a likelihood, with as many MPI ranks as are started.

    LIKELIHOOD is a file of tables, a catalogue of stars, or the Python file of a PyMC model.

    Run again after a stop (exit code 85), it goes on from its checkpoint.
    """
    from skymix.sampling import Executor, deadline, run_on_ranks

    kept = checkpoint or output.with_name(f"{output.name}.checkpoint")

    def sample(executor: Executor) -> None:
        end = deadline(walltime, os.environ)
        loaded, stages = _loaded(study)
        stages.sample_posterior(loaded, likelihood, output, run, executor, kept, end)

    run_on_ranks(sample)


@click.command("merge-runs")
@STUDY
@LIKELIHOOD
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@OUTPUT
def merge_runs(study: Path, likelihood: Path, runs: tuple[Path, ...], output: Path) -> None:
    """Merge independent runs of the sampler into one posterior."""
    loaded, stages = _loaded(study)
    stages.merge_runs(loaded, likelihood, runs, output)


@click.command("predict-posterior")
@STUDY
@click.option("--events-folder", type=click.Path(path_type=Path), help=OF_EVENTS)
@click.option("--marginals-folder", type=click.Path(path_type=Path), help=OF_MARGINALS)
@path_option("--likelihood", help="Likelihood tables of the fit; of stars the catalogue.")
@path_option("--posterior", help="Posterior of the fit.")
@OUTPUT
def predict_posterior(
    study: Path,
    events_folder: Path | None,
    marginals_folder: Path | None,
    likelihood: Path,
    posterior: Path,
    output: Path,
) -> None:
    """Compute membership probabilities, and of gamma rays predicted counts."""
    from skymix.errors import StudyError

    loaded, stages = _loaded(study)
    if loaded.domain == "pymc":
        raise StudyError(
            f"{study}: has the domain pymc; a PyMC model has no components whose membership could"
            " be computed"
        )
    if loaded.domain == "stars":
        stages.predict_posterior(loaded, likelihood, posterior, output)
        return
    if events_folder is None or marginals_folder is None:
        raise click.UsageError("gamma rays need '--events-folder' and '--marginals-folder'")
    stages.predict_posterior(loaded, events_folder, marginals_folder, likelihood, posterior, output)


@click.command("make-report")
@STUDY
@path_option("-o", "--output", help="Folder to write the report to.")
def make_report(study: Path, output: Path) -> None:
    """Make the report of a study from its products."""
    loaded, stages = _loaded(study)
    click.echo(stages.make_report(loaded, output))


@click.command()
@STUDY
def show(study: Path) -> None:
    """Print evidence, posterior table and where the report is."""
    loaded, stages = _loaded(study)
    click.echo(stages.summary(loaded))
