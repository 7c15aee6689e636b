"""The PSF as an operator from true directions to reconstructed pixels or events.

The PSF is a table over radial nodes equally spaced in sqrt(r). The mean over a pair of pixels (or
over one pixel, seen from an event) is a quadrature over the difference of the two directions: it
is scattered as weights on the radial nodes, and these are contracted with the table for all
energies at once. The quadrature is the finer the closer the pixels and the narrower the PSF.

Sums are kept by offset node of the response, so that the energy dispersion, which depends on the
offset too, can be applied to them afterwards without approximation.
"""

import math
from typing import Any

import numpy as np
from numba import njit

from skymix.axes import FloatArray, IntArray, SkyGrid
from skymix.domains.gamma.psf_table import PSFTable, difference_rules

_FASTMATH = {"reassoc", "contract", "nsz", "arcp"}
# Share of the peak below which the PSF is taken as zero: 1e-8 of the content at most.
_NEGLIGIBLE = 1e-12


@njit(cache=True, inline="always")
def _level(distance: float, width: float, scale: float) -> int:
    """Quadrature level for a pair of pixels of joint width at a distance (all deg)."""
    smooth = max(scale, 0.4 * (distance - width))
    if width < 0.5 * smooth:
        return 0
    if width < 2.0 * smooth:
        return 1
    if width < 6.0 * smooth:
        return 2
    return 3


@njit(cache=True, fastmath=_FASTMATH)
def _scatter(
    lat1: float,
    lat2: float,
    dlon: float,
    rule_lon: Any,
    rule_lat: Any,
    level: int,
    u_scale: float,
    radial: Any,
) -> tuple[int, int]:
    """Add the weights of a quadrature to the radial nodes; return the range that was touched.

    Angles in rad. Rules are (nodes, weights, sizes) of `difference_rules` in rad.
    """
    lon_nodes, lon_weights, lon_sizes = rule_lon
    lat_nodes, lat_weights, lat_sizes = rule_lat
    nr = radial.size
    first, last = nr, -1
    for j in range(lat_sizes[level]):
        shift = 0.5 * lat_nodes[level, j]
        a, b = lat1 + shift, lat2 - shift
        sine = math.sin(0.5 * (a - b))
        constant = sine * sine
        cosines = math.cos(a) * math.cos(b)
        for i in range(lon_sizes[level]):
            sine = math.sin(0.5 * (dlon + lon_nodes[level, i]))
            h = constant + cosines * sine * sine
            u = math.sqrt(2.0 * math.asin(math.sqrt(min(h, 1.0)))) * u_scale
            k = int(u)
            if k < nr - 1:
                f = u - k
                w = lat_weights[level, j] * lon_weights[level, i]
                radial[k] += w * (1.0 - f)
                radial[k + 1] += w * f
                first = min(first, k)
                last = max(last, k + 1)
    return first, last


@njit(cache=True, fastmath=_FASTMATH)
def _distance(lat1: float, lat2: float, dlon: float) -> float:
    """Haversine, rad."""
    a = math.sin(0.5 * (lat1 - lat2))
    b = math.sin(0.5 * dlon)
    return 2.0 * math.asin(math.sqrt(min(1.0, a * a + math.cos(lat1) * math.cos(lat2) * b * b)))


@njit(cache=True, fastmath=_FASTMATH)
def _row_kernel(
    lat_true: float,
    lat_data: Any,
    half_pixel: float,
    classes: Any,
    nodes: tuple[int, int],
    psf: Any,
    span: Any,
    rad_max: float,
    scale: float,
    width: float,
    rule_lon: Any,
    rule_lat: Any,
    kernel: Any,
    reach: Any,
) -> None:
    """Mean PSF between pixels of one true row and all data rows, by distance in longitude.

    classes : the distances in longitude that occur, in half true pixels
    nodes : half-open range of offset nodes that the row needs
    psf : (nrad, noffset, nenergy)
    span : (nrad, 2) half-open range of energies at which the PSF is not negligible
    kernel : (nlat_data, nclass, noffset, nenergy), class c at a distance of c half true pixels
    reach : (nlat_data, nclass, 2) range of energies that reach that far, empty beyond the PSF
    """
    nr, _, ne = psf.shape
    radial = np.zeros(nr)
    u_scale = (nr - 1) / math.sqrt(rad_max)
    for j in range(lat_data.size):
        for c in classes:
            reach[j, c, 0], reach[j, c, 1] = ne, 0
            dlon = c * half_pixel
            distance = _distance(lat_true, lat_data[j], dlon)
            if distance >= rad_max + width:
                continue
            level = _level(distance, width, scale)
            first, last = _scatter(
                lat_true, lat_data[j], dlon, rule_lon, rule_lat, level, u_scale, radial
            )
            out = kernel[j, c]
            out[:] = 0.0
            for r in range(first, last + 1):
                w = radial[r]
                radial[r] = 0.0
                if w != 0.0:
                    e0, e1 = span[r, 0], span[r, 1]
                    reach[j, c, 0] = min(reach[j, c, 0], e0)
                    reach[j, c, 1] = max(reach[j, c, 1], e1)
                    for k in range(nodes[0], nodes[1]):
                        for e in range(e0, e1):
                            out[k, e] += w * psf[r, k, e]


