import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import reference

from skymix.mixture.kernel import TiledTable

SIZES = [1, 7, 8, 63, 64, 65, 127, 128, 129, 511, 512, 513, 1999, 2000, 2001, 2048, 2049]


def evaluate(table, multiplicity, coefficients):
    """Log sum of one point that has a term for every row."""
    rows = np.arange(table.shape[0])[None]
    coefficients = np.asarray(coefficients, dtype=float)[None]
    return TiledTable.build(table, multiplicity).log_sum(rows, coefficients)[0]


def tables(rng, rows, data):
    """Densities over twelve decades, some zero."""
    table = 10 ** rng.uniform(-9, 3, (rows, data))
    table[rng.random(table.shape) < 0.2] = 0.0
    table[0] = np.maximum(table[0], 1e-9)
    return table


MULTIPLICITIES = {
    "ones": lambda rng, n: np.ones(n),
    "equal": lambda rng, n: np.full(n, 7.0),
    "few classes": lambda rng, n: rng.integers(1, 4, n).astype(float),
    "one large class and rare ones": lambda rng, n: np.where(
        rng.random(n) < 0.9, 1.0, rng.integers(2, 1000, n)
    ),
    "all different": lambda rng, n: rng.permutation(n) + 1.0,
    "not integer": lambda rng, n: rng.uniform(0.1, 9.0, n),
}


@pytest.mark.parametrize("kind", MULTIPLICITIES)
@pytest.mark.parametrize("size", SIZES)
def test_agrees_with_long_double(size, kind):
    rng = np.random.default_rng(size)
    table = tables(rng, 6, size)
    multiplicity = MULTIPLICITIES[kind](rng, size)
    weights = rng.dirichlet(np.ones(6))
    expected = reference.log_sum(table, multiplicity, weights)
    bound = 1e-14 * multiplicity.sum() * 30
    assert abs(evaluate(table, multiplicity, weights) - expected) < max(bound, 1e-12)


@pytest.mark.parametrize("kind", MULTIPLICITIES)
def test_error_below_a_billionth_at_1e5_data(kind):
    rng = np.random.default_rng(5)
    n = 100_000
    table = rng.lognormal(0.0, 2.0, (4, n))
    multiplicity = np.minimum(MULTIPLICITIES[kind](rng, n), 9.0)
    weights = rng.dirichlet(np.ones(4))
    expected = reference.log_sum(table, multiplicity, weights)
    assert abs(evaluate(table, multiplicity, weights) - expected) < 1e-9


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 7, 8, 9])
def test_any_number_of_terms(rows):
    rng = np.random.default_rng(rows)
    table, multiplicity = tables(rng, rows, 200), np.ones(200)
    weights = rng.dirichlet(np.ones(rows))
    expected = reference.log_sum(table, multiplicity, weights)
    assert evaluate(table, multiplicity, weights) == pytest.approx(float(expected), abs=1e-11)


@pytest.mark.parametrize("weight", [1e-40, 1e-60, 1e-100, 1e-200, 1e-300])
@pytest.mark.parametrize("size", [8, 65, 480, 3000])
def test_products_that_underflow(size, weight):
    """Eight factors of 1e-60 are zero in double precision; the sum of logarithms is not."""
    rng = np.random.default_rng(1)
    table = np.stack([rng.uniform(0.5, 1, size), rng.uniform(1, 2, size)])
    expected = reference.log_sum(table, np.ones(size), [weight, 0.0])
    got = evaluate(table, np.ones(size), [weight, 0.0])
    assert got == pytest.approx(float(expected), rel=1e-14)


@pytest.mark.parametrize(
    "factors",
    [
        [1e-300, 1e-20, 1e20, 1, 1, 1, 1, 1],
        [1, 1e-160, 1e-162, 1, 1e18, 1, 1, 1],
        [1, 1, 1, 1, 1, 1e-303, 1e-18, 1e18],
    ],
)
def test_products_that_underflow_on_the_way_only(factors):
    """Factors above one must not bring a product back from the subnormal numbers unnoticed."""
    table = np.ones((2, 64))
    table[0] = np.repeat(factors, 8) * 1e-20
    for coefficient in (1.0, 1e20):
        expected = reference.log_sum(table, np.ones(64), [coefficient, 0.0])
        got = evaluate(table, np.ones(64), [coefficient, 0.0])
        assert got == pytest.approx(float(expected), rel=1e-14)


