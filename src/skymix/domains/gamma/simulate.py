"""Simulation: true photons drawn from the components, sent through the response, selected.

Nothing of the marginalisation's quadrature is used to move an event: directions, energies,
dispersion and PSF are drawn one by one (in vectors), so that fits of simulated events test it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from skymix.axes import FloatArray, Grid, IntArray
from skymix.domains.gamma.background import cell_counts
from skymix.domains.gamma.components.base import GridMorphology, Source, Term
from skymix.domains.gamma.draw import sample_edisp, sample_psf
from skymix.domains.gamma.exposure import Exposure
from skymix.errors import DataError

Directions = tuple[FloatArray, FloatArray, FloatArray]

_ENERGY_SPLIT = 4
_SKY_SPLIT = 2


@dataclass(frozen=True, eq=False)
class Photons:
    """Simulated events: multiplicities, and coordinates in TeV and deg (region frame).

    Truth is NaN for background and for counts; only counts have multiplicities other than 1.
    """

    multiplicity: IntArray
    energy: FloatArray
    lon: FloatArray
    lat: FloatArray
    true_energy: FloatArray
    true_lon: FloatArray
    true_lat: FloatArray

    def select(self, keep: np.ndarray) -> "Photons":
        """Those events for which `keep` holds, or in its order."""
        return Photons(*(getattr(self, f)[keep] for f in self.__dataclass_fields__))

    @classmethod
    def at(cls, measured: Directions, true: Directions | None = None) -> "Photons":
        """Single events with measured and true (energy, lon, lat), the latter known or not."""
        ones = np.ones(measured[0].size, dtype=np.int64)
        return cls(ones, *measured, *(true or 3 * (np.full(ones.size, np.nan),)))

    @classmethod
    def joined(cls, parts: Sequence["Photons"]) -> "Photons":
        """Events of several lists, one after another."""
        nothing = np.empty(0)
        return cls(
            *(
                np.concatenate([getattr(part, f) for part in parts] or [nothing])
                for f in cls.__dataclass_fields__
            )
        )

    @property
    def size(self) -> int:
        """Number of rows."""
        return int(self.energy.size)

    @property
    def number(self) -> int:
        """Number of events."""
        return int(self.multiplicity.sum())


def simulate_source(
    source: Source,
    values: Mapping[str, float],
    scale: float,
    exposure: Exposure,
    rng: np.random.Generator,
) -> Photons:
    """Detected photons of a source, before selection.

    Parameters
    ----------
    source : component
    values : value of each of its scanned parameters, by name
    scale : factor on its own amplitude
    exposure : response, pointing, livetime and grids
    rng : random stream
    """
    grid = Grid(exposure.true.energy.split(_ENERGY_SPLIT), exposure.true.sky.split(_SKY_SPLIT))
    sky = {p.name: values[p.name] for p in source.parameters if p.shapes_sky}
    rows = {p.name: np.array([values[p.name]]) for p in source.parameters if not p.shapes_sky}
    drawn = [
        _draw_term(term, scale, grid, exposure, rng)
        for term in source.terms(grid, exposure.frame, sky, rows)
    ]
    return _through_response(*_joined(drawn), exposure, rng)


def simulate_background(scale: float, exposure: Exposure, rng: np.random.Generator) -> Photons:
    """Background events in reconstructed coordinates, before selection on the offset."""
    data = exposure.data.split(_ENERGY_SPLIT, _SKY_SPLIT)
    fine = replace(exposure, data=data, coverage=np.ones(data.sky.shape))
    counts = cell_counts(fine, 2, 1) * scale
    return Photons.at(_draw_cells(counts, np.arange(data.energy.size), data, rng))


def counted(expected: FloatArray, data: Grid, rng: np.random.Generator) -> Photons:
    """Poisson counts in cells: a row for each cell that holds events.

    Parameters
    ----------
    expected : (nenergy, nlat, nlon) expected counts
    data : reconstructed cells
    rng : random stream
    """
    counts = rng.poisson(expected.ravel())
    cell = np.flatnonzero(counts)
    return replace(Photons.at(data.centre(cell)), multiplicity=counts[cell])


def selected(photons: Photons, exposure: Exposure, offset_max: float) -> np.ndarray:
    """Which events lie in the data grid and within `offset_max` deg of the pointing."""
    cell = exposure.data.cell(photons.energy, photons.lon, photons.lat)
    keep: np.ndarray = (cell >= 0) & (exposure.offset(photons.lon, photons.lat) <= offset_max)
    return keep


def _draw_term(
    term: Term, scale: float, grid: Grid, exposure: Exposure, rng: np.random.Generator
) -> Directions:
    """True energies and directions of accepted photons."""
    spectrum = term.spectrum[0] * scale
    shape = term.morphology
    if isinstance(shape, GridMorphology):
        accepted = np.moveaxis(exposure.acceptance(*grid.sky.mesh()), -1, 0) * grid.sky.solid_angle
        drawn = []
        # One part of every true energy cell after another: a quarter of the memory.
        for part in range(_ENERGY_SPLIT):
            cells = np.arange(part, grid.energy.size, _ENERGY_SPLIT)
            intensity = shape.intensity[cells] if shape.intensity.ndim == 3 else shape.intensity
            counts = spectrum[cells, None, None] * intensity * accepted
            drawn.append(_draw_cells(counts, cells, grid, rng))
        return _joined(drawn)
    accepted = np.repeat(exposure.acceptance(shape.lon, shape.lat), _ENERGY_SPLIT, axis=-1)
    counts = (shape.weight[:, None] * accepted * spectrum).T
    e, p = _poisson_cells(counts, rng)
    return _energy_in(grid, e, rng), shape.lon[p], shape.lat[p]


def _joined(drawn: list[Directions]) -> Directions:
    energy, lon, lat = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    return energy, lon, lat


def _draw_cells(
    counts: FloatArray, energies: IntArray, grid: Grid, rng: np.random.Generator
) -> Directions:
    """Poisson draws from expected counts in cells, spread within them.

    counts : (n, ...) with the sky's cells last
    energies : (n,) energy cell of each row
    """
    row, s = _poisson_cells(counts.reshape(energies.size, -1), rng)
    i, j = np.divmod(s, grid.sky.shape[1])
    lon_edges, lat_edges = grid.sky.lon_edges, np.radians(grid.sky.lat_edges)
    lon = lon_edges[j] + (lon_edges[j + 1] - lon_edges[j]) * rng.random(j.size)
    low, high = np.sin(lat_edges[i]), np.sin(lat_edges[i + 1])
    lat = np.degrees(np.arcsin(low + (high - low) * rng.random(i.size)))
    return _energy_in(grid, energies[row], rng), lon, lat


def _poisson_cells(counts: FloatArray, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Row and column of each of a Poisson number of events, row after row."""
    cumulative = np.cumsum(counts, axis=1)
    numbers = rng.poisson(cumulative[:, -1])
    # A row at a time fits in the cache.
    columns = [
        np.searchsorted(row, rng.random(n) * row[-1], side="right")
        for row, n in zip(cumulative, numbers, strict=True)
    ]
    column: IntArray = np.minimum(np.concatenate(columns), counts.shape[1] - 1)
    return np.repeat(np.arange(numbers.size), numbers), column


