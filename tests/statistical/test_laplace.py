"""Importance sampling from Laplace approximations: right, or refused."""

import itertools

import numpy as np
import pytest
from scipy import special, stats
from tests.statistical.test_evidence import (
    evidence_of_known_densities,
    evidence_of_scanned_centre,
    two_densities,
)

from skymix.errors import SkymixError
from skymix.mixture import LeafTable, ParameterAxis, TabulatedMixture, Tree, prior_from_mapping
from skymix.sampling import check_evidence, sample_laplace, sample_nested
from skymix.sampling.laplace import importance_run, reason_for_distrust

DRAWS = 20_000
DEEP = {
    "prior": {"beta": [1.5, 3.0]},
    "children": {
        "a": None,
        "g": {
            "prior": {"fixed": [0.4, 0.6]},
            "children": {
                "b": None,
                "h": {
                    "prior": {"dirichlet": [1.0, 2.0, 0.5]},
                    "children": {"c": None, "d": None, "e": None},
                },
            },
        },
    },
}


BUMPS = {"a": -2, "b": -1, "c": 0, "d": 1, "e": 2}


def normal(x, mean, width):
    return np.exp(-0.5 * ((x - mean) / width) ** 2) / (width * np.sqrt(2 * np.pi))


def drawn(n, means, width, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(rng.choice(means, n), width)


def deep_tree() -> TabulatedMixture:
    """Five bumps under three splits, one of them fixed; multiplicities differ."""
    x = drawn(70, [-2, -1, 0, 2], 0.6)
    leaves = [
        LeafTable(k, normal(x, m, 0.7)[None]) for k, m in zip("abcde", range(-2, 3), strict=True)
    ]
    counts = np.random.default_rng(2).integers(1, 4, x.size).astype(float)
    return TabulatedMixture(Tree.from_mapping(DEEP), leaves, counts, {})


def shared_and_product() -> TabulatedMixture:
    """A centre that two leaves share and a width of one of them; nine by seven nodes."""
    x = drawn(60, [0.3, 2.3, -1.5], 0.5)
    centres, widths = np.linspace(-1, 1, 9), np.geomspace(0.2, 1.2, 7)
    centre = ParameterAxis("centre", centres, "linear")
    both = np.array([normal(x, c, w) for c, w in itertools.product(centres, widths)])
    other = np.array([normal(x, c + 2, 0.5) for c in centres])
    return TabulatedMixture(
        Tree.from_mapping({"children": {"s": None, "t": None, "flat": None}}),
        [
            LeafTable("s", both, (centre, ParameterAxis("width", widths, "log"))),
            LeafTable("t", other, (centre,)),
            LeafTable("flat", np.full((1, x.size), 0.1)),
        ],
        np.ones(x.size),
        {
            "centre": prior_from_mapping(
                {"kind": "normal", "mean": 0.2, "sd": 0.4, "lower": -0.9, "upper": 1.0}
            ),
            "width": prior_from_mapping({"kind": "log_uniform", "lower": 0.2, "upper": 1.2}),
        },
    )


def quadrature(mixture: TabulatedMixture, pieces: list[np.ndarray], *orders: int) -> float:
    """ln Z by Gauss and Legendre in the unit cube, each axis cut at the given places."""
    axes = []
    for cuts, order in zip(pieces, orders or (9,) * len(pieces), strict=True):
        x, w = np.polynomial.legendre.leggauss(order)
        low, size = cuts[:-1, None], np.diff(cuts)[:, None]
        axes.append(((low + size * (x + 1) / 2).ravel(), (size * w / 2).ravel()))
    mesh = np.stack(np.meshgrid(*[a[0] for a in axes], indexing="ij"), axis=-1)
    weight = np.ones(1)
    for _, part in axes:
        weight = np.multiply.outer(weight, part)
    theta = mixture.prior_transform(mesh.reshape(-1, mixture.ndim))
    return float(special.logsumexp(mixture.log_likelihood(theta), b=weight.ravel()))


def in_cube(prior, nodes: np.ndarray) -> np.ndarray:
    """Nodes in the unit cube of a prior, by bisection of its transform."""
    low, high = np.zeros(nodes.size), np.ones(nodes.size)
    for _ in range(60):
        middle = (low + high) / 2
        below = prior.transform(middle) < nodes
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    inside = low[(low > 1e-9) & (low < 1 - 1e-9)]
    return np.concatenate([[0.0], inside, [1.0]])


def expected_of_product(mixture: TabulatedMixture) -> float:
    # Interpolation has a kink at every node.
    axes = mixture.leaves[0].axes
    cuts = [in_cube(mixture.priors[a.name], a.nodes) for a in axes]
    return quadrature(mixture, [np.linspace(0, 1, 13), np.linspace(0, 1, 13), *cuts], 4, 4, 3, 3)


HALVES = np.array([0.0, 0.1, 0.5, 0.9, 1.0])
CASES = {
    "known densities": (
        lambda: two_densities(shift=0.4),
        evidence_of_known_densities,
    ),
    "scanned centre": (two_densities, evidence_of_scanned_centre),
    "three splits deep": (deep_tree, lambda m: quadrature(m, [HALVES] * 3)),
    "shared and product": (shared_and_product, expected_of_product),
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    make, expected = CASES[request.param]
    mixture = make()
    return mixture, expected(mixture)


def test_evidence_is_that_of_quadrature(case) -> None:
    mixture, expected = case
    runs = [sample_laplace(mixture, DRAWS, seed) for seed in range(40)]
    pulls = np.array([(r.log_evidence - expected) / r.log_evidence_error for r in runs])
    errors = np.array([r.log_evidence_error for r in runs])
    assert errors.max() < 0.03
    assert abs(pulls.mean()) < 4 / np.sqrt(pulls.size), pulls.mean()
    # 0.1 % quantiles of the scatter of 40 standard normal numbers
    low, high = np.sqrt(stats.chi2(39).ppf([5e-4, 1 - 5e-4]) / 39)
    assert low < pulls.std(ddof=1) < high


def test_evidence_and_posterior_are_those_of_nested_sampling(case) -> None:
    mixture, _ = case
    run = sample_laplace(mixture, DRAWS, 5)
    for seed in (1, 2):
        nested = sample_nested(mixture, 400, 0.02, "single", "auto", seed)
        error = np.hypot(nested.log_evidence_error, run.log_evidence_error)
        assert abs(nested.log_evidence - run.log_evidence) < 3 * error
        for j in range(mixture.ndim):
            moments = []
            for r in (run, nested):
                w = np.exp(r.log_weight)
                mean = w @ r.samples[:, j]
                moments.append((mean, np.sqrt(w @ (r.samples[:, j] - mean) ** 2)))
            (mean, sd), (other, width) = moments
            assert abs(mean - other) < 5 * width / np.sqrt(nested.effective_size)
            assert sd == pytest.approx(width, rel=0.15)
    information = abs(run.information - nested.information)
    assert information < 0.3


def test_draws_of_equal_weight_have_the_moments_of_the_weighted() -> None:
    run = sample_laplace(two_densities(), DRAWS, 1)
    draws = run.samples[run.equal_weight_draws(np.random.default_rng(1))]
    w = np.exp(run.log_weight)
    assert w.sum() == pytest.approx(1)
    error = draws.std(axis=0) / np.sqrt(run.effective_size)
    assert np.all(np.abs(draws.mean(axis=0) - w @ run.samples) < 4 * error)


def test_posterior_much_narrower_than_a_cell() -> None:
    """Of three nodes, so that the mode lies between two of them, at a hundredth of a cell."""
    rng = np.random.default_rng(3)
    x = rng.integers(0, 10, 20_000)
    # Table linear between nodes: densities of ten bins that tilt with the parameter.
    tilt = np.linspace(-1, 1, 10)
    nodes = np.linspace(0, 1, 3)
    table = (1 + np.outer(nodes - 0.3, tilt)) / 10
    mixture = TabulatedMixture(
        Tree.from_mapping({"prior": {"fixed": [0.9, 0.1]}, "children": {"s": None, "b": None}}),
        [
            LeafTable("s", table, (ParameterAxis("t", nodes, "linear"),)),
            LeafTable("b", np.full((1, 10), 0.1)),
        ],
        100 * np.bincount(x, minlength=10).astype(float),
        {"t": prior_from_mapping({"kind": "uniform", "lower": 0, "upper": 1})},
    )
    cuts = np.sort(np.concatenate([[0, 0.5, 1], np.linspace(0.2, 0.4, 41)]))
    expected = quadrature(mixture, [cuts], 20)
    run = sample_laplace(mixture, DRAWS, 1)
    w = np.exp(run.log_weight)
    mean = w @ run.samples[:, 0]
    assert np.sqrt(w @ (run.samples[:, 0] - mean) ** 2) < 0.01
    assert run.log_evidence == pytest.approx(expected, abs=4 * run.log_evidence_error)


def many_leaves(leaves: int, concentration: float, n: int = 500) -> TabulatedMixture:
    x = drawn(n, np.linspace(-3, 0, leaves // 2), 0.5)
    names = [f"leaf{k}" for k in range(leaves)]
    prior = {"dirichlet": [concentration] * leaves}
    return TabulatedMixture(
        Tree.from_mapping({"prior": prior, "children": dict.fromkeys(names)}),
        [
            LeafTable(name, normal(x, m, 0.5)[None])
            for name, m in zip(names, np.linspace(-3, 3, leaves), strict=True)
        ],
        np.ones(n),
        {},
    )


@pytest.mark.parametrize(("leaves", "concentration"), [(20, 1.0), (6, 0.05)])
def test_what_it_does_not_describe_is_refused(leaves, concentration) -> None:
    mixture = many_leaves(leaves, concentration)
    with pytest.raises(SkymixError, match=r"draws are worth .* use sampler: \{kind: nested\}"):
        sample_laplace(mixture, DRAWS, 1)
    run = importance_run(mixture, DRAWS, 1)
    assert "does not describe" in reason_for_distrust(run)


def test_more_draws_do_not_buy_trust() -> None:
    assert reason_for_distrust(importance_run(many_leaves(20, 1.0), 200_000, 1))


@pytest.mark.parametrize("concentration", [0.1, 0.2, 0.4, 1.0, 3.0])
@pytest.mark.parametrize("leaves", [2, 3])
def test_right_or_refused(leaves, concentration) -> None:
    """Sparse priors have heavy corners, which the approximation may miss but not silently."""
    mixture = many_leaves(2 * leaves, concentration, 100)
    few = TabulatedMixture(
        Tree.from_mapping(
            {
                "prior": {"dirichlet": [concentration] * leaves},
                "children": dict.fromkeys(mixture.tree.leaves[:leaves]),
            }
        ),
        mixture.leaves[:leaves],
        np.ones(100),
        {},
    )
    expected = quadrature(few, [np.linspace(0, 1, 81)] * (leaves - 1), *([6] * (leaves - 1)))
    for seed in range(5):
        run = importance_run(few, DRAWS, seed)
        if not reason_for_distrust(run):
            assert abs(run.log_evidence - expected) < 4 * run.log_evidence_error


def test_check_of_a_small_problem(case) -> None:
    mixture, expected = case
    found = check_evidence(mixture, 3)
    assert set(found) == {"laplace_logz", "laplace_logzerr", "laplace_effective_size"}
    assert abs(found["laplace_logz"] - expected) < 4 * found["laplace_logzerr"]


def test_check_is_refused_in_a_sentence_or_not_made() -> None:
    refused = check_evidence(many_leaves(8, 0.05), 1)
    assert set(refused) == {"laplace_refused"}
    assert "kind: nested" not in refused["laplace_refused"]
    assert check_evidence(many_leaves(10, 1.0), 1) == {}


def test_likelihood_that_is_zero_is_refused() -> None:
    x = np.ones((1, 3))
    mixture = TabulatedMixture(
        Tree.from_mapping({"prior": {"fixed": [1.0, 0.0]}, "children": {"a": None, "b": None}}),
        [LeafTable("a", x * [0, 1, 1]), LeafTable("b", x)],
        np.ones(3),
        {},
    )
    with pytest.raises(SkymixError, match="likelihood is zero or not a number"):
        sample_laplace(mixture, DRAWS, 1)


def test_nothing_free_is_the_likelihood() -> None:
    mixture = TabulatedMixture(
        Tree.from_mapping({"prior": {"fixed": [0.3, 0.7]}, "children": {"a": None, "b": None}}),
        [LeafTable("a", np.full((1, 3), 0.5)), LeafTable("b", np.full((1, 3), 2.0))],
        np.ones(3),
        {},
    )
    run = sample_laplace(mixture, 2000, 1)
    assert run.log_evidence == pytest.approx(3 * np.log(0.3 * 0.5 + 0.7 * 2.0))
    assert run.effective_size == pytest.approx(2000)


def test_same_seed_gives_the_same_run_to_the_last_bit() -> None:
    mixture = shared_and_product()
    first, again, other = (sample_laplace(mixture, 5000, seed) for seed in (7, 7, 8))
    assert first.log_evidence == again.log_evidence
    assert np.array_equal(first.samples, again.samples)
    assert first.log_evidence != other.log_evidence
