"""The adaptive scan: for each event only the true cells that can have made it are visited.

In energy, the cells that hold all but `tolerance` of dispersion times brightest source; on the
sky, the directions within the radius that contains all but `tolerance` of the PSF. What is left
out is bounded: beyond the radius the PSF is at most its value there, and beyond the energies the
smeared source is at most its peak.
"""

import math

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.domains.gamma.exposure import Exposure
from skymix.domains.gamma.psf_operator import grid_to_events, points_to_events
from skymix.domains.gamma.psf_table import difference_rules


def scan_events(
    content: FloatArray,
    lon_point: FloatArray | None,
    lat_point: FloatArray | None,
    lon: FloatArray,
    lat: FloatArray,
    dispersion: FloatArray,
    weight: FloatArray,
    exposure: Exposure,
    tolerance: float,
) -> tuple[FloatArray, FloatArray]:
    """PSF-weighted sums of a source about each event.

    Parameters
    ----------
    content : (nlat, nlon, nenergy) on the true sky, or (npoint, nenergy) at the points
    lon_point, lat_point : (npoint,) deg, None for a map
    lon, lat : (nevent,) deg
    dispersion : (nevent, noffset, nenergy) TeV-1, density of each event's energy
    weight : (nenergy,) largest normalised spectrum over the rows
    tolerance : share of the response that may be left out

    Returns
    -------
    sums : (nevent, noffset, nenergy) sr-1
    bound : (nevent, nenergy) TeV-1 sr-1, at most what is missing of sum over offsets of
        dispersion x sums
    """
    sums = np.zeros(dispersion.shape)
    if lon_point is not None and lat_point is not None:
        _scan_points(content, lon_point, lat_point, lon, lat, exposure, sums)
        return sums, np.zeros((lon.size, weight.size))
    largest = dispersion.max(axis=1)
    brightness = content / exposure.true.sky.solid_angle[..., None]
    peak = brightness.max(axis=(0, 1))
    first, last = _energy_window(largest * (weight * peak)[None], tolerance)
    energies = np.arange(weight.size)
    visited = (energies >= first[:, None]) & (energies < last[:, None])
    reach = _containment_radius(exposure, tolerance)
    _scan_grid(content, lon, lat, first, last, reach, visited, exposure, sums)
    beyond = _psf_beyond(exposure, reach)
    missing = np.where(visited, (beyond * content.sum(axis=(0, 1)))[None], peak[None])
    return sums, largest * missing


def _scan_points(
    content: FloatArray,
    lon_point: FloatArray,
    lat_point: FloatArray,
    lon: FloatArray,
    lat: FloatArray,
    exposure: Exposure,
    sums: FloatArray,
) -> None:
    """Points are few: all of them are visited at all energies."""
    node, fraction = exposure.nodes(lon_point, lat_point)
    points_to_events(
        np.radians(lon),
        np.radians(lat),
        np.radians(lon_point),
        np.radians(lat_point),
        content,
        node,
        fraction,
        exposure.psf.values,
        math.radians(exposure.psf.rad_max),
        sums,
    )


def _scan_grid(
    content: FloatArray,
    lon: FloatArray,
    lat: FloatArray,
    first: IntArray,
    last: IntArray,
    reach: FloatArray,
    visited: np.ndarray,
    exposure: Exposure,
    sums: FloatArray,
) -> None:
    sky = exposure.true.sky
    scale = np.where(visited, exposure.psf.scale[None], np.inf).min(axis=1)
    node, fraction = exposure.nodes(*sky.mesh())
    width = float(sky.lon_edges[1] - sky.lon_edges[0])
    height = float(sky.lat_edges[1] - sky.lat_edges[0])
    rules = []
    for size in (width, height):
        nodes, weights, sizes = difference_rules(size, 0.0)
        rules.append((np.radians(nodes), weights, sizes))
    diagonal = math.hypot(width, height)
    reach = reach + 0.5 * diagonal
    radius = np.where(visited, reach[None], 0.0).max(axis=1)
    grid_to_events(
        np.radians(lon),
        np.radians(lat),
        first,
        last,
        np.radians(radius),
        _span(exposure, reach),
        np.radians(scale),
        np.ascontiguousarray(content),
        np.radians(sky.lon),
        np.radians(sky.lat),
        math.radians(diagonal / math.sqrt(2)),
        node,
        fraction,
        exposure.psf.values,
        math.radians(exposure.psf.rad_max),
        rules[0],
        rules[1],
        sums,
    )


def _energy_window(share: FloatArray, tolerance: float) -> tuple[IntArray, IntArray]:
    """Half-open range of columns that hold all but `tolerance` of each row."""
    total = np.cumsum(share, axis=1)
    whole = total[:, -1:]
    first = (total <= 0.5 * tolerance * whole).sum(axis=1)
    last = (total < (1 - 0.5 * tolerance) * whole).sum(axis=1) + 1
    nothing = whole[:, 0] <= 0
    return (
        np.where(nothing, 0, first).astype(np.int64),
        np.where(nothing, 0, np.minimum(last, share.shape[1])).astype(np.int64),
    )


def _containment_radius(exposure: Exposure, tolerance: float) -> FloatArray:
    """Radius that contains all but `tolerance` of the PSF at every offset, (nenergy,) deg."""
    rad = exposure.response.rad
    index = (exposure.psf.contained < 1 - tolerance).sum(axis=1).max(axis=0)
    return np.asarray(rad[np.minimum(index, rad.size - 1)])


def _span(exposure: Exposure, reach: FloatArray) -> IntArray:
    """Range of energies whose reach (nenergy,) extends to each radial node, (nrad, 2)."""
    # A cell starts at its node, so what reaches into it belongs to it.
    seen = reach[None] >= exposure.response.rad[:, None]
    first = np.where(seen.any(axis=1), seen.argmax(axis=1), reach.size)
    last = np.where(seen.any(axis=1), reach.size - seen[:, ::-1].argmax(axis=1), 0)
    return np.stack([first, last], axis=1).astype(np.int64)


def _psf_beyond(exposure: Exposure, reach: FloatArray) -> FloatArray:
    """Largest PSF over offsets at or beyond the reach of each energy, (nenergy,) sr-1."""
    rad, psf = exposure.response.rad, exposure.response.psf.max(axis=0)
    largest = np.maximum.accumulate(psf[::-1], axis=0)[::-1]
    index = np.clip(np.searchsorted(rad, reach, side="right") - 1, 0, rad.size - 1)
    at = largest[index, np.arange(reach.size)]
    return np.where(reach >= rad[-1], 0.0, at)
