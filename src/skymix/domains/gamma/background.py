"""Cosmic-ray background: the response's rate at reconstructed coordinates, never smeared again.

The rate follows the GADF standard (BKG_2D, BKG_3D): per reconstructed energy, per solid angle in
the field of view, and per good time not corrected for dead time.
"""

import numpy as np

from skymix.axes import FloatArray
from skymix.domains.gamma.data import Data
from skymix.domains.gamma.exposure import Exposure
from skymix.domains.gamma.irf_background import background_cube, background_rate
from skymix.errors import DataError
from skymix.store.marginals import Marginals

_ENERGY_POINTS = 4
_SKY_POINTS = 3


def marginalise_background(
    exposure: Exposure,
    data: Data,
    binned: bool,
    normalisation: float,
    component: str,
    observation: str,
) -> Marginals:
    """Detected density of the background at the data; it has no scanned parameters.

    Raises
    ------
    DataError
        If the rate is zero over the whole observed data space.
    """
    whole = cell_counts(exposure, _ENERGY_POINTS, _SKY_POINTS) * normalisation
    counts = whole * exposure.coverage
    expected = float(counts.sum())
    if expected <= 0:
        raise DataError(
            f"component {component}: the response's background rate is zero over the data of"
            f" observation {observation}; check the BKG table and the energies of the study"
        )
    if binned:
        at_data = (whole / exposure.data.volume).ravel()[data.cell]
    else:
        at_data = normalisation * rate(exposure, data.energy, data.lon, data.lat)
    coarse = cell_counts(exposure, _ENERGY_POINTS // 2, max(1, _SKY_POINTS // 2)) * normalisation
    change = np.abs(coarse - whole) * exposure.coverage
    return Marginals(
        parameters=(),
        spacings=(),
        units=(),
        nodes=np.empty(0, dtype=np.int64),
        node_values=np.empty(0),
        density=at_data[None] / expected,
        multiplicity=data.multiplicity,
        expected_counts=np.array([expected]),
        counts_map=counts.sum(axis=0)[None] / expected,
        counts_spectrum=counts.sum(axis=(1, 2))[None] / expected,
        truncation=np.zeros(data.size),
        binning_error=float(change.sum() / expected),
        interpolation_error=0.0,
        observation=observation,
        component=component,
    )


def rate(exposure: Exposure, energy: FloatArray, lon: FloatArray, lat: FloatArray) -> FloatArray:
    """Expected background counts TeV-1 sr-1 at directions of the region frame; broadcasts."""
    fov_lon, fov_lat = exposure.frame.field_of_view(exposure.pointing, lon, lat)
    return background_rate(exposure.response, energy, fov_lon, fov_lat) * exposure.ontime


def expected_background(exposure: Exposure) -> FloatArray:
    """Expected counts in the observed part of each reconstructed cell, (nenergy, nlat, nlon)."""
    return cell_counts(exposure, _ENERGY_POINTS, _SKY_POINTS) * exposure.coverage


def cell_counts(exposure: Exposure, energy_points: int, sky_points: int) -> FloatArray:
    """Expected counts of each reconstructed cell, (nenergy, nlat, nlon).

    Gauss-Legendre in ln E and in latitude and longitude within each cell.
    """
    grid = exposure.data
    x, wx = _gauss(energy_points)
    y, wy = _gauss(sky_points)
    low, high = np.log(grid.energy.edges[:-1]), np.log(grid.energy.edges[1:])
    energy = np.exp(low[:, None] + (high - low)[:, None] * x)
    energy_weight = wx * energy * (high - low)[:, None]
    lats = grid.sky.lat_edges[:-1] + np.diff(grid.sky.lat_edges) * y[:, None]
    lons = grid.sky.lon_edges[:-1] + np.diff(grid.sky.lon_edges) * y[:, None]
    meshes = [np.meshgrid(lat, lon, indexing="ij") for lat in lats for lon in lons]
    lat, lon = np.stack(meshes, axis=1)
    # All directions at once: a change of frame takes its time for each call.
    fov = exposure.frame.field_of_view(exposure.pointing, lon, lat)
    counts = np.zeros(grid.shape)
    for weight, fov_lon, fov_lat in zip(np.outer(wy, wy).ravel(), *fov, strict=True):
        at = background_cube(exposure.response, energy.ravel(), fov_lon, fov_lat)
        counts += weight * np.einsum(
            "ep,epij->eij", energy_weight, at.reshape(*energy.shape, *grid.sky.shape)
        )
    return counts * grid.sky.solid_angle * exposure.ontime


def _gauss(points: int) -> tuple[FloatArray, FloatArray]:
    x, w = np.polynomial.legendre.leggauss(points)
    return 0.5 * (x + 1), 0.5 * w
