"""Derivatives of the extended likelihood against central differences."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.mixture.test_rates import NEAR, NODES, UNIT, WIDE, mixture_of, tables

from skymix.mixture import Data, LeafTable, Nuisance, ParameterAxis, RateMixture, Tree

AMPLITUDES = {
    "each": {"a": WIDE, "b": UNIT, "c": 1.5},
    "a split": {"pair": WIDE, "a": WIDE},
    "a split of fixed amplitude": {"pair": 2.0, "a": WIDE},
}


def nuisances_of(layout: str, sets: int) -> list[Nuisance]:
    """Factors that data sets share, have each, or have in overlapping groups."""
    each = [Nuisance(f"norm.{o}", ("b",), (o,), NEAR) for o in range(sets)]
    return {
        "none": [],
        "shared": [Nuisance("all", ("a", "c"), None, NEAR)],
        "each": each,
        "groups": [
            *each,
            Nuisance("all", ("b", "c"), None, NEAR),
            Nuisance("even", ("a", "b"), tuple(range(0, sets, 2)), NEAR),
        ],
    }[layout]


def points(mixture: RateMixture, seed: int, n: int) -> np.ndarray:
    """Points away from the nodes of x, where slopes jump."""
    theta = mixture.prior_transform(
        np.random.default_rng(seed).uniform(0.1, 0.9, (n, mixture.ndim))
    )
    x = mixture.names.index("x")
    near = np.abs(theta[:, x, None] - NODES).min(axis=1) < 0.01
    theta[near, x] += 0.03
    return theta


def assert_is_slope(mixture: RateMixture, theta: np.ndarray) -> None:
    value, gradient = mixture.log_likelihood_gradient(theta)
    np.testing.assert_allclose(value, mixture.log_likelihood(theta), rtol=1e-12)
    for j, name in enumerate(mixture.names):
        step = 1e-5 * np.eye(mixture.ndim)[j]
        there, back = mixture.log_likelihood(theta + step), mixture.log_likelihood(theta - step)
        np.testing.assert_allclose(
            gradient[:, j], (there - back) / 2e-5, rtol=1e-5, atol=1e-4, err_msg=name
        )


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 5),
    st.sampled_from(["none", "shared", "each", "groups"]),
    st.sampled_from(sorted(AMPLITUDES)),
)
def test_gradient_is_that_of_central_differences(seed, sets, layout, amplitudes) -> None:
    parts = tables(seed, sets, 12)
    mixture = mixture_of(*parts, nuisances_of(layout, sets), amplitudes=AMPLITUDES[amplitudes])
    assert_is_slope(mixture, points(mixture, seed, 3))


def test_two_scanned_parameters_and_a_split_in_a_split() -> None:
    rng = np.random.default_rng(2)
    x = ParameterAxis("x", NODES, "linear")
    mass = ParameterAxis("mass", np.geomspace(0.1, 10, 4), "log")
    axes = {"a": (x, mass), "b": (mass,), "c": (), "d": (x,)}
    rows = {k: int(np.prod([axis.nodes.size for axis in v])) for k, v in axes.items()}
    expected = {k: rng.uniform(1, 30, (3, n)) for k, n in rows.items()}
    dataset = np.repeat(np.arange(3), 10)
    inner = {"children": {"c": None, "d": None}}
    mixture = RateMixture(
        Tree.from_mapping({"children": {"a": None, "y": {"children": {"b": None, "z": inner}}}}),
        [LeafTable(k, rng.random((n, 30)), axes[k]) for k, n in rows.items()],
        expected,
        Data(np.ones(30), dataset),
        {"a": WIDE, "y": WIDE},
        [Nuisance(f"n.{o}", ("a", "d"), (o,), NEAR) for o in range(3)],
        {"x": UNIT, "mass": WIDE},
    )
    assert {"fraction.b", "fraction.c", "x", "mass"} < set(mixture.names)
    assert_is_slope(mixture, points(mixture, 5, 6))


def test_gradient_of_a_point_does_not_depend_on_its_batch() -> None:
    mixture = mixture_of(*tables(8, 4, 50), nuisances_of("groups", 4))
    theta = points(mixture, 3, 17)
    together = mixture.log_likelihood_gradient(theta)[1]
    alone = np.concatenate([mixture.log_likelihood_gradient(point[None])[1] for point in theta])
    np.testing.assert_allclose(together, alone, rtol=1e-13)


def test_no_gradient_where_the_likelihood_is_zero() -> None:
    own, *rest = tables(6, 2, 8)
    own["a"][:, 0] = own["c"][:, 0] = 0
    mixture = mixture_of(own, *rest)
    value, gradient = mixture.log_likelihood_gradient(np.array([[1.0, 0.0, 0.3]]))
    assert value[0] == -np.inf
    assert not np.isfinite(gradient[0, mixture.names.index("amplitude.b")])
    assert np.isfinite(mixture.log_likelihood_gradient(np.array([[1.0, 0.1, 0.3]]))[1]).all()
