"""Chain rule from the coefficients of the mixture sum to the parameters of a mixture."""

from collections.abc import Iterator, Sequence

import numpy as np

from skymix.axes import FloatArray
from skymix.mixture.parameters import ParameterAxis
from skymix.mixture.tree import FIXED, REST, Tree


def by_fractions(tree: Tree, fractions: FloatArray, by_weight: FloatArray) -> FloatArray:
    """Derivative by the free fractions, (n, ndim), from that by the weights of the leaves.

    Parameters
    ----------
    tree : the splits
    fractions : (n, ndim) free fractions
    by_weight : (n, nleaf) derivative by each weight
    """
    parent, column, leaf, _ = tree.edges
    share, weight = _along_edges(tree, fractions)
    gradient = np.zeros_like(fractions)
    below = np.zeros_like(weight)  # derivative by the weight of each node
    for e in reversed(range(parent.size)):
        if leaf[e] >= 0:
            below[:, e + 1] += by_weight[:, leaf[e]]
        below[:, parent[e]] += below[:, e + 1] * share[:, e]
        by_share = below[:, e + 1] * weight[:, parent[e]]
        if column[e] >= 0:
            gradient[:, column[e]] += by_share
        elif column[e] == REST:
            siblings = column[(parent == parent[e]) & (column >= 0)]
            gradient[:, siblings] -= by_share[:, None]
    return gradient


def _along_edges(tree: Tree, fractions: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Share of each edge, (n, nedge), and weight of each node, (n, nedge + 1)."""
    parent, column, _, fixed = tree.edges
    share = np.empty((fractions.shape[0], parent.size))
    weight = np.ones((fractions.shape[0], parent.size + 1))
    for e in range(parent.size):
        if column[e] == FIXED:
            share[:, e] = fixed[e]
        elif column[e] == REST:
            siblings = column[(parent == parent[e]) & (column >= 0)]
            share[:, e] = 1 - fractions[:, siblings].sum(axis=1)
        else:
            share[:, e] = fractions[:, column[e]]
        weight[:, e + 1] = weight[:, parent[e]] * share[:, e]
    return share, weight


def interpolation_slopes(
    axes: Sequence[ParameterAxis], names: Sequence[str], theta: FloatArray
) -> Iterator[tuple[int, FloatArray]]:
    """Derivative of the interpolation weights of a table by the parameter of each of its axes.

    Parameters
    ----------
    axes : of the table
    names : names of the parameters
    theta : (n, ndim) parameters

    Yields
    ------
    Column of the parameter in `theta` and the derivative, (n, 2^naxis), in the order of
    `Interpolation.terms`; on a node it is that of the cell above.
    """
    columns = [names.index(axis.name) for axis in axes]
    placed = [axis.locate(theta[:, j]) for axis, j in zip(axes, columns, strict=True)]
    factors = [np.stack([1 - upper, upper]) for _, upper in placed]
    for a, (axis, column) in enumerate(zip(axes, columns, strict=True)):
        node = placed[a][0]
        slope = 1 / (axis.positions[node + 1] - axis.positions[node])
        if axis.spacing == "log":
            slope = slope / theta[:, column]
        product = np.ones((1, theta.shape[0]))
        for b, factor in enumerate(factors):
            factor = np.stack([-slope, slope]) if b == a else factor
            # Terms that are lower on this axis come before those that are upper.
            product = np.concatenate([product * factor[0], product * factor[1]])
        yield column, product.T
