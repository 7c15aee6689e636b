import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats

from skymix.mixture import prior_from_mapping
from skymix.mixture.priors import LogNormal, LogUniform, SimplexPrior, TruncatedNormal, Uniform


def truncated(mean, sd, lower, upper):
    return stats.truncnorm((lower - mean) / sd, (upper - mean) / sd, loc=mean, scale=sd)


NORMALS = [
    (1.0, 0.5, 0.0, 3.0),
    (2.0, 0.1, 0.0, 3.0),
    (-5.0, 1.0, 0.0, 10.0),
    (20.0, 1.0, 0.0, 10.0),
    (0.0, 1.0, 9.0, 10.0),
    (0.0, 1.0, -60.0, -40.0),
    (0.0, 1.0, 40.0, 60.0),
    (0.5, 100.0, 0.0, 1.0),
]
PAIRS = [
    (Uniform(-2.0, 5.0), stats.uniform(-2.0, 7.0)),
    (Uniform(1e10, 1.1e10), stats.uniform(1e10, 1e9)),
    (LogUniform(0.1, 100.0), stats.loguniform(0.1, 100.0)),
    (LogUniform(1e-30, 1e30), stats.loguniform(1e-30, 1e30)),
    *((TruncatedNormal(*n), truncated(*n)) for n in NORMALS),
]
NAMES = [str(prior) for prior, _ in PAIRS]


@pytest.mark.parametrize(("prior", "peer"), PAIRS, ids=NAMES)
def test_transform_is_the_inverse_cumulative(prior, peer):
    u = np.linspace(0.001, 0.999, 501)
    np.testing.assert_allclose(prior.transform(u), peer.ppf(u), rtol=1e-9)


