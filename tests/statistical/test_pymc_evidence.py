"""Evidence of PyMC models whose evidence is known."""

import numpy as np
import pytest
from scipy import special, stats

from skymix.sampling import sample_nested
from skymix.sampling.pymc_import import import_pymc
from skymix.sampling.pymc_problem import problem_from_pymc

pm = import_pymc()


def evidence(model):
    run = sample_nested(problem_from_pymc(model), 400, 0.01, "single", "unif", 3)
    return run.log_evidence, run.log_evidence_error


def test_normal_mean_with_hierarchical_prior():
    # The mean's prior is normal about a normal centre: both integrate to one wider normal.
    y = np.array([1.3, 0.2, 2.1, 0.9])
    with pm.Model() as model:
        centre = pm.Normal("centre", 0, 1.5)
        mean = pm.Normal("mean", centre, 2)
        pm.Normal("y", mean, 0.7, observed=y)
    covariance = 0.7**2 * np.eye(4) + (1.5**2 + 2**2)
    expected = stats.multivariate_normal(np.zeros(4), covariance).logpdf(y)
    value, error = evidence(model)
    assert abs(value - expected) < 4 * error
    assert error < 0.2


def test_dirichlet_multinomial():
    counts, a = np.array([5, 2, 9]), np.array([1.0, 0.5, 2.0])
    with pm.Model() as model:
        w = pm.Dirichlet("w", a)
        pm.Multinomial("y", counts.sum(), w, observed=counts)
    expected = stats.dirichlet_multinomial(a, counts.sum()).logpmf(counts)
    value, error = evidence(model)
    assert abs(value - expected) < 4 * error


def test_beta_binomial_as_a_potential():
    with pm.Model() as model:
        p = pm.Beta("p", 2, 3)
        pm.Potential("y", 7 * pm.math.log(p) + 4 * pm.math.log(1 - p))
    expected = special.betaln(9, 7) - special.betaln(2, 3)
    value, error = evidence(model)
    assert value == pytest.approx(expected, abs=4 * error)
