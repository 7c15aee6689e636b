"""Kernel of the PSF operator from points on the true sky to events at their own coordinates.

One file, because numba's cache on disk does not follow a kernel's callees into other files.
Callees are made part of the kernel, so that no bit depends on what the process compiled before.
Angles are in rad.
"""

import math
from typing import Any

import numpy as np
from numba import njit

_FASTMATH = {"reassoc", "contract", "nsz", "arcp"}
_LANES = 8  # as in psf_events.py; of the file's own, so that it is a constant of the kernel


@njit(cache=True, inline="always")
def _angle(h: float) -> float:
    """Angle whose haversine is h; below 5 deg by the series of the arcsine, exact to rounding."""
    root = math.sqrt(h)
    if h > 2e-3:
        return 2.0 * math.asin(min(root, 1.0))
    series = 35.0 / 576.0 + h * (63.0 / 1408.0 + h * 231.0 / 6656.0)
    return root * (2.0 + h * (1.0 / 3.0 + h * (3.0 / 20.0 + h * (5.0 / 56.0 + h * series))))


@njit(cache=True, inline="always")
def _interpolate(table: Any, position: float) -> float:
    at = min(max(position, 0.0), table.size - 1.0)
    i = min(int(at), table.size - 2)
    return float(table[i] + (at - i) * (table[i + 1] - table[i]))


@njit(forceinline=True)
def _disperse(
    sums: Any,
    nodes: tuple[int, int],
    energies: tuple[int, int],
    place: float,
    edges: Any,
    energy: float,
    widths: Any,
    cumulative: Any,
    out: Any,
) -> None:
    """Add energy dispersion times sums over offset nodes to `out`, and clear the sums.

    sums : (noffset, nenergy)
    nodes : half-open range of offset nodes with a sum
    energies : half-open range of true energies within the dispersion's table
    place, edges : of the event and (ntrue + 1,), `event_steps` and `edge_steps`
    energy : of the event, TeV
    widths : (ntrue,) of the true energies in ln E
    cumulative : (ngroup, ntrue, ny, LANES), by groups of offset nodes
    out : (ntrue,) TeV-1
    """
    for e in range(energies[0], energies[1]):
        total = 0.0
        for k in range(nodes[0], nodes[1]):
            table = cumulative[k // _LANES, e, :, k % _LANES]
            share = _interpolate(table, place - edges[e])
            share -= _interpolate(table, place - edges[e + 1])
            total += max(share, 0.0) * sums[k, e]
            sums[k, e] = 0.0
        out[e] += total / (energy * widths[e])


@njit(cache=True, fastmath=_FASTMATH)
def points_to_events(
    energy: Any,
    lon: Any,
    lat: Any,
    lon_point: Any,
    lat_point: Any,
    content: Any,
    node: Any,
    fraction: Any,
    psf: Any,
    rad_max: float,
    place: Any,
    edges: Any,
    widths: Any,
    cumulative: Any,
    out: Any,
) -> None:
    """Add points times PSF at each event; points are few: all are visited at all energies.

    Parameters
    ----------
    energy, lon, lat : (nevent,) TeV, rad
    lon_point, lat_point : (npoint,)
    content : (npoint, ntrue)
    node, fraction : (npoint,) lower offset node, and distance to the next
    psf : (noffset, nrad, ntrue) sr-1
    place, edges, widths, cumulative : see `_disperse`; place is (nevent,)
    out : (nevent, ntrue) TeV-1 sr-1
    """
    nr, ne = psf.shape[1], content.shape[1]
    sums = np.zeros((psf.shape[0], ne))
    u_scale = (nr - 1) / math.sqrt(rad_max)
    for n in range(lon.size):
        first, last = psf.shape[0], 0
        # Higher true energies are at lower places.
        low, high = 0, ne
        while low < high and place[n] - edges[low + 1] >= cumulative.shape[2] - 1:
            low += 1
        while low < high and place[n] - edges[high - 1] <= 0.0:
            high -= 1
        for p in range(lon_point.size):
            if abs(lat_point[p] - lat[n]) >= rad_max:
                continue
            a = math.sin(0.5 * (lat_point[p] - lat[n]))
            b = math.sin(0.5 * (lon_point[p] - lon[n]))
            distance = _angle(a * a + math.cos(lat_point[p]) * math.cos(lat[n]) * b * b)
            u = math.sqrt(distance) * u_scale
            r = int(u)
            if r >= nr - 1:
                continue
            x, k, f = u - r, node[p], fraction[p]
            first, last = min(first, k), max(last, k + 2)
            w00, w01 = (1.0 - f) * (1.0 - x), (1.0 - f) * x
            w10, w11 = f * (1.0 - x), f * x
            t00, t01, t10, t11 = psf[k, r], psf[k, r + 1], psf[k + 1, r], psf[k + 1, r + 1]
            out0, out1 = sums[k], sums[k + 1]
            for e in range(low, high):
                v = (w00 * t00[e] + w01 * t01[e] + w10 * t10[e] + w11 * t11[e]) * content[p, e]
                out0[e] += (1.0 - f) * v
                out1[e] += f * v
        nodes, energies = (first, last), (low, high)
        _disperse(sums, nodes, energies, place[n], edges, energy[n], widths, cumulative, out[n])
