"""A study's observation put together: grids, response, components, simulation, marginalisation."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.domains.gamma.background import expected_background, marginalise_background
from skymix.domains.gamma.components import SourceSettings, build_source
from skymix.domains.gamma.components.base import Source
from skymix.domains.gamma.content import Parts
from skymix.domains.gamma.data import Data, data_of
from skymix.domains.gamma.energy_scale import Observed, over_scales
from skymix.domains.gamma.exposure import Exposure, make_exposure
from skymix.domains.gamma.geometry import RegionFrame
from skymix.domains.gamma.grids import coverage, data_grid, true_grid
from skymix.domains.gamma.marginalise import MEMORY, marginalise_sources
from skymix.domains.gamma.on_off import OnRegion
from skymix.domains.gamma.pixels import count_pixels
from skymix.domains.gamma.rows import Rows
from skymix.domains.gamma.simulate import (
    Photons,
    counted,
    require_events,
    selected,
    simulate_background,
    simulate_source,
)
from skymix.domains.gamma.spectrum_1d import (
    marginalise_on_region,
    off_background,
    on_exposure,
)
from skymix.errors import DataError, StudyError
from skymix.store.events import Events
from skymix.store.marginals import Marginals
from skymix.store.response import Response
from skymix.study import CosmicRays, Study
from skymix.study.files import component_tables
from skymix.study.model import true_values
from skymix.study.observation import Grids, OnOffEvents, Region, Selection, SimulatedEvents


def marginalise_component(
    study: Study,
    observation: str,
    component: str,
    events: Events,
    response: Response,
    data_folder: Path,
) -> Marginals:
    """Densities of a component of the study at the events of an observation."""
    (marginals,) = marginalise_components(
        study, observation, [component], events, response, data_folder
    )
    return marginals


def marginalise_components(
    study: Study,
    observation: str,
    components: Iterable[str],
    events: Events,
    response: Response,
    data_folder: Path,
) -> Iterator[Marginals]:
    """Densities of components of the study at the events of an observation, one after the other.

    They share what does not depend on the component. Those of the background come first; the order
    is otherwise that of `components`.
    """
    pointing = events.pointing_lon, events.pointing_lat
    exposure = _exposure(study, observation, pointing, events.livetime, events.ontime, response)
    data = data_of(events, exposure.data, study.marginalisation.events == "binned")
    observed, names = Observed(data, exposure), list(components)

    def marginals(some: Iterable[str], at: Observed) -> Iterator[Marginals]:
        return _marginalised(study, observation, some, events, at, data_folder)

    scale = study.energy_scale(observation)
    if scale is None:
        yield from marginals(names, observed)
        return
    # The background was measured in the energies that the instrument reports.
    measured = [name for name in names if isinstance(study.components[name], CosmicRays)]
    photons = [name for name in names if name not in measured]
    yield from marginals(measured, observed)
    yield from over_scales(*scale, observed, lambda scaled: list(marginals(photons, scaled)))


def _marginalised(
    study: Study,
    observation: str,
    components: Iterable[str],
    events: Events,
    observed: Observed,
    data_folder: Path,
) -> Iterator[Marginals]:
    """Densities of components at data whose energies are those of the response."""
    data, exposure = observed.data, observed.exposure
    settings = study.marginalisation
    binned = settings.events == "binned"
    recorded = study.observations[observation].events
    if isinstance(recorded, OnOffEvents):
        on = OnRegion.of(recorded, exposure.frame)
        exposure = on_exposure(exposure, on, observation)
        for name in components:
            component = study.components[name]
            if isinstance(component, CosmicRays):
                normalisation = component.normalisation
                yield off_background(events, exposure, data, normalisation, name, observation)
            else:
                source = source_of(study, name, data_folder)
                yield marginalise_on_region(source, exposure, data, binned, on, name, observation)
        return
    sources = {}
    for name in components:
        component = study.components[name]
        if isinstance(component, CosmicRays):
            yield marginalise_background(
                exposure, data, binned, component.normalisation, name, observation
            )
        else:
            sources[name] = source_of(study, name, data_folder)
    yield from marginalise_sources(
        sources, exposure, data, binned, settings.tolerance, observation, settings.memory
    )


def simulate_observation(
    study: Study, observation: str, response: Response, data_folder: Path, seed: int
) -> Events:
    """Events of a simulated observation, in random order.

    Raises
    ------
    StudyError
        If the observation is not simulated.
    DataError
        If no event passes the selection, or counts are wanted of a component that has none.
    """
    settings = study.observations[observation].events
    if not isinstance(settings, SimulatedEvents):
        raise StudyError(f"observations.{observation}.events: is not simulated")
    frame = RegionFrame(study.region.centre)
    pointing = frame.from_position(settings.pointing)
    livetime = settings.livetime
    exposure = _exposure(study, observation, pointing, livetime, livetime, response)
    streams = np.random.default_rng(seed).spawn(len(study.components) + 1)
    truth = true_values(study, observation)
    parts: list[Photons] = []
    labels: list[IntArray] = []
    expected, drawn = [], 0
    in_cells = settings.form == "counts"
    processes = _processes(study, observation, exposure, data_folder, in_cells)
    for k, (name, process) in enumerate(zip(study.components, processes, strict=True)):
        number = _wanted(settings, observation, name, process)
        expected.append(number)
        if number == 0:
            continue
        scale = number / process.expected
        if in_cells:
            kept = counted(scale * process.cells, exposure.data, streams[k])
            drawn += kept.number
        else:
            photons = process.draw(scale, streams[k])
            drawn += photons.size
            kept = photons.select(selected(photons, exposure, study.selection.offset_max))
        parts.append(kept)
        labels.append(np.full(kept.size, k))
    photons, component_of = _shuffled(parts, labels, streams[-1])
    require_events(photons.size, observation)
    return Events(
        event_id=np.arange(photons.size),
        multiplicity=photons.multiplicity,
        energy=photons.energy,
        lon=photons.lon,
        lat=photons.lat,
        true_component=component_of,
        true_energy=photons.true_energy,
        true_lon=photons.true_lon,
        true_lat=photons.true_lat,
        observation=observation,
        pointing_lon=pointing[0],
        pointing_lat=pointing[1],
        livetime=settings.livetime,
        ontime=settings.livetime,
        cuts=json.dumps({"simulated": drawn, "outside the selection": drawn - photons.number}),
        components=tuple(study.components),
        expected_counts=np.array(expected),
        truth=json.dumps(truth),
    )


def _wanted(
    settings: SimulatedEvents, observation: str, component: str, process: "_Process"
) -> float:
    """Expected number of selected events that the study asks of a component."""
    wanted = settings.counts.get(component, "model")
    number = process.expected if wanted == "model" else float(wanted)
    if number > settings.largest:
        raise StudyError(
            f"observations.{observation}.events.counts.{component}: the model expects {number:.2g}"
            f" events, more than the {settings.largest:.0e} that can be simulated; lower its"
            " amplitude or the livetime, or give its counts"
        )
    if number > 0 and process.expected <= 0:
        raise DataError(
            f"component {component}: no counts are expected in observation {observation}, so"
            f" {number:g} cannot be drawn; set its counts to 0 or widen the energies and the"
            " region"
        )
    return number


@dataclass(frozen=True)
class _Process:
    """How a component makes events.

    Parameters
    ----------
    expected : expected number of selected events
    cells : the same of each reconstructed cell, (nenergy, nlat, nlon); empty if not wanted
    draw : events at a scale of the component's amplitude, before selection
    """

    expected: float
    cells: FloatArray
    draw: Callable[[float, np.random.Generator], Photons]


def _processes(
    study: Study, observation: str, exposure: Exposure, data_folder: Path, in_cells: bool
) -> Iterator[_Process]:
    """The process of each component, with its counts in cells only if these are wanted."""
    truth = true_values(study, observation)
    sources = {
        name: source_of(study, name, data_folder)
        for name, component in study.components.items()
        if not isinstance(component, CosmicRays)
    }
    tables = [(source, _row(source, truth)) for source in sources.values()]
    # Together, as they share the kernels of the PSF.
    parts = Parts(tables, exposure, MEMORY)
    counts = count_pixels(parts, _every_cell(exposure) if in_cells else None)
    for name, component in study.components.items():
        if isinstance(component, CosmicRays):
            factor = component.normalisation
            cells = factor * expected_background(exposure)
            draw = partial(_draw_background, factor, exposure)
            yield _Process(float(cells.sum()), cells, draw)
        else:
            source, found = sources[name], next(counts)
            cells = found.at_data[0] if in_cells else np.empty(0)
            if in_cells:
                cells = cells.reshape(exposure.data.shape) * exposure.data.volume
                cells *= exposure.coverage
            values = {p.name: truth[p.name] for p in source.parameters}
            draw = partial(_draw_source, source, values, exposure)
            yield _Process(float(found.expected[0]), cells, draw)


def _draw_background(
    factor: float, exposure: Exposure, scale: float, rng: np.random.Generator
) -> Photons:
    return simulate_background(scale * factor, exposure, rng)


def _draw_source(
    source: Source,
    values: Mapping[str, float],
    exposure: Exposure,
    scale: float,
    rng: np.random.Generator,
) -> Photons:
    return simulate_source(source, values, scale, exposure, rng)


def _row(source: Source, truth: Mapping[str, float]) -> Rows:
    values = {p.name: np.array([truth[p.name]]) for p in source.parameters}
    return Rows(source.parameters, values, 1)


def _every_cell(exposure: Exposure) -> Data:
    """Each reconstructed cell as a datum."""
    grid = exposure.data
    cells = np.arange(grid.energy.size * grid.sky.size)
    return Data(*grid.centre(cells), np.ones(cells.size), cells, cells)


def source_of(study: Study, component: str, data_folder: Path) -> Source:
    """Source of a component; the files it needs are read once in a process while they stay."""
    settings = study.components[component]
    assert not isinstance(settings, CosmicRays)
    files = [path for path in component_tables(study, component) if path.exists()]
    stamps = tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in files)
    return _built(_Recipe(component, settings.model_dump_json(), data_folder, stamps, settings))


@dataclass(frozen=True)
class _Recipe:
    """What a source is made of: its settings, and its files by their times and sizes."""

    component: str
    settings_json: str
    data_folder: Path
    files: tuple[tuple[Path, int, int], ...]
    settings: SourceSettings = field(compare=False)


@lru_cache(maxsize=16)
def _built(recipe: _Recipe) -> Source:
    return build_source(recipe.component, recipe.settings, recipe.data_folder)


def _exposure(
    study: Study,
    observation: str,
    pointing: tuple[float, float],
    livetime: float,
    ontime: float,
    response: Response,
) -> Exposure:
    return _made_exposure(
        study.region,
        study.grids_of(observation),
        study.selection,
        pointing,
        livetime,
        ontime,
        response,
    )


@lru_cache(maxsize=1)
def _made_exposure(
    region: Region,
    grids: Grids,
    selection: Selection,
    pointing: tuple[float, float],
    livetime: float,
    ontime: float,
    response: Response,
) -> Exposure:
    """Exposure of an observation, whose tables the components share in one process."""
    data = data_grid(grids, region)
    return make_exposure(
        pointing,
        livetime,
        ontime,
        response,
        RegionFrame(region.centre),
        true_grid(grids, region),
        data,
        coverage(data.sky, pointing, selection.offset_max),
    )


def _shuffled(
    parts: list[Photons], labels: list[IntArray], rng: np.random.Generator
) -> tuple[Photons, IntArray]:
    """All photons in random order, and the number of the component of each."""
    joined = Photons.joined(parts)
    order = rng.permutation(joined.size)
    component = np.concatenate(labels or [np.empty(0, np.int64)])[order]
    return joined.select(order), component
