"""A point's values do not depend, to the last bit, on the points beside it."""

import numpy as np
import pytest
from dynesty import bounding
from dynesty.internal_samplers import (
    RSliceSampler,
    RWalkSampler,
    SamplerArgument,
    UniformBoundSampler,
)
from tests.unit.sampling.test_batches import pool_of

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

TREE = {
    "prior": {"dirichlet": [1, 0.5, 2]},
    "children": {
        "a": None,
        "b": {"prior": {"beta": [2, 3]}, "children": {"c": None, "d": None}},
        "e": {"prior": {"dirichlet": [1, 1, 1, 3]}, "children": dict.fromkeys("fghi")},
    },
}


def fractions() -> TabulatedMixture:
    """Nine parameters of every kind of prior, 1777 data."""
    rng = np.random.default_rng(1)
    axes = {
        "a": (ParameterAxis("mass", np.geomspace(0.1, 10, 7), "log"),),
        "c": (
            ParameterAxis("index", np.linspace(1, 3, 5), "linear"),
            ParameterAxis("shift", np.linspace(-1, 1, 3), "linear"),
        ),
    }
    leaves = []
    for leaf in Tree.from_mapping(TREE).leaves:
        of_leaf = axes.get(leaf, ())
        rows = int(np.prod([axis.nodes.size for axis in of_leaf]))
        leaves.append(LeafTable(leaf, rng.gamma(1.0, size=(rows, 1777)), of_leaf))
    priors = {
        "mass": LogUniform(0.1, 10),
        "index": TruncatedNormal(2, 0.4, 1, 3),
        "shift": Uniform(-1, 1),
    }
    multiplicity = rng.integers(1, 9, 1777).astype(float)
    return TabulatedMixture(Tree.from_mapping(TREE), leaves, multiplicity, priors)


def rates() -> RateMixture:
    """Two amplitudes, of a leaf and of a split, a level in each of five data sets, a mass."""
    rng = np.random.default_rng(5)
    mass = ParameterAxis("mass", np.geomspace(0.1, 10, 7), "log")
    expected = {k: rng.uniform(5, 90, (5, 7 if k == "a" else 1)) for k in "abc"}
    pair = {"prior": {"beta": [2, 3]}, "children": {"b": None, "c": None}}
    return RateMixture(
        Tree.from_mapping({"children": {"a": None, "pair": pair}}),
        [
            LeafTable(k, rng.gamma(1.0, size=(v.shape[1], 777)), (mass,) * (k == "a"))
            for k, v in expected.items()
        ],
        expected,
        Data(np.ones(777), rng.integers(0, 5, 777)),
        {"a": LogUniform(0.1, 10), "pair": TruncatedNormal(1.0, 0.3, 0.0, np.inf)},
        [Nuisance(f"level.{o}", ("b", "c"), (o,), LogNormal(1.0, 0.1)) for o in range(5)],
        {"mass": LogUniform(0.1, 10)},
    )


@pytest.fixture(scope="module", params=[fractions, rates])
def mixture(request) -> TabulatedMixture | RateMixture:
    return request.param()


@pytest.fixture(scope="module")
def cube(mixture) -> np.ndarray:
    return np.random.default_rng(2).random((203, mixture.ndim))


def in_parts(function, points, size) -> np.ndarray:
    return np.concatenate([function(points[i : i + size]) for i in range(0, len(points), size)])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 16, 101])
def test_prior_and_likelihood_are_those_of_the_point_alone(mixture, cube, size) -> None:
    theta = mixture.prior_transform(cube)
    np.testing.assert_array_equal(in_parts(mixture.prior_transform, cube, size), theta)
    value = mixture.log_likelihood(theta)
    np.testing.assert_array_equal(in_parts(mixture.log_likelihood, theta, size), value)


def test_order_does_not_matter(mixture, cube) -> None:
    shuffled = np.random.default_rng(3).permutation(len(cube))
    theta = mixture.prior_transform(cube)
    np.testing.assert_array_equal(mixture.prior_transform(cube[shuffled]), theta[shuffled])
    value = mixture.log_likelihood(theta)
    np.testing.assert_array_equal(mixture.log_likelihood(theta[shuffled]), value[shuffled])


def bounds(ndim) -> list:
    rng = np.random.default_rng(4)
    factor = rng.standard_normal((ndim, ndim)) * 0.1
    cov = factor @ factor.T + 0.4 * np.eye(ndim)
    ells = [bounding.Ellipsoid(ndim, ctr=np.full(ndim, x), cov=cov) for x in (0.4, 0.5, 0.55)]
    return [bounding.UnitCube(ndim), ells[0], bounding.MultiEllipsoid(ndim, ells=ells)]


@pytest.mark.parametrize(
    ("sampler", "which"),
    [
        (UniformBoundSampler, 0),
        (UniformBoundSampler, 1),
        (UniformBoundSampler, 2),
        (RWalkSampler, 1),
        (RSliceSampler, 1),
    ],
)
def test_a_draw_is_that_of_the_task_alone(mixture, cube, sampler, which) -> None:
    bound = bounds(mixture.ndim)[which]
    theta = mixture.prior_transform(cube)
    value = mixture.log_likelihood(theta)
    threshold = float(np.quantile(value, 0.5))
    start = cube[np.flatnonzero(value > threshold)[:21]]
    seeds = np.random.SeedSequence(3).spawn(len(start))
    settings = {"ndim": mixture.ndim, "n_cluster": mixture.ndim, "ncdim": mixture.ndim}
    settings |= {"bound": bound, "walks": 12, "slices": 3, "nonperiodic": None}
    axes = bounds(mixture.ndim)[1].axes * 0.3
    tasks = [
        SamplerArgument(u, threshold, axes, 0.7, None, None, seed, settings)
        for u, seed in zip(start, seeds, strict=True)
    ]
    together = pool_of(mixture).map(sampler.sample, tasks)
    for size in (1, 2, 5):
        parts = [tasks[i : i + size] for i in range(0, len(tasks), size)]
        apart = [r for part in parts for r in pool_of(mixture).map(sampler.sample, part)]
        for one, other in zip(together, apart, strict=True):
            np.testing.assert_array_equal(one.u, other.u)
            np.testing.assert_array_equal(one.v, other.v)
            assert float(one.logl) == float(other.logl)
            assert one.ncalls == other.ncalls
            assert one.proposal_stats == other.proposal_stats
