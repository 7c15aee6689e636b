"""The mixture sum over all data: sum_i c_i ln sum_r coefficient_r table[r, i].

The table is cut into tiles of a few hundred data, laid out (tile, row, datum), so that a tile
stays in cache while all points of a batch pass over it. A tile holds data of one multiplicity;
their mixture values are multiplied in groups of eight before exponents and mantissas are summed
apart, so that a tile costs one logarithm. Where a product may have left the range of normal
numbers, on the way or at its end, the tile is done again with a logarithm a datum: zeros give
-inf, never a wrong finite number.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from skymix.axes import FloatArray

# Reassociation only: no assumption that values are finite.
_FASTMATH = {"reassoc", "contract", "nsz", "arcp"}
_LN2 = math.log(2.0)
_MANTISSA = np.uint64(0x000FFFFFFFFFFFFF)
_ONE = np.uint64(0x3FF0000000000000)
_EXPONENT_BITS = np.uint64(52)
_TILE = 512
# Terms that the fast inner loop sums; a mixture of more is summed in a buffer.
_TERMS = 6
# Tiles whose sum is one task of a thread; fixed, so that threads do not change the rounding.
_TILES_A_SUM = 64


@dataclass(frozen=True, eq=False)
class TiledTable:
    """A table of densities cut into tiles.

    Parameters
    ----------
    values : (ntile, nrow, size) densities over the largest of their column, float64 or float32;
        1 beyond the data of a tile
    filled : (ntile,) number of data in each tile
    multiplicity : (ntile, size) of each datum
    segment : (ntile,) coefficient set that the data of each tile use
    uniform : (ntile,) whether the data of a tile share one multiplicity
    constant : sum of multiplicity x ln(largest of the column)
    """

    values: np.ndarray[Any, Any]
    filled: np.ndarray[Any, np.dtype[np.int64]]
    multiplicity: FloatArray
    segment: np.ndarray[Any, np.dtype[np.int64]]
    uniform: np.ndarray[Any, np.dtype[np.bool_]]
    constant: float

    @classmethod
    def build(
        cls,
        table: FloatArray,
        multiplicity: FloatArray,
        segment: np.ndarray[Any, np.dtype[np.int64]] | None = None,
        dtype: str = "float64",
    ) -> "TiledTable":
        """Tiles of a (nrow, ndatum) table; every column must have a positive entry.

        `segment` (ndatum,) is the number of the coefficient set of each datum, 0 if none is given.
        With `dtype` float32 the table takes half the memory and each density is rounded to 6e-8
        of the largest in its column; sums are done in float64 all the same.
        """
        largest = table.max(axis=0)
        if segment is None:
            segment = np.zeros(multiplicity.size, dtype=np.int64)
        groups = _groups(segment)
        longest = max((group.size for group in groups), default=0)
        size = max(64, min(_TILE, 64 * -(-longest // 64)))
        tiles = [group[tile] for group in groups for tile in _tiles(multiplicity[group], size)]
        values = np.ones((len(tiles), table.shape[0], size), dtype=dtype)
        filled = np.array([len(tile) for tile in tiles], dtype=np.int64)
        counts = np.ones((len(tiles), size))
        uniform = np.empty(len(tiles), dtype=np.bool_)
        for t, tile in enumerate(tiles):
            values[t, :, : tile.size] = table[:, tile] / largest[tile]
            counts[t, : tile.size] = multiplicity[tile]
            uniform[t] = np.all(multiplicity[tile] == multiplicity[tile[0]])
        constant = math.fsum(multiplicity * np.log(largest))
        of_tile = np.array([segment[tile[0]] for tile in tiles], dtype=np.int64)
        return cls(values, filled, counts, of_tile, uniform, constant)

    def log_sum(
        self, rows: np.ndarray[Any, Any], coefficients: FloatArray, threads: int = 1
    ) -> FloatArray:
        """Log likelihood of each point.

        Parameters
        ----------
        rows : (npoint, nterm) rows of the table, or (npoint, nsegment, nterm)
        coefficients : their factors, zero or positive; with an axis of segments, each datum uses
            the set of its segment
        threads : number of threads; the result does not depend on it

        Returns
        -------
        (npoint,) ; -inf where a datum has no density, NaN where a coefficient is NaN
        """
        rows, coefficients = _by_segment(rows, coefficients)
        npoint, nsegment, nterm = coefficients.shape
        shape = npoint, nsegment, max(nterm, _TERMS)
        padded_rows, padded = np.zeros(shape, dtype=np.int64), np.zeros(shape)
        # Neighbouring points then use the same rows, which are in cache.
        order = np.lexsort(rows[:, 0].T) if npoint > 1 else slice(None)
        padded_rows[..., :nterm], padded[..., :nterm] = rows[order], coefficients[order]
        starts = range(0, max(len(self.filled), 1), _TILES_A_SUM)
        found = np.zeros((len(starts), npoint))

        def add(k: int) -> None:
            part = slice(starts[k], starts[k] + _TILES_A_SUM)
            _log_sum(
                self.values[part],
                self.filled[part],
                self.multiplicity[part],
                self.segment[part],
                self.uniform[part],
                padded_rows,
                padded,
                found[k],
            )

        _each(add, len(starts), threads)
        out = np.empty(npoint)
        out[order] = found.sum(axis=0)
        return out + self.constant

    def log_sum_gradient(
        self, rows: np.ndarray[Any, Any], coefficients: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Log likelihood of each point, and its derivative by each coefficient.

        Parameters and first result as `log_sum`; the derivative has the shape of `coefficients`,
        NaN or infinite where the likelihood is zero.
        """
        rows, by_segment = _by_segment(rows, coefficients)
        out = np.zeros(rows.shape[0])
        gradient = np.zeros(by_segment.shape)
        _log_sum_gradient(
            self.values,
            self.filled,
            self.multiplicity,
            self.segment,
            np.ascontiguousarray(rows, dtype=np.int64),
            np.ascontiguousarray(by_segment),
            out,
            gradient,
        )
        return out + self.constant, gradient.reshape(coefficients.shape)


