"""Mixtures of stars: names, priors, covariances, likelihood and membership by brute force."""

import numpy as np
import pytest
from scipy import stats

from skymix.domains.stars.mixture import Component, Fixed, StarMixture
from skymix.domains.stars.normal import Normal
from skymix.mixture import Tree
from skymix.mixture.priors import Correlation, LogUniform, Uniform
from skymix.store import Catalogue

XYZ = ("x", "y", "z")
PLACE, WIDTH = Uniform(-2, 2), LogUniform(0.1, 2)


@pytest.fixture(scope="module")
def mixture():
    rng = np.random.default_rng(2)
    factor = rng.normal(size=(30, 3, 3)) * 0.2
    stars = Catalogue(
        ("x", "y", "z"), ("", "", ""), rng.normal(size=(30, 3)),
        factor @ factor.swapaxes(1, 2) + 0.01 * np.eye(3), np.arange(30),
    )  # fmt: skip
    tree = Tree.from_mapping(
        {"children": {"cluster": None, "field": {"children": dict.fromkeys(("near", "far", "bg"))}}}
    )
    components = [
        Component("far", (Normal(XYZ, (PLACE,) * 3, (WIDTH,) * 3, "full"),)),
        Component("cluster", (Normal(XYZ, (PLACE,) * 3, (WIDTH,), "isotropic"),)),
        Component("near", (Normal(XYZ, (PLACE,) * 3, (WIDTH,) * 3),)),
        Component("bg"),
    ]
    return StarMixture(stars, tree, components)


def matrix(lower):
    """Symmetric matrices, (n, 3, 3), from their lower triangles."""
    found = np.zeros((len(lower), 3, 3))
    row, column = np.tril_indices(3)
    found[:, row, column] = found[:, column, row] = lower
    return found


def test_likelihood_and_responsibilities_are_those_of_scipy(mixture):
    theta = mixture.prior_transform(np.random.default_rng(0).random((5, len(mixture.names))))
    at = {name: j for j, name in enumerate(mixture.names)}
    stars = mixture.catalogue
    for point, found in zip(theta, mixture.log_likelihood(theta), strict=True):
        weights = dict(zip(mixture.tree.leaves, mixture.weights(point[None])[0], strict=True))
        joint = {"bg": np.full(30, 1 / np.prod(np.ptp(stars.values, axis=0)))}
        for component in mixture.components:
            if not component.factors:
                continue
            own = point[[at[name] for name in component.parameters]]
            extra = matrix(component.factors[0].moments(own[None])[1])[0]
            joint[component.name] = np.array(
                [
                    stats.multivariate_normal(own[:3], extra + c).pdf(x)
                    for x, c in zip(stars.values, stars.covariance, strict=True)
                ]
            )
        terms = np.stack([weights[n] * joint[n] for n in mixture.tree.leaves], axis=1)
        assert found == pytest.approx(np.log(terms.sum(axis=1)).sum())
        shares = terms / terms.sum(axis=1, keepdims=True)
        assert mixture.responsibilities(point) == pytest.approx(shares)
    mean, sd = mixture.membership(theta)
    each = np.array([mixture.responsibilities(point) for point in theta])
    assert mean == pytest.approx(each.mean(axis=0))
    assert sd == pytest.approx(each.std(axis=0), abs=1e-7)


def test_full_covariances_are_positive_and_their_correlations_uniform_among_matrices():
    normal = Normal(XYZ, (PLACE,) * 3, (Uniform(0.999, 1.001),) * 3, "full")
    u = np.random.default_rng(1).random((4000, 9))
    priors = normal.parameters.values()
    theta = np.stack([p.transform(x) for p, x in zip(priors, u.T, strict=True)], axis=1)
    covariance = matrix(normal.moments(theta)[1])
    assert np.all(np.linalg.eigvalsh(covariance) > 0)
    # The marginal of every correlation is the same beta on (-1, 1).
    sigma = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        rho = covariance[:, i, j] / sigma[:, i] / sigma[:, j]
        assert stats.ks_1samp((rho + 1) / 2, stats.beta(1.5, 1.5).cdf).pvalue > 1e-3


