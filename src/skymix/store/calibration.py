"""Ranks of the true parameters of simulated surveys among the draws from their posteriors."""

from dataclasses import dataclass
from typing import ClassVar

from skymix.axes import FloatArray, IntArray
from skymix.store.base import array, scalar


@dataclass(frozen=True, eq=False)
class Calibration:
    """Simulation-based calibration of one fit: truths drawn from the prior, fitted again.

    `rank` is the share of the posterior below the truth, made continuous among equals; it is
    uniform on (0, 1) if simulation and likelihood agree.
    """

    schema_name: ClassVar[str] = "calibration"
    schema_version: ClassVar[int] = 1

    fit: str = scalar()
    parameters: tuple[str, ...] = scalar()
    realisation: IntArray = array("", ("realisation",), "i8")  # number, which sets the seed
    truth: FloatArray = array("", ("realisation", "parameter"))
    rank: FloatArray = array("", ("realisation", "parameter"))
    events: IntArray = array("", ("realisation",), "i8")  # number of simulated events
    log_evidence: FloatArray = array("", ("realisation",))
