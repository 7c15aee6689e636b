import os
import threading
import time
from contextlib import suppress

import pytest

from skymix.sampling import mpi


@pytest.fixture
def pipe():
    """The end to read from, and a stream that writes to the other."""
    reader, writer = os.pipe()
    with (
        os.fdopen(reader, "rb", 0) as source,
        suppress(BrokenPipeError),
        os.fdopen(writer, "w") as stream,
    ):
        yield source, stream


def test_last_words_are_waited_for_until_read(pipe) -> None:
    reader, stream = pipe
    begin, heard = time.monotonic(), []

    def listen() -> None:
        time.sleep(0.3)
        heard.append(reader.read(100))

    listener = threading.Thread(target=listen)
    listener.start()
    stream.write("why")
    mpi._deliver(stream)
    assert 0.3 <= time.monotonic() - begin < 5
    listener.join()
    assert heard == [b"why"]


def test_last_words_wait_for_no_launcher_that_is_stuck_or_gone(pipe, monkeypatch) -> None:
    reader, stream = pipe
    monkeypatch.setattr(mpi, "_UNREAD", 0.2)
    stream.write("why")
    begin = time.monotonic()
    mpi._deliver(stream)
    assert 0.2 <= time.monotonic() - begin < 5
    reader.close()
    stream.write("once more")
    mpi._deliver(stream)


def test_a_file_needs_no_reader(tmp_path) -> None:
    with open(tmp_path / "log", "w") as stream:
        stream.write("why")
        mpi._deliver(stream)
    assert (tmp_path / "log").read_text() == "why"
