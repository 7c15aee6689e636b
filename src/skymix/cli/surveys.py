"""Commands on many simulated surveys: calibration and limits."""

from pathlib import Path

import click

from skymix.cli.options import EVENTS_FOLDER, OUTPUT, STUDY, path_option


@click.command()
@STUDY
@click.argument("fit")
@path_option("--likelihood", help="Likelihood tables of the fit.")
@path_option("--responses", help="Folder of the response tables.")
@click.option("--first", type=click.IntRange(0), required=True, help="Number of the first survey.")
@click.option("--count", type=click.IntRange(1), required=True, help="Number of surveys.")
@OUTPUT
def calibrate(
    study: Path, fit: str, likelihood: Path, responses: Path, first: int, count: int, output: Path
) -> None:
    """Simulate surveys from the prior and fit them again."""
    from skymix import calibrate as calibration
    from skymix import pipeline

    loaded = pipeline.load(study, fits=[fit])
    numbers = range(first, first + count)
    calibration.calibrate(loaded, fit, likelihood, responses, numbers, output)


@click.command("gather-calibration")
@STUDY
@click.argument("fit")
@click.argument("parts", nargs=-1, required=True, type=click.Path(path_type=Path))
@OUTPUT
def gather_calibration(study: Path, fit: str, parts: tuple[Path, ...], output: Path) -> None:
    """Test whether the ranks of all true parameters are uniform."""
    from skymix import calibrate as calibration
    from skymix import pipeline

    loaded = pipeline.load(study, fits=[fit])
    click.echo(calibration.gather_calibration(loaded, fit, parts, output))


@click.command("set-limits")
@STUDY
@click.argument("fit")
@click.argument("channel")
@EVENTS_FOLDER
@path_option("--responses", help="Folder of the response tables.")
@click.option("--first", type=click.IntRange(0), required=True, help="Number of the first one.")
@click.option("--count", type=click.IntRange(1), required=True, help="Number of simulations.")
@OUTPUT
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


@click.command("gather-limits")
@STUDY
@click.argument("fit")
@click.argument("parts", nargs=-1, required=True, type=click.Path(path_type=Path))
@OUTPUT
def gather_limits(study: Path, fit: str, parts: tuple[Path, ...], output: Path) -> None:
    """Join the limits of all channels into a figure and a table."""
    from skymix import pipeline
    from skymix import set_limits as limits

    loaded = pipeline.load(study, fits=[fit])
    click.echo(limits.gather_limits(loaded, fit, parts, output))
