"""Simulation-based calibration: whether the posteriors of simulated surveys are what they say.

Talts et al. (2018, arXiv 1804.06788): of truths drawn from the prior, the rank of each among draws
from the posterior of what it made is uniform, whatever the data, if simulation, likelihood and
sampler are right.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from skymix.axes import FloatArray
from skymix.errors import DataError
from skymix.store.calibration import Calibration


def posterior_rank(truth: float, draws: FloatArray, rng: np.random.Generator) -> float:
    """Place of a truth among equal-weight draws (n,), in (0, 1); random among equals."""
    below, equal = int((draws < truth).sum()), int((draws == truth).sum())
    return float((below + rng.random() * (equal + 1)) / (draws.size + 1))


def rank_p_values(calibration: Calibration) -> FloatArray:
    """p-value of each parameter that its ranks are uniform, Kolmogorov-Smirnov, (nparameter,)."""
    return np.array([stats.kstest(column, "uniform").pvalue for column in calibration.rank.T])


def calibration_p_value(calibration: Calibration) -> float:
    """p-value of the worst parameter, corrected for their number (Bonferroni)."""
    p = rank_p_values(calibration)
    return float(min(1.0, p.min() * p.size))


def joined(parts: Sequence[Calibration]) -> Calibration:
    """Calibrations of different realisations as one, in the order of their numbers.

    Raises
    ------
    DataError
        If they are of other fits or parameters, or a realisation comes twice.
    """
    first = parts[0]
    for part in parts:
        if (part.fit, part.parameters) != (first.fit, first.parameters):
            raise DataError(
                f"calibrations of '{part.fit}' and '{first.fit}' with parameters"
                f" {', '.join(part.parameters)} and {', '.join(first.parameters)} do not belong"
                " together; delete them and run again"
            )
    number = np.concatenate([part.realisation for part in parts])
    order = np.argsort(number, kind="stable")
    if np.unique(number).size < number.size:
        raise DataError(f"calibration of '{first.fit}': a realisation is given twice")
    return Calibration(
        fit=first.fit,
        parameters=first.parameters,
        realisation=number[order],
        truth=np.concatenate([part.truth for part in parts])[order],
        rank=np.concatenate([part.rank for part in parts])[order],
        events=np.concatenate([part.events for part in parts])[order],
        log_evidence=np.concatenate([part.log_evidence for part in parts])[order],
    )
