"""Evidences with known answers: Gaussian shells, a Gaussian in a box, a mixture by quadrature."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import integrate, special, stats

from skymix.mixture import LeafTable, ParameterAxis, TabulatedMixture, Tree, prior_from_mapping
from skymix.sampling import sample_nested

SEEDS = range(4)


@dataclass(frozen=True)
class Shells:
    """Two Gaussian shells in the square -6 ... 6 (Feroz, Hobson and Bridges 2009)."""

    names = ("x", "y")
    labels = names
    centres = ((-3.5, 0.0), (3.5, 0.0))
    radius, width = 2.0, 0.1

    def prior_transform(self, u):
        return 12 * u - 6

    def log_likelihood(self, theta):
        parts = [
            -0.5 * ((np.hypot(*(theta - c).T) - self.radius) / self.width) ** 2
            - np.log(self.width * np.sqrt(2 * np.pi))
            for c in self.centres
        ]
        return np.logaddexp(*parts)

    def log_evidence(self) -> float:
        """Both shells lie in the square: their rings integrate in the radius alone."""
        ring, _ = integrate.quad(
            lambda r: r * np.exp(-0.5 * ((r - self.radius) / self.width) ** 2), 0, 6
        )
        return float(np.log(2 * 2 * np.pi * ring / (self.width * np.sqrt(2 * np.pi)) / 144))


@dataclass(frozen=True)
class Gaussian:
    """Correlated normal density of five dimensions in a box that holds it."""

    names = tuple("abcde")
    labels = names

    def prior_transform(self, u):
        return 20 * u - 10

    def log_likelihood(self, theta):
        covariance = 0.5 * np.eye(5) + 0.5
        chi2 = np.einsum("ni,ij,nj->n", theta, np.linalg.inv(covariance), theta)
        return -0.5 * (chi2 + np.linalg.slogdet(2 * np.pi * covariance)[1])

    def log_evidence(self) -> float:
        return -5 * np.log(20)


def two_densities(n: int = 300, shift: float | None = None) -> TabulatedMixture:
    """Normal signal, of known or of scanned centre, over a flat background."""
    rng = np.random.default_rng(8)
    x = np.concatenate([rng.normal(0.4, 0.5, n // 4), rng.uniform(-3, 3, n - n // 4)])
    nodes = np.linspace(-2, 2, 81) if shift is None else np.array([shift])
    signal = np.exp(-0.5 * ((x - nodes[:, None]) / 0.5) ** 2) / (0.5 * np.sqrt(2 * np.pi))
    axes = (ParameterAxis("centre", nodes, "linear"),) if shift is None else ()
    return TabulatedMixture(
        Tree.from_mapping({"children": {"signal": None, "background": None}}),
        [LeafTable("signal", signal, axes), LeafTable("background", np.full((1, n), 1 / 6))],
        np.ones(n),
        {"centre": prior_from_mapping({"kind": "uniform", "lower": -2, "upper": 2})},
    )


def log_mean(log_values, weights) -> float:
    """ln of a weighted sum of exponentials."""
    return float(special.logsumexp(log_values, b=weights))


def evidence_of_known_densities(mixture: TabulatedMixture) -> float:
    x, w = np.polynomial.legendre.leggauss(400)
    return log_mean(mixture.log_likelihood(0.5 * (x[:, None] + 1)), 0.5 * w)


def evidence_of_scanned_centre(mixture: TabulatedMixture) -> float:
    x, w = np.polynomial.legendre.leggauss(200)
    # Interpolation is linear between the 81 nodes: four Gauss points in each of the 80 pieces.
    y, v = np.polynomial.legendre.leggauss(4)
    centre = (-2 + 0.05 * (np.arange(80)[:, None] + 0.5 * (y + 1))).ravel()
    mesh = np.stack(np.meshgrid(0.5 * (x + 1), centre, indexing="ij"), axis=-1).reshape(-1, 2)
    weight = np.outer(0.5 * w, np.tile(0.025 * v, 80) / 4).ravel()
    return log_mean(mixture.log_likelihood(mesh), weight)


CASES = {
    "shells, ellipsoids": (Shells(), Shells().log_evidence(), "multi", "unif"),
    "shells, walk": (Shells(), Shells().log_evidence(), "multi", "rwalk"),
    "shells, slices": (Shells(), Shells().log_evidence(), "multi", "rslice"),
    "gaussian, one ellipsoid": (Gaussian(), Gaussian().log_evidence(), "single", "unif"),
    "gaussian, walk": (Gaussian(), Gaussian().log_evidence(), "single", "rwalk"),
    "gaussian, slices": (Gaussian(), Gaussian().log_evidence(), "single", "rslice"),
}


@pytest.mark.parametrize("case", CASES)
def test_analytic_evidence(case) -> None:
    problem, expected, bound, sample = CASES[case]
    check(problem, expected, bound, sample)


def test_mixture_of_two_known_densities() -> None:
    mixture = two_densities(shift=0.4)
    check(mixture, evidence_of_known_densities(mixture), "single", "auto")


def test_mixture_with_a_scanned_parameter() -> None:
    mixture = two_densities()
    check(mixture, evidence_of_scanned_centre(mixture), "single", "auto")


def check(problem, expected: float, bound: str, sample: str) -> None:
    """Every seed within three errors, and their mean within two errors of a mean."""
    runs = [sample_nested(problem, 400, 0.02, bound, sample, seed) for seed in SEEDS]
    pulls = np.array([(r.log_evidence - expected) / r.log_evidence_error for r in runs])
    assert np.all(np.abs(pulls) < 3), pulls
    assert abs(pulls.mean()) < 2 / np.sqrt(len(pulls)) + 0.5, pulls


def test_reported_error_is_the_scatter_over_seeds() -> None:
    """With much of the evidence in the last live points, which leave one by one."""
    mixture, seeds = two_densities(), 24
    runs = [sample_nested(mixture, 100, 0.8, "single", "unif", seed) for seed in range(seeds)]
    errors = np.array([run.log_evidence_error for run in runs])
    expected = np.sqrt(np.mean([run.information for run in runs]) / 100)
    assert errors.mean() == pytest.approx(expected, rel=0.1)
    scatter = np.var([run.log_evidence for run in runs], ddof=1)
    low, high = stats.chi2(seeds - 1).ppf([1e-3, 1 - 1e-3]) / (seeds - 1)
    assert low < scatter / (errors**2).mean() < high


def test_posterior_of_the_mixture_is_that_of_the_quadrature() -> None:
    mixture = two_densities(shift=0.4)
    x, w = np.polynomial.legendre.leggauss(400)
    fraction = 0.5 * (x + 1)
    weight = w * np.exp(mixture.log_likelihood(fraction[:, None]))
    weight /= weight.sum()
    mean = float(weight @ fraction)
    sd = float(np.sqrt(weight @ (fraction - mean) ** 2))
    run = sample_nested(mixture, 1000, 0.02, "single", "auto", 3)
    draws = run.samples[run.equal_weight_draws(np.random.default_rng(0)), 0]
    error = sd / np.sqrt(run.effective_size)
    assert abs(draws.mean() - mean) < 4 * error
    assert draws.std() == pytest.approx(sd, rel=0.1)


def test_same_seed_gives_the_same_run_to_the_last_bit() -> None:
    mixture = two_densities()
    first, again, other = (
        sample_nested(mixture, 100, 0.5, "multi", "auto", seed) for seed in (7, 7, 8)
    )
    assert first.log_evidence == again.log_evidence
    assert np.array_equal(first.samples, again.samples)
    assert first.log_evidence != other.log_evidence
