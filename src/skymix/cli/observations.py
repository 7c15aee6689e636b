"""Commands that make the products of observations, and the likelihood of a fit."""

from pathlib import Path
from typing import Any

import click

from skymix.cli.options import (
    EVENTS,
    EVENTS_FOLDER,
    MARGINALS_FOLDER,
    OBSERVATION,
    OUTPUT,
    RESPONSE,
    STUDY,
)


def part(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Any:
    """Both numbers of a part K/N."""
    if value is None:
        return None
    number, _, total = value.partition("/")
    if not (number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total)):
        raise click.BadParameter(f"'{value}' is not K/N with 1 <= K <= N, such as 2/5")
    return int(number), int(total)


@click.command("read-events")
@STUDY
@OBSERVATION
@OUTPUT
def read_events(study: Path, observation: str, output: Path) -> None:
    """Read and select the recorded events of an observation."""
    from skymix import pipeline

    events = pipeline.read_events(pipeline.load(study, [observation]), observation, output)
    click.echo(f"{output}: {events.number} events, {events.livetime:.0f} s; cuts {events.cuts}")


@click.command("tabulate-response")
@STUDY
@OBSERVATION
@OUTPUT
def tabulate_response(study: Path, observation: str, output: Path) -> None:
    """Tabulate the instrument response of an observation."""
    from skymix import pipeline

    pipeline.tabulate_response(pipeline.load(study, [observation]), observation, output)


@click.command("simulate-events")
@STUDY
@OBSERVATION
@RESPONSE
@OUTPUT
def simulate_events(study: Path, observation: str, response: Path, output: Path) -> None:
    """Simulate the events of an observation."""
    from skymix import pipeline

    loaded = pipeline.load(study, [observation])
    events = pipeline.simulate_events(loaded, observation, response, output)
    click.echo(f"{output}: {events.number} events, {events.livetime:.0f} s; cuts {events.cuts}")


@click.command("marginalise-nuisance")
@STUDY
@OBSERVATION
@click.argument("component")
@EVENTS
@RESPONSE
@click.option("--chunk", callback=part, help="Part K of N of the events, as K/N; else all.")
@OUTPUT
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


@click.command("join-marginals")
@STUDY
@OBSERVATION
@click.argument("component")
@click.argument("chunks", nargs=-1, required=True, type=click.Path(path_type=Path))
@OUTPUT
def join_marginals(
    study: Path, observation: str, component: str, chunks: tuple[Path, ...], output: Path
) -> None:
    """Join the marginals of the chunks of an observation."""
    from skymix import pipeline

    loaded = pipeline.load(study, [observation], [component])
    pipeline.join_marginals(loaded, observation, component, chunks, output)


@click.command("marginalise-bundle")
@STUDY
@click.argument("observations", nargs=-1, required=True)
@OUTPUT
def marginalise_bundle(study: Path, observations: tuple[str, ...], output: Path) -> None:
    """Make all marginals of several observations, except those that are there."""
    from skymix import fan_out, pipeline

    loaded = pipeline.load(study, observations)
    made = fan_out.marginalise_bundle(loaded, observations, output)
    click.echo(f"{output}: {len(observations)} observations, {made} files made")


@click.command("gather-marginals")
@STUDY
@click.argument("fit")
@EVENTS_FOLDER
@MARGINALS_FOLDER
@OUTPUT
def gather_marginals(
    study: Path, fit: str, events_folder: Path, marginals_folder: Path, output: Path
) -> None:
    """Gather the marginals of a fit into the tables of one likelihood."""
    from skymix import pipeline

    loaded = pipeline.load(study, fits=[fit])
    pipeline.gather_marginals(loaded, fit, events_folder, marginals_folder, output)
