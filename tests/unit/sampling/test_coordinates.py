"""Coordinates of the splits: prior, derivatives and draws against their definitions."""

import numpy as np
import pytest
from scipy import stats

from skymix.mixture import LeafTable, TabulatedMixture, Tree
from skymix.mixture.moments import LeafMoments
from skymix.sampling.coordinates import SplitCoordinates

DEEP = {
    "prior": {"beta": [0.5, 3.0]},
    "children": {
        "a": None,
        "g": {
            "prior": {"fixed": [0.3, 0.7]},
            "children": {
                "b": None,
                "h": {
                    "prior": {"dirichlet": [1.0, 2.0, 0.2]},
                    "children": {"c": None, "d": None, "e": None},
                },
            },
        },
    },
}
TREES = {
    "flat": {"children": {"a": None, "b": None, "c": None, "d": None}},
    "deep": DEEP,
    "fixed": {"prior": {"fixed": [0.2, 0.8]}, "children": {"a": None, "b": None}},
}


@pytest.fixture(params=TREES)
def tree(request) -> Tree:
    return Tree.from_mapping(TREES[request.param])


def points(coordinates: SplitCoordinates, n: int = 4):
    return np.random.default_rng(1).normal(0, 1.2, (n, coordinates.ndim))


def test_weights_are_those_of_the_tree(tree) -> None:
    coordinates = SplitCoordinates(tree)
    z = points(coordinates)
    np.testing.assert_allclose(
        coordinates.weights(z), tree.weights(coordinates.fractions(z)), rtol=1e-13
    )


def test_prior_is_that_of_the_fractions_times_the_jacobian(tree) -> None:
    coordinates = SplitCoordinates(tree)
    for z in points(coordinates):
        step = 1e-6
        jacobian = np.empty((z.size, z.size))
        for j in range(z.size):
            ends = np.stack([z, z])
            ends[:, j] += [-step, step]
            low, high = coordinates.fractions(ends)
            jacobian[:, j] = (high - low) / (2 * step)
        expected = tree.log_prior(coordinates.fractions(z[None]))[0]
        expected += np.linalg.slogdet(jacobian)[1] if z.size else 0.0
        assert coordinates.log_prior(z[None])[0] == pytest.approx(expected, abs=1e-7)


def test_derivatives_are_those_of_the_posterior(tree) -> None:
    coordinates = SplitCoordinates(tree)
    rng = np.random.default_rng(7)
    n = 60
    mixture = TabulatedMixture(
        tree,
        [LeafTable(leaf, rng.random((1, n))) for leaf in tree.leaves],
        rng.integers(1, 4, n).astype(float),
        {},
    )

    def value(z):
        return mixture.log_likelihood(coordinates.fractions(z)) + coordinates.log_prior(z)

    def gradient(z):
        theta = coordinates.fractions(z)
        sums = LeafMoments(mixture).sums(theta, coordinates.weights(z), second=True)
        return coordinates.derivatives(z, *sums)

    z = points(coordinates)
    first, second = gradient(z)
    for j in range(coordinates.ndim):
        step = np.zeros(coordinates.ndim)
        step[j] = 1e-5
        np.testing.assert_allclose(
            first[:, j], (value(z + step) - value(z - step)) / 2e-5, rtol=1e-6, atol=1e-6
        )
        slope = (gradient(z + step)[0] - gradient(z - step)[0]) / 2e-5
        np.testing.assert_allclose(second[:, j], slope, rtol=1e-6, atol=1e-6)


def test_draws_follow_the_prior_even_where_fractions_underflow() -> None:
    tree = Tree.from_mapping({"prior": {"beta": [0.002, 3.0]}, "children": {"a": None, "b": None}})
    coordinates = SplitCoordinates(tree)
    z = coordinates.prior_draws(20_000, np.random.default_rng(1))
    assert np.isfinite(z).all()
    assert z.min() < -800  # the fraction itself is zero in floating point
    above = coordinates.fractions(z)[:, 0]
    expected = stats.beta(0.002, 3.0)
    for x in (1e-200, 1e-50, 1e-5, 0.1):
        share = expected.cdf(x)
        error = np.sqrt(share * (1 - share) / z.size)
        assert np.mean(above < x) == pytest.approx(share, abs=4 * error)


def test_draws_of_a_dirichlet() -> None:
    tree = Tree.from_mapping(DEEP)
    draws = SplitCoordinates(tree).fractions(
        SplitCoordinates(tree).prior_draws(4000, np.random.default_rng(2))
    )
    assert tree.free_fractions == ("a", "c", "d")
    for column, (a, b) in enumerate([(0.5, 3.0), (1.0, 2.2), (2.0, 1.2)]):
        assert stats.kstest(draws[:, column], stats.beta(a, b).cdf).pvalue > 1e-3
