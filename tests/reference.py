"""Mixture likelihood as its definition says, in long double and with plain loops.

Slow and short on purpose: an independent answer for the compiled kernel and the batched code.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

LONG = np.longdouble


class Leaf(NamedTuple):
    """Densities (nodes of axis 1, ..., ndatum) and (name, nodes, spacing) of each axis."""

    density: np.ndarray
    axes: Sequence[tuple[str, np.ndarray, str]] = ()


def log_sum(table, multiplicity, coefficients):
    """sum_i c_i ln sum_r coefficient_r table[r, i]."""
    values = (np.asarray(coefficients, LONG)[:, None] * np.asarray(table, LONG)).sum(axis=0)
    with np.errstate(divide="ignore"):
        return (np.asarray(multiplicity, LONG) * np.log(values)).sum()


def density(leaf: Leaf, theta: Mapping[str, float]):
    """Multilinear interpolation of one leaf, (ndatum,)."""
    places = []
    for name, nodes, spacing in leaf.axes:
        scale = np.log if spacing == "log" else np.positive
        x, grid = scale(LONG(theta[name])), scale(np.asarray(nodes, LONG))
        low = max(i for i in range(len(nodes) - 1) if grid[i] <= x)
        share = (x - grid[low]) / (grid[low + 1] - grid[low])
        places.append([(low, 1 - share), (low + 1, share)])
    total = np.zeros(leaf.density.shape[-1], LONG)
    for corner in product(*places):
        weight = np.prod([share for _, share in corner], dtype=LONG)
        total += weight * leaf.density[tuple(node for node, _ in corner)].reshape(-1)
    return total


def log_likelihood(leaves: Sequence[Leaf], weights, theta, multiplicity):
    """sum_i c_i ln sum_k w_k p_k(d_i | theta)."""
    mixed = sum(LONG(w) * density(leaf, theta) for w, leaf in zip(weights, leaves, strict=True))
    return (np.asarray(multiplicity, LONG) * np.log(mixed)).sum()


def responsibilities(leaves: Sequence[Leaf], weights, theta):
    """w_k p_k(d_i) / sum_k w_k p_k(d_i), (ndatum, nleaf)."""
    joint = np.array(
        [LONG(w) * density(leaf, theta) for w, leaf in zip(weights, leaves, strict=True)]
    )
    return (joint / joint.sum(axis=0)).T
