"""Test of a nested run by its insertion ranks."""

import numpy as np

from skymix.axes import IntArray


def insertion_p_value(ranks: IntArray, n_live: int) -> float:
    """p-value that insertion ranks are uniform on 0 ... n_live - 1.

    Kolmogorov-Smirnov test of Fowlie, Handley and Su (2020, MNRAS 497, 5256); ranks are spread
    over their unit cells, at fixed seed, to make them continuous.

    Parameters
    ----------
    ranks : (niteration,) rank of each new point among the live points
    n_live : number of live points

    Returns
    -------
    float ; NaN if the run ended before its first new point
    """
    if not ranks.size:
        return float("nan")
    from scipy import stats

    jitter = np.random.default_rng(0).random(ranks.size)
    return float(stats.kstest((ranks + jitter) / n_live, "uniform").pvalue)
