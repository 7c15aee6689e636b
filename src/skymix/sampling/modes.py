"""Modes of the posterior of the splits at fixed scanned parameters, for many of these at once.

At fixed parameters ln L is concave in the weights of the leaves, so that EM (Dempster, Laird and
Rubin 1977, JRSS B 39, 1) goes to its maximum from anywhere; Newton's method finishes.
"""

from dataclasses import dataclass

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.mixture import TabulatedMixture
from skymix.mixture.moments import LeafMoments
from skymix.sampling.coordinates import SplitCoordinates

_EM_STEPS = 12
_NEWTON_STEPS = 15
_LONGEST_STEP = 2.0
_PRECISE = 1e-3  # of the posterior's width
_SHRINK = (1.0, 0.3, 0.05)
_FLATTEST = 0.1  # smallest curvature, in units of the prior's smallest count


@dataclass(frozen=True, eq=False)
class Modes:
    """Modes and their Gaussian approximation.

    Parameters
    ----------
    z : (n, ndim) coordinates of the splits
    log_density : (n,) ln L + ln prior of the splits at the mode
    deviation : (n, ndim) standard deviations along the principal axes
    axes : (n, ndim, ndim) principal axes in columns
    """

    z: FloatArray
    log_density: FloatArray
    deviation: FloatArray
    axes: FloatArray

    @property
    def log_integral(self) -> FloatArray:
        """Laplace's approximation of the integral of L x prior over the splits, (n,)."""
        n = self.z.shape[1]
        return np.asarray(
            self.log_density + 0.5 * n * np.log(2 * np.pi) + np.log(self.deviation).sum(axis=1)
        )

    def take(self, which: IntArray) -> "Modes":
        """Some of the modes."""
        return Modes(
            self.z[which], self.log_density[which], self.deviation[which], self.axes[which]
        )

    def joined(self, others: "Modes") -> "Modes":
        """These modes and others."""
        return Modes(
            np.concatenate([self.z, others.z]),
            np.concatenate([self.log_density, others.log_density]),
            np.concatenate([self.deviation, others.deviation]),
            np.concatenate([self.axes, others.axes]),
        )


class ModeFinder:
    """Finds modes of a mixture; counts its likelihood calls in `calls`."""

    def __init__(self, problem: TabulatedMixture, coordinates: SplitCoordinates) -> None:
        self._problem, self._coordinates = problem, coordinates
        self._moments = LeafMoments(problem)
        self.calls = 0

    def modes(self, scanned: FloatArray, start: FloatArray | None = None) -> Modes:
        """Modes at each row of `scanned`, (n, nscanned).

        Parameters
        ----------
        start : (n, ndim) coordinates to start from; without them EM starts from the prior
        """
        z = np.zeros((scanned.shape[0], self._coordinates.ndim)) if start is None else start
        if start is None:
            for _ in range(_EM_STEPS):
                z = self._coordinates.expected(self._sums(z, scanned, second=False)[0])
        value = self._objective(z, scanned)
        for _ in range(_NEWTON_STEPS):
            gradient, curvature, axes = self._curvature(z, scanned)
            along = np.einsum("nji,nj->ni", axes, gradient)
            if np.max(np.abs(along) / np.sqrt(curvature), initial=0.0) < _PRECISE:
                break
            step = np.einsum("nij,nj->ni", axes, along / curvature)
            length = np.max(np.abs(step), axis=1, keepdims=True)
            step *= np.minimum(1.0, _LONGEST_STEP / np.maximum(length, 1e-300))
            z, value = self._climb(z, value, step, scanned)
        else:
            _, curvature, axes = self._curvature(z, scanned)
        return Modes(z, value, 1 / np.sqrt(curvature), axes)

    def _climb(
        self, z: FloatArray, value: FloatArray, step: FloatArray, scanned: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Take each step, or the first of its shorter versions that leads up."""
        z, value = z.copy(), value.copy()
        left = np.flatnonzero(np.isfinite(value))
        for shrink in _SHRINK:
            if not left.size:
                break
            trial = z[left] + shrink * step[left]
            there = self._objective(trial, scanned[left])
            up = there >= value[left]
            z[left[up]], value[left[up]] = trial[up], there[up]
            left = left[~up]
        return z, value

    def _curvature(
        self, z: FloatArray, scanned: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Gradient, curvature along the principal axes (positive), and these axes."""
        gradient, hessian = self._coordinates.derivatives(z, *self._sums(z, scanned, second=True))
        curvature, axes = np.linalg.eigh(-hessian)
        floor = _FLATTEST * self._coordinates.smallest_count
        return gradient, np.maximum(np.abs(curvature), floor), axes

    def _sums(
        self, z: FloatArray, scanned: FloatArray, second: bool
    ) -> tuple[FloatArray, FloatArray]:
        return self._moments.sums(self._theta(z, scanned), self._coordinates.weights(z), second)

    def _objective(self, z: FloatArray, scanned: FloatArray) -> FloatArray:
        self.calls += z.shape[0]
        likelihood = self._problem.log_likelihood(self._theta(z, scanned))
        return np.asarray(likelihood + self._coordinates.log_prior(z))

    def _theta(self, z: FloatArray, scanned: FloatArray) -> FloatArray:
        return np.concatenate([self._coordinates.fractions(z), scanned], axis=1)
