"""Densities of parallaxes against dense quadrature, from sharp to useless measurements."""

import numpy as np
import pytest
from scipy import integrate, stats

from skymix.domains.stars.distances import OneDistance, SpaceDensity
from skymix.domains.stars.mixture import Component, StarMixture
from skymix.mixture import Tree
from skymix.mixture.priors import Uniform
from skymix.store import Catalogue

PARALLAX = np.array([0.3, 0.3, 0.3, 5.0, 5.0, 0.01, -0.4, -0.05, 17.0, 0.9])
ERROR = np.array([0.003, 0.05, 0.5, 0.01, 1.0, 0.1, 0.2, 0.02, 0.02, 0.3])


@pytest.fixture(scope="module")
def stars():
    n = PARALLAX.size
    covariance = (ERROR**2).reshape(n, 1, 1)
    return Catalogue(("plx",), ("mas",), PARALLAX[:, None], covariance, np.arange(n))


def dense(parallax, error, length):
    """The integral over ln r, by the trapezium rule in a hundred thousand steps."""
    low = np.log(max(1e-4, 1 / (abs(parallax) + 12 * error)) / 3)
    r = np.exp(np.linspace(low, np.log(400 * length), 400_001))
    prior = r * r * np.exp(-r / length) / (2 * length**3)
    return integrate.trapezoid(r * prior * stats.norm(1 / r, error).pdf(parallax), np.log(r))


@pytest.mark.parametrize("length", [0.1, 0.5, 1.35, 5.0])
def test_space_density_is_that_of_dense_quadrature(stars, length):
    density = SpaceDensity("plx", Uniform(0.1, 5.0), 5.0).at(stars)
    expected = [dense(w, s, length) for w, s in zip(PARALLAX, ERROR, strict=True)]
    found = np.exp(density(np.array([length])))
    # Two stars far beyond a short length hang on the far tail of their errors.
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_space_density_is_normalised_over_parallaxes():
    parallax = np.linspace(-1.0, 40.0, 20_001)
    n = parallax.size
    grid = Catalogue(("plx",), ("mas",), parallax[:, None], np.full((n, 1, 1), 0.01), np.arange(n))
    density = np.exp(SpaceDensity("plx", Uniform(0.1, 5), 5.0).at(grid)(np.array([1.0])))
    assert integrate.trapezoid(density, parallax) == pytest.approx(1, abs=1e-4)


def test_one_distance_is_a_normal_density_of_the_parallax(stars):
    tree = Tree.from_mapping({"children": {"a": None}})
    mixture = StarMixture(stars, tree, [Component("a", (OneDistance("plx", Uniform(1, 5)),))])
    found = mixture.log_joint(np.array([2.5]))[0]
    assert found == pytest.approx(stats.norm(0.4, ERROR).logpdf(PARALLAX))
