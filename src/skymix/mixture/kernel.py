"""The mixture sum over all data: sum_i c_i ln sum_r coefficient_r table[r, i].

The sum and its gradient are in kernel.c. Here a table is cut into the tiles that it reads: each of
data that share their coefficients and, where there are enough of them, their multiplicity.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.mixture import _kernel

# Data of one multiplicity are summed by products if they are at least so many, else by logarithms.
_ALIKE = 64
# Widest tile, and bytes of one with many rows: it should stay in a second-level cache.
_WIDEST, _TILE_BYTES = 512, 1 << 20
# A table is summed in parts of at least so many data, and in no more than so many parts; they do
# not depend on the number of threads, so that it does not change the rounding. The tiles of a part
# lie side by side: one point reads its rows in longer runs than a tile, which memory serves better.
_PART, _PARTS = 1 << 14, 64
# A tile is as wide as whole vectors of eight doubles.
_VECTOR = 8


@dataclass(frozen=True, eq=False)
class TiledTable:
    """A table of densities cut into tiles.

    Parameters
    ----------
    values : densities over a power of two above the largest of their column, float64 or float32;
        part after part, each (nrow, data of its tiles)
    offset : (ntile,) where each tile starts in `values`
    stride : (ntile,) entries from one of its rows to the next
    filled : (ntile,) number of data in each tile; up to whole vectors, zeros follow
    segment : (ntile,) coefficient set that the data of each tile use
    multiplicity : (ntile,) of all data of a tile, 0 where they differ
    counts_at : (ntile,) where they differ, the place of the first in `counts`
    counts : multiplicities one by one, zero beyond the data of a tile
    part : (npart + 1,) first tile of each part, the unit of a thread's work
    nrow : rows of the table
    exponent : sum of multiplicity x exponent of the power of two
    level : instructions to use, at most `_kernel.highest_level()`: 0 the baseline, 1 AVX2 and FMA,
        2 AVX-512
    """

    values: np.ndarray[Any, Any]
    offset: IntArray
    stride: IntArray
    filled: IntArray
    segment: IntArray
    multiplicity: FloatArray
    counts_at: IntArray
    counts: FloatArray
    part: IntArray
    nrow: int
    nsegment: int
    exponent: float
    level: int

    @classmethod
    def build(
        cls,
        table: FloatArray,
        multiplicity: FloatArray,
        segment: IntArray | None = None,
        dtype: str = "float64",
    ) -> "TiledTable":
        """Tiles of a (nrow, ndatum) table; every column must have a positive entry.

        `segment` (ndatum,) is the number of the coefficient set of each datum, 0 if none is given.
        Scaling is exact, but for a density below 1e-308 of the largest in its column. With `dtype`
        float32 the table takes half the memory and each density is rounded to 6e-8, to zero below
        1e-45 of the largest in its column; sums are done in float64 all the same. ValueError if a
        multiplicity is not positive.
        """
        nrow, ndatum = table.shape
        if not np.all(multiplicity > 0):
            raise ValueError("multiplicities must be positive; leave out data without events")
        if segment is None:
            segment = np.zeros(ndatum, dtype=np.int64)
        power = np.frexp(table.max(axis=0))[1]
        tiles = list(_tiles(segment, multiplicity, _width(nrow)))
        filled = np.array([columns.size for columns, _ in tiles], dtype=np.int64)
        width = -(-filled // _VECTOR) * _VECTOR
        part = _parts(width)
        strides = _strides(width, part)
        starts = np.cumsum([0, *(nrow * strides)])
        part_of = np.repeat(np.arange(strides.size), np.diff(part))
        column = np.cumsum(width) - width
        column -= column[part[part_of]]
        mixed = np.array([not alike for _, alike in tiles], dtype=np.bool_)
        counts_at = np.cumsum([0, *np.where(mixed, width, 0)])
        values = _aligned_zeros(int(starts[-1]), dtype)
        counts = np.zeros(counts_at[-1])
        for t, (columns, alike) in enumerate(tiles):
            start, stop = starts[part_of[t]], starts[part_of[t] + 1]
            block = values[start:stop].reshape(nrow, -1)[:, column[t] :][:, : filled[t]]
            block[:] = np.ldexp(table[:, columns], -power[columns])
            if not alike:
                counts[counts_at[t] :][: filled[t]] = multiplicity[columns]
        first = np.array([columns[0] for columns, _ in tiles], dtype=np.int64)
        return cls(
            values,
            starts[part_of] + column,
            strides[part_of],
            filled,
            segment[first],
            np.where(mixed, 0.0, multiplicity[first]),
            counts_at[:-1],
            counts,
            part,
            nrow,
            int(segment.max(initial=0)) + 1,
            math.fsum(multiplicity * power),
            _kernel.highest_level(),
        )

    def at_level(self, level: int) -> "TiledTable":
        """The same table summed with other instructions."""
        highest = _kernel.highest_level()
        if not 0 <= level <= highest:
            raise ValueError(f"level {level}: this processor has 0 to {highest}")
        return replace(self, level=level)

    def log_sum(
        self, rows: np.ndarray[Any, Any], coefficients: FloatArray, threads: int = 1
    ) -> FloatArray:
        """Log likelihood of each point.

        Parameters
        ----------
        rows : (npoint, nterm) rows of the table, or (npoint, nsegment, nterm)
        coefficients : (npoint, nterm) or (npoint, nsegment, nterm) their factors, zero or positive;
            with an axis of segments, each datum uses the set of its segment
        threads : number of threads; the result does not depend on it

        Returns
        -------
        (npoint,) ; -inf where a datum has no density, NaN where a coefficient is NaN or negative
            or their sum beyond 4e307

        Raises
        ------
        IndexError
            If a row is not one of the table.
        ValueError
            If the shapes do not fit.
        """
        return self.compiled.log_sum(_in_sets(rows), _in_sets(coefficients), threads, None)

    def log_sum_gradient(
        self, rows: np.ndarray[Any, Any], coefficients: FloatArray, threads: int = 1
    ) -> tuple[FloatArray, FloatArray]:
        """Log likelihood of each point, and its derivative by each coefficient.

        Parameters and first result as `log_sum`; the derivative has the shape of `coefficients`,
        NaN or infinite where the likelihood is zero. Threads share the points.
        """
        gradient = np.zeros(coefficients.shape)
        value = self.compiled.log_sum(
            _in_sets(rows), _in_sets(coefficients), threads, _in_sets(gradient)
        )
        return value, gradient

    def __getstate__(self) -> dict[str, Any]:
        """Everything but `compiled`, whose addresses are those of this process."""
        return {name: value for name, value in vars(self).items() if name != "compiled"}

    @cached_property
    def compiled(self) -> _kernel.Table:
        """The table as module.c holds it."""
        arrays = (
            self.values,
            self.offset,
            self.stride,
            self.filled,
            self.segment,
            self.multiplicity,
            self.counts_at,
            self.counts,
            self.part,
        )
        return _kernel.Table(arrays, self.nrow, self.nsegment, self.level, self.exponent)


def _in_sets(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(npoint, nterm) as (npoint, 1, nterm)."""
    return array[:, None] if array.ndim == 2 else array


