"""Runs of a small problem under mpiexec, each with a fault of its own; started by test_mpi."""

import os
import signal
import sys
import time

import numpy as np

from skymix.cli import main
from skymix.errors import SkymixError
from skymix.sampling import Progress, Session, mpi, run_on_ranks, sample_nested

FAULT = sys.argv[1]
RANK = int(os.environ.get("PMI_RANK", "0"))


class Hill:
    """A Gaussian in four dimensions that goes wrong on the way."""

    names = ("w", "x", "y", "z")
    labels = names

    def __init__(self) -> None:
        self.table = np.arange(1_000_000.0)
        self.calls = 0

    def prior_transform(self, u):
        return 10 * u - 5

    def log_likelihood(self, theta):
        self.calls += 1
        if self.calls > 20:
            self.fail()
        return -0.5 * (theta**2).sum(axis=1) + self.table[0]

    def fail(self) -> None:
        if FAULT == "sentence" and RANK > 0:
            raise SkymixError("this rank cannot go on")
        if FAULT == "exception" and RANK == 1:
            raise KeyError("a mistake")
        if FAULT == "parent" and RANK == 0:
            raise SkymixError("rank 0 cannot go on")
        if FAULT == "silent" and RANK == 1:
            time.sleep(60)
        if FAULT in ("killed", "far") and RANK == 1:
            os.kill(os.getpid(), signal.SIGKILL)


def sample(executor) -> None:
    run = sample_nested(
        Hill(), 200, 0.1, "single", "rwalk", 1, Progress("hill"), 64, Session(executor)
    )
    print(f"evidence {run.log_evidence!r}")


if FAULT == "far":
    mpi._alive = lambda place: True  # as of a process on another machine
if FAULT == "late":
    mpi._START = 2
    time.sleep(60 * RANK)
if FAULT == "silent":
    mpi._PATIENCE, mpi._SLOWER = 2.0, 0.0
sys.argv = ["skymix", "run"]
import click  # noqa: E402

from skymix.cli import cli  # noqa: E402

cli.add_command(click.Command("run", callback=lambda: run_on_ranks(sample)))
main()
