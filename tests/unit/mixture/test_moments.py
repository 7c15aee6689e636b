"""Moments of the responsibilities against the responsibilities one by one."""

import numpy as np
import pytest

from skymix.mixture import LeafTable, ParameterAxis, TabulatedMixture, Tree, prior_from_mapping
from skymix.mixture import moments as module
from skymix.mixture.moments import LeafMoments


@pytest.fixture(scope="module")
def mixture() -> TabulatedMixture:
    rng = np.random.default_rng(2)
    n = 700
    axes = (
        ParameterAxis("m", np.geomspace(1, 10, 4), "log"),
        ParameterAxis("s", np.linspace(0, 1, 3), "linear"),
    )
    zeros = rng.random((1, n)) * (rng.random((1, n)) < 0.5)
    return TabulatedMixture(
        Tree.from_mapping({"children": {"a": None, "g": {"children": {"b": None, "c": None}}}}),
        [
            LeafTable("a", rng.random((12, n)) * np.logspace(-300, 0, n), axes),
            LeafTable("b", rng.random((3, n)) + 1e-3, axes[1:]),
            LeafTable("c", zeros),
        ],
        rng.integers(1, 9, n).astype(float),
        {
            "m": prior_from_mapping({"kind": "log_uniform", "lower": 1, "upper": 10}),
            "s": prior_from_mapping({"kind": "uniform", "lower": 0, "upper": 1}),
        },
    )


@pytest.mark.parametrize("entries", [20_000_000, 5_000])
def test_moments(mixture, entries, monkeypatch) -> None:
    monkeypatch.setattr(module, "_BLOCK_ENTRIES", entries)
    theta = mixture.prior_transform(np.random.default_rng(3).random((5, mixture.ndim)))
    first, second = LeafMoments(mixture).sums(theta, mixture.weights(theta), second=True)
    for k, point in enumerate(theta):
        r, c = mixture.responsibilities(point), mixture.multiplicity
        np.testing.assert_allclose(first[k], c @ r, rtol=1e-12)
        np.testing.assert_allclose(second[k], np.einsum("i,ik,il->kl", c, r, r), rtol=1e-12)
    again, nothing = LeafMoments(mixture).sums(theta, mixture.weights(theta), second=False)
    np.testing.assert_allclose(again, first, rtol=1e-13)
    assert not nothing.any()


def test_data_without_density_at_a_point_are_left_out(mixture) -> None:
    theta = np.array([[0.0, 0.0, 2.0, 0.5]])  # only c, which is zero for half of the data
    first, _ = LeafMoments(mixture).sums(theta, mixture.weights(theta), second=True)
    there = mixture.leaves[2].density[0] > 0
    np.testing.assert_allclose(first, [[0, 0, mixture.multiplicity[there].sum()]])
