"""Whether a launcher has started several ranks, by what it has put in their environment."""

from collections.abc import Mapping

from skymix.errors import SkymixError

# Set by the launchers of MPICH and its kin, of Open MPI, and of MVAPICH; srun sets the first with
# --mpi=pmi2.
_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_RANKS = ("PMI_RANK", "PMIX_RANK")  # srun --mpi=pmix tells the size in a variable of its own
_STEP = "SLURM_STEP_NUM_TASKS"


def announced_ranks(environment: Mapping[str, str]) -> int:
    """Number of ranks that were started together; 1 without a launcher, which needs no MPI.

    Raises
    ------
    SkymixError
        If srun started several processes that cannot find each other.
    """
    for name in _SIZES:
        if environment.get(name, "").isdigit():
            return int(environment[name])
    tasks = int(environment.get(_STEP) or 1)
    if tasks > 1 and not any(name in environment for name in _RANKS):
        raise SkymixError(
            f"srun started {tasks} processes without MPI; use srun --mpi=pmi2 (MPICH) or"
            " --mpi=pmix (Open MPI), or one task"
        )
    return tasks
