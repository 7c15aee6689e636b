"""Marginalisation and simulation against the textbook way of doing them.

The baseline is what a careful script does: for each event a box of true cells (0.5 dex and
0.5 deg to each side), the response looked up by scipy's RegularGridInterpolator, everything in log
space, scipy's logsumexp over the cells for every component and mass; before that the normalisation
of the response over the whole data grid for every true cell. It is too slow to be run whole: the
time of an event is measured on a few events and that of the normalisation on a few (energy,
longitude) slices of the true grid, and both are scaled to their full number. skymix is measured
whole, error estimates included; of unbinned events, what one more costs: the slope between two
numbers of them, which leaves out what is done once for all, as is the baseline's normalisation.
Both are measured by turns, as machines are busier at one time than at another: a ratio is the
median of those of the turns. OMP_NUM_THREADS=1 keeps all to one core.
"""

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy.interpolate import RegularGridInterpolator
from scipy.special import logsumexp

from benchmarks.timing import median_seconds, seconds
from skymix.axes import FloatArray, Grid, separation
from skymix.domains.gamma.background import marginalise_background
from skymix.domains.gamma.brute_force import brute_force_counts
from skymix.domains.gamma.components import build_source
from skymix.domains.gamma.components.base import GridMorphology, PointMorphology
from skymix.domains.gamma.data import Data, data_of
from skymix.domains.gamma.exposure import Exposure, make_exposure
from skymix.domains.gamma.geometry import RegionFrame
from skymix.domains.gamma.grids import data_grid, true_grid
from skymix.domains.gamma.marginalise import densities, marginalise_sources
from skymix.domains.gamma.observe import simulate_observation
from skymix.domains.gamma.response import tabulate_response
from skymix.domains.gamma.rows import Rows
from skymix.store.events import Events
from skymix.study import CosmicRays, Study, study_from_mapping
from skymix.study.components import DarkMatter
from skymix.study.default import DEFAULT_STUDY
from skymix.study.observation import SimulatedEvents

RUN = "centre_5h"
NOWHERE = Path()
BOX_DEX, BOX_DEG = 0.5, 0.5
BASELINE_EVENTS, BASELINE_SLICES = 60, 12
TURNS = 11
UNBINNED_EVENTS = 10_000, 50_000
MASSES = 121


def study_of(masses: int, counts: float) -> Study:
    """The default study with 0.1 deg true pixels and 30 true energies a decade."""
    settings: dict[str, Any] = dict(DEFAULT_STUDY)
    settings["grids"] = dict(settings["grids"]) | {
        "energy": {"min": "0.1 TeV", "max": "100 TeV", "per_decade": 20},
        "true_energy": {"min": "0.1 TeV", "max": "100 TeV", "per_decade": 30},
        "subdivision": 2,
    }
    settings["selection"] = {}
    components = dict(settings["components"])
    components["dark_matter"] = dict(components["dark_matter"]) | {
        "mass": {"min": "0.2 TeV", "max": "20 TeV", "nodes": masses, "spacing": "log"}
    }
    settings["components"] = components
    observation = dict(settings["observations"][RUN])
    drawn = dict(observation["events"])
    drawn["counts"] = {
        name: n * counts / sum(drawn["counts"].values()) for name, n in drawn["counts"].items()
    }
    settings["observations"] = {RUN: observation | {"events": drawn}}
    return study_from_mapping(settings)


