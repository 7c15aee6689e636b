"""The command line: one command a stage. Parses, calls the pipeline, reports errors; no science."""

import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import click

import skymix

F = TypeVar("F", bound=Callable[..., Any])

_STUDY = click.argument("study", type=click.Path(path_type=Path))
_OBSERVATION = click.argument("observation")
_LIKELIHOOD = click.argument("likelihood", type=click.Path(path_type=Path))


def _path(*names: str, **kwargs: Any) -> Callable[[F], F]:
    return click.option(*names, type=click.Path(path_type=Path), required=True, **kwargs)


_OUTPUT = _path("-o", "--output", help="File to write.")
_EVENTS = _path("--events", help="Event file of the observation.")
_OF_EVENTS = "Folder of the events, one file an observation."
_OF_MARGINALS = "Folder of the marginals, one folder an observation in it."
_EVENTS_FOLDER = _path("--events-folder", help=_OF_EVENTS)
_MARGINALS_FOLDER = _path("--marginals-folder", help=_OF_MARGINALS)
_RESPONSE = _path("--response", help="Response table of the observation.")


def _chunk(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Any:
    """Both numbers of a part K/N."""
    if value is None:
        return None
    number, _, total = value.partition("/")
    if not (number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total)):
        raise click.BadParameter(f"'{value}' is not K/N with 1 <= K <= N, such as 2/5")
    return int(number), int(total)


