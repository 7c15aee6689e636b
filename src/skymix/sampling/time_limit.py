"""A limit to the time of a call that may hang where no Python runs: in the start of MPI."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

# Neither a signal handler nor a thread of Python runs while a library keeps the interpreter's lock.
_GUARD = """
for _ in $(seq "$1"); do sleep 1; kill -0 "$2" 2>/dev/null || exit; done
echo "skymix: error: $3" >&2
kill -KILL "$2"
"""


@contextmanager
def time_limit(seconds: int, sentence: str) -> Iterator[None]:
    """Kill this process, once a sentence is printed, if the block takes longer."""
    command = ["sh", "-c", _GUARD, "sh", str(seconds), str(os.getpid()), sentence]
    guard = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(guard.pid, signal.SIGKILL)
        guard.wait()
