"""Nested sampling with dynesty: evidence and posterior of a problem."""

import bisect
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from dynesty import NestedSampler

from skymix.axes import FloatArray, IntArray
from skymix.errors import SkymixError
from skymix.sampling.batches import BatchPool
from skymix.sampling.problem import Problem
from skymix.sampling.progress import Progress
from skymix.sampling.run import WeightedRun


@dataclass(frozen=True, eq=False)
class NestedRun(WeightedRun):
    """Dead points of a nested run in the order of their likelihood, and its evidence.

    Parameters
    ----------
    log_prior_volume : (n,)
    log_likelihood_birth : (n,) likelihood bound that each point was drawn above, -inf at first
    insertion_rank : (niter,) rank of each new point among the live points, uniform if all is well;
        -1 while the lowest live points are equal
    n_live : live points
    """

    log_prior_volume: FloatArray
    log_likelihood_birth: FloatArray
    insertion_rank: IntArray
    n_live: int


def sample_nested(
    problem: Problem,
    live_points: int,
    dlogz: float,
    bound: str,
    sample: str,
    seed: int,
    progress: Progress | None = None,
) -> NestedRun:
    """Sample a problem with dynesty's static nested sampler.

    The result is a function of the problem, the settings and the seed only.

    Raises
    ------
    SkymixError
        If nothing is free, or the likelihood is NaN somewhere in the prior, zero at every live
        point, or flat in all of them.
    """
    if not problem.names:
        raise SkymixError(
            "all parameters and fractions are fixed, there is nothing to sample; free a fraction"
            " or scan a parameter"
        )
    started = time.monotonic()
    pool = BatchPool(problem)

    def report(result: Any, iteration: int, calls: int, **_: Any) -> None:
        if progress is not None:
            progress.update(iteration, calls, float(result.logz), float(result.delta_logz))

    with warnings.catch_warnings():
        # dynesty's advice on its own settings; the insertion ranks judge the run.
        warnings.filterwarnings("ignore", module="dynesty")
        try:
            sampler = NestedSampler(
                pool.log_likelihood,
                pool.prior_transform,
                len(problem.names),
                nlive=live_points,
                bound=bound,
                sample=sample,
                rstate=np.random.default_rng(seed),
                pool=pool,
                queue_size=pool.size,
            )
            sampler.run_nested(
                dlogz=dlogz, print_progress=True, print_func=report, save_bounds=False
            )
        except RuntimeError as error:
            # No live point with a likelihood, or a plateau.
            raise SkymixError(
                f"dynesty cannot sample this problem ({error}); check that the likelihood is"
                " finite somewhere and not flat"
            ) from None
    run = _collect(
        sampler.results, problem.names, live_points, pool.calls, time.monotonic() - started
    )
    if progress is not None:
        progress.close(
            f"ln Z = {run.log_evidence:.3f} +- {run.log_evidence_error:.3f},"
            f" {run.n_calls} calls, {run.seconds:.1f} s"
        )
    return run


def _collect(
    results: Any, names: tuple[str, ...], n_live: int, calls: int, seconds: float
) -> NestedRun:
    logl = np.asarray(results.logl)
    born = np.asarray(results.samples_it)
    log_weight = np.asarray(results.logwt) - results.logz[-1]
    return NestedRun(
        names=names,
        samples=np.asarray(results.samples),
        log_likelihood=logl,
        log_weight=log_weight - np.logaddexp.reduce(log_weight),
        log_prior_volume=np.asarray(results.logvol),
        # A point of iteration i replaces the i-th dead point and lies above it.
        log_likelihood_birth=np.where(born > 0, logl[np.maximum(born, 1) - 1], -np.inf),
        insertion_rank=_insertion_ranks(logl, born, n_live),
        log_evidence=float(results.logz[-1]),
        log_evidence_error=float(results.logzerr[-1]),
        information=float(results.information[-1]),
        n_live=n_live,
        n_calls=calls,
        seconds=seconds,
    )


def _insertion_ranks(logl: FloatArray, born: IntArray, n_live: int) -> IntArray:
    """Rank of each new point among the n_live - 1 that stay (Fowlie, Handley and Su 2020).

    Among equals the place is random, at fixed seed. Where others are as low as the point that
    leaves, as all are whose likelihood is zero, no rank is uniform: -1.
    """
    rng = np.random.default_rng(0)
    live = sorted(logl[born == 0].tolist())
    by_birth = {int(i): value for i, value in zip(born, logl.tolist(), strict=True) if i > 0}
    ranks = []
    for iteration in range(1, logl.size - n_live + 1):
        left, new = logl[iteration - 1], by_birth[iteration]
        del live[bisect.bisect_left(live, left)]
        low, high = bisect.bisect_left(live, new), bisect.bisect_right(live, new)
        rank = low if low == high else int(rng.integers(low, high + 1))
        ranks.append(-1 if live and live[0] == left else rank)
        live.insert(rank, new)
    return np.array(ranks, dtype=np.int64)
