"""Sampling by several ranks: the same bits, and no fault that hangs or goes unsaid."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests import star_study

from skymix import pipeline, pymc_pipeline, star_pipeline
from skymix.errors import DataError, StudyError
from skymix.store import RunProduct, read_posterior, read_product
from skymix.study import study_from_mapping
from skymix.study.default import DEFAULT_STUDY
from skymix.study.load import any_study_from_mapping
from skymix.warm_up import _tiny

SCRIPT = Path(__file__).with_name("ranks.py")
ROOT = Path(__file__).resolve().parents[2]
OF_TIME = {
    "created",
    "git_commit",
    "checksum",
    "seconds",
    "n_ranks",
    "n_nodes",
    "lost_time",
    "load_balance",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Folder with studies of a tiny Galactic Centre and the tables of their likelihood."""
    root = tmp_path_factory.mktemp("tiny")
    settings = _tiny(DEFAULT_STUDY, "binned")
    for name, sampler in {
        "short": {"live_points": 100, "dlogz": 0.5},
        "long": {"live_points": 2000, "dlogz": 0.05, "sample": "rwalk", "checkpoint_every": 0.1},
        "runs": {"live_points": 50, "dlogz": 0.5, "runs": 2},
    }.items():
        pipeline.freeze_study(settings | {"sampler": sampler | {"seed": 5}}, root / f"{name}.yaml")
    study = study_from_mapping(settings)
    (observation,) = study.observations
    response, events = root / "response.h5", root / "events" / f"{observation}.h5"
    pipeline.tabulate_response(study, observation, response)
    pipeline.simulate_events(study, observation, response, events)
    for component in study.components:
        output = root / "m" / observation / f"{component}.h5"
        pipeline.marginalise_nuisance(study, observation, component, events, response, output)
    (fit,) = study.fitted()
    pipeline.gather_marginals(study, fit, root / "events", root / "m", root / "likelihood.h5")
    return root


@pytest.fixture
def start(tool, folder) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command in the folder, under mpiexec for more than no ranks; killed at the end."""
    started = []

    def begin(ranks: int, *command: object) -> subprocess.Popen[str]:
        launcher = [tool("mpiexec"), "-n", str(ranks)] if ranks else []
        process = subprocess.Popen(
            [*launcher, *map(str, command)],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.fixture
def skymix(tool, start) -> Callable[..., subprocess.Popen[str]]:
    """Start sample-posterior with a study on a number of ranks, 0 for no mpiexec."""

    def begin(ranks: int, study: str, output: str, *options: str) -> subprocess.Popen[str]:
        sources = {"stars": "catalogue.h5", "line": "line.py"}
        source = sources.get(study, "likelihood.h5")
        names = f"{study}.yaml", source, "-o", output
        return start(ranks, tool("skymix"), "sample-posterior", *names, *options)

    return begin


def finish(process, code: int = 0) -> str:
    """What a process says until its end."""
    text, _ = process.communicate(timeout=120)
    assert process.returncode == code, text
    return text


def assert_same(one: xr.DataTree, other: xr.DataTree) -> None:
    for node in one.subtree:
        for name, values in node.variables.items():
            np.testing.assert_array_equal(values, other[node.path][name], err_msg=str(name))
    for name in set(one.attrs) - OF_TIME:
        assert one.attrs[name] == other.attrs[name]


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.02)


def test_same_bits_on_any_number_of_ranks(skymix, folder) -> None:
    numbers = (1, 2, 3, 4)
    texts = {ranks: finish(skymix(ranks, "short", f"{ranks}.nc")) for ranks in numbers}
    trees = {ranks: read_posterior(folder / f"{ranks}.nc") for ranks in numbers}
    for ranks, tree in trees.items():
        assert_same(tree, trees[1])
        assert tree.attrs["n_ranks"] == ranks
        assert 0 <= tree.attrs["lost_time"] < 1
        assert 0 < tree.attrs["load_balance"] <= 1
    assert "ranks" not in texts[1]
    assert "3 ranks on 1 node" in texts[3]
    assert texts[4].count("ln Z = ") == 1
    assert not list(folder.glob("*.checkpoint*"))


def sample(folder: Path, study: str, output: str, run: int | None = None) -> None:
    """Sample in this process."""
    loaded, kept = pipeline.load(folder / f"{study}.yaml"), folder / f"{output}.checkpoint"
    pipeline.sample_posterior(
        loaded, folder / "likelihood.h5", folder / output, run, checkpoint=kept
    )


@pytest.fixture(scope="module")
def whole(folder, tool) -> xr.DataTree:
    """The long run, without interruption."""
    sample(folder, "long", "whole.nc")
    return read_posterior(folder / "whole.nc")


@pytest.mark.parametrize(("number", "ranks"), [(signal.SIGTERM, 0), (signal.SIGUSR1, 2)])
def test_a_signal_stops_with_a_checkpoint(skymix, folder, whole, number, ranks) -> None:
    output = f"signal-{number}-{ranks}.nc"
    kept = folder / f"{output}.checkpoint"
    process = skymix(ranks, "long", output)
    wait_for(kept, process)
    process.send_signal(number)
    text = finish(process, 85)
    assert f"skymix: stopped by {number.name} after" in text
    assert text.count("goes on from there") == 1
    assert not (folder / output).exists()
    with pytest.raises(DataError, match=r"another run \(sampler settings differ\); delete it"):
        sample(folder, "short", output)
    text = finish(skymix(2 - ranks, "long", output))  # on another number of ranks
    assert text.count("centre_5h: going on from iteration") == 1
    assert_same(read_posterior(folder / output), whole)
    assert not kept.exists()


MODEL = """
import numpy as np
import pymc as pm

