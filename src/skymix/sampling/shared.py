"""A problem in memory once a node: its arrays lie in an MPI shared-memory window."""

import pickle
from typing import Any

import numpy as np

from skymix.sampling.problem import Problem

_ALIGNMENT = 64  # bytes
_CHUNK = 1 << 30  # bytes in one message


def share(comm: Any, problem: Problem | None) -> tuple[Problem, Any, int]:
    """Give the problem of rank 0 to all ranks; all of them call this together.

    The arrays of the problem travel once to each node, and the ranks of a node have views of
    the same memory; only what is not an array is copied to every rank.

    Returns
    -------
    the problem, the window that must live as long as it, and the number of nodes
    """
    from mpi4py import MPI

    arrays: list[pickle.PickleBuffer] = []
    head = None
    if comm.rank == 0:
        head = pickle.dumps(problem, protocol=5, buffer_callback=arrays.append)
    sizes = [memoryview(array).nbytes for array in arrays]
    head, sizes = comm.bcast((head, sizes))
    starts, total = _layout(sizes)
    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    first = node.rank == 0
    window = MPI.Win.Allocate_shared(total + _ALIGNMENT if first else 0, 1, comm=node)
    buffer: Any = window.Shared_query(0)[0]
    lead = -np.frombuffer(buffer, np.uint8).ctypes.data % _ALIGNMENT
    memory = memoryview(buffer)[lead:]
    for start, size, array in zip(starts, sizes, arrays, strict=False):
        memory[start : start + size] = array.raw()
    leaders = comm.Split(0 if first else MPI.UNDEFINED, comm.rank)
    if first:
        for start in range(0, total, _CHUNK):
            leaders.Bcast(memory[start : min(start + _CHUNK, total)])
    node.Barrier()
    views = [memory[start : start + size] for start, size in zip(starts, sizes, strict=True)]
    nodes = comm.allreduce(int(first))
    return pickle.loads(head, buffers=views), window, nodes


def _layout(sizes: list[int]) -> tuple[list[int], int]:
    """Aligned start of each array, and the size of all."""
    starts, at = [], 0
    for size in sizes:
        starts.append(at)
        at += -(-size // _ALIGNMENT) * _ALIGNMENT
    return starts, at
