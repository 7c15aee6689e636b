"""Progress of a sampler: a live line on a terminal, sparse plain lines in a batch log."""

import sys
import time
from dataclasses import dataclass, field
from typing import TextIO

_LIVE_SECONDS = 0.2
_LOG_SECONDS = 30.0
_UNKNOWN = 1e100  # dynesty's remaining evidence before it knows


@dataclass
class Progress:
    """Prints the state of a nested run now and then.

    Parameters
    ----------
    name : what is sampled
    stream : where to print; a terminal gets one line that is rewritten
    """

    name: str
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    _last: float = field(default=float("-inf"), init=False)
    _started: float = field(default_factory=time.monotonic, init=False)

    def update(self, iteration: int, calls: int, logz: float, remaining: float) -> None:
        """Print if it is time: iteration, likelihood calls, evidence, remaining log evidence."""
        if remaining > _UNKNOWN:
            return
        now = time.monotonic()
        live = self.stream.isatty()
        if now - self._last < (_LIVE_SECONDS if live else _LOG_SECONDS):
            return
        self._last = now
        self._write(
            f"{self.name}: iteration {iteration}, {calls} calls, ln Z {logz:.2f},"
            f" remaining {remaining:.3g}, {now - self._started:.0f} s",
            live,
        )

    def close(self, text: str) -> None:
        """Print a last line that stays."""
        self._write(f"{self.name}: {text}", self.stream.isatty(), end="\n")

    def _write(self, line: str, live: bool, end: str = "") -> None:
        self.stream.write(f"\r\x1b[2K{line}{end}" if live else f"{line}\n")
        self.stream.flush()