@dataclass(frozen=True, eq=False)
class Case:
    """A study with its response tabulated and its grids made."""

    study: Study
    exposure: Exposure

    @classmethod
    def of(cls, study: Study) -> "Case":
        """Tabulate the response."""
        (observation,) = study.observations.values()
        true, data = true_grid(study.grids, study.region), data_grid(study.grids, study.region)
        response, _ = tabulate_response(observation.response, true.energy, NOWHERE)
        frame = RegionFrame(study.region.centre)
        drawn = observation.events
        assert isinstance(drawn, SimulatedEvents)
        pointing, livetime = frame.from_position(drawn.pointing), drawn.livetime
        cover = np.ones(data.sky.shape)
        return cls(
            study,
            make_exposure(pointing, livetime, livetime, response, frame, true, data, cover),
        )

    def events(self, seed: int) -> Events:
        """A simulated event list."""
        return simulate_observation(self.study, RUN, self.exposure.response, NOWHERE, seed)

    def marginalise(self, events: Events, binned: bool) -> None:
        """Marginalise every component, as the stages do, with nothing kept from before."""
        exposure = replace(self.exposure)
        data = data_of(events, exposure.data, binned)
        sources = {}
        for name, settings in self.study.components.items():
            if isinstance(settings, CosmicRays):
                marginalise_background(exposure, data, binned, 1.0, name, RUN)
            else:
                sources[name] = build_source(name, settings, NOWHERE)
        how = self.study.marginalisation
        for _ in marginalise_sources(
            sources, exposure, data, binned, how.tolerance, RUN, how.memory
        ):
            pass


