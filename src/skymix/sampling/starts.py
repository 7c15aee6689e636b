"""Where chains start: draws of a short nested run.

A mixture's likelihood has maxima from which no chain comes away, and from the middle of wide priors
many lead to such a one. A nested run of few live points tells them apart by their mass.
"""

from typing import Protocol

import numpy as np

from skymix.axes import FloatArray
from skymix.sampling.mixture_op import DifferentiableMixture, start_at
from skymix.sampling.nested import sample_nested
from skymix.sampling.problem import Problem

_LIVE_POINTS, _DLOGZ = 50, 5.0


class _Mixture(DifferentiableMixture, Problem, Protocol):
    """What both samplers need."""


def nuts_starts(mixture: _Mixture, chains: int, seed: int) -> list[dict[str, FloatArray]]:
    """Start of each chain, for `sample_nuts` of the model of a mixture.

    The draw of the highest likelihood comes first; the others are draws of equal weight.
    """
    run = sample_nested(mixture, _LIVE_POINTS, _DLOGZ, "single", "rwalk", seed)
    draws = run.equal_weight_draws(np.random.default_rng(seed))
    best = draws[np.argmax(run.log_likelihood[draws])]
    others = draws[np.linspace(0, draws.size - 1, chains - 1).astype(np.int64)]
    return [start_at(mixture, run.samples[row]) for row in [best, *others]]