@pytest.mark.parametrize(("prior", "peer"), PAIRS, ids=NAMES)
def test_log_density(prior, peer):
    x = prior.transform(np.linspace(0.01, 0.99, 99))
    np.testing.assert_allclose(prior.log_density(x), peer.logpdf(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("prior", "peer"), PAIRS, ids=NAMES)
def test_edges_of_the_cube_are_the_bounds(prior, peer):
    low, high = prior.transform(np.array([0.0, 1.0]))
    assert (low, high) == (pytest.approx(prior.lower), pytest.approx(prior.upper))
    assert prior.lower <= low
    assert high <= prior.upper


@pytest.mark.parametrize(("prior", "peer"), PAIRS, ids=NAMES)
def test_density_integrates_to_one_and_is_zero_outside(prior, peer):
    tails = special.expit(np.linspace(-30, 30, 121))
    edges = peer.ppf(np.sort([*np.linspace(0, 1, 101), *tails]))
    cells = itertools.pairwise(edges)
    total = sum(
        integrate.fixed_quad(lambda x: np.exp(prior.log_density(x)), a, b, n=20)[0]
        for a, b in cells
    )
    assert total == pytest.approx(1.0, abs=1e-4)
    width = prior.upper - prior.lower
    outside = np.array([prior.lower - 0.1 * width, prior.upper + 0.1 * width])
    assert prior.log_density(outside).tolist() == [-np.inf, -np.inf]


def test_prior_from_mapping():
    assert prior_from_mapping({"kind": "uniform", "lower": 1, "upper": 2}) == Uniform(1, 2)
    assert prior_from_mapping({"kind": "log_uniform", "lower": 1, "upper": 2}) == LogUniform(1, 2)
    normal = {"kind": "normal", "lower": 1, "upper": 2, "mean": 3, "sd": 4}
    assert prior_from_mapping(normal) == TruncatedNormal(3, 4, 1, 2)
    with pytest.raises(ValueError, match="'cauchy' is not one of uniform, log_uniform, normal"):
        prior_from_mapping({"kind": "cauchy", "lower": 1, "upper": 2})


@pytest.mark.parametrize("kind", ["uniform", "log_uniform", "normal"])
@pytest.mark.parametrize("upper", [1.0, 0.5])
def test_bounds_in_the_wrong_order(kind, upper):
    settings = {"kind": kind, "lower": 1.0, "upper": upper, "mean": 1.0, "sd": 1.0}
    with pytest.raises(ValueError, match=f"lower bound 1 must be below upper bound {upper:g}"):
        prior_from_mapping(settings)


def test_other_impossible_priors():
    with pytest.raises(ValueError, match="log_uniform needs positive bounds, not 0"):
        LogUniform(0.0, 1.0)
    with pytest.raises(ValueError, match="standard deviation 0 must be greater than zero"):
        TruncatedNormal(0.0, 0.0, 0.0, 1.0)


# Dirichlet and beta ------------------------------------------------------------------------

CONCENTRATIONS = [
    (1.0, 1.0),
    (2.0, 5.0),
    (0.5, 0.5),
    (1.0, 1.0, 1.0, 1.0),
    (1.0, 2.0, 3.0),
    (3.0, 1.0, 1.0),
    (5.0, 0.7, 1.0, 2.2, 1.0),
    (0.3, 0.1, 0.2),
    (1e-2, 1e-2),
    (1e-2, 2e-2, 5e-2),
    (1e3, 2e3, 3e3),
    (1e3, 1.0, 1e-2),
    tuple([1.0] * 20),
]


def cube(ndim, n=20_000):
    return np.random.default_rng(11).random((n, ndim))


@pytest.mark.parametrize("a", CONCENTRATIONS, ids=str)
def test_dirichlet_marginals(a):
    """Each fraction is Beta(a_j, sum of the others).

    Fractions within 1e-12 of an edge, which small concentrations have, are compared there:
    nearer to 1 they are not numbers of double precision.
    """
    prior = SimplexPrior(a)
    first = prior.transform(cube(prior.ndim))
    fractions = np.column_stack([first, 1 - first.sum(axis=1)])
    assert fractions.min() > -1e-12
    limit = 1.95 / np.sqrt(len(fractions))  # Kolmogorov's at p = 1e-3
    for j, alpha in enumerate(a):
        peer = stats.beta(alpha, sum(a) - alpha)
        x = np.sort(np.clip(fractions[:, j], 1e-12, 1 - 1e-12))
        x = np.concatenate([x, np.geomspace(1e-12, 0.5, 200), 1 - np.geomspace(1e-12, 0.5, 200)])
        x.sort()
        below = np.searchsorted(np.sort(fractions[:, j]), x, side="right") / len(fractions)
        assert np.max(np.abs(below - peer.cdf(x))) < limit


@pytest.mark.parametrize("a", CONCENTRATIONS, ids=str)
def test_dirichlet_covariance(a):
    """Cov(x_i, x_j) = (delta_ij m_i - m_i m_j) / (A + 1)."""
    prior = SimplexPrior(a)
    x = prior.transform(cube(prior.ndim))
    total = sum(a)
    m = np.array(a[:-1]) / total
    expected = (np.diag(m) - np.outer(m, m)) / (total + 1)
    error = np.sqrt(np.outer(np.diag(expected), np.diag(expected)) / len(x))
    np.testing.assert_array_less(
        np.abs(x.mean(axis=0) - m), 4.5 * np.sqrt(np.diag(expected) / len(x))
    )
    # Kurtosis of skewed marginals widens the error of a covariance.
    kurtosis = 3 + max(stats.beta(b, total - b).stats("k") for b in a)
    assert np.all(np.abs(np.cov(x.T) - expected) < 4.5 * np.sqrt(kurtosis) * error)


@pytest.mark.parametrize("a", [c for c in CONCENTRATIONS if min(c) > 0.2 and len(c) < 6], ids=str)
def test_density_times_jacobian_is_one(a):
    """ln p(x(u)) = -ln |dx/du|, the determinant by central differences."""
    prior = SimplexPrior(a)
    u = np.random.default_rng(3).uniform(0.1, 0.9, (50, prior.ndim))
    h = 1e-6
    slopes = [
        (prior.transform(u + h * e) - prior.transform(u - h * e)) / (2 * h)
        for e in np.eye(prior.ndim)
    ]
    _, log_determinant = np.linalg.slogdet(np.stack(slopes, axis=2))
    np.testing.assert_allclose(prior.log_density(prior.transform(u)), -log_determinant, atol=1e-4)


@pytest.mark.parametrize("a", CONCENTRATIONS, ids=str)
def test_dirichlet_density_agrees_with_scipy(a):
    x = np.random.default_rng(4).dirichlet(np.ones(len(a)), 20)
    expected = [stats.dirichlet.logpdf(row, a) for row in x]
    np.testing.assert_allclose(SimplexPrior(a).log_density(x[:, :-1]), expected, rtol=1e-9)


def test_dirichlet_density_integrates_to_one():
    prior = SimplexPrior((1.5, 2.0, 1.2))
    n = 1000
    middle = (np.arange(n) + 0.5) / n
    x, y = np.meshgrid(middle, middle)
    density = np.exp(prior.log_density(np.column_stack([x.ravel(), y.ravel()])))
    assert density.mean() == pytest.approx(1.0, abs=2e-3)


def test_density_outside_the_simplex():
    prior = SimplexPrior((2.0, 2.0, 2.0))
    outside = np.array([[0.7, 0.7], [-0.1, 0.5], [0.5, 1.2]])
    assert prior.log_density(outside).tolist() == [-np.inf] * 3


@pytest.mark.parametrize("a", CONCENTRATIONS, ids=str)
def test_corners_of_the_cube(a):
    prior = SimplexPrior(a)
    corners = np.array(list(itertools.islice(itertools.product([0.0, 1.0], repeat=prior.ndim), 64)))
    x = prior.transform(corners)
    assert np.all((x >= 0) & (x <= 1))
    assert np.all(x.sum(axis=1) <= 1 + 1e-12)


@given(
    a=st.lists(st.sampled_from([1e-2, 0.1, 0.5, 1.0, 2.0, 30.0, 1e3]), min_size=2, max_size=6),
    seed=st.integers(0, 1000),
)
def test_fractions_are_fractions(a, seed):
    prior = SimplexPrior(tuple(a))
    x = prior.transform(np.random.default_rng(seed).random((64, prior.ndim)))
    assert np.all((x >= 0) & (x <= 1))
    assert np.all(x.sum(axis=1) <= 1 + 1e-12)


def test_shares_near_one_keep_what_is_left():
    """With Beta(0.01, 0.02) a share of 1 - 1e-30 is common; the rest must not become zero."""
    prior = SimplexPrior((1e-2, 1e-2, 1e-2))
    x = prior.transform(np.array([[0.9, 0.9]]))
    left = stats.beta(2e-2, 1e-2).ppf(1 - 0.9)
    assert 0 < left < 1e-17
    assert x[0, 1] == pytest.approx(left * stats.beta(1e-2, 1e-2).ppf(0.9), rel=1e-6)


@pytest.mark.parametrize(("lower", "upper"), [(0.0, np.inf), (0.5, 3.0), (0.0, 0.9)])
def test_log_normal_is_scipys(lower, upper):
    prior = LogNormal(1.2, 0.15, lower, upper)
    free = stats.lognorm(0.15 * np.log(10), scale=1.2)
    low, high = free.cdf([lower, upper])
    u = np.linspace(0, 1, 41)[1:-1]
    np.testing.assert_allclose(prior.transform(u), free.ppf(low + u * (high - low)), rtol=1e-9)
    x = prior.transform(u)
    np.testing.assert_allclose(prior.log_density(x), free.logpdf(x) - np.log(high - low))
    outside = np.array([-1.0, 0.0, *([lower / 2] if lower else []), upper * 1.1])
    assert np.all(np.isneginf(prior.log_density(outside)))


@pytest.mark.parametrize("settings", [(0.0, 0.1), (1.0, 0.0), (1.0, 0.1, -1.0, 2.0)])
def test_log_normal_needs_positive_numbers(settings):
    with pytest.raises(ValueError, match="log_normal needs a positive median"):
        LogNormal(*settings)
