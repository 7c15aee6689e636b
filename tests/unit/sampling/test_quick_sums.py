"""dynesty with the quick sum gives what it gives without, to the last bit."""

import numpy as np
import pytest
from dynesty import utils
from scipy import special
from tests.unit.sampling.test_batches import Bowl

from skymix.sampling import sample_nested
from skymix.sampling.quick_sums import log_sum, quick_sums

HALVES = [0.5, -0.5]
EDGES = [
    [0.0, -np.inf], [3.0, 3.0], [-2.0, -1.0], [-np.inf, -np.inf], [np.inf, 1.0], [np.nan, 1.0],
    [800.0, -800.0], [-1e9, -1e9 - 1], [0.13, np.nextafter(0.13, 0)],
]  # fmt: skip


class Floor(Bowl):
    """The same with many points of one likelihood, a plateau."""

    def log_likelihood(self, theta):
        return np.maximum(super().log_likelihood(theta), -0.5)


def test_differences_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    low = -rng.random(5000) * 10 ** rng.uniform(-3, 3, 5000)
    pairs = [*zip(low + 10 ** rng.uniform(-7, 0.5, 5000), low, strict=True), *EDGES]
    with np.errstate(all="ignore"):
        found = [log_sum(a=list(pair), b=HALVES) for pair in pairs]
        expected = [special.logsumexp(a=list(pair), b=HALVES) for pair in pairs]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ([[0.3, -4.0]], {}),
        ([[0.3, -4.0], 0], {}),
        ([[0.3, -4.0], 0, HALVES], {}),
        ([[0.3, -4.0, 2.0]], {"b": [1.0, 2.0, 3.0]}),
        ([[[0.3], [-4.0]]], {"b": HALVES}),
        ([[0.3, -4.0]], {"b": HALVES, "keepdims": True}),
        ([[0.3, -4.0]], {"b": np.array(HALVES)}),
    ],
)
def test_other_sums_are_scipys(arguments, settings) -> None:
    found, expected = log_sum(*arguments, **settings), special.logsumexp(*arguments, **settings)
    np.testing.assert_array_equal(found, expected)
    assert np.shape(found) == np.shape(expected)


@pytest.mark.parametrize("problem", [Bowl(), Floor()])
@pytest.mark.parametrize("sample", ["unif", "rwalk"])
def test_every_sum_of_a_run_is_quick_and_that_of_scipy(problem, sample, monkeypatch) -> None:
    asked = []

    def both(**terms):
        asked.append(terms)
        found = log_sum(**terms)
        assert found == special.logsumexp(**terms)
        return found

    def refuse(*_, **__):
        raise AssertionError

    monkeypatch.setattr("skymix.sampling.quick_sums.log_sum", both)
    run = sample_nested(problem, 60, 0.1, "single", sample, 5)
    assert len(asked) == run.log_likelihood.size
    monkeypatch.setattr(special, "logsumexp", refuse)
    assert all(np.isfinite(log_sum(**terms)) for terms in asked)


def test_dynesty_is_left_as_it_was() -> None:
    def fail() -> None:
        with quick_sums():
            assert utils.logsumexp is log_sum
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert utils.logsumexp is special.logsumexp
