"""How a nested run is carried out: by whom, kept where, stopped when; its result knows nothing."""

import io
import pickle
import time
from dataclasses import dataclass, field
from typing import Any

from skymix.errors import Interrupted
from skymix.sampling.batches import BatchPool
from skymix.sampling.checkpoint import Checkpoint
from skymix.sampling.executor import Executor, SerialExecutor
from skymix.sampling.stop import StopRequest

_LARGEST_SHARE = 0.01  # of the time that checkpoints may take


class Clock:
    """Wall time of a run, over all its sessions, and what its parts take."""

    def __init__(self) -> None:
        self._started = self.kept = self.step = time.monotonic()
        self._before = 0.0
        self.longest_step = 0.0
        self.writing = 0.0

    @property
    def seconds(self) -> float:
        """Wall time of the run so far."""
        return self._before + time.monotonic() - self._started

    def go_on(self, seconds: float) -> None:
        """Count the time of earlier sessions."""
        self._before = seconds

    def tick(self) -> float:
        """Note that a step has ended; returns the time."""
        now = time.monotonic()
        self.longest_step = max(self.longest_step, now - self.step)
        self.step = now
        return now


@dataclass
class Session:
    """How a nested run is carried out.

    Parameters
    ----------
    executor : who evaluates the tasks
    checkpoint : where the run is kept, None for nowhere
    stop : whether it shall stop
    """

    executor: Executor = field(default_factory=SerialExecutor)
    checkpoint: Checkpoint | None = None
    stop: StopRequest = field(default_factory=StopRequest)

    def restored(self, pool: BatchPool, clock: Clock) -> Any:
        """dynesty's sampler where the last session left it; None if there was none.

        The state of the pool and the clock are restored with it.
        """
        content = self.checkpoint.read() if self.checkpoint is not None else None
        if content is None:
            return None
        state = _Unpickler(io.BytesIO(content), pool).load()
        pool.calls, pool.candidates = state["calls"], state["candidates"]
        clock.go_on(state["seconds"])
        sampler = state["sampler"]
        sampler.pool, sampler.mapper = pool, pool.map
        return sampler

    def keep(self, sampler: Any, pool: BatchPool, clock: Clock, done: bool = False) -> None:
        """Write a checkpoint if it is time; call it after every iteration.

        Parameters
        ----------
        done : nothing is left to sample: keep a run worth keeping, but do not stop

        Raises
        ------
        Interrupted
            If the run shall stop.
        """
        now = clock.tick()
        asked = self.executor.stop_asked
        reason = f"stopped by {asked}" if asked else ""
        # Two steps: the one to come may be longer than all before.
        reason = reason or self.stop.reason(2 * clock.longest_step + 2 * clock.writing)
        if self.checkpoint is None:
            if reason and not done:
                raise Interrupted(f"{reason} after {sampler.it - 1} iterations; nothing is kept")
            return
        pause = max(self.checkpoint.every, clock.writing / _LARGEST_SHARE)
        due = now - clock.kept > pause or (done and clock.seconds > pause)
        if due or (reason and not done):
            self.checkpoint.write(_pickled(sampler, pool, clock.seconds))
            clock.kept = clock.step = time.monotonic()
            clock.writing = clock.kept - now
        if reason and not done:
            raise Interrupted(
                f"{reason} after {sampler.it - 1} iterations; the run is kept in"
                f" {self.checkpoint.path}: the same command goes on from there"
            )


def _pickled(sampler: Any, pool: BatchPool, seconds: float) -> bytes:
    """All that the rest of a run depends on, but for the problem."""
    content = io.BytesIO()
    state = {
        "sampler": sampler,
        "calls": pool.calls,
        "candidates": pool.candidates,
        "seconds": seconds,
    }
    _Pickler(content, pool).dump(state)
    return content.getvalue()


class _Pickler(pickle.Pickler):
    """Leaves out the pool, which has the problem and the ranks."""

    def __init__(self, file: io.BytesIO, pool: BatchPool) -> None:
        super().__init__(file, protocol=5)
        self._pool = pool

    def persistent_id(self, obj: Any) -> str | None:
        """A name in place of the pool."""
        return "pool" if obj is self._pool else None


class _Unpickler(pickle.Unpickler):
    """Puts the pool of this session in the place of the one that was left out."""

    def __init__(self, file: io.BytesIO, pool: BatchPool) -> None:
        super().__init__(file)
        self._pool = pool

    def persistent_load(self, pid: str) -> BatchPool:
        """The pool of this session."""
        return self._pool
