"""True values of a fit's variables, where its events were simulated."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skymix.axes import FloatArray
from skymix.mixture import ParameterAxis, Tree
from skymix.mixture.parameters import Interpolation
from skymix.store.base import read_arrays, read_provenance
from skymix.store.rows import RowAxes

_SAME = 1e-3  # relative, within which the factors of several observations are one


@dataclass(frozen=True, eq=False)
class Truth:
    """What the events of some observations were simulated with.

    Parameters
    ----------
    leaves : names of the leaves of the fit
    counts : (nobservation, nleaf) expected counts that the events were drawn with
    factor : (nobservation, nleaf) these over the counts at the study's amplitudes; NaN where there
        are none
    elsewhere : expected counts of components that are not in the fit
    parameters : true value of each scanned parameter, of each observation
    """

    leaves: tuple[str, ...]
    counts: FloatArray
    factor: FloatArray
    elsewhere: float
    parameters: Sequence[Mapping[str, float]]


def read_truth(
    events: Sequence[Path],
    leaves: Sequence[str],
    axes: Sequence[RowAxes],
    expected: FloatArray,
    modelled: NDArray[np.bool_],
    scales: Mapping[str, float],
) -> Truth | None:
    """Truth of some observations; None if one of them was recorded.

    Parameters
    ----------
    events : event file of each observation
    leaves, axes : each leaf and the parameters of its rows
    expected : (nobservation, nrow) expected counts at the study's amplitudes
    modelled : (nobservation, nleaf) whether the counts were simulated at the study's amplitude
    scales : true value of each parameter of the responses
    """
    roots = [read_provenance(path) for path in events]
    drawn = [read_arrays(path, "expected_counts")[0] for path in events]
    if not all(counts.size for counts in drawn):
        return None
    parameters = [json.loads(root["truth"]) | dict(scales) for root in roots]
    own = _counts_at(axes, expected, parameters)
    counts, elsewhere = np.zeros(own.shape), 0.0
    for o, (root, values) in enumerate(zip(roots, drawn, strict=True)):
        for name, value in zip(json.loads(root["components"]), values.tolist(), strict=True):
            if name in leaves:
                counts[o, leaves.index(name)] = value
            else:
                elsewhere += value
    factor = np.where(modelled, 1.0, counts / np.where(own > 0, own, np.nan))
    return Truth(tuple(leaves), counts, factor, elsewhere, parameters)


def _counts_at(
    leaves: Sequence[RowAxes], expected: FloatArray, parameters: Sequence[Mapping[str, float]]
) -> FloatArray:
    """Expected counts of each leaf at the true parameters of each observation."""
    found, row = np.empty((len(parameters), len(leaves))), 0
    for k, leaf in enumerate(leaves):
        names = leaf.parameters
        axes = [ParameterAxis(*a) for a in zip(names, leaf.nodes, leaf.spacings, strict=True)]
        theta = np.array([[point[name] for name in names] for point in parameters])
        rows, weights = Interpolation.of([axes], names).terms(
            theta.reshape(len(parameters), len(names)),
            np.ones((len(parameters), 1)),
            np.array([row]),
        )
        found[:, k] = (weights * np.take_along_axis(expected, rows, axis=1)).sum(axis=1)
        row += leaf.size
    return found


def truth_of_fractions(truth: Truth, tree: Mapping[str, Any]) -> dict[str, float]:
    """True parameters, free fractions and leaf weights of a fraction likelihood."""
    weights = _weights(truth)
    return _parameters(truth) | true_fractions(tree, weights) | _named("weight", weights)


def truth_of_rates(
    truth: Truth, tree: Mapping[str, Any], rates: Mapping[str, Any], observations: Sequence[str]
) -> dict[str, float]:
    """True values of an extended likelihood's variables; without those that have no single one.

    Parameters
    ----------
    truth : of the observations
    tree, rates : of the likelihood
    observations : names of the observations
    """
    found = _parameters(truth) | _named("weight", _weights(truth))
    found |= _named(
        "counts", dict(zip(truth.leaves, truth.counts.sum(axis=0).tolist(), strict=True))
    )
    applied: dict[str, float] = {}  # of each leaf, by the amplitudes
    splits = {node.name: Tree(node) for node in Tree.from_mapping(tree).splits() if node.name}
    for name, prior in rates["amplitudes"].items():
        leaves = splits[name].leaves if name in splits else (name,)
        factors = [_common(truth.factor[:, truth.leaves.index(leaf)]) for leaf in leaves]
        if prior["kind"] == "fixed" and name not in splits:
            applied[name] = prior["value"]
        elif None not in factors:
            applied |= dict(zip(leaves, factors, strict=True))  # type: ignore[arg-type]
            total = sum(applied[leaf] for leaf in leaves)
            if prior["kind"] != "fixed":
                found[f"amplitude.{name}"] = total
            if name in splits:
                found |= _shares(splits[name], applied)
            found |= {
                variable: p["value"] * (total if p["of"] == name else applied[p["of"]])
                for variable, p in rates["physical"].items()
                if p["of"] == name or p["of"] in leaves
            }
    return found | _nuisances(truth, rates["nuisances"], applied, observations)


def true_fractions(tree: Mapping[str, Any], weights: Mapping[str, float]) -> dict[str, float]:
    """True share of each free fraction, ``fraction.<child>``, from the leaves' true weights."""
    return _shares(Tree.from_mapping(tree), weights)


