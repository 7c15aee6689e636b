"""Quadratures and nodes that all responses are tabulated with.

Within a true energy cell, quantities are averaged over midpoints equally spaced in ln E; the
shapes (energy dispersion, PSF) with the effective area as weight, so that the mean area times the
mean shape is the mean of their product for a source that is uniform in ln E.
"""

import math

import numpy as np

from skymix.axes import EnergyAxis, FloatArray

SUB_ENERGIES = 8
RADIAL_NODES = 1001
LOG_MIGRA_STEP = 0.005

_GAUSS = np.polynomial.legendre.leggauss(4)


def sub_energies(axis: EnergyAxis) -> FloatArray:
    """Midpoints of equal parts of each cell in ln E, (ncell, SUB_ENERGIES) TeV."""
    edges = np.log(axis.edges)
    part = (np.arange(SUB_ENERGIES) + 0.5) / SUB_ENERGIES
    return np.exp(edges[:-1, None] + np.diff(edges)[:, None] * part)


def area_weights(area: FloatArray) -> FloatArray:
    """Weights within each cell proportional to the area, uniform where it vanishes.

    Parameters
    ----------
    area : (..., ncell, nsub)

    Returns
    -------
    array of the same shape that adds up to 1 over the last axis
    """
    total = area.sum(axis=-1, keepdims=True)
    return np.where(total > 0, area / np.where(total > 0, total, 1.0), 1.0 / area.shape[-1])


def log_migra_nodes(low: float, high: float) -> FloatArray:
    """Equally spaced nodes from `low` to `high` or slightly above, at most LOG_MIGRA_STEP apart."""
    n = math.ceil((high - low) / LOG_MIGRA_STEP - 1e-9)
    return np.linspace(low, high, n + 1)


def rad_nodes(rad_max: float) -> FloatArray:
    """Radii from 0 to `rad_max`, equally spaced in sqrt(rad), (RADIAL_NODES,) deg."""
    return rad_max * np.linspace(0.0, 1.0, RADIAL_NODES) ** 2


def rad_cumulative(psf: FloatArray, rad: FloatArray) -> FloatArray:
    """Integral over solid angle out to each radial node of a profile linear in sqrt(rad).

    Parameters
    ----------
    psf : (nrad, ...) sr-1
    rad : (nrad,) deg, equally spaced in sqrt(rad)

    Returns
    -------
    (nrad, ...) cumulative, 0 at the first node
    """
    s = np.sqrt(np.radians(rad))
    x, w = _GAUSS
    f = 0.5 * (x + 1)
    at = s[:-1, None] + np.diff(s)[:, None] * f
    # dOmega = 2 pi sin(r) dr with r = s^2
    measure = 2 * np.pi * np.sin(at**2) * 2 * at * 0.5 * w * np.diff(s)[:, None]
    low, high = (measure * (1 - f)).sum(axis=1), (measure * f).sum(axis=1)
    shape = (-1,) + (1,) * (psf.ndim - 1)
    rings = low.reshape(shape) * psf[:-1] + high.reshape(shape) * psf[1:]
    return np.concatenate([np.zeros_like(rings[:1]), np.cumsum(rings, axis=0)])


def normalised_psf(psf: FloatArray, rad: FloatArray) -> FloatArray:
    """PSF that integrates to 1 over the cap out to the last radius, (nrad, ...) sr-1."""
    return np.asarray(psf / rad_cumulative(psf, rad)[-1])


def linear_weights(nodes: FloatArray, at: FloatArray, extrapolate: bool = False) -> FloatArray:
    """Matrix of linear interpolation, (at.size, nodes.size); rows add up to 1.

    Beyond the nodes the nearest counts, or with `extrapolate` the line through the last two.
    """
    weights = np.zeros((at.size, nodes.size))
    if nodes.size == 1:
        weights[:] = 1.0
        return weights
    index = np.clip(np.searchsorted(nodes, at, side="right") - 1, 0, nodes.size - 2)
    fraction = (at - nodes[index]) / (nodes[index + 1] - nodes[index])
    if not extrapolate:
        fraction = np.clip(fraction, 0.0, 1.0)
    rows = np.arange(at.size)
    weights[rows, index] = 1 - fraction
    weights[rows, index + 1] = fraction
    return weights
