"""Upper limits on an amplitude, with a flat prior from zero, at fixed values of a parameter.

The posterior of the amplitude ends far below any bound that a study would set, so it is sampled
with a flat prior that ends where the posterior has ended; the evidence is corrected for the rest of
the prior's range, in which the likelihood is negligible.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from skymix.axes import FloatArray
from skymix.errors import SkymixError
from skymix.sampling.conditional import Peak, sample_conditional
from skymix.sampling.problem import Problem

_DECADES = 9  # below the largest amplitude, in which the likelihood's width is looked for
_PER_DECADE = 8
_DROP = 2.0  # of ln L that marks the width
_WIDE = 6.0  # range of the prior over this width
_FULL = 0.4  # of this range, above which a limit wants a wider one
_EMPTY = 0.02  # and below which a narrower one
_ROUNDS = 12
_AT_BOUND = 0.01  # share of the posterior in the last tenth of the prior that is too much


@dataclass(frozen=True, eq=False)
class Null:
    """A fit with the amplitude at zero.

    Parameters
    ----------
    theta : (ndim,) posterior mean of all parameters
    log_evidence, log_evidence_error : of the free ones
    """

    theta: FloatArray
    log_evidence: float
    log_evidence_error: float


@dataclass(frozen=True, eq=False)
class UpperLimits:
    """Limits at each value of the parameter, (nvalue,) each.

    Parameters
    ----------
    null : fit with the amplitude at zero
    limit : upper limit of the amplitude
    log_evidence, log_evidence_error : with the amplitude free
    """

    null: Null
    limit: FloatArray
    log_evidence: FloatArray
    log_evidence_error: FloatArray

    @property
    def log_bayes(self) -> FloatArray:
        """Logarithm of the evidence over that of the amplitude at zero."""
        return self.log_evidence - self.null.log_evidence


def fit_null(problem: Problem, fixed: Mapping[str, float], draws: int, seed: int) -> Null:
    """Fit with some parameters fixed, among them an amplitude at zero."""
    if set(fixed) == set(problem.names):
        theta = np.array([[fixed[name] for name in problem.names]])
        return Null(theta[0], float(problem.log_likelihood(theta)[0]), 0.0)
    run, _ = sample_conditional(problem, fixed, draws, seed)
    mean = np.exp(run.log_weight) @ run.samples
    # A mean of equal numbers may be off by its rounding, and so beyond the end of a grid.
    mean[[problem.names.index(name) for name in fixed]] = list(fixed.values())
    return Null(mean, run.log_evidence, run.log_evidence_error)


def upper_limits(
    problem: Problem,
    amplitude: str,
    largest: float,
    parameter: str,
    values: FloatArray,
    level: float,
    draws: int,
    seed: int,
) -> UpperLimits:
    """Upper limits on an amplitude with a flat prior, at each value of a parameter.

    Parameters
    ----------
    problem : prior and likelihood
    amplitude : name of the amplitude; its prior in the problem does not matter
    largest : where its flat prior from zero ends
    parameter, values : what is held, and at which values, (nvalue,)
    level : credibility of the limits
    draws, seed : of the sampler

    Raises
    ------
    SkymixError
        If the posterior reaches the largest amplitude.
    """
    column, held = problem.names.index(amplitude), problem.names.index(parameter)
    null = fit_null(problem, {amplitude: 0.0, parameter: float(values[0])}, draws, seed)
    found = []
    for value in values:
        theta = null.theta.copy()
        theta[held] = value
        upper = _first_range(problem, theta, column, largest)
        fixed = {parameter: float(value)}
        found.append(_upper_limit(problem, column, largest, upper, fixed, level, draws, seed))
    limit, log_evidence, error = np.array(found).T
    return UpperLimits(null, limit, log_evidence, error)


def _upper_limit(
    problem: Problem,
    column: int,
    largest: float,
    upper: float,
    fixed: Mapping[str, float],
    level: float,
    draws: int,
    seed: int,
) -> tuple[float, float, float]:
    """Limit, log evidence and its error at one value of the parameter."""
    peak: Peak | None = None
    for _ in range(_ROUNDS):
        run, peak = sample_conditional(_Flat(problem, column, upper), fixed, draws, seed, peak)
        value, share = run.samples[:, column], np.exp(run.log_weight)
        limit = weighted_quantile(value, share, level)
        if limit > _FULL * upper and upper < largest:
            upper = min(largest, 4 * upper)
        elif limit < _EMPTY * upper:
            upper = _WIDE * limit
        else:
            break
    if float(share[value > 0.9 * upper].sum()) > _AT_BOUND:
        at = ", ".join(f"{name} = {x:.4g}" for name, x in fixed.items())
        raise SkymixError(
            f"at {at} the posterior of '{problem.names[column]}' reaches the largest value of its"
            f" flat prior ({largest:g}), so there is no limit; raise limits.upper, or leave out"
            " masses that the data say nothing of"
        )
    return limit, run.log_evidence + float(np.log(upper / largest)), run.log_evidence_error


def weighted_quantile(value: FloatArray, share: FloatArray, level: float) -> float:
    """Quantile of values (n,) with shares (n,) that add up to 1."""
    order = np.argsort(value)
    below = np.cumsum(share[order]) - 0.5 * share[order]
    return float(np.interp(level, below, value[order]))


def _first_range(problem: Problem, theta: FloatArray, column: int, largest: float) -> float:
    """Range of amplitudes that holds the likelihood with all else as it is in `theta`."""
    steps = np.linspace(-_DECADES, 0.0, _DECADES * _PER_DECADE + 1)
    amplitude = np.concatenate([[0.0], largest * 10.0**steps])
    points = np.repeat(theta[None], amplitude.size, axis=0)
    points[:, column] = amplitude
    value = problem.log_likelihood(points)
    best = int(np.argmax(value))
    beyond = np.flatnonzero(value[best:] < value[best] - _DROP)
    width = amplitude[best + beyond[0]] if beyond.size else largest
    return float(min(largest, _WIDE * width))


class _Flat:
    """A problem in which one parameter is uniform from zero to a bound."""

    def __init__(self, problem: Problem, column: int, upper: float) -> None:
        self._problem, self._column, self._upper = problem, column, upper

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return self._problem.names

    @property
    def labels(self) -> tuple[str, ...]:
        """Names fit for an axis."""
        return self._problem.labels

    def prior_transform(self, u: FloatArray) -> FloatArray:
        """Parameters, (n, ndim), of unit-cube points (n, ndim)."""
        theta = self._problem.prior_transform(u)
        theta[:, self._column] = self._upper * u[:, self._column]
        return theta

    def log_likelihood(self, theta: FloatArray) -> FloatArray:
        """Log likelihood, (n,), of parameters (n, ndim)."""
        return self._problem.log_likelihood(theta)
