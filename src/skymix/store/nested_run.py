"""One of several independent nested runs that are merged into a posterior."""

from dataclasses import dataclass
from typing import ClassVar

from skymix.axes import FloatArray, IntArray
from skymix.store.base import array, scalar


@dataclass(frozen=True, eq=False)
class RunProduct:
    """Dead points of a run in the order of their likelihood, and how it went."""

    schema_name: ClassVar[str] = "nested_run"
    schema_version: ClassVar[int] = 1

    names: tuple[str, ...] = scalar()
    samples: FloatArray = array("", ("dead_point", "parameter"))
    log_likelihood: FloatArray = array("", ("dead_point",))
    log_weight: FloatArray = array("", ("dead_point",), finite=False)
    log_prior_volume: FloatArray = array("", ("dead_point",))
    log_likelihood_birth: FloatArray = array("", ("dead_point",), finite=False)
    insertion_rank: IntArray = array("", ("iteration",), "i8")
    n_live: int = scalar()
    log_first_volume: float = scalar()
    log_evidence: float = scalar()
    log_evidence_error: float = scalar()
    information: float = scalar()
    n_calls: int = scalar()
    seconds: float = scalar("s")
    ranks: int = scalar()
    nodes: int = scalar()
    lost_time: float = scalar()
    load_balance: float = scalar()