def model():
    x = np.linspace(0, 10, 300)
    with pm.Model() as found:
        m, b, s = pm.Normal("m", 0, 10), pm.Normal("b", 0, 10), pm.HalfNormal("s", 5)
        pm.Normal("y", m * x + b, s, observed=3 * x - 2 + np.sin(40 * x))
    return found
"""


@pytest.fixture
def stars(folder) -> xr.DataTree:
    """A study of stars, and its posterior without interruption."""
    star_study.write(folder, star_study.table()[:60])
    sampler = {"live_points": 60, "dlogz": 5.0, "sample": "rwalk", "checkpoint_every": 0.1}
    raw = star_study.raw(data=str(folder), sampler=sampler)
    raw["components"]["cluster"] = raw["components"]["cluster"]["factors"]["motion"]
    pipeline.freeze_study(raw, folder / "stars.yaml")
    study, catalogue = any_study_from_mapping(raw), folder / "catalogue.h5"
    star_pipeline.read_catalogue(study, catalogue)
    star_pipeline.sample_posterior(study, catalogue, folder / "stars.nc")
    return read_posterior(folder / "stars.nc")


@pytest.fixture
def line(folder) -> xr.DataTree:
    """A study of a PyMC model, and its posterior without interruption."""
    source = folder / "line.py"
    source.write_text(MODEL)
    sampler = {"live_points": 500, "dlogz": 0.01, "sample": "rwalk", "checkpoint_every": 0.1}
    raw = {"domain": "pymc", "name": "line", "model": {"path": "line.py"}, "sampler": sampler}
    pipeline.freeze_study(raw, folder / "line.yaml")
    study = any_study_from_mapping(raw | {"data": str(folder)})
    pymc_pipeline.sample_posterior(study, source, folder / "line.nc")
    return read_posterior(folder / "line.nc")


@pytest.mark.parametrize("study", ["stars", "line"])
def test_other_domains_go_on_from_a_checkpoint(skymix, folder, request, study) -> None:
    posterior, output = request.getfixturevalue(study), f"{study}-again.nc"
    process = skymix(2, study, output)
    wait_for(folder / f"{output}.checkpoint", process)
    process.send_signal(signal.SIGUSR1)
    assert "skymix: stopped by SIGUSR1 after" in finish(process, 85)
    assert "going on from iteration" in finish(skymix(0, study, output))
    assert_same(read_posterior(folder / output), posterior)


def test_a_killed_parent_costs_what_came_after_the_checkpoint(skymix, folder, whole) -> None:
    process = skymix(2, "long", "killed.nc")
    wait_for(folder / "killed.nc.checkpoint.previous", process)
    os.kill(rank_process(process.pid, 0), signal.SIGKILL)
    process.communicate(timeout=20)
    assert process.returncode != 0
    newest = folder / "killed.nc.checkpoint"
    newest.write_bytes(newest.read_bytes()[:-100])
    text = finish(skymix(0, "long", "killed.nc"))
    assert "truncated or changed; going on from the older checkpoint" in text
    assert_same(read_posterior(folder / "killed.nc"), whole)


def rank_process(launcher: int, rank: int) -> int:
    """Process of a rank below a launcher."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"PMI_RANK={rank}".encode() in environment and is_below(entry.name, launcher):
            return int(entry.name)
    raise AssertionError(f"no rank {rank} below {launcher}")


