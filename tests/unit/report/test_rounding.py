"""Quantiles of draws and rounding of numbers to their errors."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from skymix.report.rounding import round_interval, round_number, round_to_error, summarise


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((1.234567, 0.123), "1.23 ± 0.12"),
        ((0.0996, 0.0996), "0.10 ± 0.10"),  # the error rounds up to the next power of ten
        ((9.996, 0.0996), "10.00 ± 0.10"),
        ((-123456.789, 0.123), "−123456.79 ± 0.12"),
        ((12345.0, 678.0), "12340 ± 680"),
        ((250000.0, 1200.0), "(2.500 ± 0.012)e5"),
        ((2.2e-26, 3e-27), "(2.20 ± 0.30)e-26"),
        ((-0.001, 0.1), "0.00 ± 0.10"),  # no negative zero
        ((1.0, 0.5, 0.02), "1.000 +0.500 −0.020"),
        ((1.0, 0.5, 0.0001), "1.000 +0.500 −0.000"),  # three digits of the larger error at most
        ((0.5, 0.0, 0.25), "0.50 +0.00 −0.25"),
        ((3.5, 0.0), "3.5"),
        ((1e-26, 0.0), "1e-26"),
    ],
)
def test_value_keeps_two_digits_of_its_error(numbers, text):
    assert round_to_error(*numbers).text() == text


def test_mathtext_has_signs_and_power():
    assert round_to_error(2.2e-26, 3e-27, 2e-27).mathtext() == (
        r"$(2.20^{+0.30}_{-0.20}) \times 10^{-26}$"
    )
    assert round_to_error(-1.5, 0.1).mathtext() == r"$-1.50 \pm 0.10$"


@pytest.mark.parametrize("numbers", [(math.nan, 1.0), (1.0, math.inf), (1.0, -0.1)])
def test_numbers_without_meaning_are_refused(numbers):
    with pytest.raises(ValueError, match="cannot round"):
        round_to_error(*numbers)


@given(
    st.floats(-1e6, 1e6),
    st.floats(1e-6, 1e4),
    st.floats(1e-6, 1e4),
)
def test_rounded_numbers_agree_with_the_numbers(value, plus, minus):
    rounded = round_to_error(value, plus, minus)
    scale = 10.0**rounded.exponent
    texts = (rounded.value, rounded.plus, rounded.minus)
    half_step = 0.05 * max(plus, minus)  # two significant digits of the larger error
    for text, number in zip(texts, (value, plus, minus), strict=True):
        assert float(text.replace("−", "-")) * scale == pytest.approx(
            number, abs=half_step * (1 + 1e-9)
        )
    places = {len(text.partition(".")[2]) for text in texts}
    assert len(places) == 1
    assert not re.fullmatch(r"−0\.?0*", rounded.value)


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((0.12345, 0.98), "0.12 to 0.98"),
        ((1e-9, 3e-9), "(1.0 to 3.0)e-9"),
        ((0.351, 87.6), "0.35 to 88"),
        ((-0.2, 0.31), "−0.20 to 0.31"),
        ((2.0, 2.0), "2"),
    ],
)
def test_intervals(ends, text):
    assert round_interval(*ends) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (18000.0, "18000"), (0.1, "0.1"), (1234567.0, "1.23e6"), (600.0, "600"),
        (1.2345e-5, "1.23e-5"), (999.96, "1000"), (0.0, "0"), (-2.5, "−2.5"), (2e7, "2e7"),
        (math.inf, "∞"), (math.nan, "not a number"),
    ],
)  # fmt: skip
def test_numbers_without_errors(value, text):
    assert round_number(value) == text


def test_summary_of_normal_draws():
    grid = stats.norm(3, 2).ppf((np.arange(20000) + 0.5) / 20000)
    summary = summarise(grid.reshape(4, 5000))
    z68, z95 = stats.norm.ppf(0.84), stats.norm.ppf(0.975)
    assert summary.median == pytest.approx(3, abs=1e-3)
    assert (summary.minus, summary.plus) == pytest.approx((2 * z68, 2 * z68), rel=1e-3)
    assert (summary.lower_95, summary.upper_95) == pytest.approx(
        (3 - 2 * z95, 3 + 2 * z95), rel=2e-3
    )
    assert summary.standard_deviation == pytest.approx(2, rel=1e-3)


@pytest.mark.parametrize("draws", [[], [1.0, np.nan]])
def test_summary_refuses_what_is_no_posterior(draws):
    with pytest.raises(ValueError, match="finite"):
        summarise(np.array(draws))
