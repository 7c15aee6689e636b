"""The program: runs the command line, says what went wrong, unwinds when it is stopped."""

import logging
import os
import signal
import sys
from types import FrameType

import click

from skymix.cli.commands import cli


def main() -> None:
    """Run the command line; a user's mistake is one sentence and exit code 1."""
    from skymix.errors import Interrupted, SkymixError

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    stopped = _stop_by_signal()
    try:
        cli(standalone_mode=True)
    except Interrupted as stop:
        click.echo(f"skymix: {stop}", err=True)
        sys.exit(stop.exit_code)
    except SkymixError as error:
        _fail(str(error))
    except MemoryError as error:
        _fail(
            f"not enough memory ({error}); use fewer or larger cells (`grids` of the study), fewer"
            " scanned nodes or events, or a machine with more"
        )
    except OSError as error:
        if error.strerror is None:
            raise
        # The temporary file that a product is written to says nothing to a user.
        names = (error.filename2, error.filename)
        name = next((n for n in names if n and not str(n).endswith(".part")), "the output")
        _fail(f"{name}: {error.strerror}; nothing was written: check path, rights and free space")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if stopped:
            sys.exit(128 + stopped[0])


def _fail(sentence: str) -> None:
    click.echo(f"skymix: error: {sentence}", err=True)
    sys.exit(1)


def _stop_by_signal() -> list[int]:
    """Make signals that stop a job unwind it, so that no unfinished file stays.

    Returns
    -------
    a list that will hold the signal that came
    """
    stopped = []

    def stop(number: int, _: FrameType | None) -> None:
        stopped.append(number)
        signal.signal(number, signal.SIG_DFL)  # a second one ends the program at once
        click.echo(f"skymix: stopped by {signal.Signals(number).name}; run again", err=True)
        # What libraries print when they are stopped says nothing to a user.
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        # Python drops an exception that is raised in a callback: raise it until it is heard.
        sys.unraisablehook = lambda _: None
        signal.signal(signal.SIGALRM, lambda *_: sys.exit(128 + number))
        signal.setitimer(signal.ITIMER_REAL, 1, 1)
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        # What nohup or a shell's & has set to be ignored stays so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    return stopped
