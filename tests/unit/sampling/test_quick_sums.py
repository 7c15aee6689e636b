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
    [800.0, -800.0], [-1e9, -1e9 - 1],
]  # fmt: skip


def test_differences_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    low = -rng.random(5000) * 10 ** rng.uniform(-3, 3, 5000)
    pairs = [*zip(low + 10 ** rng.uniform(-7, 0.5, 5000), low, strict=True), *EDGES]
    with np.errstate(all="ignore"):
        found = [log_sum(a=list(pair), b=HALVES) for pair in pairs]
        expected = [special.logsumexp(a=list(pair), b=HALVES) for pair in pairs]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("settings", [{}, {"b": [1.0, 2.0, 3.0]}, {"keepdims": True}])
def test_other_sums_are_scipys(settings) -> None:
    terms = [0.3, -4.0, 2.0]
    assert log_sum(terms, **settings) == special.logsumexp(terms, **settings)


@pytest.mark.parametrize("sample", ["unif", "rwalk"])
def test_a_run_is_the_same_with_and_without(sample, monkeypatch) -> None:
    def run():
        found = sample_nested(Bowl(), 60, 0.1, "single", sample, 5)
        return found.log_evidence, found.samples, found.log_weight, found.insertion_rank

    quick = run()
    taken = []
    with monkeypatch.context() as patch:
        patch.setattr("skymix.sampling.quick_sums.log_sum", spy(taken))
        plain = run()
    assert len(taken) == quick[1].shape[0]
    for one, other in zip(quick, plain, strict=True):
        np.testing.assert_array_equal(one, other)


def spy(taken):
    """scipy's sum, with a note of each call."""

    def log_sum(*terms, **settings):
        taken.append(settings)
        return special.logsumexp(*terms, **settings)

    return log_sum


def test_dynesty_is_left_as_it_was() -> None:
    def fail() -> None:
        with quick_sums():
            assert utils.logsumexp is log_sum
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert utils.logsumexp is special.logsumexp
