"""Kernels of the PSF operator from true directions to reconstructed pixels.

One file, because numba's cache on disk does not follow a kernel's callees into other files.
Callees are made part of the kernel, so that no bit depends on what the process compiled before.
Angles are in rad. A quadrature rule is (nodes, weights, sizes) of `psf_table.difference_rules`.
"""

import math
from typing import Any

import numpy as np
from numba import njit

_FASTMATH = {"reassoc", "contract", "nsz", "arcp"}


@njit(cache=True, inline="always")
def level_of(distance: float, width: float, scale: float) -> int:
    """Quadrature level for a pair of pixels of joint width at a distance."""
    smooth = max(scale, 0.4 * (distance - width))
    if width < 0.5 * smooth:
        return 0
    if width < 2.0 * smooth:
        return 1
    if width < 6.0 * smooth:
        return 2
    return 3


@njit(cache=True, inline="always")
def _angle(h: float) -> float:
    """Angle whose haversine is h; below 5 deg by the series of the arcsine, exact to rounding."""
    root = math.sqrt(h)
    if h > 2e-3:
        return 2.0 * math.asin(min(root, 1.0))
    series = 35.0 / 576.0 + h * (63.0 / 1408.0 + h * 231.0 / 6656.0)
    return root * (2.0 + h * (1.0 / 3.0 + h * (3.0 / 20.0 + h * (5.0 / 56.0 + h * series))))


@njit(cache=True, inline="always")
def _distance(lat1: float, lat2: float, dlon: float) -> float:
    a = math.sin(0.5 * (lat1 - lat2))
    b = math.sin(0.5 * dlon)
    return _angle(a * a + math.cos(lat1) * math.cos(lat2) * b * b)


@njit(forceinline=True, fastmath=_FASTMATH)
def _scatter(
    lat1: float,
    lat2: float,
    dlon: float,
    rule_lon: Any,
    rule_lat: Any,
    level: int,
    u_scale: float,
    squares: Any,
    radial: Any,
) -> tuple[int, int]:
    """Add the weights of a quadrature to the radial nodes; return the range that was touched.

    squares : room for one number a node of the rule in longitude
    """
    lon_nodes, lon_weights, lon_sizes = rule_lon
    lat_nodes, lat_weights, lat_sizes = rule_lat
    nr = radial.size
    first, last = nr, -1
    n = lon_sizes[level]
    for i in range(n):
        sine = math.sin(0.5 * (dlon + lon_nodes[level, i]))
        squares[i] = sine * sine
    for j in range(lat_sizes[level]):
        shift = 0.5 * lat_nodes[level, j]
        a, b = lat1 + shift, lat2 - shift
        sine = math.sin(0.5 * (a - b))
        constant = sine * sine
        cosines = math.cos(a) * math.cos(b)
        for i in range(n):
            u = math.sqrt(_angle(constant + cosines * squares[i])) * u_scale
            k = int(u)
            if k < nr - 1:
                f = u - k
                w = lat_weights[level, j] * lon_weights[level, i]
                radial[k] += w * (1.0 - f)
                radial[k + 1] += w * f
                first = min(first, k)
                last = max(last, k + 1)
    return first, last


@njit(cache=True)
def pairs_within(
    lat_true: Any, lat_data: Any, classes: Any, half_pixel: float, limit: float, index: Any
) -> int:
    """Number the pairs of rows and classes of longitude that are closer than a limit.

    index : (ntrue, ndata, nclass), output: number of the pair, -1 if it is farther
    """
    count = 0
    for i in range(lat_true.size):
        for j in range(lat_data.size):
            for c in classes:
                index[i, j, c] = -1
                if _distance(lat_true[i], lat_data[j], c * half_pixel) < limit:
                    index[i, j, c] = count
                    count += 1
    return count


@njit(cache=True, fastmath=_FASTMATH)
def radial_weights(
    lat_true: Any,
    lat_data: Any,
    classes: Any,
    half_pixel: float,
    index: Any,
    nrad: int,
    rad_max: float,
    scale: float,
    width: float,
    rule_lon: Any,
    rule_lat: Any,
    starts: Any,
    touched: Any,
) -> Any:
    """Quadrature of each pair of `pairs_within`: its weights on the radial nodes, pair after pair.

    starts : (npair,), output: place of the first weight of each pair
    touched : (npair, 2), output: half-open range of the nodes with a weight
    """
    u_scale = (nrad - 1) / math.sqrt(rad_max)
    squares, radial = np.empty(rule_lon[0].shape[1]), np.zeros(nrad)
    weights, size = np.empty(nrad + 64 * starts.size), 0
    for i in range(lat_true.size):
        for j in range(lat_data.size):
            for c in classes:
                pair = index[i, j, c]
                if pair < 0:
                    continue
                dlon = c * half_pixel
                distance = _distance(lat_true[i], lat_data[j], dlon)
                level = level_of(distance, width, scale)
                first, last = _scatter(
                    lat_true[i],
                    lat_data[j],
                    dlon,
                    rule_lon,
                    rule_lat,
                    level,
                    u_scale,
                    squares,
                    radial,
                )
                if size + nrad > weights.size:
                    weights = np.concatenate((weights, np.empty_like(weights)))
                starts[pair], touched[pair, 0], touched[pair, 1] = size, first, last + 1
                for r in range(first, last + 1):
                    weights[size], radial[r] = radial[r], 0.0
                    size += 1
    return weights


