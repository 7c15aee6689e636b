"""Mixtures of products of normal densities, each widened by the star's own errors.

    ln L = sum_i ln s_i,   s_i = sum_k c_k e_ki prod_f N(x_if | mu_f, C_if + S_f),

C_if the covariance of the errors of star i in the coordinates of factor f, S_f its intrinsic
covariance, e_ki the density of whatever is no normal factor. Stars are done in tiles, in loops that
the compiler turns into vector instructions: N takes one inverse square root, by Newton's steps, and
one exponential, 2^n times a polynomial; factors of a component share both. Exponents are taken
from the largest of a star's, so that nothing is too small. The logarithm is that of a product of
mantissas, one a tile. Where that does not work (no density at all, or a covariance that is not
positive) a tile is done again star by star.

All that a kernel calls is made part of it (`forceinline`): a callee of its own would be taken from
whatever the process has compiled before, which may round otherwise in the last bit than the kernel
that the next process loads from numba's cache.
"""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.polynomial import Chebyshev, Polynomial

from skymix.axes import FloatArray, IntArray

SLOTS = 9  # of a factor: up to three means, and the lower triangle of its covariance
_TILE = 256
_FASTMATH = {"contract", "nsz"}
_SUMS = {"contract", "nsz", "reassoc"}
_LOG2E = 1.0 / math.log(2.0)
# 2^f for |f| <= 1/2 within 2e-15: Chebyshev's interpolation, as a polynomial.
_NEAR_ONE = Chebyshev.interpolate(np.exp2, 10, [-0.5, 0.5])
_POWER = tuple(_NEAR_ONE.convert(kind=Polynomial).coef.tolist())
# Adding it moves the integer part of a number, and the bias of an exponent, to the low bits.
_SHIFT = 1.5 * 2.0**52 + 1023.0
_SMALLEST = -1000.0  # in powers of two, below the largest term: nothing
# Bits of positive numbers are in the order of the numbers: 1e-250, 1e250 and the least normal one.
_LOW, _HIGH, _NORMAL = np.array([1e-250, 1e250, 2.0**-1022]).view(np.int64).tolist()
_MANTISSA, _ONE = (1 << 52) - 1, 1023 << 52
_ROOT = 0x5FE6EB50C7B537A9  # minus half of a number's bits: its inverse root within 4 %


