"""Parameter grids and linear interpolation between their nodes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from skymix.axes import FloatArray, IntArray

_SLACK = 1e-9  # of a cell, that rounding may lead outside the grid


@dataclass(frozen=True, eq=False)
class ParameterAxis:
    """Grid of a scanned parameter; interpolation is linear in the value or in its logarithm.

    Parameters
    ----------
    name : parameter that runs along the axis; leaves with the same name share it
    nodes : (n,) increasing values, n >= 2
    spacing : "linear" or "log"
    """

    name: str
    nodes: FloatArray
    spacing: str

    def __post_init__(self) -> None:
        if self.nodes.ndim != 1 or self.nodes.size < 2 or not np.all(np.diff(self.nodes) > 0):
            raise ValueError(f"parameter {self.name}: needs at least two increasing nodes")
        if self.spacing not in ("linear", "log"):
            raise ValueError(
                f"parameter {self.name}: spacing '{self.spacing}' is not linear or log"
            )
        if self.spacing == "log" and self.nodes[0] <= 0:
            raise ValueError(f"parameter {self.name}: log spacing needs positive nodes")

    @cached_property
    def positions(self) -> FloatArray:
        """What interpolation is linear in: the nodes or their logarithms."""
        nodes = np.log(self.nodes) if self.spacing == "log" else self.nodes
        return np.ascontiguousarray(nodes, dtype=np.float64)

    def locate(self, values: FloatArray) -> tuple[IntArray, FloatArray]:
        """Lower node of each value and the weight of the next one, (n,) each.

        Values outside the grid, which no prior allows, give a weight of NaN.
        """
        node, weight = np.empty(values.size, dtype=np.int64), np.empty(values.size)
        _locate(np.ascontiguousarray(values), self.positions, self.spacing == "log", node, weight)
        return node, weight


@dataclass(frozen=True, eq=False)
class Interpolation:
    """Multilinear interpolation in tables that each have some of the parameters.

    A table of d axes needs 2^d rows a point; its terms follow those of the table before.

    Parameters
    ----------
    column : (naxis,) parameter of each axis, table after table
    logarithmic : (naxis,) whether its spacing is
    start : (naxis + 1,) its first node in `positions`
    first_axis : (ntable + 1,) first axis of each table
    positions : nodes, or their logarithms, of all axes
    """

    column: IntArray
    logarithmic: NDArray[np.bool_]
    start: IntArray
    first_axis: IntArray
    positions: FloatArray

    @classmethod
    def of(cls, tables: Sequence[Sequence[ParameterAxis]], names: Sequence[str]) -> "Interpolation":
        """Interpolation in tables with these axes at parameters with these names."""
        axes = [axis for table in tables for axis in table]
        return cls(
            np.array([names.index(axis.name) for axis in axes], dtype=np.int64),
            np.array([axis.spacing == "log" for axis in axes], dtype=np.bool_),
            np.cumsum([0, *(axis.nodes.size for axis in axes)]),
            np.cumsum([0, *(len(table) for table in tables)]),
            np.concatenate([np.empty(0), *(axis.positions for axis in axes)]),
        )

    @cached_property
    def term_counts(self) -> tuple[int, ...]:
        """Number of terms of each table."""
        return tuple((2 ** np.diff(self.first_axis)).tolist())

    def terms(
        self, theta: FloatArray, factor: FloatArray, offset: IntArray
    ) -> tuple[IntArray, FloatArray]:
        """Rows and coefficients of each point, (n, nterm).

        Parameters
        ----------
        theta : (n, ndim) parameters
        factor : (n, ntable) factor of all coefficients of a table
        offset : (ntable,) its first row
        """
        shape = theta.shape[0], sum(self.term_counts)
        rows, coefficients = np.empty(shape, dtype=np.int64), np.empty(shape)
        _fill_terms(
            np.ascontiguousarray(theta),
            factor,
            offset,
            self.column,
            self.logarithmic,
            self.start,
            self.first_axis,
            self.positions,
            rows,
            coefficients,
        )
        return rows, coefficients


@njit(cache=True, nogil=True, error_model="numpy")
def _place(value: float, positions: Any, logarithmic: bool) -> tuple[int, float]:
    x = np.log(value) if logarithmic else value
    node = min(max(np.searchsorted(positions, x, side="right") - 1, 0), positions.size - 2)
    fraction = (x - positions[node]) / (positions[node + 1] - positions[node])
    if not (-_SLACK <= fraction <= 1 + _SLACK):
        return node, np.nan
    return node, min(max(fraction, 0.0), 1.0)


@njit(cache=True, nogil=True)
def _locate(values: Any, positions: Any, logarithmic: bool, node: Any, weight: Any) -> None:
    for i in range(values.size):
        node[i], weight[i] = _place(values[i], positions, logarithmic)


@njit(cache=True, nogil=True)
def _fill_terms(
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
    for i in range(theta.shape[0]):
        at = 0
        for k in range(offset.size):
            rows[i, at], coefficients[i, at] = 0, factor[i, k]
            count = 1
            for a in range(first_axis[k], first_axis[k + 1]):
                grid = positions[start[a] : start[a + 1]]
                node, upper = _place(theta[i, column[a]], grid, logarithmic[a])
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
