"""Threads, single precision, segments and the gradient of the mixture sum."""

import numpy as np
import pytest
from tests import reference

from skymix.mixture.kernel import TiledTable


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(3)
    ndatum = 40_000
    table = rng.gamma(0.5, size=(9, ndatum)) * np.exp(rng.normal(0, 5, ndatum))
    multiplicity = rng.integers(1, 5, ndatum).astype(float)
    rows = rng.integers(0, 9, (11, 7))
    coefficients = rng.dirichlet(np.ones(7), 11)
    return table, multiplicity, rows, coefficients


def test_threads_do_not_change_a_bit(problem) -> None:
    table, multiplicity, rows, coefficients = problem
    tiled = TiledTable.build(table, multiplicity)
    one = tiled.log_sum(rows, coefficients)
    assert np.array_equal(one, tiled.log_sum(rows, coefficients, threads=3))


def test_single_precision_table_is_right_to_its_rounding(problem) -> None:
    table, multiplicity, rows, coefficients = problem
    exact = TiledTable.build(table, multiplicity).log_sum(rows, coefficients)
    single = TiledTable.build(table, multiplicity, dtype="float32")
    assert single.values.nbytes * 2 == TiledTable.build(table, multiplicity).values.nbytes
    error = np.abs(single.log_sum(rows, coefficients) - exact)
    # Independent roundings of 6e-8 add up as a random walk.
    assert 0 < error.max() < 10 * 6e-8 * np.sqrt((multiplicity**2).sum())


def test_gradient_is_that_of_the_reference(problem) -> None:
    table, multiplicity, rows, coefficients = problem
    value, gradient = TiledTable.build(table, multiplicity).log_sum_gradient(rows, coefficients)
    for b in range(rows.shape[0]):
        own = table[rows[b]]
        mixed = coefficients[b] @ own
        np.testing.assert_allclose(gradient[b], (own / mixed) @ multiplicity, rtol=1e-10)
        expected = float(reference.log_sum(own, multiplicity, coefficients[b]))
        assert value[b] == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("own_rows", [False, True])
@pytest.mark.parametrize("sizes", [(1,), (5, 0, 700, 64, 1), (30,) * 40])
def test_segments_are_tables_of_their_own(sizes, own_rows) -> None:
    """The sum over all data is that of a table a segment, each with its own coefficients."""
    rng = np.random.default_rng(len(sizes))
    segment = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    table = rng.gamma(0.5, size=(9, segment.size))
    multiplicity = rng.integers(1, 3, segment.size).astype(float)
    shape = (6, len(sizes), 7)
    rows = rng.integers(0, 9, shape if own_rows else (6, 7))
    coefficients = rng.gamma(0.5, size=shape)
    tiled = TiledTable.build(table, multiplicity, segment)
    value, gradient = tiled.log_sum_gradient(rows, coefficients)
    np.testing.assert_array_equal(tiled.log_sum(rows, coefficients, threads=2).shape, (6,))
    np.testing.assert_allclose(tiled.log_sum(rows, coefficients), value, rtol=1e-12)
    expected = np.zeros(6)
    for s in range(len(sizes)):
        part = TiledTable.build(table[:, segment == s], multiplicity[segment == s])
        own = rows[:, s] if own_rows else rows
        found, slope = part.log_sum_gradient(own, coefficients[:, s])
        expected += found
        np.testing.assert_allclose(gradient[:, s], slope, rtol=1e-11)
    np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_data_without_events_are_refused():
    table, counts = np.ones((2, 70)), np.ones(70)
    for wrong in (0.0, -1.0, np.nan):
        counts[3] = wrong
        with pytest.raises(ValueError, match="multiplicities must be positive"):
            TiledTable.build(table, counts)
