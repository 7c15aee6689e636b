"""PSF kinds of DL3 files at one offset node: rings of a table, Gaussian mixtures, King profiles.

Each gives its density at any true energy and radius, and says at which energies it is defined.
Parameters of the analytic kinds and rings of the table are linear in ln E between the energies at
which they are defined; formulas are those of the Gamma Astro Data Formats (PSF_TABLE, PSF_3GAUSS,
PSF_KING). Normalisation is left to the tabulation.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skymix.axes import FloatArray
from skymix.domains.gamma.tabulate import linear_weights

RAD_LIMIT = 10.0  # deg; beyond, a PSF is cut
CONTAINED = 1.0 - 1e-6

_TRIAL_RADII = np.geomspace(1e-3, RAD_LIMIT, 801)


@dataclass(frozen=True, eq=False)
class PSFModel(ABC):
    """PSF at one offset node.

    Parameters
    ----------
    energy : (nrow,) TeV
    defined : (nrow,) whether the IRF has a PSF at each of these energies
    """

    energy: FloatArray
    defined: NDArray[np.bool_]

    @abstractmethod
    def density(self, energy: FloatArray, rad: FloatArray) -> FloatArray:
        """Density per solid angle up to a factor, (nenergy, nrad); TeV and deg in."""

    @abstractmethod
    def contained(self, energy: FloatArray, rad: float) -> FloatArray:
        """Share within a radius, (nenergy,)."""

    def radius(self, energy: FloatArray) -> float:
        """Radius that holds the share CONTAINED at all energies, at most RAD_LIMIT; deg."""
        low, high = 0, _TRIAL_RADII.size - 1
        while low < high:
            middle = (low + high) // 2
            if self.contained(energy, float(_TRIAL_RADII[middle])).min() >= CONTAINED:
                high = middle
            else:
                low = middle + 1
        return float(_TRIAL_RADII[low])

    def _in_log_energy(
        self, energy: FloatArray, values: FloatArray, rows: NDArray[np.bool_]
    ) -> FloatArray:
        return np.interp(np.log(energy), np.log(self.energy[rows]), values[rows])


@dataclass(frozen=True, eq=False)
class GaussianMixture(PSFModel):
    """Sum of up to three round Gaussians.

    Parameters
    ----------
    sigma : (ncomponent, nrow) deg
    amplitude : (ncomponent, nrow) density at the centre relative to the first component
    """

    sigma: FloatArray
    amplitude: FloatArray

    def _parameters(self, energy: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Sigma and amplitude of each component, (ncomponent, nenergy)."""
        sigma = np.empty((len(self.sigma), energy.size))
        amplitude = np.empty_like(sigma)
        for i, (s, a) in enumerate(zip(self.sigma, self.amplitude, strict=True)):
            # Where a component is absent its width is a filler and must not be interpolated to.
            present = self.defined & (a != 0)
            rows = present if present.any() else self.defined
            sigma[i] = self._in_log_energy(energy, s, rows)
            amplitude[i] = self._in_log_energy(energy, a, self.defined)
        return sigma, amplitude

    def density(self, energy: FloatArray, rad: FloatArray) -> FloatArray:
        """Sum of the components."""
        sigma, amplitude = self._parameters(energy)
        total = np.zeros((energy.size, rad.size))
        for s, a in zip(sigma, amplitude, strict=True):
            if np.any(a != 0):
                total += a[:, None] * np.exp(-0.5 * (rad / s[:, None]) ** 2)
        return total

    def contained(self, energy: FloatArray, rad: float) -> FloatArray:
        """Closed form in the flat sky."""
        sigma, amplitude = self._parameters(energy)
        volume = amplitude * sigma**2
        share = volume * -np.expm1(-0.5 * (rad / sigma) ** 2)
        return np.asarray(share.sum(axis=0) / volume.sum(axis=0))


@dataclass(frozen=True, eq=False)
class King(PSFModel):
    """King profile, (1 + r^2 / (2 gamma sigma^2))^-gamma.

    Parameters
    ----------
    sigma : (nrow,) deg
    gamma : (nrow,) above 1
    """

    sigma: FloatArray
    gamma: FloatArray

    def _parameters(self, energy: FloatArray) -> tuple[FloatArray, FloatArray]:
        return (
            self._in_log_energy(energy, self.sigma, self.defined),
            self._in_log_energy(energy, self.gamma, self.defined),
        )

    def density(self, energy: FloatArray, rad: FloatArray) -> FloatArray:
        """King profile, 1 at the centre."""
        sigma, gamma = (p[:, None] for p in self._parameters(energy))
        return np.asarray((1 + rad**2 / (2 * gamma * sigma**2)) ** -gamma)

    def contained(self, energy: FloatArray, rad: float) -> FloatArray:
        """Closed form in the flat sky."""
        sigma, gamma = self._parameters(energy)
        return np.asarray(1 - (1 + rad**2 / (2 * gamma * sigma**2)) ** (1 - gamma))


@dataclass(frozen=True, eq=False)
class Rings(PSFModel):
    """Histogram of the angular distance; the share within each ring's edge is kept exactly.

    The density is the slope of a monotone cubic (Fritsch and Carlson 1980, SIAM J. Numer. Anal.
    17, 238) through the cumulative at the edges, as a function of solid angle.

    Parameters
    ----------
    edges : (nring + 1,) deg, from 0
    cumulative : (nrow, nring + 1) share within each edge, 1 at the last where defined
    """

    edges: FloatArray
    cumulative: FloatArray

    @classmethod
    def from_density(cls, energy: FloatArray, edges: FloatArray, psf: FloatArray) -> "Rings":
        """Rings of a table of densities (nrow, nring) in sr-1."""
        edges = np.maximum(edges, 0.0)
        edges[0] = 0.0  # the innermost ring is a disc
        rings = psf * np.diff(_solid_angle(edges))
        total = rings.sum(axis=1, keepdims=True)
        defined = total[:, 0] > 0
        share = np.cumsum(rings, axis=1) / np.where(total > 0, total, 1.0)
        cumulative = np.concatenate([np.zeros((energy.size, 1)), share], axis=1)
        return cls(energy, defined, edges, cumulative)

    def _cumulative(self, energy: FloatArray) -> FloatArray:
        rows = np.flatnonzero(self.defined)
        weights = linear_weights(np.log(self.energy[rows]), np.log(energy))
        return np.asarray(weights @ self.cumulative[rows])

    def density(self, energy: FloatArray, rad: FloatArray) -> FloatArray:
        """Slope of the cumulative, zero beyond the last ring."""
        from scipy.interpolate import PchipInterpolator

        slope = PchipInterpolator(
            _solid_angle(self.edges), self._cumulative(energy), axis=1
        ).derivative()
        inside = rad <= self.edges[-1]
        return np.where(inside, np.maximum(slope(_solid_angle(rad)), 0.0), 0.0)

    def contained(self, energy: FloatArray, rad: float) -> FloatArray:
        """Linear between the edges of the rings."""
        share = self._cumulative(energy)
        return np.array([np.interp(rad, self.edges, row) for row in share])


def _solid_angle(rad: FloatArray) -> FloatArray:
    """Of the cap within a radius in deg, sr."""
    return 4 * np.pi * np.sin(0.5 * np.radians(rad)) ** 2
