"""From the tables of a likelihood to the mixture."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from skymix.axes import FloatArray
from skymix.errors import DataError
from skymix.mixture import (
    Data,
    LeafTable,
    Nuisance,
    ParameterAxis,
    Prior,
    RateMixture,
    TabulatedMixture,
    Tree,
    prior_from_mapping,
)
from skymix.mixture.densities import interpolated
from skymix.store.likelihood import LikelihoodTables
from skymix.store.rows import RowAxes


def mixture_of(
    tables: LikelihoodTables, precision: str = "double", threads: int = 1
) -> TabulatedMixture | RateMixture:
    """The likelihood of a table file, with its priors.

    Parameters
    ----------
    tables : content of the file
    precision, threads : of the sum over the data, as `skymix.mixture.DensityTable` takes them

    Raises
    ------
    DataError
        If tables, tree and priors do not fit together.
    """
    tree = Tree.from_mapping(json.loads(tables.tree))
    priors = {k: prior_from_mapping(p) for k, p in json.loads(tables.priors).items()}
    rates = json.loads(tables.rates)
    expected = dataset_counts(tables)
    data = Data(tables.multiplicity, tables.datum_dataset, _left_by_merging(tables))
    try:
        leaves = _over_datasets(tables, expected)
        if tables.kind == "fractions":
            return TabulatedMixture(tree, leaves, data, priors, precision, threads)
        rows = np.split(expected, np.cumsum(tables.leaf_rows)[:-1], axis=1)
        return RateMixture(
            tree,
            leaves,
            dict(zip(tables.leaves, rows, strict=True)),
            data,
            {name: _factor(prior) for name, prior in rates["amplitudes"].items()},
            _nuisances(tables, rates),
            priors,
            {name: (p["of"], p["value"]) for name, p in rates["physical"].items()},
            precision,
            threads,
        )
    except ValueError as error:
        raise DataError(f"likelihood tables: {error}; delete them and run again") from None


def dataset_counts(tables: LikelihoodTables) -> FloatArray:
    """Expected counts of all rows in each data set, (ndataset, nrow)."""
    counts = np.zeros((int(tables.dataset[-1]) + 1, tables.expected_counts.shape[1]))
    np.add.at(counts, tables.dataset, tables.expected_counts)
    return counts


def leaf_axes(tables: LikelihoodTables) -> list[RowAxes]:
    """Parameters that the rows of each leaf run over."""
    values = np.split(tables.node_values, np.cumsum(tables.nodes)[:-1]) if tables.nodes.size else []
    stops = np.cumsum(tables.leaf_parameters).tolist()
    return [
        RowAxes(
            tables.parameters[start:stop],
            tables.spacings[start:stop],
            tables.units[start:stop],
            tuple(values[start:stop]),
        )
        for start, stop in zip([0, *stops], stops, strict=False)
    ]


def leaf_tables(tables: LikelihoodTables) -> list[LeafTable]:
    """Table and parameter axes of each leaf, normalised in each observation."""
    leaves, row = [], 0
    for name, rows, of_leaf in zip(
        tables.leaves, tables.leaf_rows.tolist(), leaf_axes(tables), strict=True
    ):
        axes = tuple(
            ParameterAxis(*axis)
            for axis in zip(of_leaf.parameters, of_leaf.nodes, of_leaf.spacings, strict=True)
        )
        leaves.append(LeafTable(name, tables.density[row : row + rows], axes))
        row += rows
    return leaves


def counts_in(
    tables: LikelihoodTables,
    mixture: TabulatedMixture | RateMixture,
    theta: FloatArray,
    number: int,
) -> FloatArray:
    """Expected counts of the leaves in one observation, (n, nleaf), at parameters (n, ndim).

    `number` is that of the observation in the tables.
    """
    total = tables.expected_counts.sum(axis=0)
    share = tables.expected_counts[number] / np.where(total > 0, total, 1.0)
    rates, factors = mixture.rates(theta), mixture.factors(theta)
    counts = rates * factors[:, tables.dataset[number] if factors.shape[1] > 1 else 0]
    starts = np.cumsum([0, *tables.leaf_rows])
    for k, (rows, weights) in enumerate(mixture.leaf_rows(theta)):
        counts[:, k] *= interpolated(share[starts[k] : starts[k + 1]], rows, weights)
    return np.asarray(counts)


def units_of(tables: LikelihoodTables) -> dict[str, str]:
    """Unit of each variable of the posterior that has one."""
    units = dict(zip(tables.parameters, tables.units, strict=True))
    physical = json.loads(tables.rates).get("physical", {})
    return units | {name: settings["unit"] for name, settings in physical.items()}


def _over_datasets(tables: LikelihoodTables, expected: FloatArray) -> list[LeafTable]:
    """Tables of densities over all data sets together: times the share of each data set.

    With a single data set they are the tables themselves, not copied.
    """
    leaves = leaf_tables(tables)
    if len(expected) == 1:
        return leaves
    total = expected.sum(axis=0)
    shares = expected / np.where(total > 0, total, 1.0)
    scaled, row = [], 0
    for leaf in leaves:
        part = slice(row, row + leaf.density.shape[0])
        density = leaf.density * shares[tables.datum_dataset, part].T
        scaled.append(LeafTable(leaf.name, density, leaf.axes))
        row = part.stop
    return scaled


def _left_by_merging(tables: LikelihoodTables) -> float:
    """What merging takes from ln L: events x ln(share of their observation in its data set).

    It depends on no parameter, but with it evidences do not depend on merging.
    """
    sizes = np.bincount(tables.dataset)
    merged = np.flatnonzero(sizes[tables.dataset] > 1)
    counts = tables.expected_counts.sum(axis=1)
    shares = counts / np.bincount(tables.dataset, counts)[tables.dataset]
    return math.fsum(tables.events[o] * math.log(shares[o]) for o in merged)


def _nuisances(tables: LikelihoodTables, rates: Mapping[str, Any]) -> list[Nuisance]:
    """Nuisances of an extended likelihood, with numbers for the data sets."""
    number = dict(zip(tables.observations, tables.dataset.tolist(), strict=True))
    found = []
    for settings in rates.get("nuisances", ()):
        sets = {number[name] for name in settings["observations"]}
        everywhere = len(settings["observations"]) == len(tables.observations)
        found.append(
            Nuisance(
                settings["name"],
                tuple(settings["components"]),
                None if everywhere else tuple(sorted(sets)),
                prior_from_mapping(settings["prior"]),
            )
        )
    return found


def _factor(settings: Mapping[str, Any]) -> Prior | float:
    if settings["kind"] == "fixed":
        return float(settings["value"])
    return prior_from_mapping(settings)
