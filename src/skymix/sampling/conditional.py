"""Posterior and evidence of a problem with some of its parameters held at given values.

Any parameter has a standard normal prior in x = Phi^-1(u), u its unit-cube coordinate. In x the
posterior of a few free parameters is close to a Gaussian, also where it piles up at a bound of the
prior. Its mode and curvature come from finite differences in batches; draws from a Student
distribution about the mode, a part of them from the prior, are weighted by what they miss, and the
spread of the weights tells how far to trust them.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import special

from skymix.axes import FloatArray, IntArray
from skymix.errors import SkymixError
from skymix.sampling.laplace import LaplaceRun, weighted_run
from skymix.sampling.problem import Problem

SMALLEST_SIZE = 400

_PRIOR_SHARE = 0.05  # of the draws
_FREEDOM = 8.0  # degrees of freedom of the Student distribution
_INFLATION = 1.1
_ROUNDS = 5  # proposals, each fitted to the draws from the one before
_GOOD = 0.2  # effective share of the draws that needs no better proposal
_STARTS = 256
_NEWTON_STEPS = 80
_LONGEST_STEP = 1.0
_PRECISE = 0.02  # of the posterior's width
_SHRINK = np.array([1.0, 0.3, 0.1, 0.02, 0.002])
_FLATTEST = 0.05  # smallest curvature; the prior's is 1
_CHUNK = 16_384  # points in one likelihood call


@dataclass(frozen=True, eq=False)
class Peak:
    """A Gaussian description of the posterior in x.

    Parameters
    ----------
    x : (nfree,) mode
    deviation : (nfree,) standard deviations along the principal axes
    axes : (nfree, nfree) principal axes in columns
    """

    x: FloatArray
    deviation: FloatArray
    axes: FloatArray


def sample_conditional(
    problem: Problem,
    fixed: Mapping[str, float],
    draws: int,
    seed: int,
    start: Peak | None = None,
) -> tuple[LaplaceRun, Peak]:
    """Weighted draws and evidence of a problem at fixed values of some parameters.

    The evidence is the integral over the free parameters only.

    Parameters
    ----------
    problem : prior and likelihood
    fixed : value of each parameter that is held
    draws : number of draws, of which at least `SMALLEST_SIZE` must be worth independent ones
    seed : of the draws
    start : peak of a similar problem of the same free parameters

    Returns
    -------
    the draws, of all parameters, and the peak that they were drawn about

    Raises
    ------
    SkymixError
        If a fixed parameter is unknown, all are fixed, the likelihood is zero everywhere, or the
        draws are worth too few.
    """
    began = time.monotonic()
    target = _Target(problem, fixed)
    rng = np.random.default_rng(seed)
    peak = _find_peak(target, _best_start(target, rng, start))
    for _ in range(_ROUNDS):
        x = _draw(peak, draws, rng)
        theta = target.parameters(x)
        log_likelihood = target.log_likelihood(theta)
        log_weight = log_likelihood + target.log_prior(x) - _log_density(peak, x)
        seconds = time.monotonic() - began
        run = weighted_run(problem.names, theta, log_likelihood, log_weight, target.calls, seconds)
        if run.effective_size >= _GOOD * draws:
            break
        peak = _refitted(peak, x, special.softmax(log_weight))
    if run.effective_size < SMALLEST_SIZE:
        at = ", ".join(f"{name} = {value:g}" for name, value in fixed.items())
        raise SkymixError(
            f"{draws} draws from a Gaussian description of the posterior{' at ' + at if at else ''}"
            f" are worth {run.effective_size:.0f} (at least {SMALLEST_SIZE} are needed); use more"
            " draws or narrower priors"
        )
    return run, peak


class _Target:
    """Log posterior of the free parameters in x; counts the likelihood calls."""

    def __init__(self, problem: Problem, fixed: Mapping[str, float]) -> None:
        if unknown := set(fixed) - set(problem.names):
            raise SkymixError(
                f"no parameter {', '.join(sorted(unknown))}; there are {', '.join(problem.names)}"
            )
        self._problem = problem
        self._values = [(problem.names.index(name), value) for name, value in fixed.items()]
        held = {j for j, _ in self._values}
        self._free: IntArray = np.array(
            [j for j in range(len(problem.names)) if j not in held], dtype=np.int64
        )
        if not self._free.size:
            raise SkymixError("all parameters are fixed, there is nothing to sample")
        self.calls = 0

    @property
    def ndim(self) -> int:
        return int(self._free.size)

    def parameters(self, x: FloatArray) -> FloatArray:
        """All parameters, (n, ndim), from x, (n, nfree)."""
        u = np.full((x.shape[0], len(self._problem.names)), 0.5)
        # Inside the cube: an unbounded prior is infinite at its faces.
        u[:, self._free] = np.clip(special.ndtr(x), np.finfo(float).tiny, 1 - 2**-53)
        theta = self._problem.prior_transform(u)
        for column, value in self._values:
            theta[:, column] = value
        return theta

    def log_likelihood(self, theta: FloatArray) -> FloatArray:
        self.calls += theta.shape[0]
        parts = range(0, theta.shape[0], _CHUNK)
        return np.concatenate([self._problem.log_likelihood(theta[i : i + _CHUNK]) for i in parts])

    def log_prior(self, x: FloatArray) -> FloatArray:
        return _log_normal(x)

    def log_posterior(self, x: FloatArray) -> FloatArray:
        value = self.log_likelihood(self.parameters(x)) + self.log_prior(x)
        return np.where(np.isnan(value), -np.inf, value)


def _best_start(target: _Target, rng: np.random.Generator, start: Peak | None) -> FloatArray:
    """The best of some draws from the prior, its middle, and the given start."""
    x = np.concatenate([np.zeros((1, target.ndim)), rng.standard_normal((_STARTS, target.ndim))])
    if start is not None:
        x = np.concatenate([x, start.x[None]])
    value = target.log_posterior(x)
    if not np.isfinite(value).any():
        raise SkymixError(
            f"the likelihood is zero at {len(x)} points of the prior; check model, priors and"
            " tables"
        )
    return np.asarray(x[int(np.argmax(value))])


def _find_peak(target: _Target, x: FloatArray) -> Peak:
    """Mode by Newton's method with finite differences, whose steps follow the width."""
    step = np.full(target.ndim, 1e-2)
    for _ in range(_NEWTON_STEPS):
        value, gradient, hessian = _derivatives(target, x, step)
        if not (np.isfinite(gradient).all() and np.isfinite(hessian).all()):
            step = 0.1 * step
            if step.max() < 1e-9:
                break
            continue
        curvature, axes = np.linalg.eigh(-hessian)
        curvature = np.maximum(np.abs(curvature), _FLATTEST)
        along = axes.T @ gradient
        step = np.clip(0.3 / np.sqrt(np.maximum(-np.diag(hessian), 1.0)), 1e-6, 0.1)
        if np.max(np.abs(along) / np.sqrt(curvature)) < _PRECISE:
            return Peak(x, 1 / np.sqrt(curvature), axes)
        move = axes @ (along / curvature)
        move *= min(1.0, _LONGEST_STEP / float(np.max(np.abs(move))))
        trials = x + _SHRINK[:, None] * move
        values = target.log_posterior(trials)
        best = int(np.argmax(values))
        if values[best] <= value:
            return Peak(x, 1 / np.sqrt(curvature), axes)
        x = trials[best]
    raise SkymixError(
        "no mode of the posterior was found; use wider or narrower priors, or nested sampling"
    )


