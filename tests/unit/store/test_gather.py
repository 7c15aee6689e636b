"""Gathering of several observations: against plain concatenation, and with merging."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from tests.gathering import gathered
from tests.small_study import event_list

from skymix.errors import DataError
from skymix.store import Marginals
from skymix.store.tables import mixture_of

TREE = {"children": {"a": None, "b": None}}
PRIORS = {"a.x": {"kind": "uniform", "lower": 0.0, "upper": 1.0}}
NORMAL = {"kind": "normal", "mean": 1.0, "sd": 0.1}
RATES = {
    "amplitudes": {"a": {"kind": "log_uniform", "lower": 0.1, "upper": 10.0}, "b": NORMAL},
    "nuisances": [],
    "physical": {"a.flux": {"of": "a", "value": 1e-12, "unit": "TeV-1 cm-2 s-1"}},
}
NODES = np.array([0.0, 0.5, 1.0])
CELLS = 40


def densities(seed: int = 0) -> dict[str, np.ndarray]:
    """Density of both leaves in all cells of a data space."""
    rng = np.random.default_rng(seed)
    return {"a": rng.random((3, CELLS)), "b": rng.random((1, CELLS))}


def marginals(name, leaf, density, multiplicity, expected) -> Marginals:
    rows = len(density)
    scanned = rows > 1
    return Marginals(
        parameters=("a.x",) if scanned else (),
        spacings=("linear",) if scanned else (),
        units=("",) if scanned else (),
        nodes=np.array([rows] if scanned else [], dtype=np.int64),
        node_values=NODES if scanned else np.empty(0),
        density=density,
        multiplicity=multiplicity,
        expected_counts=np.asarray(expected, dtype=float),
        counts_map=np.ones((rows, 1, 1)),
        counts_spectrum=np.ones((rows, 1)),
        truncation=np.full(multiplicity.size, 1e-6),
        binning_error=0.01,
        interpolation_error=0.02,
        observation=name,
        component=leaf,
    )


def observation(name, counts, exposure, of=None):
    """Marginals of an observation with these counts in the cells, and its occupied cells."""
    of = of or densities()
    cell = np.flatnonzero(counts)
    multiplicity = counts[cell].astype(float)
    expected = {"a": exposure * np.array([3.0, 5.0, 4.0]), "b": exposure * np.array([7.0])}
    return [marginals(name, k, of[k][:, cell], multiplicity, expected[k]) for k in "ab"], cell


def several(seed=1, exposures=(1.0, 2.5, 0.7)):
    rng = np.random.default_rng(seed)
    return [
        observation(f"run_{o}", rng.poisson(0.6, CELLS), exposure)
        for o, exposure in enumerate(exposures)
    ]


def tables_of(runs, *, merge, rates=None, **options):
    return gathered(
        [leaves for leaves, _ in runs],
        TREE,
        PRIORS,
        rates=rates,
        cells=[cell for _, cell in runs],
        alike=["same" if merge else None] * len(runs),
        **options,
    )


def test_stream_holds_what_concatenation_gives() -> None:
    runs = several()
    tables = tables_of(runs, merge=False)
    whole = [np.concatenate([m.density for m in leaves]) for leaves, _ in runs]
    np.testing.assert_array_equal(tables.density, np.concatenate(whole, axis=1))
    sizes = [cell.size for _, cell in runs]
    np.testing.assert_array_equal(tables.datum_dataset, np.repeat([0, 1, 2], sizes))
    counts = np.concatenate([leaves[0].multiplicity for leaves, _ in runs])
    np.testing.assert_array_equal(tables.multiplicity, counts)
    np.testing.assert_array_equal(tables.events, [m[0].multiplicity.sum() for m, _ in runs])
    starts = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)
    events = np.concatenate([np.arange(n) for n in sizes]) + starts
    np.testing.assert_array_equal(tables.event_datum, events)
    expected = [np.concatenate([m.expected_counts for m in leaves]) for leaves, _ in runs]
    np.testing.assert_array_equal(tables.expected_counts, expected)
    assert tables.observations == ("run_0", "run_1", "run_2")
    assert (tables.binning_error, tables.interpolation_error) == (0.01, 0.02)


@pytest.mark.parametrize("rates", [None, RATES])
def test_merged_is_unmerged_to_rounding(rates) -> None:
    runs = several()
    merged, apart = (tables_of(runs, merge=merge, rates=rates) for merge in (True, False))
    assert merged.multiplicity.size == np.unique(np.concatenate([c for _, c in runs])).size
    assert merged.multiplicity.size < apart.multiplicity.size
    assert merged.multiplicity.sum() == apart.multiplicity.sum()
    a, b = mixture_of(merged), mixture_of(apart)
    theta = a.prior_transform(np.random.default_rng(0).random((20, a.ndim)))
    np.testing.assert_allclose(a.log_likelihood(theta), b.log_likelihood(theta), rtol=1e-12)
    for name, values in a.derived(theta).items():
        np.testing.assert_allclose(values, b.derived(theta)[name], rtol=1e-12)
    events = a.responsibilities(theta[0])[merged.event_datum]
    np.testing.assert_allclose(events, b.responsibilities(theta[0])[apart.event_datum], rtol=1e-12)


def test_observations_of_other_ratios_are_not_merged() -> None:
    runs = several()
    leaves, cell = runs[1]
    more = marginals("run_1", "b", leaves[1].density, leaves[1].multiplicity, [30.0])
    tables = tables_of([runs[0], ([leaves[0], more], cell), runs[2]], merge=True)
    np.testing.assert_array_equal(tables.dataset, [0, 0, 1])
    assert tables.observations == ("run_0", "run_2", "run_1")


def test_fractions_are_of_densities_over_all_observations() -> None:
    """Against the definition: r_ok = mu0_ok / sum_o' mu0_o'k at a node of the parameter."""
    runs = several(exposures=(1.0, 1.0))
    leaves, cell = runs[1]
    other = marginals("run_1", "b", leaves[1].density, leaves[1].multiplicity, [2.0])
    runs[1] = [leaves[0], other], cell
    mixture = mixture_of(tables_of(runs, merge=False))
    share = {"a": (0.5, 0.5), "b": (7 / 9, 2 / 9)}
    terms = []
    for o, (found, _) in enumerate(runs):
        for i, c in enumerate(found[0].multiplicity):
            a, b = found[0].density[1, i], found[1].density[0, i]
            terms.append(c * math.log(0.3 * share["a"][o] * a + 0.7 * share["b"][o] * b))
    (value,) = mixture.log_likelihood(np.array([[0.3, 0.5]]))
    assert value == pytest.approx(math.fsum(terms), rel=1e-12)


def test_one_observation_has_its_own_densities_uncopied() -> None:
    tables = tables_of(several()[:1], merge=False)
    mixture = mixture_of(tables)
    assert all(np.shares_memory(leaf.density, tables.density) for leaf in mixture.leaves)
    (value,) = mixture.log_likelihood(np.array([[0.3, 0.5]]))
    rate = 0.3 * tables.density[1] + 0.7 * tables.density[3]
    assert value == pytest.approx(math.fsum(tables.multiplicity * np.log(rate)), rel=1e-12)


def test_nuisances_find_their_data_sets() -> None:
    nuisance = {"components": ["b"], "prior": NORMAL}
    rates = RATES | {
        "nuisances": [
            {**nuisance, "name": f"norm.run_{o}", "observations": [f"run_{o}"]} for o in (2, 0)
        ]
    }
    tables = tables_of(several(), merge=False, rates=rates)
    mixture = mixture_of(tables)
    assert mixture.names == ("amplitude.a", "amplitude.b", "norm.run_2", "norm.run_0", "a.x")
    factors = mixture.factors(np.array([[1.0, 1.0, 2.0, 3.0, 0.5]]))[0]
    np.testing.assert_array_equal(factors, [[1, 3], [1, 1], [1, 2]])


def test_unlike_marginals_are_refused() -> None:
    runs = several()
    mixed = [runs[0][0][0], runs[1][0][1]]
    with pytest.raises(DataError, match="marginals of b in observation run_1 are of other data"):
        tables_of([(mixed, runs[0][1])], merge=False)


def simulated(name, counts):
    some = np.ones(3)
    listed = event_list((0, 0), some, some, some)
    return replace(
        listed,
        observation=name,
        components=("a", "b"),
        expected_counts=np.array(counts, dtype=float),
        truth=json.dumps({"a.x": 0.25}),
    )


def truth_of(wanted, rates=RATES, modelled=False):
    runs = several(exposures=(1.0, 2.0))
    events = [simulated(f"run_{o}", counts) for o, counts in enumerate(wanted)]
    tables = tables_of(
        runs,
        merge=False,
        rates=rates,
        events=events,
        event_datum=[np.zeros(3, dtype=np.int64)] * 2,
        modelled=modelled,
    )
    return json.loads(tables.truth)


def test_truth_of_rates() -> None:
    """Counts at the study's amplitude and x = 0.25 are (4, 7) and (8, 14)."""
    truth = truth_of([(8, 7), (16, 14)])
    assert truth["amplitude.a"] == pytest.approx(2)
    assert truth["amplitude.b"] == pytest.approx(1)
    assert truth["a.flux"] == pytest.approx(2e-12)
    assert truth["counts.a"] == 24
    assert truth["weight.b"] == pytest.approx(21 / 45)
    assert truth["a.x"] == 0.25


