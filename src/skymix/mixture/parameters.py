"""Parameter grids and linear interpolation between their nodes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.mixture import _kernel


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
        one, first = np.ones((values.size, 1)), np.zeros(1, dtype=np.int64)
        rows, weights = self._alone.terms(values[:, None], one, first)
        return rows[:, 0], weights[:, 1]

    @cached_property
    def _alone(self) -> "Interpolation":
        return Interpolation.of([[self]], [self.name])


@dataclass(frozen=True, eq=False)
class Interpolation:
    """Multilinear interpolation in tables that each have some of the parameters.

    A table of d axes needs 2^d rows a point; its terms follow those of the table before.

    Parameters
    ----------
    column : (naxis,) parameter of each axis, table after table
    logarithmic : (naxis,) 1 if its spacing is, else 0
    start : (naxis + 1,) its first node in `positions`
    first_axis : (ntable + 1,) first axis of each table
    positions : nodes, or their logarithms, of all axes
    """

    column: IntArray
    logarithmic: IntArray
    start: IntArray
    first_axis: IntArray
    positions: FloatArray

    @classmethod
    def of(cls, tables: Sequence[Sequence[ParameterAxis]], names: Sequence[str]) -> "Interpolation":
        """Interpolation in tables with these axes at parameters with these names."""
        axes = [axis for table in tables for axis in table]
        return cls(
            np.array([names.index(axis.name) for axis in axes], dtype=np.int64),
            np.array([axis.spacing == "log" for axis in axes], dtype=np.int64),
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
        return _kernel.terms(theta, factor, self.grids(offset))

    def grids(
        self, offset: IntArray
    ) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray, FloatArray]:
        """What the compiled kernel needs of tables whose first rows are these."""
        axes = self.column, self.logarithmic, self.start, self.first_axis
        return offset, *axes, self.positions
