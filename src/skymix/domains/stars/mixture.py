"""Mixtures of products of densities at stars with errors of their own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol

import numpy as np
from scipy import special

from skymix.axes import FloatArray
from skymix.domains.stars.kernel import log_likelihood, tiles_of
from skymix.domains.stars.normal import LogDensity, Normal, shared_kernel
from skymix.domains.stars.sky import SKY, area
from skymix.mixture import Prior, Tree
from skymix.store import Catalogue


@dataclass(frozen=True)
class Fixed:
    """A parameter that has one value."""

    value: float

    def transform(self, u: FloatArray) -> FloatArray:
        """The value."""
        return np.full_like(u, self.value)

    def log_density(self, x: FloatArray) -> FloatArray:
        """Zero at the value, -inf elsewhere."""
        return np.where(x == self.value, 0.0, -np.inf)


class Factor(Protocol):
    """A density of some of the coordinates."""

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names of the coordinates; "sky" for the position."""

    @property
    def parameters(self) -> dict[str, Prior]:
        """Priors by name, in the order in which the density takes the values."""

    def at(self, stars: Catalogue) -> LogDensity:
        """Log density at these stars as a function of the parameters."""


@dataclass(frozen=True)
class Component:
    """A leaf of the mixture: a product of densities, uniform in the coordinates they leave out.

    Parameters
    ----------
    name : its leaf of the tree
    factors : densities of different coordinates
    """

    name: str
    factors: tuple[Factor, ...] = ()

    @property
    def parameters(self) -> dict[str, Prior]:
        """Priors by name."""
        pairs = (pair for factor in self.factors for pair in factor.parameters.items())
        return {f"{self.name}.{name}": prior for name, prior in pairs}

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Coordinates that its factors name."""
        return tuple(c for factor in self.factors for c in factor.coordinates)


class StarMixture:
    """Mixture likelihood of a catalogue with its priors; a `Problem`.

    Mixtures of nothing but normal densities of all coordinates have a fast likelihood.

    Parameters
    ----------
    catalogue : the stars
    tree : splits and leaves, as of every mixture
    components : one a leaf

    Attributes
    ----------
    names : free fractions as ``fraction.<child>``, then the free parameters of the components

    Raises
    ------
    ValueError
        If components and tree do not name the same leaves, or two densities of a component share
        a coordinate or a parameter, or name one that the catalogue has not.
    """

    def __init__(self, catalogue: Catalogue, tree: Tree, components: Sequence[Component]) -> None:
        by_name = {c.name: c for c in components}
        if sorted(by_name) != sorted(tree.leaves) or len(by_name) < len(components):
            raise ValueError(f"components are {sorted(by_name)}, leaves {sorted(tree.leaves)}")
        self.catalogue, self.tree = catalogue, tree
        self.components = tuple(by_name[leaf] for leaf in tree.leaves)
        for component in components:
            _check(component, catalogue)
        self.priors = {k: p for c in self.components for k, p in c.parameters.items()}
        self._free = np.array([not isinstance(p, Fixed) for p in self.priors.values()], np.bool_)
        self._values = np.array([getattr(p, "value", np.nan) for p in self.priors.values()])
        free = [k for k, is_free in zip(self.priors, self._free, strict=True) if is_free]
        self.names = (*(f"fraction.{child}" for child in tree.free_fractions), *free)
        ends = np.cumsum([0, *(len(f.parameters) for c in self.components for f in c.factors)])
        slices = iter(slice(a, b) for a, b in pairwise(ends.tolist()))
        self._parts = [[next(slices) for _ in c.factors] for c in self.components]
        self._normals = self._fast()

    @property
    def labels(self) -> tuple[str, ...]:
        """Names fit for an axis."""
        return self.names

    @cached_property
    def coordinates(self) -> tuple[str, ...]:
        """Coordinates of the mixture: the measured ones, and the position if a component asks."""
        on_sky = any(SKY in c.coordinates for c in self.components)
        return (*self.catalogue.names, *([SKY] if on_sky else []))

    def prior_transform(self, u: FloatArray) -> FloatArray:
        """Parameters, (n, ndim), of unit-cube points (n, ndim)."""
        theta = np.empty_like(u)
        ndim = self.tree.ndim
        theta[:, :ndim] = self.tree.transform(u[:, :ndim])
        free = (p for p in self.priors.values() if not isinstance(p, Fixed))
        for j, prior in enumerate(free, start=ndim):
            theta[:, j] = prior.transform(u[:, j])
        return theta

    def weights(self, theta: FloatArray) -> FloatArray:
        """Weights of the leaves, (n, nleaf)."""
        return self.tree.weights(theta[:, : self.tree.ndim])

    def derived(self, theta: FloatArray) -> dict[str, FloatArray]:
        """Weight of each leaf, and the number of its stars, (n,) each."""
        weights = self.weights(theta)
        found = {f"weight.{leaf}": weights[:, k] for k, leaf in enumerate(self.tree.leaves)}
        number = len(self.catalogue.row)
        return found | {
            f"stars.{leaf}": weights[:, k] * number for k, leaf in enumerate(self.tree.leaves)
        }

    def log_likelihood(self, theta: FloatArray) -> FloatArray:
        """Log likelihood, (n,), of parameters (n, ndim)."""
        if self._normals is None:
            return np.array([self._sum(point) for point in theta], dtype=np.float64)
        weights, values = self.weights(theta), self._complete(theta)
        normals, parts, which, others = self._normals
        constant = weights[:, others].sum(axis=1) * math.exp(self._uniform[1])
        mean = np.stack([values[:, p][:, : n.ndim] for n, p in zip(normals, parts, strict=True)], 1)
        own = [n.covariance(values[:, p]) for n, p in zip(normals, parts, strict=True)]
        weight = np.ascontiguousarray(weights[:, which])
        return log_likelihood(*self._tiles, weight, mean, np.stack(own, axis=1), constant)

    def log_joint(self, point: FloatArray) -> FloatArray:
        """Log of weight times density of each leaf at each star, (nleaf, nstar).

        Parameters
        ----------
        point : (ndim,)
        """
        values = self._complete(point[None])[0]
        with np.errstate(divide="ignore"):
            weight = np.log(self.weights(point[None])[0])
        out: FloatArray = np.tile(weight[:, None], self.catalogue.row.size)
        for k, (parts, densities) in enumerate(zip(self._parts, self._densities, strict=True)):
            out[k] += self._uniform[0][k]
            for part, density in zip(parts, densities, strict=True):
                out[k] += density(values[part])
        return out

    def responsibilities(self, point: FloatArray) -> FloatArray:
        """Probability of each leaf at each star for one parameter set (ndim,), (nstar, nleaf)."""
        return np.asarray(special.softmax(self.log_joint(point), axis=0).T)

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

    def _sum(self, point: FloatArray) -> float:
        log = self.log_joint(point)
        highest = log.max(axis=0)
        if not np.isfinite(highest).all():
            return -np.inf
        return float((highest + np.log(np.exp(log - highest).sum(axis=0))).sum())

    def _complete(self, theta: FloatArray) -> FloatArray:
        """Values of all parameters of the components, (n, nparameter), fixed ones included."""
        values = np.tile(self._values, (theta.shape[0], 1))
        values[:, self._free] = theta[:, self.tree.ndim :]
        return values

    @cached_property
    def _densities(self) -> list[list[LogDensity]]:
        return [[factor.at(self.catalogue) for factor in c.factors] for c in self.components]

    @cached_property
    def _tiles(self) -> tuple[FloatArray, int]:
        return tiles_of(self.catalogue.values, self.catalogue.covariance)

    @cached_property
    def _uniform(self) -> tuple[FloatArray, float]:
        """Log of the uniform part of each component's density; and of one uniform in everything."""
        spans = np.ptp(self.catalogue.values, axis=0)
        log = {c: -float(np.log(x)) for c, x in zip(self.catalogue.names, spans, strict=True)}
        if SKY in self.coordinates:
            log[SKY] = -float(np.log(area(self.catalogue.radii)))
        each = [sum(log.values()) - sum(log[x] for x in c.coordinates) for c in self.components]
        return np.array(each), sum(log.values())

    def _fast(self) -> "tuple[list[Normal], list[slice], list[int], list[int]] | None":
        """Normal components, their parameters and leaves, and the leaves that are uniform."""
        normals, parts, which, others = [], [], [], []
        for k, component in enumerate(self.components):
            normal = shared_kernel(component.factors, self.catalogue.names)
            if normal is not None:
                normals.append(normal)
                parts.append(self._parts[k][0])
                which.append(k)
            elif component.factors:
                return None
            else:
                others.append(k)
        return (normals, parts, which, others) if normals else None


def _check(component: Component, catalogue: Catalogue) -> None:
    known = {*catalogue.names, *([SKY] if catalogue.sky.size else [])}
    names = component.coordinates
    if unknown := set(names) - known:
        raise ValueError(f"component {component.name}: the catalogue has no {sorted(unknown)}")
    if len(set(names)) < len(names):
        raise ValueError(f"component {component.name}: two of its factors share a coordinate")
    if len(component.parameters) < sum(len(f.parameters) for f in component.factors):
        raise ValueError(f"component {component.name}: two of its factors share a parameter")
