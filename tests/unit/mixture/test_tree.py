import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skymix.mixture import Tree

NESTED = {
    "prior": {"beta": [2, 3]},
    "children": {
        "signal": {
            "prior": {"dirichlet": [1, 2, 3]},
            "children": {"a": None, "b": None, "c": None},
        },
        "background": {
            "prior": {"fixed": [0.25, 0.75]},
            "children": {"d": None, "rest": {"children": {"e": None, "f": None}}},
        },
    },
}


@st.composite
def trees(draw, depth=4):
    """A random tree, as settings; names are unique."""
    names = iter(f"n{i}" for i in range(10_000))

    def split(level):
        count = draw(st.integers(1, 4))
        below = [draw(st.booleans()) if level else False for _ in range(count)]
        kind = draw(st.sampled_from(["flat", "dirichlet", "fixed"]))
        positive = st.lists(st.floats(0.1, 10), min_size=count, max_size=count)
        prior = None
        if kind == "dirichlet":
            prior = {"dirichlet": draw(positive)}
        elif kind == "fixed":
            values = draw(positive)
            prior = {"fixed": [v / sum(values) for v in values]}
        children = {next(names): split(level - 1) if b else None for b in below}
        return {"prior": prior, "children": children}

    return split(depth)


def walk(settings, fractions, weight=1.0):
    """Weights of the leaves by recursion, with the free fractions by name of the child."""
    children = settings["children"]
    prior = settings.get("prior") or {}
    if "fixed" in prior:
        shares = prior["fixed"]
    else:
        shares = [fractions[name] for name in list(children)[:-1]]
        shares = [*shares, 1 - sum(shares)]
    for (name, below), share in zip(children.items(), shares, strict=True):
        if below is None:
            yield name, weight * share
        else:
            yield from walk(below, fractions, weight * share)


def test_names_and_order():
    tree = Tree.from_mapping(NESTED)
    assert tree.leaves == ("a", "b", "c", "d", "e", "f")
    assert tree.free_fractions == ("signal", "a", "b", "e")
    assert tree.ndim == 4


def test_weights_are_products_along_the_path():
    tree = Tree.from_mapping(NESTED)
    weights = tree.weights(np.array([[0.4, 0.5, 0.2, 0.9]]))
    expected = [0.4 * 0.5, 0.4 * 0.2, 0.4 * 0.3, 0.6 * 0.25, 0.6 * 0.75 * 0.9, 0.6 * 0.75 * 0.1]
    np.testing.assert_allclose(weights, [expected], rtol=1e-14)


@given(settings=trees(), seed=st.integers(0, 100))
def test_any_tree(settings, seed):
    tree = Tree.from_mapping(settings)
    fractions = tree.transform(np.random.default_rng(seed).random((5, tree.ndim)))
    weights = tree.weights(fractions)
    assert weights.shape == (5, len(tree.leaves))
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-12)
    assert np.all(weights >= 0)
    for row, found in zip(fractions, weights, strict=True):
        expected = dict(walk(settings, dict(zip(tree.free_fractions, row, strict=True))))
        assert list(expected) == list(tree.leaves)
        np.testing.assert_allclose(found, list(expected.values()), rtol=1e-9, atol=1e-14)


@given(settings=trees())
def test_dimensions_are_children_less_splits(settings):
    """K - 1 a free split: no redundant dimension, whatever the shape of the tree."""

    def free(split):
        own = 0 if "fixed" in (split["prior"] or {}) else len(split["children"]) - 1
        return own + sum(free(child) for child in split["children"].values() if child)

    tree = Tree.from_mapping(settings)
    assert tree.ndim == free(settings) == len(tree.free_fractions)


@pytest.mark.parametrize("corner", [0.0, 1.0])
def test_corners_of_the_cube_have_weights(corner):
    tree = Tree.from_mapping(NESTED)
    weights = tree.weights(tree.transform(np.full((1, tree.ndim), corner)))
    assert weights.sum() == pytest.approx(1.0)
    assert np.all(weights >= 0)


def test_log_prior_is_the_sum_over_the_splits():
    from scipy import stats

    tree = Tree.from_mapping(NESTED)
    fractions = np.array([[0.4, 0.5, 0.2, 0.9], [0.1, 0.1, 0.3, 0.5]])
    expected = [
        stats.beta.logpdf(f[0], 2, 3) + stats.dirichlet.logpdf([f[1], f[2]], [1, 2, 3])
        for f in fractions
    ]
    np.testing.assert_allclose(tree.log_prior(fractions), expected, rtol=1e-12)


def test_transform_uses_each_split_s_own_prior():
    from scipy import stats

    tree = Tree.from_mapping(NESTED)
    fractions = tree.transform(np.random.default_rng(0).random((20_000, 4)))
    marginals = {0: (2, 3), 1: (1, 5), 2: (2, 4), 3: (1, 1)}
    for column, (a, b) in marginals.items():
        assert stats.kstest(fractions[:, column], stats.beta(a, b).cdf).pvalue > 1e-3
    # Splits are independent of each other.
    assert np.abs(np.corrcoef(fractions.T)[0, 1:]).max() < 0.03


def test_deep_chain():
    """A hundred levels, each halved."""
    settings = {"prior": {"fixed": [0.5, 0.5]}, "children": {"last a": None, "last b": None}}
    for level in range(100):
        settings = {
            "prior": {"fixed": [0.5, 0.5]},
            "children": {f"leaf {level}": None, f"split {level}": settings},
        }
    weights = Tree.from_mapping(settings).weights(np.empty((1, 0)))[0]
    np.testing.assert_array_equal(weights[:100], 0.5 ** np.arange(1, 101))
