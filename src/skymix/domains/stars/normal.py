"""Normal densities of measured coordinates, each star widened by its own errors."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from skymix.axes import FloatArray
from skymix.mixture import Prior
from skymix.mixture.priors import Correlation

_LOWER = [np.tril_indices(ndim) for ndim in range(4)]


@dataclass(frozen=True)
class Normal:
    """Normal density of one to three coordinates with a mean and an intrinsic covariance.

    Parameters
    ----------
    coordinates : their names
    mean : prior of each coordinate's mean
    sigma : prior of each intrinsic standard deviation; just one for an isotropic component
    shape : "isotropic", "diagonal", or "full", whose correlation matrices are uniform a priori
    """

    coordinates: tuple[str, ...]
    mean: tuple[Prior, ...]
    sigma: tuple[Prior, ...]
    shape: Literal["isotropic", "diagonal", "full"] = "diagonal"

    def __post_init__(self) -> None:
        if len(self.mean) != self.ndim:
            raise ValueError(f"{len(self.mean)} means of the coordinates {self.coordinates}")
        if len(self.sigma) != (1 if self.shape == "isotropic" else self.ndim):
            raise ValueError(f"{len(self.sigma)} priors of sigma, shape {self.shape}")

    @property
    def ndim(self) -> int:
        """Number of coordinates."""
        return len(self.coordinates)

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs of coordinates with a free correlation."""
        if self.shape != "full":
            return ()
        return tuple((i, j) for i in range(self.ndim) for j in range(i + 1, self.ndim))

    @property
    def parameters(self) -> dict[str, Prior]:
        """Priors by name; of three coordinates the last correlation is a partial one."""
        names = self.coordinates
        found = {f"mean.{c}": prior for c, prior in zip(names, self.mean, strict=True)}
        if self.shape == "isotropic":
            found["sigma"] = self.sigma[0]
        else:
            found |= {f"sigma.{c}": prior for c, prior in zip(names, self.sigma, strict=True)}
        for i, j in self.pairs:
            # With these shapes correlation matrices are uniformly distributed.
            found[f"rho.{names[i]}.{names[j]}"] = Correlation((self.ndim - i) / 2)
        return found

    def moments(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean, (n, ndim), and lower triangle of the intrinsic covariance, of parameters (n, npar).

        The triangle is (n, ndim (ndim + 1) / 2), row by row.
        """
        row, column = _LOWER[self.ndim]
        sigma = self._sigma(theta)
        lower = sigma[:, row] * sigma[:, column] * self._correlations(theta)
        return theta[:, : self.ndim], lower

    def by_parameters(
        self, theta: FloatArray, by_mean: FloatArray, by_lower: FloatArray
    ) -> FloatArray:
        """Derivative by the parameters, (n, npar), from those by what `moments` gives."""
        row, column = _LOWER[self.ndim]
        sigma = self._sigma(theta)
        by_product = by_lower * self._correlations(theta)
        by_sigma = np.zeros_like(by_mean)
        for entry, (i, j) in enumerate(zip(row, column, strict=True)):
            by_sigma[:, i] += by_product[:, entry] * sigma[:, j]
            by_sigma[:, j] += by_product[:, entry] * sigma[:, i]
        if self.shape == "isotropic":
            by_sigma = by_sigma.sum(axis=1, keepdims=True)
        if self.shape != "full":
            return np.concatenate([by_mean, by_sigma], axis=1)
        by_rho = (by_lower * sigma[:, row] * sigma[:, column])[:, row != column]
        by_partial = _by_partial(theta[:, 2 * self.ndim :], by_rho)
        return np.concatenate([by_mean, by_sigma, by_partial], axis=1)

    def _sigma(self, theta: FloatArray) -> FloatArray:
        own = theta[:, self.ndim : self.ndim + len(self.sigma)]
        return own if len(self.sigma) == self.ndim else np.repeat(own, self.ndim, axis=1)

    def _correlations(self, theta: FloatArray) -> FloatArray:
        """Lower triangle of the correlation matrix."""
        row, column = _LOWER[self.ndim]
        lower = np.zeros((len(theta), row.size))
        lower[:, row == column] = 1.0
        if self.shape == "full":
            lower[:, row != column] = _whole(theta[:, 2 * self.ndim :])
        return lower


def _whole(rho: FloatArray) -> FloatArray:
    """Correlations, (n, npair), of which the third is given as that of 1 and 2 at fixed 0."""
    if rho.shape[1] < 3:
        return rho
    rest = np.sqrt((1 - rho[:, 0] ** 2) * (1 - rho[:, 1] ** 2))
    return np.stack([rho[:, 0], rho[:, 1], rho[:, 0] * rho[:, 1] + rho[:, 2] * rest], axis=1)


def _by_partial(rho: FloatArray, by_entry: FloatArray) -> FloatArray:
    """Derivative by what `_whole` takes, from that by what it gives."""
    if rho.shape[1] < 3:
        return by_entry
    a, b, partial = rho.T
    left = np.sqrt(1 - np.stack([a, b]) ** 2)
    by_a = by_entry[:, 0] + by_entry[:, 2] * (b - partial * a * left[1] / left[0])
    by_b = by_entry[:, 1] + by_entry[:, 2] * (a - partial * b * left[0] / left[1])
    return np.stack([by_a, by_b, by_entry[:, 2] * left[0] * left[1]], axis=1)