def _by_segment(
    rows: np.ndarray[Any, Any], coefficients: FloatArray
) -> tuple[np.ndarray[Any, Any], FloatArray]:
    """Both as (npoint, nsegment, nterm)."""
    if coefficients.ndim == 2:
        coefficients = coefficients[:, None]
    if rows.ndim == 2:
        rows = rows[:, None]
    return np.broadcast_to(rows, coefficients.shape), coefficients


def _groups(segment: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """Data of each segment that has some."""
    order = np.argsort(segment, kind="stable")
    _, starts = np.unique(segment[order], return_index=True)
    return np.split(order, starts[1:]) if order.size else []


def _each(work: Callable[[int], None], count: int, threads: int) -> None:
    if threads == 1 or count == 1:
        for k in range(count):
            work(k)
        return
    with ThreadPoolExecutor(threads) as pool:
        # Consumed, so that an exception of a thread is raised here.
        list(pool.map(work, range(count)))


def _tiles(multiplicity: FloatArray, size: int) -> list[np.ndarray[Any, Any]]:
    """Columns of each tile: whole tiles of one multiplicity, the remainders mixed."""
    order = np.argsort(multiplicity, kind="stable")
    _, starts = np.unique(multiplicity[order], return_index=True)
    tiles, rest = [], []
    for group in np.split(order, starts[1:]):
        whole = group.size - group.size % size
        tiles += list(group[:whole].reshape(-1, size))
        rest.append(group[whole:])
    left = np.concatenate(rest)
    tiles += [left[i : i + size] for i in range(0, left.size, size)]
    return tiles


@njit(cache=True, fastmath=_FASTMATH)
def _mix(tile: Any, rows: Any, coefficients: Any, value: Any) -> None:
    """value[i] = sum of coefficient x row, four rows at a time."""
    n = rows.size
    size = value.size
    value[:] = 0.0
    r = 0
    while r + 4 <= n:
        a, b, c, d = tile[rows[r]], tile[rows[r + 1]], tile[rows[r + 2]], tile[rows[r + 3]]
        wa, wb = coefficients[r], coefficients[r + 1]
        wc, wd = coefficients[r + 2], coefficients[r + 3]
        for i in range(size):
            value[i] += wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i]
        r += 4
    while r < n:
        a, wa = tile[rows[r]], coefficients[r]
        for i in range(size):
            value[i] += wa * a[i]
        r += 1


@njit(cache=True)
def _log_each(value: Any, multiplicity: Any, filled: int) -> float:
    total = 0.0
    for i in range(filled):
        if value[i] > 0.0:
            total += multiplicity[i] * math.log(value[i])
        elif value[i] == 0.0:
            return -np.inf
        else:
            return np.nan
    return total


