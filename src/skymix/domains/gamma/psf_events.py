"""Kernels of the PSF operator from true directions to events at their own coordinates.

One file, because numba's cache on disk does not follow a kernel's callees into other files.
Angles are in rad. Energies are visited in blocks of BLOCK, so that loops have no remainder.
"""

import math
from typing import Any

import numpy as np
from numba import njit

BLOCK = 16
_FASTMATH = {"reassoc", "contract", "nsz", "arcp"}


@njit(cache=True, inline="always")
def _angle(h: float) -> float:
    """Angle whose haversine is h; below 5 deg by the series of the arcsine, exact to rounding."""
    root = math.sqrt(h)
    if h > 2e-3:
        return 2.0 * math.asin(min(root, 1.0))
    series = 35.0 / 576.0 + h * (63.0 / 1408.0 + h * 231.0 / 6656.0)
    return root * (2.0 + h * (1.0 / 3.0 + h * (3.0 / 20.0 + h * (5.0 / 56.0 + h * series))))


@njit(cache=True, inline="always")
def _level(ratio: float, limits: Any) -> int:
    """First level whose limit on pixel over scale of the PSF is not exceeded, else the last."""
    level = 0
    while level < limits.size - 1 and ratio > limits[level]:
        level += 1
    return level


@njit(cache=True, inline="always")
def _interpolate(table: Any, position: float) -> float:
    at = min(max(position, 0.0), table.size - 1.0)
    i = min(int(at), table.size - 2)
    return float(table[i] + (at - i) * (table[i + 1] - table[i]))


@njit(cache=True)
def _disperse(
    sums: Any,
    nodes: tuple[int, int],
    window: tuple[int, int],
    edges: Any,
    cumulative: Any,
    out: Any,
) -> None:
    """Add energy dispersion times sums over offset nodes to `out`, and clear the sums.

    sums : (noffset, nenergy)
    nodes, window : half-open ranges of offset nodes and true energies with a sum
    edges : (ntrue + 1,) place of each true edge among the nodes of the cumulative
    cumulative : (noffset, ntrue, ny)
    out : (ntrue,) probability of the event's energy times its width in ln E of the true cell
    """
    for k in range(nodes[0], nodes[1]):
        for e in range(window[0], window[1]):
            if sums[k, e] != 0.0:
                table = cumulative[k, e]
                share = _interpolate(table, edges[e]) - _interpolate(table, edges[e + 1])
                out[e] += max(share, 0.0) * sums[k, e]
        sums[k, :] = 0.0


