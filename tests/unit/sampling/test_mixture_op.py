"""A tabulated mixture as a PyMC model: the gradient of its Op, its density."""

import numpy as np
import pytest

from skymix.mixture import LeafTable, ParameterAxis, TabulatedMixture, Tree
from skymix.mixture.priors import LogUniform, TruncatedNormal, Uniform
from skymix.sampling.mixture_op import model_from_mixture


@pytest.fixture(scope="module")
def mixture():
    rng = np.random.default_rng(4)
    mass = ParameterAxis("mass", np.array([0.1, 0.3, 1.0, 5.0]), "log")
    index = ParameterAxis("index", np.array([-2.0, -1.0, 0.5]), "linear")
    width = ParameterAxis("width", np.array([0.0, 1.0]), "linear")
    tree = Tree.from_mapping(
        {
            "children": {
                "signal": None,
                "rest": {"prior": {"dirichlet": [2, 1, 1]}, "children": dict.fromkeys("abc")},
            }
        }
    )
    leaves = [
        LeafTable("signal", rng.random((12, 40)), (mass, index)),
        LeafTable("a", rng.random((2, 40)), (width,)),
        LeafTable("b", rng.random((1, 40))),
        LeafTable("c", rng.random((4, 40)), (mass,)),
    ]
    priors = {
        "mass": LogUniform(0.1, 5.0),
        "index": TruncatedNormal(-1.0, 0.7, -2.0, 0.5),
        "width": Uniform(0.0, 1.0),
    }
    return TabulatedMixture(tree, leaves, rng.integers(1, 4, 40).astype(float), priors)


def test_gradient_is_that_of_central_differences(mixture):
    theta = mixture.prior_transform(np.random.default_rng(1).random((20, mixture.ndim)))
    value, gradient = mixture.log_likelihood_gradient(theta)
    assert value == pytest.approx(mixture.log_likelihood(theta), rel=1e-12)
    for j in range(mixture.ndim):
        step = np.zeros(mixture.ndim)
        step[j] = 1e-6
        there, back = (mixture.log_likelihood(theta + s) for s in (step, -step))
        assert gradient[:, j] == pytest.approx((there - back) / 2e-6, rel=1e-5, abs=1e-5)


def test_model_has_the_likelihood_of_the_mixture_and_its_gradient(mixture):
    model = model_from_mixture(mixture)
    point = model.initial_point()
    outputs = model.replace_rvs_by_values(
        [*(model[name] for name in mixture.names), model.potentiallogp]
    )
    *theta, likelihood = model.compile_fn(outputs, mode="NUMBA")(point)
    assert likelihood == pytest.approx(mixture.log_likelihood(np.array(theta)[None])[0])
    value, gradient = model.compile_logp(mode="NUMBA"), model.compile_dlogp(mode="NUMBA")(point)
    at = 0
    for name, start in point.items():
        for i in np.ndindex(np.shape(start)):
            step = np.zeros(np.shape(start))
            step[i] = 1e-6
            there, back = (value(point | {name: start + s}) for s in (step, -step))
            assert gradient[at] == pytest.approx((there - back) / 2e-6, rel=1e-4, abs=1e-5)
            at += 1