class _Group(click.Group):
    """Commands in the order of an analysis."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(skymix.__version__, prog_name="skymix")
def cli() -> None:
    """Bayesian mixture inference for astronomy.

    A study file says what is analysed; each command makes one product of it. The workflow
    (snakemake) calls these same commands.
    """


@cli.command()
@_STUDY
def validate(study: Path) -> None:
    """Check a study file."""
    from skymix.study.load import load_any_study
    from skymix.study.star_study import StarStudy

    checked = load_any_study(study)
    if isinstance(checked, StarStudy):
        click.echo(
            f"{study}: valid. Study '{checked.name}': {len(checked.catalogue.coordinates)}"
            f" coordinates of stars, {len(checked.components)} components."
        )
        return
    fits = len(checked.observations)
    click.echo(
        f"{study}: valid. Study '{checked.name}': {fits} observation{'s' if fits > 1 else ''},"
        f" {len(checked.components)} components, {len(checked.scans())} scanned parameters."
    )


@cli.command("default-study")
def default_study() -> None:
    """Print the default study, every key explained."""
    from skymix.study.default import DEFAULT_STUDY
    from skymix.study.document import commented_yaml

    click.echo(commented_yaml(DEFAULT_STUDY), nl=False)


@cli.command()
def schema() -> None:
    """Print the JSON schema of study files."""
    from skymix.study.document import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@cli.command("freeze-study", hidden=True)
@_OUTPUT
def freeze_study(output: Path) -> None:
    """Write the study that a workflow runs with, given as JSON on stdin."""
    from skymix import pipeline
    from skymix.errors import StudyError

    try:
        settings = json.load(sys.stdin)
    except json.JSONDecodeError as error:
        raise StudyError(f"standard input: not JSON ({error}); give the study as JSON") from None
    pipeline.freeze_study(settings, output)


@cli.command("read-events")
@_STUDY
@_OBSERVATION
@_OUTPUT
def read_events(study: Path, observation: str, output: Path) -> None:
    """Read and select the recorded events of an observation."""
    from skymix import pipeline

    events = pipeline.read_events(pipeline.load(study, [observation]), observation, output)
    click.echo(f"{output}: {events.number} events, {events.livetime:.0f} s; cuts {events.cuts}")


@cli.command("tabulate-response")
@_STUDY
@_OBSERVATION
@_OUTPUT
def tabulate_response(study: Path, observation: str, output: Path) -> None:
    """Tabulate the instrument response of an observation."""
    from skymix import pipeline

    pipeline.tabulate_response(pipeline.load(study, [observation]), observation, output)


@cli.command("simulate-events")
@_STUDY
@_OBSERVATION
@_RESPONSE
@_OUTPUT
def simulate_events(study: Path, observation: str, response: Path, output: Path) -> None:
    """Simulate the events of an observation."""
    from skymix import pipeline

    loaded = pipeline.load(study, [observation])
    events = pipeline.simulate_events(loaded, observation, response, output)
    click.echo(f"{output}: {events.number} events, {events.livetime:.0f} s; cuts {events.cuts}")


@cli.command("marginalise-nuisance")
@_STUDY
@_OBSERVATION
@click.argument("component")
@_EVENTS
@_RESPONSE
@click.option("--chunk", callback=_chunk, help="Part K of N of the events, as K/N; else all.")
@_OUTPUT
def marginalise_nuisance(
    study: Path,
    observation: str,
    component: str,
    events: Path,
    response: Path,
    chunk: tuple[int, int] | None,
    output: Path,
) -> None:
    """Marginalise true energy and direction of a component at every event."""
    from skymix import pipeline

    loaded = pipeline.load(study, [observation], [component])
    pipeline.marginalise_nuisance(loaded, observation, component, events, response, output, chunk)


@cli.command("join-marginals")
@_STUDY
@_OBSERVATION
@click.argument("component")
@click.argument("chunks", nargs=-1, required=True, type=click.Path(path_type=Path))
@_OUTPUT
def join_marginals(
    study: Path, observation: str, component: str, chunks: tuple[Path, ...], output: Path
) -> None:
    """Join the marginals of the chunks of an observation."""
    from skymix import pipeline

    loaded = pipeline.load(study, [observation], [component])
    pipeline.join_marginals(loaded, observation, component, chunks, output)


@cli.command("marginalise-bundle")
@_STUDY
@click.argument("observations", nargs=-1, required=True)
@_OUTPUT
def marginalise_bundle(study: Path, observations: tuple[str, ...], output: Path) -> None:
    """Make all marginals of several observations, except those that are there."""
    from skymix import fan_out, pipeline

    loaded = pipeline.load(study, observations)
    made = fan_out.marginalise_bundle(loaded, observations, output)
    click.echo(f"{output}: {len(observations)} observations, {made} files made")


@cli.command("gather-marginals")
@_STUDY
@click.argument("fit")
@_EVENTS_FOLDER
@_MARGINALS_FOLDER
@_OUTPUT
def gather_marginals(
    study: Path, fit: str, events_folder: Path, marginals_folder: Path, output: Path
) -> None:
    """Gather the marginals of a fit into the tables of one likelihood."""
    from skymix import pipeline

    loaded = pipeline.load(study, fits=[fit])
    pipeline.gather_marginals(loaded, fit, events_folder, marginals_folder, output)


@cli.command("read-catalogue")
@_STUDY
@_OUTPUT
def read_catalogue(study: Path, output: Path) -> None:
    """Read and select the stars of a study of stars."""
    from skymix import star_pipeline
    from skymix.errors import StudyError
    from skymix.study.load import load_any_study
    from skymix.study.star_study import StarStudy

    loaded = load_any_study(study)
    if not isinstance(loaded, StarStudy):
        raise StudyError(f"{study}: has the domain gamma; this command is for stars")
    catalogue = star_pipeline.read_catalogue(loaded, output)
    click.echo(f"{output}: {catalogue.row.size} stars; removed {catalogue.cuts}")


@cli.command("sample-posterior")
@_STUDY
@_LIKELIHOOD
@_OUTPUT
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

    Run again after a stop (exit code 85), it goes on from its checkpoint.
    """
    from skymix import pipeline, star_pipeline
    from skymix.sampling import Executor, deadline, run_on_ranks
    from skymix.study.load import load_any_study
    from skymix.study.star_study import StarStudy

    kept = checkpoint or output.with_name(f"{output.name}.checkpoint")

    def sample(executor: Executor) -> None:
        end = deadline(walltime, os.environ)
        loaded = load_any_study(study)
        if isinstance(loaded, StarStudy):
            star_pipeline.sample_posterior(loaded, likelihood, output, run, executor, kept, end)
        else:
            pipeline.sample_posterior(loaded, likelihood, output, run, executor, kept, end)

    run_on_ranks(sample)


