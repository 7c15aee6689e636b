"""How far linear interpolation between the nodes of a scan is from the exact density."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from skymix.axes import FloatArray, IntArray
from skymix.domains.gamma.components.base import Parameter
from skymix.domains.gamma.rows import Rows


@dataclass(frozen=True, eq=False)
class InterpolationError:
    """Mean difference of interpolated and exact density, halfway between nodes.

    Parameters
    ----------
    below, above : (nmidpoint,) rows of the nodes on both sides
    change, size : (nmidpoint,) sums over the data so far of |difference| and of the density
    """

    below: IntArray
    above: IntArray
    change: FloatArray
    size: FloatArray

    @classmethod
    def of(cls, parameters: tuple[Parameter, ...]) -> "InterpolationError":
        """No data yet."""
        below, above = Rows.neighbours(parameters)
        return cls(below, above, np.zeros(below.size), np.zeros(below.size))

    def add(self, density: FloatArray, exact: FloatArray, multiplicity: FloatArray) -> None:
        """Add data: density (nrow, ndatum) at the nodes, exact (nmidpoint, ndatum) between them."""
        _add(density, exact, self.below, self.above, multiplicity, self.change, self.size)

    def worst(self) -> float:
        """Largest relative difference of all midpoints; bright data count most."""
        seen = self.size > 0
        return float(np.max(self.change[seen] / self.size[seen], initial=0.0))


@njit(cache=True, fastmath={"reassoc"})
def _add(
    density: Any, exact: Any, below: Any, above: Any, multiplicity: Any, change: Any, size: Any
) -> None:
    for m in range(below.size):
        low, high, truth = density[below[m]], density[above[m]], exact[m]
        difference, total = 0.0, 0.0
        for i in range(multiplicity.size):
            difference += multiplicity[i] * abs(0.5 * (low[i] + high[i]) - truth[i])
            total += multiplicity[i] * truth[i]
        change[m] += difference
        size[m] += total