def _derivatives(
    target: _Target, x: FloatArray, step: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """Value, gradient and Hessian at x by central differences, in one batch."""
    n = x.size
    single = np.diag(step)
    i, j = np.triu_indices(n, 1)
    pair = single[i] + single[j]
    value = target.log_posterior(
        np.concatenate([x[None], x + single, x - single, x + pair, x - pair])
    )
    centre, up, down = value[0], value[1 : n + 1], value[n + 1 : 2 * n + 1]
    both = value[2 * n + 1 : 2 * n + 1 + i.size] + value[2 * n + 1 + i.size :]
    with np.errstate(invalid="ignore"):
        gradient = (up - down) / (2 * step)
        hessian = np.diag((up - 2 * centre + down) / step**2)
        single_sum = up + down
        mixed = (both - single_sum[i] - single_sum[j] + 2 * centre) / (2 * step[i] * step[j])
    hessian[i, j] = hessian[j, i] = mixed
    return float(centre), gradient, hessian


def _draw(peak: Peak, n: int, rng: np.random.Generator) -> FloatArray:
    wide = round(_PRIOR_SHARE * n)
    normal = rng.standard_normal((n - wide, peak.x.size))
    student = normal / np.sqrt(rng.chisquare(_FREEDOM, (n - wide, 1)) / _FREEDOM)
    near = peak.x + (_INFLATION * peak.deviation * student) @ peak.axes.T
    return np.concatenate([near, rng.standard_normal((wide, peak.x.size))])


def _log_density(peak: Peak, x: FloatArray) -> FloatArray:
    """Log density of what `_draw` draws from."""
    n = peak.x.size
    scale = _INFLATION * peak.deviation
    distance = ((((x - peak.x) @ peak.axes) / scale) ** 2).sum(axis=1)
    student = (
        special.gammaln((_FREEDOM + n) / 2)
        - special.gammaln(_FREEDOM / 2)
        - 0.5 * n * np.log(_FREEDOM * np.pi)
        - np.log(scale).sum()
        - 0.5 * (_FREEDOM + n) * np.log1p(distance / _FREEDOM)
    )
    return np.asarray(
        np.logaddexp(np.log(1 - _PRIOR_SHARE) + student, np.log(_PRIOR_SHARE) + _log_normal(x))
    )


def _refitted(peak: Peak, x: FloatArray, share: FloatArray) -> Peak:
    """Mean and covariance of weighted draws, held back where few draws carry the weight."""
    trust = min(1.0, 1.0 / float((share**2).sum()) / (10 * peak.x.size))
    mean = share @ x
    covariance = np.cov(x.T, aweights=share, ddof=0).reshape(peak.x.size, peak.x.size)
    before = (peak.axes * peak.deviation**2) @ peak.axes.T
    variance, axes = np.linalg.eigh(trust * covariance + (1 - trust) * before)
    deviation = np.sqrt(np.maximum(variance, 1e-16))
    return Peak(trust * mean + (1 - trust) * peak.x, deviation, axes)


def _log_normal(x: FloatArray) -> FloatArray:
    """Log density of independent standard normal variates, (n,)."""
    return np.asarray(-0.5 * (x**2).sum(axis=1) - 0.5 * x.shape[1] * np.log(2 * np.pi))