@cli.command("merge-runs")
@_STUDY
@_LIKELIHOOD
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@_OUTPUT
def merge_runs(study: Path, likelihood: Path, runs: tuple[Path, ...], output: Path) -> None:
    """Merge independent runs of the sampler into one posterior."""
    from skymix import pipeline, star_pipeline
    from skymix.study.load import load_any_study
    from skymix.study.star_study import StarStudy

    loaded = load_any_study(study)
    if isinstance(loaded, StarStudy):
        star_pipeline.merge_runs(loaded, likelihood, runs, output)
    else:
        pipeline.merge_runs(loaded, likelihood, runs, output)


@cli.command("predict-posterior")
@_STUDY
@click.option("--events-folder", type=click.Path(path_type=Path), help=_OF_EVENTS)
@click.option("--marginals-folder", type=click.Path(path_type=Path), help=_OF_MARGINALS)
@_path("--likelihood", help="Likelihood tables of the fit; of stars the catalogue.")
@_path("--posterior", help="Posterior of the fit.")
@_OUTPUT
def predict_posterior(
    study: Path,
    events_folder: Path | None,
    marginals_folder: Path | None,
    likelihood: Path,
    posterior: Path,
    output: Path,
) -> None:
    """Compute membership probabilities, and of gamma rays predicted counts."""
    from skymix import pipeline, star_pipeline
    from skymix.study.load import load_any_study
    from skymix.study.star_study import StarStudy

    loaded = load_any_study(study)
    if isinstance(loaded, StarStudy):
        star_pipeline.predict_posterior(loaded, likelihood, posterior, output)
        return
    if events_folder is None or marginals_folder is None:
        raise click.UsageError("gamma rays need '--events-folder' and '--marginals-folder'")
    pipeline.predict_posterior(
        loaded, events_folder, marginals_folder, likelihood, posterior, output
    )


@cli.command()
@_STUDY
@click.argument("fit")
@_path("--likelihood", help="Likelihood tables of the fit.")
@_path("--responses", help="Folder of the response tables.")
@click.option("--first", type=click.IntRange(0), required=True, help="Number of the first survey.")
@click.option("--count", type=click.IntRange(1), required=True, help="Number of surveys.")
@_OUTPUT
def calibrate(
    study: Path, fit: str, likelihood: Path, responses: Path, first: int, count: int, output: Path
) -> None:
    """Simulate surveys from the prior and fit them again."""
    from skymix import calibrate as calibration
    from skymix import pipeline

    loaded = pipeline.load(study, fits=[fit])
    numbers = range(first, first + count)
    calibration.calibrate(loaded, fit, likelihood, responses, numbers, output)


@cli.command("gather-calibration")
@_STUDY
@click.argument("fit")
@click.argument("parts", nargs=-1, required=True, type=click.Path(path_type=Path))
@_OUTPUT
def gather_calibration(study: Path, fit: str, parts: tuple[Path, ...], output: Path) -> None:
    """Test whether the ranks of all true parameters are uniform."""
    from skymix import calibrate as calibration
    from skymix import pipeline

    loaded = pipeline.load(study, fits=[fit])
    click.echo(calibration.gather_calibration(loaded, fit, parts, output))


@cli.command("set-limits")
@_STUDY
@click.argument("fit")
@click.argument("channel")
@_EVENTS_FOLDER
@_path("--responses", help="Folder of the response tables.")
@click.option("--first", type=click.IntRange(0), required=True, help="Number of the first one.")
@click.option("--count", type=click.IntRange(1), required=True, help="Number of simulations.")
@_OUTPUT
def set_limits(
    study: Path,
    fit: str,
    channel: str,
    events_folder: Path,
    responses: Path,
    first: int,
    count: int,
    output: Path,
) -> None:
    """Set limits on dark matter in a channel, for data and simulations."""
    from skymix import pipeline
    from skymix import set_limits as limits

    loaded = pipeline.load(study, fits=[fit])
    numbers = range(first, first + count)
    limits.set_limits(loaded, fit, channel, events_folder, responses, numbers, output)


