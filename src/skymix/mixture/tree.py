"""The tree of splits: each shares its weight among its children, down to the leaves."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.mixture import _kernel
from skymix.mixture.priors import SimplexPrior

# Edges whose share is not a free fraction, as in points.c.
REST, FIXED = -1, -2


@dataclass(frozen=True)
class Node:
    """An inner node.

    Parameters
    ----------
    name : name of the split, empty for the root
    children : names of leaves, or nodes
    prior : prior of the fractions, or the fractions themselves if they are fixed
    """

    name: str
    children: "tuple[str | Node, ...]"
    prior: SimplexPrior | tuple[float, ...]

    def child_names(self) -> tuple[str, ...]:
        """Names of the children."""
        return tuple(c if isinstance(c, str) else c.name for c in self.children)


@dataclass(frozen=True)
class Tree:
    """Mixture weights as a pure function of the fractions of the splits.

    A split of K children with a Dirichlet or beta prior has K - 1 free fractions, those of its
    first K - 1 children; a fixed split has none.
    """

    root: Node

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> "Tree":
        """Tree from ``{"prior": ..., "children": {name: None or the same again}}``."""
        return cls(_node("", settings))

    def splits(self) -> Iterator[Node]:
        """All inner nodes, each before its children."""
        pending = [self.root]
        while pending:
            node = pending.pop(0)
            yield node
            pending = [c for c in node.children if isinstance(c, Node)] + pending

    @cached_property
    def leaves(self) -> tuple[str, ...]:
        """Names of the leaves, depth first."""

        def below(node: Node) -> Iterator[str]:
            for child in node.children:
                if isinstance(child, str):
                    yield child
                else:
                    yield from below(child)

        return tuple(below(self.root))

    @cached_property
    def free_fractions(self) -> tuple[str, ...]:
        """Child whose share of its parent each free dimension is."""
        return tuple(
            name
            for node in self.splits()
            if isinstance(node.prior, SimplexPrior)
            for name in node.child_names()[:-1]
        )

    @property
    def ndim(self) -> int:
        """Number of free fractions."""
        return len(self.free_fractions)

    def transform(self, u: FloatArray) -> FloatArray:
        """Free fractions, (n, ndim), of unit-cube points (n, ndim)."""
        fractions = np.empty_like(u)
        at = 0
        for node in self.splits():
            if isinstance(node.prior, SimplexPrior):
                part = slice(at, at + node.prior.ndim)
                fractions[:, part] = node.prior.transform(u[:, part])
                at = part.stop
        return fractions

    def log_prior(self, fractions: FloatArray) -> FloatArray:
        """Log prior density of the free fractions, (n,)."""
        total = np.zeros(fractions.shape[0])
        at = 0
        for node in self.splits():
            if isinstance(node.prior, SimplexPrior):
                part = slice(at, at + node.prior.ndim)
                total += node.prior.log_density(fractions[:, part])
                at = part.stop
        return total

    def weights(self, fractions: FloatArray) -> FloatArray:
        """Weights of the leaves, (n, nleaf), of free fractions (n, ndim); rows add up to 1."""
        return _kernel.leaf_weights(fractions, self.edges)

    @cached_property
    def edges(self) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
        """Parent, column of the fraction, leaf at the end and fixed share of each edge.

        Edges go from each split to its children, in the order of `splits`. A node has the number
        of its edge plus one, the root 0. A leaf's number is -1 for a split.
        """
        number, parent, column, share, leaf = {self.root.name: 0}, [], [], [], []
        free = 0
        for node in self.splits():
            for j, child in enumerate(node.children):
                name = child if isinstance(child, str) else child.name
                parent.append(number[node.name])
                number[name] = len(parent)
                leaf.append(self.leaves.index(name) if isinstance(child, str) else -1)
                if not isinstance(node.prior, SimplexPrior):
                    column.append(FIXED)
                    share.append(node.prior[j])
                    continue
                last = j == len(node.children) - 1
                column.append(REST if last else free)
                free += not last
                share.append(np.nan)
        return np.array(parent), np.array(column), np.array(leaf), np.array(share)


def _node(name: str, settings: Mapping[str, Any]) -> Node:
    children = tuple(
        child if below is None else _node(child, below)
        for child, below in settings["children"].items()
    )
    return Node(name, children, _split_prior(settings.get("prior"), len(children)))


def _split_prior(
    settings: Mapping[str, Any] | None, children: int
) -> SimplexPrior | tuple[float, ...]:
    if settings is None:
        return SimplexPrior((1.0,) * children)
    if "fixed" in settings:
        return tuple(float(f) for f in settings["fixed"])
    values = settings["dirichlet"] if "dirichlet" in settings else settings["beta"]
    return SimplexPrior(tuple(float(a) for a in values))
