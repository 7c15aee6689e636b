"""What launchers tell, and what MPI is told."""

import pytest

from skymix.errors import SkymixError
from skymix.sampling.launch import announced_ranks, avoid_ucx

BATCH_SCRIPT = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "8", "SLURM_PROCID": "0"}


@pytest.mark.parametrize(
    ("environment", "ranks"),
    [
        ({}, 1),
        (BATCH_SCRIPT, 1),
        (BATCH_SCRIPT | {"SLURM_STEP_NUM_TASKS": "1"}, 1),
        (BATCH_SCRIPT | {"SLURM_STEP_NUM_TASKS": "1", "PMIX_RANK": "0"}, 1),
        (BATCH_SCRIPT | {"SLURM_STEP_NUM_TASKS": "1", "PMI_RANK": "0", "PMI_SIZE": "4"}, 4),
        ({"PMI_RANK": "0", "PMI_SIZE": "3"}, 3),
        ({"OMPI_COMM_WORLD_SIZE": "5", "PMIX_RANK": "2"}, 5),
        ({"SLURM_STEP_NUM_TASKS": "6", "PMIX_RANK": "2"}, 6),
    ],
)
def test_number_of_ranks(environment, ranks) -> None:
    assert announced_ranks(environment) == ranks


def test_processes_that_cannot_find_each_other_are_refused() -> None:
    with pytest.raises(SkymixError, match="srun started 4 processes without MPI"):
        announced_ranks({"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "0"})


@pytest.mark.parametrize(
    ("device", "environment", "network"),
    [
        ("MPICH Device: ch4:ucx ofi", {}, "ofi"),
        ("MPICH Device: ch4:ucx ofi", {"PMI_SIZE": "8", "MPI_LOCALNRANKS": "4"}, "ofi"),
        ("MPICH Device: ch4:ucx ofi", {"PMI_SIZE": "8", "MPI_LOCALNRANKS": "8"}, None),
        ("MPICH Device: ch4:ucx ofi", {"PMI_SIZE": "8", "SLURM_STEP_NUM_NODES": "2"}, "ofi"),
        ("MPICH Device: ch4:ucx ofi", {"PMI_SIZE": "8", "SLURM_STEP_NUM_NODES": "1"}, None),
        ("MPICH Device: ch4:ucx ofi", {"MPIR_CVAR_CH4_NETMOD": "ucx"}, "ucx"),
        ("MPICH Device: ch4:ucx", {}, None),
        ("Open MPI v5.0.6", {}, None),
    ],
)
def test_mpich_is_kept_from_ucx_where_it_can_be(device, environment, network) -> None:
    environment = dict(environment)
    avoid_ucx(f"MPICH Version: 5.0.2\n{device}\nMPICH CC: cc with ucx, ofi\n", environment)
    assert environment.get("MPIR_CVAR_CH4_NETMOD") == network
