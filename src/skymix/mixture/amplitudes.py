"""Factors on the amplitudes of the leaves of a tree, each of a leaf's own or shared by a split."""

from collections.abc import Iterator, Mapping

import numpy as np

from skymix.axes import FloatArray
from skymix.mixture.gradient import by_fractions
from skymix.mixture.priors import Prior
from skymix.mixture.tree import Node, Tree


class Amplitudes:
    """Factors of the nodes of a tree: one a leaf, or one a split whose children share it.

    Parameters
    ----------
    tree : the tree
    amplitudes : by node; a number if it is fixed
    """

    def __init__(self, tree: Tree, amplitudes: Mapping[str, Prior | float]) -> None:
        self._fixed = {name: a for name, a in amplitudes.items() if isinstance(a, float)}
        splits = {node.name: node for node in tree.splits() if node.name}
        self._leaves = [name for name in amplitudes if name not in splits]
        self._trees = {name: Tree(splits[name]) for name in amplitudes if name in splits}
        reached = [*self._leaves, *(leaf for t in self._trees.values() for leaf in t.leaves)]
        if sorted(reached) != sorted(tree.leaves):
            raise ValueError(
                f"amplitudes reach the leaves {sorted(reached)}, expected each of"
                f" {sorted(tree.leaves)} once"
            )
        self.fractions = tuple(name for t in self._trees.values() for name in t.free_fractions)

    def splits(self) -> Iterator[Node]:
        """The splits whose fractions count, tree after tree."""
        for tree in self._trees.values():
            yield from tree.splits()

    def transform(self, u: FloatArray) -> FloatArray:
        """Fractions, (n, nfraction), of unit-cube points."""
        parts = [tree.transform(part) for tree, part in self._split(u)]
        return np.concatenate([u[:, :0], *parts], axis=1)

    def log_prior(self, fractions: FloatArray) -> FloatArray:
        """Log prior density of the fractions, (n,)."""
        total = np.zeros(fractions.shape[0])
        for tree, part in self._split(fractions):
            total += tree.log_prior(part)
        return total

    def of_nodes(
        self, free: Mapping[str, FloatArray], fractions: FloatArray
    ) -> dict[str, FloatArray]:
        """Factor on the amplitude of each leaf and of each split that has one, (n,) each."""
        ones = np.ones(fractions.shape[0])
        found = {name: value * ones for name, value in self._fixed.items()} | dict(free)
        for name, (tree, part) in zip(self._trees, self._split(fractions), strict=True):
            weights = tree.weights(part)
            found |= {leaf: found[name] * weights[:, k] for k, leaf in enumerate(tree.leaves)}
        return found

    def chain(
        self,
        free: Mapping[str, FloatArray],
        fractions: FloatArray,
        by_leaf: Mapping[str, FloatArray],
    ) -> tuple[dict[str, FloatArray], FloatArray]:
        """Derivative by the free amplitudes, by node, and by the fractions, (n, nfraction).

        Parameters
        ----------
        free, fractions : as `of_nodes` takes them
        by_leaf : derivative by the factor on each leaf, (n,) each
        """
        by_node, by_fraction = {name: by_leaf[name] for name in self._leaves}, [fractions[:, :0]]
        scale = {**self._fixed, **free}
        for name, (tree, part) in zip(self._trees, self._split(fractions), strict=True):
            below = np.stack([by_leaf[leaf] for leaf in tree.leaves], axis=1)
            by_node[name] = (below * tree.weights(part)).sum(axis=1)
            by_fraction.append(
                by_fractions(tree, part, below * np.asarray(scale[name]).reshape(-1, 1))
            )
        return {name: by_node[name] for name in free}, np.concatenate(by_fraction, axis=1)

    def _split(self, columns: FloatArray) -> list[tuple[Tree, FloatArray]]:
        """Columns of each tree."""
        ends = np.cumsum([tree.ndim for tree in self._trees.values()])[:-1]
        parts = np.split(columns, ends, axis=1) if self._trees else []
        return list(zip(self._trees.values(), parts, strict=True))
