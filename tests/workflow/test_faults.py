"""What breaks under a workflow: a clear message, nothing half-written, the same evidence after."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.survey import survey, write_survey
from tests.workflow.conftest import ROOT

from skymix.store import LikelihoodTables, read_posterior, read_product

FIT = "results/survey/fits/run_0000"
MARGINALS = "results/survey/marginals/run_0000"

pytestmark = pytest.mark.slow


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """The survey of one observation up to its posterior."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--configfile", str(folder / "study.yaml")]
    return subprocess.Popen(
        [*command, "--cores", "1", f"{FIT}/posterior.nc", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(run: "subprocess.Popen[str]") -> str:
    """What a run said that ended well."""
    text, _ = run.communicate(timeout=300)
    assert run.returncode == 0, text
    return text


def failure(run: "subprocess.Popen[str]") -> str:
    """What a run said that ended badly."""
    text, _ = run.communicate(timeout=300)
    assert run.returncode != 0, text
    assert "Traceback" not in text
    return text


def evidence(folder: Path) -> float:
    return float(read_posterior(folder / f"{FIT}/posterior.nc").attrs["logz"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Folder of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    write_survey(folder, survey(), 1)
    finish(start(folder))
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of it, times included, without the posterior."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    (tmp_path / FIT / "posterior.nc").unlink()
    return tmp_path


def job_of(run: "subprocess.Popen[str]", words: str, folder: Path) -> int:
    """Process of a running command of the workflow, by what its command line holds."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and run.poll() is None:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                inside = (process / "cwd").resolve() == folder.resolve()
            except OSError:
                continue
            if inside and "bin/skymix" in line and words in line and "bash" not in line:
                return int(process.name)
        time.sleep(0.01)
    raise AssertionError(f"no job '{words}' ran")


def test_killed_marginalisation(whole, folder):
    product = folder / MARGINALS / "dark_matter.h5"
    product.unlink()
    (folder / FIT / "likelihood.h5").unlink()
    run = start(folder)
    os.kill(job_of(run, "marginalise-nuisance", folder), signal.SIGKILL)
    text = failure(run)
    assert "marginalise_nuisance" in text
    assert "exit code 137" in text or "exit status 137" in text or "Killed" in text, text
    assert not product.exists()
    finish(start(folder))
    assert evidence(folder) == evidence(whole)


def test_flipped_byte_in_a_table(whole, folder):
    tables = folder / FIT / "likelihood.h5"
    content = bytearray(tables.read_bytes())
    values = read_product(tables, LikelihoodTables).node_values.tobytes()
    content[content.index(values) + 3] ^= 1
    tables.write_bytes(content)
    text = failure(start(folder, "--rerun-triggers", "input"))
    assert "likelihood.h5: its content does not match its checksum; delete it and run again" in text
    assert "completed successfully" not in text  # the sampler is not the last command of its pipe
    assert not (folder / FIT / "posterior.nc").exists()
    tables.unlink()
    finish(start(folder))
    assert evidence(folder) == evidence(whole)


def test_truncated_marginals(whole, folder):
    product = folder / MARGINALS / "cosmic_rays.h5"
    product.write_bytes(product.read_bytes()[:-100])
    (folder / FIT / "likelihood.h5").unlink()
    text = failure(start(folder, "--rerun-triggers", "input"))
    assert "cosmic_rays.h5: truncated or not an HDF5 file; delete it and run again" in text
    product.unlink()
    finish(start(folder))
    assert evidence(folder) == evidence(whole)


@pytest.fixture
def full_disk(folder):
    """The folder of the marginals on a file system that a file has filled but for some bytes."""
    if os.getuid() != 0:
        pytest.skip("Only root can mount a small file system")
    place = folder / MARGINALS
    shutil.rmtree(place)
    place.mkdir()
    (folder / FIT / "likelihood.h5").unlink()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"No small file system can be mounted here ({mounted.stderr.strip()})")
    (place / "ballast").write_bytes(bytes(2**20 - 2**13))
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_full_disk(whole, folder, full_disk):
    text = failure(start(folder, "--keep-going"))
    assert "cannot be written (No space left on device); make room or write elsewhere" in text
    assert [path.name for path in full_disk.iterdir()] == ["ballast"]
    (full_disk / "ballast").unlink()
    finish(start(folder))
    assert evidence(folder) == evidence(whole)


def test_two_workflows_in_one_folder(whole, folder):
    (folder / MARGINALS / "dark_matter.h5").unlink()
    (folder / FIT / "likelihood.h5").unlink()
    first = start(folder)
    job_of(first, "marginalise-nuisance", folder)
    second = failure(start(folder))
    assert "Directory cannot be locked" in second
    finish(first)
    assert evidence(folder) == evidence(whole)