@njit(cache=True, fastmath=_FASTMATH)
def _apply_row(
    source: Any,
    node: Any,
    fraction: Any,
    shift: Any,
    subdivision: int,
    kernel: Any,
    reach: Any,
    solid_angle: Any,
    mirrored: bool,
    sums: Any,
) -> None:
    """Spread one true row over all data pixels; the arguments are those of `grid_to_pixels`.

    A mirrored row takes the kernel of the row of opposite latitude.
    """
    ntrue = source.shape[0]
    nlat, nlon = sums.shape[0], sums.shape[1]
    for i in range(ntrue):
        k, f = node[i], fraction[i]
        for j in range(nlon):
            c = abs(shift[i] - subdivision * (2 * j + 1))
            for b in range(nlat):
                a = nlat - 1 - b if mirrored else b
                e0, e1 = reach[a, c, 0], reach[a, c, 1]
                low, high = kernel[a, c, k], kernel[a, c, k + 1]
                out0, out1 = sums[b, j, k], sums[b, j, k + 1]
                area = solid_angle[b]
                for e in range(e0, e1):
                    value = ((1.0 - f) * low[e] + f * high[e]) * source[i, e] * area
                    out0[e] += (1.0 - f) * value
                    out1[e] += f * value


def _energy_span(psf: FloatArray) -> IntArray:
    """Range of energies at each radial node where the PSF is not negligible against its peak.

    psf : (noffset, nrad, nenergy)
    """
    largest = psf.max(axis=0)
    seen = largest > _NEGLIGIBLE * largest.max(axis=0)
    first = np.where(seen.any(axis=1), seen.argmax(axis=1), psf.shape[2])
    last = np.where(seen.any(axis=1), psf.shape[2] - seen[:, ::-1].argmax(axis=1), 0)
    return np.stack([first, last], axis=1).astype(np.int64)


def grid_to_pixels(
    source: FloatArray,
    true_sky: SkyGrid,
    data_sky: SkyGrid,
    node: IntArray,
    fraction: FloatArray,
    table: PSFTable,
) -> FloatArray:
    """Spread a map on the true sky over the data pixels.

    Parameters
    ----------
    source : (nlat_true, nlon_true, nenergy) content of each true pixel
    true_sky, data_sky : grids of which the first subdivides the second (see `grids.true_grid`)
    node, fraction : (nlat_true, nlon_true) lower offset node of each true pixel and its distance
        to the next
    table : the PSF

    Returns
    -------
    (nlat_data, nlon_data, noffset, nenergy) content of each data pixel by offset node
    """
    pixel = float(true_sky.lon_edges[1] - true_sky.lon_edges[0])
    data_pixel = float(data_sky.lon_edges[1] - data_sky.lon_edges[0])
    height = float(true_sky.lat_edges[1] - true_sky.lat_edges[0])
    data_height = float(data_sky.lat_edges[1] - data_sky.lat_edges[0])
    subdivision = round(data_pixel / pixel)
    margin = round((data_sky.lon_edges[0] - true_sky.lon_edges[0]) / pixel)
    nlon = true_sky.shape[1]
    # Longitudes in half true pixels from the edge of the data: odd for true, s (2j + 1) for data.
    shift = 2 * (np.arange(nlon) - margin) + 1
    data_shift = subdivision * (2 * np.arange(data_sky.shape[1]) + 1)
    classes = np.unique(np.abs(shift[:, None] - data_shift[None, :]))
    noffset, _, nenergy = table.values.shape
    rule_lon = _in_radians(difference_rules(pixel, data_pixel))
    rule_lat = _in_radians(difference_rules(height, data_height))
    width = math.hypot(pixel + data_pixel, height + data_height) / math.sqrt(2)
    by_radius = np.ascontiguousarray(table.values.transpose(1, 0, 2))
    span = _energy_span(table.values)
    kernel = np.zeros((data_sky.shape[0], int(classes[-1]) + 1, noffset, nenergy))
    reach = np.zeros((*kernel.shape[:2], 2), dtype=np.int64)
    sums = np.zeros((*data_sky.shape, noffset, nenergy))
    solid_angle = np.ascontiguousarray(data_sky.solid_angle[:, 0])
    lat_data = np.radians(data_sky.lat)
    for rows in _alike(true_sky, data_sky):
        if not np.any(source[rows]):
            continue
        _row_kernel(
            math.radians(true_sky.lat[rows[0]]),
            lat_data,
            math.radians(0.5 * pixel),
            classes,
            (int(node[rows].min()), int(node[rows].max()) + 2),
            by_radius,
            span,
            math.radians(table.rad_max),
            math.radians(float(table.scale.min())),
            math.radians(width),
            rule_lon,
            rule_lat,
            kernel,
            reach,
        )
        for mirrored, i in enumerate(rows):
            _apply_row(
                source[i],
                node[i],
                fraction[i],
                shift,
                subdivision,
                kernel,
                reach,
                solid_angle,
                bool(mirrored),
                sums,
            )
    return sums