@njit(cache=True)
def weights_on(weights: Any, starts: Any, touched: Any, pairs: Any, first: int, count: int) -> Any:
    """Weights of some pairs on some of the radial nodes, (npair, count).

    weights, starts, touched : as `radial_weights` leaves them
    """
    out = np.zeros((pairs.size, count))
    for q in range(pairs.size):
        pair = pairs[q]
        low, high = max(touched[pair, 0], first), min(touched[pair, 1], first + count)
        at = starts[pair] - touched[pair, 0]
        for r in range(low, high):
            out[q, r - first] = weights[at + r]
    return out


@njit(cache=True, fastmath=_FASTMATH)
def apply_rows(
    members: Any,
    source: Any,
    shining: Any,
    node: Any,
    fraction: Any,
    margin: int,
    subdivision: int,
    index: Any,
    farthest: Any,
    starts: Any,
    reach: Any,
    kernel: Any,
    sums: Any,
) -> None:
    """Spread true rows over all data pixels.

    Parameters
    ----------
    members : (nmember, 3) true row, row of `index`, and whether that is of opposite latitude
    source : (ncontent, nlat_true, nlon_true, nenergy)
    shining : (nlat_true, nlon_true) whether a pixel has any content
    node, fraction : (nlat_true, nlon_true) lower offset node, counted as in `kernel`, and the
        distance to the next
    margin, subdivision : true pixels before the data's first, and true pixels to a data pixel
    index : (nrow, nlat_data, nclass) pair of two rows at a distance in half true pixels, or -1
    farthest : (nrow, nlat_data) largest such distance
    starts, reach, kernel : as `lay_out` and `add_block` leave them
    sums : (ncontent, nlat_data, nlon_data, noffset, nenergy), output
    """
    ncontent, _, ntrue, ne = source.shape
    nlat, nlon = sums.shape[1], sums.shape[2]
    value = np.empty(ne)
    for m in range(members.shape[0]):
        i, row, mirrored = members[m]
        for b in range(nlat):
            a = nlat - 1 - b if mirrored else b
            far = farthest[row, a]
            if far < 0:
                continue
            for j in range(nlon):
                # Half true pixels from the edge of the data: 2 (p - margin) + 1, s (2 j + 1).
                centre = subdivision * (2 * j + 1) + 2 * margin - 1
                start = max(0, -((far - centre) // 2))
                stop = min(ntrue, (centre + far) // 2 + 1)
                for p in range(start, stop):
                    pair = index[row, a, abs(2 * p - centre)]
                    if pair < 0 or not shining[i, p]:
                        continue
                    k, f = node[i, p], fraction[i, p]
                    e0 = max(reach[pair, k, 0], reach[pair, k + 1, 0])
                    n = min(reach[pair, k, 1], reach[pair, k + 1, 1]) - e0
                    if n <= 0:
                        continue
                    low = kernel[starts[pair, k] + e0 - reach[pair, k, 0] :]
                    high = kernel[starts[pair, k + 1] + e0 - reach[pair, k + 1, 0] :]
                    for e in range(n):
                        value[e] = (1.0 - f) * low[e] + f * high[e]
                    for c in range(ncontent):
                        content = source[c, i, p, e0:]
                        out0, out1 = sums[c, b, j, k, e0:], sums[c, b, j, k + 1, e0:]
                        for e in range(n):
                            v = value[e] * content[e]
                            out0[e] += (1.0 - f) * v
                            out1[e] += f * v


@njit(cache=True)
def lay_out(touched: Any, block: int, span: Any, starts: Any, reach: Any) -> int:
    """Give each pair and offset node the room that its energies need; return the total.

    touched : (npair, 2) range of radial nodes of each pair
    block : radial nodes to a block
    span : (nblock, noffset, 2) half-open range of energies of each block and offset node
    starts : (npair, noffset), output: place of the first energy in the kernel
    reach : (npair, noffset, 2), output: range of energies
    """
    total = 0
    nenergy = span[..., 1].max()
    for pair in range(touched.shape[0]):
        for k in range(span.shape[1]):
            e0, e1 = nenergy, 0
            for b in range(touched[pair, 0] // block, -(-touched[pair, 1] // block)):
                e0, e1 = min(e0, span[b, k, 0]), max(e1, span[b, k, 1])
            starts[pair, k], reach[pair, k, 0], reach[pair, k, 1] = total, e0, e1
            total += max(0, e1 - e0)
    return total


@njit(cache=True, fastmath=_FASTMATH)
def add_block(
    kernel: Any, starts: Any, reach: Any, pairs: Any, span: Any, columns: Any, part: Any
) -> None:
    """Add a block of radial nodes to the kernels of some pairs.

    span : (noffset, 2) energies of the block at each offset node
    columns : (noffset,) first column of each offset node in `part`
    part : (npair, ncolumn) contraction of the pairs' weights with the block
    """
    for q in range(pairs.size):
        pair = pairs[q]
        for k in range(span.shape[0]):
            e0, n = span[k, 0], span[k, 1] - span[k, 0]
            if n > 0:
                at = starts[pair, k] + e0 - reach[pair, k, 0]
                out, add = kernel[at:], part[q, columns[k] :]
                for e in range(n):
                    out[e] += add[e]
