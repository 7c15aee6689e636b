"""All ranks of an MPI job as one executor: rank 0 runs the sampler and works too.

A list of tasks goes out as one message a rank and comes back as one. Waiting ranks sleep between
looks: MPI's own waiting would burn a core. A rank that fails, dies or stays silent ends the job.
"""

import atexit
import fcntl
import os
import socket
import stat
import sys
import termios
import time
import traceback
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NoReturn, TextIO, TypeVar

from skymix.errors import Interrupted, SkymixError
from skymix.sampling.executor import Executor, SerialExecutor, Timing, Work
from skymix.sampling.launch import announced_ranks, avoid_ucx
from skymix.sampling.problem import Problem
from skymix.sampling.shared import share
from skymix.sampling.stop import StopRequest
from skymix.sampling.time_limit import time_limit

T = TypeVar("T")

_NAP_SHARE, _LONGEST_NAP = 0.05, 5e-3  # of the time waited so far, and seconds
_LOOK_EVERY = 1.0  # seconds between looks whether a rank lives
_GRACE = 5  # looks
_PATIENCE = 300.0  # seconds that a rank may take longer than ...
_SLOWER = 20.0  # ... so many times what rank 0 took for as many tasks
_ORPHANED = 3600.0  # seconds without a word from rank 0
_START = 300  # seconds until all ranks have found each other
_UNREAD = 10.0  # seconds for the launcher to read the last words of a job that fails


def run_on_ranks(main: Callable[[Executor], None]) -> None:
    """Call `main` with an executor over all ranks; on ranks other than 0 work for it and return.

    MPI is started only where a launcher has started several ranks. If `main` fails, all ranks end
    with its exit code, once this process has printed why.
    """
    ranks = announced_ranks(os.environ)
    if ranks == 1:
        main(SerialExecutor())
        return
    comm = _start_mpi(ranks)
    places = comm.allgather(_place())
    if comm.rank:
        _serve(comm, places[0])
        _end_mpi()
        return
    executor = MpiExecutor(comm, places)
    try:
        main(executor)
    except Interrupted:
        # Between two batches: all ranks are well, and end as after a whole run.
        executor.dismiss()
        _end_mpi()
        raise
    except BaseException as error:
        # Last of all, so that the reason is printed before.
        atexit.register(_abort, comm, _exit_code(error))
        raise
    executor.dismiss()
    _end_mpi()


