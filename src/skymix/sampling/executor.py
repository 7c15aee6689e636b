"""Who evaluates lists of independent tasks: this process, or all ranks of an MPI job.

A sampler is written against the protocol. What it finds cannot depend on who does the work, since
results come in the order of the tasks and a task's result depends on nothing but the task.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from skymix.sampling.problem import Problem

Work = Callable[[Problem, Sequence[Any]], list[Any]]


@dataclass(frozen=True)
class Timing:
    """Where the time of the ranks went.

    Parameters
    ----------
    ranks, nodes : how many took part
    lost_time : share of the ranks' time in which they waited for each other
    load_balance : mean over largest time that a rank worked on tasks
    """

    ranks: int = 1
    nodes: int = 1
    lost_time: float = 0.0
    load_balance: float = 1.0


class Executor(Protocol):
    """Evaluates lists of tasks of one problem."""

    @property
    def stop_asked(self) -> str:
        """Name of the signal that asked a rank to stop, empty if none did."""

    def install(self, problem: Problem) -> Problem:
        """Give the problem to all ranks; returns the copy that this process shall use."""

    def run(self, work: Work, tasks: Sequence[Any]) -> list[Any]:
        """Results of the tasks, in their order; `work` turns a list of tasks into results."""

    def timing(self) -> Timing:
        """Where the time went since `install`."""


class SerialExecutor:
    """All work in this process."""

    stop_asked = ""

    def install(self, problem: Problem) -> Problem:
        """Keep the problem as it is."""
        self._problem = problem
        return problem

    def run(self, work: Work, tasks: Sequence[Any]) -> list[Any]:
        """Results of the tasks, in their order."""
        return work(self._problem, tasks)

    def timing(self) -> Timing:
        """One rank, which never waits."""
        return Timing()
