"""Upper limits on the rate of a component against its mass, of the data and of simulations."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.store.base import array, scalar

BAND = (0.025, 0.16, 0.5, 0.84, 0.975)
"""Quantiles that enclose 95 and 68 % of the simulations, and their median."""


@dataclass(frozen=True, eq=False)
class Limits:
    """Limits of one fit, as factors on the amplitude that the study gives to the component.

    `log_evidence` is that of each channel and mass, the component's factor uniform from 0 to
    `largest`; `null_log_evidence` that without the component, as the jobs of each channel found it.
    What is `expected` was found in data simulated without the component.
    """

    schema_name: ClassVar[str] = "limits"
    schema_version: ClassVar[int] = 2

    fit: str = scalar()
    component: str = scalar()
    quantity: str = scalar()  # "cross_section", or "lifetime", which is inverse to the factor
    amplitude: float = scalar()  # the quantity at factor 1
    unit: str = scalar()  # of the quantity
    level: float = scalar()
    largest: float = scalar()
    channels: tuple[str, ...] = scalar()
    mass: FloatArray = array("TeV", ("mass",))
    realisation: IntArray = array("", ("realisation",), "i8")  # number, which sets the seed
    limit: FloatArray = array("", ("channel", "mass"))
    log_evidence: FloatArray = array("", ("channel", "mass"))
    log_evidence_error: FloatArray = array("", ("channel", "mass"))
    null_log_evidence: FloatArray = array("", ("channel",))
    null_log_evidence_error: FloatArray = array("", ("channel",))
    expected: FloatArray = array("", ("channel", "realisation", "mass"))
    expected_log_bayes: FloatArray = array("", ("channel", "realisation", "mass"))

    def physical(self, factor: FloatArray) -> FloatArray:
        """Cross-section of a factor, or lifetime, of which a limit is a lower one."""
        return self.amplitude / factor if self.quantity == "lifetime" else self.amplitude * factor

    def band(self) -> FloatArray:
        """Quantiles `BAND` of the factors of simulations without it, (5, channel, mass)."""
        return np.asarray(np.quantile(self.expected, BAND, axis=1))

    def log_bayes(self) -> tuple[FloatArray, FloatArray]:
        """Logarithm of the Bayes factor of signal against none, and its error, (channel, mass)."""
        error = np.hypot(self.log_evidence_error, self.null_log_evidence_error[:, None])
        return self.log_evidence - self.null_log_evidence[:, None], error

    def channel_log_evidence(self) -> tuple[FloatArray, FloatArray]:
        """Logarithm of each channel's evidence with its mass free, and its error, (channel,).

        The mass has a prior that is uniform in its logarithm over the grid (trapezoids). Its
        evidences come from the same random numbers, so their errors are added as they are.
        """
        share = np.ones(1)
        if self.mass.size > 1:
            share = np.gradient(np.log(self.mass))
            share[[0, -1]] /= 2
        largest = self.log_evidence.max(axis=1, keepdims=True)
        part = share / share.sum() * np.exp(self.log_evidence - largest)
        total = part.sum(axis=1, keepdims=True)
        error = (part / total * self.log_evidence_error).sum(axis=1)
        return (largest + np.log(total))[:, 0], error
