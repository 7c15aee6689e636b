"""Densities of stars against scipy."""

import numpy as np
import pytest
from scipy import special, stats

from skymix.domains.stars.kernel import log_likelihood, tiles_of


def stars(nstar, ndim, rng):
    factor = rng.normal(size=(nstar, ndim, ndim)) * 0.3
    return rng.normal(size=(nstar, ndim)) * 3, factor @ factor.swapaxes(1, 2) + 0.01 * np.eye(ndim)


def peer(values, errors, weight, mean, covariance, constant):
    """Log densities of all stars for one point."""
    terms = [np.full(len(values), np.log(constant))] if constant else []
    for w, m, s in zip(weight, mean, covariance, strict=True):
        pairs = zip(values, errors, strict=True)
        own = [stats.multivariate_normal(m, c + s).logpdf(x) for x, c in pairs]
        terms.append(np.log(w) + np.array(own))
    return special.logsumexp(terms, axis=0)


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("nstar", [3, 512, 700])
@pytest.mark.parametrize(("spread", "constant"), [(1.0, 0.02), (1.0, 0.0), (0.001, 0.0)])
def test_density_is_that_of_scipy(ndim, nstar, spread, constant):
    rng = np.random.default_rng(ndim + nstar)
    values, errors = stars(nstar, ndim, rng)
    if spread < 1:  # so far away that every density is below the smallest number
        values, errors = values * 40, errors * spread
    npoint, ncomponent = 3, 2
    weight = rng.dirichlet(np.ones(ncomponent), npoint)
    mean = rng.normal(size=(npoint, ncomponent, ndim))
    factor = rng.normal(size=(npoint, ncomponent, ndim, ndim)) * spread
    covariance = factor @ factor.swapaxes(2, 3) + 0.01 * spread * np.eye(ndim)
    found = log_likelihood(
        *tiles_of(values, errors), weight, mean, covariance, np.full(npoint, constant)
    )
    points = zip(weight, mean, covariance, strict=True)
    expected = [peer(values, errors, *point, constant).sum() for point in points]
    assert found == pytest.approx(expected, rel=1e-11)
