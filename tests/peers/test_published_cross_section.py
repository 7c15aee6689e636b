"""Why 1e5 events are 1.4 to 2.1e-25 cm3/s in print (arXiv 2401.13876) and a fifth of that here.

525 h at the Galactic Centre with the tutorial's own spectrum and exposure; only the J-factor
differs.
"""

import numpy as np
import pytest
from tests.gammabayes import read_reference

from skymix.domains.gamma.halo import CM_PER_KPC, Halo, einasto

pytestmark = pytest.mark.peers

PER_SQUARE_DEGREE = np.radians(1.0) ** 2
PUBLISHED = (1.4e-25, 2.1e-25)  # cm3 s-1, 95 %


@pytest.fixture(scope="module")
def reference(gammabayes_reference):
    return read_reference(gammabayes_reference)


@pytest.fixture(scope="module")
def angle(reference):
    """Angles of the pixels from the centre, (lon, lat) rad."""
    lon, lat = np.radians(reference["axes/true_lon"]), np.radians(reference["axes/true_lat"])
    return np.arccos(np.cos(lon)[:, None] * np.cos(lat))


def halo(scale_radius=20.0, distance=8.5, local_density=0.39):
    return Halo(lambda x: einasto(x, 0.17), scale_radius, distance, local_density)


def map_of(own, angle):
    """dJ/dOmega in TeV2 cm-5 deg-2."""
    return own.jfactor(angle.ravel()).reshape(angle.shape) * PER_SQUARE_DEGREE / 1e6


def radial_map(own, angle):
    """Integral of the squared density over the radius, D tan(angle) to D, in place of J."""
    radius = np.geomspace(1e-4, own.distance, 4000)
    step = np.diff(np.log(radius))
    height = own.density(radius) ** 2 * radius
    inner = np.concatenate([[0.0], np.cumsum(0.5 * (height[1:] + height[:-1]) * step)])
    low = np.maximum(np.tan(angle) * own.distance, radius[0])
    outside = inner[-1] - np.interp(np.log(low), np.log(radius), inner)
    return outside * CM_PER_KPC * PER_SQUARE_DEGREE / 1e6


def cross_section(reference, jfactor):
    """Cross-section in cm3 s-1 that makes 1e5 events of 1 TeV in 525 h."""
    masses, energy = reference["axes/mass"], reference["axes/true_energy"]
    lon, lat = reference["axes/true_lon"], reference["axes/true_lat"]
    seen = (jfactor * np.exp(reference["irf/log_exposure_true"])).sum(axis=(1, 2))
    seen *= (lon[1] - lon[0]) * (lat[1] - lat[0]) * 525 / 5
    spectrum = np.exp(reference["priors/DM/log_spectrum"])
    per_unit = np.trapezoid((seen * energy)[:, None] * spectrum, np.log(energy), axis=0)
    found = 8 * np.pi * masses**2 * 1e5 / per_unit
    return float(np.exp(np.interp(0.0, np.log(masses), np.log(found))))


def test_tutorial_has_the_halo_of_gammapy(reference, angle):
    """0.3 GeV cm-3 at 8.33 kpc, scale radius 28.44 kpc; its line of sight ends a little early."""
    found = np.exp(reference["priors/DM/log_dJdOmega"])
    of_gammapy = map_of(halo(28.44, 8.33, 0.3), angle)
    np.testing.assert_allclose(found, of_gammapy, rtol=0.06)
    assert cross_section(reference, found) == pytest.approx(1.0e-25, rel=0.02)
    assert of_gammapy.sum() / map_of(halo(), angle).sum() == pytest.approx(0.35, abs=0.01)


def test_published_cross_section_is_that_of_a_radial_integral(reference, angle):
    ours = cross_section(reference, map_of(halo(), angle))
    wider = cross_section(reference, map_of(halo(28.44), angle))
    radial = cross_section(reference, radial_map(halo(28.44), angle))
    assert ours == pytest.approx(3.4e-26, rel=0.02)
    assert wider == pytest.approx(5.6e-26, rel=0.02)
    assert radial == pytest.approx(1.77e-25, rel=0.02)
    assert PUBLISHED[0] < radial < PUBLISHED[1]
    assert wider < PUBLISHED[0]
