"""Ranks under srun, started as the profile does: the same bits, and a dead one ends the job."""

import os
import subprocess
import sys

import pytest
import yaml
from tests.slurm.conftest import ROOT

PROFILE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8"))
LAUNCHER = PROFILE["set-resources"]["sample_posterior"]["mpi"].split()
SCRIPT = str(ROOT / "tests/workflow/ranks.py")

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def run(environment, fault, *launcher):
    """What the script says and its exit code; a step that hangs would take five minutes."""
    done = subprocess.run(
        [*launcher, sys.executable, SCRIPT, fault],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    return done.stdout + done.stderr, done.returncode


@pytest.mark.parametrize("nodes", [1, 2])
def test_same_bits_as_one_process(slurm, nodes):
    many = *LAUNCHER, "-n", "2", "-N", str(nodes), "--mem-per-cpu", "1500"
    (one, code), (two, codes) = (run(slurm.environment, "none", *how) for how in ((), many))
    assert (code, codes) == (0, 0), one + two
    evidence = [line for line in one.splitlines() if line.startswith("evidence ")]
    assert len(evidence) == 1
    assert evidence[0] in two.splitlines()
    assert "2 ranks on" in two


def test_a_rank_killed_on_another_node_ends_the_step(slurm):
    many = *LAUNCHER, "-n", "3", "-N", "3", "--mem-per-cpu", "1500"
    text, code = run(slurm.environment, "far", *many)
    assert code != 0
    assert "task 1: Killed" in text
    assert "evidence" not in text
