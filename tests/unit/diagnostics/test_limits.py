"""Limits of several jobs joined, and their band."""

import numpy as np
import pytest

from skymix.diagnostics.limits import joined
from skymix.errors import DataError
from skymix.store.limits import Limits


def limits(channel="b", numbers=range(4), fit="joint"):
    numbers = np.array(list(numbers))
    expected = numbers[None, :, None] + np.array([1.0, 10.0])
    return Limits(
        fit=fit,
        component="dark_matter",
        quantity="cross_section",
        amplitude=2.2e-26,
        unit="cm3 s-1",
        level=0.95,
        largest=100.0,
        channels=(channel,),
        mass=np.array([1.0, 2.0]),
        realisation=numbers,
        limit=np.array([[1.0, 2.0]]),
        log_evidence=np.array([[5.0, 6.0]]),
        log_evidence_error=np.full((1, 2), 0.3),
        null_log_evidence=np.array([4.0]),
        null_log_evidence_error=np.array([0.4]),
        expected=expected,
        expected_log_bayes=-expected,
    )


def test_parts_are_joined_in_the_order_of_their_numbers():
    parts = [limits("W", range(2, 4)), limits("W", range(2)), limits("b")]
    whole = joined(parts)
    assert whole.channels == ("W", "b")
    np.testing.assert_array_equal(whole.realisation, np.arange(4))
    np.testing.assert_array_equal(whole.expected[0], whole.expected[1])
    assert whole.null_log_evidence.shape == (2,)
    np.testing.assert_array_equal(whole.expected[0, :, 0], np.arange(4) + 1.0)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([limits(), limits()], "given twice"),
        ([limits(), limits("W", range(3))], "not the same simulations"),
        ([limits(), limits(numbers=range(4, 6), fit="other")], "do not belong together"),
    ],
)
def test_refuses_parts_that_do_not_belong_together(parts, message):
    with pytest.raises(DataError, match=message):
        joined(parts)
