"""A mixture as a PyMC model: the gradient of its Op, its density, where its chains start."""

import numpy as np
import pytest

from skymix.domains.stars.mixture import Component, Fixed, StarMixture
from skymix.domains.stars.normal import Normal
from skymix.mixture import (
    Data,
    LeafTable,
    Nuisance,
    ParameterAxis,
    RateMixture,
    TabulatedMixture,
    Tree,
)
from skymix.mixture.priors import LogNormal, LogUniform, TruncatedNormal, Uniform
from skymix.sampling.mixture_op import model_from_mixture, start_at
from skymix.sampling.pymc_import import MODE, import_pymc
from skymix.store import Catalogue


def fractions():
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


def rates():
    """Every kind of prior of a factor, and a split with an amplitude."""
    rng = np.random.default_rng(6)
    mass = ParameterAxis("mass", np.array([0.1, 0.3, 1.0, 5.0]), "log")
    pair = {"prior": {"beta": [2, 3]}, "children": {"b": None, "c": None}}
    expected = {
        "a": rng.uniform(5, 30, (2, 4)),
        "b": rng.uniform(5, 30, (2, 1)),
        "c": rng.uniform(5, 30, (2, 1)),
    }
    dataset = np.repeat([0, 1], 20)
    return RateMixture(
        Tree.from_mapping({"children": {"a": None, "pair": pair}}),
        [
            LeafTable(k, rng.random((v.shape[1], 40)), (mass,) * (k == "a"))
            for k, v in expected.items()
        ],
        expected,
        Data(np.ones(40), dataset),
        {"a": LogUniform(0.1, 10), "pair": TruncatedNormal(1.0, 0.3, 0.0, np.inf)},
        [
            Nuisance("norm.0", ("b",), (0,), LogNormal(1.0, 0.1)),
            Nuisance("norm.1", ("b",), (1,), LogNormal(1.1, 0.2)),
            Nuisance("area", ("a", "c"), None, LogNormal(1.0, 0.1, 0.5, 2.0)),
            Nuisance("shift", ("a",), (1,), Uniform(0.5, 1.5)),
        ],
        {"mass": LogUniform(0.1, 5.0)},
    )


def stars():
    """Correlations of both shapes, and a parameter that is fixed."""
    names, rng = ("x", "y", "z"), np.random.default_rng(2)
    catalogue = Catalogue(
        names, ("",) * 3, rng.normal(size=(30, 3)), np.tile(0.01 * np.eye(3), (30, 1, 1)),
        np.arange(30),
    )  # fmt: skip
    place, width = Uniform(-2, 2), LogUniform(0.1, 2)
    tree = Tree.from_mapping({"children": {"a": None, "b": None, "c": None}})
    normal = Normal(names, (place, place, Fixed(0.1)), (width,) * 3, "full")
    return StarMixture(catalogue, tree, [Component("a", (normal,)), Component("b"), Component("c")])


@pytest.mark.parametrize("make", [fractions, rates, stars])
def test_chains_start_at_the_point_that_is_asked_for(make):
    make_initial_point_fn = import_pymc().initial_point.make_initial_point_fn
    mixture = make()
    u = np.random.default_rng(3).uniform(0.1, 0.9, (1, len(mixture.names)))
    theta = mixture.prior_transform(u)
    model = model_from_mixture(mixture)
    point = make_initial_point_fn(model=model, overrides=start_at(mixture, theta[0]))(0)
    named = model.replace_rvs_by_values([model[name] for name in mixture.names])
    values = model.compile_fn(named, mode="FAST_COMPILE", on_unused_input="ignore")(point)
    assert np.array(values) == pytest.approx(theta[0])


def test_prior_of_correlations_is_their_density():
    mixture = stars()
    priors = {n: p for n, p in mixture.single_priors.items() if ".rho." in n}
    assert {prior.a for prior in priors.values()} == {1.5, 1.0}
    model = model_from_mixture(mixture)
    x = np.array([0.3, -0.8, 0.5])
    point = {"correlations": 0.5 + 0.5 * x}
    pm = import_pymc()
    found = pm.logp(model["correlations"], point["correlations"]).eval(mode="FAST_COMPILE")
    expected = [
        p.log_density(value) + np.log(2) for p, value in zip(priors.values(), x, strict=True)
    ]
    assert found == pytest.approx(np.array(expected))


@pytest.fixture(scope="module", params=[fractions, rates])
def mixture(request):
    return request.param()


def test_gradient_is_that_of_central_differences(mixture):
    theta = mixture.prior_transform(np.random.default_rng(1).random((20, mixture.ndim)))
    value, gradient = mixture.log_likelihood_gradient(theta)
    assert value == pytest.approx(mixture.log_likelihood(theta), rel=1e-12)
    for j in range(mixture.ndim):
        step = np.zeros(mixture.ndim)
        step[j] = 1e-6
        there, back = (mixture.log_likelihood(theta + s) for s in (step, -step))
        assert gradient[:, j] == pytest.approx((there - back) / 2e-6, rel=1e-5, abs=1e-5)


def is_logarithmic(mixture, name):
    return isinstance(mixture.single_priors.get(name), LogUniform | LogNormal)


def test_model_has_the_densities_of_the_mixture_and_their_gradient(mixture):
    model = model_from_mixture(mixture)
    point = model.initial_point()
    named = [*(model[name] for name in mixture.names), model.potentiallogp]
    prior = model.logp(vars=model.free_RVs, jacobian=False)
    outputs = [*model.replace_rvs_by_values(named), prior, model.logp(), model.dlogp()]
    evaluate = model.compile_fn(outputs, mode=MODE)  # one function, as compiling takes the time
    *values, likelihood, prior, _, gradient = evaluate(point)
    theta = np.array(values)[None]
    assert likelihood == pytest.approx(mixture.log_likelihood(theta)[0])
    # Some parameters have their prior in their logarithm.
    logs = [j for j, name in enumerate(mixture.names) if is_logarithmic(mixture, name)]
    assert prior == pytest.approx(mixture.log_prior(theta)[0] + np.log(theta[0, logs]).sum())
    at = 0
    for name, start in point.items():
        for i in np.ndindex(np.shape(start)):
            step = np.zeros(np.shape(start))
            step[i] = 1e-6
            there, back = (evaluate(point | {name: start + s})[-2] for s in (step, -step))
            assert gradient[at] == pytest.approx((there - back) / 2e-6, rel=1e-4, abs=1e-5)
            at += 1
