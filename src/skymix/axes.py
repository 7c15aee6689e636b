"""Axes and grids: edges, centres, cell measures and the look-up of a datum's cell.

Plain float64 numbers in fixed units (energy in TeV, angles in degrees, solid angle in sr); units
are converted where data and settings enter. Angles are longitude and latitude in the study's
region frame, whose origin is the centre of the region.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def _edges(edges: FloatArray, name: str) -> FloatArray:
    edges = np.array(edges, dtype=np.float64)
    if edges.ndim != 1 or edges.size < 2 or not np.all(np.diff(edges) > 0):
        raise ValueError(f"{name}: edges must be a strictly increasing list of at least two values")
    edges.setflags(write=False)
    return edges


def cell_of(edges: FloatArray, values: FloatArray) -> IntArray:
    """Index of the half-open cell [edge, next edge) that holds each value, -1 outside.

    The last cell also holds its upper edge.
    """
    values = np.asarray(values, dtype=np.float64)
    index = np.searchsorted(edges, values, side="right") - 1
    index = np.where(values == edges[-1], edges.size - 2, index)
    inside = (values >= edges[0]) & (values <= edges[-1])
    return np.where(inside, index, -1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class EnergyAxis:
    """Energy cells; integrals are per dE, so the measure of a cell is its width in TeV.

    Parameters
    ----------
    edges : (n + 1,) array, TeV
    """

    edges: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "edges", _edges(self.edges, "energy axis"))
        if self.edges[0] <= 0:
            raise ValueError("energy axis: energies must be positive")

    @classmethod
    def logarithmic(cls, low: float, high: float, per_decade: float) -> "EnergyAxis":
        """Cells of equal width in log E, `per_decade` or slightly more to a decade."""
        n = max(1, int(np.ceil(np.log10(high / low) * per_decade - 1e-9)))
        return cls(np.geomspace(low, high, n + 1))

    @property
    def size(self) -> int:
        """Number of cells."""
        return self.edges.size - 1

    @cached_property
    def centres(self) -> FloatArray:
        """Geometric means of the edges, (n,) TeV."""
        return np.sqrt(self.edges[:-1] * self.edges[1:])

    @cached_property
    def widths(self) -> FloatArray:
        """dE of each cell, (n,) TeV."""
        return np.diff(self.edges)

    def cell(self, energy: FloatArray) -> IntArray:
        """Index of the cell of each energy, -1 outside."""
        return cell_of(self.edges, energy)

    def split(self, factor: int) -> "EnergyAxis":
        """Return the axis with every cell cut into `factor` of equal width in log E."""
        return EnergyAxis(np.exp(_split(np.log(self.edges), factor)))


def _split(edges: FloatArray, factor: int) -> FloatArray:
    inner = np.arange(factor) / factor
    fine = edges[:-1, None] + np.diff(edges)[:, None] * inner
    return np.append(fine.ravel(), edges[-1])


@dataclass(frozen=True, eq=False)
class SkyGrid:
    """Rectangular grid in longitude and latitude of the region frame; arrays are (lat, lon).

    Parameters
    ----------
    lon_edges, lat_edges : (nlon + 1,), (nlat + 1,) arrays, deg
    """

    lon_edges: FloatArray
    lat_edges: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "lon_edges", _edges(self.lon_edges, "longitude axis"))
        object.__setattr__(self, "lat_edges", _edges(self.lat_edges, "latitude axis"))
        if self.lat_edges[0] < -90 or self.lat_edges[-1] > 90:
            raise ValueError("latitude axis: latitudes must be within -90 to 90 deg")
        if self.lon_edges[-1] - self.lon_edges[0] > 360:
            raise ValueError("longitude axis: the grid is wider than 360 deg")

    @classmethod
    def centred(cls, width: float, height: float, pixel: float) -> "SkyGrid":
        """Grid about the origin, with an integer number of pixels close to `pixel` on each side."""

        def edges(size: float) -> FloatArray:
            n = max(1, round(size / pixel))
            return np.linspace(-size / 2, size / 2, n + 1)

        return cls(edges(width), edges(height))

    @property
    def shape(self) -> tuple[int, int]:
        """(nlat, nlon)."""
        return self.lat_edges.size - 1, self.lon_edges.size - 1

    @property
    def size(self) -> int:
        """Number of cells."""
        return self.shape[0] * self.shape[1]

    @cached_property
    def lon(self) -> FloatArray:
        """Longitudes of the cell centres, (nlon,) deg."""
        return 0.5 * (self.lon_edges[:-1] + self.lon_edges[1:])

    @cached_property
    def lat(self) -> FloatArray:
        """Latitudes of the cell centres, (nlat,) deg."""
        return 0.5 * (self.lat_edges[:-1] + self.lat_edges[1:])

    @cached_property
    def solid_angle(self) -> FloatArray:
        """Exact solid angle of each cell, dlon x d(sin lat), (nlat, nlon) sr."""
        dlon = np.radians(np.diff(self.lon_edges))
        dsin = np.diff(np.sin(np.radians(self.lat_edges)))
        return dsin[:, None] * dlon[None, :]

    def cell(self, lon: FloatArray, lat: FloatArray) -> IntArray:
        """Flat (lat, lon) index of the cell of each direction, -1 outside."""
        i = cell_of(self.lat_edges, lat)
        j = cell_of(self.lon_edges, lon)
        return np.where((i >= 0) & (j >= 0), i * self.shape[1] + j, -1)

    def split(self, factor: int) -> "SkyGrid":
        """Return the grid with every cell cut into `factor` x `factor`."""
        return SkyGrid(_split(self.lon_edges, factor), _split(self.lat_edges, factor))

    def mesh(self) -> tuple[FloatArray, FloatArray]:
        """Longitude and latitude of every cell centre, each (nlat, nlon) deg."""
        lat, lon = np.meshgrid(self.lat, self.lon, indexing="ij")
        return lon, lat


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells in energy and sky; flat index = energy * nsky + sky."""

    energy: EnergyAxis
    sky: SkyGrid

    @property
    def shape(self) -> tuple[int, int, int]:
        """(nenergy, nlat, nlon)."""
        return (self.energy.size, *self.sky.shape)

    @cached_property
    def volume(self) -> FloatArray:
        """dE dOmega of each cell, (nenergy, nlat, nlon) TeV sr."""
        return self.energy.widths[:, None, None] * self.sky.solid_angle[None]

    def cell(self, energy: FloatArray, lon: FloatArray, lat: FloatArray) -> IntArray:
        """Flat index of the cell of each datum, -1 outside."""
        e = self.energy.cell(energy)
        s = self.sky.cell(lon, lat)
        return np.where((e >= 0) & (s >= 0), e * self.sky.size + s, -1)

    def centre(self, cell: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Energy (TeV), longitude and latitude (deg) of the centres of cells, by flat index."""
        energy, sky = np.divmod(cell, self.sky.size)
        lat, lon = np.divmod(sky, self.sky.shape[1])
        return self.energy.centres[energy], self.sky.lon[lon], self.sky.lat[lat]

    def split(self, energy: int, sky: int) -> "Grid":
        """Return the grid with cells cut `energy` times in energy and `sky` x `sky` on the sky."""
        return Grid(self.energy.split(energy), self.sky.split(sky))


def separation(
    lon1: FloatArray | float,
    lat1: FloatArray | float,
    lon2: FloatArray | float,
    lat2: FloatArray | float,
) -> FloatArray:
    """Great-circle separation by the haversine formula, deg in, deg out; broadcasts."""
    b1, b2 = np.radians(lat1), np.radians(lat2)
    across = np.sin(0.5 * np.radians(np.subtract(lon1, lon2)))
    h = np.sin(0.5 * (b1 - b2)) ** 2 + np.cos(b1) * np.cos(b2) * across**2
    return np.asarray(np.degrees(2 * np.arcsin(np.sqrt(np.clip(h, 0.0, 1.0)))))