def _energy_in(grid: Grid, cell: IntArray, rng: np.random.Generator) -> FloatArray:
    edges = np.log(grid.energy.edges)
    return np.exp(edges[cell] + (edges[cell + 1] - edges[cell]) * rng.random(cell.size))


def _through_response(
    energy: FloatArray,
    lon: FloatArray,
    lat: FloatArray,
    exposure: Exposure,
    rng: np.random.Generator,
) -> Photons:
    node, fraction = exposure.nodes(lon, lat)
    cell = exposure.true.energy.cell(energy)

    def drawn_node() -> IntArray:
        # Choosing a node at random with the interpolation's weights is linear interpolation.
        return node + (rng.random(node.size) < fraction)

    response = exposure.response
    reconstructed = energy * np.exp(sample_edisp(response, drawn_node(), cell, rng))
    radius = sample_psf(response, drawn_node(), cell, rng)
    azimuth = 2 * np.pi * rng.random(radius.size)
    new_lon, new_lat = _moved(lon, lat, radius, azimuth)
    return Photons.at((reconstructed, new_lon, new_lat), (energy, lon, lat))


def _moved(
    lon: FloatArray, lat: FloatArray, distance: FloatArray, azimuth: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Directions at a distance and position angle on the sphere (deg, rad)."""
    b, d = np.radians(lat), np.radians(distance)
    sine = np.sin(b) * np.cos(d) + np.cos(b) * np.sin(d) * np.cos(azimuth)
    shift = np.arctan2(np.sin(azimuth) * np.sin(d) * np.cos(b), np.cos(d) - np.sin(b) * sine)
    new_lon = (lon + np.degrees(shift) + 180.0) % 360.0 - 180.0
    return new_lon, np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0)))


def require_events(number: int, observation: str) -> None:
    """Refuse an empty simulation: DataError if there are no events."""
    if number == 0:
        raise DataError(
            f"observation {observation}: the simulation left no event after the selection;"
            " raise its counts or livetime, or widen the energies and the region"
        )
