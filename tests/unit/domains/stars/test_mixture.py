"""Mixtures of stars: names, priors, covariances, likelihood and membership by brute force."""

import numpy as np
import pytest
from scipy import stats

from skymix.domains.stars.catalogue import Catalogue
from skymix.domains.stars.mixture import Normal, StarMixture
from skymix.mixture import Tree
from skymix.mixture.priors import LogUniform, Uniform

PLACE, WIDTH = Uniform(-2, 2), LogUniform(0.1, 2)


@pytest.fixture(scope="module")
def mixture():
    rng = np.random.default_rng(2)
    factor = rng.normal(size=(30, 3, 3)) * 0.2
    stars = Catalogue(
        ("x", "y", "z"), ("", "", ""), rng.normal(size=(30, 3)),
        factor @ factor.swapaxes(1, 2) + 0.01 * np.eye(3), np.arange(30), {},
    )  # fmt: skip
    tree = Tree.from_mapping(
        {"children": {"cluster": None, "field": {"children": dict.fromkeys(("near", "far", "bg"))}}}
    )
    normals = [
        Normal("far", (PLACE,) * 3, (WIDTH,) * 3, "full"),
        Normal("cluster", (PLACE,) * 3, (WIDTH,), "isotropic"),
        Normal("near", (PLACE,) * 3, (WIDTH,) * 3),
    ]
    return StarMixture(stars, tree, normals, "bg")


def test_likelihood_and_responsibilities_are_those_of_scipy(mixture):
    theta = mixture.prior_transform(np.random.default_rng(0).random((5, len(mixture.names))))
    at = {name: j for j, name in enumerate(mixture.names)}
    stars = mixture.catalogue
    for point, found in zip(theta, mixture.log_likelihood(theta), strict=True):
        weights = dict(zip(mixture.tree.leaves, mixture.weights(point[None])[0], strict=True))
        joint = {"bg": np.full(30, 1 / np.prod(np.ptp(stars.values, axis=0)))}
        for normal in mixture.normals:
            own = point[[at[name] for name in normal.names(stars.names)]]
            extra = normal.covariance(own[None])[0]
            joint[normal.name] = np.array(
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
    normal = Normal("a", (PLACE,) * 3, (Uniform(0.999, 1.001),) * 3, "full")
    theta = normal.transform(np.random.default_rng(1).random((4000, 9)))
    covariance = normal.covariance(theta)
    assert np.all(np.linalg.eigvalsh(covariance) > 0)
    # The marginal of every correlation is the same beta on (-1, 1).
    sigma = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        rho = covariance[:, i, j] / sigma[:, i] / sigma[:, j]
        assert stats.ks_1samp((rho + 1) / 2, stats.beta(1.5, 1.5).cdf).pvalue > 1e-3


def test_components_and_leaves_must_agree(mixture):
    with pytest.raises(ValueError, match="components are"):
        StarMixture(mixture.catalogue, mixture.tree, mixture.normals)
