"""Unbounded coordinates of the splits of a tree.

A free split of K children has K - 1 coordinates z_j = ln(f_j / f_K), the additive log-ratios of
its fractions. Their prior density is that of the fractions times the Jacobian, the product of all
K fractions: a Dirichlet prior becomes prod_j f_j^a_j, a count of a_j in each child.
"""

import numpy as np
from scipy import special

from skymix.axes import FloatArray
from skymix.mixture import Tree
from skymix.mixture.priors import SimplexPrior

_TINY = 1e-300  # stands for a fixed fraction of zero, whose logarithm times zero is no number


class SplitCoordinates:
    """Fractions, weights, prior and derivatives as functions of z, (n, ndim).

    The edges of the tree are numbered split by split, child by child, fixed splits included.
    """

    def __init__(self, tree: Tree) -> None:
        self._splits: list[tuple[slice, SimplexPrior | FloatArray]] = []
        split_of: list[int] = []
        free: list[int] = []
        last: list[int] = []
        count: list[float] = []
        names: list[str] = []
        for s, node in enumerate(tree.splits()):
            k, start = len(node.children), len(split_of)
            split_of += [s] * k
            names += list(node.child_names())
            if isinstance(node.prior, SimplexPrior):
                free += range(start, start + k - 1)
                last += [start + k - 1] * (k - 1)
                count += list(node.prior.concentration)
                self._splits.append((slice(start, start + k), node.prior))
            else:
                count += [0.0] * k
                fixed = np.log(np.maximum(node.prior, _TINY))
                self._splits.append((slice(start, start + k), fixed))
        self._free, self._last = np.array(free, dtype=np.int64), np.array(last, dtype=np.int64)
        self._count = np.array(count)
        self._split_of = np.array(split_of)
        # (nedge, nsplit) and (nleaf, nedge): which edges a split has, which lead to a leaf
        self._of_split = (self._split_of[:, None] == np.arange(len(self._splits))) * 1.0
        self._path = _paths(tree, names)
        self._same_split = (self._split_of[self._free][:, None] == self._split_of[self._free]) * 1.0
        self._norm = sum(
            float(special.gammaln(sum(p.concentration)) - special.gammaln(p.concentration).sum())
            for _, p in self._splits
            if isinstance(p, SimplexPrior)
        )

    @property
    def ndim(self) -> int:
        """Number of coordinates."""
        return int(self._free.size)

    @property
    def smallest_count(self) -> float:
        """Smallest concentration of a free split, at most 1."""
        return float(min([1.0, *self._count[self._count > 0]]))

    def log_fractions(self, z: FloatArray) -> FloatArray:
        """ln of the fraction of every edge, (n, nedge)."""
        out = np.empty((z.shape[0], self._count.size))
        at = 0
        for part, prior in self._splits:
            if isinstance(prior, SimplexPrior):
                whole = np.pad(z[:, at : at + prior.ndim], ((0, 0), (0, 1)))
                out[:, part] = whole - special.logsumexp(whole, axis=1, keepdims=True)
                at += prior.ndim
            else:
                out[:, part] = prior
        return out

    def fractions(self, z: FloatArray) -> FloatArray:
        """Free fractions, (n, ndim), in the order of the tree."""
        return np.asarray(np.exp(self.log_fractions(z)[:, self._free]))

    def weights(self, z: FloatArray) -> FloatArray:
        """Weights of the leaves, (n, nleaf)."""
        return np.asarray(np.exp(self.log_fractions(z) @ self._path.T))

    def log_prior(self, z: FloatArray) -> FloatArray:
        """Log prior density in z, (n,)."""
        return np.asarray(self._norm + self.log_fractions(z) @ self._count)

    def prior_draws(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draws from the prior, by logarithms of gamma variates, which cannot underflow."""
        a = np.where(self._count > 0, self._count, 1.0)
        log_gamma = np.log(rng.standard_gamma(a + 1, (n, a.size)))
        log_gamma += np.log1p(-rng.random((n, a.size))) / a
        return np.asarray(log_gamma[:, self._free] - log_gamma[:, self._last])

    def expected(self, first: FloatArray) -> FloatArray:
        """Coordinates, (n, ndim), that the M step of EM gives for leaf counts (n, nleaf)."""
        with np.errstate(divide="ignore"):  # fixed edges, which are not used
            log_count = np.log(first @ self._path + self._count)
        return np.asarray(log_count[:, self._free] - log_count[:, self._last])

    def derivatives(
        self, z: FloatArray, first: FloatArray, second: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Gradient, (n, ndim), and Hessian, (n, ndim, ndim), of ln L + ln prior.

        Parameters
        ----------
        first, second : moments of the responsibilities at z, as `LeafMoments` gives them
        """
        f = np.exp(self.log_fractions(z))
        count = first @ self._path + self._count
        total = (count @ self._of_split)[:, self._split_of[self._free]]
        share = f[:, self._free]
        gradient = count[:, self._free] - total * share
        # d ln w_k / dz
        below = self._path @ self._of_split
        slope = self._path[:, self._free] - below[:, self._split_of[self._free]] * share[:, None, :]
        moments = -second
        k = np.arange(first.shape[1])
        moments[:, k, k] += first
        hessian = slope.transpose(0, 2, 1) @ moments @ slope
        d = np.arange(self.ndim)
        hessian += (total * share)[:, :, None] * share[:, None, :] * self._same_split
        hessian[:, d, d] -= total * share
        return gradient, hessian


def _paths(tree: Tree, edges: list[str]) -> FloatArray:
    """Whether an edge, named by its child, leads to a leaf: (nleaf, nedge)."""
    parent = {child: node.name for node in tree.splits() for child in node.child_names()}
    column = {name: j for j, name in enumerate(edges)}
    paths = np.zeros((len(tree.leaves), len(edges)))
    for k, leaf in enumerate(tree.leaves):
        at = leaf
        while at:
            paths[k, column[at]] = 1.0
            at = parent[at]
    return paths
