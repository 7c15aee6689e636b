"""How far linear interpolation between the nodes of a scan is from the exact density."""

from typing import Any

from numba import njit

from skymix.axes import FloatArray
from skymix.domains.gamma.components.base import Parameter
from skymix.domains.gamma.rows import Rows


def interpolation_error(
    parameters: tuple[Parameter, ...],
    density: FloatArray,
    between: FloatArray,
    multiplicity: FloatArray,
) -> float:
    """Largest relative error halfway between nodes; bright data count most.

    Parameters
    ----------
    density : (nrow, ndatum) of `Rows.grid`
    between : (nmidpoint, ndatum) of `Rows.midpoints`
    multiplicity : (ndatum,)
    """
    below, above = Rows.neighbours(parameters)
    return float(_largest_change(density, between, below, above, multiplicity))


@njit(cache=True, fastmath={"reassoc"})
def _largest_change(density: Any, between: Any, below: Any, above: Any, multiplicity: Any) -> float:
    largest = 0.0
    for m in range(below.size):
        low, high, exact = density[below[m]], density[above[m]], between[m]
        difference, total = 0.0, 0.0
        for i in range(multiplicity.size):
            difference += multiplicity[i] * abs(0.5 * (low[i] + high[i]) - exact[i])
            total += multiplicity[i] * exact[i]
        if total > 0.0:
            largest = max(largest, difference / total)
    return largest
