"""Normal densities of measured coordinates, each star widened by its own errors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from scipy import special

from skymix.axes import FloatArray
from skymix.domains.stars.kernel import log_normal, tiles_of
from skymix.mixture import Prior
from skymix.store import Catalogue

LogDensity = Callable[[FloatArray], FloatArray]  # (nparameter,) to (nstar,)


@dataclass(frozen=True)
class Correlation:
    """Prior of a partial correlation: the beta density, stretched to (-1, 1), with both shapes `a`.

    With the right shapes correlation matrices are uniformly distributed (Lewandowski, Kurowicka
    and Joe 2009, J. Multivariate Analysis 100, 1989, with eta = 1).
    """

    a: float

    def transform(self, u: FloatArray) -> FloatArray:
        """Inverse cumulative distribution."""
        return np.asarray(2 * special.betaincinv(self.a, self.a, u) - 1)

    def log_density(self, x: FloatArray) -> FloatArray:
        """(a - 1) ln((1 - x^2) / 4) - ln(2 B(a, a)) inside."""
        inside = np.abs(x) <= 1
        rest = special.xlogy(self.a - 1, np.where(inside, 1 - x * x, 1) / 4)
        return np.where(inside, rest - special.betaln(self.a, self.a) - np.log(2), -np.inf)


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
            found[f"rho.{names[i]}.{names[j]}"] = Correlation((self.ndim - i) / 2)
        return found

    def covariance(self, theta: FloatArray) -> FloatArray:
        """Intrinsic covariance, (n, ndim, ndim), of its parameters (n, nparameter)."""
        n = theta.shape[0]
        sigma = theta[:, self.ndim : self.ndim + len(self.sigma)]
        sigma = np.broadcast_to(sigma, (n, self.ndim))
        correlation = np.broadcast_to(np.eye(self.ndim), (n, self.ndim, self.ndim)).copy()
        rho = theta[:, self.ndim + len(self.sigma) :].copy()
        if rho.shape[1] == 3:
            # The third is the correlation of 1 and 2 at fixed 0.
            rest = np.sqrt((1 - rho[:, 0] ** 2) * (1 - rho[:, 1] ** 2))
            rho[:, 2] = rho[:, 0] * rho[:, 1] + rho[:, 2] * rest
        for column, (i, j) in enumerate(self.pairs):
            correlation[:, i, j] = correlation[:, j, i] = rho[:, column]
        return np.asarray(sigma[:, :, None] * correlation * sigma[:, None, :])

    def at(self, stars: Catalogue) -> LogDensity:
        """Log density at these stars as a function of the parameters."""
        return partial(self._log_density, *tiles_of(*stars.measured(self.coordinates)))

    def _log_density(self, tiles: FloatArray, nstar: int, theta: FloatArray) -> FloatArray:
        return log_normal(tiles, nstar, theta[: self.ndim], self.covariance(theta[None])[0])


def shared_kernel(factors: Sequence[object], coordinates: tuple[str, ...]) -> "Normal | None":
    """The one normal density that a component consists of, if it is one of all coordinates."""
    match factors:
        case [Normal() as normal] if normal.coordinates == coordinates:
            return normal
    return None
