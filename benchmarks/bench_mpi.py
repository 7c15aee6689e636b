"""Nested sampling on one and two MPI ranks, at a cheap and a dear likelihood.

The likelihood is a Gaussian that spins for a given time a point, without the GIL. The ideal is a
speed-up of 2; that of one rank over stock dynesty, a point at a time, is given beside it.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from shutil import which
from time import perf_counter
from typing import Any

import numpy as np
from dynesty import NestedSampler
from numba import njit

from skymix.axes import FloatArray
from skymix.sampling import Executor, Session, run_on_ranks, sample_nested

COSTS = {"50us": (50e-6, 500, 3), "5ms": (5e-3, 50, 2)}  # seconds a point, live points, repeats
NDIM, DLOGZ = 5, 0.5


@njit(nogil=True)
def _spin(rounds: int) -> float:
    total = 0.0
    for k in range(rounds):
        total += 1.0 / (1.0 + total + k)
    return total


def _rounds(seconds: float) -> int:
    """Rounds of spinning that take so long, at the best of some tries."""
    _spin(1)
    tries = []
    for _ in range(5):
        start = perf_counter()
        _spin(1_000_000)
        tries.append(perf_counter() - start)
    return round(1e6 * seconds / min(tries))


class Spinning:
    """A standard Gaussian in a box of 10 a side, so many rounds of spinning a point."""

    names = tuple(f"x{j}" for j in range(NDIM))
    labels = names

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds

    def prior_transform(self, u: FloatArray) -> FloatArray:
        """Uniform in each dimension."""
        return 10 * u - 5

    def log_likelihood(self, theta: FloatArray) -> FloatArray:
        """Squared distance, after spinning."""
        _spin(self.rounds * theta.shape[0])
        return np.asarray(-0.5 * (theta**2).sum(axis=1))


def sample(rounds: int, live_points: int) -> None:
    """Sample on all ranks that were started; print figures as JSON."""
    _spin(1)

    def main(executor: Executor) -> None:
        problem = Spinning(rounds)
        run = sample_nested(
            problem, live_points, DLOGZ, "single", "rwalk", 1, session=Session(executor)
        )
        figures = run.log_evidence, run.seconds, run.timing.lost_time, run.n_calls
        print(json.dumps(figures))

    run_on_ranks(main)


def stock(rounds: int, live_points: int) -> float:
    """Seconds of dynesty alone, scaled to the iterations that it needs."""
    problem = Spinning(rounds)
    start = perf_counter()
    sampler = NestedSampler(
        lambda x: float(problem.log_likelihood(x[None])[0]),
        lambda u: problem.prior_transform(u[None])[0],
        NDIM,
        nlive=live_points,
        bound="single",
        sample="rwalk",
        rstate=np.random.default_rng(1),
    )
    sampler.run_nested(dlogz=DLOGZ, print_progress=False)
    return perf_counter() - start


def _launched(ranks: int, rounds: int, live_points: int) -> list[Any]:
    mpiexec = which("mpiexec", path=str(Path(sys.executable).parent)) or "mpiexec"
    code = f"from benchmarks.bench_mpi import sample; sample({rounds}, {live_points})"
    command = [mpiexec, "-n", str(ranks), sys.executable, "-c", code]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    figures: list[Any] = json.loads(done.stdout)
    return figures


def run() -> Iterator[tuple[str, float, str]]:
    """Figures of two ranks against one, and of one against stock dynesty."""
    for name, (seconds, live_points, repeats) in COSTS.items():
        rounds = _rounds(seconds)
        best: dict[int, list[Any]] = {}
        for _, ranks in product(range(repeats), (1, 2)):
            figures = _launched(ranks, rounds, live_points)
            if ranks not in best or figures[1] < best[ranks][1]:
                best[ranks] = figures
        alone = stock(rounds, live_points)
        yield f"mpi.{name}.one_rank", best[1][1], "s"
        yield f"mpi.{name}.speedup_of_two", best[1][1] / best[2][1], ""
        yield f"mpi.{name}.share_of_ideal", best[1][1] / best[2][1] / 2, ""
        yield f"mpi.{name}.lost_time", best[2][2], ""
        yield f"mpi.{name}.speedup_of_one_over_dynesty", alone / best[1][1], ""
        yield f"mpi.{name}.evidence_difference", best[1][0] - best[2][0], ""
