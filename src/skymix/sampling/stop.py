"""Asking a run to stop where it can go on later: by a signal, or because its time is over."""

import logging
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

_SLACK_SHARE, _MOST_SLACK = 0.05, 30.0  # of the time budget, and seconds
_PATIENCE = 30.0  # seconds that squeue may take


class StopRequest:
    """Whether a run shall stop, and why.

    Parameters
    ----------
    deadline : seconds since the epoch at which the job ends, None if nobody ends it
    """

    def __init__(self, deadline: float | None = None) -> None:
        self._deadline = deadline
        self._slack = 0.0
        if deadline is not None:
            self._slack = min(_SLACK_SHARE * max(deadline - time.time(), 0.0), _MOST_SLACK)
        self.signal = ""

    def reason(self, seconds: float) -> str:
        """Why the run shall stop now, empty if it may go on for so many seconds."""
        if self.signal:
            return f"stopped by {self.signal}"
        if self._deadline is not None and time.time() + seconds + self._slack > self._deadline:
            return "stopped because its time is over"
        return ""

    @contextmanager
    def heeding_signals(self) -> Iterator[None]:
        """Note the first SIGTERM or SIGUSR1 instead of dying of it; a second one ends at once."""

        def note(number: int, _: FrameType | None) -> None:
            self.signal = signal.Signals(number).name
            for each in STOP_SIGNALS:
                signal.signal(each, signal.SIG_DFL)

        before = {number: signal.signal(number, note) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def deadline(walltime: float | None, environment: Mapping[str, str]) -> float | None:
    """When a job must have ended, in seconds since the epoch; None if nobody ends it.

    Parameters
    ----------
    walltime : minutes from now; without it the end of the SLURM job, if this is in one
    environment : variables of this process, in which SLURM names the job and perhaps its end
    """
    if walltime is not None:
        return time.time() + 60 * walltime
    end = environment.get("SLURM_JOB_END_TIME", "")
    if end.isdigit():
        return float(end) if float(end) > time.time() else None
    job = environment.get("SLURM_JOB_ID")
    return _end_of_job(job, environment) if job else None


def _end_of_job(job: str, environment: Mapping[str, str]) -> float | None:
    """End of a SLURM job as squeue has it; snakemake's job steps are not told by a variable.

    A job without a limit has none.
    """
    try:
        said = subprocess.run(
            ["squeue", "--noheader", "--jobs", job, "--format", "%e"],
            env={**environment, "SLURM_TIME_FORMAT": "standard"},
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=True,
        ).stdout.strip()
        return None if said == "NONE" else datetime.fromisoformat(said).timestamp()
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        logging.warning(
            "the end of SLURM job %s is not known (%s); --walltime can tell it", job, error
        )
        return None
