"""A pool for unmodified dynesty that draws many points at once with batched likelihood calls.

dynesty hands a pool `queue_size` independent tasks, each with a seed of its own. Uniform draws
within the bound, random walks and random slices are run for all tasks in lock-step, one batched
likelihood call a step; each task uses only its own random stream, so the outcome does not depend
on how tasks are grouped. Other tasks run one at a time.
"""

import logging
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from dynesty.utils import LoglOutput

from skymix.axes import FloatArray
from skymix.errors import SkymixError
from skymix.sampling.problem import Problem
from skymix.sampling.walks import ball, random_slices, random_walks, sampler_result

_log = logging.getLogger(__name__)
_TASKS = 64
_MOST_CANDIDATES = 64


class BatchPool:
    """What dynesty takes as a pool: `size` and `map`; also the scalar functions it asks for.

    Parameters
    ----------
    problem : prior transform and likelihood
    size : number of tasks that dynesty queues; part of the random stream, so a setting
    """

    def __init__(self, problem: Problem, size: int = _TASKS) -> None:
        self.problem = problem
        self.size = size
        self.calls = 0
        self._candidates = 4
        self._told: set[str] = set()

    def prior_transform(self, u: FloatArray) -> FloatArray:
        """Parameters of one unit-cube point."""
        return np.asarray(self.problem.prior_transform(np.asarray(u)[None])[0])

    def log_likelihood(self, theta: FloatArray) -> float:
        """Log likelihood of one parameter set."""
        return float(self._evaluate(np.asarray(theta)[None])[0])

    def map(self, function: Callable[[Any], Any], tasks: Iterable[Any]) -> list[Any]:
        """Run tasks; dynesty's uniform draws, random walks and random slices as batches."""
        tasks = list(tasks)
        name = getattr(function, "__qualname__", type(function).__name__)
        if name == "LogLikelihood":
            values = self._evaluate(np.array(tasks))
            return [LoglOutput(float(value), False) for value in values]
        if name == "UnitCubeSampler.sample":
            return self._uniform(tasks, None)
        if name == "UniformBoundSampler.sample":
            bound = tasks[0].kwargs["bound"]
            if type(bound).__name__ in ("UnitCube", "Ellipsoid", "MultiEllipsoid"):
                return self._uniform(tasks, bound)
        if name == "RWalkSampler.sample":
            return random_walks(self.problem, self._evaluate, tasks)
        if name == "RSliceSampler.sample" and not tasks[0].kwargs.get("slice_doubling", False):
            return random_slices(self.problem, self._evaluate, tasks, function)
        if name.endswith(".sample") and name not in self._told:
            self._told.add(name)
            _log.warning("%s draws points one at a time, not in batches", name.split(".")[0])
        return [function(task) for task in tasks]

    def _evaluate(self, theta: FloatArray) -> FloatArray:
        value = self.problem.log_likelihood(theta)
        self.calls += theta.shape[0]
        if np.isnan(value).any():
            at = theta[int(np.flatnonzero(np.isnan(value))[0])]
            named = ", ".join(f"{n} = {x:.6g}" for n, x in zip(self.problem.names, at, strict=True))
            raise SkymixError(f"the likelihood is not a number at {named}; check the tables")
        return value

    def _uniform(self, tasks: list[Any], bound: Any) -> list[Any]:
        """Each task draws from the bound until a point lies above the likelihood threshold."""
        threshold = tasks[0].loglstar
        ndim = tasks[0].kwargs["ndim"]
        streams = [np.random.default_rng(task.rseed) for task in tasks]
        found: list[Any] = [None] * len(tasks)
        spent = [0] * len(tasks)
        waiting = list(range(len(tasks)))
        drawn = accepted = 0
        while waiting:
            points = [draw_from_bound(bound, ndim, self._candidates, streams[i]) for i in waiting]
            u = np.concatenate(points)
            theta = self.problem.prior_transform(u)
            logl = self._evaluate(theta)
            above = logl > threshold
            drawn, accepted = drawn + u.shape[0], accepted + int(above.sum())
            start = 0
            for i, mine in zip(waiting, points, strict=True):
                stop = start + mine.shape[0]
                hits = np.flatnonzero(above[start:stop])
                if hits.size:
                    j = start + int(hits[0])
                    calls = spent[i] + int(hits[0]) + 1
                    found[i] = sampler_result(
                        u[j], theta[j], logl[j], calls, None, {"n_proposals": calls}
                    )
                spent[i] += mine.shape[0]
                start = stop
            waiting = [i for i in waiting if found[i] is None]
        # A power of two, so that it changes rarely; it is a function of the run's past only.
        rate = max(accepted / max(drawn, 1), 1e-6)
        self._candidates = int(np.clip(2 ** math.ceil(math.log2(1 / rate)), 2, _MOST_CANDIDATES))
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
        return np.asarray(ells[0].ctr + inner @ ells[0].axes.T)
    volumes = np.cumsum(np.exp(bound.logvol_ells - bound.logvol_ells.max()))
    which = np.searchsorted(volumes, rng.random(n) * volumes[-1], side="right")
    centres = np.array([e.ctr for e in ells])
    axes = np.array([e.axes for e in ells])
    points = centres[which] + np.einsum("nij,nj->ni", axes[which], inner)
    # A point that lies in q ellipsoids is q times too likely.
    shift = points[:, None, :] - centres[None]
    distance = np.einsum("nei,eij,nej->ne", shift, np.array([e.am for e in ells]), shift)
    q = np.maximum((distance < 1).sum(axis=1), 1)
    return np.asarray(points[rng.random(n) * q < 1])