def is_below(process: str, ancestor: int) -> bool:
    while process not in ("0", str(ancestor)):
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
        process = stat.rpartition(")")[2].split()[1]
    return process != "0"


def test_a_time_budget_stops_in_time(skymix, folder, whole) -> None:
    minutes, sessions = 0.12, 0
    while not (folder / "budget.nc").exists():
        begin = time.monotonic()
        process = skymix(0, "long", "budget.nc", "--walltime", str(minutes))
        text, _ = process.communicate(timeout=120)
        assert process.returncode in (0, 85), text
        if process.returncode == 85:
            assert "stopped because its time is over" in text
            assert time.monotonic() - begin < 60 * minutes + 5  # start and imports are outside
        sessions += 1
        minutes *= 2
    assert_same(read_posterior(folder / "budget.nc"), whole)


def test_runs_as_separate_jobs_are_merged(skymix, folder) -> None:
    study, likelihood = pipeline.load(folder / "runs.yaml"), folder / "likelihood.h5"
    runs = [folder / f"run{run}.h5" for run in (1, 2)]
    finish(skymix(0, "runs", runs[0].name, "--run", "1"))
    sample(folder, "runs", runs[1].name, 2)
    for run, sentence in [(None, "make each with --run 1 to 2"), (3, "there is no run 3")]:
        with pytest.raises(StudyError, match=sentence):
            sample(folder, "runs", "no.h5", run)
    with pytest.raises(StudyError, match=r"sampler\.runs: is 2, but 1 runs are given"):
        pipeline.merge_runs(study, likelihood, runs[:1], folder / "merged.nc")
    pipeline.merge_runs(study, likelihood, runs, folder / "merged.nc")
    merged = read_posterior(folder / "merged.nc")
    assert merged.attrs["n_runs"] == 2
    assert merged["nested"].sizes["dead_point"] > 2 * merged.attrs["n_live"]
    assert merged["nested"].sizes["dead_point"] == sum(
        read_product(path, RunProduct).log_likelihood.size for path in runs
    )


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("sentence", "skymix: error: this rank cannot go on"),
        ("parent", "skymix: error: rank 0 cannot go on"),
        ("exception", "skymix: error: rank 1 (process"),
        ("silent", "has been silent for too long"),
    ],
)
def test_a_fault_of_one_rank_ends_all(start, fault, sentence) -> None:
    begin = time.monotonic()
    text = finish(start(3, sys.executable, SCRIPT, fault), 1)
    assert time.monotonic() - begin < 40
    assert text.count(sentence) == 1
    assert text.count("skymix: ") == 1
    assert "evidence" not in text


@pytest.mark.parametrize("option", [(), ("-disable-auto-cleanup",)])
def test_a_killed_rank_ends_all(start, tool, option) -> None:
    """By the launcher, or by rank 0 if the launcher does not care."""
    command = tool("mpiexec"), "-n", 3, *option, sys.executable, SCRIPT, "killed"
    begin = time.monotonic()
    process = start(0, *command)
    text, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert time.monotonic() - begin < 40
    assert "evidence" not in text
    assert "Killed (signal 9)" in text or "has died" in text


def test_a_rank_that_does_not_start_ends_all(start) -> None:
    process = start(2, sys.executable, SCRIPT, "late")
    text, _ = process.communicate(timeout=50)
    assert process.returncode != 0
    assert text.count("skymix: error: 2 ranks did not find each other within 2 s") == 1
    assert "evidence" not in text


def test_no_fault_no_word(start) -> None:
    assert "evidence" in finish(start(2, sys.executable, SCRIPT, "none"))
