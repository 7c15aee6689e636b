"""Mixture of tabulated densities whose weights are the parameters.

    ln L(theta) = sum_i c_i ln sum_k w_k(theta) p_k(d_i | theta),

with weights from the tree and densities interpolated linearly between the nodes of their
parameters. Where several data sets are combined, p_k is a density over all of them together: its
integral over the data space of one is the part of the component's events expected there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.mixture.densities import Data, DensityTable, LeafTable, scanned_names
from skymix.mixture.gradient import by_fractions
from skymix.mixture.priors import Prior, Priors
from skymix.mixture.tree import Node, Tree


class TabulatedMixture:
    """Mixture likelihood with its priors: batched prior transform and log likelihood.

    Parameters
    ----------
    tree : splits and leaves
    leaves : one table a leaf of the tree, in any order
    data : the data, or just their multiplicity (ndatum,)
    priors : prior of each scanned parameter, by name
    precision, threads : of the sum over the data, as `DensityTable` takes them

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
        data: Data | FloatArray,
        priors: Mapping[str, Prior],
        precision: str = "double",
        threads: int = 1,
    ) -> None:
        self.tree = tree
        self.leaves = in_tree_order(tree, leaves)
        scanned = Priors.of(priors, scanned_names(self.leaves))
        self.priors = scanned.by_name
        self.names = (*(f"fraction.{child}" for child in tree.free_fractions), *self.priors)
        self._scanned = scanned
        data = replace(data, dataset=None) if isinstance(data, Data) else Data(data)
        self.multiplicity = data.multiplicity
        self._table = DensityTable(self.leaves, data, self.names, precision, threads)
        self._compiled = self._table.compiled(tree)

    @property
    def ndim(self) -> int:
        """Number of parameters."""
        return len(self.names)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names fit for an axis."""
        return self.names

    @property
    def single_priors(self) -> dict[str, Prior]:
        """Prior of each parameter that is no fraction."""
        return dict(self.priors)

    def splits(self) -> Iterator[Node]:
        """The splits whose fractions are parameters, and fixed ones among them."""
        return self.tree.splits()

    def prior_transform(self, u: FloatArray) -> FloatArray:
        """Parameters, (n, ndim), of unit-cube points (n, ndim)."""
        n = self.tree.ndim
        return np.concatenate(
            [self.tree.transform(u[:, :n]), self._scanned.transform(u[:, n:])], axis=1
        )

    def log_prior(self, theta: FloatArray) -> FloatArray:
        """Log prior density, (n,)."""
        n = self.tree.ndim
        return self.tree.log_prior(theta[:, :n]) + self._scanned.log_density(theta[:, n:])

    def __getstate__(self) -> dict[str, Any]:
        """Everything but what holds addresses of this process."""
        return {name: value for name, value in vars(self).items() if name != "_compiled"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._compiled = self._table.compiled(self.tree)

    def log_likelihood(self, theta: FloatArray) -> FloatArray:
        """Log likelihood, (n,), of parameters (n, ndim)."""
        return self._compiled.log_likelihood(theta)

    def log_likelihood_gradient(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Log likelihood, (n,), of parameters (n, ndim), and its derivative by them, (n, ndim).

        The derivative is one-sided on the nodes of a scanned parameter, and NaN or infinite where
        the likelihood is zero.
        """
        value, by_weight, gradient = self._table.log_sum_gradient(theta, self.weights(theta))
        n = self.tree.ndim
        with np.errstate(invalid="ignore", over="ignore"):  # where the likelihood is zero
            gradient[:, :n] = by_fractions(self.tree, theta[:, :n], by_weight)
        return value, gradient

    def weights(self, theta: FloatArray) -> FloatArray:
        """Weights of the leaves, (n, nleaf)."""
        return self.tree.weights(theta[:, : self.tree.ndim])

    def rates(self, theta: FloatArray) -> FloatArray:
        """Predicted counts of the leaves in all data together, (n, nleaf): weight x events."""
        return np.asarray(self.weights(theta) * self.multiplicity.sum())

    def factors(self, theta: FloatArray) -> FloatArray:
        """Factors of single data sets, (n, 1, nleaf): ones, as all sets share the weights."""
        return np.ones((theta.shape[0], 1, len(self.leaves)))

    def derived(self, theta: FloatArray) -> dict[str, FloatArray]:
        """What follows from the parameters: ``weight.<leaf>``, (n,) each."""
        weights = self.weights(theta)
        return {f"weight.{leaf}": weights[:, k] for k, leaf in enumerate(self.tree.leaves)}

    def responsibilities(self, theta: FloatArray) -> FloatArray:
        """Probability of each leaf at each datum for one parameter set (ndim,), (ndatum, nleaf)."""
        return self._table.responsibilities(theta, self.weights(theta[None])[0])

    def leaf_rows(self, theta: FloatArray) -> list[tuple[IntArray, FloatArray]]:
        """Rows of each leaf's table, (n, nterm), and their interpolation weights."""
        return self._table.leaf_rows(theta)


def in_tree_order(tree: Tree, leaves: Sequence[LeafTable]) -> tuple[LeafTable, ...]:
    """Tables in the order of the tree's leaves; ValueError if they are not of the same ones."""
    by_name = {leaf.name: leaf for leaf in leaves}
    if set(by_name) != set(tree.leaves) or len(leaves) != len(tree.leaves):
        raise ValueError(
            f"tables are of {sorted(by_name)}, but the tree's leaves are {sorted(tree.leaves)}"
        )
    return tuple(by_name[name] for name in tree.leaves)
