"""The components of a mixture of stars as the kernel takes them, and the chain rule back."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from skymix.axes import FloatArray
from skymix.domains.stars import kernel
from skymix.domains.stars.distances import OneDistance
from skymix.domains.stars.normal import Normal
from skymix.mixture import Prior
from skymix.store import Catalogue

_POINTS = 64  # at a time, for the memory


class LogDensity(Protocol):
    """A density at some stars as a function of its parameters."""

    def __call__(self, theta: FloatArray) -> FloatArray:
        """Log density of each star, (nstar,), for parameters (nparameter,)."""

    def gradient(self, theta: FloatArray) -> FloatArray:
        """Its derivative by each parameter, (nparameter, nstar)."""


class OtherDensity(Protocol):
    """A factor that is no normal density of measured coordinates."""

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names of the coordinates; "sky" for the position."""

    @property
    def parameters(self) -> dict[str, Prior]:
        """Priors by name, in the order in which the density takes the values."""

    def at(self, stars: Catalogue) -> LogDensity:
        """Log density at these stars."""


Factor = Normal | OneDistance | OtherDensity


class Terms:
    """Sums over stars of the logarithm of a mixture, and their derivatives.

    Parameters
    ----------
    stars : the catalogue
    components : for each its factors, and the columns of the values that each of them takes
    log_constant : (ncomponent,) log of what is the same at all stars
    """

    def __init__(
        self,
        stars: Catalogue,
        components: Sequence[Sequence[tuple[Factor, slice]]],
        log_constant: FloatArray,
    ) -> None:
        self._nstar = stars.row.size
        # Whole tiles of stars, so that nothing need be copied.
        order = kernel.filled_up(self._nstar)
        sky = stars.sky[order] if stars.sky.size else stars.sky
        stars = replace(
            stars,
            values=stars.values[order],
            covariance=stars.covariance[order],
            row=stars.row[order],
            sky=sky,
            member=np.empty(0, np.int64),
        )
        self._normals: list[tuple[Normal | OneDistance, slice]] = []
        self._others: list[list[tuple[LogDensity, slice]]] = []
        columns: list[FloatArray] = []
        first: dict[tuple[str, ...], int] = {}
        factors, ndim = [], np.zeros(len(components))
        self._extra = np.full(len(components), -1)
        for k, component in enumerate(components):
            others = []
            for factor, part in component:
                if not isinstance(factor, Normal | OneDistance):
                    others.append((factor.at(stars), part))
                    continue
                if factor.coordinates not in first:
                    first[factor.coordinates] = sum(map(len, columns))
                    columns.append(_columns(stars, factor.coordinates))
                self._normals.append((factor, part))
                factors.append((k, first[factor.coordinates], len(factor.coordinates)))
                ndim[k] += len(factor.coordinates)
            if others:
                self._extra[k] = len(self._others)
                self._others.append(others)
        self._factors = np.array(factors, dtype=np.int64).reshape(-1, 3)
        self._tiles = kernel.tiles_of(np.concatenate([np.empty((0, order.size)), *columns]))
        self._log_constant = log_constant - 0.5 * ndim * math.log(2 * math.pi)

    def log_sum(self, values: FloatArray, weight: FloatArray) -> FloatArray:
        """Log likelihood of each point, (n,); -inf where a density is not defined.

        Parameters
        ----------
        values : (n, nparameter) of all factors
        weight : (n, ncomponent)
        """
        parts = [self._log_sum(*part, gradient=False)[0] for part in _parts(values, weight)]
        return np.concatenate(parts)

    def log_sum_gradient(
        self, values: FloatArray, weight: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Log likelihoods as of `log_sum`, and their derivatives by the weights and the values."""
        parts = [self._log_sum(*part, gradient=True) for part in _parts(values, weight)]
        value, by_weight, by_values = map(np.concatenate, zip(*parts, strict=True))
        return value, by_weight, by_values

    def log_densities(self, values: FloatArray) -> FloatArray:
        """Log density of each component at each star, (ncomponent, nstar), of one point."""
        shape, extras = self._shapes(values[None]), self._extras(values[None])
        tiles, factors, extra = self._tables
        log = kernel.log_densities(tiles, factors, extra, shape[0], extras[0])
        return np.asarray(log[:, : self._nstar] + self._log_constant[:, None])

    def _log_sum(
        self, values: FloatArray, weight: FloatArray, gradient: bool
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        constant = np.exp(self._log_constant)
        shape, extras = self._shapes(values), self._extras(values)
        value, rows = np.zeros(len(values)), len(values) if gradient else 0
        by_weight, by_shape = (np.zeros((rows, *of.shape[1:])) for of in (weight, shape))
        share = np.empty((rows, *extras.shape[1:]))
        tiles, factors, extra = self._tables
        kernel.log_sum(
            tiles, self._nstar, factors, extra, weight * constant, shape, extras,
            value, by_weight, by_shape, share,
        )  # fmt: skip
        value = np.where(np.isnan(value), -np.inf, value)
        if not gradient:
            return value, by_weight, by_shape
        return value, by_weight * constant, self._by_values(values, by_shape, share)

    @property
    def _tables(self) -> tuple[Any, Any, Any]:
        """Tiles, factors and extra, read-only as in a rank that shares them.

        For arrays that can be written numba would compile the kernel a second time.
        """
        return _read_only(self._tiles), _read_only(self._factors), _read_only(self._extra)

    def _shapes(self, values: FloatArray) -> FloatArray:
        """Means and covariances of the normal factors, (n, nfactor, kernel.SLOTS)."""
        shape = np.zeros((len(values), len(self._normals), kernel.SLOTS))
        for j, (factor, part) in enumerate(self._normals):
            mean, lower = factor.moments(values[:, part])
            shape[:, j, : mean.shape[1]] = mean
            shape[:, j, 3 : 3 + lower.shape[1]] = lower
        return shape

    def _extras(self, values: FloatArray) -> FloatArray:
        """Log densities of the other factors, (n, nextra, ntile, size)."""
        ntile, _, size = self._tiles.shape
        log = np.zeros((len(values), len(self._others), ntile * size))
        for of_point, point in zip(log, values, strict=True):
            for row, others in zip(of_point, self._others, strict=True):
                for density, part in others:
                    row += density(point[part])
        return log.reshape(*log.shape[:2], ntile, size)

    def _by_values(self, values: FloatArray, by_shape: FloatArray, share: FloatArray) -> FloatArray:
        """Derivative by the values, from those by means, covariances and log densities."""
        gradient = np.zeros_like(values)
        for j, (factor, part) in enumerate(self._normals):
            ndim = len(factor.coordinates)
            end = 3 + ndim * (ndim + 1) // 2
            gradient[:, part] = factor.by_parameters(
                values[:, part], by_shape[:, j, :ndim], by_shape[:, j, 3:end]
            )
        for i, (point, of_point) in enumerate(zip(values, share, strict=True)):
            for row, others in zip(of_point, self._others, strict=True):
                for density, part in others:
                    gradient[i, part] = density.gradient(point[part]) @ row.ravel()
        return gradient


def _read_only(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def _parts(values: FloatArray, weight: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
    starts = range(0, max(len(values), 1), _POINTS)
    return [(values[i : i + _POINTS], weight[i : i + _POINTS]) for i in starts]


def _columns(stars: Catalogue, coordinates: tuple[str, ...]) -> FloatArray:
    """Coordinates and lower triangle of their errors' covariance, (ncolumn, nstar)."""
    values, covariance = stars.measured(coordinates)
    lower = np.tril_indices(len(coordinates))
    return np.concatenate([values, covariance[:, *lower]], axis=1).T
