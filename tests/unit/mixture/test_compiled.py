"""The compiled kernel as Python calls it: what it takes, what it refuses, what it keeps alive."""

import gc
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from skymix.mixture import LeafTable, ParameterAxis, TabulatedMixture, Tree, prior_from_mapping
from skymix.mixture.kernel import TiledTable

TREE = {"children": {"line": None, "rest": {"children": {"a": None, "b": None}}}}


def make_mixture(threads=1):
    rng = np.random.default_rng(0)
    axis = ParameterAxis("mass", np.geomspace(1, 100, 9), "log")
    leaves = [LeafTable(name, rng.gamma(0.5, size=(1, 700))) for name in "ab"]
    leaves.append(LeafTable("line", rng.gamma(0.5, size=(9, 700)), (axis,)))
    prior = prior_from_mapping({"kind": "log_uniform", "lower": 1, "upper": 100})
    multiplicity = rng.integers(1, 3, 700).astype(float)
    tree = Tree.from_mapping(TREE)
    return TabulatedMixture(tree, leaves, multiplicity, {"mass": prior}, threads=threads)


@pytest.fixture(scope="module")
def mixture():
    return make_mixture()


@pytest.fixture(scope="module")
def theta(mixture):
    return mixture.prior_transform(np.random.default_rng(1).random((300, mixture.ndim)))


@pytest.fixture(scope="module")
def value(mixture, theta):
    return mixture.log_likelihood(theta)


def test_any_layout_of_the_parameters(mixture, theta, value):
    wide = np.full((600, 7), np.nan)
    wide[::2, 1:4] = theta
    reverse = np.ascontiguousarray(theta[::-1])[::-1]
    given = (np.asfortranarray(theta), wide[::2, 1:4], reverse, theta.astype(">f8"), theta.tolist())
    for same in given:
        np.testing.assert_array_equal(mixture.log_likelihood(same), value)


def test_whole_numbers_are_parameters_too(mixture):
    found = mixture.log_likelihood(np.array([[0, 1, 10]]))
    np.testing.assert_array_equal(found, mixture.log_likelihood(np.array([[0.0, 1.0, 10.0]])))


def test_no_points(mixture):
    assert mixture.log_likelihood(np.empty((0, 3))).shape == (0,)


def test_threads_and_points_alone_give_the_same_bits(theta, value):
    many = make_mixture(threads=3)
    np.testing.assert_array_equal(many.log_likelihood(theta), value)
    alone = [many.log_likelihood(point[None])[0] for point in theta]
    np.testing.assert_array_equal(alone, value)


def test_calls_from_several_threads(mixture, theta, value):
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(mixture.log_likelihood, [theta] * 20):
            np.testing.assert_array_equal(found, value)


def test_a_copy_by_pickle_stands_alone(theta, value):
    mixture = make_mixture()
    mixture.log_likelihood(theta)
    copy = pickle.loads(pickle.dumps(mixture))
    del mixture
    gc.collect()
    np.testing.assert_array_equal(copy.log_likelihood(theta), value)


@pytest.mark.parametrize("bad", [np.ones(3), np.ones((2, 2)), np.ones((1, 2, 3))])
def test_parameters_of_another_shape_are_refused(mixture, bad):
    with pytest.raises(ValueError, match=r"has \d axes|2 parameters, expected"):
        mixture.log_likelihood(bad)


def test_parameters_that_are_no_numbers_are_refused(mixture):
    with pytest.raises((TypeError, ValueError)):
        mixture.log_likelihood([["a", "b", "c"]])


def test_fractions_and_factors_of_another_shape_are_refused(mixture, theta):
    with pytest.raises(ValueError, match="1 parameters, expected at least 2"):
        mixture.tree.weights(theta[:, :1])
    with pytest.raises(ValueError, match="a factor of each table at each point"):
        mixture._table.log_sum(theta, np.ones((theta.shape[0], 2)))


def test_arrays_of_another_type_are_refused():
    tiled = TiledTable.build(np.ones((2, 9)), np.ones(9))
    parts = vars(tiled)
    for name in ("values", "offset", "multiplicity", "part"):
        wrong = TiledTable(**{**parts, name: parts[name].astype(np.int32)})
        with pytest.raises(TypeError, match="has not the type"):
            wrong.log_sum(np.zeros((1, 1), dtype=int), np.ones((1, 1)))
    with pytest.raises(TypeError):
        tiled.log_sum(np.zeros((1, 1)), np.ones((1, 1)))  # rows are whole numbers


def test_free_threaded_python_is_refused():
    command = "import sys; sys.abiflags = 't'; import skymix.mixture"
    run = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert run.returncode == 1
    assert "not a free-threaded one" in run.stderr
