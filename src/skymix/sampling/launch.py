"""What a launcher of several ranks has put in their environment, and what MPI needs there."""

from collections.abc import Mapping, MutableMapping

from skymix.errors import SkymixError

# Set by the launchers of MPICH and its kin, of Open MPI, and of MVAPICH; srun sets the first with
# --mpi=pmi2.
_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_RANKS = ("PMI_RANK", "PMIX_RANK")  # srun --mpi=pmix tells the size in a variable of its own
_STEP = "SLURM_STEP_NUM_TASKS"
_NODES = "SLURM_STEP_NUM_NODES"
_RANKS_HERE = "MPI_LOCALNRANKS"  # on this node, set by MPICH's mpiexec


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


def avoid_ucx(library: str, environment: MutableMapping[str, str]) -> None:
    """Let an MPICH that has both talk over OFI between nodes, unless the environment names one.

    Over UCX one start of ten on several nodes fails or hangs with MPICH 5.0.2 under srun: the ranks
    get addresses with whatever lay beside them in memory. On a single node there is none of this,
    and UCX needs no network there, not even a loopback.

    Parameters
    ----------
    library : what the MPI library says of itself
    environment : of this process, changed before MPI starts
    """
    devices = [line for line in library.splitlines() if line.startswith("MPICH Device:")]
    all_here = environment.get(_RANKS_HERE, "") == environment.get("PMI_SIZE")
    one_node = all_here or environment.get(_NODES) == "1"
    if any("ucx" in line and "ofi" in line for line in devices) and not one_node:
        environment.setdefault("MPIR_CVAR_CH4_NETMOD", "ofi")
