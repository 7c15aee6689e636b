"""Statistics of counts, against exact Poisson limits and brute force."""

import numpy as np
import pytest
from scipy import stats

from skymix.report.counts import correlation_radius, disc_sum, gehrels_errors, significance


def test_gehrels_errors_approximate_the_exact_poisson_limits():
    n = np.array([1.0, 3.0, 10.0, 100.0])
    low, high = gehrels_errors(n)
    tail = stats.norm.sf(1)
    exact_low = n - stats.gamma.ppf(tail, n)
    exact_high = stats.gamma.isf(tail, n + 1) - n
    np.testing.assert_allclose(low, exact_low, rtol=0.03)
    np.testing.assert_allclose(high, exact_high, rtol=0.03)


def test_gehrels_errors_of_zero_counts():
    low, high = gehrels_errors(np.array([0.0]))
    assert low[0] == 0
    assert high[0] == pytest.approx(1.87, abs=0.01)


def test_significance_is_standard_normal_for_many_counts():
    mu = np.full(20000, 400.0)
    values = significance(np.random.default_rng(1).poisson(mu).astype(float), mu)
    assert values.mean() == pytest.approx(0, abs=0.03)
    assert values.std() == pytest.approx(1, abs=0.02)


def test_significance_by_hand():
    expected = np.sqrt(2 * (9 * np.log(9 / 4) - 9 + 4))
    found = significance(np.array([9.0, 4.0, 0.0, 2.0]), np.array([4.0, 4.0, 2.0, 0.0]))
    np.testing.assert_allclose(found, [expected, 0.0, -2.0, np.nan])


def test_disc_sum_counts_each_pixel_within_the_radius():
    image = np.random.default_rng(2).random((9, 12))
    y, x = np.indices(image.shape)
    found = disc_sum(image, 2.3)
    for i, j in ((0, 0), (4, 6), (8, 3)):
        assert found[i, j] == pytest.approx(image[np.hypot(y - i, x - j) <= 2.3].sum())


def test_correlation_radius_gathers_the_wanted_counts():
    assert correlation_radius(np.full((40, 40), 12.0)) == 0
    assert correlation_radius(np.full((40, 40), 1.0)) == pytest.approx(np.sqrt(10 / np.pi))
    assert correlation_radius(np.full((40, 40), 1e-6)) == 8
