"""The extended likelihood against its definition, summed datum by datum with math.fsum."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skymix.mixture import (
    Data,
    LeafTable,
    Nuisance,
    ParameterAxis,
    RateMixture,
    Tree,
    prior_from_mapping,
)

NODES = np.array([0.0, 0.4, 1.0])
TREE = {"children": {"a": None, "pair": {"children": {"b": None, "c": None}}}}
UNIT = prior_from_mapping({"kind": "uniform", "lower": 0.0, "upper": 1.0})
WIDE = prior_from_mapping({"kind": "log_uniform", "lower": 0.1, "upper": 10.0})
NEAR = prior_from_mapping({"kind": "log_normal", "median": 1.0, "dex": 0.1})


def tables(seed: int, sets: int, per_set: int):
    """Random densities, counts and data of three leaves, of which two share a parameter."""
    rng = np.random.default_rng(seed)
    n = sets * per_set
    axes = {"a": (ParameterAxis("x", NODES, "linear"),), "b": (), "c": ()}
    axes["b"] = axes["a"]
    expected = {k: rng.uniform(0, 50, (sets, 3 if axes[k] else 1)) for k in axes}
    own = {k: rng.random((3 if axes[k] else 1, n)) for k in axes}
    dataset = rng.permutation(np.repeat(np.arange(sets), per_set))
    multiplicity = rng.integers(1, 4, n).astype(float)
    return own, expected, axes, dataset, multiplicity


def mixture_of(
    own, expected, axes, dataset, multiplicity, nuisances=(), amplitudes=None, **options
):
    leaves = []
    for name, density in own.items():
        share = expected[name] / expected[name].sum(axis=0)
        leaves.append(LeafTable(name, density * share[dataset].T, axes[name]))
    return RateMixture(
        Tree.from_mapping(TREE),
        leaves[::-1],
        expected,
        Data(multiplicity, dataset, 0.25),
        amplitudes or {"a": WIDE, "b": UNIT, "c": 1.5},
        nuisances,
        {"x": UNIT},
        **options,
    )


def at(rows: np.ndarray, x: float) -> np.ndarray:
    """Linear interpolation between the nodes, for rows of one or three nodes."""
    if len(rows) == 1:
        return rows[0]
    k = 0 if x < NODES[1] else 1
    t = (x - NODES[k]) / (NODES[k + 1] - NODES[k])
    return (1 - t) * rows[k] + t * rows[k + 1]


def by_definition(own, expected, dataset, multiplicity, factor, x) -> float:
    """ln L for factors (ndataset, nleaf) that include the amplitudes."""
    terms, names = [], list(own)
    share = {k: expected[k] / expected[k].sum(axis=0) for k in names}
    total = {k: float(at(expected[k].sum(axis=0), x)) for k in names}
    for o in range(len(expected["a"])):
        terms += [-factor[o, j] * total[k] * float(at(share[k][o], x)) for j, k in enumerate(names)]
    for i, (o, c) in enumerate(zip(dataset, multiplicity, strict=True)):
        rate = math.fsum(
            factor[o, j] * total[k] * float(at(own[k][:, i] * share[k][o], x))
            for j, k in enumerate(names)
        )
        terms.append(c * math.log(rate))
    return math.fsum(terms) + 0.25


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 30))
def test_likelihood_is_its_definition(seed, sets, per_set) -> None:
    parts = tables(seed, sets, per_set)
    own, expected, _, dataset, multiplicity = parts
    nuisances = [
        Nuisance("all", ("a", "c"), None, NEAR),
        *(Nuisance(f"norm.{o}", ("b",), (o,), NEAR) for o in range(sets)),
        Nuisance("area", ("a", "b"), tuple(range(0, sets, 2)), NEAR),
    ]
    mixture = mixture_of(*parts, nuisances)
    norms = tuple(f"norm.{o}" for o in range(sets))
    assert mixture.names == ("amplitude.a", "amplitude.b", "all", *norms, "area", "x")
    theta = mixture.prior_transform(np.random.default_rng(seed).random((3, mixture.ndim)))
    found = mixture.log_likelihood(theta)
    for point, value in zip(theta, found, strict=True):
        a, b, shared, *rest = point
        area, x = rest[-2:]
        factor = np.empty((sets, 3))
        for o in range(sets):
            telescope = area if o % 2 == 0 else 1.0
            factor[o] = a * shared * telescope, b * rest[o] * telescope, 1.5 * shared
        definition = by_definition(own, expected, dataset, multiplicity, factor, x)
        assert value == pytest.approx(definition, rel=1e-11, abs=1e-9)


@pytest.mark.parametrize("sets", [1, 3])
def test_without_nuisances_of_single_sets_no_set_is_told_apart(sets) -> None:
    parts = tables(5, sets, 20)
    own, expected, axes, dataset, multiplicity = parts
    plain = mixture_of(own, expected, axes, dataset, multiplicity)
    each = [Nuisance(f"n.{o}", ("a", "b", "c"), (o,), NEAR) for o in range(sets)]
    apart = mixture_of(*parts, each)
    theta = plain.prior_transform(np.random.default_rng(0).random((5, plain.ndim)))
    ones = np.ones((5, sets))
    with_ones = np.concatenate([theta[:, :2], ones, theta[:, 2:]], axis=1)
    np.testing.assert_allclose(
        apart.log_likelihood(with_ones), plain.log_likelihood(theta), rtol=1e-12
    )
    np.testing.assert_allclose(apart.counts(with_ones), plain.counts(theta), rtol=1e-12)
    np.testing.assert_allclose(
        apart.responsibilities(with_ones[0]), plain.responsibilities(theta[0]), rtol=1e-12
    )


def test_value_of_a_point_does_not_depend_on_its_batch() -> None:
    parts = tables(8, 4, 100)
    mixture = mixture_of(*parts, [Nuisance(f"n.{o}", ("b",), (o,), NEAR) for o in range(4)])
    theta = mixture.prior_transform(np.random.default_rng(3).random((17, mixture.ndim)))
    together = mixture.log_likelihood(theta)
    alone = np.concatenate([mixture.log_likelihood(point[None]) for point in theta])
    np.testing.assert_array_equal(together, alone)


def test_split_with_an_amplitude_shares_it_by_its_fractions() -> None:
    own, expected, _, dataset, multiplicity = parts = tables(3, 2, 25)
    amplitudes = {"pair": WIDE, "a": WIDE}
    mixture = mixture_of(*parts, amplitudes=amplitudes)
    assert mixture.names == ("amplitude.pair", "amplitude.a", "fraction.b", "x")
    (value,) = mixture.log_likelihood(np.array([[3.0, 0.7, 0.2, 0.9]]))
    factor = np.array([[0.7, 3 * 0.2, 3 * 0.8]] * 2)
    definition = by_definition(own, expected, dataset, multiplicity, factor, 0.9)
    assert value == pytest.approx(definition, rel=1e-11)
    u = np.random.default_rng(1).random((4000, 4))
    theta = mixture.prior_transform(u)
    np.testing.assert_allclose(theta[:, 2], u[:, 2])
    np.testing.assert_allclose(
        mixture.log_prior(theta), sum(WIDE.log_density(theta[:, j]) for j in (0, 1))
    )


def test_derived_variables() -> None:
    own, expected, axes, dataset, multiplicity = tables(4, 2, 10)
    mixture = mixture_of(
        own,
        expected,
        axes,
        dataset,
        multiplicity,
        [Nuisance("n.0", ("a",), (0,), NEAR)],
        {"a": WIDE, "pair": WIDE},
        physical={"a.flux": ("a", 2e-12), "pair.cross_section": ("pair", 3e-26)},
    )
    theta = np.array([[2.0, 5.0, 1.3, 0.25, 0.4]])
    found = mixture.derived(theta)
    assert mixture.names == ("amplitude.a", "amplitude.pair", "n.0", "fraction.b", "x")
    mu = expected["a"][:, 1] * 2.0 * [1.3, 1.0]
    assert found["counts.a"] == pytest.approx(mu.sum())
    assert found["counts.c"] == pytest.approx(5 * 0.75 * expected["c"].sum())
    total = sum(found[f"counts.{k}"] for k in "abc")
    assert found["weight.a"] == pytest.approx(mu.sum() / total)
    assert found["a.flux"] == pytest.approx(4e-12)
    assert found["pair.cross_section"] == pytest.approx(1.5e-25)


def test_responsibilities_are_shares_of_the_rates() -> None:
    own, expected, axes, dataset, _ = parts = tables(6, 3, 8)
    mixture = mixture_of(*parts, [Nuisance("n.1", ("b",), (1,), NEAR)])
    found = mixture.responsibilities(np.array([2.0, 0.3, 1.4, 0.4]))
    rates = np.empty((len(dataset), 3))
    for j, (k, amplitude) in enumerate(zip("abc", (2.0, 0.3, 1.5), strict=True)):
        row = 1 if axes[k] else 0
        rates[:, j] = amplitude * expected[k][dataset, row] * own[k][row]
    rates[dataset == 1, 1] *= 1.4
    np.testing.assert_allclose(found, rates / rates.sum(axis=1, keepdims=True), rtol=1e-12)


def test_leaf_without_counts_in_one_set() -> None:
    own, expected, axes, dataset, multiplicity = tables(7, 2, 15)
    expected["b"][0] = 0
    mixture = mixture_of(own, expected, axes, dataset, multiplicity)
    (value,) = mixture.log_likelihood(np.array([[1.0, 0.5, 0.3]]))
    factor = np.array([[1.0, 0.5, 1.5]] * 2)
    definition = by_definition(own, expected, dataset, multiplicity, factor, 0.3)
    assert value == pytest.approx(definition, rel=1e-11)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("precision", "close"), [("double", 1e-13), ("single", 1e-6)])
def test_precision_and_threads(precision, close, threads) -> None:
    parts = tables(2, 2, 2000)
    theta = np.array([[1.0, 0.5, 0.3]])
    exact = mixture_of(*parts).log_likelihood(theta)
    found = mixture_of(*parts, precision=precision, threads=threads).log_likelihood(theta)
    np.testing.assert_allclose(found, exact, rtol=close)
    assert (found == exact).all() == (precision == "double")


@pytest.mark.parametrize(
    "amplitudes", [{"a": WIDE, "b": WIDE}, {"a": WIDE, "b": WIDE, "c": 1.0, "pair": WIDE}]
)
def test_every_leaf_has_one_amplitude(amplitudes) -> None:
    with pytest.raises(ValueError, match=r"each of \['a', 'b', 'c'\] once"):
        mixture_of(*tables(1, 1, 5), amplitudes=amplitudes)