@cli.command("gather-limits")
@_STUDY
@click.argument("fit")
@click.argument("parts", nargs=-1, required=True, type=click.Path(path_type=Path))
@_OUTPUT
def gather_limits(study: Path, fit: str, parts: tuple[Path, ...], output: Path) -> None:
    """Join the limits of all channels into a figure and a table."""
    from skymix import pipeline
    from skymix import set_limits as limits

    loaded = pipeline.load(study, fits=[fit])
    click.echo(limits.gather_limits(loaded, fit, parts, output))


@cli.command("make-report")
@_STUDY
@_path("-o", "--output", help="Folder to write the report to.")
def make_report(study: Path, output: Path) -> None:
    """Make the report of a study from its products."""
    from skymix import pipeline, star_pipeline
    from skymix.study.load import load_any_study
    from skymix.study.star_study import StarStudy

    loaded = load_any_study(study)
    click.echo(
        star_pipeline.make_report(loaded, output)
        if isinstance(loaded, StarStudy)
        else pipeline.make_report(loaded, output)
    )


@cli.command()
@_STUDY
def show(study: Path) -> None:
    """Print evidence, posterior table and where the report is."""
    from skymix import pipeline, star_pipeline
    from skymix.study.load import load_any_study
    from skymix.study.star_study import StarStudy

    loaded = load_any_study(study)
    click.echo(
        star_pipeline.summary(loaded) if isinstance(loaded, StarStudy) else pipeline.summary(loaded)
    )


@cli.command("warm-up", hidden=True)
def warm_up() -> None:
    """Compile the numerical kernels into the cache beside the installed package."""
    from skymix.warm_up import warm_up as run

    run()


def main() -> None:
    """Run the command line; a user's mistake is one sentence and exit code 1."""
    from skymix.errors import Interrupted, SkymixError

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    stopped = _stop_by_signal()
    try:
        cli(standalone_mode=True)
    except Interrupted as stop:
        click.echo(f"skymix: {stop}", err=True)
        sys.exit(stop.exit_code)
    except SkymixError as error:
        _fail(str(error))
    except MemoryError as error:
        _fail(
            f"not enough memory ({error}); use fewer or larger cells (`grids` of the study), fewer"
            " scanned nodes or events, or a machine with more"
        )
    except OSError as error:
        if error.strerror is None:
            raise
        # The temporary file that a product is written to says nothing to a user.
        names = (error.filename2, error.filename)
        name = next((n for n in names if n and not str(n).endswith(".part")), "the output")
        _fail(f"{name}: {error.strerror}; nothing was written: check path, rights and free space")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if stopped:
            sys.exit(128 + stopped[0])


def _fail(sentence: str) -> None:
    click.echo(f"skymix: error: {sentence}", err=True)
    sys.exit(1)


def _stop_by_signal() -> list[int]:
    """Make signals that stop a job unwind it, so that no unfinished file stays.

    Returns
    -------
    a list that will hold the signal that came
    """
    stopped = []

    def stop(number: int, _: FrameType | None) -> None:
        stopped.append(number)
        signal.signal(number, signal.SIG_DFL)  # a second one ends the program at once
        click.echo(f"skymix: stopped by {signal.Signals(number).name}; run again", err=True)
        # What libraries print when they are stopped says nothing to a user.
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        # Python drops an exception that is raised in a callback: raise it until it is heard.
        sys.unraisablehook = lambda _: None
        signal.signal(signal.SIGALRM, lambda *_: sys.exit(128 + number))
        signal.setitimer(signal.ITIMER_REAL, 1, 1)
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        # What nohup or a shell's & has set to be ignored stays so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    return stopped
