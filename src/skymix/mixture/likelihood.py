"""Mixture of tabulated densities as a sampling problem.

    ln L(theta) = sum_i c_i ln sum_k w_k(theta) p_k(d_i | theta),

with weights from the tree and densities interpolated linearly between the nodes of their
parameters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.mixture.kernel import TiledTable
from skymix.mixture.parameters import Interpolation, ParameterAxis
from skymix.mixture.priors import Prior
from skymix.mixture.tree import Tree


@dataclass(frozen=True, eq=False)
class LeafTable:
    """Densities of one leaf at all data.

    Parameters
    ----------
    name : name of the leaf in the tree
    density : (nrow, ndatum); rows run over the parameter grid, last parameter fastest
    axes : grids of the parameters, none for a single row
    """

    name: str
    density: FloatArray
    axes: tuple[ParameterAxis, ...] = ()

    def __post_init__(self) -> None:
        rows = int(np.prod([axis.nodes.size for axis in self.axes]))
        if self.density.shape[0] != rows:
            raise ValueError(
                f"leaf {self.name}: {self.density.shape[0]} rows for {rows} parameter nodes"
            )
        if not np.all(np.isfinite(self.density)) or np.any(self.density < 0):
            raise ValueError(f"leaf {self.name}: densities must be finite and not negative")


class TabulatedMixture:
    """Mixture likelihood with its priors: batched prior transform and log likelihood.

    Parameters
    ----------
    tree : splits and leaves
    leaves : one table a leaf of the tree, in any order
    multiplicity : (ndatum,) number of events of each datum
    priors : prior of each scanned parameter, by name

    Attributes
    ----------
    names : free fractions as ``fraction.<child>``, then the scanned parameters

    Raises
    ------
    ValueError
        If tables and tree do not name the same leaves, sizes differ, a parameter has no prior,
        or a datum has no density in any leaf.
    """

    def __init__(
        self,
        tree: Tree,
        leaves: Sequence[LeafTable],
        multiplicity: FloatArray,
        priors: Mapping[str, Prior],
    ) -> None:
        by_name = {leaf.name: leaf for leaf in leaves}
        if set(by_name) != set(tree.leaves) or len(leaves) != len(tree.leaves):
            raise ValueError(
                f"tables are of {sorted(by_name)}, but the tree's leaves are {sorted(tree.leaves)}"
            )
        self.tree = tree
        self.leaves = tuple(by_name[name] for name in tree.leaves)
        self.multiplicity = multiplicity
        scanned = list(dict.fromkeys(a.name for leaf in self.leaves for a in leaf.axes))
        for name in scanned:
            if name not in priors:
                raise ValueError(f"parameter {name} has no prior")
        self.priors = {name: priors[name] for name in scanned}
        self.names = (*(f"fraction.{child}" for child in tree.free_fractions), *scanned)
        self._table = self._check_and_tile()

    @property
    def ndim(self) -> int:
        """Number of parameters."""
        return len(self.names)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names fit for an axis."""
        return self.names

    def _check_and_tile(self) -> TiledTable:
        for leaf in self.leaves:
            if leaf.density.shape[1] != self.multiplicity.size:
                raise ValueError(
                    f"leaf {leaf.name}: {leaf.density.shape[1]} data, expected"
                    f" {self.multiplicity.size}"
                )
        table = np.concatenate([leaf.density for leaf in self.leaves])
        if np.any(table.max(axis=0) <= 0):
            datum = int(np.flatnonzero(table.max(axis=0) <= 0)[0])
            raise ValueError(f"datum {datum} has zero density under every component")
        return TiledTable.build(table, self.multiplicity)

    def prior_transform(self, u: FloatArray) -> FloatArray:
        """Parameters, (n, ndim), of unit-cube points (n, ndim)."""
        theta = np.empty_like(u)
        n = self.tree.ndim
        theta[:, :n] = self.tree.transform(u[:, :n])
        for j, prior in enumerate(self.priors.values(), start=n):
            theta[:, j] = prior.transform(u[:, j])
        return theta

    def log_prior(self, theta: FloatArray) -> FloatArray:
        """Log prior density, (n,)."""
        n = self.tree.ndim
        total = self.tree.log_prior(theta[:, :n])
        for j, prior in enumerate(self.priors.values(), start=n):
            total = total + prior.log_density(theta[:, j])
        return total

    def log_likelihood(self, theta: FloatArray) -> FloatArray:
        """Log likelihood, (n,), of parameters (n, ndim)."""
        return self._table.log_sum(*self._terms(theta))

    def weights(self, theta: FloatArray) -> FloatArray:
        """Weights of the leaves, (n, nleaf)."""
        return self.tree.weights(theta[:, : self.tree.ndim])

    def responsibilities(self, theta: FloatArray) -> FloatArray:
        """Probability of each leaf at each datum for one parameter set (ndim,), (ndatum, nleaf)."""
        weights = self.weights(theta[None])[0]
        joint = np.empty((self.multiplicity.size, len(self.leaves)))
        for k, (rows, fractions) in enumerate(self.leaf_rows(theta[None])):
            joint[:, k] = weights[k] * (fractions[0] @ self.leaves[k].density[rows[0]])
        return np.asarray(joint / joint.sum(axis=1, keepdims=True))

    def leaf_rows(self, theta: FloatArray) -> list[tuple[IntArray, FloatArray]]:
        """Rows of each leaf's table, (n, nterm), and their interpolation weights."""
        ones = np.ones((theta.shape[0], len(self.leaves)))
        rows, weights = self._interpolation.terms(theta, ones, np.zeros_like(self._offsets))
        ends = np.cumsum(self._interpolation.term_counts)[:-1]
        return list(zip(np.split(rows, ends, axis=1), np.split(weights, ends, axis=1), strict=True))

    @cached_property
    def _offsets(self) -> IntArray:
        sizes = [leaf.density.shape[0] for leaf in self.leaves]
        return np.cumsum([0, *sizes[:-1]])

    @cached_property
    def _interpolation(self) -> Interpolation:
        return Interpolation.of([leaf.axes for leaf in self.leaves], self.names)

    def _terms(self, theta: FloatArray) -> tuple[IntArray, FloatArray]:
        """Rows of the joint table and their coefficients, (n, nterm) each."""
        return self._interpolation.terms(theta, self.weights(theta), self._offsets)
