"""Independent nested runs of one problem as one run with all their live points."""

from collections.abc import Sequence

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.errors import SkymixError
from skymix.sampling.executor import Timing
from skymix.sampling.nested import NestedRun, evidence_of


def merge_runs(runs: Sequence[NestedRun]) -> NestedRun:
    """Merge runs with different seeds into one.

    The dead points of all runs in the order of their likelihood are those of one run whose number
    of live points is the sum of the runs' at that likelihood (Higson et al. 2019, Stat. Comput.
    29, 891). Insertion ranks stay those of each run, one run after the other.

    Raises
    ------
    SkymixError
        If the runs are not of the same parameters and the same number of live points, or two of
        them are the same run.
    """
    first = runs[0]
    if any(run.names != first.names or run.n_live != first.n_live for run in runs):
        raise SkymixError("the runs differ in parameters or live points; make them with one study")
    if len({run.samples.tobytes() for run in runs}) < len(runs):
        raise SkymixError("the same run is given twice; runs must differ in their seed")
    logl = np.concatenate([run.log_likelihood for run in runs])
    order = np.argsort(logl, kind="stable")
    live = live_points_at(runs, logl[order])
    start = np.log(np.mean([np.exp(run.log_first_volume) for run in runs]))
    volume = float(start) + log_volumes(logl[order], live)
    seconds = np.array([run.seconds for run in runs])
    return NestedRun(
        names=first.names,
        samples=np.concatenate([run.samples for run in runs])[order],
        log_likelihood=logl[order],
        log_prior_volume=volume,
        log_likelihood_birth=np.concatenate([run.log_likelihood_birth for run in runs])[order],
        insertion_rank=np.concatenate([run.insertion_rank for run in runs]),
        insertion_run=np.repeat(np.arange(len(runs)), [run.insertion_rank.size for run in runs]),
        n_live=first.n_live,
        log_first_volume=float(start),
        n_calls=sum(run.n_calls for run in runs),
        seconds=float(seconds.sum()),
        timing=_mean_timing([run.timing for run in runs], seconds),
        **evidence_of(logl[order], volume, float(start)),
    )


def live_points_at(runs: Sequence[NestedRun], logl: FloatArray) -> IntArray:
    """Live points of all runs together just before each dead point leaves, (n,).

    Those of a run stay the same in number until it ends; then they leave one by one.
    """
    total = np.zeros(logl.size, dtype=np.int64)
    for run in runs:
        gone = np.searchsorted(run.log_likelihood, logl, side="left")
        total += np.minimum(run.n_live, run.log_likelihood.size - gone)
    # Of dead points of equal likelihood in one list, those that come first have left already.
    # Only a run that has ended loses live points so; a plateau is handled as one step.
    return total


def log_volumes(logl: FloatArray, live: IntArray) -> FloatArray:
    """Expected ln of the prior volume above each dead point, (n,), starting from 0.

    One point that leaves n live ones takes 1 / (n + 1) of the volume; q points of equal
    likelihood take q / (n + 1), in equal parts.
    """
    plateau = np.concatenate([[True], logl[1:] != logl[:-1]])
    group = np.cumsum(plateau) - 1
    size = np.bincount(group)
    first = np.flatnonzero(plateau)
    place = np.arange(logl.size) - first[group] + 1
    n = live[first]
    single = -np.log1p(1 / n[group])
    within = np.where(size[group] == 1, single, np.log1p(-place / (n[group] + 1)))
    whole = within[first + size - 1]
    before = np.concatenate([[0.0], np.cumsum(whole)[:-1]])
    return np.asarray(before[group] + within)


def _mean_timing(timings: Sequence[Timing], seconds: FloatArray) -> Timing:
    """Largest numbers of ranks and nodes; shares weighted with the time of the runs."""
    return Timing(
        ranks=max(t.ranks for t in timings),
        nodes=max(t.nodes for t in timings),
        lost_time=float(np.average([t.lost_time for t in timings], weights=seconds)),
        load_balance=float(np.average([t.load_balance for t in timings], weights=seconds)),
    )
