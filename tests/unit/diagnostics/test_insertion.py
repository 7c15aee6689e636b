"""The rank test passes exact nested sampling and fails one that breaks its bound.

The toy is exact: ln L = -x with x the prior volume itself, so a new point is uniform below the
smallest volume. A broken sampler draws from a part of that only.
"""

import numpy as np
import pytest
from scipy import stats

from skymix.diagnostics import insertion_p_value


def ranks(seed, part=1.0, n_live=100, iterations=1500):
    rng = np.random.default_rng(seed)
    volume = rng.random(n_live)
    found = []
    for _ in range(iterations):
        worst = int(volume.argmax())
        new = rng.random() * volume[worst] * part
        others = np.delete(volume, worst)
        found.append(int((others > new).sum()))
        volume[worst] = new
    return np.array(found)


def test_exact_runs_have_uniform_p_values():
    p = [insertion_p_value(ranks(seed), 100) for seed in range(40)]
    assert stats.kstest(p, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("part", [0.8, 0.5])
def test_points_from_too_small_a_volume_are_seen(part):
    assert insertion_p_value(ranks(1, part), 100) < 1e-3


def test_points_that_stay_near_the_bound_are_seen():
    """A walk that does not forget where it began, on the live point that was left."""
    low = np.minimum(ranks(1), ranks(2))
    assert insertion_p_value(low, 100) < 1e-6


def test_same_ranks_give_the_same_value():
    assert insertion_p_value(ranks(3), 100) == insertion_p_value(ranks(3), 100)


def test_no_ranks():
    assert np.isnan(insertion_p_value(np.empty(0, dtype=np.int64), 100))