@njit(cache=True, fastmath=_FASTMATH)
def maps_to_events(
    lon: Any,
    lat: Any,
    offset: Any,
    offsets: Any,
    windows: Any,
    core: Any,
    reach: Any,
    span: Any,
    scale: Any,
    maps: Any,
    shining: Any,
    lon_true: Any,
    lat_true: Any,
    node: Any,
    fraction: Any,
    psf: Any,
    rad_max: float,
    cell: tuple[float, float],
    width: float,
    rule: Any,
    limits: Any,
    edges: Any,
    cumulative: Any,
    out: Any,
) -> None:
    """Sums over the true sky of maps times PSF, averaged over each true pixel, at each event.

    Parameters
    ----------
    lon, lat : (nevent,)
    windows : (nmap, nevent, 2) half-open range of true energies that are visited
    core : (nevent, 2) range of true energies whose PSF sets how finely a pixel is sampled
    offset, offsets : (nevent,) angle to the pointing, and the offset nodes (noffset,)
    reach : (noffset - 1, nenergy) farther pixels between two offset nodes are not visited
    span : (noffset - 1, nrad, 2) half-open range of energies that reach each radial node
    scale : (noffset, nenergy) width of the PSF
    maps : (nlat_true, nlon_true, nmap, nenergy)
    shining : (nlat_true, nlon_true) whether a pixel has any content
    lon_true, lat_true : pixel centres, equally spaced
    node, fraction : (nlat_true, nlon_true) lower offset node, and distance to the next
    psf : (noffset, nrad, nenergy) sr-1; energies filled up to a multiple of BLOCK here and in maps
    cell, width : sides and mean size of a true pixel
    rule : nodes and weights (nlevel, npoint) in units of a pixel, sizes (nlevel,)
    limits : (nlevel,) largest ratio of pixel and scale of each level
    edges, cumulative : see `_disperse`; edges is (nevent, ntrue + 1)
    out : (nmap, nevent, ntrue), output; zero on entry
    """
    nodes, weights, sizes = rule
    nr, nmap = psf.shape[1], maps.shape[2]
    nlat, nlon = lat_true.size, lon_true.size
    pixel, height = cell
    extent = nlon * pixel
    u_scale = (nr - 1) / math.sqrt(rad_max)
    value = np.empty(psf.shape[2])
    squares = np.empty(nodes.shape[1])
    narrowest = np.empty(psf.shape[0])
    sums = np.zeros((nmap, psf.shape[0], psf.shape[2]))
    for n in range(lon.size):
        first, last = psf.shape[0], 0
        start, stop = windows[:, n, 0].min(), windows[:, n, 1].max()
        if start >= stop:
            continue
        radius = 0.0
        for k in range(offsets.size - 1):
            farthest = reach[k, start:stop].max()
            if offsets[k] - farthest <= offset[n] <= offsets[k + 1] + farthest:
                radius = max(radius, farthest)
        for k in range(scale.shape[0]):
            narrowest[k] = scale[k, core[n, 0] : core[n, 1]].min()
        for i in range(nlat):
            if abs(lat_true[i] - lat[n]) > radius + height:
                continue
            cosines = math.cos(lat_true[i]) * math.cos(lat[n])
            sine = math.sin(0.5 * (lat_true[i] - lat[n]))
            across = math.sin(0.5 * min(radius, math.pi)) ** 2 - sine * sine
            if across < 0.0:
                continue
            # Pixels farther than this in longitude are out of reach.
            far = 2.0 * math.asin(min(1.0, math.sqrt(across / max(cosines, 1e-9)))) + pixel
            j0, j1 = 0, nlon
            if extent + far < 2.0 * math.pi:
                j0 = max(0, int((lon[n] - far - lon_true[0]) / pixel) - 1)
                j1 = min(nlon, int((lon[n] + far - lon_true[0]) / pixel) + 2)
            for j in range(j0, j1):
                if not shining[i, j]:
                    continue
                dlon = lon_true[j] - lon[n]
                half = math.sin(0.5 * dlon)
                distance = _angle(sine * sine + cosines * half * half)
                if distance > radius:
                    continue
                k, f = node[i, j], fraction[i, j]
                place = min(int(math.sqrt(distance) * u_scale), nr - 1)
                within = span[k, place]
                e0, e1 = max(start, within[0]), min(stop, within[1])
                if e0 >= e1:
                    continue
                e0 = e0 // BLOCK * BLOCK
                ne = -(-(e1 - e0) // BLOCK) * BLOCK
                smooth = max(min(narrowest[k], narrowest[k + 1]), 0.4 * (distance - width))
                level = _level(width / smooth, limits)
                for e in range(ne):
                    value[e] = 0.0
                for q in range(sizes[level]):
                    side = math.sin(0.5 * (dlon + pixel * nodes[level, q]))
                    squares[q] = side * side
                for p in range(sizes[level]):
                    at = lat_true[i] + height * nodes[level, p]
                    side = math.sin(0.5 * (at - lat[n]))
                    constant, cosine = side * side, math.cos(at) * math.cos(lat[n])
                    for q in range(sizes[level]):
                        u = math.sqrt(_angle(constant + cosine * squares[q])) * u_scale
                        r = int(u)
                        if r >= nr - 1:
                            continue
                        x, w = u - r, weights[level, p] * weights[level, q]
                        w00, w01 = w * (1.0 - f) * (1.0 - x), w * (1.0 - f) * x
                        w10, w11 = w * f * (1.0 - x), w * f * x
                        t00, t01 = psf[k, r, e0:], psf[k, r + 1, e0:]
                        t10, t11 = psf[k + 1, r, e0:], psf[k + 1, r + 1, e0:]
                        for e in range(ne):
                            value[e] += w00 * t00[e] + w01 * t01[e] + w10 * t10[e] + w11 * t11[e]
                first, last = min(first, k), max(last, k + 2)
                for c in range(nmap):
                    # Blocks of this map's own window, whatever those of the others.
                    a0 = max(windows[c, n, 0], within[0]) // BLOCK * BLOCK
                    a1 = min(windows[c, n, 1], within[1])
                    size = -(-(a1 - a0) // BLOCK) * BLOCK
                    shown, content = value[a0 - e0 :], maps[i, j, c, a0:]
                    out0, out1 = sums[c, k, a0:], sums[c, k + 1, a0:]
                    for e in range(size):
                        v = shown[e] * content[e]
                        out0[e] += (1.0 - f) * v
                        out1[e] += f * v
        for c in range(nmap):
            window = windows[c, n, 0], windows[c, n, 1]
            _disperse(sums[c], (first, last), window, edges[n], cumulative, out[c, n])


@njit(cache=True, fastmath=_FASTMATH)
def points_to_events(
    lon: Any,
    lat: Any,
    lon_point: Any,
    lat_point: Any,
    content: Any,
    node: Any,
    fraction: Any,
    psf: Any,
    rad_max: float,
    edges: Any,
    cumulative: Any,
    out: Any,
) -> None:
    """The same for points, which are few: all are visited at all energies.

    content : (npoint, ntrue)
    out : (nevent, ntrue)
    """
    nr, ne = psf.shape[1], content.shape[1]
    sums = np.zeros((psf.shape[0], ne))
    u_scale = (nr - 1) / math.sqrt(rad_max)
    for n in range(lon.size):
        first, last = psf.shape[0], 0
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
            for e in range(ne):
                v = (w00 * t00[e] + w01 * t01[e] + w10 * t10[e] + w11 * t11[e]) * content[p, e]
                out0[e] += (1.0 - f) * v
                out1[e] += f * v
        _disperse(sums, (first, last), (0, ne), edges[n], cumulative, out[n])
