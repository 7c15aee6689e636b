"""dynesty's random walks and random slices for many tasks in lock-step.

Each task takes the numbers of its own stream in the order in which dynesty's function would, so
that what it finds depends neither on the other tasks nor on the batching.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from dynesty.internal_samplers import SamplerReturn
from dynesty.utils import LoglOutput

from skymix.axes import FloatArray, IntArray
from skymix.errors import SkymixError
from skymix.sampling.problem import Problem

Evaluate = Callable[[FloatArray], FloatArray]

# Beyond so many steps out of a slice dynesty turns to doubling, which is not batched.
_MOST_STEPS_OUT = 1000


def random_walks(problem: Problem, evaluate: Evaluate, tasks: list[Any]) -> list[Any]:
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
    accepted = np.zeros(n, dtype=np.int64)
    for step in range(walks):
        proposal = u.copy()
        proposal[:, :clustered] += scale * np.einsum("nij,nj->ni", axes, steps[:, step])
        proposal[:, clustered:] = free[:, step]
        inside = np.flatnonzero(((proposal > 0) & (proposal < 1)).all(axis=1))
        if not inside.size:
            continue
        there = problem.prior_transform(proposal[inside])
        value = evaluate(there)
        up = value > threshold
        moved = inside[up]
        u[moved], theta[moved], logl[moved] = proposal[moved], there[up], value[up]
        accepted[moved] += 1
    stayed = accepted == 0
    if stayed.any():
        logl[stayed] = evaluate(theta[stayed])
    results = []
    for i in range(n):
        taken, left = int(accepted[i]), int(walks - accepted[i])
        tuning = {"accept": taken, "reject": left, "scale": scale}
        stats = {"n_accept": taken, "n_reject": left}
        results.append(sampler_result(u[i], theta[i], logl[i], walks, tuning, stats))
    return results


def random_slices(
    problem: Problem, evaluate: Evaluate, tasks: list[Any], alone: Callable[[Any], Any]
) -> list[Any]:
    """Every task slices as dynesty's rslice does without doubling.

    Parameters
    ----------
    alone : dynesty's own function, for a task whose slice never ends: it turns to doubling
    """
    slices = _Slices(problem, evaluate, tasks)
    for _ in range(tasks[0].kwargs["slices"]):
        slices.take_one()
    theta = problem.prior_transform(slices.u)
    results = []
    for i, task in enumerate(tasks):
        if slices.endless[i]:
            results.append(alone(task))
            continue
        stats = {"n_expand": int(slices.out[i]), "n_contract": int(slices.inward[i])}
        tuning = stats | {"expansion_warning_set": False}
        calls = int(slices.calls[i])
        results.append(sampler_result(slices.u[i], theta[i], slices.logl[i], calls, tuning, stats))
    return results


class _Slices:
    """State of the slices of all tasks: positions, likelihoods, counts."""

    def __init__(self, problem: Problem, evaluate: Evaluate, tasks: list[Any]) -> None:
        self._problem, self._evaluate = problem, evaluate
        self._threshold, self._scale = tasks[0].loglstar, tasks[0].scale
        self._axes = np.array([task.axes for task in tasks])
        self._streams = [np.random.default_rng(task.rseed) for task in tasks]
        self.u = np.array([task.u for task in tasks])
        n = len(tasks)
        self.logl = np.full(n, -np.inf)
        self.calls, self.out, self.inward = (np.zeros(n, dtype=np.int64) for _ in range(3))
        self.endless = np.zeros(n, dtype=np.bool_)

    def take_one(self) -> None:
        """Move every task along a slice in a random direction (Neal 2003)."""
        ndim = self.u.shape[1]
        normal = np.array([r.standard_normal(ndim) for r in self._streams])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        direction = np.einsum("nij,nj->ni", self._axes, normal) * self._scale
        length = np.linalg.norm(direction, axis=1, keepdims=True)
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
            value[inside] = self._evaluate(self._problem.prior_transform(there[inside]))
        self.calls[which] += 1
        return there, value


def ball(rng: np.random.Generator, n: int, ndim: int) -> FloatArray:
    """Points uniform in the unit ball, (n, ndim)."""
    x = rng.standard_normal((n, ndim))
    radius = rng.random(n) ** (1 / ndim)
    return np.asarray(x * (radius / np.linalg.norm(x, axis=1))[:, None])


def sampler_result(
    u: FloatArray, v: FloatArray, logl: float, calls: int, tuning: Any, stats: Any
) -> Any:
    """What a function of dynesty's internal samplers returns."""
    return SamplerReturn(
        u=u,
        v=v,
        logl=LoglOutput(float(logl), False),
        ncalls=calls,
        tuning_info=tuning,
        evaluation_history=[],
        proposal_stats=stats,
    )
