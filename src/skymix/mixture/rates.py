"""Extended likelihood: the expected counts of the components are the parameters.

    ln L(theta) = sum_o [ -sum_k mu_ok + sum_i c_i ln sum_k mu_ok p_ok(d_i | theta) ],
    mu_ok = a_k(theta) n_ok(theta) mu0_ok(theta),

with mu0_ok the counts that component k makes in data set o at its own amplitude, a_k the factor on
this amplitude, which all data sets share, and n_ok the nuisance factors that apply to it there.
mu0 is interpolated as mu0_ok = (sum_o' mu0_o'k) x s_ok, the total and the shares s_ok each linearly
between the nodes; the tables hold s_ok p_ok, a density over all data sets together, so that counts
and densities are normalised alike everywhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.mixture.amplitudes import Amplitudes
from skymix.mixture.densities import Data, DensityTable, LeafTable, interpolated, scanned_names
from skymix.mixture.gradient import interpolation_slopes
from skymix.mixture.likelihood import in_tree_order
from skymix.mixture.priors import Prior, Priors
from skymix.mixture.tree import Node, Tree


@dataclass(frozen=True)
class Nuisance:
    """A factor on the expected counts of some leaves in some data sets.

    Parameters
    ----------
    name : its parameter
    leaves : the leaves
    datasets : numbers of the data sets; None for all of them
    prior : prior of the factor
    """

    name: str
    leaves: tuple[str, ...]
    datasets: tuple[int, ...] | None
    prior: Prior


class RateMixture:
    """Extended likelihood with its priors: batched prior transform and log likelihood.

    Parameters
    ----------
    tree : its leaves; below a split that has an amplitude, the fractions of its children
    leaves : one table a leaf of the tree, in any order: densities over all data sets together
    expected : expected counts of each leaf at its own amplitude, (ndataset, nrow), by name
    data : the data
    amplitudes : prior of the factor on the amplitude of a leaf, or on those of all leaves below a
        split; a number if the factor is fixed
    nuisances : further factors
    priors : prior of each scanned parameter, by name
    physical : (node, value at factor 1) of derived variables, by name
    precision, threads : of the sum over the data, as `DensityTable` takes them

    Attributes
    ----------
    names : free factors as ``amplitude.<node>``, the nuisances, the fractions of the splits below
        an amplitude as ``fraction.<child>``, then the scanned parameters

    Raises
    ------
    ValueError
        If the tables do not fit together, a parameter has no prior, or a leaf has no amplitude or
        several.
    """

    def __init__(
        self,
        tree: Tree,
        leaves: Sequence[LeafTable],
        expected: Mapping[str, FloatArray],
        data: Data,
        amplitudes: Mapping[str, Prior | float],
        nuisances: Sequence[Nuisance],
        priors: Mapping[str, Prior],
        physical: Mapping[str, tuple[str, float]] | None = None,
        precision: str = "double",
        threads: int = 1,
    ) -> None:
        self.tree = tree
        self.leaves = in_tree_order(tree, leaves)
        self.multiplicity = data.multiplicity
        self._amplitudes = Amplitudes(tree, amplitudes)
        self._nuisances = tuple(nuisances)
        self._physical = physical or {}
        factors = {
            **{f"amplitude.{n}": p for n, p in amplitudes.items() if not isinstance(p, float)},
            **{nuisance.name: nuisance.prior for nuisance in nuisances},
        }
        scanned = Priors.of(priors, scanned_names(self.leaves))
        self._factors, self._scanned, self.priors = Priors(factors), scanned, scanned.by_name
        fractions = (f"fraction.{child}" for child in self._amplitudes.fractions)
        self.names = (*factors, *fractions, *self.priors)
        self._totals = [expected[leaf.name].sum(axis=0) for leaf in self.leaves]
        self._shares = [_shares(expected[leaf.name]).T for leaf in self.leaves]
        self._apart = any(nuisance.datasets is not None for nuisance in nuisances)
        together = data if self._apart else replace(data, dataset=None)
        self._table = DensityTable(self.leaves, together, self.names, precision, threads)

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
        return {**self._factors.by_name, **self.priors}

    def splits(self) -> Iterator[Node]:
        """The splits whose fractions are parameters, and fixed ones among them."""
        return self._amplitudes.splits()

    def prior_transform(self, u: FloatArray) -> FloatArray:
        """Parameters, (n, ndim), of unit-cube points (n, ndim)."""
        return np.concatenate(
            [
                self._factors.transform(u[:, self._factor_columns]),
                self._amplitudes.transform(u[:, self._fraction_columns]),
                self._scanned.transform(u[:, self._scanned_columns]),
            ],
            axis=1,
        )

    def log_prior(self, theta: FloatArray) -> FloatArray:
        """Log prior density, (n,)."""
        return (
            self._factors.log_density(theta[:, self._factor_columns])
            + self._amplitudes.log_prior(theta[:, self._fraction_columns])
            + self._scanned.log_density(theta[:, self._scanned_columns])
        )

    def log_likelihood(self, theta: FloatArray) -> FloatArray:
        """Log likelihood, (n,), of parameters (n, ndim)."""
        rates, factors = self.rates(theta), self.factors(theta)
        if factors.shape[1] == 1:
            counts = rates * factors[:, 0]
            return self._table.log_sum(theta, counts) - _row_sums(counts)
        applied = rates[:, None] * factors
        expected = applied * self._interpolated_shares(theta)
        return self._table.log_sum(theta, applied) - _row_sums(expected)

    def log_likelihood_gradient(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Log likelihood, (n,), of parameters (n, ndim), and its derivative by them, (n, ndim).

        The derivative is one-sided on the nodes of a scanned parameter, and NaN or infinite where
        the likelihood or a nuisance factor is zero.
        """
        rates, factors = self.rates(theta), self.factors(theta)
        shares = self._interpolated_shares(theta) if self._apart else np.ones_like(factors)
        applied = rates[:, None] * factors
        sets = applied if self._apart else applied[:, 0]
        value, by_applied, gradient = self._table.log_sum_gradient(theta, sets)
        value -= _row_sums(applied * shares)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):  # where L is zero
            slope = by_applied.reshape(applied.shape) - shares
            self._add_by_nuisances(theta, slope * applied, gradient)
            by_rate = (slope * factors).sum(axis=1)
            self._add_by_counts(theta, applied, by_rate, gradient)
        return value, gradient

    def _add_by_nuisances(
        self, theta: FloatArray, by_log: FloatArray, gradient: FloatArray
    ) -> None:
        """Derivative by the nuisances, from that by the logarithms of the applied factors."""
        for nuisance in self._nuisances:
            column = self.names.index(nuisance.name)
            leaves = [self.tree.leaves.index(leaf) for leaf in nuisance.leaves]
            where = slice(None) if nuisance.datasets is None else list(nuisance.datasets)
            gradient[:, column] = _row_sums(by_log[:, where][:, :, leaves]) / theta[:, column]

    def _add_by_counts(
        self, theta: FloatArray, applied: FloatArray, by_rate: FloatArray, gradient: FloatArray
    ) -> None:
        """Derivative by amplitudes, fractions and, through the counts, scanned parameters."""
        arguments = self._amplitude_arguments(theta)
        amplitude, by_leaf = self._amplitudes.of_nodes(*arguments), {}
        for k, (leaf, (rows, weights)) in enumerate(
            zip(self.leaves, self.leaf_rows(theta), strict=True)
        ):
            by_leaf[leaf.name] = by_rate[:, k] * interpolated(self._totals[k], rows, weights)
            for column, slope in interpolation_slopes(leaf.axes, self.names, theta):
                total = interpolated(self._totals[k], rows, slope)
                gradient[:, column] += by_rate[:, k] * amplitude[leaf.name] * total
                if self._apart:
                    share = interpolated(self._shares[k], rows, slope)
                    gradient[:, column] -= (applied[:, :, k] * share).sum(axis=1)
        by_node, by_fraction = self._amplitudes.chain(*arguments, by_leaf)
        for name, derivative in by_node.items():
            gradient[:, self.names.index(f"amplitude.{name}")] = derivative
        gradient[:, self._fraction_columns] = by_fraction

    def rates(self, theta: FloatArray) -> FloatArray:
        """Counts of the leaves over all data sets without nuisances, (n, nleaf)."""
        amplitude = self._amplitudes.of_nodes(*self._amplitude_arguments(theta))
        rates = np.empty((theta.shape[0], len(self.leaves)))
        for k, (rows, weights) in enumerate(self.leaf_rows(theta)):
            rates[:, k] = interpolated(self._totals[k], rows, weights)
            rates[:, k] *= amplitude[self.leaves[k].name]
        return rates

    def counts(self, theta: FloatArray) -> FloatArray:
        """Expected counts of the leaves in all data sets together, (n, nleaf)."""
        rates, factors = self.rates(theta), self.factors(theta)
        if factors.shape[1] == 1:
            return np.asarray(rates * factors[:, 0])
        return np.asarray(rates * (factors * self._interpolated_shares(theta)).sum(axis=1))

    def factors(self, theta: FloatArray) -> FloatArray:
        """Product of the nuisances of each leaf, (n, ndataset, nleaf).

        One data set stands for all, (n, 1, nleaf), where no nuisance tells them apart.
        """
        sets = self._shares[0].shape[1] if self._apart else 1
        factors = np.ones((theta.shape[0], sets, len(self.leaves)))
        for nuisance in self._nuisances:
            value = theta[:, self.names.index(nuisance.name)]
            where = range(sets) if nuisance.datasets is None else nuisance.datasets
            for leaf in nuisance.leaves:
                factors[:, where, self.tree.leaves.index(leaf)] *= value[:, None]
        return factors

    def weights(self, theta: FloatArray) -> FloatArray:
        """Shares of the leaves in the expected counts, (n, nleaf)."""
        counts = self.counts(theta)
        return np.asarray(counts / counts.sum(axis=1, keepdims=True))

    def derived(self, theta: FloatArray) -> dict[str, FloatArray]:
        """What follows from the parameters, (n,) each.

        ``weight.<leaf>``, the share of the expected counts; ``counts.<leaf>``, these counts over
        all data sets; and the physical amplitudes.
        """
        counts, weights = self.counts(theta), self.weights(theta)
        amplitude = self._amplitudes.of_nodes(*self._amplitude_arguments(theta))
        leaves = self.tree.leaves
        return {
            **{f"weight.{leaf}": weights[:, k] for k, leaf in enumerate(leaves)},
            **{f"counts.{leaf}": counts[:, k] for k, leaf in enumerate(leaves)},
            **{name: amplitude[node] * value for name, (node, value) in self._physical.items()},
        }

    def responsibilities(self, theta: FloatArray) -> FloatArray:
        """Probability of each leaf at each datum for one parameter set (ndim,), (ndatum, nleaf)."""
        rates, factors = self.rates(theta[None])[0], self.factors(theta[None])[0]
        return self._table.responsibilities(
            theta, rates * factors[0] if len(factors) == 1 else rates * factors
        )

    def leaf_rows(self, theta: FloatArray) -> list[tuple[IntArray, FloatArray]]:
        """Rows of each leaf's table, (n, nterm), and their interpolation weights."""
        return self._table.leaf_rows(theta)

    @property
    def _factor_columns(self) -> slice:
        return slice(0, len(self._factors.by_name))

    @property
    def _fraction_columns(self) -> slice:
        start = self._factor_columns.stop
        return slice(start, start + len(self._amplitudes.fractions))

    @property
    def _scanned_columns(self) -> slice:
        return slice(self._fraction_columns.stop, None)

    def _amplitude_arguments(self, theta: FloatArray) -> tuple[dict[str, FloatArray], FloatArray]:
        """Free amplitudes by their node, (n,) each, and the fractions, (n, nfraction)."""
        free = {
            name.removeprefix("amplitude."): theta[:, j]
            for j, name in enumerate(self.names)
            if name.startswith("amplitude.")
        }
        return free, theta[:, self._fraction_columns]

    def _interpolated_shares(self, theta: FloatArray) -> FloatArray:
        """Share of each data set in the counts of each leaf, (n, ndataset, nleaf)."""
        return np.stack(
            [
                interpolated(shares, *terms)
                for shares, terms in zip(self._shares, self.leaf_rows(theta), strict=True)
            ],
            axis=2,
        )


def _shares(expected: FloatArray) -> FloatArray:
    """Part of each data set in the expected counts, (ndataset, nrow); zero where there are none."""
    total = expected.sum(axis=0)
    return np.asarray(expected / np.where(total > 0, total, 1.0))


def _row_sums(values: FloatArray) -> FloatArray:
    """Sum of all but the first axis, (n,)."""
    return np.asarray(values.reshape(values.shape[0], -1).sum(axis=1))