def _shares(tree: Tree, weights: Mapping[str, float]) -> dict[str, float]:
    def total(node: Any) -> float:
        return (
            weights[node] if isinstance(node, str) else sum(total(child) for child in node.children)
        )

    shares = {}
    for node in tree.splits():
        for child in node.children:
            name = child if isinstance(child, str) else child.name
            shares[name] = total(child) / total(node) if total(node) > 0 else 0.0
    return {f"fraction.{name}": shares[name] for name in tree.free_fractions}


def _nuisances(
    truth: Truth,
    nuisances: Sequence[Mapping[str, Any]],
    applied: Mapping[str, float],
    observations: Sequence[str],
) -> dict[str, float]:
    """What is left of the factors where a nuisance is the only one, or where nothing is left."""
    found = {}
    for nuisance in nuisances:
        rows = [observations.index(name) for name in nuisance["observations"]]
        leaves = nuisance["components"]
        if not all(leaf in applied for leaf in leaves):
            continue
        columns = [truth.leaves.index(leaf) for leaf in leaves]
        left = truth.factor[np.ix_(rows, columns)] / [applied[leaf] for leaf in leaves]
        value = _common(left.ravel())
        alone = not any(
            set(other["components"]) & set(leaves)
            and set(other["observations"]) & set(observations)
            for other in nuisances
            if other["name"] != nuisance["name"]
            and set(other["observations"]) & set(nuisance["observations"])
        )
        if value is not None and (alone or abs(value - 1) < _SAME):
            found[nuisance["name"]] = value
    return found


def _common(values: FloatArray) -> float | None:
    """The one value of several, NaN left out; None if there is no such one."""
    known = values[~np.isnan(values)]
    if not known.size or np.ptp(known) > _SAME * abs(known[0]):
        return None
    return float(known.mean())


def _weights(truth: Truth) -> dict[str, float]:
    counts = truth.counts.sum(axis=0)
    shares = counts / (counts.sum() + truth.elsewhere)
    return dict(zip(truth.leaves, shares.tolist(), strict=True))


def _named(kind: str, values: Mapping[str, float]) -> dict[str, float]:
    return {f"{kind}.{name}": value for name, value in values.items()}


def _parameters(truth: Truth) -> dict[str, float]:
    """Those that have the same value in all observations."""
    first, *others = truth.parameters
    return {
        name: value
        for name, value in first.items()
        if all(other.get(name) == value for other in others)
    }
