"""Binned counts by the plain sum over all true cells, for tests and benchmarks.

Everything is written out once more in numpy: each pair of a true pixel and a data pixel has its own
quadrature, no energies or directions are skipped, and no work is shared.
"""

import math

import numpy as np

from skymix.axes import FloatArray, separation
from skymix.domains.gamma.exposure import Exposure
from skymix.domains.gamma.psf_pixels import level_of
from skymix.domains.gamma.psf_table import difference_rules


def brute_force_counts(
    content: FloatArray, spectrum: FloatArray, exposure: Exposure, pixel: tuple[int, int]
) -> FloatArray:
    """Expected counts of every reconstructed energy in one data pixel.

    Parameters
    ----------
    content : (nlat, nlon, nenergy) map times acceptance
    spectrum : (nrow, nenergy)
    pixel : (lat, lon) index of the data pixel

    Returns
    -------
    (nrow, nreco)
    """
    true, table, offsets = exposure.true.sky, exposure.psf, exposure.response.offset
    dispersion = exposure.dispersion
    total = np.zeros((len(spectrum), exposure.data.energy.size))
    for i, lat in enumerate(true.lat):
        for j, lon in enumerate(true.lon):
            offset = float(exposure.offset(np.array([lon]), np.array([lat]))[0])
            share = np.array([np.interp(offset, offsets, node) for node in np.eye(offsets.size)])
            psf = np.einsum("k,kre->re", share, table.values)
            seen = _mean(psf, exposure, (i, j), pixel) * content[i, j]
            response = np.einsum("k,rke->re", share, dispersion)
            total += spectrum @ (response * seen).T
    return np.asarray(total * exposure.data.sky.solid_angle[pixel])


def _mean(
    psf: FloatArray, exposure: Exposure, cell: tuple[int, int], pixel: tuple[int, int]
) -> FloatArray:
    """Mean PSF (nenergy,) between a true pixel and a data pixel; psf : (nrad, nenergy)."""
    true, data, table = exposure.true.sky, exposure.data.sky, exposure.psf
    sides = [
        tuple(float(getattr(sky, edges)[1] - getattr(sky, edges)[0]) for sky in (true, data))
        for edges in ("lon_edges", "lat_edges")
    ]
    width = math.radians(math.hypot(*(sum(side) for side in sides)) / math.sqrt(2))
    lon1, lat1 = true.lon[cell[1]], true.lat[cell[0]]
    lon2, lat2 = data.lon[pixel[1]], data.lat[pixel[0]]
    distance = math.radians(float(separation(lon1, lat1, lon2, lat2)))
    level = level_of(distance, width, math.radians(float(table.scale.min())))
    (x, wx), (y, wy) = (
        (nodes[level, : sizes[level]], weights[level, : sizes[level]])
        for nodes, weights, sizes in (difference_rules(*side) for side in sides)
    )
    dx, dy = np.meshgrid(x, y)
    radius = separation(lon1 + dx, lat1 + 0.5 * dy, lon2, lat2 - 0.5 * dy).ravel()
    nrad = psf.shape[0]
    place = np.sqrt(radius / table.rad_max) * (nrad - 1)
    node = np.minimum(place.astype(np.int64), nrad - 2)
    part = np.where(place < nrad - 1, place - node, 0.0)[:, None]
    values = (1 - part) * psf[node] + part * psf[node + 1]
    weight = np.outer(wy, wx).ravel() * (place < nrad - 1)
    return np.asarray(weight @ values)
