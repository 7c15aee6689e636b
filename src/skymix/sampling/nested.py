"""Nested sampling with dynesty: evidence and posterior of a problem."""

import bisect
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from dynesty import NestedSampler
from dynesty.utils import compute_integrals

from skymix.axes import FloatArray, IntArray
from skymix.errors import SkymixError
from skymix.sampling.batches import BatchPool
from skymix.sampling.executor import Timing
from skymix.sampling.problem import Problem
from skymix.sampling.progress import Progress
from skymix.sampling.quick_sums import quick_sums
from skymix.sampling.run import WeightedRun
from skymix.sampling.session import Clock, Session


@dataclass(frozen=True, eq=False)
class NestedRun(WeightedRun):
    """Dead points of a nested run in the order of their likelihood, and its evidence.

    Parameters
    ----------
    log_prior_volume : (n,)
    log_likelihood_birth : (n,) likelihood bound that each point was drawn above, -inf at first
    insertion_rank : (niter,) rank of each new point among the live points, uniform if all is well;
        -1 while the lowest live points are equal
    n_live : live points, of each run
    log_first_volume : ln of the prior volume that the first live points stand for; below 0 where
        the likelihood is zero in most of the prior
    insertion_run : (niter,) which of several merged runs each insertion rank is of
    timing : where the time of the ranks went
    """

    log_prior_volume: FloatArray
    log_likelihood_birth: FloatArray
    insertion_rank: IntArray
    n_live: int
    log_first_volume: float = 0.0
    insertion_run: IntArray | None = None
    timing: Timing = field(default_factory=Timing)


@quick_sums()
def sample_nested(
    problem: Problem,
    live_points: int,
    dlogz: float,
    bound: str,
    sample: str,
    seed: int | Sequence[int],
    progress: Progress | None = None,
    batch_size: int = 64,
    session: Session | None = None,
) -> NestedRun:
    """Sample a problem with dynesty's static nested sampler.

    The result is a function of the problem, the settings and the seed only.

    Parameters
    ----------
    batch_size : points that dynesty asks for at once; part of the random stream
    session : how the run is carried out, on which its result does not depend

    Raises
    ------
    SkymixError
        If nothing is free, or the likelihood is NaN somewhere in the prior, zero at every live
        point, or flat in all of them.
    Interrupted
        If the session asks it to stop; its checkpoint is written.
    """
    if not problem.names:
        raise SkymixError(
            "all parameters and fractions are fixed, there is nothing to sample; free a fraction"
            " or scan a parameter"
        )
    session = session or Session()
    pool = BatchPool(session.executor.install(problem), session.executor, batch_size)
    clock = Clock()
    with warnings.catch_warnings(), session.stop.heeding_signals():
        # dynesty's advice on its own settings; the insertion ranks judge the run.
        warnings.filterwarnings("ignore", module="dynesty")
        try:
            sampler = session.restored(pool, clock)
            if sampler is None:
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
            elif progress is not None:
                progress.close(f"going on from iteration {sampler.it}, {clock.seconds:.0f} s")
            for state in sampler.sample(dlogz=dlogz, save_bounds=False):
                if progress is not None:
                    logz, remaining = float(state.logz), float(state.delta_logz)
                    progress.update(sampler.it - 1, pool.calls, logz, remaining)
                session.keep(sampler, pool, clock)
            session.keep(sampler, pool, clock, done=True)
        except RuntimeError as error:
            # No live point with a likelihood, or a plateau.
            reason = str(error).partition("!")[0].partition("\n")[0].strip(" .")
            raise SkymixError(
                f"dynesty cannot sample this problem ({reason}); check that the likelihood is"
                " finite somewhere and not flat"
            ) from None
        for _ in sampler.add_live_points():
            pass
    timing = session.executor.timing()
    run = _collect(sampler, problem.names, pool.calls, clock.seconds, timing)
    if progress is not None:
        progress.close(_last_line(run))
    return run


def _last_line(run: NestedRun) -> str:
    line = (
        f"ln Z = {run.log_evidence:.3f} +- {run.log_evidence_error:.3f},"
        f" {run.n_calls} calls, {run.seconds:.1f} s"
    )
    if run.timing.ranks == 1:
        return line
    return (
        f"{line}, {run.timing.ranks} ranks on {run.timing.nodes} node(s), which waited"
        f" {100 * run.timing.lost_time:.0f} % of the time (load balance"
        f" {run.timing.load_balance:.2f})"
    )


def _collect(
    sampler: Any, names: tuple[str, ...], calls: int, seconds: float, timing: Timing
) -> NestedRun:
    record, n_live = sampler.saved_run, int(sampler.nlive)
    logl, log_volume = np.array(record["logl"]), np.array(record["logvol"])
    born = np.array(record["it"])
    return NestedRun(
        names=names,
        samples=np.array(record["v"]),
        log_likelihood=logl,
        log_prior_volume=log_volume,
        # A point of iteration i replaces the i-th dead point and lies above it.
        log_likelihood_birth=np.where(born > 0, logl[np.maximum(born, 1) - 1], -np.inf),
        insertion_rank=_insertion_ranks(logl, born, n_live),
        n_live=n_live,
        log_first_volume=float(sampler.logvol_init),
        n_calls=calls,
        seconds=seconds,
        timing=timing,
        **evidence_of(logl, log_volume, float(sampler.logvol_init)),
    )


def evidence_of(
    log_likelihood: FloatArray, log_prior_volume: FloatArray, log_first_volume: float
) -> dict[str, Any]:
    """Weights, evidence, its error and information of dead points, as fields of a run."""
    log_weight, logz, *_ = compute_integrals(logl=log_likelihood, logvol=log_prior_volume)
    log_weight = log_weight - logz[-1]
    log_weight -= np.logaddexp.reduce(log_weight)
    height = np.exp(log_likelihood + log_prior_volume - logz[-1])
    weight, held = np.exp(log_weight), np.isfinite(log_weight)
    return {
        "log_weight": log_weight,
        "log_evidence": float(logz[-1]),
        "log_evidence_error": _error(log_weight, height, log_prior_volume, log_first_volume),
        # dynesty's own sum loses all digits where ln L is large.
        "information": float(weight[held] @ (log_likelihood[held] - logz[-1])),
    }


def _error(
    log_weight: FloatArray, height: FloatArray, log_prior_volume: FloatArray, start: float
) -> float:
    """Standard error of ln Z from the unknown shrinkage of the prior volume.

    Each dead point shrinks the volume by a factor t whose logarithm has a standard deviation of
    1 / n, n the live points at that time (Skilling 2006, Bayesian Analysis 1, 833). To first order

        Var(ln Z) = sum_j (d ln Z / d ln t_j)^2 / n_j^2,
        d ln Z / d ln t_j = sum_{i > j} p_i - L_j X_j / Z,

    with the weights p: about the information over n where n is constant, and right also where
    live points leave one by one at the end of a run or are those of several runs. A first volume
    below 1 is taken as known.
    """
    weight = np.exp(log_weight)
    later = np.append(np.cumsum(weight[:0:-1])[::-1], 0.0)
    inverse_live = np.expm1(-np.diff(log_prior_volume, prepend=start))
    return float(np.sqrt((((later - height) * inverse_live) ** 2).sum()))


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
