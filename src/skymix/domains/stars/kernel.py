"""Densities of stars under normal components, each widened by the star's own errors.

    ln L = sum_i ln [ sum_k w_k N(x_i | mu_k, C_i + S_k) + w_0 p_0 ],

C_i the covariance of the errors of star i, S_k the intrinsic covariance of component k; in one to
three dimensions in closed form. Stars are done in tiles, arrays of one number a star, so that the
compiler can use vector instructions; the exponential is 2^n times a polynomial.
"""

import math
from typing import Any

import numpy as np
from numba import njit

from skymix.axes import FloatArray

_TILE = 512
_FASTMATH = {"reassoc", "contract", "nsz", "arcp"}
_LOG2E = 1.0 / math.log(2.0)
# 2^f = sum of (f ln 2)^n / n!, |f| <= 1/2: the next term is below 1e-16.
_TAYLOR = tuple(math.log(2.0) ** n / math.factorial(n) for n in range(13))
# Adding it moves the integer part of a number to the low bits; 1023 is the exponent's bias.
_SHIFT = 1.5 * 2.0**52
_SMALLEST = -1000.0  # in powers of two, before a density counts as too small for this path
_FLOOR = 1e-250


def tiles_of(values: FloatArray, covariance: FloatArray) -> tuple[FloatArray, int]:
    """Coordinates and covariances of stars by tile, (ntile, ndim + ndim (ndim + 1) / 2, size).

    Parameters
    ----------
    values : (nstar, ndim)
    covariance : (nstar, ndim, ndim)

    Returns
    -------
    The tiles, the last one filled up with its first star, and the number of stars.
    """
    nstar, ndim = values.shape
    lower = np.tril_indices(ndim)
    columns = np.concatenate([values, covariance[:, *lower]], axis=1)
    order = np.arange(_TILE * -(-nstar // _TILE)) % nstar
    tiles = columns[order].reshape(-1, _TILE, columns.shape[1]).swapaxes(1, 2)
    return np.ascontiguousarray(tiles), nstar


def log_likelihood(
    tiles: FloatArray,
    nstar: int,
    weight: FloatArray,
    mean: FloatArray,
    covariance: FloatArray,
    constant: FloatArray,
) -> FloatArray:
    """Log likelihood of each point, (npoint,).

    Parameters
    ----------
    tiles, nstar : of `tiles_of`
    weight : (npoint, ncomponent)
    mean : (npoint, ncomponent, ndim)
    covariance : (npoint, ncomponent, ndim, ndim) intrinsic
    constant : (npoint,) density that is the same everywhere, weight included
    """
    out = np.zeros(weight.shape[0])
    lower = np.tril_indices(mean.shape[2])
    shape = np.ascontiguousarray(covariance[:, :, *lower])
    _log_likelihood(tiles, nstar, weight, mean, shape, constant, out)
    return out


def log_normal(
    tiles: FloatArray, nstar: int, mean: FloatArray, covariance: FloatArray
) -> FloatArray:
    """Log density of each star, (nstar,), under one normal component.

    Parameters
    ----------
    tiles, nstar : of `tiles_of`
    mean : (ndim,)
    covariance : (ndim, ndim) intrinsic
    """
    power, norm = np.empty((2, tiles.shape[0], _TILE))
    _exponents(tiles, mean, covariance[np.tril_indices(mean.size)], power, norm)
    log = power / _LOG2E - 0.5 * np.log(norm) - 0.5 * mean.size * math.log(2 * math.pi)
    return np.asarray(log.ravel()[:nstar])


@njit(cache=True, fastmath=_FASTMATH, error_model="numpy")
def _exponent(tile: Any, mean: Any, shape: Any, power: Any, norm: Any) -> None:
    """-chi^2 / 2 in powers of two, and the determinant, of each star of a tile."""
    if mean.size == 1:
        for i in range(_TILE):
            x = tile[0, i] - mean[0]
            a = tile[1, i] + shape[0]
            norm[i] = a
            power[i] = -0.5 * _LOG2E * x * x / a
    elif mean.size == 2:
        for i in range(_TILE):
            x, y = tile[0, i] - mean[0], tile[1, i] - mean[1]
            a, b, c = tile[2, i] + shape[0], tile[3, i] + shape[1], tile[4, i] + shape[2]
            norm[i] = a * c - b * b
            power[i] = -0.5 * _LOG2E * (c * x * x - 2 * b * x * y + a * y * y) / norm[i]
    else:
        for i in range(_TILE):
            x, y, z = tile[0, i] - mean[0], tile[1, i] - mean[1], tile[2, i] - mean[2]
            a, b, c = tile[3, i] + shape[0], tile[4, i] + shape[1], tile[5, i] + shape[2]
            d, e, f = tile[6, i] + shape[3], tile[7, i] + shape[4], tile[8, i] + shape[5]
            aa, bb, cc = c * f - e * e, d * e - b * f, b * e - c * d
            norm[i] = a * aa + b * bb + d * cc
            square = aa * x * x + (a * f - d * d) * y * y + (a * c - b * b) * z * z
            square += 2 * (bb * x * y + cc * x * z + (b * d - a * e) * y * z)
            power[i] = -0.5 * _LOG2E * square / norm[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _exponents(tiles: Any, mean: Any, shape: Any, power: Any, norm: Any) -> None:
    for t in range(tiles.shape[0]):
        _exponent(tiles[t], mean, shape, power[t], norm[t])


@njit(cache=True, fastmath=_FASTMATH, error_model="numpy")
def _add_normal(
    tile: Any,
    weight: float,
    mean: Any,
    shape: Any,
    power: Any,
    norm: Any,
    shifted: Any,
    bits: Any,
    scale: Any,
    value: Any,
) -> None:
    """Add a normal component's density, times its weight, to the value of each star."""
    _exponent(tile, mean, shape, power, norm)
    for i in range(_TILE):
        whole = np.floor(max(power[i], _SMALLEST) + 0.5)
        power[i] = max(power[i], _SMALLEST) - whole
        shifted[i] = whole + (_SHIFT + 1023.0)
    for i in range(_TILE):
        bits[i] = bits[i] << 52
    factor = weight * (2 * math.pi) ** (-0.5 * mean.size)
    for i in range(_TILE):
        f = power[i]
        p = _TAYLOR[12]
        p = p * f + _TAYLOR[11]
        p = p * f + _TAYLOR[10]
        p = p * f + _TAYLOR[9]
        p = p * f + _TAYLOR[8]
        p = p * f + _TAYLOR[7]
        p = p * f + _TAYLOR[6]
        p = p * f + _TAYLOR[5]
        p = p * f + _TAYLOR[4]
        p = p * f + _TAYLOR[3]
        p = p * f + _TAYLOR[2]
        p = p * f + _TAYLOR[1]
        p = p * f + 1.0
        value[i] += factor * p * scale[i] / np.sqrt(norm[i])


@njit(cache=True, error_model="numpy")
def _log_carefully(
    tile: Any,
    count: int,
    weight: Any,
    mean: Any,
    shape: Any,
    constant: float,
    power: Any,
    norm: Any,
    log: Any,
) -> float:
    """Sum of the log densities of a tile by log-sum-exp."""
    log[:] = math.log(constant) if constant > 0.0 else -np.inf
    for k in range(weight.size):
        _exponent(tile, mean[k], shape[k], power, norm)
        for i in range(count):
            if weight[k] > 0.0:
                one = math.log(weight[k]) + power[i] / _LOG2E - 0.5 * math.log(norm[i])
                one -= 0.5 * mean.shape[1] * math.log(2 * math.pi)
                high, low = max(log[i], one), min(log[i], one)
                log[i] = high + math.log1p(math.exp(low - high))
    return float(log[:count].sum())


@njit(cache=True, nogil=True, error_model="numpy")
def _log_likelihood(
    tiles: Any, nstar: int, weight: Any, mean: Any, shape: Any, constant: Any, out: Any
) -> None:
    power, norm, value = np.empty(_TILE), np.empty(_TILE), np.empty(_TILE)
    shifted, log = np.empty(_TILE), np.empty(_TILE)
    bits, scale = shifted.view(np.int64), shifted
    for t in range(tiles.shape[0]):
        count = min(_TILE, nstar - t * _TILE)
        for b in range(weight.shape[0]):
            value[:] = constant[b]
            for k in range(weight.shape[1]):
                _add_normal(
                    tiles[t],
                    weight[b, k],
                    mean[b, k],
                    shape[b, k],
                    power,
                    norm,
                    shifted,
                    bits,
                    scale,
                    value,
                )
            low, high = value.min(), value.max()
            if not (low > _FLOOR and high < 1.0 / _FLOOR):
                out[b] += _log_carefully(
                    tiles[t], count, weight[b], mean[b], shape[b], constant[b], power, norm, log
                )
                continue
            product, total = 1.0, 0.0
            for i in range(count):
                product *= value[i]
                if product < 1e-30 or product > 1e30:
                    total += math.log(product)
                    product = 1.0
            out[b] += total + math.log(product)
