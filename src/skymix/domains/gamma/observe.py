"""A study's observation put together: grids, response, components, simulation, marginalisation."""

import json
from pathlib import Path

import numpy as np

from skymix.axes import FloatArray
from skymix.domains.gamma.background import cell_counts, marginalise_background
from skymix.domains.gamma.components import build_source
from skymix.domains.gamma.components.base import Source
from skymix.domains.gamma.data import Data, data_of
from skymix.domains.gamma.exposure import Exposure, make_exposure
from skymix.domains.gamma.geometry import RegionFrame
from skymix.domains.gamma.grids import coverage, data_grid, true_grid
from skymix.domains.gamma.marginalise import Rows, densities, marginalise
from skymix.domains.gamma.simulate import (
    Photons,
    require_events,
    selected,
    simulate_background,
    simulate_source,
)
from skymix.errors import StudyError
from skymix.store.events import Events
from skymix.store.marginals import Marginals
from skymix.store.response import Response
from skymix.study import CosmicRays, Study
from skymix.study.observation import SimulatedEvents


def marginalise_component(
    study: Study,
    observation: str,
    component: str,
    events: Events,
    response: Response,
    data_folder: Path,
) -> Marginals:
    """Densities of a component of the study at the events of an observation."""
    pointing = events.pointing_lon, events.pointing_lat
    exposure = _exposure(study, pointing, events.livetime, response)
    binned = study.marginalisation.events == "binned"
    data = data_of(events, exposure.data, binned)
    settings = study.components[component]
    if isinstance(settings, CosmicRays):
        return marginalise_background(
            exposure, data, binned, settings.normalisation, component, observation
        )
    return marginalise(
        build_source(component, settings, data_folder),
        exposure,
        data,
        binned,
        study.marginalisation.tolerance,
        component,
        observation,
    )


def simulate_observation(
    study: Study, observation: str, response: Response, data_folder: Path, seed: int
) -> Events:
    """Events of a simulated observation, in random order.

    Raises
    ------
    StudyError
        If a true parameter value has the wrong unit or leaves its scan.
    DataError
        If no event passes the selection.
    """
    settings = study.observations[observation].events
    if not isinstance(settings, SimulatedEvents):
        raise StudyError(f"observations.{observation}.events: is not simulated")
    frame = RegionFrame(study.region.centre)
    pointing = frame.from_position(settings.pointing)
    exposure = _exposure(study, pointing, settings.livetime, response)
    streams = np.random.default_rng(seed).spawn(len(study.components) + 1)
    truth: dict[str, float] = {}
    parts, labels, expected, drawn = [], [], [], 0
    for k, (name, component) in enumerate(study.components.items()):
        wanted = settings.counts.get(name, "model")
        background = isinstance(component, CosmicRays)
        source = None if background else build_source(name, component, data_folder)
        values = {} if source is None else _true_values(source, settings, observation)
        truth |= values
        if wanted == 0:
            expected.append(0.0)
            continue
        own = (
            float(cell_counts(exposure, 4, 3).sum()) * component.normalisation
            if isinstance(component, CosmicRays)
            else _expected_counts(source, values, exposure)
        )
        number = own if wanted == "model" else float(wanted)
        scale = number / own
        photons = (
            simulate_background(scale * component.normalisation, exposure, streams[k])
            if isinstance(component, CosmicRays)
            else simulate_source(source, values, scale, exposure, streams[k])
        )
        drawn += photons.size
        kept = photons.select(selected(photons, exposure, study.selection.offset_max))
        parts.append(kept)
        labels.append(np.full(kept.size, k))
        expected.append(number)
    photons, component_of = _shuffled(parts, labels, streams[-1])
    require_events(photons.size, observation)
    return Events(
        event_id=np.arange(photons.size),
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
        cuts=json.dumps({"simulated": drawn, "outside the selection": drawn - photons.size}),
        components=tuple(study.components),
        expected_counts=np.array(expected),
        truth=json.dumps(truth),
    )


def _exposure(
    study: Study, pointing: tuple[float, float], livetime: float, response: Response
) -> Exposure:
    data = data_grid(study.grids, study.region)
    return make_exposure(
        pointing,
        livetime,
        response,
        RegionFrame(study.region.centre),
        true_grid(study.grids, study.region),
        data,
        coverage(data.sky, pointing, study.selection.offset_max),
    )


def _expected_counts(source: Source, values: dict[str, float], exposure: Exposure) -> float:
    rows = Rows(source.parameters, {k: np.array([v]) for k, v in values.items()}, 1)
    nothing = np.empty(0)
    none = Data(nothing, nothing, nothing, nothing, np.empty(0, np.int64), np.empty(0, np.int64))
    return float(densities(source, exposure, none, rows, True, 1e-6).expected[0])


def _true_values(
    source: Source, settings: SimulatedEvents, observation: str
) -> dict[str, float]:
    """True value of each scanned parameter of a source, in the parameter's unit."""
    values = {}
    for parameter in source.parameters:
        value = _in_unit(settings.parameters[parameter.name], parameter.unit)
        place = f"observations.{observation}.events.parameters.{parameter.name}"
        unit = f" {parameter.unit}" if parameter.unit else ""
        if value is None:
            wanted = f"a value in{unit}" if unit else "a plain number"
            raise StudyError(f"{place}: '{settings.parameters[parameter.name]}' is not {wanted}")
        low, high = parameter.nodes[0], parameter.nodes[-1]
        if not low <= value <= high:
            raise StudyError(
                f"{place}: {value:g}{unit} lies outside its scan, {low:g} to {high:g}{unit};"
                " widen the scan or change the value"
            )
        values[parameter.name] = value
    return values


def _in_unit(value: str | float, unit: str) -> float | None:
    from astropy import units as u

    try:
        return float(u.Quantity(value).to_value(u.Unit(unit)))
    except (u.UnitConversionError, TypeError, ValueError):
        return None


def _shuffled(
    parts: list[Photons], labels: list[FloatArray], rng: np.random.Generator
) -> tuple[Photons, np.ndarray]:
    joined = Photons(
        *(
            np.concatenate([getattr(part, f) for part in parts] or [np.empty(0)])
            for f in Photons.__dataclass_fields__
        )
    )
    order = rng.permutation(joined.size)
    component = np.concatenate(labels or [np.empty(0)])[order].astype(np.int64)
    return joined.select(order), component
