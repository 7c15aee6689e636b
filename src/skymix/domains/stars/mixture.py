"""Mixtures of normal components and a uniform one, at stars with errors of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy import special

from skymix.axes import FloatArray
from skymix.domains.stars.catalogue import Catalogue
from skymix.domains.stars.kernel import log_likelihood, tiles_of
from skymix.mixture import Prior, Tree


@dataclass(frozen=True)
class Normal:
    """A normal component with free mean and intrinsic covariance.

    Parameters
    ----------
    name : its leaf of the tree
    mean : prior of each coordinate's mean
    sigma : prior of each intrinsic standard deviation; just one for an isotropic component
    shape : "isotropic", "diagonal", or "full", whose correlations have the prior of Lewandowski,
        Kurowicka and Joe (2009, J. Multivariate Analysis 100, 1989) with eta = 1
    """

    name: str
    mean: tuple[Prior, ...]
    sigma: tuple[Prior, ...]
    shape: Literal["isotropic", "diagonal", "full"] = "diagonal"

    def __post_init__(self) -> None:
        if len(self.sigma) != (1 if self.shape == "isotropic" else len(self.mean)):
            raise ValueError(f"component {self.name}: {len(self.sigma)} priors of sigma")

    @property
    def ndim(self) -> int:
        """Number of coordinates."""
        return len(self.mean)

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs of coordinates with a free correlation."""
        if self.shape != "full":
            return ()
        return tuple((i, j) for i in range(self.ndim) for j in range(i + 1, self.ndim))

    def names(self, coordinates: Sequence[str]) -> tuple[str, ...]:
        """Names of its parameters; of three coordinates the last correlation is a partial one."""
        means = [f"{self.name}.mean.{c}" for c in coordinates]
        sigmas = [f"{self.name}.sigma.{c}" for c in coordinates]
        if self.shape == "isotropic":
            sigmas = [f"{self.name}.sigma"]
        rhos = [f"{self.name}.rho.{coordinates[i]}.{coordinates[j]}" for i, j in self.pairs]
        return (*means, *sigmas, *rhos)

    def transform(self, u: FloatArray) -> FloatArray:
        """Its parameters, (n, nparameter), of unit-cube points."""
        out = np.empty_like(u)
        priors = (*self.mean, *self.sigma)
        for j, prior in enumerate(priors):
            out[:, j] = prior.transform(u[:, j])
        for j, (i, _) in enumerate(self.pairs, start=len(priors)):
            a = (self.ndim - i) / 2  # of the beta that makes the matrices uniform
            out[:, j] = 2 * special.betaincinv(a, a, u[:, j]) - 1
        return out

    def covariance(self, theta: FloatArray) -> FloatArray:
        """Intrinsic covariance, (n, ndim, ndim), of its parameters."""
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


class StarMixture:
    """Mixture likelihood of a catalogue with its priors; a `Problem`.

    Parameters
    ----------
    catalogue : the stars
    tree : splits and leaves, as of every mixture
    normals : the normal components, one a leaf
    uniform : leaf that is uniform over the catalogue's range of values, if any

    Attributes
    ----------
    names : free fractions as ``fraction.<child>``, then the parameters of the components

    Raises
    ------
    ValueError
        If components and tree do not name the same leaves, or dimensions differ.
    """

    def __init__(
        self, catalogue: Catalogue, tree: Tree, normals: Sequence[Normal], uniform: str = ""
    ) -> None:
        leaves = [n.name for n in normals] + ([uniform] if uniform else [])
        if sorted(leaves) != sorted(tree.leaves):
            raise ValueError(f"components are {sorted(leaves)}, leaves {sorted(tree.leaves)}")
        if any(n.ndim != len(catalogue.names) for n in normals):
            raise ValueError(f"a component has not the {len(catalogue.names)} coordinates")
        self.catalogue, self.tree, self.normals = catalogue, tree, tuple(normals)
        parts = [n.names(catalogue.names) for n in normals]
        self.names = (
            *(f"fraction.{child}" for child in tree.free_fractions),
            *(name for part in parts for name in part),
        )
        ends = np.cumsum([tree.ndim, *(len(part) for part in parts)]).tolist()
        self._parts = [slice(a, b) for a, b in pairwise(ends)]
        self._which = [tree.leaves.index(n.name) for n in normals]
        self._uniform = tree.leaves.index(uniform) if uniform else None

    @property
    def labels(self) -> tuple[str, ...]:
        """Names fit for an axis."""
        return self.names

    @cached_property
    def _tiles(self) -> tuple[FloatArray, int]:
        return tiles_of(self.catalogue.values, self.catalogue.covariance)

    @cached_property
    def _uniform_density(self) -> float:
        return float(1 / np.prod(np.ptp(self.catalogue.values, axis=0)))

    def prior_transform(self, u: FloatArray) -> FloatArray:
        """Parameters, (n, ndim), of unit-cube points (n, ndim)."""
        theta = np.empty_like(u)
        theta[:, : self.tree.ndim] = self.tree.transform(u[:, : self.tree.ndim])
        for normal, part in zip(self.normals, self._parts, strict=True):
            theta[:, part] = normal.transform(u[:, part])
        return theta

    def weights(self, theta: FloatArray) -> FloatArray:
        """Weights of the leaves, (n, nleaf)."""
        return self.tree.weights(theta[:, : self.tree.ndim])

    def log_likelihood(self, theta: FloatArray) -> FloatArray:
        """Log likelihood, (n,), of parameters (n, ndim)."""
        weights = self.weights(theta)
        constant = np.zeros(theta.shape[0])
        if self._uniform is not None:
            constant = weights[:, self._uniform] * self._uniform_density
        own = list(zip(self.normals, self._parts, strict=True))
        mean = np.stack([theta[:, p][:, : n.ndim] for n, p in own], axis=1)
        covariance = np.stack([n.covariance(theta[:, p]) for n, p in own], axis=1)
        weight = np.ascontiguousarray(weights[:, self._which])
        return log_likelihood(*self._tiles, weight, mean, covariance, constant)

    def membership(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation, (nstar, nleaf) each, of the probability of each leaf.

        Parameters
        ----------
        theta : (n, ndim) draws of equal weight from the posterior
        """
        total = np.zeros((len(self.catalogue.row), len(self.tree.leaves)))
        squares = np.zeros_like(total)
        for point in theta:
            p = self.responsibilities(point)
            total, squares = total + p, squares + p**2
        mean = total / len(theta)
        return mean, np.sqrt(np.clip(squares / len(theta) - mean**2, 0, None))

    def responsibilities(self, theta: FloatArray) -> FloatArray:
        """Probability of each leaf at each star for one parameter set (ndim,), (nstar, nleaf)."""
        log = np.empty((len(self.catalogue.row), len(self.tree.leaves)))
        for normal, part, k in zip(self.normals, self._parts, self._which, strict=True):
            own = theta[None, part]
            total = self.catalogue.covariance + normal.covariance(own)
            shift = self.catalogue.values - own[0, : normal.ndim]
            square = (shift * np.linalg.solve(total, shift[:, :, None])[:, :, 0]).sum(axis=1)
            determinant = np.linalg.slogdet(total)[1]
            log[:, k] = -0.5 * (square + determinant + normal.ndim * np.log(2 * np.pi))
        if self._uniform is not None:
            log[:, self._uniform] = np.log(self._uniform_density)
        with np.errstate(divide="ignore"):
            log += np.log(self.weights(theta[None])[0])
        return np.asarray(special.softmax(log, axis=1))
