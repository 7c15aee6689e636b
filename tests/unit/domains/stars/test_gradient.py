"""The gradient of the likelihood of stars against finite differences, for every kind of density."""

import pickle

import numpy as np
import pytest

from skymix.domains.stars import kernel
from skymix.domains.stars.distances import OneDistance, SpaceDensity
from skymix.domains.stars.mixture import Component, Fixed, StarMixture
from skymix.domains.stars.normal import Normal
from skymix.domains.stars.sky import Profile
from skymix.mixture import Tree
from skymix.mixture.priors import LogUniform, Uniform
from skymix.store import Catalogue

PLACE, WIDTH, OFFSET = Uniform(-2, 2), LogUniform(0.1, 2), Uniform(-0.2, 0.2)
XYZ = ("x", "y", "plx")


def normal(names, shape="diagonal"):
    count = 1 if shape == "isotropic" else len(names)
    return Normal(names, (PLACE,) * len(names), (WIDTH,) * count, shape)


def profile(kind):
    concentration = Uniform(3, 10) if kind == "king" else None
    return Profile(kind, OFFSET, OFFSET, Uniform(0.03, 0.2), concentration)


KINDS = {
    "isotropic": (normal(XYZ, "isotropic"),),
    "diagonal": (normal(XYZ),),
    "one coordinate": (normal(("y",), "full"),),
    "full in two": (normal(("y", "x"), "full"),),
    "full in three": (normal(XYZ, "full"),),
    "fixed parts": (Normal(("x", "y"), (Fixed(0.3), PLACE), (WIDTH, Fixed(0.5))),),
    "plummer": (profile("plummer"),),
    "king": (profile("king"),),
    "gaussian": (profile("gaussian"),),
    "space density": (SpaceDensity("plx", Uniform(0.2, 2), 2.0),),
    "distance": (OneDistance("plx", Uniform(0.5, 4)),),
    "product": (
        normal(("x", "y"), "full"), SpaceDensity("plx", Uniform(0.2, 2), 2.0), profile("king"),
    ),
    "product of normals": (
        normal(("x", "y"), "isotropic"), OneDistance("plx", Uniform(0.5, 4)), profile("plummer"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def stars():
    rng = np.random.default_rng(5)
    n = 300
    factor = rng.normal(size=(n, 3, 3)) * 0.2
    values = np.stack([*rng.normal(size=(2, n)), rng.uniform(0.1, 2, n)], axis=1)
    r, phi = 0.3 * np.sqrt(rng.random(n)), rng.uniform(0, 2 * np.pi, n)
    sky = np.stack([r * np.cos(phi), r * np.sin(phi)], axis=1)
    covariance = factor @ factor.swapaxes(1, 2) + 0.01 * np.eye(3)
    return Catalogue(
        XYZ, ("", "", "mas"), values, covariance, np.arange(n), "{}", sky, 0.0, 0.3
    )  # fmt: skip


def differences(mixture, point, step=1e-3):
    """Derivatives by Richardson's extrapolation of central differences."""
    found = []
    for j, value in enumerate(point):
        h = step * max(abs(value), 0.01)
        at = np.tile(point, (4, 1))
        at[:, j] += np.array([h, -h, 2 * h, -2 * h])
        one, minus, two, minus_two = mixture.log_likelihood(at)
        found.append((8 * (one - minus) - (two - minus_two)) / (12 * h))
    return np.array(found)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_is_that_of_finite_differences(stars, kind):
    tree = Tree.from_mapping(
        {"children": {"a": None, "field": {"children": {"b": None, "rest": None}}}}
    )
    broad = Component("b", (normal(("x", "y"), "full"),))
    mixture = StarMixture(stars, tree, [Component("a", KINDS[kind]), broad, Component("rest")])
    u = np.random.default_rng(2).uniform(0.2, 0.8, (3, len(mixture.names)))
    theta = mixture.prior_transform(u)
    value, gradient = mixture.log_likelihood_gradient(theta)
    assert value == pytest.approx(mixture.log_likelihood(theta), rel=1e-13)
    # Profiles are normalised by quadrature, whose small errors differences enlarge; King's has a
    # kink at its edge.
    profiles = {getattr(f, "kind", "none") for f in KINDS[kind]}
    rel = 1e-3 if "king" in profiles else 1e-7 if profiles == {"none"} else 3e-6
    for point, found in zip(theta, gradient, strict=True):
        expected = differences(mixture, point)
        assert found == pytest.approx(expected, rel=rel, abs=rel * np.abs(expected).max())


def test_gradient_where_densities_are_smaller_than_numbers(stars):
    tree = Tree.from_mapping({"children": {"a": None, "b": None}})
    narrow = Normal(("x", "y"), (PLACE,) * 2, (Uniform(1e-4, 1e-3),) * 2)
    exact = Catalogue(
        stars.names, stars.units, stars.values, stars.covariance * 1e-6, stars.row
    )  # fmt: skip
    mixture = StarMixture(exact, tree, [Component(n, (narrow,)) for n in "ab"])
    theta = mixture.prior_transform(np.random.default_rng(4).random((1, 9)))
    value, gradient = mixture.log_likelihood_gradient(theta)
    assert value < -1e8
    expected = differences(mixture, theta[0], 1e-7)
    assert gradient[0] == pytest.approx(expected, rel=1e-4, abs=1e-7 * np.abs(expected).max())


def test_all_points_of_a_batch_have_their_own_value(stars):
    tree = Tree.from_mapping({"children": {"a": None, "rest": None}})
    mixture = StarMixture(stars, tree, [Component("a", KINDS["product"]), Component("rest")])
    theta = mixture.prior_transform(np.random.default_rng(3).random((130, len(mixture.names))))
    whole = mixture.log_likelihood_gradient(theta)
    for j in (0, 63, 64, 129):
        for found, expected in zip(mixture.log_likelihood_gradient(theta[j : j + 1]), whole,
                                   strict=True):  # fmt: skip
            assert found[0] == pytest.approx(expected[j], rel=1e-14)


def test_a_rank_that_shares_the_stars_runs_the_same_code(stars):
    tree = Tree.from_mapping({"children": {"a": None, "rest": None}})
    mixture = StarMixture(stars, tree, [Component("a", KINDS["product"]), Component("rest")])
    theta = mixture.prior_transform(np.random.default_rng(1).random((5, len(mixture.names))))
    value = mixture.log_likelihood(theta)
    compiled = list(kernel.log_sum.signatures)
    shared: list[pickle.PickleBuffer] = []
    data = pickle.dumps(mixture, protocol=5, buffer_callback=shared.append)
    other = pickle.loads(data, buffers=[bytes(buffer.raw()) for buffer in shared])
    np.testing.assert_array_equal(other.log_likelihood(theta), value)
    assert kernel.log_sum.signatures == compiled
