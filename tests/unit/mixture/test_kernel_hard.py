"""Hard tables, with each set of instructions: right to the last case, and the same to the last bit
whatever else is asked for in the same call."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import reference

from skymix.mixture import _kernel
from skymix.mixture.kernel import TiledTable

LEVELS = range(_kernel.highest_level() + 1)
# Factors of the coefficients of one point: ordinary, and as bad as they get.
SIZES = [1.0, 0.0, 1e-20, 1e-150, 1e-300, 5e-324, 1e200]


@st.composite
def hard_problems(draw):
    """Table, multiplicity, segment, rows and coefficients of some points."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    nrow, ndatum = draw(st.integers(2, 40)), draw(st.integers(1, 1500))
    nsegment = draw(st.sampled_from([1, 1, 2, 7, 60]))
    nterm, npoint = draw(st.integers(1, 40)), draw(st.integers(1, 5))
    decades = draw(st.sampled_from([0.1, 3, 40, 250]))
    table = 10 ** rng.uniform(-decades, 0, (nrow, ndatum))
    table[rng.random(table.shape) < draw(st.sampled_from([0, 0.01, 0.5]))] = 0.0
    table[draw(st.integers(1, nrow - 1))] = 0.0  # a leaf that is zero everywhere
    table[0] = np.maximum(table[0], 10**-decades)
    multiplicity = rng.integers(1, draw(st.sampled_from([1, 3, 1000])) + 1, ndatum).astype(float)
    segment = rng.integers(0, nsegment, ndatum)
    segment[-1] = nsegment - 1
    rows = rng.integers(0, nrow, (npoint, nterm))
    coefficients = rng.dirichlet(np.ones(nterm), (npoint, nsegment))
    coefficients *= rng.choice(draw(st.lists(st.sampled_from(SIZES), min_size=1)), nterm)
    return table, multiplicity, segment, rows, coefficients


def expected_value(table, multiplicity, segment, rows, coefficients):
    return sum(
        reference.log_sum(table[rows][:, segment == s], multiplicity[segment == s], coefficients[s])
        for s in np.unique(segment)
    )


@settings(max_examples=150, deadline=None)
@given(hard_problems(), st.sampled_from(LEVELS))
def test_hard_tables_agree_with_long_double(problem, level):
    table, multiplicity, segment, rows, coefficients = problem
    tiled = TiledTable.build(table, multiplicity, segment).at_level(level)
    found = tiled.log_sum(rows, coefficients)
    with_gradient, _ = tiled.log_sum_gradient(rows, coefficients)
    for b in range(rows.shape[0]):
        expected = expected_value(table, multiplicity, segment, rows[b], coefficients[b])
        bound = 1e-13 * multiplicity.sum() * np.sqrt(rows.shape[1]) + 1e-15 * abs(expected)
        for value in (found[b], with_gradient[b]):
            assert value == expected if np.isinf(expected) else abs(value - expected) < bound


@settings(max_examples=60, deadline=None)
@given(hard_problems(), st.sampled_from(LEVELS))
def test_gradient_of_hard_tables(problem, level):
    """Against the definition in long double, where it is a number that a double can hold."""
    table, multiplicity, segment, rows, coefficients = problem
    tiled = TiledTable.build(table, multiplicity, segment).at_level(level)
    _, gradient = tiled.log_sum_gradient(rows, coefficients)
    for b in range(rows.shape[0]):
        for s in np.unique(segment):
            own = table[rows[b]][:, segment == s].astype(np.longdouble)
            mixed = coefficients[b, s].astype(np.longdouble) @ own
            if np.any(mixed == 0):
                continue
            expected = (own / mixed) @ multiplicity[segment == s]
            fits = (expected < 1e300) & (expected > 1e-290) | (expected == 0)
            np.testing.assert_allclose(
                gradient[b, s][fits], expected[fits].astype(float), rtol=1e-11
            )


