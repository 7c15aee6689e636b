"""Progress on a terminal and in a log."""

import io

from skymix.sampling import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_sparse_plain_lines() -> None:
    log = io.StringIO()
    progress = Progress("run", log)
    for iteration in range(1000):
        progress.update(iteration, 2 * iteration, -3.25, 0.5)
    progress.close("done")
    lines = log.getvalue().splitlines()
    assert lines == ["run: iteration 0, 0 calls, ln Z -3.25, remaining 0.5, 0 s", "run: done"]


def test_a_terminal_gets_one_line_that_is_rewritten() -> None:
    terminal = Terminal()
    progress = Progress("run", terminal)
    progress.update(1, 2, -3.25, 0.5)
    progress.close("done")
    assert terminal.getvalue().count("\r") == 2
    assert terminal.getvalue().endswith("run: done\n")


def test_nothing_is_printed_before_the_remaining_evidence_is_known() -> None:
    log = io.StringIO()
    Progress("run", log).update(1, 2, -3.25, 1e300)
    assert log.getvalue() == ""
