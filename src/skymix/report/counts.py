"""Statistics of counts: error bars, significance of a residual, sums over discs."""

import math

import numpy as np
from scipy import ndimage

from skymix.axes import FloatArray


def gehrels_errors(counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lower and upper error of Poisson counts, 1 sigma (Gehrels 1986, ApJ 303, 336, eqs. 7, 9).

    Parameters
    ----------
    counts : array of numbers of events

    Returns
    -------
    lower, upper : arrays of its shape, both positive; the lower one is 0 at 0 counts
    """
    n = np.asarray(counts, dtype=np.float64)
    upper = 1 + np.sqrt(n + 0.75)
    safe = np.maximum(n, 1)
    lowest = safe * (1 - 1 / (9 * safe) - 1 / (3 * np.sqrt(safe))) ** 3
    return np.where(n > 0, n - lowest, 0.0), upper


def significance(counts: FloatArray, expected: FloatArray) -> FloatArray:
    """sign(n - mu) sqrt(2 [n ln(n / mu) - n + mu]): signed root of the Poisson deviance.

    Close to a standard normal variable where mu is not small (Cash 1979, ApJ 228, 939; the
    model is taken as known). Where mu is 0 the value is NaN.

    Parameters
    ----------
    counts, expected : arrays of one shape
    """
    n, mu = np.asarray(counts, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    possible = mu > 0
    mu = np.where(possible, mu, 1.0)
    term = np.where(n > 0, n * np.log(np.maximum(n, 1e-300) / mu), 0.0)
    deviance = np.maximum(2 * (term - n + mu), 0.0)
    return np.where(possible, np.sign(n - mu) * np.sqrt(deviance), np.nan)


def disc_sum(image: FloatArray, radius: float) -> FloatArray:
    """Sum of an image (lat, lon) within `radius` pixels of each pixel's centre."""
    reach = int(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (x**2 + y**2 <= radius**2).astype(np.float64)
    return np.asarray(
        ndimage.convolve(np.asarray(image, np.float64), disc, mode="constant"), dtype=np.float64
    )


def correlation_radius(expected: FloatArray, wanted: float = 10.0) -> float:
    """Radius in pixels of a disc that holds `wanted` expected counts at the median pixel.

    0 if a single pixel does; at most a fifth of the image's shorter side.
    """
    median = float(np.median(expected))
    if median >= wanted:
        return 0.0
    largest = max(1.0, float(min(expected.shape)) / 5)
    if median <= 0:
        return largest
    return min(largest, math.sqrt(wanted / (math.pi * median)))
