"""Density profiles of dark-matter haloes and their J- and D-factors per solid angle.

dJ/dOmega(psi) = integral of rho^2 along the line of sight, dD/dOmega that of rho. With
b = D sin(psi) the closest approach to the centre and s = D cos(psi) + b sinh(u) the way along the
line, the radius is b cosh(u), so that nodes even in u are even in the log of the radius and the
cusp costs nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from skymix.axes import FloatArray

if TYPE_CHECKING:
    from scipy.interpolate import CubicHermiteSpline, CubicSpline

CM_PER_KPC = 3.0856775814913673e21

# The line of sight ends where an r^-3 density is 1e-9 of that at the Sun.
_REACH = 1e3
_PANELS = 24
_X, _W = np.polynomial.legendre.leggauss(12)

_SMALLEST = 1e-9  # rad; below it the J-factor goes on as a power law
# Nodes even in the log of the angle near the cusp, even in the angle where nothing is singular.
_PSI = np.concatenate([np.geomspace(_SMALLEST, 0.1, 700)[:-1], np.linspace(0.1, np.pi, 300)])


def einasto(x: FloatArray, alpha: float) -> FloatArray:
    """Density over that at the scale radius: exp(-2/alpha (x^alpha - 1)), x = r / r_s."""
    return np.exp(-2 / alpha * (x**alpha - 1))


def generalised_nfw(x: FloatArray, gamma: float) -> FloatArray:
    """Density in units of rho_s: x^-gamma (1 + x)^(gamma - 3); NFW for gamma 1."""
    return np.asarray(x**-gamma * (1 + x) ** (gamma - 3))


def burkert(x: FloatArray) -> FloatArray:
    """Density in units of the central one: 1 / ((1 + x) (1 + x^2))."""
    return np.asarray(1 / ((1 + x) * (1 + x**2)))


@dataclass(frozen=True, eq=False)
class Halo:
    """A spherical halo, normalised at the Sun.

    Parameters
    ----------
    shape : density as a function of r / r_s, in any unit
    scale_radius : r_s, kpc
    distance : of the Sun from the centre, kpc
    local_density : at the Sun, GeV cm-3
    """

    shape: Callable[[FloatArray], FloatArray]
    scale_radius: float
    distance: float
    local_density: float

    def density(self, radius: FloatArray) -> FloatArray:
        """Density in GeV cm-3 at a radius in kpc."""
        sun = self.shape(np.asarray(self.distance / self.scale_radius))
        return self.local_density * self.shape(radius / self.scale_radius) / sun

    def jfactor(self, psi: FloatArray) -> FloatArray:
        """dJ/dOmega at angles (n,) rad from the centre, GeV2 cm-5 sr-1."""
        return self.line_of_sight(psi, 2)

    def dfactor(self, psi: FloatArray) -> FloatArray:
        """dD/dOmega at angles (n,) rad from the centre, GeV cm-2 sr-1."""
        return self.line_of_sight(psi, 1)

    def line_of_sight(self, psi: FloatArray, power: int) -> FloatArray:
        """Integral of a power of the density along the line of sight, (GeV cm-3)^power cm.

        Parameters
        ----------
        psi : (n,) rad, greater than zero
        power : 2 for annihilation, 1 for decay
        """
        # A line of sight through the centre has no closest approach; this one misses it by 1e-12.
        psi = np.clip(psi, 1e-12, np.pi - 1e-12)
        approach = self.distance * np.sin(psi)
        sun = np.arcsinh(np.abs(np.cos(psi) / np.sin(psi)))
        end = np.arccosh(_REACH * max(self.distance, self.scale_radius) / approach)
        beyond = self._along(approach, sun, end, power)
        between = self._along(approach, np.zeros_like(sun), sun, power)
        toward = psi < np.pi / 2
        return np.asarray(CM_PER_KPC * (beyond + np.where(toward, 2 * between, 0.0)))

    def _along(
        self, approach: FloatArray, low: FloatArray, high: FloatArray, power: int
    ) -> FloatArray:
        """Integral of rho^power ds between two values of u, (n,) (GeV cm-3)^power kpc."""
        panel = (np.arange(_PANELS)[:, None] + 0.5 * (1 + _X)).ravel() / _PANELS
        weight = np.tile(0.5 * _W / _PANELS, _PANELS)
        u = low[:, None] + (high - low)[:, None] * panel
        radius = approach[:, None] * np.cosh(u)
        return np.asarray((self.density(radius) ** power * radius) @ weight * (high - low))


@dataclass(frozen=True, eq=False)
class JFactorTable:
    """J-factor, or with power 1 D-factor, by angle from the centre: a `RadialIntensity`.

    It is tabulated once. The logarithm of dJ/dOmega is a cubic spline in the logarithm of the
    angle, to some 1e-8; below 1e-9 rad it goes on as the power law that it has there.
    """

    halo: Halo
    power: int = 2

    @cached_property
    def _log_psi(self) -> FloatArray:
        return np.asarray(np.log(_PSI))

    @cached_property
    def _spline(self) -> "CubicSpline":
        from scipy.interpolate import CubicSpline

        return CubicSpline(self._log_psi, np.log(self.halo.line_of_sight(_PSI, self.power)))

    @cached_property
    def slope(self) -> float:
        """Power of the angle that dJ/dOmega falls with towards the centre."""
        return -float(self._spline(self._log_psi[0], 1))

    @cached_property
    def _cumulative(self) -> "CubicHermiteSpline":
        from scipy.interpolate import CubicHermiteSpline

        log_psi = self._log_psi
        step = np.diff(log_psi)
        at = log_psi[:-1, None] + 0.5 * step[:, None] * (1 + _X)
        content = (self._ring(at) @ (0.5 * _W)) * step
        first = self._ring(log_psi[:1]) / (2 - self.slope)
        total = np.cumsum(np.concatenate([first, content]))
        return CubicHermiteSpline(log_psi, np.log(total), self._ring(log_psi) / total)

    def _ring(self, log_psi: FloatArray) -> FloatArray:
        """J sin(psi) dpsi / dlog(psi)."""
        psi = np.exp(log_psi)
        return np.asarray(np.exp(self._spline(log_psi)) * np.sin(psi) * psi)

    def intensity(self, psi: FloatArray) -> FloatArray:
        """dJ/dOmega at angles in rad, GeV2 cm-5 sr-1."""
        return self._with_power_law(psi, self._spline, -self.slope)

    def cumulative(self, psi: FloatArray) -> FloatArray:
        """Integral of dJ/dOmega sin(psi) from 0 to angles in rad, GeV2 cm-5."""
        return self._with_power_law(psi, self._cumulative, 2 - self.slope)

    def _with_power_law(
        self, psi: FloatArray, spline: Callable[[FloatArray], FloatArray], power: float
    ) -> FloatArray:
        log_psi = np.log(psi)
        inside = np.clip(log_psi, self._log_psi[0], self._log_psi[-1])
        below = np.minimum(log_psi - self._log_psi[0], 0.0)
        return np.asarray(np.exp(spline(inside) + power * below))
