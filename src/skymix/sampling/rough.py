"""What a short nested run is good for: starts of chains, and the maximum of a likelihood.

A mixture's likelihood has maxima of no mass from which neither a chain nor a climb comes away, and
from the middle of wide priors many lead to such a one. A nested run of few live points passes them
by.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from skymix.axes import FloatArray
from skymix.errors import SkymixError
from skymix.sampling.mixture_op import DifferentiableMixture, start_at
from skymix.sampling.nested import NestedRun, sample_nested
from skymix.sampling.problem import Problem

_LIVE_POINTS, _DLOGZ = 50, 5.0
_EDGE, _STEP = 1e-6, 1e-7  # in the unit cube


class _Mixture(DifferentiableMixture, Problem, Protocol):
    """What both samplers need."""


def nuts_starts(mixture: _Mixture, chains: int, seed: int) -> list[dict[str, FloatArray]]:
    """Start of each chain, for `sample_nuts` of the model of a mixture.

    The draw of the highest likelihood comes first; the others are draws of equal weight.
    """
    run = _rough_run(mixture, seed)
    draws = run.equal_weight_draws(np.random.default_rng(seed))
    best = draws[np.argmax(run.log_likelihood[draws])]
    others = draws[np.linspace(0, draws.size - 1, chains - 1).astype(np.int64)]
    theta = mixture.prior_transform(run.samples[[best, *others]])
    return [start_at(mixture, point) for point in theta]


def highest_likelihood(mixture: _Mixture, seed: int) -> FloatArray:
    """Parameters, (ndim,), of the highest likelihood within the bounds of the priors.

    The climb, from the best point of a short nested run, is in the unit cube.

    Raises
    ------
    SkymixError
        If the climb comes to no end.
    """
    from scipy import optimize

    run = _rough_run(mixture, seed)
    best = run.samples[np.argmax(run.log_likelihood)]
    end = optimize.minimize(
        _negative, np.clip(best, _EDGE, 1 - _EDGE), mixture, jac=True, method="L-BFGS-B",
        bounds=[(_EDGE, 1 - _EDGE)] * best.size, options={"maxiter": 5000, "maxfun": 10_000},
    )  # fmt: skip
    if end.nit >= 5000 or end.nfev >= 10_000:
        raise SkymixError("the highest likelihood was not found; narrow the ranges of the priors")
    (point,) = mixture.prior_transform(end.x[None])
    return np.asarray(point)


def _negative(u: FloatArray, mixture: _Mixture) -> tuple[float, FloatArray]:
    """Minus the log likelihood at a point of the unit cube, and its derivative."""
    value, gradient = mixture.log_likelihood_gradient(mixture.prior_transform(u[None]))
    steps = _STEP * np.eye(u.size)
    jacobian = mixture.prior_transform(u + steps) - mixture.prior_transform(u - steps)
    return -float(value[0]), -(jacobian @ gradient[0]) / (2 * _STEP)


@dataclass(frozen=True)
class _InCube:
    """A problem in the coordinates of its unit cube."""

    problem: Problem

    @property
    def names(self) -> tuple[str, ...]:
        return self.problem.names

    @property
    def labels(self) -> tuple[str, ...]:
        return self.problem.labels

    def prior_transform(self, u: FloatArray) -> FloatArray:
        return u

    def log_likelihood(self, u: FloatArray) -> FloatArray:
        return self.problem.log_likelihood(self.problem.prior_transform(u))


def _rough_run(mixture: Problem, seed: int) -> NestedRun:
    return sample_nested(_InCube(mixture), _LIVE_POINTS, _DLOGZ, "single", "rwalk", seed)
