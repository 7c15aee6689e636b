"""What a sampler needs of a model: batched prior transform and likelihood."""

from typing import Protocol

from skymix.axes import FloatArray


class Problem(Protocol):
    """A prior and a likelihood; a single point is a batch of one."""

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
