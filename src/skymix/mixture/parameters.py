"""Parameter grids and linear interpolation between their nodes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skymix.axes import FloatArray, IntArray


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
    def _positions(self) -> FloatArray:
        return np.log(self.nodes) if self.spacing == "log" else self.nodes

    def locate(self, values: FloatArray) -> tuple[IntArray, FloatArray]:
        """Lower node of each value and the weight of the next one, (n,) each.

        Values outside the grid, which no prior allows, give a weight of NaN.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            x = np.log(values) if self.spacing == "log" else values
        positions = self._positions
        node = np.clip(np.searchsorted(positions, x, side="right") - 1, 0, positions.size - 2)
        width = positions[node + 1] - positions[node]
        fraction = (x - positions[node]) / width
        slack = 1e-9
        inside = (fraction >= -slack) & (fraction <= 1 + slack)
        return node, np.where(inside, np.clip(fraction, 0.0, 1.0), np.nan)
