"""Mixtures of products of densities at stars with errors of their own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from types import MappingProxyType

import numpy as np
from scipy import special

from skymix.axes import FloatArray
from skymix.domains.stars.sky import SKY, area
from skymix.domains.stars.terms import Factor, Terms
from skymix.mixture import Prior, Tree
from skymix.mixture.gradient import by_fractions
from skymix.mixture.tree import Node
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

    Parameters
    ----------
    catalogue : the stars
    tree : splits and leaves, as of every mixture
    components : one a leaf
    fixed : values of parameters that are not free, whatever their priors

    Attributes
    ----------
    names : free fractions as ``fraction.<child>``, then the free parameters of the components

    Raises
    ------
    ValueError
        If components and tree do not name the same leaves, or two densities of a component share
        a coordinate or a parameter, or name one that the catalogue has not.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        tree: Tree,
        components: Sequence[Component],
        fixed: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        by_name = {c.name: c for c in components}
        if sorted(by_name) != sorted(tree.leaves) or len(by_name) < len(components):
            raise ValueError(f"components are {sorted(by_name)}, leaves {sorted(tree.leaves)}")
        self.catalogue, self.tree = catalogue, tree
        self.components = tuple(by_name[leaf] for leaf in tree.leaves)
        for component in components:
            _check(component, catalogue)
        self.priors: dict[str, Prior] = {
            k: Fixed(fixed[k]) if k in fixed else prior
            for c in self.components
            for k, prior in c.parameters.items()
        }
        self._free = np.array([not isinstance(p, Fixed) for p in self.priors.values()], np.bool_)
        self._values = np.array([getattr(p, "value", np.nan) for p in self.priors.values()])
        free = [k for k, is_free in zip(self.priors, self._free, strict=True) if is_free]
        self.names = (*(f"fraction.{child}" for child in tree.free_fractions), *free)
        ends = np.cumsum([0, *(len(f.parameters) for c in self.components for f in c.factors)])
        slices = iter(slice(a, b) for a, b in pairwise(ends.tolist()))
        self._parts = [[(f, next(slices)) for f in c.factors] for c in self.components]

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

    @property
    def single_priors(self) -> dict[str, Prior]:
        """Prior of each parameter that is no fraction."""
        return {k: p for k, p in self.priors.items() if not isinstance(p, Fixed)}

    def splits(self) -> Iterator[Node]:
        """The splits whose fractions are parameters, and fixed ones among them."""
        return self.tree.splits()

    def log_likelihood(self, theta: FloatArray) -> FloatArray:
        """Log likelihood, (n,), of parameters (n, ndim)."""
        return self._terms.log_sum(self._complete(theta), self.weights(theta))

    def log_likelihood_gradient(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Log likelihood, (n,), of parameters (n, ndim), and its derivative by them, (n, ndim)."""
        value, by_weight, by_values = self._terms.log_sum_gradient(
            self._complete(theta), self.weights(theta)
        )
        ndim = self.tree.ndim
        by_fraction = by_fractions(self.tree, theta[:, :ndim], by_weight)
        return value, np.concatenate([by_fraction, by_values[:, self._free]], axis=1)

    def log_joint(self, point: FloatArray) -> FloatArray:
        """Log of weight times density of each leaf at each star, (nleaf, nstar).

        Parameters
        ----------
        point : (ndim,)
        """
        with np.errstate(divide="ignore"):
            weight = np.log(self.weights(point[None])[0])
        log: FloatArray = weight[:, None] + self._terms.log_densities(
            self._complete(point[None])[0]
        )
        return log

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

    def _complete(self, theta: FloatArray) -> FloatArray:
        """Values of all parameters of the components, (n, nparameter), fixed ones included."""
        values = np.tile(self._values, (theta.shape[0], 1))
        values[:, self._free] = theta[:, self.tree.ndim :]
        return values

    @cached_property
    def _terms(self) -> Terms:
        return Terms(self.catalogue, self._parts, self._log_uniform())

    def _log_uniform(self) -> FloatArray:
        """Log of the uniform part of each component's density, (nleaf,)."""
        spans = np.ptp(self.catalogue.values, axis=0)
        log = {c: -float(np.log(x)) for c, x in zip(self.catalogue.names, spans, strict=True)}
        if SKY in self.coordinates:
            log[SKY] = -float(np.log(area(self.catalogue.radii)))
        each = [sum(log.values()) - sum(log[x] for x in c.coordinates) for c in self.components]
        return np.array(each)


def _check(component: Component, catalogue: Catalogue) -> None:
    known = {*catalogue.names, *([SKY] if catalogue.sky.size else [])}
    names = component.coordinates
    if unknown := set(names) - known:
        raise ValueError(f"component {component.name}: the catalogue has no {sorted(unknown)}")
    if len(set(names)) < len(names):
        raise ValueError(f"component {component.name}: two of its factors share a coordinate")
    if len(component.parameters) < sum(len(f.parameters) for f in component.factors):
        raise ValueError(f"component {component.name}: two of its factors share a parameter")