class Baseline:
    """Per-event boxes in log space, with an interpolated response."""

    def __init__(self, case: Case) -> None:
        self.exposure = exposure = case.exposure
        response, grid = exposure.response, exposure.true
        log_energy = np.log(grid.energy.centres)
        y = response.log_migra
        density = np.gradient(response.edisp, y, axis=-1)
        axes = {"method": "linear", "bounds_error": False, "fill_value": 0.0}
        self.edisp = RegularGridInterpolator((response.offset, log_energy, y), density, **axes)
        self.psf = RegularGridInterpolator(
            (response.offset, np.sqrt(response.rad), log_energy), response.psf, **axes
        )
        with np.errstate(divide="ignore"):
            self.log_source = [np.log(flux) for flux in self._sources(case)]

    def _sources(self, case: Case) -> Iterator[FloatArray]:
        """Expected photons of each true cell: (nrow, nenergy, nlat, nlon) of every component."""
        exposure, grid = self.exposure, self.exposure.true
        accepted = np.moveaxis(exposure.acceptance(*grid.sky.mesh()), -1, 0)
        for name, settings in case.study.components.items():
            if isinstance(settings, CosmicRays):
                # The baseline smears a template of the background like any other source.
                spectrum = grid.energy.centres**-2.7 * grid.energy.widths
                yield (accepted * spectrum[:, None, None] * grid.sky.solid_angle)[None]
                continue
            source = build_source(name, settings, NOWHERE)
            rows = Rows.grid(source.parameters)
            (term,) = source.terms(grid, exposure.frame, {}, rows.values)
            shape = self._map(term.morphology, grid)
            yield term.spectrum[..., None, None] * (shape * accepted)

    @staticmethod
    def _map(shape: GridMorphology | PointMorphology, grid: Grid) -> FloatArray:
        if isinstance(shape, GridMorphology):
            return shape.intensity * grid.sky.solid_angle
        content = np.zeros(grid.sky.size)
        np.add.at(content, grid.sky.cell(shape.lon, shape.lat), shape.weight)
        return content.reshape(grid.sky.shape)

    def log_response(
        self, energy: Any, lon: Any, lat: Any, true_energy: Any, true_lon: Any, true_lat: Any
    ) -> FloatArray:
        """Log of dispersion times PSF at broadcasting coordinates."""
        offset = self.exposure.offset(true_lon, true_lat)
        radius = separation(lon, lat, true_lon, true_lat)
        shift, log_true = np.log(energy / true_energy), np.log(true_energy)

        def at(table: RegularGridInterpolator, *coordinates: Any) -> FloatArray:
            joined = np.broadcast_arrays(*coordinates)
            points = np.stack([c.ravel() for c in joined], axis=1)
            return np.asarray(np.log(table(points)).reshape(joined[0].shape))

        with np.errstate(divide="ignore"):
            edisp = at(self.edisp, offset, log_true, shift) - np.log(energy)
            return np.asarray(edisp + at(self.psf, offset, np.sqrt(radius), log_true))

    def event(self, energy: float, lon: float, lat: float) -> list[FloatArray]:
        """Log density of each component's rows at one event."""
        grid = self.exposure.true
        e = np.flatnonzero(np.abs(np.log10(grid.energy.centres / energy)) < BOX_DEX)
        i = np.flatnonzero(np.abs(grid.sky.lat - lat) < BOX_DEG)
        j = np.flatnonzero(np.abs(grid.sky.lon - lon) < BOX_DEG)
        true_lat, true_lon = np.meshgrid(grid.sky.lat[i], grid.sky.lon[j], indexing="ij")
        log_r = self.log_response(
            energy, lon, lat, grid.energy.centres[e][:, None, None], true_lon, true_lat
        )
        boxes = (
            s[:, e[0] : e[-1] + 1, i[0] : i[-1] + 1, j[0] : j[-1] + 1] for s in self.log_source
        )
        return [logsumexp(box + log_r, axis=(1, 2, 3)) for box in boxes]

    def normalisation_slice(self, e: int, j: int) -> FloatArray:
        """Log of the response summed over the data grid, for true cells of one longitude."""
        data, true = self.exposure.data, self.exposure.true
        lon, lat = true.sky.lon[j], true.sky.lat
        offset = self.exposure.offset(np.full(lat.size, lon), lat)
        centre = true.energy.centres[e]
        shift, log_true = np.log(data.energy.centres / centre), np.log(centre)
        with np.errstate(divide="ignore"):
            points = np.stack(np.broadcast_arrays(offset[:, None], log_true, shift), axis=-1)
            energies = logsumexp(
                np.log(self.edisp(points)) + np.log(data.energy.widths / data.energy.centres),
                axis=1,
            )
            mesh_lon, mesh_lat = data.sky.mesh()
            radius = separation(mesh_lon, mesh_lat, lon, lat[:, None, None])
            joined = np.broadcast_arrays(offset[:, None, None], np.sqrt(radius), log_true)
            directions = logsumexp(
                np.log(self.psf(np.stack(joined, axis=-1))) + np.log(data.sky.solid_angle),
                axis=(1, 2),
            )
        return np.asarray(energies + directions)

    def seconds_normalisation(self) -> float:
        """Time of the normalisation over the whole true grid, from a few slices."""
        grid = self.exposure.true
        rng = np.random.default_rng(1)
        picks = rng.integers(0, (grid.energy.size, grid.sky.shape[1]), (BASELINE_SLICES, 2))
        each = median(seconds(partial(self.normalisation_slice, *p)) for p in picks)
        return each * grid.energy.size * grid.sky.shape[1]

    def seconds_binned(self, events: Events) -> float:
        """Time of binned events, which need one density a cell, as skymix does it."""
        cells = data_of(events, self.exposure.data, True).size
        return self.seconds_normalisation() + cells * self.seconds_event(events)

    def seconds_event(self, events: Events) -> float:
        """Median time of one event."""
        picks = zip(events.energy, events.lon, events.lat, strict=True)
        some = [at for at, _ in zip(picks, range(BASELINE_EVENTS), strict=False)]
        return median(seconds(partial(self.event, *at)) for at in some)


def run() -> Iterator[tuple[str, float, str]]:
    """Time of the baseline over that of skymix; time of 1000 masses over 121; of 1e6 events."""
    case = Case.of(study_of(MASSES, 500))
    few = case.events(1)
    many = replace(case, study=study_of(MASSES, 1e5)).events(1)
    baseline = Baseline(case)
    for name, events in (("n500", few), ("n1e5", many)):
        ratio, ours = by_turns(
            partial(baseline.seconds_binned, events), partial(binned, case, events)
        )
        yield f"marginalise.binned_seconds_{name}", ours, "s"
        yield f"marginalise.binned_ratio_{name}", ratio, ""
    ratio, ours = by_turns(partial(baseline.seconds_event, few), partial(one_more, case, many))
    yield "marginalise.unbinned_microseconds", ours * 1e6, "us"
    yield "marginalise.unbinned_ratio", ratio, ""
    yield "marginalise.brute_force_difference", brute_force_difference(case), ""
    yield "marginalise.peak_memory_n1e5", peak_memory(case, many), "MB"
    yield "marginalise.masses_1000_over_121", many_masses(few), ""
    yield "simulate.seconds_1e6", simulation(), "s"