@settings(max_examples=60, deadline=None)
@given(
    problem=hard_problems(),
    level=st.sampled_from(LEVELS),
    dtype=st.sampled_from(["float64", "float32"]),
    threads=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_value_depends_on_its_point_only(problem, level, dtype, threads, seed):
    """Not on the other points, on the place among them, or on the number of threads."""
    table, multiplicity, segment, rows, coefficients = problem
    tiled = TiledTable.build(table, multiplicity, segment, dtype).at_level(level)
    alone = np.array(
        [tiled.log_sum(rows[b : b + 1], coefficients[b : b + 1])[0] for b in range(rows.shape[0])]
    )
    slopes = [
        tiled.log_sum_gradient(rows[b : b + 1], coefficients[b : b + 1])[1][0]
        for b in range(rows.shape[0])
    ]
    chosen = np.random.default_rng(seed).integers(0, rows.shape[0], 700)
    together = tiled.log_sum(rows[chosen], coefficients[chosen], threads=threads)
    np.testing.assert_array_equal(together, alone[chosen])
    few = chosen[:20]
    value, gradient = tiled.log_sum_gradient(rows[few], coefficients[few], threads=threads)
    np.testing.assert_array_equal(value, alone[few])
    np.testing.assert_array_equal(gradient, [slopes[b] for b in few])


@pytest.mark.parametrize("level", LEVELS)
def test_threads_share_the_parts_of_a_long_table(level):
    rng = np.random.default_rng(1)
    tiled = TiledTable.build(rng.random((5, 120_000)), rng.integers(1, 3, 120_000).astype(float))
    assert tiled.part.size > 5
    rows, coefficients = rng.integers(0, 5, (3, 4)), rng.dirichlet(np.ones(4), 3)
    tiled = tiled.at_level(level)
    expected = tiled.log_sum(rows, coefficients)
    for threads in (1, 2, 3, 8):  # parts forwards and backwards in turn
        np.testing.assert_array_equal(tiled.log_sum(rows, coefficients, threads), expected)


@pytest.mark.parametrize("level", LEVELS)
def test_error_below_a_billionth_at_1e5_data_at_each_level(level):
    rng = np.random.default_rng(5)
    table = rng.lognormal(-8, 2, (6, 100_000))
    multiplicity = rng.integers(1, 9, 100_000).astype(float)
    for counts in (np.ones(100_000), multiplicity, multiplicity + rng.random(100_000)):
        weights = rng.dirichlet(np.ones(6))
        tiled = TiledTable.build(table, counts).at_level(level)
        found = tiled.log_sum(np.arange(6)[None], weights[None])[0]
        expected = reference.log_sum(table, counts, weights)
        assert abs(found - expected) < max(1e-9, np.spacing(abs(float(expected))))


def test_padding_of_small_segments_is_little():
    rng = np.random.default_rng(2)
    segment = np.repeat(np.arange(3000), 30)
    tiled = TiledTable.build(rng.random((7, segment.size)), np.ones(segment.size), segment)
    assert tiled.values.size < 7 * 3000 * 33


def test_one_set_of_coefficients_serves_all_segments():
    rng = np.random.default_rng(3)
    table, segment = rng.random((4, 500)), rng.integers(0, 6, 500)
    rows, coefficients = rng.integers(0, 4, (3, 5)), rng.dirichlet(np.ones(5), 3)
    tiled = TiledTable.build(table, np.ones(500), segment)
    whole, slope = TiledTable.build(table, np.ones(500)).log_sum_gradient(rows, coefficients)
    for shape in (coefficients, coefficients[:, None]):
        value, gradient = tiled.log_sum_gradient(rows, shape)
        np.testing.assert_allclose(value, whole, rtol=1e-13)
        np.testing.assert_allclose(gradient.reshape(slope.shape), slope, rtol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, -1e-3, np.inf, 1e308])
def test_coefficients_that_are_none_give_nan(bad):
    tiled = TiledTable.build(np.ones((2, 90)), np.ones(90))
    rows = np.array([[0, 1], [0, 1]])
    value, gradient = tiled.log_sum_gradient(rows, np.array([[0.5, bad], [0.5, 0.5]]))
    assert np.isnan(value[0])
    assert value[1] == 0.0
    np.testing.assert_array_equal(gradient[1], 90)


def test_what_does_not_fit_is_refused():
    tiled = TiledTable.build(np.ones((3, 9)), np.ones(9), np.repeat([0, 1, 2], 3))
    good = np.ones((2, 3, 4)) / 4
    for rows in (np.full((2, 4), 3), np.full((2, 4), -1)):
        with pytest.raises(IndexError, match="of a table of 3"):
            tiled.log_sum(rows, good)
    rows = np.zeros((2, 4), dtype=np.int64)
    for coefficients in (good[:, :2], good[..., :3], good[:1]):
        with pytest.raises(ValueError, match="expected"):
            tiled.log_sum(rows, coefficients)
    with pytest.raises(ValueError, match="at least one thread"):
        tiled.log_sum(rows, good, threads=0)
    with pytest.raises(ValueError, match="this processor has"):
        tiled.at_level(9)
    assert tiled.log_sum(rows[:0], good[:0]).shape == (0,)
