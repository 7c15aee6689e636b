"""A survey on a real SLURM: the products of the same study run locally, whatever breaks."""

import subprocess
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.slurm.conftest import QUICK, ROOT
from tests.survey import survey, write_survey

CTA_SOUTH = "gamma/cta-prod5-irfs/Prod5-South-20deg-AverageAz-14MSTs37SSTs.180000s-v0.1.fits.gz"
PROFILE = ROOT / "profiles/slurm/config.yaml"
FIT = "results/survey/fits/joint"
NUMBER = 4

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def write(folder, data):
    raw = survey()
    raw["jobs"] = {"observations": 2}
    # Some seconds of sampling, on a quick machine too: the faults must find it at work.
    raw["sampler"] = {"live_points": 4000, "dlogz": 0.05, "sample": "rwalk"}
    raw["sampler"]["checkpoint_every"] = 0.1
    write_survey(folder, raw, NUMBER, data / CTA_SOUTH)


@pytest.fixture
def profile(tmp_path):
    """The project's profile without MPI, which it says how to leave out."""
    text, mpi, _ = PROFILE.read_text().partition("set-resources:")
    assert mpi
    folder = tmp_path / "profile"
    folder.mkdir()
    (folder / "config.yaml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def local(tmp_path_factory, workflow, data_folder):
    """Folder of the survey, run on this machine."""
    folder = tmp_path_factory.mktemp("local")
    write(folder, data_folder)
    run = workflow(folder, "--cores", "2")
    assert run.wait(timeout=400) == 0, (folder / "run.log").read_text()
    return folder


def datasets(path: Path) -> dict[str, np.ndarray]:
    """Every dataset of a file by its name; what a run took is not among its results."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return {name: values for name, values in found.items() if "second" not in name}


def assert_same_products(one: Path, other: Path) -> None:
    """All products of two runs agree bit by bit."""
    files, others = (
        sorted(p.relative_to(root) for p in root.rglob("*") if p.suffix in (".h5", ".nc"))
        for root in (one / "results", other / "results")
    )
    assert files == others
    assert len(files) >= NUMBER * 4 + 2 + 3
    for path in files:
        first, second = datasets(one / "results" / path), datasets(other / "results" / path)
        assert first.keys() == second.keys(), path
        for name, values in first.items():
            np.testing.assert_array_equal(values, second[name], f"{path}: {name}")
    assert (other / "results/survey/report/index.html").stat().st_size > 10_000


def wait_for(path: Path, run: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert run.poll() is None
        assert time.monotonic() < deadline, path
        time.sleep(0.1)


def finish(run: "subprocess.Popen[bytes]", folder: Path) -> str:
    """What a run of the workflow said that ended well."""
    code = run.wait(timeout=400)
    log = (folder / "run.log").read_text()
    assert code == 0, log
    return log


def resumed(folder: Path) -> bool:
    """Whether the sampling that made the posterior went on from a checkpoint."""
    log = folder / "results/survey/logs/fits/joint/posterior.log"
    return "going on from iteration" in log.read_text()


def test_survey_with_a_dead_node_and_a_cancelled_job(
    slurm, workflow, profile, local, tmp_path, data_folder
):
    """A node loses its power under a bundle, the sampling is cancelled: all goes on by itself."""
    write(tmp_path, data_folder)
    run = workflow(tmp_path, "--profile", str(profile), *QUICK, env=slurm.environment)
    try:
        job, node = slurm.wait_for("run_0000", run)
        wait_for(tmp_path / "results/survey/logs/bundles/run_0000.log", run)
        slurm.call("tests/slurm/node.sh", "kill", node)
        slurm.call("tests/slurm/node.sh", "start", node)
        slurm.release_requeued(job, run)
        job, _ = slurm.wait_for("sample_posterior", run)
        wait_for(tmp_path / FIT / "posterior.nc.checkpoint", run)
        slurm.call("scancel", job)
        log = finish(run, tmp_path)
    finally:
        run.kill()
        run.wait()
        print((tmp_path / "run.log").read_text())  # pytest shows it when the test fails
    assert f"SLURM-job '{job}' failed, SLURM status is: 'CANCELLED'" in log
    assert resumed(tmp_path)
    assert_same_products(local, tmp_path)
