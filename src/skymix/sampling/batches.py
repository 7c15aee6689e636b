"""A pool for dynesty that draws many points at once with batched likelihood calls.

dynesty hands a pool `queue_size` independent tasks, each with a seed of its own. Uniform draws
within the bound, random walks and random slices are run for all tasks in lock-step, one batched
likelihood call a step; each task uses only its own random stream, so the outcome does not depend
on how tasks are grouped. Other tasks run one at a time.
"""

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from skymix.axes import FloatArray
from skymix.sampling.executor import Executor, Work
from skymix.sampling.problem import Problem, checked_likelihood
from skymix.sampling.walks import (
    attached,
    ball,
    images,
    likelihood_output,
    random_slices,
    random_walks,
    sampler_result,
)

_log = logging.getLogger(__name__)
_FIRST_CANDIDATES = 4
_MOST_CANDIDATES = 64
_BATCHED_BOUNDS = ("UnitCube", "Ellipsoid", "MultiEllipsoid")


class BatchPool:
    """What dynesty takes as a pool: `size` and `map`; also the scalar functions it asks for.

    Parameters
    ----------
    problem : prior transform and likelihood
    executor : who does the work; it has the problem installed
    size : number of tasks that dynesty queues; part of the random stream, so a setting

    Attributes
    ----------
    calls : points whose likelihood was evaluated
    candidates : points that a task of uniform draws evaluates at a time; a function of the
        results so far, and of nothing else
    """

    def __init__(self, problem: Problem, executor: Executor, size: int) -> None:
        self.size = size
        self.calls = 0
        self.candidates = _FIRST_CANDIDATES
        self._problem, self._executor = problem, executor
        self._told: set[str] = set()

    def prior_transform(self, u: FloatArray) -> FloatArray:
        """Parameters of one unit-cube point."""
        return np.asarray(self._problem.prior_transform(np.asarray(u)[None])[0])

    def log_likelihood(self, theta: FloatArray) -> float:
        """Log likelihood of one parameter set."""
        self.calls += 1
        return float(checked_likelihood(self._problem, np.asarray(theta)[None])[0])

    def map(self, function: Callable[[Any], Any], tasks: Iterable[Any]) -> list[Any]:
        """Run tasks; dynesty's uniform draws, random walks and random slices as batches."""
        tasks = list(tasks)
        name = getattr(function, "__qualname__", type(function).__name__)
        if name == "LogLikelihood":
            self.calls += len(tasks)
            return self._executor.run(likelihoods, tasks)
        if not name.endswith(".sample"):
            return [function(task) for task in tasks]
        work = self._work(name, function, tasks[0].kwargs)
        # The functions of this process mean nothing to another one.
        bare = [task._replace(prior_transform=None, loglikelihood=None) for task in tasks]
        results = self._executor.run(work, bare)
        self.calls += sum(r.proposal_stats["n_evaluated"] for r in results)
        if isinstance(work, partial) and work.func is uniform_draws:
            # A power of two, so that it changes rarely.
            needed = math.log2(sum(r.ncalls for r in results) / len(results))
            self.candidates = int(np.clip(2 ** math.ceil(needed), 2, _MOST_CANDIDATES))
        return results

    def _work(self, name: str, function: Callable[[Any], Any], settings: dict[str, Any]) -> Work:
        """What draws many points as this function of dynesty's draws one."""
        bound = settings.get("bound") if name == "UniformBoundSampler.sample" else None
        if name == "UnitCubeSampler.sample" or type(bound).__name__ in _BATCHED_BOUNDS:
            return partial(uniform_draws, bound=bound, candidates=self.candidates)
        if name == "RWalkSampler.sample":
            return random_walks
        if name == "RSliceSampler.sample" and not settings.get("slice_doubling", False):
            return partial(random_slices, alone=function)
        if name not in self._told:
            self._told.add(name)
            _log.warning("%s draws points one at a time, not in batches", name.split(".")[0])
        return partial(one_by_one, function=function)


def likelihoods(problem: Problem, tasks: Sequence[FloatArray]) -> list[Any]:
    """Log likelihood of each parameter set, as dynesty wants it."""
    return [likelihood_output(v) for v in checked_likelihood(problem, np.array(tasks))]


def one_by_one(problem: Problem, tasks: Sequence[Any], function: Callable[[Any], Any]) -> list[Any]:
    """What a function of dynesty's makes of each task."""
    return [attached(problem, task, function) for task in tasks]


def uniform_draws(problem: Problem, tasks: Sequence[Any], bound: Any, candidates: int) -> list[Any]:
    """Each task draws from the bound until a point lies above the likelihood threshold.

    Parameters
    ----------
    bound : None for the whole cube
    candidates : points that a task draws at a time
    """
    threshold = tasks[0].loglstar
    ndim = tasks[0].kwargs["ndim"]
    streams = [np.random.default_rng(task.rseed) for task in tasks]
    found: list[Any] = [None] * len(tasks)
    spent = [0] * len(tasks)
    waiting = list(range(len(tasks)))
    while waiting:
        points = [draw_from_bound(bound, ndim, candidates, streams[i]) for i in waiting]
        u = np.concatenate(points)
        theta = problem.prior_transform(u)
        logl = checked_likelihood(problem, theta)
        above = logl > threshold
        start = 0
        for i, mine in zip(waiting, points, strict=True):
            stop = start + mine.shape[0]
            hits = np.flatnonzero(above[start:stop])
            if hits.size:
                j = start + int(hits[0])
                calls = spent[i] + int(hits[0]) + 1
                stats = {"n_proposals": calls, "n_evaluated": spent[i] + mine.shape[0]}
                found[i] = sampler_result(u[j], theta[j], logl[j], calls, None, stats)
            spent[i] += mine.shape[0]
            start = stop
        waiting = [i for i in waiting if found[i] is None]
    return found


def draw_from_bound(bound: Any, ndim: int, n: int, rng: np.random.Generator) -> FloatArray:
    """Points uniform in a dynesty bound and inside the unit cube, up to n, at least one.

    `bound` is None or a UnitCube for the whole cube, an Ellipsoid or a MultiEllipsoid; a bound of
    fewer dimensions than `ndim` covers the first ones.
    """
    while True:
        if bound is None or type(bound).__name__ == "UnitCube":
            return rng.random((n, ndim))
        points = _ellipsoids(bound, n, rng)
        inside = ((points > 0) & (points < 1)).all(axis=1)
        if inside.any():
            points = points[inside]
            free = rng.random((points.shape[0], ndim - points.shape[1]))
            return np.concatenate([points, free], axis=1)


def _ellipsoids(bound: Any, n: int, rng: np.random.Generator) -> FloatArray:
    """Up to n points uniform in the union of ellipsoids."""
    ells = getattr(bound, "ells", [bound])
    inner = ball(rng, n, ells[0].ndim)
    if len(ells) == 1:
        return np.asarray(ells[0].ctr + images(ells[0].axes[None], inner))
    volumes = np.cumsum(np.exp(bound.logvol_ells - bound.logvol_ells.max()))
    which = np.searchsorted(volumes, rng.random(n) * volumes[-1], side="right")
    centres = np.array([e.ctr for e in ells])
    axes = np.array([e.axes for e in ells])
    points = centres[which] + images(axes[which], inner)
    # A point that lies in q ellipsoids is q times too likely.
    shift = points[:, None, :] - centres[None]
    distance = np.einsum("nei,eij,nej->ne", shift, np.array([e.am for e in ells]), shift)
    q = np.maximum((distance < 1).sum(axis=1), 1)
    return np.asarray(points[rng.random(n) * q < 1])
