"""When a run is asked to stop."""

import os
import signal
import time
from datetime import datetime, timedelta

import pytest

from skymix.sampling.stop import StopRequest, deadline


def test_the_first_signal_is_noted_and_handlers_come_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)]
    stop = StopRequest()
    with stop.heeding_signals():
        assert not stop.reason(1e9)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert stop.reason(0) == "stopped by SIGUSR1"
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # a second one ends at once
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)] == before


def test_a_run_stops_before_a_step_that_is_too_long() -> None:
    stop = StopRequest(time.time() + 100)
    assert not stop.reason(50)
    assert "time is over" in stop.reason(99)


def test_the_end_of_a_slurm_job_is_known() -> None:
    now = time.time()
    assert deadline(None, {}) is None
    assert deadline(None, {"SLURM_JOB_END_TIME": str(int(now) + 600)}) == int(now) + 600
    assert deadline(None, {"SLURM_JOB_END_TIME": "Unknown"}) is None
    assert deadline(None, {"SLURM_JOB_END_TIME": "12"}) is None
    walltime = deadline(2, {"SLURM_JOB_END_TIME": str(int(now) + 600)})
    assert walltime is not None
    assert abs(walltime - now - 120) < 10


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Let a script stand for squeue: it prints one line, or fails."""

    def write(line: str) -> dict[str, str]:
        script = tmp_path / "squeue"
        script.write_text(f'#!/bin/sh\n[ "$3" = 12 ] && echo {line}\n', encoding="utf-8")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        return {**os.environ, "SLURM_JOB_ID": "12"}

    return write


def test_squeue_is_asked_for_the_end_of_a_slurm_job(squeue, caplog) -> None:
    end = datetime.now().replace(microsecond=0) + timedelta(minutes=5)
    environment = squeue(end.isoformat())
    assert deadline(None, environment) == end.timestamp()
    assert deadline(None, squeue("NONE")) is None  # a job without a limit
    assert not caplog.records
    assert deadline(None, {**environment, "SLURM_JOB_ID": "13"}) is None  # squeue fails
    assert deadline(None, squeue("soon")) is None
    assert [record.message.split(" (")[0] for record in caplog.records] == [
        "the end of SLURM job 13 is not known",
        "the end of SLURM job 12 is not known",
    ]
