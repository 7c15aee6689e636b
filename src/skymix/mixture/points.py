"""From parameters to weights, table rows and coefficients, and on to the kernel, in compiled code.

All in one file, as numba's cache of a function does not notice changes of others elsewhere.
"""

from typing import Any

import numpy as np
from numba import njit

from skymix.axes import FloatArray, IntArray
from skymix.mixture.kernel import LOG_SUM

# Edges of a tree whose share is not a free fraction.
REST, FIXED = -1, -2
_SLACK = 1e-9  # of a cell, that rounding may lead outside the grid


@njit(cache=True, nogil=True)
def leaf_weights(fractions: Any, parent: Any, column: Any, leaf: Any, fixed: Any, out: Any) -> None:
    """Weights, (n, nleaf), of free fractions (n, at least ndim), along the edges of a tree."""
    weight = np.empty(parent.size + 1)
    weight[0] = 1.0
    for i in range(fractions.shape[0]):
        left = 1.0
        for e in range(parent.size):
            if column[e] == FIXED:
                share = fixed[e]
            elif column[e] == REST:
                share, left = max(left, 0.0), 1.0
            else:
                share = fractions[i, column[e]]
                left -= share
            weight[e + 1] = weight[parent[e]] * share
            if leaf[e] >= 0:
                out[i, leaf[e]] = weight[e + 1]


@njit(cache=True, nogil=True, error_model="numpy")
def _place(value: float, positions: Any, logarithmic: bool) -> tuple[int, float]:
    """Lower node of a value and the weight of the next one, NaN outside the grid."""
    x = np.log(value) if logarithmic else value
    last = positions.size - 2
    first, end = positions[0], positions[last + 1]
    # On an even grid this is the node, or next to it.
    guess = (x - first) / (end - first) * (last + 1)
    node = int(min(max(guess, 0.0), last)) if guess == guess else 0
    if not positions[node] <= x < positions[node + 1]:
        node = min(max(np.searchsorted(positions, x, side="right") - 1, 0), last)
    fraction = (x - positions[node]) / (positions[node + 1] - positions[node])
    if not (-_SLACK <= fraction <= 1 + _SLACK):
        return node, np.nan
    return node, min(max(fraction, 0.0), 1.0)


@njit(cache=True, nogil=True)
def locate(values: Any, positions: Any, logarithmic: bool, node: Any, weight: Any) -> None:
    """Lower node and weight of the next one for each value."""
    for i in range(values.size):
        node[i], weight[i] = _place(values[i], positions, logarithmic)


@njit(cache=True, nogil=True)
def fill_terms(
    theta: Any,
    factor: Any,
    offset: Any,
    column: Any,
    logarithmic: Any,
    start: Any,
    first_axis: Any,
    positions: Any,
    rows: Any,
    coefficients: Any,
) -> None:
    """Rows and coefficients of `Interpolation.terms`."""
    for i in range(theta.shape[0]):
        at = 0
        for k in range(offset.size):
            rows[i, at], coefficients[i, at] = 0, factor[i, k]
            count = 1
            for a in range(first_axis[k], first_axis[k + 1]):
                grid = positions[start[a] : start[a + 1]]
                node, upper = _place(theta[i, column[a]], grid, logarithmic[a] != 0)
                for low in range(at, at + count):
                    high = low + count
                    rows[i, low] = rows[i, low] * grid.size + node
                    rows[i, high] = rows[i, low] + 1
                    coefficients[i, high] = coefficients[i, low] * upper
                    coefficients[i, low] *= 1 - upper
                count *= 2
            for t in range(at, at + count):
                rows[i, t] += offset[k]
            at += count


def pack(
    edges: tuple[IntArray, IntArray, IntArray, FloatArray],
    interpolation: tuple[IntArray, ...],
    positions: FloatArray,
    record: IntArray,
    threads: int,
    constant: float,
) -> tuple[IntArray, FloatArray]:
    """What `log_likelihood` needs, in two arrays: each argument of a compiled call costs 50 ns.

    Parameters
    ----------
    edges : parent, column, leaf and fixed share of each edge of the tree
    interpolation : offset, column, logarithmic, start and first_axis, as `fill_terms` takes them
    positions : of the nodes
    record : of the table, for the kernel
    threads : number of threads
    constant : added to each log likelihood
    """
    integers = [*edges[:3], *interpolation, record, np.array([threads])]
    sizes = [array.size for array in integers]
    whole = np.concatenate([np.cumsum([0, *sizes]) + len(sizes) + 1, *integers])
    return whole.astype(np.int64), np.concatenate([[constant], edges[3], positions])


@njit(cache=True, nogil=True)
def log_likelihood(theta: Any, integers: Any, floats: Any, value: Any) -> int:
    """Log likelihood of each point of a `TabulatedMixture`; 0, or what went wrong."""
    at = integers
    parent, column, leaf = at[at[0] : at[1]], at[at[1] : at[2]], at[at[2] : at[3]]
    offset, axis = at[at[3] : at[4]], at[at[4] : at[5]]
    logarithmic, start = at[at[5] : at[6]], at[at[6] : at[7]]
    first_axis, record, threads = at[at[7] : at[8]], at[at[8] : at[9]], at[at[9]]
    npoint = theta.shape[0]
    nterm = 0
    for k in range(offset.size):
        nterm += 1 << (first_axis[k + 1] - first_axis[k])
    weights = np.empty((npoint, offset.size))
    leaf_weights(theta, parent, column, leaf, floats[1 : parent.size + 1], weights)
    rows, coefficients = np.empty((npoint, nterm), np.int64), np.empty((npoint, nterm))
    positions = floats[parent.size + 1 :]
    fill_terms(
        theta,
        weights,
        offset,
        axis,
        logarithmic,
        start,
        first_axis,
        positions,
        rows,
        coefficients,
    )
    failed: int = LOG_SUM(
        record.ctypes.data,
        rows.ctypes.data,
        coefficients.ctypes.data,
        npoint,
        1,
        1,
        nterm,
        threads,
        value.ctypes.data,
        np.uintp(0),
    )
    for i in range(npoint):
        value[i] += floats[0]
    return failed
