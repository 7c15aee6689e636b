"""Densities of all components at all data, interpolated between the nodes of their parameters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.mixture import _kernel
from skymix.mixture.gradient import interpolation_slopes
from skymix.mixture.kernel import TiledTable
from skymix.mixture.parameters import Interpolation, ParameterAxis
from skymix.mixture.tree import Tree

PRECISIONS = {"double": "float64", "single": "float32"}


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


@dataclass(frozen=True, eq=False)
class Data:
    """The data of a likelihood.

    Parameters
    ----------
    multiplicity : (ndatum,) number of events of each datum
    dataset : (ndatum,) number of the data set that each belongs to; None if there is one
    constant : added to every log likelihood
    """

    multiplicity: FloatArray
    dataset: IntArray | None = None
    constant: float = 0.0


class DensityTable:
    """Sums over the data of mixtures of the leaves.

    Parameters
    ----------
    leaves : one table a leaf
    data : what the columns of the tables are
    names : names of the parameters, which the axes of the leaves are among
    precision, threads : of the sum; only the precision changes its value

    Raises
    ------
    ValueError
        If sizes differ, or a datum has no density in any leaf.
    """

    def __init__(
        self,
        leaves: Sequence[LeafTable],
        data: Data,
        names: Sequence[str],
        precision: str = "double",
        threads: int = 1,
    ) -> None:
        self.leaves = tuple(leaves)
        self.data = data
        self._names = tuple(names)
        self._threads = threads
        self._interpolation = Interpolation.of([leaf.axes for leaf in leaves], names)
        self._leaf_of_term = np.repeat(np.arange(len(leaves)), self._interpolation.term_counts)
        sizes = [leaf.density.shape[0] for leaf in leaves]
        self._offsets = np.cumsum([0, *sizes[:-1]])
        self._tiles = self._check_and_tile(PRECISIONS[precision])

    def _check_and_tile(self, dtype: str) -> TiledTable:
        count = self.data.multiplicity.size
        for leaf in self.leaves:
            if leaf.density.shape[1] != count:
                raise ValueError(
                    f"leaf {leaf.name}: {leaf.density.shape[1]} data, expected {count}"
                )
        table = np.concatenate([leaf.density for leaf in self.leaves])
        if np.any(table.max(axis=0) <= 0):
            datum = int(np.flatnonzero(table.max(axis=0) <= 0)[0])
            raise ValueError(f"datum {datum} has zero density under every component")
        return TiledTable.build(table, self.data.multiplicity, self.data.dataset, dtype)

    def log_sum(self, theta: FloatArray, factors: FloatArray) -> FloatArray:
        """sum_i c_i ln sum_k factor_k p_k(d_i | theta), and the constant of the data.

        Parameters
        ----------
        theta : (n, ndim) parameters
        factors : (n, nleaf); or (n, ndataset, nleaf), one set for the data of each data set

        Returns
        -------
        (n,)
        """
        if factors.ndim == 2:
            rows, coefficients = self._interpolation.terms(theta, factors, self._offsets)
        else:
            ones = np.ones((theta.shape[0], len(self.leaves)))
            rows, weights = self._interpolation.terms(theta, ones, self._offsets)
            coefficients = weights[:, None] * factors[:, :, self._leaf_of_term]
        total = self._tiles.log_sum(rows, coefficients, threads=self._threads)
        return np.asarray(total + self.data.constant)

    def compiled(self, tree: Tree) -> _kernel.Mixture:
        """The way from parameters, the first of them fractions of the tree, to the log sum."""
        grids, threads = self._interpolation.grids(self._offsets), self._threads
        parent, column, leaf, share = tree.edges
        # A leaf's weight is the factor of its terms: it goes where the first of them is.
        first = np.cumsum([0, *self._interpolation.term_counts[:-1]])
        edges = parent, column, np.where(leaf >= 0, first[leaf], leaf), share
        return _kernel.Mixture(self._tiles.compiled, edges, grids, threads, self.data.constant)

    def log_sum_gradient(
        self, theta: FloatArray, factors: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Value of `log_sum`, its derivative by the factors and, at fixed factors, by theta."""
        by_set = factors if factors.ndim == 3 else factors[:, None]
        ones = np.ones((theta.shape[0], len(self.leaves)))
        rows, unit = self._interpolation.terms(theta, ones, self._offsets)
        coefficients = unit[:, None] * by_set[:, :, self._leaf_of_term]
        value, by_term = self._tiles.log_sum_gradient(rows, coefficients, self._threads)
        ends = np.cumsum(self._interpolation.term_counts)
        by_theta = np.zeros(theta.shape)
        with np.errstate(invalid="ignore", over="ignore"):  # where the likelihood is zero
            by_factor = np.add.reduceat(by_term * unit[:, None], [0, *ends[:-1]], axis=2)
            for k, (leaf, end) in enumerate(zip(self.leaves, ends, strict=True)):
                for column, slope in interpolation_slopes(leaf.axes, self._names, theta):
                    own = (by_term[:, :, end - slope.shape[1] : end] * slope[:, None]).sum(axis=2)
                    by_theta[:, column] += (own * by_set[:, :, k]).sum(axis=1)
        return value + self.data.constant, by_factor.reshape(factors.shape), by_theta

    def responsibilities(self, theta: FloatArray, factors: FloatArray) -> FloatArray:
        """Probability of each leaf at each datum, (ndatum, nleaf).

        Parameters
        ----------
        theta : (ndim,) one set of parameters
        factors : (nleaf,) or (ndataset, nleaf)
        """
        joint = np.empty((self.data.multiplicity.size, len(self.leaves)))
        for k, (rows, weights) in enumerate(self.leaf_rows(theta[None])):
            joint[:, k] = weights[0] @ self.leaves[k].density[rows[0]]
        joint *= factors if factors.ndim == 1 else factors[self.data.dataset]
        return np.asarray(joint / joint.sum(axis=1, keepdims=True))

    def leaf_rows(self, theta: FloatArray) -> list[tuple[IntArray, FloatArray]]:
        """Rows of each leaf's table, (n, nterm), and their interpolation weights."""
        ones = np.ones((theta.shape[0], len(self.leaves)))
        rows, weights = self._interpolation.terms(theta, ones, np.zeros_like(self._offsets))
        ends = np.cumsum(self._interpolation.term_counts)[:-1]
        return list(zip(np.split(rows, ends, axis=1), np.split(weights, ends, axis=1), strict=True))


def interpolated(table: FloatArray, rows: IntArray, weights: FloatArray) -> FloatArray:
    """Weighted sum of table rows for each point, (n, ...) from (nrow, ...).

    Term after term, so that the rounding of a point does not depend on the others.
    """
    total = np.zeros((rows.shape[0], *table.shape[1:]))
    for t in range(rows.shape[1]):
        total += weights[:, t].reshape(-1, *[1] * (table.ndim - 1)) * table[rows[:, t]]
    return total


def scanned_names(leaves: Sequence[LeafTable]) -> list[str]:
    """Names of the scanned parameters, once each, leaf after leaf."""
    return list(dict.fromkeys(axis.name for leaf in leaves for axis in leaf.axes))
