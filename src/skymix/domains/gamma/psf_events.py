"""The PSF operator for single directions: events on the true sky's maps, points on data pixels.

The kernels are in psf_events.c: here are the tables and structures that they read. The points of a
component at events, which are few, have theirs in psf_points.py.
"""

import ctypes
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import numpy as np

from skymix.axes import FloatArray, IntArray, SkyGrid
from skymix.domains.gamma.psf_table import PSFTable, pixel_rules

# True energies of a block, and radial nodes that share a choice of quadrature; as in psf_events.c.
LANES = 8
_STRIDE = 8
# Events of a square of the sky of this side, in deg, are done one after the other.
_TILE = 0.5
# Points on a side for the tables of means over squares.
_SQUARES = ((0.0,), (-0.5, 0.5), (-1.0, 0.0, 1.0))


@cache
def _library() -> ctypes.CDLL:
    names = [f"_psf_events{suffix}" for suffix in EXTENSION_SUFFIXES]
    for path in map(Path(__file__).with_name, names):
        if path.exists():
            library = ctypes.CDLL(str(path))
            for name in ("smooth_psf", "maps_to_events", "points_to_pixels"):
                getattr(library, f"skymix_{name}").restype = ctypes.c_int64
            return library
    raise ImportError(
        f"The PSF kernel {names[0]} has not been compiled; `make setup` does it, as does"
        " `pip install --no-build-isolation -e .`, given a C compiler."
    )


def _structure(*members: Any) -> ctypes.Array[ctypes.c_char]:
    """A structure of eight bytes a member; it does not keep its arrays alive."""
    packed = np.zeros(len(members), dtype=np.int64)
    for i, member in enumerate(members):
        if isinstance(member, np.ndarray):
            if not member.flags.c_contiguous:
                raise ValueError("arrays must be contiguous")
            packed[i] = member.ctypes.data
        elif isinstance(member, float):
            packed[i : i + 1].view(np.float64)[0] = member
        else:
            packed[i] = member
    return ctypes.create_string_buffer(packed.tobytes())


def _call(function: Callable[..., int], *arguments: Any) -> None:
    if function(*arguments):
        raise MemoryError("no memory for the points of an event")


def _aligned_zeros(*shape: int) -> FloatArray:
    """Zeros of which every vector of `LANES` lies in one line of the cache."""
    size, line = math.prod(shape), 8 * LANES
    room = np.zeros(size + LANES)
    start = -room.ctypes.data % line // 8
    return room[start : start + size].reshape(shape)