@pytest.mark.parametrize("a", [1.0, 1.5])
def test_prior_of_a_correlation_is_the_derivative_of_its_inverse(a):
    prior, u, step = Correlation(a), np.linspace(0.1, 0.9, 9), 1e-6
    slope = (prior.transform(u + step) - prior.transform(u - step)) / (2 * step)
    assert prior.log_density(prior.transform(u)) == pytest.approx(-np.log(slope), abs=1e-6)
    assert prior.log_density(np.array([1.1]))[0] == -np.inf


def test_product_of_densities_is_the_density_of_all(mixture):
    """Without correlated errors, a diagonal normal density is the product of its parts."""
    stars = Catalogue(
        XYZ, ("",) * 3, mixture.catalogue.values, np.tile(0.04 * np.eye(3), (30, 1, 1)),
        np.arange(30),
    )  # fmt: skip
    tree = Tree.from_mapping({"children": {"a": None, "b": None}})
    whole = Component("a", (Normal(XYZ, (PLACE,) * 3, (WIDTH, WIDTH, Fixed(0.5))),))
    parts = Component(
        "a",
        (
            Normal(("x", "z"), (PLACE, PLACE), (WIDTH, Fixed(0.5))),
            Normal(("y",), (PLACE,), (WIDTH,)),
        ),
    )
    one = StarMixture(stars, tree, [whole, Component("b")])
    other = StarMixture(stars, tree, [Component("b"), parts])
    assert sorted(one.names) == sorted(other.names)
    assert "a.sigma.z" not in one.names
    theta = one.prior_transform(np.random.default_rng(3).random((4, len(one.names))))
    same = theta[:, [one.names.index(name) for name in other.names]]
    assert other.log_likelihood(same) == pytest.approx(one.log_likelihood(theta), rel=1e-12)


def test_coordinate_that_no_factor_names_is_uniform(mixture):
    tree = Tree.from_mapping({"children": {"a": None}})
    a = Component("a", (Normal(("y",), (PLACE,), (WIDTH,)),))
    found = StarMixture(mixture.catalogue, tree, [a])
    stars = mixture.catalogue
    sd = np.sqrt(stars.covariance[:, 1, 1] + 0.25)
    expected = stats.norm(0.3, sd).logpdf(stars.values[:, 1])
    expected -= np.log(np.ptp(stars.values[:, [0, 2]], axis=0)).sum()
    assert found.log_likelihood(np.array([[0.3, 0.5]])) == pytest.approx([expected.sum()])


def test_numbers_of_stars_follow_the_weights(mixture):
    theta = mixture.prior_transform(np.random.default_rng(1).random((3, len(mixture.names))))
    derived = mixture.derived(theta)
    total = sum(derived[f"stars.{leaf}"] for leaf in mixture.tree.leaves)
    assert total == pytest.approx(30.0)


def test_components_and_leaves_must_agree(mixture):
    with pytest.raises(ValueError, match="components are"):
        StarMixture(mixture.catalogue, mixture.tree, mixture.components[1:])


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ((Normal(("q",), (PLACE,), (WIDTH,)),), r"catalogue has no \['q'\]"),
        ((Normal(("x",), (PLACE,), (WIDTH,)),) * 2, "share a coordinate"),
        (tuple(Normal((c,), (PLACE,), (WIDTH,), "isotropic") for c in "xy"), "share a parameter"),
    ],
)
def test_factors_must_fit(mixture, factors, message):
    tree = Tree.from_mapping({"children": {"a": None}})
    with pytest.raises(ValueError, match=message):
        StarMixture(mixture.catalogue, tree, [Component("a", factors)])
