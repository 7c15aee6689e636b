"""Background table of a DL3 file on field-of-view nodes, and its rate at any coordinates.

The rate is per reconstructed energy and solid angle.
"""

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.domains.gamma.irf_types import Axis, Background, RadialBackground
from skymix.domains.gamma.tabulate import linear_weights
from skymix.store.response import Response

_RADIAL_STEPS = 80  # of a radially symmetric background, from the centre to its last offset


def background_nodes(
    background: Background | RadialBackground,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Energy and field-of-view nodes, and the rate there, (nenergy, nlon, nlat).

    The outer edges of binned axes are nodes too: the rate continues as a power law in energy, and
    keeps its value in the field of view.
    """
    if isinstance(background, RadialBackground):
        lon, lat, rate = _radial_nodes(background)
    else:
        lon, rate = _extend(background.lon, background.values, 1)
        lat, rate = _extend(background.lat, rate, 2)
    energy, rate = _extend_energy(background.energy, rate)
    return energy, lon, lat, rate


def _radial_nodes(
    background: RadialBackground,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Square grid about the pointing; nothing beyond the last offset."""
    offset, rate = _extend(background.offset, background.values, 1)
    side = offset[-1] * np.linspace(-1.0, 1.0, 2 * _RADIAL_STEPS + 1)
    lon, lat = np.radians(side[:, None]), np.radians(side[None, :])
    distance = np.degrees(np.arccos(np.clip(np.cos(lon) * np.cos(lat), -1.0, 1.0)))
    grid = rate @ linear_weights(offset, distance.ravel()).T
    grid = np.where(distance.ravel() <= offset[-1] * (1 + 1e-9), grid, 0.0)
    return side, side, grid.reshape(-1, side.size, side.size)


def _extend(axis: Axis, values: FloatArray, along: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and values with the outer edges added, where the nearest node's value holds."""
    if not axis.binned:
        return axis.nodes, values
    nodes = np.concatenate([axis.edges[:1], axis.nodes, axis.edges[-1:]])
    first, last = values.take([0], axis=along), values.take([-1], axis=along)
    return nodes, np.concatenate([first, values, last], axis=along)


def _extend_energy(axis: Axis, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Energies with the outer edges added, where the last two nodes continue as a power law."""
    nodes, rate = _extend(axis, values, 0)
    if not axis.binned or axis.nodes.size < 2:
        return nodes, rate
    for edge, near, far in ((0, 1, 2), (-1, -2, -3)):
        step = np.log(nodes[edge] / nodes[near]) / np.log(nodes[near] / nodes[far])
        both = (rate[near] > 0) & (rate[far] > 0)
        ratio = np.where(both, rate[near], 1.0) / np.where(both, rate[far], 1.0)
        rate[edge] = rate[near] * ratio**step
    return nodes, rate


def background_rate(
    response: Response, energy: FloatArray, fov_lon: FloatArray, fov_lat: FloatArray
) -> FloatArray:
    """Background rate at reconstructed coordinates; the arguments broadcast.

    Bilinear in the field of view, then a power law between energy nodes (linear in ln E where one
    of the two rates is zero); zero beyond the outer nodes.

    Parameters
    ----------
    energy : TeV
    fov_lon, fov_lat : deg about the pointing, axes as `response.fov_alignment` says

    Returns
    -------
    array, s-1 TeV-1 sr-1
    """
    energy, fov_lon, fov_lat = np.broadcast_arrays(energy, fov_lon, fov_lat)
    e, f, in_energy = _cells(np.log(response.background_energy), np.log(energy))
    low, high = _in_field(response, np.stack([e, e + 1]), fov_lon, fov_lat)
    return np.where(in_energy, _between(low, high, f), 0.0)


def background_cube(
    response: Response, energy: FloatArray, fov_lon: FloatArray, fov_lat: FloatArray
) -> FloatArray:
    """`background_rate` at all energies (n,) in all directions (...), (n, ...)."""
    e, f, in_energy = _cells(np.log(response.background_energy), np.log(energy))
    nodes = (response.background_energy.size, *(1,) * fov_lon.ndim)
    rate = _in_field(response, np.arange(nodes[0]).reshape(nodes), fov_lon, fov_lat)
    column = (-1, *nodes[1:])
    f = f.reshape(column)
    if np.all(rate > 0):
        # A power law throughout: the logarithms are those of the nodes.
        logs = np.log(rate)
        between = np.exp(logs[e] + f * (logs[e + 1] - logs[e]))
    else:
        between = _between(rate[e], rate[e + 1], f)
    return np.where(in_energy.reshape(column), between, 0.0)


def _in_field(
    response: Response, node: IntArray, fov_lon: FloatArray, fov_lat: FloatArray
) -> FloatArray:
    """Rate at energy nodes, bilinear in the field of view, zero outside; broadcasts."""
    i, x, in_lon = _cells(response.background_fov_lon, fov_lon)
    j, y, in_lat = _cells(response.background_fov_lat, fov_lat)
    table = response.background
    rate = (1 - x) * ((1 - y) * table[node, i, j] + y * table[node, i, j + 1])
    rate += x * ((1 - y) * table[node, i + 1, j] + y * table[node, i + 1, j + 1])
    return np.where(in_lon & in_lat, rate, 0.0)


def _between(low: FloatArray, high: FloatArray, fraction: FloatArray) -> FloatArray:
    """Power law between two energy nodes; linear in ln E where one of the rates is zero."""
    positive = (low > 0) & (high > 0)
    log_low, log_high = (np.log(np.where(positive, v, 1.0)) for v in (low, high))
    power = np.exp((1 - fraction) * log_low + fraction * log_high)
    return np.where(positive, power, (1 - fraction) * low + fraction * high)


def _cells(nodes: FloatArray, at: FloatArray) -> tuple[np.ndarray, FloatArray, np.ndarray]:
    """Lower node, distance from it in units of the next, and whether the value is covered."""
    index = np.clip(np.searchsorted(nodes, at, side="right") - 1, 0, nodes.size - 2)
    fraction = (at - nodes[index]) / (nodes[index + 1] - nodes[index])
    return index, np.clip(fraction, 0.0, 1.0), (at >= nodes[0]) & (at <= nodes[-1])
