"""dynesty's random walks and random slices for many tasks in lock-step.

Each task takes the numbers of its own stream in the order in which dynesty's function would, and
no sum runs in an order that depends on the number of tasks, so that what a task finds depends
neither on the other tasks nor on the batching, to the last bit.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from dynesty.internal_samplers import SamplerReturn
from dynesty.utils import LoglOutput

from skymix.axes import FloatArray, IntArray
from skymix.errors import SkymixError
from skymix.sampling.problem import Problem, checked_likelihood

# Beyond so many steps out of a slice dynesty turns to doubling, which is not batched.
_MOST_STEPS_OUT = 1000


def random_walks(problem: Problem, tasks: Sequence[Any]) -> list[Any]:
    """Every task walks as dynesty's rwalk does: steps uniform in the scaled ellipsoid."""
    first = tasks[0]
    threshold, scale, walks = first.loglstar, first.scale, first.kwargs["walks"]
    u = np.array([task.u for task in tasks])
    axes = np.array([task.axes for task in tasks])
    n, ndim = u.shape
    clustered = axes.shape[1]
    streams = [np.random.default_rng(task.rseed) for task in tasks]
    steps = np.array([ball(r, walks, clustered) for r in streams])
    free = np.array([r.random((walks, ndim - clustered)) for r in streams])
    theta = problem.prior_transform(u)
    logl = np.full(n, -np.inf)
    accepted, evaluated = np.zeros((2, n), dtype=np.int64)
    for step in range(walks):
        proposal = u.copy()
        proposal[:, :clustered] += scale * images(axes, steps[:, step])
        proposal[:, clustered:] = free[:, step]
        inside = np.flatnonzero(((proposal > 0) & (proposal < 1)).all(axis=1))
        if not inside.size:
            continue
        there = problem.prior_transform(proposal[inside])
        value = checked_likelihood(problem, there)
        evaluated[inside] += 1
        up = value > threshold
        moved = inside[up]
        u[moved], theta[moved], logl[moved] = proposal[moved], there[up], value[up]
        accepted[moved] += 1
    stayed = accepted == 0
    if stayed.any():
        logl[stayed] = checked_likelihood(problem, theta[stayed])
        evaluated[stayed] += 1
    results = []
    for i in range(n):
        taken, left = int(accepted[i]), int(walks - accepted[i])
        tuning = {"accept": taken, "reject": left, "scale": scale}
        stats = {"n_accept": taken, "n_reject": left, "n_evaluated": int(evaluated[i])}
        results.append(sampler_result(u[i], theta[i], logl[i], walks, tuning, stats))
    return results


def random_slices(problem: Problem, tasks: Sequence[Any], alone: Callable[[Any], Any]) -> list[Any]:
    """Every task slices as dynesty's rslice does without doubling.

    Parameters
    ----------
    alone : dynesty's own function, for a task whose slice never ends: it turns to doubling
    """
    slices = _Slices(problem, tasks)
    for _ in range(tasks[0].kwargs["slices"]):
        slices.take_one()
    theta = problem.prior_transform(slices.u)
    results = []
    for i, task in enumerate(tasks):
        if slices.endless[i]:
            results.append(attached(problem, task, alone, int(slices.evaluated[i])))
            continue
        stats = {"n_expand": int(slices.out[i]), "n_contract": int(slices.inward[i])}
        tuning = stats | {"expansion_warning_set": False}
        stats["n_evaluated"] = int(slices.evaluated[i])
        calls = int(slices.calls[i])
        results.append(sampler_result(slices.u[i], theta[i], slices.logl[i], calls, tuning, stats))
    return results


