"""The data grid and the true grid of a study."""

import math

import numpy as np

from skymix.axes import EnergyAxis, FloatArray, Grid, SkyGrid, separation
from skymix.study.observation import EnergyGrid, Grids, Region

_COVERAGE_SAMPLES = 10


def data_grid(grids: Grids, region: Region) -> Grid:
    """Reconstructed energies and directions."""
    sky = SkyGrid.centred(region.width, region.height, grids.pixel)
    return Grid(_energy_axis(grids.energy), sky)


def true_grid(grids: Grids, region: Region) -> Grid:
    """True energies and directions: the data's sky, widened by whole pixels and subdivided.

    Because its pixels subdivide those of the data, the PSF between two pixels depends on their
    distance in longitude only by a whole number of half pixels.
    """
    data = data_grid(grids, region).sky
    sky = SkyGrid(_widen(data.lon_edges, grids.margin), _widen(data.lat_edges, grids.margin)).split(
        grids.subdivision
    )
    return Grid(_energy_axis(grids.true_energy), sky)


def coverage(sky: SkyGrid, pointing: tuple[float, float], offset_max: float) -> FloatArray:
    """Share of each pixel within `offset_max` deg of the pointing, (nlat, nlon)."""
    fine = sky.split(_COVERAGE_SAMPLES)
    lon, lat = fine.mesh()
    inside = separation(lon, lat, pointing[0], pointing[1]) <= offset_max
    nlat, nlon = sky.shape
    n = _COVERAGE_SAMPLES
    return np.asarray(inside.reshape(nlat, n, nlon, n).mean(axis=(1, 3)))


def _energy_axis(settings: EnergyGrid) -> EnergyAxis:
    return EnergyAxis.logarithmic(settings.min, settings.max, settings.per_decade)


def _widen(edges: FloatArray, margin: float) -> FloatArray:
    pixel = (edges[-1] - edges[0]) / (edges.size - 1)
    n = math.ceil(margin / pixel - 1e-9)
    return np.linspace(edges[0] - n * pixel, edges[-1] + n * pixel, edges.size + 2 * n)
