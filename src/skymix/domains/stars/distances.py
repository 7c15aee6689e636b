"""Densities of parallaxes, each star's true distance integrated out.

Exponentially decreasing space density (Bailer-Jones 2015, PASP 127, 994):

    p(w_i | L) = int_0^inf r^2 / (2 L^3) exp(-r / L) N(w_i | 1 / r, s_i^2) dr,

distances in kpc and parallaxes in mas. What does not depend on L is computed once, at nodes that
follow each star: where the parallax is well measured they span its value +- 9 errors, else they go
on to many times the largest L.
"""

from dataclasses import dataclass

import numpy as np

from skymix.axes import FloatArray
from skymix.mixture import Prior
from skymix.store import Catalogue

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(10)
_PANELS = 12
_ERRORS = 9.0  # on either side of a parallax
_LENGTHS = 60.0  # exp(-60) is nothing


@dataclass(frozen=True)
class SpaceDensity:
    """Stars whose space density falls exponentially with distance.

    Parameters
    ----------
    coordinate : name of the parallax, in mas
    length : prior of the scale length L, kpc; the mean distance is 3 L
    longest : largest L, kpc
    """

    coordinate: str
    length: Prior
    longest: float

    @property
    def coordinates(self) -> tuple[str, ...]:
        """The parallax."""
        return (self.coordinate,)

    @property
    def parameters(self) -> dict[str, Prior]:
        """Priors by name."""
        return {"length": self.length}

    def at(self, stars: Catalogue) -> "DistancesOut":
        """Log density at these stars, mas-1, as a function of the parameter."""
        values, covariance = stars.measured(self.coordinates)
        return DistancesOut(*nodes(values[:, 0], covariance[:, 0, 0] ** 0.5, self.longest))


def nodes(
    parallax: FloatArray, error: FloatArray, longest: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Distances of each star's nodes, weights that hold r^2 and the error, and the nearest node.

    Parameters
    ----------
    parallax, error : (nstar,) mas
    longest : largest scale length, kpc

    Returns
    -------
    distances beyond the nearest one (nstar, nnode), weights (nstar, nnode), nearest (nstar,)
    """
    far = _LENGTHS * longest
    near = 1 / np.maximum(parallax + _ERRORS * error, 2 / far)
    end = 1 / np.maximum(parallax - _ERRORS * error, 1 / far)
    x = (np.arange(_PANELS)[:, None] + 0.5 + 0.5 * _NODES).ravel() / _PANELS
    span = np.log(end / near)[:, None]
    r = near[:, None] * np.exp(span * x)
    weight = np.tile(_WEIGHTS / (2 * _PANELS), _PANELS) * span * r
    z = (parallax[:, None] - 1 / r) / error[:, None]
    density = np.exp(-0.5 * z * z) / (np.sqrt(2 * np.pi) * error[:, None])
    first = r[:, :1]
    return r - first, weight * r * r * density, first[:, 0]


@dataclass(frozen=True, eq=False)
class DistancesOut:
    """The integral over distances, by the nodes of each star, as a function of (L,).

    Parameters
    ----------
    beyond, weight, nearest : of `nodes`
    """

    beyond: FloatArray
    weight: FloatArray
    nearest: FloatArray

    def __call__(self, theta: FloatArray) -> FloatArray:
        """Log density of each star, (nstar,)."""
        length = float(theta[0])
        total = (np.exp(self.beyond / -length) * self.weight).sum(axis=1)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(total) - self.nearest / length - np.log(2 * length**3))

    def gradient(self, theta: FloatArray) -> FloatArray:
        """Its derivative, (1, nstar): (mean distance - 3 L) / L^2."""
        length = float(theta[0])
        shares = np.exp(self.beyond / -length) * self.weight
        total = shares.sum(axis=1)
        # Where nothing is left of the density its slope does not matter.
        beyond = (shares * self.beyond).sum(axis=1) / np.where(total > 0, total, 1.0)
        mean = self.nearest + beyond
        return np.asarray((mean - 3 * length) / length**2)[None]


@dataclass(frozen=True)
class OneDistance:
    """Stars that are all at one distance, as in a cluster.

    Parameters
    ----------
    coordinate : name of the parallax, in mas
    distance : prior, kpc
    """

    coordinate: str
    distance: Prior

    @property
    def coordinates(self) -> tuple[str, ...]:
        """The parallax."""
        return (self.coordinate,)

    @property
    def parameters(self) -> dict[str, Prior]:
        """Priors by name."""
        return {"distance": self.distance}

    def moments(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and intrinsic variance of the parallax, (n, 1) each, of parameters (n, 1)."""
        return 1 / theta, np.zeros_like(theta)

    def by_parameters(
        self, theta: FloatArray, by_mean: FloatArray, by_lower: FloatArray
    ) -> FloatArray:
        """Derivative by the distance, (n, 1), from those by what `moments` gives."""
        return -by_mean / theta**2
