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

# As in psf_common.h: true energies of a block, radial nodes that share a choice, terms beside the
# mean over all angles, and that a pixel's mean is a quadrature.
LANES = 8
_STRIDE = 8
_HARMONICS = 4
_RAW = 3
# Fewer points than these are spread by quadratures: tables of means would take longer to make.
FEW_POINTS = 20
# Choices are made at every eighth radial node, so that there must be many.
_FEWEST_NODES = 100
# Events of a square of the sky of this side, in deg, are done one after the other.
_TILE = 0.5
_TILES = 1024  # around the sky, and more


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
    """A PSF table by blocks of energies, beside its means over the pixels of a sky.

    Parameters
    ----------
    raw : (nblock, noffset, nrad, LANES) sr-1, the PSF; zero beyond the last energy, and farther
        than any pixel that is visited
    means : the same of its mean over a square, and over all angles; zero where no pixel needs it
    harmonics : (4, nblock, noffset, nrad, LANES) what is to be added times cos(4 phi), the excess
        of a pixel's shape and cos(2 phi), cos(8 phi), and the excess of its size, phi being the
        angle to its sides; zero where no pixel needs them
    least : (noffset - 1, nblock, nbin) what is accurate enough, by bins of radial nodes: 0 the
        means, 1 with the first of these beside them, 2 with all four, 3 only a quadrature
    side : of the square, rad
    excess : (2, nlat) of each row of pixels over the square: half the sum of the two squared sides
        over the square's, less 1, and half their difference
    """

    raw: FloatArray
    means: FloatArray
    harmonics: FloatArray
    least: np.ndarray[Any, np.dtype[np.uint8]]
    side: float
    excess: FloatArray
    table: PSFTable

    @classmethod
    def of(
        cls, table: PSFTable, sky: SkyGrid, reach: FloatArray, with_means: bool = True
    ) -> "SmoothPSF":
        """Means over squares of the size of a sky's pixels.

        Parameters
        ----------
        reach : (noffset - 1, nenergy) rad, out to which pixels are visited
        with_means : whether there are to be means, or quadratures alone
        """
        noffset, nrad, nenergy = table.values.shape
        nblock, nbin = -(-nenergy // LANES), (nrad - 1) // _STRIDE + 1
        squares = np.broadcast_arrays(*(length**2 for length in _lengths(sky)))
        middle = 0.5 * (np.max(squares) + np.min(squares))
        excess = 0.5 * np.array([squares[0] + squares[1], squares[0] - squares[1]]) / middle
        excess[0] -= 1
        # Of the rows, the longest and the shortest are the most unlike the square.
        unlike = np.ascontiguousarray(excess[:, [squares[0].argmax(), squares[0].argmin()]].T)
        raw, means = (_aligned_zeros(nblock, noffset, nrad, LANES) for _ in range(2))
        harmonics = _aligned_zeros(_HARMONICS, nblock, noffset, nrad, LANES)
        least = np.full((noffset - 1, nblock, nbin), _RAW, dtype=np.uint8)
        starts = np.arange(0, nenergy, LANES)
        scale = np.radians(np.minimum.reduceat(table.scales, starts, axis=1))
        farthest = np.maximum.reduceat(reach.max(axis=0), starts)
        side = math.radians(math.sqrt(middle))
        arguments = _structure(
            *(noffset, nrad, nenergy, nblock, nbin, math.radians(table.rad_max), side, unlike),
            *(farthest, scale, table.values, int(with_means and nrad >= _FEWEST_NODES)),
            *(raw, means, harmonics, least),
        )
        _call(_library().skymix_smooth_psf, arguments)
        return cls(raw, means, harmonics, least, side, excess, table)


def _lengths(sky: SkyGrid) -> tuple[FloatArray, float]:
    """Lengths of the sides of the pixels of each row, (nlat,), and their height, deg."""
    pixel, height = cell_of(sky)
    return pixel * np.cos(np.radians(sky.lat)), height


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
    reach : (noffset - 1, ntrue) rad; farther pixels are not visited at this energy and the higher
        ones of its block
    most : (noffset - 1, ntrue) haversine of the reach
    cumulative : (ngroup, ntrue, ny, LANES) of the energy dispersion, by groups of offset nodes
    widths : (ntrue,) of the true energies in ln E
    edges : (ntrue + 1,) of these, `edge_steps`
    """

    psf: SmoothPSF
    offsets: FloatArray
    scale: FloatArray
    reach: FloatArray
    most: FloatArray
    cumulative: FloatArray
    widths: FloatArray
    edges: FloatArray

    @classmethod
    def of(
        cls,
        psf: SmoothPSF,
        offsets: FloatArray,
        scale: FloatArray,
        reach: FloatArray,
        edisp: FloatArray,
        widths: FloatArray,
        edges: FloatArray,
    ) -> "EventResponse":
        """With the cumulative of the energy dispersion (noffset, ntrue, ny) laid out.

        The reach is that of each energy alone.
        """
        noffset, ntrue, ny = edisp.shape
        laid_out = _aligned_zeros(-(-noffset // LANES), ntrue, ny, LANES)
        for group, out in enumerate(laid_out):
            part = edisp[group * LANES : (group + 1) * LANES]
            out[..., : len(part)] = np.moveaxis(part, 0, -1)
        reach = _from_here_on(reach)
        return cls(psf, offsets, scale, reach, _haversine(reach), laid_out, widths, edges)


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
    place: FloatArray,
) -> FloatArray:
    """Sums over the true sky of maps times PSF, averaged over each true pixel, at each event.

    Parameters
    ----------
    energy, lon, lat, offset : (nevent,) TeV, rad; offset is the angle to the pointing
    windows : (nmap, nevent, 2) half-open range of true energies that are visited
    core : (nevent, 2) range of true energies whose PSF sets how finely a pixel is sampled
    place : (nevent,) `event_steps`

    Returns
    -------
    (nmap, nevent, ntrue) times the density of the event's energy, TeV-1 sr-1
    """
    psf, table, sky = response.psf, response.psf.table, true.sky
    noffset, (ntrue, ny) = response.offsets.size, response.cumulative.shape[1:3]
    nblock, nbin = psf.least.shape[1:]
    nmap, nevent = windows.shape[:2]
    on_sky = _sky_members(sky, psf, true.node, true.fraction)
    # Those of one window share what is due at all nodes, neighbours on the sky tables and maps.
    last = (windows[..., 1].max(axis=0) - 1) // LANES
    window = windows[..., 0].min(axis=0) // LANES * (nblock + 1) + last
    tile = np.floor(np.degrees([lat, lon]) / _TILE).astype(np.int64)
    order = np.argsort((window * _TILES + tile[0]) * _TILES + tile[1], kind="stable")
    out = np.empty((nmap, nevent, ntrue))
    structures = (
        _structure(
            *(noffset, table.values.shape[1], nblock, nbin, ntrue, ny),
            *(math.radians(table.rad_max), psf.raw, psf.means, psf.harmonics, response.offsets),
            *(response.scale, response.reach, response.most, psf.least),
            *(response.cumulative, response.widths, response.edges),
        ),
        _structure(*on_sky),
        _structure(nmap, maps.content, maps.shining),
        _structure(nevent, order, energy, lon, lat, offset, windows, core, place),
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
    scale : (noffset - 1, nblock) rad, as in `EventResponse`
    reach : (noffset - 1, nenergy) rad, of each energy alone
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
    on_sky, reach = _sky_members(sky, psf, 0, 0), _from_here_on(reach)
    most = _haversine(reach)
    sums = np.zeros((sky.size, noffset, nenergy))
    structures = (
        _structure(
            *(noffset, nrad, nblock, nbin, nenergy, 0, math.radians(psf.table.rad_max)),
            *(psf.raw, psf.means, psf.harmonics, 0, scale, reach, most, psf.least, 0, 0, 0),
        ),
        _structure(*on_sky),
        _structure(lon.size, lon, lat, node, fraction, blocks),
    )
    _call(_library().skymix_points_to_pixels, *structures, ctypes.c_void_p(sums.ctypes.data))
    return sums


def _from_here_on(reach: FloatArray) -> FloatArray:
    """Largest reach of each energy and the higher ones of its block."""
    out = reach.copy()
    for e in range(reach.shape[1] - 2, -1, -1):
        if (e + 1) % LANES:
            np.maximum(out[:, e], out[:, e + 1], out=out[:, e])
    return out


def _haversine(angle: FloatArray) -> FloatArray:
    return np.asarray(np.sin(0.5 * np.minimum(angle, np.pi)) ** 2)


def _sky_members(
    sky: SkyGrid, psf: SmoothPSF, node: IntArray | int, fraction: FloatArray | int
) -> tuple[Any, ...]:
    """Members of a sky of psf_events.c; to be kept as long as it is used."""
    (nodes, weights, sizes), limits = pixel_rules()
    pixel, height = map(math.radians, cell_of(sky))
    lon, lat = np.radians(sky.lon), np.radians(sky.lat)
    of_lat = np.sin(lat), np.cos(lat), np.tan(lat)
    return (
        *(*sky.shape, lon, lat, *of_lat, *psf.excess, node, fraction, 0),
        *(pixel, height, math.hypot(pixel, height) / math.sqrt(2)),
        *(*nodes.shape, nodes, weights, limits, sizes),
    )
