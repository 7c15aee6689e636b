"""Responsibilities of the leaves summed over the data, for EM and for the curvature of ln L.

With r_ik the probability that datum i is of leaf k, at one point of the parameters,

    first_k = sum_i c_i r_ik,        second_kl = sum_i c_i r_ik r_il.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import njit

from skymix.axes import FloatArray
from skymix.mixture.likelihood import TabulatedMixture

# Reassociation only: no assumption that values are finite.
_FASTMATH = {"reassoc", "contract", "nsz", "arcp"}
_TILE = 256
_BLOCK_ENTRIES = 20_000_000  # of the table that is held at a time: 160 MB
_NOTHING = 1e-290  # mixture value, over the largest density, below which a datum is left out


class LeafMoments:
    """Sums over the data of a mixture, at many points at once, in bounded memory.

    Parameters
    ----------
    mixture : its tables are read in blocks of data
    """

    def __init__(self, mixture: TabulatedMixture) -> None:
        self._mixture = mixture
        rows = sum(leaf.density.shape[0] for leaf in mixture.leaves)
        width = max(_BLOCK_ENTRIES // rows, _TILE)
        ndatum = mixture.multiplicity.size
        self._parts = [slice(a, a + width) for a in range(0, ndatum, width)]
        self._whole = self._block(self._parts[0]) if len(self._parts) == 1 else None

    def sums(
        self, theta: FloatArray, weights: FloatArray, second: bool
    ) -> tuple[FloatArray, FloatArray]:
        """First moments, (n, nleaf), and second, (n, nleaf, nleaf).

        Parameters
        ----------
        theta : (n, ndim) points, of which only the scanned parameters are used
        weights : (n, nleaf) of the leaves
        second : whether to compute the second moments, which are zero if not
        """
        leaf, rows, fractions = self._terms(theta)
        n, nleaf = weights.shape
        first, cross = np.zeros((n, nleaf)), np.zeros((n, nleaf, nleaf))
        for table, multiplicity in self._blocks():
            _accumulate(table, multiplicity, leaf, rows, fractions, weights, second, first, cross)
        return first, cross

    def _terms(self, theta: FloatArray) -> tuple[Any, Any, FloatArray]:
        """Leaf of each term, its row at each point, and its interpolation weight."""
        leaf: list[int] = []
        rows, fractions = [], []
        offset = 0
        for k, (row, fraction) in enumerate(self._mixture.leaf_rows(theta)):
            leaf += [k] * row.shape[1]
            rows.append(row + offset)
            fractions.append(fraction)
            offset += self._mixture.leaves[k].density.shape[0]
        return np.array(leaf), np.concatenate(rows, axis=1), np.concatenate(fractions, axis=1)

    def _blocks(self) -> Iterator[tuple[FloatArray, FloatArray]]:
        for part in self._parts:
            table = self._block(part) if self._whole is None else self._whole
            yield table, self._mixture.multiplicity[part]

    def _block(self, part: slice) -> FloatArray:
        """Densities of some data over the largest of their column."""
        table = np.concatenate([leaf.density[:, part] for leaf in self._mixture.leaves])
        return np.asarray(table / table.max(axis=0))


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _accumulate(
    table: Any,
    multiplicity: Any,
    leaf: Any,
    rows: Any,
    fractions: Any,
    weights: Any,
    second: bool,
    first: Any,
    cross: Any,
) -> None:
    ndatum = table.shape[1]
    npoint, nleaf = weights.shape
    share = np.empty((nleaf, _TILE))
    scale = np.empty(_TILE)
    for start in range(0, ndatum, _TILE):
        size = min(_TILE, ndatum - start)
        count = multiplicity[start : start + size]
        for b in range(npoint):
            share[:] = 0.0
            for t in range(leaf.size):
                factor = weights[b, leaf[t]] * fractions[b, t]
                row, to = table[rows[b, t], start : start + size], share[leaf[t]]
                for i in range(size):
                    to[i] += factor * row[i]
            scale[:] = 0.0
            for k in range(nleaf):
                for i in range(size):
                    scale[i] += share[k, i]
            for i in range(size):
                scale[i] = 1.0 / scale[i] if scale[i] > _NOTHING else 0.0
            for k in range(nleaf):
                total = 0.0
                for i in range(size):
                    share[k, i] *= scale[i]
                    total += count[i] * share[k, i]
                first[b, k] += total
            if second:
                for k in range(nleaf):
                    for m in range(k + 1):
                        total = 0.0
                        for i in range(size):
                            total += count[i] * share[k, i] * share[m, i]
                        cross[b, k, m] += total
                        if m < k:
                            cross[b, m, k] += total
