"""A run that was stopped goes on as if nothing had happened; other checkpoints are refused."""

import logging

import numpy as np
import pytest
from tests.unit.sampling.test_walks import Ridge

from skymix.errors import DataError, Interrupted
from skymix.sampling import Checkpoint, Session, StopRequest, sample_nested
from skymix.sampling import checkpoint as module


class StopAt(StopRequest):
    """Asks to stop at the n-th time of asking, which is after the n-th iteration."""

    def __init__(self, iteration) -> None:
        super().__init__()
        self.left = iteration

    def reason(self, seconds) -> str:
        self.left -= 1
        return "stopped by the test" if self.left == 0 else ""


def kept(folder, **identity) -> Checkpoint:
    return Checkpoint(folder / "run.checkpoint", {"tables": "1", "seed": "5"} | identity)


def sample(session=None, bound="multi", method="rwalk"):
    problem = Ridge()
    return sample_nested(problem, 60, 0.2, bound, method, 5, None, 16, session)


def assert_same(one, other) -> None:
    for name, value in vars(one).items():
        if name not in ("seconds", "timing"):
            np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)


@pytest.mark.parametrize(
    ("bound", "method"),
    [("multi", "rwalk"), ("single", "unif"), ("single", "rslice"), ("balls", "slice")],
)
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, bound, method) -> None:
    whole = sample(None, bound, method)
    for iteration in (1, 37, 90, 64):  # several stops of one run, within a queue and at its end
        with pytest.raises(Interrupted, match=f"after {iteration}|goes on from there"):
            sample(Session(checkpoint=kept(tmp_path), stop=StopAt(iteration)), bound, method)
    resumed = sample(Session(checkpoint=kept(tmp_path)), bound, method)
    assert whole.insertion_rank.size > 192
    assert_same(resumed, whole)


def test_generations_replace_each_other(tmp_path) -> None:
    checkpoint = kept(tmp_path)
    assert checkpoint.read() is None
    for content in (b"one", b"two", b"three"):
        checkpoint.write(content)
    assert checkpoint.read() == b"three"
    assert b"two" in checkpoint.previous.read_bytes()
    assert sorted(tmp_path.iterdir()) == [checkpoint.path, checkpoint.previous]
    checkpoint.remove()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["truncated", "header", "content", "empty", "gone"])
def test_a_damaged_newest_generation_gives_way_to_the_older(tmp_path, caplog, damage) -> None:
    checkpoint = kept(tmp_path)
    checkpoint.write(b"older")
    checkpoint.write(b"newer" * 100)
    whole = bytearray(checkpoint.path.read_bytes())
    if damage == "truncated":
        checkpoint.path.write_bytes(whole[:-1])
    elif damage == "empty":
        checkpoint.path.write_bytes(b"")
    elif damage == "gone":
        checkpoint.path.unlink()
    else:
        whole[100 if damage == "header" else -3] ^= 1
        checkpoint.path.write_bytes(whole)
    with caplog.at_level(logging.WARNING):
        assert checkpoint.read() == b"older"
    assert f"going on from the older checkpoint {checkpoint.previous}" in caplog.text
    checkpoint.write(b"next")
    assert checkpoint.read() == b"next"
    assert b"older" in checkpoint.previous.read_bytes()


def test_two_damaged_generations_are_named(tmp_path) -> None:
    checkpoint = kept(tmp_path)
    for _ in range(2):
        checkpoint.write(b"some")
    checkpoint.path.write_bytes(b"no")
    checkpoint.previous.write_bytes(b"no")
    with pytest.raises(DataError, match=f"delete {checkpoint.path} and {checkpoint.previous}"):
        checkpoint.read()


def test_another_run_is_refused_before_anything_is_unpickled(tmp_path) -> None:
    kept(tmp_path).write(b"no pickle at all")
    with pytest.raises(DataError, match=r"another run \(seed, tables differ\); delete it"):
        sample(Session(checkpoint=kept(tmp_path, tables="2", seed="6")))


def test_other_versions_are_refused(tmp_path, monkeypatch) -> None:
    kept(tmp_path).write(b"content")
    monkeypatch.setattr(module, "version", lambda name: "0.1" if name == "dynesty" else "9")
    with pytest.raises(DataError, match=r"other versions \(dynesty, "):
        kept(tmp_path).read()


def test_a_crash_between_two_generations_loses_nothing(tmp_path, monkeypatch, caplog) -> None:
    checkpoint = kept(tmp_path)
    checkpoint.write(b"one")
    rename = module.os.replace

    def crash_when_published(source, target) -> None:
        if target == checkpoint.path:
            raise KeyboardInterrupt
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "replace", crash_when_published)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.write(b"two")
    assert checkpoint.read() == b"one"
    assert "missing; going on from the older checkpoint" in caplog.text
