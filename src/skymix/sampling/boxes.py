"""Boxes in the space of the scanned parameters, in the positions on their grids."""

import math
from dataclasses import dataclass

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.mixture import Prior, TabulatedMixture

MOST_CELLS = 400


@dataclass(frozen=True, eq=False)
class ScannedSpace:
    """The scanned parameters by position: the value, or its logarithm on a grid of log spacing.

    Parameters
    ----------
    priors : of each parameter
    log : whether the position is the logarithm
    nodes : positions of each grid's nodes
    """

    priors: tuple[Prior, ...]
    log: tuple[bool, ...]
    nodes: tuple[FloatArray, ...]

    @classmethod
    def of(cls, problem: TabulatedMixture) -> "ScannedSpace":
        """Space of a mixture's scanned parameters; of grids that share a name the finest."""
        axes = [a for leaf in problem.leaves for a in leaf.axes]
        finest = {
            name: max((a for a in axes if a.name == name), key=lambda a: a.nodes.size)
            for name in problem.priors
        }
        return cls(
            tuple(problem.priors.values()),
            tuple(a.spacing == "log" for a in finest.values()),
            tuple(np.log(a.nodes) if a.spacing == "log" else a.nodes for a in finest.values()),
        )

    @property
    def ndim(self) -> int:
        """Number of parameters."""
        return len(self.priors)

    def values(self, position: FloatArray) -> FloatArray:
        """Values, (n, ndim), within the bounds of the priors."""
        out = np.empty_like(position)
        for j, (prior, log) in enumerate(zip(self.priors, self.log, strict=True)):
            value = np.exp(position[:, j]) if log else position[:, j]
            out[:, j] = np.clip(value, *_bounds(prior))
        return out

    def prior_draws(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Positions and values, (n, ndim) each, drawn from the prior."""
        values = np.empty((n, self.ndim))
        for j, prior in enumerate(self.priors):
            values[:, j] = prior.transform(rng.random(n))
        with np.errstate(divide="ignore"):
            logs = np.log(np.abs(values))
        return np.where(np.array(self.log, dtype=bool), logs, values), values

    def log_prior(self, position: FloatArray, values: FloatArray) -> FloatArray:
        """Log prior density in the positions, (n,)."""
        total = np.zeros(values.shape[0])
        for j, (prior, log) in enumerate(zip(self.priors, self.log, strict=True)):
            total += prior.log_density(values[:, j]) + (position[:, j] if log else 0.0)
        return total

    def cells(self) -> "Boxes":
        """Cells about the nodes inside the priors' bounds; some hundred at most, else merged."""
        edges = []
        for prior, log, nodes in zip(self.priors, self.log, self.nodes, strict=True):
            low, high = (math.log(b) if log else b for b in _bounds(prior))
            middles = (nodes[1:] + nodes[:-1]) / 2
            inside = middles[(middles > low) & (middles < high)]
            edges.append(np.concatenate([[low], inside, [high]]))
        sizes = [e.size - 1 for e in edges]
        while math.prod(sizes) > MOST_CELLS:
            sizes[int(np.argmax(sizes))] -= 1
        edges = [
            e[np.linspace(0, e.size - 1, size + 1).round().astype(np.int64)]
            for e, size in zip(edges, sizes, strict=True)
        ]
        return Boxes(_product([e[:-1] for e in edges]), _product([e[1:] for e in edges]))


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes that do not overlap.

    Parameters
    ----------
    lower, upper : (nbox, ndim) positions
    """

    lower: FloatArray
    upper: FloatArray

    @property
    def size(self) -> int:
        """Number of boxes."""
        return int(self.lower.shape[0])

    @property
    def centres(self) -> FloatArray:
        """Positions of the centres, (nbox, ndim)."""
        return (self.lower + self.upper) / 2

    @property
    def log_volume(self) -> FloatArray:
        """ln of each volume, (nbox,)."""
        return np.asarray(np.log(self.upper - self.lower).sum(axis=1))

    def take(self, which: IntArray) -> "Boxes":
        """Some of the boxes."""
        return Boxes(self.lower[which], self.upper[which])

    def joined(self, others: "Boxes") -> "Boxes":
        """These boxes and others."""
        return Boxes(
            np.concatenate([self.lower, others.lower]), np.concatenate([self.upper, others.upper])
        )

    def halves(self, which: IntArray) -> "Boxes":
        """The 2^ndim halves of some boxes, those of one box one after the other."""
        ndim = self.lower.shape[1]
        side = np.array(np.unravel_index(np.arange(2**ndim), (2,) * ndim)).T[None].astype(bool)
        low, high = self.lower[which, None], self.upper[which, None]
        middle = (low + high) / 2
        return Boxes(
            np.where(side, middle, low).reshape(-1, ndim),
            np.where(side, high, middle).reshape(-1, ndim),
        )

    def coarse_neighbours(self, which: IntArray) -> IntArray:
        """Boxes that touch one of `which` and are larger than it."""
        volume = self.log_volume
        found = np.zeros(self.size, dtype=bool)
        for i in which:
            slack = 1e-9 * (self.upper[i] - self.lower[i])
            touches = self.lower <= self.upper[i] + slack
            touches &= self.upper >= self.lower[i] - slack
            found |= touches.all(axis=1) & (volume > volume[i] + 0.1)
        return np.flatnonzero(found)

    def locate(self, position: FloatArray) -> IntArray:
        """Box that each position, (n, ndim), is in; -1 for none."""
        inside = np.ones((position.shape[0], self.size), dtype=bool)
        for j in range(self.lower.shape[1]):
            x = position[:, j, None]
            inside &= (x >= self.lower[:, j]) & (x <= self.upper[:, j])
        return np.where(inside.any(axis=1), inside.argmax(axis=1), -1).astype(np.int64)


def _bounds(prior: Prior) -> tuple[float, float]:
    low, high = prior.transform(np.array([0.0, 1.0])).tolist()
    return low, high


def _product(axes: list[FloatArray]) -> FloatArray:
    """Every combination of one value an axis, (n, naxis); one empty row for no axis."""
    if not axes:
        return np.zeros((1, 0))
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