def test_counts_of_no_common_factor_have_no_true_amplitude() -> None:
    truth = truth_of([(8, 7), (8, 14)])
    assert "amplitude.a" not in truth
    assert "a.flux" not in truth
    assert truth["amplitude.b"] == pytest.approx(1)


def test_truth_of_a_nuisance_is_what_a_fixed_amplitude_leaves() -> None:
    nuisances = [
        {"name": f"n.{o}", "components": ["b"], "observations": [f"run_{o}"], "prior": NORMAL}
        for o in (0, 1)
    ]
    fixed = {"a": RATES["amplitudes"]["a"], "b": {"kind": "fixed", "value": 1.0}}
    truth = truth_of([(4, 14), (8, 7)], RATES | {"amplitudes": fixed, "nuisances": nuisances})
    assert (truth["n.0"], truth["n.1"]) == pytest.approx((2, 0.5))


def test_truth_of_modelled_counts_is_one() -> None:
    assert truth_of([(4, 7), (8, 14)], modelled=True)["amplitude.a"] == 1


def test_truth_of_fractions_is_over_all_observations() -> None:
    truth = truth_of([(8, 7), (16, 9)], rates=None)
    assert truth["fraction.a"] == pytest.approx(24 / 40)
    assert truth["weight.b"] == pytest.approx(16 / 40)


