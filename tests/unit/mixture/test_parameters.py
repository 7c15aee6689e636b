import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skymix.mixture import ParameterAxis

LINEAR = ParameterAxis("index", np.array([1.0, 1.5, 4.0]), "linear")
LOG = ParameterAxis("mass", np.array([0.1, 1.0, 100.0]), "log")


def test_linear():
    node, weight = LINEAR.locate(np.array([1.0, 1.25, 1.5, 2.75, 4.0]))
    at = node + weight
    np.testing.assert_allclose(at, [0, 0.5, 1, 1.5, 2])
    assert node.max() == 1


def test_logarithmic():
    node, weight = LOG.locate(np.array([0.1, 10**-0.5, 1.0, 10.0, 100.0]))
    np.testing.assert_allclose(node + weight, [0, 0.5, 1, 1.5, 2])


@pytest.mark.parametrize("axis", [LINEAR, LOG])
def test_outside_is_not_a_number(axis):
    outside = [-1.0, 0.0, axis.nodes[0] * 0.999, axis.nodes[-1] * 1.001, np.inf, -np.inf, np.nan]
    _, weight = axis.locate(np.array(outside))
    assert np.isnan(weight).all()


@pytest.mark.parametrize("axis", [LINEAR, LOG])
def test_rounding_at_the_ends_is_inside(axis):
    ends = np.array([np.nextafter(axis.nodes[0], 0), np.nextafter(axis.nodes[-1], np.inf)])
    node, weight = axis.locate(ends)
    assert (node + weight).tolist() == [0.0, 2.0]


@given(
    spacing=st.sampled_from(["linear", "log"]),
    steps=st.lists(st.floats(0.01, 10), min_size=1, max_size=20),
    where=st.floats(0, 1),
)
def test_agrees_with_interp(spacing, steps, where):
    nodes = 0.3 + np.cumsum([0.0, *steps])
    axis = ParameterAxis("x", nodes, spacing)
    x = np.clip(nodes[0] + where * (nodes[-1] - nodes[0]), nodes[0], nodes[-1])
    scale = np.log if spacing == "log" else np.positive
    node, weight = axis.locate(np.array([x]))
    expected = np.interp(scale(x), scale(nodes), np.arange(nodes.size))
    assert (node + weight)[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("nodes", [[1.0], [1.0, 1.0], [2.0, 1.0], [1.0, np.nan], [[1.0, 2.0]]])
def test_nodes_must_increase(nodes):
    with pytest.raises(ValueError, match="parameter x: needs at least two increasing nodes"):
        ParameterAxis("x", np.array(nodes), "linear")


def test_spacing_is_one_of_two():
    with pytest.raises(ValueError, match="parameter x: spacing 'cubic' is not linear or log"):
        ParameterAxis("x", np.array([1.0, 2.0]), "cubic")
    with pytest.raises(ValueError, match="parameter x: log spacing needs positive nodes"):
        ParameterAxis("x", np.array([0.0, 2.0]), "log")