def _alike(true_sky: SkyGrid, data_sky: SkyGrid) -> list[list[int]]:
    """True rows that share a kernel: those of opposite latitude where both grids are symmetric."""
    nlat = true_sky.shape[0]
    symmetric = all(np.allclose(s.lat, -s.lat[::-1], atol=1e-12) for s in (true_sky, data_sky))
    if not symmetric:
        return [[i] for i in range(nlat)]
    return [[i, nlat - 1 - i] if 2 * i < nlat - 1 else [i] for i in range((nlat + 1) // 2)]


@njit(cache=True, fastmath=_FASTMATH)
def _points_to_pixels(
    lon: Any,
    lat: Any,
    content: Any,
    node: Any,
    fraction: Any,
    lon_data: Any,
    lat_data: Any,
    solid_angle: Any,
    psf: Any,
    rad_max: float,
    scale: float,
    width: float,
    rule_lon: Any,
    rule_lat: Any,
    sums: Any,
) -> None:
    _, nr, ne = psf.shape
    radial = np.zeros(nr)
    value = np.empty(ne)
    u_scale = (nr - 1) / math.sqrt(rad_max)
    for p in range(lon.size):
        k, f = node[p], fraction[p]
        for b in range(lat_data.size):
            for j in range(lon_data.size):
                dlon = lon[p] - lon_data[j]
                distance = _distance(lat[p], lat_data[b], dlon)
                if distance >= rad_max + width:
                    continue
                level = _level(distance, width, scale)
                first, last = _scatter(
                    lat[p], lat_data[b], dlon, rule_lon, rule_lat, level, u_scale, radial
                )
                value[:] = 0.0
                for r in range(first, last + 1):
                    w = radial[r] * solid_angle[b]
                    radial[r] = 0.0
                    if w != 0.0:
                        for e in range(ne):
                            value[e] += w * ((1.0 - f) * psf[k, r, e] + f * psf[k + 1, r, e])
                out0, out1 = sums[b, j, k], sums[b, j, k + 1]
                for e in range(ne):
                    out0[e] += (1.0 - f) * value[e] * content[p, e]
                    out1[e] += f * value[e] * content[p, e]


def points_to_pixels(
    lon: FloatArray,
    lat: FloatArray,
    content: FloatArray,
    data_sky: SkyGrid,
    node: IntArray,
    fraction: FloatArray,
    table: PSFTable,
) -> FloatArray:
    """Spread points over the data pixels.

    Parameters
    ----------
    lon, lat : (npoint,) deg
    content : (npoint, nenergy)
    node, fraction : (npoint,) lower offset node of each point and its distance to the next

    Returns
    -------
    (nlat_data, nlon_data, noffset, nenergy) content of each data pixel by offset node
    """
    noffset, _, nenergy = table.values.shape
    sums = np.zeros((*data_sky.shape, noffset, nenergy))
    pixel = float(data_sky.lon_edges[1] - data_sky.lon_edges[0])
    height = float(data_sky.lat_edges[1] - data_sky.lat_edges[0])
    _points_to_pixels(
        np.radians(lon),
        np.radians(lat),
        content,
        node,
        fraction,
        np.radians(data_sky.lon),
        np.radians(data_sky.lat),
        np.ascontiguousarray(data_sky.solid_angle[:, 0]),
        table.values,
        math.radians(table.rad_max),
        math.radians(float(table.scale.min())),
        math.radians(math.hypot(pixel, height) / math.sqrt(2)),
        _in_radians(difference_rules(pixel, 0.0)),
        _in_radians(difference_rules(height, 0.0)),
        sums,
    )
    return sums


@njit(cache=True, fastmath=_FASTMATH)
def grid_to_events(
    lon: Any,
    lat: Any,
    first_energy: Any,
    last_energy: Any,
    radius: Any,
    span: Any,
    scale: Any,
    source: Any,
    lon_true: Any,
    lat_true: Any,
    width: float,
    node: Any,
    fraction: Any,
    psf: Any,
    rad_max: float,
    rule_lon: Any,
    rule_lat: Any,
    sums: Any,
) -> None:
    """Add a map on the true sky, seen at each event's own direction, to `sums`.

    Parameters
    ----------
    lon, lat : (nevent,) rad
    first_energy, last_energy : (nevent,) half-open range of true energies that are visited
    radius : (nevent,) rad; pixels whose centre is farther are not visited
    span : (nrad, 2) half-open range of energies that are visited at each radial node
    scale : (nevent,) rad, width of the narrowest PSF among the visited energies
    source : (nlat_true, nlon_true, nenergy)
    lon_true, lat_true : pixel centres, rad
    width : size of a true pixel, rad
    node, fraction : (nlat_true, nlon_true) offset nodes
    psf : (noffset, nrad, nenergy) sr-1
    rule_lon, rule_lat : `difference_rules` of a true pixel and a point, rad
    sums : (nevent, noffset, nenergy), output
    """
    nr = psf.shape[1]
    u_scale = (nr - 1) / math.sqrt(rad_max)
    radial = np.zeros(nr)
    value = np.empty(psf.shape[2])
    for n in range(lon.size):
        for i in range(lat_true.size):
            if abs(lat_true[i] - lat[n]) > radius[n] + width:
                continue
            for j in range(lon_true.size):
                dlon = lon_true[j] - lon[n]
                distance = _distance(lat_true[i], lat[n], dlon)
                if distance > radius[n]:
                    continue
                place = min(int(math.sqrt(distance) * u_scale), nr - 1)
                e0 = max(first_energy[n], span[place, 0])
                e1 = min(last_energy[n], span[place, 1])
                if e0 >= e1:
                    continue
                level = _level(distance, width, scale[n])
                first, last = _scatter(
                    lat_true[i], lat[n], dlon, rule_lon, rule_lat, level, u_scale, radial
                )
                k, f = node[i, j], fraction[i, j]
                for e in range(e0, e1):
                    value[e] = 0.0
                for r in range(first, last + 1):
                    w0, w1 = (1.0 - f) * radial[r], f * radial[r]
                    radial[r] = 0.0
                    if w0 + w1 != 0.0:
                        for e in range(e0, e1):
                            value[e] += w0 * psf[k, r, e] + w1 * psf[k + 1, r, e]
                for e in range(e0, e1):
                    v = value[e] * source[i, j, e]
                    sums[n, k, e] += (1.0 - f) * v
                    sums[n, k + 1, e] += f * v


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
    sums: Any,
) -> None:
    """Add points, seen at each event's own direction, to `sums`; arguments as `grid_to_events`."""
    _, nr, ne = psf.shape
    u_scale = (nr - 1) / math.sqrt(rad_max)
    for n in range(lon.size):
        for p in range(lon_point.size):
            distance = _distance(lat_point[p], lat[n], lon_point[p] - lon[n])
            u = math.sqrt(distance) * u_scale
            r = int(u)
            if r >= nr - 1:
                continue
            x, k, f = u - r, node[p], fraction[p]
            for e in range(ne):
                low = (1.0 - x) * psf[k, r, e] + x * psf[k, r + 1, e]
                high = (1.0 - x) * psf[k + 1, r, e] + x * psf[k + 1, r + 1, e]
                v = ((1.0 - f) * low + f * high) * content[p, e]
                sums[n, k, e] += (1.0 - f) * v
                sums[n, k + 1, e] += f * v


def _in_radians(
    rule: tuple[FloatArray, FloatArray, IntArray],
) -> tuple[FloatArray, FloatArray, IntArray]:
    return np.radians(rule[0]), rule[1], rule[2]