def by_turns(baseline: Callable[[], float], ours: Callable[[], float]) -> tuple[float, float]:
    """Median ratio of two times that are measured by turns, and median of the second."""
    ours()  # compiles, and fills caches
    turns = [(baseline(), ours()) for _ in range(TURNS)]
    return median(b / o for b, o in turns), median(o for _, o in turns)


def binned(case: Case, events: Events) -> float:
    """Time of all binned densities."""
    return seconds(partial(case.marginalise, events, True))


def one_more(case: Case, events: Events) -> float:
    """Time of one more unbinned event."""
    less, more = (
        seconds(partial(case.marginalise, subset(events, n), False)) for n in UNBINNED_EVENTS
    )
    return (more - less) / (UNBINNED_EVENTS[1] - UNBINNED_EVENTS[0])


def brute_force_difference(case: Case) -> float:
    """Largest relative difference from the sum over all true cells, at two data pixels."""
    exposure = case.exposure
    grid = exposure.data
    source = build_source("dark_matter", case.study.components["dark_matter"], NOWHERE)
    rows = Rows.grid(source.parameters)
    (term,) = source.terms(exposure.true, exposure.frame, {}, rows.values)
    assert isinstance(term.morphology, GridMorphology)
    weight = term.morphology.intensity * exposure.true.sky.solid_angle
    content = weight[..., None] * exposure.map_acceptance
    cells = np.arange(grid.energy.size * grid.sky.size)
    data = Data(*grid.centre(cells), np.ones(cells.size), cells, cells)
    density = densities(source, exposure, data, rows, True, 1e-6).at_data
    counts = (density * grid.volume.ravel()).reshape(-1, *grid.shape)
    worst = 0.0
    for i, j in ((0, 0), (grid.sky.shape[0] // 2, grid.sky.shape[1] // 2)):
        exact = brute_force_counts(content, term.spectrum, exposure, (i, j))
        seen = exact > 1e-30 * exact.max()
        worst = max(worst, float(np.abs(counts[:, :, i, j][seen] / exact[seen] - 1).max()))
    return worst


def peak_memory(case: Case, events: Events) -> float:
    """Peak of what Python and numpy allocate in a binned marginalisation, MB."""
    tracemalloc.start()
    try:
        case.marginalise(events, True)
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def subset(events: Events, size: int) -> Events:
    """The first events of a list."""
    columns = ["event_id", "energy", "lon", "lat"]
    columns += ["true_component", "true_energy", "true_lon", "true_lat"]
    return replace(events, **{name: getattr(events, name)[:size] for name in columns})


def many_masses(events: Events) -> float:
    """Time of a dark-matter table of 1000 masses over one of 121."""
    times = []
    for masses in (1000, MASSES):
        case = Case.of(study_of(masses, 500))
        data = data_of(events, case.exposure.data, True)
        settings = case.study.components["dark_matter"]
        assert isinstance(settings, DarkMatter)
        source = build_source("dark_matter", settings, NOWHERE)
        rows = Rows.grid(source.parameters)
        table = partial(densities, source, case.exposure, data, rows, True, 1e-6)
        times.append(median_seconds(table))
    return times[0] / times[1]


def simulation() -> float:
    """Time to simulate 1e6 selected events of the default study."""
    settings = dict(DEFAULT_STUDY)
    observation = dict(settings["observations"][RUN])
    drawn = dict(observation["events"])
    total = sum(drawn["counts"].values())
    drawn["counts"] = {name: n * 1e6 / total for name, n in drawn["counts"].items()}
    settings["observations"] = {RUN: observation | {"events": drawn}}
    case = Case.of(study_from_mapping(settings))
    return median_seconds(partial(case.events, 1))
