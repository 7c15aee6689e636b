"""Derivatives by the parameters against central differences and against single weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skymix.mixture import LeafTable, ParameterAxis, TabulatedMixture, Tree, prior_from_mapping

AXES = {
    "mass": ParameterAxis("mass", np.geomspace(0.1, 100, 5), "log"),
    "index": ParameterAxis("index", np.array([1.5, 2.0, 2.2, 3.0, 4.5]), "linear"),
    "width": ParameterAxis("width", np.array([0.0, 0.5, 2.0]), "linear"),
}
PRIORS = {
    name: prior_from_mapping({"kind": "uniform", "lower": axis.nodes[0], "upper": axis.nodes[-1]})
    for name, axis in AXES.items()
}
TREES = {
    "flat": {"children": dict.fromkeys("abcd")},
    "one leaf": {"children": {"a": None}},
    "deep": {
        "children": {
            "a": None,
            "x": {"children": {"b": None, "y": {"children": {"c": None, "d": None}}}},
        }
    },
    "a fixed split": {
        "prior": {"fixed": [0.2, 0.8]},
        "children": {"a": None, "x": {"children": dict.fromkeys("bcd")}},
    },
}


def mixture(rng, tree, scans, ndatum=60):
    tree = Tree.from_mapping(tree)
    leaves = []
    for leaf, scanned in zip(tree.leaves, scans, strict=False):
        axes = tuple(AXES[name] for name in scanned)
        rows = int(np.prod([axis.nodes.size for axis in axes]))
        leaves.append(LeafTable(leaf, rng.lognormal(0, 1, (rows, ndatum)), axes))
    return TabulatedMixture(tree, leaves, rng.integers(1, 4, ndatum).astype(float), PRIORS)


def inside(problem, rng, n):
    """Points away from the edges of the simplex and from the nodes, where slopes jump."""
    theta = problem.prior_transform(rng.uniform(0.1, 0.9, (n, problem.ndim)))
    for j, name in enumerate(problem.names):
        if name in AXES:
            axis = AXES[name]
            node, upper = axis.locate(theta[:, j])
            low, high = axis.positions[node], axis.positions[node + 1]
            place = low + np.clip(upper, 0.1, 0.9) * (high - low)
            theta[:, j] = np.exp(place) if axis.spacing == "log" else place
    return theta


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    tree=st.sampled_from(sorted(TREES)),
    scans=st.lists(
        st.lists(st.sampled_from(sorted(AXES)), max_size=3, unique=True), min_size=4, max_size=4
    ),
)
def test_agrees_with_central_differences(seed, tree, scans):
    rng = np.random.default_rng(seed)
    problem = mixture(rng, TREES[tree], scans)
    theta = inside(problem, rng, 3)
    value, gradient = problem.log_likelihood_gradient(theta)
    np.testing.assert_allclose(value, problem.log_likelihood(theta), rtol=1e-13)
    for j in range(problem.ndim):
        step = np.zeros(problem.ndim)
        step[j] = 1e-5 * np.abs(theta[:, j]).min()
        up, down = problem.log_likelihood(theta + step), problem.log_likelihood(theta - step)
        slope = (up - down) / (2 * step[j])
        scale = np.abs(value).max() * 1e-14 / step[j]
        np.testing.assert_allclose(gradient[:, j], slope, rtol=1e-5, atol=1e-5 + 10 * scale)


def test_maximum_of_a_split_has_no_slope():
    """Two leaves that do not overlap: the best fraction is the share of the data."""
    first = np.array([1.0, 1.0, 1.0, 0.0])
    tree = Tree.from_mapping({"children": {"a": None, "b": None}})
    leaves = [LeafTable("a", first[None]), LeafTable("b", 1 - first[None])]
    problem = TabulatedMixture(tree, leaves, np.ones(4), {})
    value, gradient = problem.log_likelihood_gradient(np.array([[0.75], [0.5]]))
    assert gradient[:, 0] == pytest.approx([0.0, 3 / 0.5 - 1 / 0.5], abs=1e-12)
    assert value == pytest.approx([3 * np.log(0.75) + np.log(0.25), 4 * np.log(0.5)])


def test_gradient_where_the_likelihood_is_zero_is_not_finite():
    tree = Tree.from_mapping({"children": {"a": None, "b": None}})
    leaves = [LeafTable("a", np.array([[0.0, 1.0]])), LeafTable("b", np.array([[1.0, 1.0]]))]
    problem = TabulatedMixture(tree, leaves, np.ones(2), {})
    value, gradient = problem.log_likelihood_gradient(np.array([[1.0], [0.5]]))
    assert value[0] == -np.inf
    assert not np.isfinite(gradient[0, 0])
    assert np.isfinite(gradient[1, 0])
