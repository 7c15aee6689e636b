"""What module.c offers. Arrays are C-contiguous float64 or int64, where it says so."""

from typing import Any, final

import numpy as np

from skymix.axes import FloatArray, IntArray

_Array = np.ndarray[Any, Any]
_Edges = tuple[IntArray, IntArray, IntArray, FloatArray]
_Grids = tuple[IntArray, IntArray, IntArray, IntArray, IntArray, FloatArray]

@final
class Table:
    """A table of densities; `TiledTable` says what its arrays are."""

    def __new__(
        cls, arrays: tuple[_Array, ...], nrow: int, nsegment: int, level: int, exponent: float
    ) -> Table: ...
    def log_sum(
        self, rows: _Array, coefficients: FloatArray, threads: int, gradient: FloatArray | None
    ) -> FloatArray:
        """Values of points, (npoint,), from (npoint, nset, nterm); adds to the gradient."""

@final
class Mixture:
    """Parameters to log likelihood in one call, on so many threads.

    In `edges` the number of a leaf is that of the first term of its table.
    """

    def __new__(
        cls, table: Table, edges: _Edges, grids: _Grids, threads: int, constant: float
    ) -> Mixture: ...
    def log_likelihood(self, theta: FloatArray) -> FloatArray:
        """Log likelihood, (n,), of parameters (n, ndim), and the constant."""

def leaf_weights(fractions: FloatArray, edges: _Edges) -> FloatArray:
    """Weights, (n, nleaf), of free fractions; `edges` are those of a tree."""

def terms(theta: FloatArray, factors: FloatArray, grids: _Grids) -> tuple[IntArray, FloatArray]:
    """Rows and coefficients, (n, nterm); `grids` are those of an interpolation."""

def highest_level() -> int:
    """Instructions that this processor has: 0 the baseline, 1 AVX2 and FMA, 2 AVX-512."""
