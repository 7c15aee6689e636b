"""What follows from limits: bands, physical values and evidences."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate
from tests.unit.diagnostics.test_limits import limits


def test_band_are_quantiles_of_the_simulations():
    band = limits(numbers=range(201)).band()
    np.testing.assert_allclose(band[:, 0, 0], [6.0, 33.0, 101.0, 169.0, 196.0])


def test_a_lifetime_is_inverse_to_the_factor():
    decay = replace(limits(), quantity="lifetime", amplitude=1e26, unit="s")
    np.testing.assert_allclose(decay.physical(np.array([0.5, 2.0])), [2e26, 5e25])
    np.testing.assert_allclose(limits().physical(np.array([2.0])), 4.4e-26)


def test_bayes_factor_is_the_ratio_of_evidences():
    log_bayes, error = limits().log_bayes()
    np.testing.assert_allclose(log_bayes, [[1.0, 2.0]])
    np.testing.assert_allclose(error, 0.5)


def test_evidence_of_a_free_mass_is_the_mean_over_its_prior():
    mass = np.geomspace(0.5, 8.0, 400)
    of_mass = -1e4 - 3 * np.log(mass / 2) ** 2
    whole = replace(
        limits(),
        mass=mass,
        log_evidence=np.stack([of_mass, of_mass + 2]),
        log_evidence_error=np.full((2, mass.size), 0.3),
    )
    found, error = whole.channel_log_evidence()
    mean = integrate.quad(lambda x: np.exp(-3 * x**2), np.log(0.25), np.log(4))[0] / np.log(16)
    np.testing.assert_allclose(found, -1e4 + np.log(mean) + np.array([0, 2]), atol=1e-5)
    np.testing.assert_allclose(error, 0.3)


def test_evidence_of_one_mass_is_its_own():
    one = replace(
        limits(),
        mass=np.ones(1),
        log_evidence=np.array([[5.0]]),
        log_evidence_error=np.array([[0.3]]),
    )
    assert one.channel_log_evidence()[0] == pytest.approx([5.0])