@dataclass(frozen=True, eq=False)
class SmoothPSF:
    """A PSF table by blocks of energies, beside its means over squares.

    Parameters
    ----------
    tables : (4, nblock, noffset, nrad, LANES) sr-1: means over squares of a whole, a half and a
        third of the side, and the PSF itself; zero beyond the last energy, and farther than
        any pixel that is visited
    least : (noffset - 1, nblock, nbin) first of the tables that is accurate enough, by bins of
        radial nodes
    side : of the square, rad
    """

    tables: FloatArray
    least: np.ndarray[Any, np.dtype[np.uint8]]
    side: float
    table: PSFTable

    @classmethod
    def of(cls, table: PSFTable, sky: SkyGrid, reach: FloatArray) -> "SmoothPSF":
        """Means over squares of the size of a sky's pixels, for `EventResponse.reach`."""
        noffset, nrad, nenergy = table.values.shape
        nblock, nbin = -(-nenergy // LANES), (nrad - 1) // _STRIDE + 1
        pixel, height = cell_of(sky)
        squares = np.append((pixel * np.cos(np.radians(sky.lat))) ** 2, height**2)
        middle = 0.5 * (squares.max() + squares.min())
        side = math.radians(math.sqrt(middle))
        shape = float(squares.max() / middle - 1)
        tables = _aligned_zeros(len(_SQUARES) + 1, nblock, noffset, nrad, LANES)
        least = np.empty((noffset - 1, nblock, nbin), dtype=np.uint8)
        starts = np.arange(0, nenergy, LANES)
        scale = np.radians(np.minimum.reduceat(table.scales, starts, axis=1))
        farthest = reach.max(axis=0)
        arguments = _structure(
            *(noffset, nrad, nenergy, nblock, nbin, math.radians(table.rad_max), side, shape),
            *(farthest, scale, table.values, tables, least),
        )
        _call(_library().skymix_smooth_psf, arguments)
        return cls(tables, least, side, table)


def cell_of(sky: SkyGrid) -> tuple[float, float]:
    """Width and height of a pixel, deg."""
    return (
        float(sky.lon_edges[1] - sky.lon_edges[0]),
        float(sky.lat_edges[1] - sky.lat_edges[0]),
    )


@dataclass(frozen=True, eq=False)
class EventResponse:
    """What a scan needs of a response, whatever the sources.

    Parameters
    ----------
    psf : table by blocks
    offsets : (noffset,) rad
    scale : (noffset - 1, nblock) rad, narrowest PSF between two offset nodes
    reach : (noffset - 1, nblock) rad; farther pixels are not visited
    cumulative : (noffset, ntrue, ny) of the energy dispersion
    widths : (ntrue,) of the true energies in ln E
    """

    psf: SmoothPSF
    offsets: FloatArray
    scale: FloatArray
    reach: FloatArray
    cumulative: FloatArray
    widths: FloatArray


@dataclass(frozen=True, eq=False)
class EventMaps:
    """Contents of the pixels of the true sky.

    Parameters
    ----------
    content : (nblock, npixel, nmap, LANES), zero beyond the last energy
    shining : (nlat, nlon) whether a pixel has any content
    """

    content: FloatArray
    shining: np.ndarray[Any, np.dtype[np.bool_]]

    @classmethod
    def of(cls, maps: list[FloatArray]) -> "EventMaps":
        """Lay out maps (nlat, nlon, nenergy)."""
        nlat, nlon, nenergy = maps[0].shape
        nblock = -(-nenergy // LANES)
        content = _aligned_zeros(nblock, nlat * nlon, len(maps), LANES)
        shining = np.zeros((nlat, nlon), dtype=np.bool_)
        for c, one in enumerate(maps):
            rows = one.reshape(-1, nenergy)
            for b in range(nblock):
                part = rows[:, b * LANES : (b + 1) * LANES]
                content[b, :, c, : part.shape[1]] = part
            shining |= one.any(axis=2)
        return cls(content, shining)


@dataclass(frozen=True, eq=False)
class EventSky:
    """The true sky.

    Parameters
    ----------
    sky : grid of equally spaced pixels
    node, fraction : (nlat, nlon) lower offset node of each pixel, and its distance to the next
    """

    sky: SkyGrid
    node: IntArray
    fraction: FloatArray


def maps_to_events(
    response: EventResponse,
    true: EventSky,
    maps: EventMaps,
    energy: FloatArray,
    lon: FloatArray,
    lat: FloatArray,
    offset: FloatArray,
    windows: IntArray,
    core: IntArray,
    edges: FloatArray,
) -> FloatArray:
    """Sums over the true sky of maps times PSF, averaged over each true pixel, at each event.

    Parameters
    ----------
    energy, lon, lat, offset : (nevent,) TeV, rad; offset is the angle to the pointing
    windows : (nmap, nevent, 2) half-open range of true energies that are visited
    core : (nevent, 2) range of true energies whose PSF sets how finely a pixel is sampled
    edges : (nevent, ntrue + 1) place of each true edge among the nodes of the cumulative

    Returns
    -------
    (nmap, nevent, ntrue) times the density of the event's energy, TeV-1 sr-1
    """
    psf, table, sky = response.psf, response.psf.table, true.sky
    noffset, ntrue, ny = response.cumulative.shape
    nblock, nbin = psf.least.shape[1:]
    nmap, nevent = windows.shape[:2]
    on_sky = _sky_members(sky, psf.side, true.node, true.fraction)
    # Neighbours in energy and on the sky use the same part of the tables and maps.
    tiles = np.floor(np.degrees([lon, lat]) / _TILE)
    last = (windows[..., 1].max(axis=0) - 1) // LANES
    order = np.lexsort((*tiles, last, windows[..., 0].min(axis=0) // LANES))
    out = np.zeros((nmap, nevent, ntrue))
    structures = (
        _structure(
            *(noffset, table.values.shape[1], nblock, nbin, ntrue, ny),
            *(math.radians(table.rad_max), psf.tables, response.offsets, response.scale),
            *(response.reach, psf.least, response.cumulative, response.widths),
        ),
        _structure(*on_sky),
        _structure(nmap, maps.content, maps.shining),
        _structure(nevent, order, energy, lon, lat, offset, windows, core, edges),
    )
    _call(_library().skymix_maps_to_events, *structures, ctypes.c_void_p(out.ctypes.data))
    return out


def spread_points(
    psf: SmoothPSF,
    scale: FloatArray,
    reach: FloatArray,
    sky: SkyGrid,
    lon: FloatArray,
    lat: FloatArray,
    node: IntArray,
    fraction: FloatArray,
    content: FloatArray,
) -> FloatArray:
    """Points times the mean of the PSF over each pixel of a sky.

    Parameters
    ----------
    psf : with squares of that sky's pixels
    scale, reach : (noffset - 1, nblock) rad, as in `EventResponse`
    lon, lat : (npoint,) rad
    node, fraction : (npoint,) lower offset node of each point, and its distance to the next
    content : (npoint, nenergy)

    Returns
    -------
    (npixel, noffset, nenergy) per sr
    """
    noffset, nrad, nenergy = psf.table.values.shape
    nblock, nbin = psf.least.shape[1:]
    blocks = np.zeros((lon.size, nblock * LANES))
    blocks[:, :nenergy] = content
    on_sky = _sky_members(sky, psf.side, 0, 0)
    sums = np.zeros((sky.size, noffset, nenergy))
    structures = (
        _structure(
            *(noffset, nrad, nblock, nbin, nenergy, 0, math.radians(psf.table.rad_max)),
            *(psf.tables, 0, scale, reach, psf.least, 0, 0),
        ),
        _structure(*on_sky),
        _structure(lon.size, lon, lat, node, fraction, blocks),
    )
    _call(_library().skymix_points_to_pixels, *structures, ctypes.c_void_p(sums.ctypes.data))
    return sums


def _sky_members(
    sky: SkyGrid, side: float, node: IntArray | int, fraction: FloatArray | int
) -> tuple[Any, ...]:
    """Members of a sky of psf_events.c; to be kept as long as it is used."""
    (nodes, weights, sizes), limits = event_rules()
    pixel, height = map(math.radians, cell_of(sky))
    lon, lat = np.radians(sky.lon), np.radians(sky.lat)
    return (
        *(*sky.shape, lon, lat, np.sin(lat), np.cos(lat), node, fraction),
        *(pixel, height, math.hypot(pixel, height) / math.sqrt(2), side),
        *(*nodes.shape, nodes, weights, limits, sizes),
    )


@cache
def event_rules() -> tuple[tuple[FloatArray, FloatArray, IntArray], FloatArray]:
    """Points on a side of a pixel: for the tables of means, then of `pixel_rules`."""
    (nodes, weights, sizes), limits = pixel_rules()
    n = len(_SQUARES)
    all_nodes, all_weights = np.zeros((2, n + len(nodes), nodes.shape[1]))
    for level, points in enumerate(_SQUARES):
        all_nodes[level, : len(points)] = points
        all_weights[level, : len(points)] = 1.0 / len(points)
    all_nodes[n:], all_weights[n:] = nodes, weights
    counts = np.array([len(points) for points in _SQUARES], dtype=np.int64)
    # The tables of means are not chosen by these limits.
    return (all_nodes, all_weights, np.concatenate([counts, sizes])), np.concatenate(
        [np.zeros(n), limits]
    )
