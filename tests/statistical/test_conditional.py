"""Importance sampling at fixed parameters: evidence and quantiles against quadrature."""

import numpy as np
import pytest
from scipy import integrate, stats

from skymix.errors import SkymixError
from skymix.mixture import Data, LeafTable, RateMixture, Tree
from skymix.mixture.priors import Uniform
from skymix.sampling import check_evidence
from skymix.sampling.conditional import sample_conditional

OFF, RATIO = 500, 10.0  # counts off the source, and their exposure over that of the source
SIGNAL, BACKGROUND = 200.0, 300.0  # upper bounds of the priors


class OnOff:
    """Counts on and off a source; a third parameter scales the signal."""

    names = labels = ("signal", "background", "efficiency")

    def __init__(self, on):
        self.on = on

    def prior_transform(self, u):
        return u * [SIGNAL, BACKGROUND, 1.0]

    def log_likelihood(self, theta):
        signal, background, efficiency = theta.T
        on = stats.poisson.logpmf(self.on, efficiency * signal + background)
        return on + stats.poisson.logpmf(OFF, RATIO * background)


class Correlated:
    """Independent normal priors and a correlated normal likelihood in many dimensions."""

    def __init__(self, ndim):
        self.names = self.labels = tuple(f"x{j}" for j in range(ndim))
        rng = np.random.default_rng(ndim)
        root = rng.normal(size=(ndim, ndim)) / np.sqrt(ndim)
        self.covariance = 0.02 * (root @ root.T + 0.1 * np.eye(ndim))
        self.data = 0.3 * rng.normal(size=ndim)

    def prior_transform(self, u):
        return stats.norm.ppf(u)

    def log_likelihood(self, theta):
        shift = theta - self.data
        solved = np.linalg.solve(self.covariance, shift.T).T
        norm = np.linalg.slogdet(2 * np.pi * self.covariance)[1]
        return -0.5 * (shift * solved).sum(axis=1) - 0.5 * norm

    def log_evidence(self):
        total = self.covariance + np.eye(len(self.names))
        return stats.multivariate_normal(cov=total).logpdf(self.data)


def quadrature(on, efficiency):
    """Log evidence and 95 % quantile of the signal by direct integration."""
    signal, background = np.linspace(0, SIGNAL, 2001), np.linspace(20, 90, 1401)
    s, b = np.meshgrid(signal, background, indexing="ij")
    likelihood = stats.poisson.pmf(on, efficiency * s + b) * stats.poisson.pmf(OFF, RATIO * b)
    density = integrate.trapezoid(likelihood, background)
    below = integrate.cumulative_trapezoid(density, signal, initial=0)
    log_evidence = np.log(below[-1] / SIGNAL / BACKGROUND)
    return log_evidence, np.interp(0.95, below / below[-1], signal)


@pytest.mark.parametrize(("on", "efficiency"), [(35, 1.0), (50, 0.6), (80, 1.0)])
def test_signal_at_and_off_its_bound(on, efficiency):
    run, _ = sample_conditional(OnOff(on), {"efficiency": efficiency}, 20_000, 1)
    log_evidence, limit = quadrature(on, efficiency)
    order = np.argsort(run.samples[:, 0])
    below = np.cumsum(np.exp(run.log_weight)[order])
    np.testing.assert_allclose(run.samples[:, 2], efficiency)
    assert abs(run.log_evidence - log_evidence) < 4 * run.log_evidence_error + 0.002
    assert np.interp(0.95, below, run.samples[order, 0]) == pytest.approx(limit, rel=0.02)


@pytest.mark.parametrize("ndim", [1, 4, 12, 30])
def test_many_correlated_parameters(ndim):
    problem = Correlated(ndim)
    run, _ = sample_conditional(problem, {}, 20_000, 2)
    assert abs(run.log_evidence - problem.log_evidence()) < 4 * run.log_evidence_error
    assert run.log_evidence_error < 0.05


def test_start_at_the_peak_of_a_neighbour_changes_no_result():
    first, peak = sample_conditional(OnOff(60), {"efficiency": 1.0}, 20_000, 3)
    again, _ = sample_conditional(OnOff(60), {"efficiency": 1.0}, 20_000, 4, peak)
    assert abs(first.log_evidence - again.log_evidence) < 0.03


def test_same_seed_same_result():
    runs = [sample_conditional(OnOff(40), {"efficiency": 0.5}, 4000, 5)[0] for _ in range(2)]
    assert runs[0].log_evidence == runs[1].log_evidence


@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        ({"mass": 1.0}, "no parameter mass"),
        ({"signal": 1.0, "background": 2.0, "efficiency": 1.0}, "nothing to sample"),
    ],
)
def test_refuses(fixed, message):
    with pytest.raises(SkymixError, match=message):
        sample_conditional(OnOff(40), fixed, 1000, 0)


class Nowhere(Correlated):
    def log_likelihood(self, theta):
        return np.full(theta.shape[0], -np.inf)


def test_refuses_a_likelihood_of_zero():
    with pytest.raises(SkymixError, match="likelihood is zero"):
        sample_conditional(Nowhere(2), {}, 1000, 0)


def test_refuses_few_effective_draws():
    with pytest.raises(SkymixError, match="are worth"):
        sample_conditional(OnOff(40), {"efficiency": 1.0}, 400, 0)


@pytest.mark.parametrize("counts", [[90.0, 180.0], [3.0, 5.0]])
def test_second_evidence_of_an_extended_likelihood(counts):
    """A source over a background in two data sets: against quadrature."""
    rng = np.random.default_rng(4)
    dataset = np.repeat([0, 1], [60, 100])
    x = np.where(rng.random(160) < 0.3, rng.normal(0, 1, 160), rng.uniform(-10, 10, 160))
    expected = {"line": np.array(counts)[:, None], "flat": np.array([[40.0], [70.0]])}
    share = {name: mu / mu.sum() for name, mu in expected.items()}
    density = {"line": stats.norm(0, 1).pdf(x), "flat": np.full(160, 0.05)}
    mixture = RateMixture(
        Tree.from_mapping({"children": {"line": None, "flat": None}}),
        [LeafTable(k, p * share[k][dataset].T, ()) for k, p in density.items()],
        expected,
        Data(np.ones(160), dataset),
        {"line": Uniform(0.0, 20.0), "flat": Uniform(0.5, 2.0)},
        [],
        {},
    )
    line, flat = np.linspace(0, 20, 4001), np.linspace(0.5, 2, 151)
    theta = np.stack(np.meshgrid(line, flat, indexing="ij"), axis=-1).reshape(-1, 2)
    value = mixture.log_likelihood(theta).reshape(4001, 151)
    height = integrate.trapezoid(np.exp(value - value.max()), flat)
    log_evidence = np.log(integrate.trapezoid(height, line) / (20 * 1.5)) + value.max()
    found = check_evidence(mixture, 1)
    assert set(found) == {"laplace_logz", "laplace_logzerr", "laplace_effective_size"}
    assert abs(found["laplace_logz"] - log_evidence) < 4 * found["laplace_logzerr"]