class MpiExecutor:
    """The executor of rank 0.

    Parameters
    ----------
    comm : communicator of all ranks
    places : host, PID namespace and process of each rank
    """

    def __init__(self, comm: Any, places: Sequence[tuple[str, str, int]]) -> None:
        self._comm, self._places = comm, places
        self._busy = [0.0] * comm.size
        self._waited = 0.0
        self._started = time.monotonic()
        self._nodes = 1
        self.stop_asked = ""

    def install(self, problem: Problem) -> Problem:
        """Give the problem to all ranks; this one too uses the memory that its node shares."""
        self._send([("problem",)] * (self._comm.size - 1))
        self._problem, self._window, self._nodes = share(self._comm, problem)
        self._started = time.monotonic()
        return self._problem

    def run(self, work: Work, tasks: Sequence[Any]) -> list[Any]:
        """Results of the tasks, in their order: each rank does an equal part."""
        size = self._comm.size
        edges = [len(tasks) * rank // size for rank in range(size + 1)]
        parts = [tasks[a:b] for a, b in pairwise(edges)]
        # The larger parts come last; rank 0 has the books to keep and takes the first.
        self._send([("work", work, part) if len(part) else None for part in parts[1:]])
        start = time.monotonic()
        results = work(self._problem, parts[0]) if len(parts[0]) else []
        mine = time.monotonic() - start
        self._busy[0] += mine
        for rank, part in enumerate(parts[1:], start=1):
            if len(part):
                results += self._receive(rank, _PATIENCE + _SLOWER * mine)
        return results

    def timing(self) -> Timing:
        """Where the time went since `install`."""
        wall = time.monotonic() - self._started
        waited = self._waited + sum(wall - busy for busy in self._busy[1:])
        largest = max(self._busy)
        return Timing(
            ranks=self._comm.size,
            nodes=self._nodes,
            lost_time=max(waited, 0.0) / (self._comm.size * wall),
            load_balance=sum(self._busy) / (self._comm.size * largest) if largest else 1.0,
        )

    def dismiss(self) -> None:
        """Let the other ranks end."""
        self._send([("end",)] * (self._comm.size - 1))

    def _send(self, messages: Sequence[Any]) -> None:
        """Send each other rank its message, if it has one; returns when they are on their way."""
        sent = [
            (rank, self._comm.isend(message, dest=rank))
            for rank, message in enumerate(messages, start=1)
            if message is not None
        ]
        for rank, request in sent:
            _until(_sent(request), self._watch(rank), _PATIENCE)

    def _receive(self, rank: int, patience: float) -> list[Any]:
        start = time.monotonic()
        message = _until(lambda: self._comm.improbe(source=rank), self._watch(rank), patience)
        outcome, seconds, signal_name = message.recv()
        self._waited += time.monotonic() - start
        self._busy[rank] += seconds
        self.stop_asked = self.stop_asked or signal_name
        if isinstance(outcome, BaseException):
            raise outcome
        results: list[Any] = outcome
        return results

    def _watch(self, rank: int) -> Callable[[bool], None]:
        """What refuses to wait longer for a rank that has died, or whose time is over."""

        def look(over: bool) -> None:
            if over or not _alive(self._places[rank]):
                fate = "has been silent for too long" if over else "has died"
                raise SkymixError(
                    f"{_named(rank, self._places[rank])} {fate}; look for its reason in the"
                    " launcher's log, then run again to go on from the last checkpoint"
                )

        return look


def _serve(comm: Any, parent: tuple[str, str, int]) -> None:
    """Work for rank 0 until it says that the job is over."""
    missed = 0

    def look(over: bool) -> None:
        # Rank 0 that ends says why and ends all others: leave it some seconds.
        nonlocal missed
        missed = 0 if _alive(parent) else missed + 1
        if over or missed > _GRACE:
            raise SkymixError(f"{_named(0, parent)} has died or is silent; rank {comm.rank} ends")

    stop = StopRequest()
    problem: Problem
    try:
        with stop.heeding_signals():
            while True:
                message = _until(lambda: comm.improbe(source=0), look, _ORPHANED)
                kind, *content = message.recv()
                if kind == "end":
                    return
                if kind == "problem":
                    problem, _window, _ = share(comm, None)
                    continue
                reply = (*_outcome(comm.rank, problem, *content), stop.signal)
                request = comm.isend(reply, dest=0)
                _until(_sent(request), look, _ORPHANED)
    except BaseException as error:
        if isinstance(error, SkymixError):
            print(f"skymix: error: {error}", file=sys.stderr)
        elif not isinstance(error, SystemExit):
            print(f"skymix: {_named(comm.rank, _place())} failed:", file=sys.stderr)
            traceback.print_exc()
        _abort(comm, _exit_code(error))


def _outcome(rank: int, problem: Problem, work: Work, tasks: Sequence[Any]) -> tuple[Any, float]:
    """Results of tasks, or the error that says where they failed, and the seconds it took."""
    start = time.monotonic()
    outcome: Any
    try:
        outcome = work(problem, tasks)
    except SkymixError as error:
        outcome = SkymixError(str(error))
    except MemoryError as error:
        outcome = MemoryError(f"{_named(rank, _place())}: {error}")
    except Exception:
        outcome = SkymixError(f"{_named(rank, _place())} failed:\n{traceback.format_exc()}")
    return outcome, time.monotonic() - start


def _sent(request: Any) -> Callable[[], bool | None]:
    return lambda: request.test()[0] or None


def _until(ready: Callable[[], T | None], look: Callable[[bool], None], patience: float) -> T:
    """Wait until something is there, with naps in proportion to the wait so far.

    `look` is called now and then, and told whether the patience is over.
    """
    started = looked = time.monotonic()
    while (found := ready()) is None:
        now = time.monotonic()
        if now - looked > _LOOK_EVERY:
            looked = now
            look(now - started > patience)
        time.sleep(min(_NAP_SHARE * (now - started), _LONGEST_NAP))
    return found


def _start_mpi(ranks: int) -> Any:
    """Communicator of all ranks.

    Raises
    ------
    SkymixError
        If there is no MPI here, or it is another one than the launcher's.
    """
    try:
        import mpi4py

        mpi4py.rc.initialize = False
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise SkymixError(
            f"{ranks} ranks were started, but MPI cannot be used here ({error}); install mpi4py"
            " and an MPI library, or start one process"
        ) from None
    late = f"{ranks} ranks did not find each other within {_START} s; run again"
    if not MPI.Is_initialized():
        avoid_ucx(MPI.Get_library_version(), os.environ)
        with time_limit(_START, late):
            MPI.Init()
    comm = MPI.COMM_WORLD
    if comm.size != ranks:
        library = MPI.Get_library_version().split("\n")[0].strip("\0 ")
        raise SkymixError(
            f"the launcher started {ranks} ranks, but the MPI library ({library}) sees"
            f" {comm.size}: they do not belong together; use the mpiexec of this library, or"
            " srun --mpi=pmi2 for MPICH and --mpi=pmix for Open MPI"
        )
    return comm


def _end_mpi() -> None:
    """Tell the launcher that this rank ends well; it kills the others of one that just ends."""
    from mpi4py import MPI

    MPI.Finalize()


def _place() -> tuple[str, str, int]:
    """Host, PID namespace (Linux has them) and process."""
    namespace = "/proc/self/ns/pid"
    inside = os.readlink(namespace) if os.path.exists(namespace) else ""
    return socket.gethostname(), inside, os.getpid()


def _named(rank: int, place: tuple[str, str, int]) -> str:
    return f"rank {rank} (process {place[2]} on {place[0]})"


def _alive(place: tuple[str, str, int]) -> bool:
    """Whether a process still runs, as far as this one can see."""
    if place[:2] != _place()[:2] or not os.path.exists("/proc/self/stat"):
        return True
    try:
        with open(f"/proc/{place[2]}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def _exit_code(error: BaseException) -> int:
    if isinstance(error, SkymixError):
        return error.exit_code
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return error.code
    return 1


def _abort(comm: Any, code: int) -> NoReturn:
    for stream in sys.stdout, sys.stderr:
        _deliver(stream)
    comm.Abort(code)
    os._exit(code)


def _deliver(stream: TextIO) -> None:
    """Wait until what was printed is read: a launcher may drop what it has not when a job ends."""
    give_up = time.monotonic() + _UNREAD
    try:
        stream.flush()
        while time.monotonic() < give_up and _waiting(stream.fileno()):
            time.sleep(_LONGEST_NAP)
    except OSError:  # nobody reads any more
        return


def _waiting(descriptor: int) -> bool:
    """Whether bytes wait in a pipe."""
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return False
    return any(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))
