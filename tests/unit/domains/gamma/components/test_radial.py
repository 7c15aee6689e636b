"""Means over cells of round intensities, singular ones too."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skymix.axes import SkyGrid
from skymix.domains.gamma.components.radial import cell_means, radial_cell_means


@dataclass(frozen=True)
class Power:
    """I = psi^-power / (sin(psi) / psi)."""

    power: float

    def intensity(self, psi):
        return psi ** (1 - self.power) / np.sin(psi)

    def cumulative(self, psi):
        return psi ** (2 - self.power) / (2 - self.power)


class Uniform:
    def intensity(self, psi):
        return np.ones_like(psi)

    def cumulative(self, psi):
        return 2 * np.sin(psi / 2) ** 2


@pytest.mark.parametrize("within", [None, 400.0])
@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.31, -0.22), (7.0, 40.0)])
def test_uniform_intensity(within, centre):
    sky = SkyGrid.centred(4, 3, 0.5)
    assert_allclose(radial_cell_means(sky, *centre, Uniform(), within), 1, rtol=1e-10)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_one_over_psi_about_a_corner_or_inside_a_cell(n):
    # Flat: the integral of 1/r over a square of side 2h is 8 h asinh(1).
    h = 0.01
    sky = SkyGrid.centred(2 * h, 2 * h, 2 * h / n)
    content = np.sum(radial_cell_means(sky, 0, 0, Power(1.0)) * sky.solid_angle)
    assert_allclose(content, 8 * np.radians(h) * np.arcsinh(1), rtol=1e-7)


@pytest.mark.parametrize("power", [0.0, 1.0, 1.32, 1.8])
@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.013, -0.0201), (0.05, 0.0)])
def test_a_cell_holds_what_its_parts_hold(power, centre):
    sky = SkyGrid.centred(1, 1, 0.1)
    fine = sky.split(3)
    coarse = radial_cell_means(sky, *centre, Power(power))
    content = radial_cell_means(fine, *centre, Power(power)) * fine.solid_angle
    parts = content.reshape(10, 3, 10, 3).sum(axis=(1, 3)) / sky.solid_angle
    assert_allclose(parts, coarse, rtol=1e-8)


@settings(max_examples=30)
@given(lon=st.floats(-3, 3), lat=st.floats(-3, 3), power=st.floats(0, 1.9))
def test_boundary_and_quadrature_agree(lon, lat, power):
    sky = SkyGrid.centred(4, 4, 0.4)
    means = radial_cell_means(sky, lon, lat, Power(power))
    assert np.all(np.isfinite(means))
    assert np.all(means > 0)
    assert_allclose(radial_cell_means(sky, lon, lat, Power(power), 20.0), means, rtol=1e-7)


def test_cell_means_integrate_polynomials_and_keep_leading_axes():
    sky = SkyGrid(np.array([0.0, 2.0, 3.0]), np.array([-1.0, 1.0]))
    means = cell_means(sky, lambda lon, lat: np.stack([lon**3, np.sin(np.radians(lat)) ** 2]))
    assert means.shape == (2, 1, 2)
    assert_allclose(means[0, 0], [2**4 / 4 / 2, (3**4 - 2**4) / 4], rtol=1e-13)
    assert_allclose(means[1, 0], np.sin(np.radians(1)) ** 2 / 3, rtol=1e-13)
