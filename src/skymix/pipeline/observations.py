"""Stages of an observation: events, response and marginals."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from skymix.errors import DataError, StudyError
from skymix.pipeline.inputs import events_of, inputs_of, response_of
from skymix.store import (
    Events,
    Marginals,
    Provenance,
    Response,
    read_product,
    read_provenance,
    write_product,
)
from skymix.store.join import without_data
from skymix.store.lineage import require_settings
from skymix.study import Study
from skymix.study.files import component_tables, event_files
from skymix.study.load import data_folder
from skymix.study.observation import OnOffEvents, SimulatedEvents
from skymix.study.stages import stage_settings, stream_seed


def read_events(study: Study, observation: str, output: Path) -> Events:
    """Read, select and write the recorded events of an observation."""
    from skymix.domains.gamma.dl3 import locate
    from skymix.domains.gamma.events import read_events as read
    from skymix.domains.gamma.geometry import RegionFrame
    from skymix.domains.gamma.grids import data_grid
    from skymix.domains.gamma.on_off import read_on_off

    settings = study.observations[observation].events
    if isinstance(settings, SimulatedEvents):
        raise StudyError(
            f"observations.{observation}.events: is simulated; use 'skymix simulate-events'"
        )
    frame, folder = RegionFrame(study.region.centre), data_folder(study)
    paths = [locate(path, folder) for path in event_files(study, observation)]
    if isinstance(settings, OnOffEvents):
        grid = data_grid(study.grids_of(observation), study.region)
        events = read_on_off(paths, observation, settings, frame, grid)
    else:
        grids = study.grids_of(observation)
        events = read(paths[0], observation, frame, grids, study.region, study.selection)
    provenance = Provenance(
        stage_settings(study, "events", observation=observation), inputs_of(*paths)
    )
    write_product(output, events, provenance)
    return events


def tabulate_response(study: Study, observation: str, output: Path) -> Response:
    """Tabulate and write the instrument response of an observation."""
    from skymix.domains.gamma.grids import true_grid
    from skymix.domains.gamma.response import tabulate_response as tabulate

    axis = true_grid(study.grids, study.region).energy
    response, inputs = tabulate(study.observations[observation].response, axis, data_folder(study))
    settings = stage_settings(study, "response", observation=observation)
    write_product(output, response, Provenance(settings, inputs))
    return response


def simulate_events(study: Study, observation: str, response: Path, output: Path) -> Events:
    """Simulate, select and write the events of an observation."""
    from skymix.domains.gamma.observe import simulate_observation

    settings = study.observations[observation].events
    if not isinstance(settings, SimulatedEvents):
        raise StudyError(
            f"observations.{observation}.events: is recorded; use 'skymix read-events'"
        )
    seed = settings.seed
    if seed is None:
        seed = stream_seed(study, "events", observation)
    events = simulate_observation(
        study,
        observation,
        response_of(study, observation, response),
        data_folder(study),
        seed,
    )
    inputs = inputs_of(response, *component_tables(study, *study.components))
    provenance = Provenance(stage_settings(study, "events", observation=observation), inputs, seed)
    write_product(output, events, provenance)
    return events


def marginalise_nuisance(
    study: Study,
    observation: str,
    component: str,
    events: Path,
    response: Path,
    output: Path,
    chunk: tuple[int, int] | None = None,
) -> Marginals:
    """Marginalise a component at the events of an observation and write its densities.

    `chunk` is the number of a part of the events, counted from 1, and how many parts there are.
    """
    from skymix.domains.gamma.observe import marginalise_component

    if chunk and study.marginalisation.events == "binned":
        raise StudyError("marginalisation.events: is binned; only unbinned events have chunks")
    event_list = events_of(study, observation, events)
    part = event_list.chunk(*chunk) if chunk else event_list
    marginals = marginalise_component(
        study,
        observation,
        component,
        part if part.size else event_list.chunk(1, event_list.size),
        response_of(study, observation, response),
        data_folder(study),
    )
    settings = stage_settings(study, "marginals", observation=observation, component=component)
    if chunk:
        settings["chunk"] = list(chunk)
    if not part.size:
        marginals = without_data(marginals)
    inputs = inputs_of(events, response, *component_tables(study, component))
    write_product(output, marginals, Provenance(settings, inputs))
    return marginals


def marginalise_together(
    study: Study, observation: str, events: Path, response: Path, outputs: Mapping[str, Path]
) -> None:
    """Marginalise some components at the events of an observation, a file each.

    The files are those of `marginalise_nuisance`; what does not depend on the component is computed
    once.
    """
    from skymix.domains.gamma.observe import marginalise_components

    found = marginalise_components(
        study,
        observation,
        outputs,
        events_of(study, observation, events),
        response_of(study, observation, response),
        data_folder(study),
    )
    for marginals in found:
        component = marginals.component
        settings = stage_settings(study, "marginals", observation=observation, component=component)
        inputs = inputs_of(events, response, *component_tables(study, component))
        write_product(outputs[component], marginals, Provenance(settings, inputs))


def join_marginals(
    study: Study, observation: str, component: str, chunks: Sequence[Path], output: Path
) -> None:
    """Join the marginals of all chunks of an observation and write them as those of the whole."""
    from skymix.store.join import join_marginals as join

    settings = stage_settings(study, "marginals", observation=observation, component=component)
    inputs: dict[str, str] = {}
    numbers = []
    for path in chunks:
        require_settings(path, settings)
        made = read_provenance(path)
        numbers.append(made["study"].get("chunk"))
        if inputs and made["inputs"] != inputs:
            raise DataError(
                f"{path}: was not made from the same files as the other chunks;"
                " delete them and run again"
            )
        inputs = made["inputs"]
    if numbers != [[k + 1, len(chunks)] for k in range(len(chunks))]:
        raise DataError(
            f"{output}: these are not all chunks of one observation in their order; give each once"
        )
    marginals = join([read_product(path, Marginals) for path in chunks])
    write_product(output, marginals, Provenance(settings, inputs))
