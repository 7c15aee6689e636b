"""What every sampler gives: weighted draws from the posterior, and the evidence."""

from dataclasses import dataclass

import numpy as np

from skymix.axes import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class WeightedRun:
    """Weighted draws and evidence.

    Parameters
    ----------
    names : parameters
    samples : (n, ndim)
    log_likelihood, log_weight : (n,); weights are normalised to add up to 1
    log_evidence, log_evidence_error : ln Z and its standard error
    information : Kullback-Leibler divergence of posterior from prior
    n_calls : likelihood calls
    seconds : wall time
    """

    names: tuple[str, ...]
    samples: FloatArray
    log_likelihood: FloatArray
    log_weight: FloatArray
    log_evidence: float
    log_evidence_error: float
    information: float
    n_calls: int
    seconds: float

    @property
    def effective_size(self) -> float:
        """Kish's effective number of posterior samples."""
        w = np.exp(self.log_weight)
        return float(w.sum() ** 2 / (w**2).sum())

    def equal_weight_draws(self, rng: np.random.Generator) -> IntArray:
        """Indices of draws of equal weight, by systematic resampling, in random order."""
        n = max(100, round(self.effective_size))
        edges = np.cumsum(np.exp(self.log_weight))
        positions = (rng.random() + np.arange(n)) / n * edges[-1]
        return rng.permutation(np.searchsorted(edges, positions, side="right")).astype(np.int64)