@njit(cache=True, fastmath=_FASTMATH)
def _multiply(tile: Any, rows: Any, coefficients: Any, product: Any) -> None:
    """product[j] = product over k of the mixture values j + k groups, for `_TERMS` terms."""
    groups = product.size
    a, b, c = tile[rows[0]], tile[rows[1]], tile[rows[2]]
    d, e, f = tile[rows[3]], tile[rows[4]], tile[rows[5]]
    wa, wb, wc = coefficients[0], coefficients[1], coefficients[2]
    wd, we, wf = coefficients[3], coefficients[4], coefficients[5]
    for i in range(groups):
        product[i] = wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i] + we * e[i] + wf * f[i]
    for k in range(1, 8):
        o = k * groups
        for j in range(groups):
            i = o + j
            product[j] *= wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i] + we * e[i] + wf * f[i]


@njit(cache=True, fastmath=_FASTMATH)
def _multiply_buffered(value: Any, product: Any) -> None:
    groups = product.size
    for j in range(groups):
        product[j] = value[j]
    for k in range(1, 8):
        for j in range(groups):
            product[j] *= value[k * groups + j]


@njit(cache=True, fastmath=_FASTMATH)
def _log_product(product: Any, bits: Any, floor: int) -> tuple[float, bool]:
    """Sum of the logarithms of the products, and whether all of them were normal numbers.

    Products with an exponent below `floor` may have been subnormal on the way.
    """
    groups = product.size
    exponent, lowest, highest = np.uint64(0), np.uint64(2047), np.uint64(0)
    for j in range(groups):
        x = bits[j] >> _EXPONENT_BITS
        exponent += x
        lowest = min(lowest, x)
        highest = max(highest, x)
        bits[j] = (bits[j] & _MANTISSA) | _ONE
    # A negative number shows as an exponent of more than 2047: its sign.
    if lowest < floor or highest >= np.uint64(2047):
        return 0.0, False
    # Mantissas are in [1, 2): 64 of them cannot overflow.
    rest = 1.0
    for j in range(groups):
        rest *= product[j]
    return math.log(rest) + _LN2 * (np.int64(exponent) - 1023 * groups), True


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _log_sum(
    values: Any,
    filled: Any,
    multiplicity: Any,
    segment: Any,
    uniform: Any,
    rows: Any,
    coefficients: Any,
    out: Any,
) -> None:
    size = values.shape[2]
    few = rows.shape[2] == _TERMS
    value = np.empty(size)
    product = np.empty(size // 8)
    bits = product.view(np.uint64)
    floor = np.empty(rows.shape[:2], np.uint64)
    padding = np.empty(rows.shape[:2])
    for b in range(rows.shape[0]):
        for s in range(rows.shape[1]):
            total = coefficients[b, s].sum()
            # No value exceeds the sum of the coefficients: 2^(7 e) bounds what seven can regain.
            _, e = math.frexp(total)
            floor[b, s] = 1 + 7 * max(e, 0)
            padding[b, s] = math.log(total) if total > 0.0 else 0.0
    for t in range(values.shape[0]):
        s = segment[t]
        for b in range(rows.shape[0]):
            if uniform[t]:
                if few:
                    _multiply(values[t], rows[b, s], coefficients[b, s], product)
                else:
                    _mix(values[t], rows[b, s], coefficients[b, s], value)
                    _multiply_buffered(value, product)
                total, normal = _log_product(product, bits, floor[b, s])
                if normal:
                    out[b] += multiplicity[t, 0] * (total - (size - filled[t]) * padding[b, s])
                    continue
            _mix(values[t], rows[b, s], coefficients[b, s], value)
            out[b] += _log_each(value, multiplicity[t], filled[t])


@njit(cache=True, nogil=True, fastmath=_FASTMATH, error_model="numpy")
def _log_sum_gradient(
    values: Any,
    filled: Any,
    multiplicity: Any,
    segment: Any,
    rows: Any,
    coefficients: Any,
    out: Any,
    gradient: Any,
) -> None:
    value = np.empty(values.shape[2])
    for t in range(values.shape[0]):
        s = segment[t]
        for b in range(rows.shape[0]):
            _mix(values[t], rows[b, s], coefficients[b, s], value)
            out[b] += _log_each(value, multiplicity[t], filled[t])
            for i in range(filled[t]):
                value[i] = multiplicity[t, i] / value[i]
            for r in range(rows.shape[2]):
                row = values[t, rows[b, s, r]]
                total = 0.0
                for i in range(filled[t]):
                    total += value[i] * row[i]
                gradient[b, s, r] += total