class _Slices:
    """State of the slices of all tasks: positions, likelihoods, counts."""

    def __init__(self, problem: Problem, tasks: Sequence[Any]) -> None:
        self._problem = problem
        self._threshold, self._scale = tasks[0].loglstar, tasks[0].scale
        self._axes = np.array([task.axes for task in tasks])
        self._streams = [np.random.default_rng(task.rseed) for task in tasks]
        self.u = np.array([task.u for task in tasks])
        n = len(tasks)
        self.logl = np.full(n, -np.inf)
        self.calls, self.out, self.inward, self.evaluated = np.zeros((4, n), dtype=np.int64)
        self.endless = np.zeros(n, dtype=np.bool_)

    def take_one(self) -> None:
        """Move every task along a slice in a random direction (Neal 2003)."""
        ndim = self.u.shape[1]
        normal = np.array([r.standard_normal(ndim) for r in self._streams])
        normal /= lengths(normal)[:, None]
        direction = images(self._axes, normal) * self._scale
        length = lengths(direction)[:, None]
        direction /= np.maximum(length / (math.sqrt(ndim) / 2), 1.0)
        low = -np.array([r.random() for r in self._streams])
        high = 1 + low
        before = self.out.copy()
        self._step_out(direction, low, -1.0)
        self._step_out(direction, high, 1.0)
        self.endless |= self.out - before > _MOST_STEPS_OUT
        moving = np.flatnonzero(~self.endless)
        while moving.size:
            random = np.array([self._streams[i].random() for i in moving])
            x = low[moving] + random * (high[moving] - low[moving])
            there, value = self._try(moving, x, direction)
            self.inward[moving] += 1
            up = value > self._threshold
            if np.any(x[~up] == 0):
                raise SkymixError(
                    "the slice sampler finds no point above the likelihood bound; check that the"
                    " likelihood is a function of the parameters only"
                )
            self.u[moving[up]], self.logl[moving[up]] = there[up], value[up]
            left, right = moving[~up & (x < 0)], moving[~up & (x > 0)]
            low[left], high[right] = x[~up & (x < 0)], x[~up & (x > 0)]
            moving = moving[~up]

    def _step_out(self, direction: FloatArray, end: FloatArray, way: float) -> None:
        """Move the ends of the slices out until they lie below the bound."""
        moving = np.flatnonzero(~self.endless)
        for _ in range(_MOST_STEPS_OUT + 2):
            if not moving.size:
                return
            _, value = self._try(moving, end[moving], direction)
            moving = moving[value > self._threshold]
            end[moving] += way
            self.out[moving] += 1

    def _try(
        self, which: IntArray, x: FloatArray, direction: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Points of some tasks at places along their slices, and ln L there."""
        there = self.u[which] + x[:, None] * direction[which]
        value = np.full(which.size, -np.inf)
        inside = ((there > 0) & (there < 1)).all(axis=1)
        if inside.any():
            theta = self._problem.prior_transform(there[inside])
            value[inside] = checked_likelihood(self._problem, theta)
        self.evaluated[which] += inside
        self.calls[which] += 1
        return there, value


def ball(rng: np.random.Generator, n: int, ndim: int) -> FloatArray:
    """Points uniform in the unit ball, (n, ndim)."""
    x = rng.standard_normal((n, ndim))
    radius = rng.random(n) ** (1 / ndim)
    return np.asarray(x * (radius / lengths(x))[:, None])


def images(matrices: FloatArray, x: FloatArray) -> FloatArray:
    """Product of each matrix, (n or 1, d, d), with its vector, (n, d)."""
    total = matrices[:, :, 0] * x[:, :1]
    for j in range(1, x.shape[1]):
        total = total + matrices[:, :, j] * x[:, j, None]
    return np.asarray(total)


def lengths(x: FloatArray) -> FloatArray:
    """Length of each vector, (n,) of (n, d)."""
    total = x[:, 0] ** 2
    for j in range(1, x.shape[1]):
        total = total + x[:, j] ** 2
    return np.asarray(np.sqrt(total))


def attached(
    problem: Problem, task: Any, function: Callable[[Any], Any], evaluated: int = 0
) -> Any:
    """What a function of dynesty's makes of a task, given the functions of this problem.

    Parameters
    ----------
    evaluated : points that were evaluated for the task before
    """
    count = [evaluated]

    def log_likelihood(theta: FloatArray) -> Any:
        count[0] += 1
        return likelihood_output(checked_likelihood(problem, theta[None])[0])

    result = function(
        task._replace(
            prior_transform=lambda u: problem.prior_transform(u[None])[0],
            loglikelihood=log_likelihood,
        )
    )
    stats = dict(result.proposal_stats or {}) | {"n_evaluated": count[0]}
    return result._replace(proposal_stats=stats)


def likelihood_output(value: float) -> Any:
    """A log likelihood as dynesty wants it."""
    return LoglOutput(float(value), False)


def sampler_result(
    u: FloatArray, v: FloatArray, logl: float, calls: int, tuning: Any, stats: Any
) -> Any:
    """What a function of dynesty's internal samplers returns."""
    return SamplerReturn(
        u=u,
        v=v,
        logl=likelihood_output(logl),
        ncalls=calls,
        tuning_info=tuning,
        evaluation_history=[],
        proposal_stats=stats,
    )
