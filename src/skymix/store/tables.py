"""From marginals to the tables of a likelihood, and from these to the mixture."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.errors import DataError
from skymix.mixture import LeafTable, ParameterAxis, TabulatedMixture, Tree, prior_from_mapping
from skymix.store.likelihood import LikelihoodTables
from skymix.store.marginals import Marginals


def gather_tables(
    marginals: Sequence[Marginals],
    observation: str,
    event_datum: IntArray,
    tree: Mapping[str, Any],
    priors: Mapping[str, Mapping[str, Any]],
    truth: Mapping[str, float],
) -> LikelihoodTables:
    """Tables of one observation, from the marginals of all leaves in the order of the tree.

    Raises
    ------
    DataError
        If the marginals are of different data, or an event has no density in any component.
    """
    first = marginals[0]
    for m in marginals:
        if m.observation != observation or not np.array_equal(m.multiplicity, first.multiplicity):
            raise DataError(
                f"marginals of {m.component} are of other data than those of {first.component};"
                " delete them and run again"
            )
    density = np.concatenate([m.density for m in marginals])
    unexplained = np.flatnonzero(density.max(axis=0) <= 0)
    if unexplained.size:
        event = int(np.flatnonzero(event_datum == unexplained[0])[0])
        raise DataError(
            f"observation {observation}: {unexplained.size} data (first: event row {event}) have"
            " zero density under every component; widen the true energies or the margin of the"
            " grids, or cut these events"
        )
    n = first.multiplicity.size
    return LikelihoodTables(
        leaves=tuple(m.component for m in marginals),
        observations=(observation,),
        leaf_rows=np.array([m.density.shape[0] for m in marginals]),
        leaf_parameters=np.array([len(m.parameters) for m in marginals]),
        parameters=tuple(p for m in marginals for p in m.parameters),
        spacings=tuple(s for m in marginals for s in m.spacings),
        units=tuple(u for m in marginals for u in m.units),
        nodes=np.concatenate([m.nodes for m in marginals]),
        node_values=np.concatenate([m.node_values for m in marginals]),
        density=density,
        multiplicity=first.multiplicity,
        datum_observation=np.zeros(n, dtype=np.int64),
        event_datum=event_datum,
        event_observation=np.zeros(event_datum.size, dtype=np.int64),
        expected_counts=np.concatenate([m.expected_counts for m in marginals])[None],
        truncation_error=_truncation_error(marginals, tree),
        binning_error=max(m.binning_error for m in marginals),
        interpolation_error=max(m.interpolation_error for m in marginals),
        tree=json.dumps(tree),
        priors=json.dumps(priors),
        truth=json.dumps(truth),
    )


def _truncation_error(marginals: Sequence[Marginals], tree: Mapping[str, Any]) -> float:
    """Bound on the error of ln L at mean weights, densities averaged over the parameter grids."""
    parsed = Tree.from_mapping(tree)
    middle = parsed.weights(parsed.transform(np.full((1, parsed.ndim), 0.5)))[0]
    weight = dict(zip(parsed.leaves, middle, strict=True))
    missing = sum(weight[m.component] * m.truncation for m in marginals)
    mixed = sum(weight[m.component] * m.density.mean(axis=0) for m in marginals)
    return float(np.sum(marginals[0].multiplicity * missing / mixed))


def mixture_of(tables: LikelihoodTables) -> TabulatedMixture:
    """The mixture likelihood of a table file.

    Raises
    ------
    DataError
        If tables, tree and priors do not fit together.
    """
    try:
        return TabulatedMixture(
            Tree.from_mapping(json.loads(tables.tree)),
            leaf_tables(tables),
            tables.multiplicity,
            {k: prior_from_mapping(p) for k, p in json.loads(tables.priors).items()},
        )
    except ValueError as error:
        raise DataError(f"likelihood tables: {error}; delete them and run again") from None


def leaf_tables(tables: LikelihoodTables) -> list[LeafTable]:
    """Table and parameter axes of each leaf."""
    values = np.split(tables.node_values, np.cumsum(tables.nodes)[:-1]) if tables.nodes.size else []
    leaves, row, p = [], 0, 0
    for name, rows, count in zip(
        tables.leaves, tables.leaf_rows, tables.leaf_parameters, strict=True
    ):
        axes = tuple(
            ParameterAxis(tables.parameters[i], values[i], tables.spacings[i])
            for i in range(p, p + int(count))
        )
        leaves.append(LeafTable(name, tables.density[row : row + int(rows)], axes))
        row, p = row + int(rows), p + int(count)
    return leaves


def true_fractions(tree: Mapping[str, Any], weights: Mapping[str, float]) -> dict[str, float]:
    """True share of each free fraction, ``fraction.<child>``, from the leaves' true weights."""
    parsed = Tree.from_mapping(tree)

    def total(node: Any) -> float:
        return (
            weights[node] if isinstance(node, str) else sum(total(child) for child in node.children)
        )

    shares = {}
    for node in parsed.splits():
        for child in node.children:
            name = child if isinstance(child, str) else child.name
            shares[name] = total(child) / total(node) if total(node) > 0 else 0.0
    return {f"fraction.{name}": shares[name] for name in parsed.free_fractions}


def interpolated(table: FloatArray, rows: IntArray, weights: FloatArray) -> FloatArray:
    """Weighted sum of table rows for each point: (npoint, ...) from (nrow, ...)."""
    return np.asarray(np.einsum("nt,nt...->n...", weights, table[rows]))
