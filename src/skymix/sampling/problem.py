"""What a sampler needs of a model: batched prior transform and likelihood."""

from typing import Protocol

import numpy as np

from skymix.axes import FloatArray
from skymix.errors import SkymixError


class Problem(Protocol):
    """A prior and a likelihood; a single point is a batch of one.

    The values of a point must not depend, to the last bit, on the other points of its batch.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names fit for an axis."""

    def prior_transform(self, u: FloatArray) -> FloatArray:
        """Parameters, (n, ndim), of unit-cube points (n, ndim)."""

    def log_likelihood(self, theta: FloatArray) -> FloatArray:
        """Log likelihood, (n,), of parameters (n, ndim)."""


def checked_likelihood(problem: Problem, theta: FloatArray) -> FloatArray:
    """Log likelihood, (n,), of parameters (n, ndim).

    Raises
    ------
    SkymixError
        If it is not a number somewhere, or infinite.
    """
    value = problem.log_likelihood(theta)
    wrong = ~(value < np.inf)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        what = "not a number" if np.isnan(value[first]) else "infinite"
        at = theta[first]
        named = ", ".join(f"{n} = {x:.6g}" for n, x in zip(problem.names, at, strict=True))
        raise SkymixError(f"the likelihood is {what} at {named}; check the data and the model")
    return value
