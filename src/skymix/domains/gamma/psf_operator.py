"""The PSF as an operator from true directions to reconstructed pixels.

The PSF is a table over radial nodes equally spaced in sqrt(r). The mean over a pair of pixels is a
quadrature over the difference of the two directions: it is scattered as weights on the radial
nodes, and these are contracted with the table for all energies at once, by a matrix product. The
quadrature is the finer the closer the pixels and the narrower the PSF. Pixels of a row that lie
equally far from a data pixel in longitude share their kernel, and so do rows of opposite latitude
and all maps that are spread together.

Sums are kept by offset node of the response, so that the energy dispersion, which depends on the
offset too, can be applied to them afterwards without approximation.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from skymix.axes import FloatArray, IntArray, SkyGrid
from skymix.domains.gamma.psf_events import (
    FEW_POINTS,
    LANES,
    SmoothPSF,
    cell_of,
    spread_points,
)
from skymix.domains.gamma.psf_pixels import (
    add_block,
    apply_rows,
    lay_out,
    pairs_within,
    radial_weights,
    weights_on,
)
from skymix.domains.gamma.psf_table import PSFTable, difference_rules

# Share of its peak below which the PSF is taken as zero; it costs less than rounding does.
NEGLIGIBLE = 1e-16
# Radial nodes that share a range of energies in the contraction.
_BLOCK = 64
_MEMORY = 10**9

Rule = tuple[FloatArray, FloatArray, IntArray]


def maps_to_pixels(
    maps: FloatArray,
    true_sky: SkyGrid,
    data_sky: SkyGrid,
    node: IntArray,
    fraction: FloatArray,
    table: PSFTable,
    memory: float = _MEMORY,
) -> FloatArray:
    """Spread maps on the true sky over the data pixels.

    Parameters
    ----------
    maps : (nmap, nlat_true, nlon_true, nenergy) content of each true pixel
    true_sky, data_sky : grids of which the first subdivides the second (see `grids.true_grid`)
    node, fraction : (nlat_true, nlon_true) lower offset node of each true pixel and its distance
        to the next
    table : the PSF
    memory : bytes that the kernels of the rows may take at a time

    Returns
    -------
    (nmap, nlat_data, nlon_data, noffset, nenergy) content of each data pixel by offset node
    """
    sums = np.zeros((len(maps), *data_sky.shape, table.values.shape[0], table.values.shape[2]))
    shining = np.asarray(maps.any(axis=(0, 3)))
    if not shining.any():
        return sums
    # Offset nodes that no shining pixel is near take no part.
    low, high = int(node[shining].min()), int(node[shining].max()) + 2
    blocks = _Blocks.of(table.values[low:high])
    reach = math.radians(table.rad_max) * blocks.extent**2
    rows = _RowPairs.of(true_sky, data_sky, shining, reach)
    for part in rows.within(memory, high - low, table):
        kernel = blocks.contract(part.weights(table))
        apply_rows(
            part.members,
            maps,
            shining,
            node - low,
            fraction,
            rows.margin,
            rows.subdivision,
            part.index,
            part.farthest,
            kernel.starts,
            kernel.reach,
            kernel.values,
            sums[..., low:high, :],
        )
    sums *= data_sky.solid_angle[:, :1, None, None]
    return sums


def grid_to_pixels(
    source: FloatArray,
    true_sky: SkyGrid,
    data_sky: SkyGrid,
    node: IntArray,
    fraction: FloatArray,
    table: PSFTable,
) -> FloatArray:
    """Spread one map, (nlat_true, nlon_true, nenergy); otherwise as `maps_to_pixels`."""
    (sums,) = maps_to_pixels(source[None], true_sky, data_sky, node, fraction, table)
    return np.asarray(sums)


@dataclass(frozen=True, eq=False)
class _RowPairs:
    """Pairs of a true row and a data row at a distance in longitude within the PSF's reach.

    Parameters
    ----------
    lat_true, lat_data : latitudes of the rows, rad
    members : (nmember, 3) true row, its place in `lat_true`, whether it is of opposite latitude
    classes : distances in longitude that occur, in half true pixels
    index : (nrow, nlat_data, nclass) number of the pair, -1 beyond the reach
    pixel : size of a true pixel in longitude, rad
    width : joint width of two pixels, rad
    rule_lon, rule_lat : quadratures of the difference of two pixels
    margin, subdivision : true pixels before the data's first, and true pixels to a data pixel
    """

    lat_true: FloatArray
    lat_data: FloatArray
    members: IntArray
    classes: IntArray
    index: IntArray
    pixel: float
    width: float
    rule_lon: Rule
    rule_lat: Rule
    margin: int
    subdivision: int

    @classmethod
    def of(
        cls, true_sky: SkyGrid, data_sky: SkyGrid, shining: np.ndarray, reach: float
    ) -> "_RowPairs":
        """Pairs of two grids closer than a reach in rad; rows that are dark take no part."""
        (pixel, height), (data_pixel, data_height) = cell_of(true_sky), cell_of(data_sky)
        subdivision = round(data_pixel / pixel)
        margin = round((data_sky.lon_edges[0] - true_sky.lon_edges[0]) / pixel)
        shift = 2 * (np.arange(true_sky.shape[1]) - margin) + 1
        data_shift = subdivision * (2 * np.arange(data_sky.shape[1]) + 1)
        classes = np.unique(np.abs(shift[:, None] - data_shift[None, :]))
        width = math.radians(math.hypot(pixel + data_pixel, height + data_height) / math.sqrt(2))
        alike = [rows for rows in _alike(true_sky, data_sky) if shining[rows].any()]
        members = np.array(
            [(i, row, side) for row, rows in enumerate(alike) for side, i in enumerate(rows)]
        )
        lat_true = np.radians(true_sky.lat[[rows[0] for rows in alike]])
        lat_data = np.radians(data_sky.lat)
        index = np.full((lat_true.size, lat_data.size, int(classes[-1]) + 1), -1)
        half = math.radians(0.5 * pixel)
        pairs_within(lat_true, lat_data, classes, half, reach + width, index)
        return cls(
            lat_true,
            lat_data,
            members,
            classes,
            index,
            math.radians(pixel),
            width,
            in_radians(difference_rules(pixel, data_pixel)),
            in_radians(difference_rules(height, data_height)),
            margin,
            subdivision,
        )

    @property
    def farthest(self) -> IntArray:
        """(nrow, nlat_data) largest distance in longitude of a pair, -1 if there is none."""
        seen = self.index >= 0
        last = seen.shape[2] - 1 - seen[..., ::-1].argmax(axis=2)
        return np.where(seen.any(axis=2), last, -1)

    def within(self, memory: float, noffset: int, table: PSFTable) -> Iterator["_RowPairs"]:
        """Consecutive rows whose weights and kernels take no more than so many bytes."""
        _, nrad, nenergy = table.values.shape
        ends = np.cumsum((self.index >= 0).sum(axis=(1, 2)))
        # Weights and kernel of a pair at most, and the rows of both that a product copies.
        each = 8 * (nrad + noffset * nenergy) * 2
        start, before = 0, 0
        while start < ends.size:
            stop = int(np.searchsorted(ends, before + memory / each, side="right"))
            stop = max(stop, start + 1)
            index = self.index[start:stop]
            here = (self.members[:, 1] >= start) & (self.members[:, 1] < stop)
            yield _RowPairs(
                **{
                    **self.__dict__,
                    "lat_true": self.lat_true[start:stop],
                    "members": self.members[here] - np.array([0, start, 0]),
                    "index": np.where(index >= 0, index - before, -1),
                }
            )
            start, before = stop, int(ends[stop - 1])

    def weights(self, table: PSFTable) -> "_Weights":
        """Quadratures of the pairs."""
        npair = int((self.index >= 0).sum())
        starts, touched = np.empty(npair, dtype=np.int64), np.empty((npair, 2), dtype=np.int64)
        values = radial_weights(
            self.lat_true,
            self.lat_data,
            self.classes,
            0.5 * self.pixel,
            self.index,
            table.values.shape[1],
            math.radians(table.rad_max),
            math.radians(float(table.scale.min())),
            self.width,
            self.rule_lon,
            self.rule_lat,
            starts,
            touched,
        )
        return _Weights(values, starts, touched)


@dataclass(frozen=True, eq=False)
class _Weights:
    """Weights of pairs on the radial nodes; see `psf_pixels.radial_weights`."""

    values: FloatArray
    starts: IntArray
    touched: IntArray


@dataclass(frozen=True, eq=False)
class _Kernel:
    """Mean PSF of pairs by offset node and energy; see `psf_pixels.lay_out`."""

    starts: IntArray
    reach: IntArray
    values: FloatArray


@dataclass(frozen=True, eq=False)
class _Blocks:
    """The PSF table cut into blocks of radial nodes, each with the energies that reach it.

    Parameters
    ----------
    span : (nblock, noffset, 2) half-open range of energies
    columns : (nblock, noffset) first column of each offset node in the block's table
    tables : a block each, (nrad, ncolumn)
    """

    span: IntArray
    columns: IntArray
    tables: list[FloatArray]

    @classmethod
    def of(cls, psf: FloatArray) -> "_Blocks":
        """Blocks of a table (noffset, nrad, nenergy)."""
        span = _block_span(psf)
        sizes = np.maximum(span[..., 1] - span[..., 0], 0)
        columns = np.cumsum(sizes, axis=1) - sizes
        tables = []
        for b, ranges in enumerate(span):
            block = psf[:, b * _BLOCK : (b + 1) * _BLOCK]
            parts = [part[:, e0:e1] for part, (e0, e1) in zip(block, ranges, strict=True)]
            tables.append(np.concatenate(parts, axis=1))
        return cls(span, columns, tables)

    @property
    def extent(self) -> float:
        """Share of the nodes, equally spaced in sqrt(r), out to where the PSF ends."""
        last = np.flatnonzero((self.span[..., 0] < self.span[..., 1]).any(axis=1))[-1]
        nodes = [len(table) for table in self.tables]
        return min(1.0, sum(nodes[: last + 1]) / (sum(nodes) - 1))

    def contract(self, weights: _Weights) -> _Kernel:
        """Kernels of pairs whose quadratures have these weights on the radial nodes."""
        touched = weights.touched
        shape = (len(touched), self.span.shape[1])
        starts, reach = np.empty(shape, dtype=np.int64), np.empty((*shape, 2), dtype=np.int64)
        values = np.zeros(lay_out(touched, _BLOCK, self.span, starts, reach))
        for b, table in enumerate(self.tables):
            start, stop = b * _BLOCK, b * _BLOCK + len(table)
            pairs = np.flatnonzero((touched[:, 0] < stop) & (touched[:, 1] > start))
            if pairs.size and table.size:
                on = weights_on(weights.values, weights.starts, touched, pairs, start, len(table))
                part = on @ table
                add_block(values, starts, reach, pairs, self.span[b], self.columns[b], part)
        return _Kernel(starts, reach, values)


def _block_span(psf: FloatArray) -> IntArray:
    """Range of energies of each block and offset node, (nblock, noffset, 2).

    An offset node covers what its neighbours need, as pixels between two nodes need both.
    """
    seen = np.logical_or.reduceat(_seen(psf), np.arange(0, psf.shape[1], _BLOCK), axis=1)
    wide = seen.copy()
    wide[1:] |= seen[:-1]
    wide[:-1] |= seen[1:]
    return np.ascontiguousarray(_span(wide).transpose(1, 0, 2))


def _seen(psf: FloatArray) -> NDArray[np.bool_]:
    """Where a table (noffset, nrad, nenergy) is not negligible."""
    return np.asarray(psf > NEGLIGIBLE * psf.max(axis=1, keepdims=True))


def _span(seen: NDArray[np.bool_]) -> IntArray:
    """Half-open range that holds all that is seen along the last axis, (..., 2)."""
    some, size = seen.any(axis=-1), seen.shape[-1]
    first = np.where(some, seen.argmax(axis=-1), size)
    last = np.where(some, size - seen[..., ::-1].argmax(axis=-1), 0)
    return np.stack([first, last], axis=-1).astype(np.int64)


def _alike(true_sky: SkyGrid, data_sky: SkyGrid) -> list[list[int]]:
    """True rows that share a kernel: those of opposite latitude where both grids are symmetric."""
    nlat = true_sky.shape[0]
    symmetric = all(np.allclose(s.lat, -s.lat[::-1], atol=1e-12) for s in (true_sky, data_sky))
    if not symmetric:
        return [[i] for i in range(nlat)]
    return [[i, nlat - 1 - i] if 2 * i < nlat - 1 else [i] for i in range((nlat + 1) // 2)]


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
    sums = np.zeros((*data_sky.shape, table.values.shape[0], table.values.shape[2]))
    if not lon.size:
        return sums
    # Offset nodes that no point is near take no part.
    low, high = int(node.min()), int(node.max()) + 2
    near = replace(table, values=table.values[low:high], scales=table.scales[low:high])
    ends = (np.arange(1, table.values.shape[1] + 1) / (table.values.shape[1] - 1)) ** 2
    seen = _seen(near.values)
    last = seen.shape[1] - 1 - seen[:, ::-1].argmax(axis=1)
    lit = np.where(seen.any(axis=1), table.rad_max * np.minimum(ends, 1.0)[last], 0.0)
    starts = np.arange(0, lit.shape[1], LANES)
    reach = np.radians(np.maximum(lit[1:], lit[:-1]) + 0.5 * math.hypot(*cell_of(data_sky)))
    scale = np.minimum.reduceat(np.minimum(near.scales[1:], near.scales[:-1]), starts, axis=1)
    found = spread_points(
        SmoothPSF.of(near, data_sky, reach, with_means=lon.size >= FEW_POINTS),
        np.radians(scale),
        reach,
        data_sky,
        np.radians(lon),
        np.radians(lat),
        node - low,
        fraction,
        content,
    )
    sums[:, :, low:high] = found.reshape(*data_sky.shape, high - low, -1)
    sums *= data_sky.solid_angle[:, :1, None, None]
    return sums


def in_radians(rule: Rule) -> Rule:
    """A rule of `difference_rules` with its nodes in rad."""
    return np.radians(rule[0]), rule[1], rule[2]
