"""Membership figures: rows that stand for several events."""

import numpy as np

from skymix.report.figures.membership import calibration_points


def test_groups_of_the_calibration_weigh_rows_by_their_events():
    rng = np.random.default_rng(2)
    probability, number = rng.random(8000), rng.integers(1, 6, 8000)
    belongs = rng.random(8000) < probability
    rows = calibration_points(probability, number, belongs)
    # The same events, each in a row of its own.
    one_by_one = calibration_points(
        np.repeat(probability, number),
        np.ones(number.sum(), dtype=np.int64),
        np.repeat(belongs, number),
    )
    for found, expected in zip(rows, one_by_one, strict=True):
        np.testing.assert_allclose(found, expected, atol=0.005)
