"""Ranks of truths: uniform for a faithful posterior, not for a wrong one."""

import numpy as np
import pytest

from skymix.diagnostics.calibration import (
    calibration_p_value,
    joined,
    posterior_rank,
    rank_p_values,
)
from skymix.errors import DataError
from skymix.store.calibration import Calibration


def calibration(width, numbers=range(200), fit="joint", bias=0.0):
    """Normal mean with a normal prior, whose posterior is as wide as it says times `width`."""
    truth, rank = [], []
    for number in numbers:
        rng = np.random.default_rng(number)
        mean = rng.normal(size=2)
        data = rng.normal(mean, 1.0)
        draws = rng.normal(data / 2 + bias, width * np.sqrt(0.5), (500, 2))
        truth.append(mean)
        rank.append([posterior_rank(t, d, rng) for t, d in zip(mean, draws.T, strict=True)])
    n = len(truth)
    return Calibration(
        fit=fit,
        parameters=("a", "b"),
        realisation=np.array(list(numbers)),
        truth=np.array(truth),
        rank=np.array(rank),
        events=np.full(n, 10),
        log_evidence=np.zeros(n),
    )


def test_faithful_posterior():
    assert calibration_p_value(calibration(1.0)) > 0.01


@pytest.mark.parametrize(("width", "bias"), [(0.6, 0.0), (1.8, 0.0), (1.0, 0.3)])
def test_wrong_posterior(width, bias):
    assert calibration_p_value(calibration(width, bias=bias)) < 1e-3


def test_p_value_is_that_of_the_worst_parameter():
    good, bad = calibration(1.0), calibration(0.4)
    mixed = Calibration(
        **{**vars(good), "rank": np.stack([good.rank[:, 0], bad.rank[:, 1]], axis=1)}
    )
    p = rank_p_values(mixed)
    assert p[0] > 0.01 > p[1]
    assert calibration_p_value(mixed) == pytest.approx(2 * p[1])


def test_rank_among_equals_is_random_and_within_bounds():
    rng = np.random.default_rng(1)
    ranks = np.array([posterior_rank(1.0, np.ones(9), rng) for _ in range(2000)])
    assert 0 < ranks.min() < 0.01
    assert 0.99 < ranks.max() < 1
    assert posterior_rank(0.0, np.ones(9), rng) < 0.1
    assert posterior_rank(2.0, np.ones(9), rng) > 0.9


def test_parts_are_joined_in_the_order_of_their_numbers():
    whole = calibration(1.0, range(12))
    parts = [calibration(1.0, part) for part in (range(8, 12), range(4), range(4, 8))]
    np.testing.assert_array_equal(joined(parts).rank, whole.rank)
    np.testing.assert_array_equal(joined(parts).realisation, np.arange(12))


def test_refuses_parts_that_do_not_belong_together():
    part = calibration(1.0, range(3))
    with pytest.raises(DataError, match="given twice"):
        joined([part, part])
    with pytest.raises(DataError, match="do not belong"):
        joined([part, calibration(1.0, range(3, 6), fit="other")])
