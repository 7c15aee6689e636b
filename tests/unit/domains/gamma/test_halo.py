"""Density profiles and the line-of-sight integral."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.integrate import quad

from skymix.domains.gamma.halo import (
    CM_PER_KPC,
    Halo,
    JFactorTable,
    burkert,
    einasto,
    generalised_nfw,
)

SHAPES = {
    "einasto": lambda x: einasto(x, 0.17),
    "nfw": lambda x: generalised_nfw(x, 1.0),
    "steep": lambda x: generalised_nfw(x, 1.4),
    "moore": lambda x: generalised_nfw(x, 1.16),
    "burkert": burkert,
}


def halo(shape, scale_radius=20.0):
    return Halo(shape, scale_radius, distance=8.5, local_density=0.39)


@pytest.mark.parametrize("name", SHAPES)
def test_density_at_the_sun_is_the_local_density(name):
    assert_allclose(halo(SHAPES[name]).density(np.array([8.5])), 0.39, rtol=1e-14)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("degrees", [0.01, 1.0, 40.0, 90.0, 150.0])
def test_jfactor_is_the_integral_along_the_line_of_sight(name, degrees):
    galaxy, psi = halo(SHAPES[name]), np.radians(degrees)

    # Way along the line of sight from the point closest to the centre.
    closest, approach = 8.5 * np.cos(psi), 8.5 * np.sin(psi)

    def density_squared(way):
        return float(galaxy.density(np.asarray(np.hypot(way, approach))) ** 2)

    steps = np.geomspace(0.1 * approach, 1e4, 80)
    places = np.unique(np.concatenate([-steps, [0.0], steps, [-closest]]))
    places = places[places >= -closest]
    pieces = pairwise(places)
    expected = sum(quad(density_squared, a, b, epsabs=0, epsrel=1e-9)[0] for a, b in pieces)
    assert_allclose(galaxy.jfactor(np.array([psi])), expected * CM_PER_KPC, rtol=1e-7)


def test_dfactor_of_a_profile_with_a_closed_form():
    # rho = 1 / (1 + x^2): the integral of rho along a line is an arctangent.
    core, distance, psi = 3.0, 8.5, np.radians([0.1, 5.0, 60.0, 120.0, 179.0])
    galaxy = Halo(lambda x: 1 / (1 + x**2), core, distance, 0.4)
    width = np.sqrt(core**2 + (distance * np.sin(psi)) ** 2)
    way = (np.pi / 2 + np.arctan(distance * np.cos(psi) / width)) / width
    expected = 0.4 * (1 + (distance / core) ** 2) * core**2 * way * CM_PER_KPC
    # The line of sight ends at a thousand scale lengths, where this slow profile has 1e-3 left.
    assert_allclose(galaxy.dfactor(psi), expected, rtol=2e-3)
    assert_allclose(JFactorTable(galaxy, 1).intensity(psi), galaxy.dfactor(psi), rtol=1e-7)


def test_jfactor_of_a_profile_with_a_closed_form():
    # rho = 1 / (1 + x^2): the integral of rho^2 along a line is elementary.
    core, distance, psi = 3.0, 8.5, np.radians([0.1, 5.0, 60.0, 120.0, 179.0])
    galaxy = Halo(lambda x: 1 / (1 + x**2), core, distance, 0.4)
    width = np.sqrt(core**2 + (distance * np.sin(psi)) ** 2)
    start = -distance * np.cos(psi)
    whole = np.pi / (4 * width**3)
    part = start / (2 * width**2 * (width**2 + start**2)) + np.arctan(start / width) / (
        2 * width**3
    )
    central = 0.4 * (1 + (distance / core) ** 2)
    expected = central**2 * core**4 * (whole - part) * CM_PER_KPC
    # The line of sight ends at a thousand scale lengths, where this profile has 1e-9 left.
    assert_allclose(galaxy.jfactor(psi), expected, rtol=1e-7)


@pytest.mark.parametrize("name", SHAPES)
def test_table_follows_the_integral(name):
    galaxy = halo(SHAPES[name])
    psi = np.radians([2e-7, 1e-4, 0.03, 1.1, 33.0, 91.0, 137.0, 179.9])
    assert_allclose(JFactorTable(galaxy).intensity(psi), galaxy.jfactor(psi), rtol=2e-8)


@pytest.mark.parametrize(("name", "slope"), [("nfw", 1.0), ("moore", 1.32), ("steep", 1.8)])
def test_content_is_finite_and_goes_on_as_a_power_law_at_the_centre(name, slope):
    table = JFactorTable(halo(SHAPES[name]))
    psi = np.array([1e-13, 1e-11])
    assert_allclose(np.diff(np.log(table.cumulative(psi))) / np.log(100), 2 - slope, rtol=1e-6)
    assert_allclose(np.diff(np.log(table.intensity(psi))) / np.log(100), -slope, rtol=1e-6)


@pytest.mark.parametrize("name", SHAPES)
def test_content_of_a_ring(name):
    galaxy = halo(SHAPES[name])
    table = JFactorTable(galaxy)
    low, high = np.radians([0.5, 25.0])

    def ring(log_psi):
        psi = np.exp(log_psi)
        return float(galaxy.jfactor(np.array([psi]))[0] * np.sin(psi) * psi)

    expected = quad(ring, np.log(low), np.log(high), epsrel=1e-10)[0]
    content = np.diff(table.cumulative(np.array([low, high])))
    assert_allclose(content, expected, rtol=1e-8)


@settings(max_examples=25)
@given(gamma=st.floats(0.05, 1.45), scale_radius=st.floats(2, 60))
def test_jfactor_is_positive_and_falls_with_the_angle(gamma, scale_radius):
    galaxy = halo(lambda x: generalised_nfw(x, gamma), scale_radius)
    jfactor = galaxy.jfactor(np.geomspace(1e-8, np.pi, 50))
    assert np.all(np.isfinite(jfactor))
    assert np.all(jfactor > 0)
    # In the innermost core two values may agree to rounding.
    assert np.all(np.diff(jfactor) <= 1e-13 * jfactor[:-1])


@settings(max_examples=25)
@given(alpha=st.floats(0.05, 2.0), scale_radius=st.floats(2, 60))
def test_einasto_table_is_finite(alpha, scale_radius):
    table = JFactorTable(halo(lambda x: einasto(x, alpha), scale_radius))
    psi = np.geomspace(1e-12, np.pi, 40)
    assert np.all(np.isfinite(table.intensity(psi)))
    assert np.all(np.diff(table.cumulative(psi)) >= 0)