@pytest.mark.parametrize("coefficient", [1e5, 1e60, 1e300])
def test_large_coefficients(coefficient):
    rng = np.random.default_rng(2)
    table = rng.uniform(0.5, 1, (2, 700))
    expected = reference.log_sum(table, np.ones(700), [coefficient, 1.0])
    got = evaluate(table, np.ones(700), [coefficient, 1.0])
    assert got == pytest.approx(float(expected), rel=1e-14)


@pytest.mark.parametrize("multiplicity", ["ones", "all different"])
@pytest.mark.parametrize(("size", "datum"), [(1, 0), (100, 0), (100, 63), (100, 64), (100, 99)])
def test_zero_density_is_minus_infinity(size, datum, multiplicity):
    rng = np.random.default_rng(3)
    table = rng.uniform(1, 2, (2, size))
    table[0, datum] = 0.0
    built = TiledTable.build(table, MULTIPLICITIES[multiplicity](rng, size))
    rows = np.tile([0, 1], (2, 1))
    without, with_other = built.log_sum(rows, np.array([[1.0, 0.0], [0.5, 0.5]]))
    assert without == -np.inf
    assert np.isfinite(with_other)


def test_nan_coefficient_gives_nan_for_its_point_only():
    rng = np.random.default_rng(4)
    built = TiledTable.build(rng.uniform(1, 2, (3, 100)), np.ones(100))
    coefficients = np.full((4, 3), 1 / 3)
    coefficients[2, 1] = np.nan
    value = built.log_sum(np.tile(np.arange(3), (4, 1)), coefficients)
    assert np.isnan(value).tolist() == [False, False, True, False]


def test_no_data():
    assert evaluate(np.ones((3, 0)), np.ones(0), [0.2, 0.3, 0.5]) == 0.0


def test_scale_of_a_datum_only_shifts_the_value():
    """Units of the density: one factor a datum adds its logarithm, whatever its size."""
    rng = np.random.default_rng(6)
    table, multiplicity = rng.uniform(1, 2, (3, 300)), rng.integers(1, 5, 300).astype(float)
    factor = 10.0 ** rng.integers(-250, 250, 300)
    shift = (multiplicity.astype(np.longdouble) * np.log(factor.astype(np.longdouble))).sum()
    weights = [0.2, 0.3, 0.5]
    plain = evaluate(table, multiplicity, weights)
    assert evaluate(table * factor, multiplicity, weights) - plain == pytest.approx(float(shift))


def test_order_of_data_does_not_matter():
    rng = np.random.default_rng(7)
    table, multiplicity = tables(rng, 4, 777), rng.integers(1, 9, 777).astype(float)
    order = rng.permutation(777)
    weights = rng.dirichlet(np.ones(4))
    assert evaluate(table[:, order], multiplicity[order], weights) == pytest.approx(
        evaluate(table, multiplicity, weights), abs=1e-9
    )


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 300),
    rows=st.integers(1, 9),
    classes=st.integers(1, 300),
    decades=st.sampled_from([0.1, 3, 30, 150]),
    smallest=st.sampled_from([1.0, 1e-30, 1e-150]),
)
def test_any_table(seed, size, rows, classes, decades, smallest):
    rng = np.random.default_rng(seed)
    table = 10 ** rng.uniform(-decades, 0, (rows, size))
    multiplicity = rng.integers(1, classes + 1, size).astype(float)
    weights = rng.dirichlet(np.ones(rows)) * smallest ** rng.random(rows)
    expected = float(reference.log_sum(table, multiplicity, weights))
    scale = multiplicity.sum() * (decades - np.log10(smallest) + 1)
    assert evaluate(table, multiplicity, weights) == pytest.approx(expected, abs=1e-14 * scale * 10)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 2500), points=st.integers(2, 40))
def test_batch_equals_one_by_one(seed, size, points):
    rng = np.random.default_rng(seed)
    built = TiledTable.build(tables(rng, 9, size), rng.integers(1, 4, size).astype(float))
    rows = rng.integers(0, 9, (points, 5))
    coefficients = rng.dirichlet(np.ones(5), points)
    batch = built.log_sum(rows, coefficients)
    single = [built.log_sum(rows[i : i + 1], coefficients[i : i + 1])[0] for i in range(points)]
    np.testing.assert_array_equal(batch, single)