def _aligned_zeros(size: int, dtype: str) -> np.ndarray[Any, Any]:
    """Zeros that start on a cache line."""
    line = 64
    raw = np.zeros(size * np.dtype(dtype).itemsize + line, dtype=np.uint8)
    start = -raw.ctypes.data % line
    return raw[start : start + size * np.dtype(dtype).itemsize].view(dtype)


def _width(nrow: int) -> int:
    fitting = _TILE_BYTES // (8 * max(nrow, 1))
    return max(64, min(_WIDEST, fitting // 64 * 64))


def _tiles(
    segment: IntArray, multiplicity: FloatArray, width: int
) -> Iterator[tuple[IntArray, bool]]:
    """Columns of each tile and whether their multiplicity is the same.

    All are of one segment. Those of a multiplicity that is rare in it come last, together.
    """
    order = np.lexsort((multiplicity, segment))
    change = np.diff(segment[order], prepend=-1) != 0
    for start, stop in pairwise([*np.flatnonzero(change), order.size]):
        data = order[start:stop]
        step = np.flatnonzero(np.diff(multiplicity[data]))
        alike = np.split(data, step + 1)
        rare = [group for group in alike if group.size < min(_ALIKE, data.size)]
        for group in alike:
            if group.size >= min(_ALIKE, data.size):
                yield from ((group[i : i + width], True) for i in range(0, group.size, width))
        mixed = np.concatenate(rare) if rare else data[:0]
        yield from ((mixed[i : i + width], False) for i in range(0, mixed.size, width))


def _strides(width: IntArray, part: IntArray) -> IntArray:
    """Entries of a row of each part: an odd number of vectors.

    So the rows of a tile are spread over all sets of a cache.
    """
    ends = np.cumsum([0, *width])
    return np.diff(ends[part]) // (2 * _VECTOR) * (2 * _VECTOR) + _VECTOR


def _parts(width: IntArray) -> IntArray:
    """First tile of each part, and the number of tiles."""
    ends = np.cumsum(width)
    total = int(ends[-1]) if ends.size else 0
    count = max(1, min(_PARTS, total // _PART))
    inner = np.searchsorted(ends, total * np.arange(1, count) / count)
    return np.array([0, *inner, width.size], dtype=np.int64)
