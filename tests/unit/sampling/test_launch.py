"""Whether several ranks were started."""

import pytest

from skymix.errors import SkymixError
from skymix.sampling.launch import announced_ranks

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
