import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
# So that a test sees a job end within seconds; a site would rather spare its controller.
QUICK = ("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "10")


def _unavailable(message: str) -> NoReturn:
    """Skip the test, or fail it in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"{message} (CI forbids skipping)", pytrace=False)
    pytest.skip(message)


@dataclass(frozen=True)
class Slurm:
    """A private SLURM: three nodes on this machine."""

    environment: dict[str, str]

    def call(self, *command: str) -> str:
        """Output of a command of SLURM or of a script of this folder."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    def wait_for(self, name: str, run: "subprocess.Popen[bytes]") -> tuple[str, str]:
        """Number and node of a job with this in its name, as soon as one runs."""
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and run.poll() is None:
            for line in self.call("squeue", "-h", "-t", "R", "-o", "%A %N %k").splitlines():
                job, node, comment = line.split(maxsplit=2)
                if name in comment:
                    return job, node
            time.sleep(0.2)
        raise AssertionError(f"no job of {name} ran")

    def release_requeued(self, job: str, run: "subprocess.Popen[bytes]") -> None:
        """Start the jobs of a node that died at once: SLURM lets them wait for two minutes."""
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline and run.poll() is None:
            lines = self.call("squeue", "-h", "-t", "PD", "-o", "%A %r").splitlines()
            waiting = [line.split()[0] for line in lines if line.endswith("BeginTime")]
            for each in waiting:
                self.call("scontrol", "update", f"JobId={each}", "StartTime=now")
            if job in waiting:
                return
            time.sleep(0.2)
        raise AssertionError(f"job {job} was not put back into the queue")


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """SLURM from this machine's packages, started for the tests and stopped after them."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if missing:
        _unavailable(f"No {', '.join(missing)}: apt-get install -y slurm-wlm munge")
    if os.getuid() != 0:
        _unavailable("Only root can start a SLURM of its own")
    # Not among pytest's folders: munge wants those above its socket to be open to all.
    lab = Path(tempfile.mkdtemp(prefix="skymix-slurm-"))
    environment = {
        **os.environ,
        "PATH": path,
        "SLURM_LAB_DIR": str(lab),
        "SLURM_CONF": str(lab / "slurm.conf"),
        "SLURM_LAB_PORT": str(16000 + 110 * (os.getpid() % 100)),
    }
    started = subprocess.run(
        [str(HERE / "up.sh")], env=environment, capture_output=True, text=True, check=False
    )
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        yield Slurm(environment)
    finally:
        subprocess.run([str(HERE / "down.sh"), "--purge"], env=environment, check=True, timeout=120)


@pytest.fixture(scope="session")
def workflow() -> Callable[..., "subprocess.Popen[bytes]"]:
    """Start the workflow of a study in a folder; its words go to the file `run.log` there."""

    def start(folder: Path, *arguments: str, **options: object) -> "subprocess.Popen[bytes]":
        command: Sequence[str] = [sys.executable, "-m", "snakemake", "--directory", str(folder)]
        command = [*command, "--snakefile", str(ROOT / "Snakefile")]
        command = [*command, "--configfile", str(folder / "study.yaml"), *arguments]
        with open(folder / "run.log", "ab") as log:
            return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, **options)

    return start