def filled_up(nstar: int) -> IntArray:
    """Star at each place of whole tiles, (ntile * size,), the last tile filled with star 0."""
    stars = np.arange(-(-nstar // _TILE) * _TILE)
    stars[nstar:] = 0
    return stars


def tiles_of(columns: FloatArray) -> FloatArray:
    """Columns by tile, (ntile, ncolumn, size).

    Parameters
    ----------
    columns : (ncolumn, ntile * size)
    """
    tiles = columns.reshape(len(columns), columns.shape[1] // _TILE, _TILE)
    return np.ascontiguousarray(tiles.swapaxes(0, 1))


@njit(forceinline=True, fastmath=_FASTMATH, error_model="numpy")
def _add_square(tile: Any, at: int, ndim: int, shape: Any, square: Any, norm: Any) -> None:
    """Add chi^2 of a factor to square / norm, and multiply norm by its determinant."""
    if ndim == 1:
        for i in range(_TILE):
            x = tile[at, i] - shape[0]
            a = tile[at + 1, i] + shape[3]
            square[i] = square[i] * a + x * x * norm[i]
            norm[i] *= a
    elif ndim == 2:
        for i in range(_TILE):
            x, y = tile[at, i] - shape[0], tile[at + 1, i] - shape[1]
            a, b = tile[at + 2, i] + shape[3], tile[at + 3, i] + shape[4]
            c = tile[at + 4, i] + shape[5]
            own = a * c - b * b
            square[i] = square[i] * own + (c * x * x - 2.0 * b * x * y + a * y * y) * norm[i]
            norm[i] *= own
    else:
        for i in range(_TILE):
            x, y = tile[at, i] - shape[0], tile[at + 1, i] - shape[1]
            z = tile[at + 2, i] - shape[2]
            a, b = tile[at + 3, i] + shape[3], tile[at + 4, i] + shape[4]
            c, d = tile[at + 5, i] + shape[5], tile[at + 6, i] + shape[6]
            e, f = tile[at + 7, i] + shape[7], tile[at + 8, i] + shape[8]
            aa, bb, cc = c * f - e * e, d * e - b * f, b * e - c * d
            own = a * aa + b * bb + d * cc
            both = aa * x * x + (a * f - d * d) * y * y + (a * c - b * b) * z * z
            both += 2.0 * (bb * x * y + cc * x * z + (b * d - a * e) * y * z)
            square[i] = square[i] * own + both * norm[i]
            norm[i] *= own


@njit(forceinline=True, fastmath=_SUMS, error_model="numpy")
def _add_slopes(tile: Any, at: int, ndim: int, shape: Any, share: Any, out: Any) -> None:
    """Add share times the derivatives of a factor's log density by its mean and covariance.

    With p = (C + S)^-1 (x - mu) and P = (C + S)^-1 these are p and (p p' - P) / 2; an entry off the
    diagonal of S stands for two.
    """
    if ndim == 1:
        m = s = 0.0
        for i in range(_TILE):
            inverse = 1.0 / (tile[at + 1, i] + shape[3])
            p = (tile[at, i] - shape[0]) * inverse
            m += share[i] * p
            s += share[i] * 0.5 * (p * p - inverse)
        out[0] += m
        out[3] += s
    elif ndim == 2:
        m0 = m1 = s0 = s1 = s2 = 0.0
        for i in range(_TILE):
            x, y = tile[at, i] - shape[0], tile[at + 1, i] - shape[1]
            a, b = tile[at + 2, i] + shape[3], tile[at + 3, i] + shape[4]
            c = tile[at + 4, i] + shape[5]
            inverse = 1.0 / (a * c - b * b)
            p, q = (c * x - b * y) * inverse, (a * y - b * x) * inverse
            m0 += share[i] * p
            m1 += share[i] * q
            s0 += share[i] * 0.5 * (p * p - c * inverse)
            s1 += share[i] * (p * q + b * inverse)
            s2 += share[i] * 0.5 * (q * q - a * inverse)
        out[0] += m0
        out[1] += m1
        out[3] += s0
        out[4] += s1
        out[5] += s2
    else:
        m0 = m1 = m2 = s0 = s1 = s2 = s3 = s4 = s5 = 0.0
        for i in range(_TILE):
            x, y = tile[at, i] - shape[0], tile[at + 1, i] - shape[1]
            z = tile[at + 2, i] - shape[2]
            a, b = tile[at + 3, i] + shape[3], tile[at + 4, i] + shape[4]
            c, d = tile[at + 5, i] + shape[5], tile[at + 6, i] + shape[6]
            e, f = tile[at + 7, i] + shape[7], tile[at + 8, i] + shape[8]
            xx, xy, xz = c * f - e * e, d * e - b * f, b * e - c * d
            yy, yz, zz = a * f - d * d, b * d - a * e, a * c - b * b
            inverse = 1.0 / (a * xx + b * xy + d * xz)
            p = (xx * x + xy * y + xz * z) * inverse
            q = (xy * x + yy * y + yz * z) * inverse
            r = (xz * x + yz * y + zz * z) * inverse
            m0 += share[i] * p
            m1 += share[i] * q
            m2 += share[i] * r
            s0 += share[i] * 0.5 * (p * p - xx * inverse)
            s1 += share[i] * (p * q - xy * inverse)
            s2 += share[i] * 0.5 * (q * q - yy * inverse)
            s3 += share[i] * (p * r - xz * inverse)
            s4 += share[i] * (q * r - yz * inverse)
            s5 += share[i] * 0.5 * (r * r - zz * inverse)
        out[0] += m0
        out[1] += m1
        out[2] += m2
        out[3] += s0
        out[4] += s1
        out[5] += s2
        out[6] += s3
        out[7] += s4
        out[8] += s5


@njit(forceinline=True, fastmath=_FASTMATH, error_model="numpy")
def _exponents(square: Any, norm: Any, bits: Any, log: Any, power: Any, root: Any, of: Any) -> bool:
    """Power of two in exp(log - square / norm / 2), and 1 / sqrt(norm); false where norm <= 0.

    `bits` and `of` are those of `norm` and `root`; loops over integers stand alone, as the compiler
    needs it.
    """
    lowest = bits[0]
    for i in range(_TILE):
        lowest = min(lowest, bits[i])
        of[i] = _ROOT - (bits[i] >> 1)
    for i in range(_TILE):
        half, r = 0.5 * norm[i], root[i]
        r *= 1.5 - half * r * r
        r *= 1.5 - half * r * r
        r *= 1.5 - half * r * r
        r *= 1.5 - half * r * r
        root[i] = r
        power[i] = _LOG2E * (log[i] - 0.5 * square[i] * r * r)
    return bool(lowest >= _NORMAL)


@njit(forceinline=True, fastmath=_FASTMATH, error_model="numpy")
def _add_terms(
    weight: float, power: Any, root: Any, highest: Any, scale: Any, bits: Any, mixed: Any
) -> None:
    """The root becomes root x 2^(power - highest); weight times that is added to the mixture."""
    for i in range(_TILE):
        x = power[i] - highest[i]
        x = x if x > _SMALLEST else _SMALLEST
        shifted = x + _SHIFT
        scale[i] = shifted
        power[i] = x - (shifted - _SHIFT)
    for i in range(_TILE):
        bits[i] = bits[i] << 52
    for i in range(_TILE):
        f = power[i]
        p = _POWER[10]
        p = p * f + _POWER[9]
        p = p * f + _POWER[8]
        p = p * f + _POWER[7]
        p = p * f + _POWER[6]
        p = p * f + _POWER[5]
        p = p * f + _POWER[4]
        p = p * f + _POWER[3]
        p = p * f + _POWER[2]
        p = p * f + _POWER[1]
        p = p * f + _POWER[0]
        term = p * scale[i] * root[i]
        root[i] = term
        mixed[i] += weight * term


@njit(forceinline=True, fastmath=_SUMS, error_model="numpy")
def _log_product(value: Any, bits: Any) -> float:
    """Sum of the logarithms of a tile, NaN if one is out of range; its numbers are lost."""
    low, high, exponents = bits[0], bits[0], 0
    for i in range(_TILE):
        low, high = min(low, bits[i]), max(high, bits[i])
        exponents += (bits[i] >> 52) - 1023
        bits[i] = (bits[i] & _MANTISSA) | _ONE
    product = 1.0
    for i in range(_TILE):
        product *= value[i]  # of numbers from 1 to 2: at most 2^256
    return math.log(product) + exponents / _LOG2E if low > _LOW and high < _HIGH else np.nan


@njit(forceinline=True, error_model="numpy")
def _squares(tile: Any, factors: Any, first: int, shape: Any, square: Any, norm: Any) -> int:
    """chi^2 = square / norm and determinant of a component's factors; gives the next factor."""
    square[:] = 0.0
    norm[:] = 1.0
    at = first
    while at < factors.shape[0] and factors[at, 0] == factors[first, 0]:
        _add_square(tile, factors[at, 1], factors[at, 2], shape[at], square, norm)
        at += 1
    return at


@njit(forceinline=True, fastmath=_SUMS, error_model="numpy")
def _mix(
    tile: Any,
    count: int,
    factors: Any,
    extra: Any,
    weight: Any,
    shape: Any,
    extras: Any,
    t: int,
    ratio: Any,
    mixed: Any,
    work: Any,
) -> float:
    """Sum of ln s_i of a tile, NaN if this way fails; ratio becomes each density over s_i.

    ratio : (2 ncomponent, size), of which the second half holds powers on the way
    """
    n, good, at = extra.size, True, 0
    square, norm, highest, nothing = work[0], work[1], work[2], work[3]
    bits, ratio_bits = norm.view(np.int64), ratio.view(np.int64)
    highest[:] = -np.inf
    for k in range(n):
        power, root = ratio[n + k], ratio[k]
        log = extras[extra[k], t] if extra[k] >= 0 else nothing
        first = at
        if at < factors.shape[0] and factors[at, 0] == k:
            at = _squares(tile, factors, first, shape, square, norm)
            good &= _exponents(square, norm, bits, log, power, root, ratio_bits[k])
        else:
            root[:] = 1.0
            for i in range(_TILE):
                power[i] = _LOG2E * log[i]
        for i in range(_TILE):
            highest[i] = power[i] if power[i] > highest[i] else highest[i]
    mixed[:] = 0.0
    for k in range(n):
        _add_terms(weight[k], ratio[n + k], ratio[k], highest, square, square.view(np.int64), mixed)
    total = 0.0
    for i in range(count):
        total += highest[i]
    mixed[count:] = 1.0
    norm[:] = mixed
    return total / _LOG2E + _log_product(norm, bits) if good else np.nan


@njit(forceinline=True, error_model="numpy")
def _log(
    tile: Any, factors: Any, extra: Any, shape: Any, extras: Any, t: int, log: Any, work: Any
) -> None:
    """Log density of each component at each star, (ncomponent, size)."""
    square, norm, at = work[0], work[1], 0
    for k in range(extra.size):
        log[k] = 0.0
        if extra[k] >= 0:
            log[k] = extras[extra[k], t]
        if at < factors.shape[0] and factors[at, 0] == k:
            at = _squares(tile, factors, at, shape, square, norm)
            for i in range(_TILE):
                log[k, i] -= 0.5 * (square[i] / norm[i] + math.log(norm[i]))


@njit(forceinline=True, error_model="numpy")
def _log_carefully(weight: Any, log: Any, count: int) -> float:
    """Sum of ln sum_k weight_k exp(log_ki) of a tile; the logs become exp(log_ki) over that sum."""
    total = 0.0
    for i in range(count):
        highest = -np.inf
        for k in range(weight.size):
            if weight[k] > 0.0 and not log[k, i] <= highest:
                highest = log[k, i]
        whole = 0.0
        for k in range(weight.size):
            if weight[k] > 0.0 and highest > -np.inf:
                whole += weight[k] * math.exp(log[k, i] - highest)
        total += highest + math.log(whole)
        for k in range(weight.size):
            log[k, i] = math.exp(log[k, i] - highest) / whole if whole > 0.0 else 0.0
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def log_densities(tiles: Any, factors: Any, extra: Any, shape: Any, extras: Any) -> Any:
    """Log density of each component at each star, (ncomponent, ntile * size), at one point.

    Parameters as of `log_sum`, but of one point.
    """
    out, work = np.empty((extra.size, tiles.shape[0], _TILE)), np.zeros((2, _TILE))
    log = np.empty((extra.size, _TILE))
    for t in range(tiles.shape[0]):
        _log(tiles[t], factors, extra, shape, extras, t, log, work)
        out[:, t] = log
    return out.reshape(extra.size, tiles.shape[0] * _TILE)


@njit(forceinline=True, error_model="numpy")
def _add_gradient(
    tile: Any,
    factors: Any,
    extra: Any,
    weight: Any,
    shape: Any,
    ratio: Any,
    by_weight: Any,
    by_shape: Any,
    share: Any,
    t: int,
) -> None:
    """Derivatives, given the ratio of each component's density to their sum at each star."""
    at = 0
    for k in range(weight.size):
        by_weight[k] += ratio[k].sum()
        ratio[k] *= weight[k]
        while at < factors.shape[0] and factors[at, 0] == k:
            _add_slopes(tile, factors[at, 1], factors[at, 2], shape[at], ratio[k], by_shape[at])
            at += 1
        if extra[k] >= 0:
            share[extra[k], t] = ratio[k]


@njit(cache=True, nogil=True, error_model="numpy")
def log_sum(
    tiles: Any,
    nstar: int,
    factors: Any,
    extra: Any,
    weight: Any,
    shape: Any,
    extras: Any,
    value: Any,
    by_weight: Any,
    by_shape: Any,
    share: Any,
) -> None:
    """Log likelihood of each point and, where there is room for them, its derivatives.

    Parameters
    ----------
    tiles : (ntile, ncolumn, size) coordinates and lower triangle of the errors' covariance
    nstar : number of stars
    factors : (nfactor, 3) component, first column and number of coordinates, by component
    extra : (ncomponent,) which of `extras` it is multiplied by, or -1
    weight : (npoint, ncomponent) with all that is the same at all stars
    shape : (npoint, nfactor, SLOTS) means and lower triangle of the covariance, from slot 3 on
    extras : (npoint, nextra, ntile, size) log densities
    value : (npoint,) of zeros, to be filled
    by_weight, by_shape : (0 or npoint, ...) as weight and shape, of zeros, to be filled
    share : (0 or npoint, ...) as extras, probability of the component, to be filled
    """
    n = extra.size
    ratio, mixed, work = np.empty((2 * n, _TILE)), np.empty(_TILE), np.zeros((4, _TILE))
    for t in range(tiles.shape[0]):
        count = min(_TILE, nstar - t * _TILE)
        for b in range(weight.shape[0]):
            total = _mix(
                tiles[t],
                count,
                factors,
                extra,
                weight[b],
                shape[b],
                extras[b],
                t,
                ratio,
                mixed,
                work,
            )
            if np.isnan(total):
                _log(tiles[t], factors, extra, shape[b], extras[b], t, ratio[:n], work)
                total = _log_carefully(weight[b], ratio[:n], count)
                mixed[:] = 1.0
            value[b] += total
            if by_weight.shape[0] > 0:
                for k in range(n):
                    ratio[k] /= mixed
                ratio[:, count:] = 0.0
                _add_gradient(
                    tiles[t],
                    factors,
                    extra,
                    weight[b],
                    shape[b],
                    ratio,
                    by_weight[b],
                    by_shape[b],
                    share[b],
                    t,
                )
