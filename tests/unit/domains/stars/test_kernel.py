"""Densities of stars against scipy."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import special, stats

from skymix.domains.stars import kernel

ROOT = Path(__file__).resolve().parents[4]


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


def log_sum(values, errors, weight, mean, covariance, constant, writable=True):
    """Log likelihood of each point of normal components and a constant one."""
    (nstar, ndim), (npoint, ncomponent) = values.shape, weight.shape
    lower = np.tril_indices(ndim)
    columns = np.concatenate([values, errors[:, *lower]], axis=1).T
    factors = np.array([(k, 0, ndim) for k in range(ncomponent)])
    weight = weight * (2 * np.pi) ** (-ndim / 2)
    shape = np.zeros((npoint, ncomponent, kernel.SLOTS))
    shape[:, :, :ndim] = mean
    shape[:, :, 3 : 3 + len(lower[0])] = covariance[:, :, *lower]
    tiles, value = kernel.tiles_of(columns[:, kernel.filled_up(nstar)]), np.zeros(npoint)
    tiles.flags.writeable = writable
    kernel.log_sum(
        tiles, nstar, factors, np.full(ncomponent + 1, -1),
        np.concatenate([weight, np.full((npoint, 1), constant)], axis=1), shape,
        np.empty((npoint, 0, len(tiles), 0)), value, np.empty((0, ncomponent + 1)),
        np.empty((0, ncomponent, kernel.SLOTS)), np.empty((0, 0, len(tiles), 0)),
    )  # fmt: skip
    return value


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
    found = log_sum(values, errors, weight, mean, covariance, constant)
    points = zip(weight, mean, covariance, strict=True)
    expected = [peer(values, errors, *point, constant).sum() for point in points]
    assert found == pytest.approx(expected, rel=1e-11)


def test_component_without_weight_does_not_count():
    rng = np.random.default_rng(1)
    values, errors = stars(40, 2, rng)
    near, far = np.zeros(2), np.full(2, 1e4)
    mean, covariance = np.array([[near, far]]), np.tile(0.01 * np.eye(2), (1, 2, 1, 1))
    for weight, expected in (([0.0, 1.0], far), ([1.0, 0.0], near)):
        found = log_sum(values, errors, np.array([weight]), mean, covariance, 0.0)
        own = peer(values, errors, [1.0], [expected], covariance[0, :1], 0.0)
        assert found == pytest.approx([own.sum()], rel=1e-11)


def test_no_density_is_minus_infinity_and_a_negative_variance_no_number():
    rng = np.random.default_rng(1)
    values, errors = stars(40, 1, rng)
    mean = np.zeros((1, 1, 1))
    assert log_sum(values, errors, np.zeros((1, 1)), mean, np.ones((1, 1, 1, 1)), 0.0) == -np.inf
    bad = log_sum(values, errors, np.ones((1, 1)), mean, np.full((1, 1, 1, 1), -50.0), 0.0)
    assert np.isnan(bad)


DIGEST = """
import hashlib
import numpy as np
from skymix.domains.stars import kernel
from tests.unit.domains.stars import test_kernel as tests

rng = np.random.default_rng(2)
values, errors = tests.stars(300, 2, rng)
points = rng.dirichlet(np.ones(3), 500), rng.normal(size=(500, 3, 2)), np.full((500, 3, 2, 2), 0.1)
digest = hashlib.sha256()
for writable in (True, False):
    digest.update(tests.log_sum(values, errors, *points, 0.01, writable))
print(digest.hexdigest(), sum(kernel.log_sum.stats.cache_misses.values()))
"""


@pytest.mark.slow
def test_compiled_and_kept_code_give_the_same_bits(tmp_path):
    def run():
        command = [sys.executable, "-c", DIGEST]
        env = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, check=True, timeout=300
        )
        digest, compiled = done.stdout.split()
        return digest, int(compiled)

    digest, compiled = run()
    assert compiled == 2
    assert run() == (digest, 0)