def scaled(leaves, name, factors):
    """Marginals of leaf a with a further parameter, by whose factors the density differs."""
    a, b = leaves
    whole = replace(
        a,
        parameters=(*a.parameters, name),
        spacings=("linear", "linear"),
        units=("", ""),
        nodes=np.array([3, len(factors)]),
        node_values=np.concatenate([NODES, np.linspace(0.9, 1.1, len(factors))]),
        density=(a.density[:, None] * factors[:, None]).reshape(-1, a.density.shape[1]),
        expected_counts=np.multiply.outer(a.expected_counts, factors).ravel(),
        counts_map=np.ones((3 * len(factors), 1, 1)),
        counts_spectrum=np.ones((3 * len(factors), 1)),
    )
    return [whole, b]


def test_each_telescope_has_its_own_parameter() -> None:
    """At its nodes the likelihood is that of marginals which were made there."""
    (first, _), (second, _), (third, _) = several()
    factors = np.array([0.8, 1.0, 1.3]), np.array([0.5, 1.0])
    scales = ["energy_scale.x", "energy_scale.y", ""]
    prior = {"kind": "uniform", "lower": 0.9, "upper": 1.1}
    priors = PRIORS | dict.fromkeys(scales[:2], prior)
    all_of_them = [scaled(first, scales[0], factors[0]), scaled(second, scales[1], factors[1])]
    tables = gathered([*all_of_them, third], TREE, priors, rates=RATES, scales=scales)
    mixture = mixture_of(tables)
    assert tables.leaf_rows.tolist() == [18, 1]
    for i, x in enumerate((0.9, 1.0, 1.1)):
        for j, y in enumerate((0.9, 1.1)):
            parts = [
                [replace(a, density=a.density * f, expected_counts=a.expected_counts * f), b]
                for (a, b), f in zip((first, second), (factors[0][i], factors[1][j]), strict=True)
            ]
            alone = mixture_of(gathered([*parts, third], TREE, PRIORS, rates=RATES))
            values = {"amplitude.a": 1.4, "amplitude.b": 0.9, "a.x": 0.3}
            values |= {scales[0]: x, scales[1]: y}
            got, expected = (
                m.log_likelihood(np.array([[values[name] for name in m.names]]))[0]
                for m in (mixture, alone)
            )
            assert got == pytest.approx(expected, rel=1e-12)


def test_component_that_one_observation_does_not_see() -> None:
    """It adds nothing there: as if that observation had the other component alone."""
    (first, _), (second, _) = several()[:2]
    a, b = second
    unseen = replace(a, density=0 * a.density, expected_counts=0 * a.expected_counts)
    tables = gathered([first, [unseen, b]], TREE, PRIORS, rates=RATES)
    mixture = mixture_of(tables)
    theta = np.array([[1.4, 0.9, 0.3]])
    assert mixture.names == ("amplitude.a", "amplitude.b", "a.x")
    alone = mixture_of(gathered([first], TREE, PRIORS, rates=RATES)).log_likelihood(theta)[0]
    counts = 0.9 * b.expected_counts[0]
    other = b.multiplicity @ np.log(counts * b.density[0]) - counts
    assert mixture.log_likelihood(theta)[0] == pytest.approx(alone + other, rel=1e-12)
    with pytest.raises(DataError, match=r"are expected in observation run_1 at a\.x = 0;"):
        gathered([first, [unseen, b]], TREE, PRIORS)
    nowhere = [replace(first[0], density=0 * first[0].density, expected_counts=np.zeros(3))]
    with pytest.raises(DataError, match="component a: no counts are expected in any observation;"):
        gathered([[*nowhere, first[1]], [unseen, b]], TREE, PRIORS, rates=RATES)
