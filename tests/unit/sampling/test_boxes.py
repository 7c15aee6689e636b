"""Boxes tile the support of the priors."""

import numpy as np
import pytest
from scipy import integrate

from skymix.mixture import LeafTable, ParameterAxis, TabulatedMixture, Tree, prior_from_mapping
from skymix.sampling.boxes import MOST_CELLS, Boxes, ScannedSpace

NORMAL = {"kind": "normal", "mean": 3.0, "sd": 1.0, "lower": 1.5, "upper": 8.0}


def space(nodes=(31, 9), priors=None) -> ScannedSpace:
    axes = (
        ParameterAxis("m", np.geomspace(1, 10, nodes[0]), "log"),
        ParameterAxis("s", np.linspace(-1, 1, nodes[1]), "linear"),
    )
    leaf = LeafTable("a", np.ones((nodes[0] * nodes[1], 2)), axes)
    priors = priors or {"m": NORMAL, "s": {"kind": "uniform", "lower": -0.9, "upper": 1.0}}
    return ScannedSpace.of(
        TabulatedMixture(
            Tree.from_mapping({"children": {"a": None, "b": None}}),
            [leaf, LeafTable("b", np.ones((1, 2)))],
            np.ones(2),
            {name: prior_from_mapping(prior) for name, prior in priors.items()},
        )
    )


@pytest.mark.parametrize("nodes", [(31, 9), (300, 200), (2, 2)])
def test_cells_fill_the_support_and_no_more(nodes) -> None:
    boxes = space(nodes).cells()
    assert boxes.size <= MOST_CELLS
    assert np.exp(boxes.log_volume).sum() == pytest.approx(np.log(8 / 1.5) * 1.9)
    assert boxes.lower.min(axis=0) == pytest.approx([np.log(1.5), -0.9])
    assert boxes.upper.max(axis=0) == pytest.approx([np.log(8), 1.0])


def test_cells_lie_about_the_nodes() -> None:
    boxes = space((31, 9)).cells()
    edges = np.unique(boxes.lower[:, 1])
    np.testing.assert_allclose(edges, [-0.9, *np.arange(-0.875, 1, 0.25)])


def test_halves_fill_their_box_and_draws_are_found_again() -> None:
    boxes = space().cells()
    which = np.array([3, 50])
    halves = boxes.halves(which)
    assert halves.size == 8
    np.testing.assert_allclose(
        np.exp(halves.log_volume).reshape(2, 4).sum(axis=1), np.exp(boxes.log_volume[which])
    )
    rest = boxes.take(np.delete(np.arange(boxes.size), which)).joined(halves)
    position, values = space().prior_draws(2000, np.random.default_rng(1))
    found = rest.locate(position)
    assert np.all(found >= 0)
    assert np.all((position >= rest.lower[found]) & (position <= rest.upper[found]))
    np.testing.assert_allclose(space().values(position), values, rtol=1e-14)
    np.testing.assert_array_equal(rest.locate(rest.centres), np.arange(rest.size))


def test_prior_in_position_is_normalised() -> None:
    one = space()

    def density(s, m):
        position = np.array([[m, s]])
        return float(np.exp(one.log_prior(position, one.values(position)))[0])

    total, _ = integrate.dblquad(density, np.log(1.5), np.log(8), -0.9, 1.0, epsabs=1e-6)
    assert total == pytest.approx(1, abs=1e-5)


def test_no_scanned_parameter_is_one_box() -> None:
    mixture = TabulatedMixture(
        Tree.from_mapping({"children": {"a": None, "b": None}}),
        [LeafTable(name, np.ones((1, 2))) for name in "ab"],
        np.ones(2),
        {},
    )
    boxes = ScannedSpace.of(mixture).cells()
    assert boxes.size == 1
    assert boxes.log_volume == pytest.approx([0])
    assert boxes.locate(np.zeros((5, 0))).tolist() == [0] * 5


def test_coarse_neighbours_touch_and_are_larger() -> None:
    lower = np.array([[0.0], [1.0], [1.5], [2.0], [4.0]])
    upper = np.array([[1.0], [1.5], [2.0], [4.0], [6.0]])
    assert Boxes(lower, upper).coarse_neighbours(np.array([1])).tolist() == [0]
    assert Boxes(lower, upper).coarse_neighbours(np.array([2])).tolist() == [3]
    assert Boxes(lower, upper).coarse_neighbours(np.array([3])).tolist() == []
