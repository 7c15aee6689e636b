"""The PSF as a table over radius, and quadratures for its means over pixels."""

import math
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numba import njit

from skymix.axes import FloatArray, IntArray

# Gauss-Legendre points a panel, above the two-point rule of equal variance.
_POINTS = (2, 6, 14)

# Points on a side of a pixel seen from a direction, and the largest side over scale of the PSF.
_SIDE_POINTS = {2: 0.5, 3: 1.2, 4: 2.0, 5: 2.8, 6: 3.6, 8: 5.2, 12: 8.0, 20: 14.0, 28: np.inf}


@dataclass(frozen=True, eq=False)
class PSFTable:
    """PSF on radial nodes equally spaced in sqrt(r).

    Parameters
    ----------
    values : (noffset, nrad, nenergy) sr-1
    rad_max : last radial node, deg
    scales : (noffset, nenergy) deg, radius of 39 % containment
    contained : (noffset, nrad, nenergy) share within each radial node
    """

    values: FloatArray
    rad_max: float
    scales: FloatArray
    contained: FloatArray

    @property
    def scale(self) -> FloatArray:
        """(nenergy,) deg, smallest of the scales over the offsets."""
        return np.asarray(self.scales.min(axis=0))

    @cached_property
    def peak(self) -> FloatArray:
        """(nenergy,) sr-1, largest value over the offsets."""
        return np.asarray(self.values.max(axis=(0, 1)))

    @classmethod
    def from_nodes(cls, psf: FloatArray, rad: FloatArray) -> "PSFTable":
        """Table from a response; `rad` must be equally spaced in sqrt(rad), from zero."""
        u = np.sqrt(rad)
        if rad[0] != 0 or not np.allclose(np.diff(u), u[1], rtol=1e-6):
            raise ValueError("PSF table: radial nodes must be equally spaced in sqrt(rad) from 0")
        contained = psf_containment(psf, rad)
        index = np.argmax(contained >= 0.39, axis=1)
        scales = rad[np.maximum(index, 1)]
        return cls(np.ascontiguousarray(psf), float(rad[-1]), scales, contained)


def psf_containment(psf: FloatArray, rad: FloatArray) -> FloatArray:
    """Share of a PSF within each radial node, (noffset, nrad, nenergy); 1 at the last."""
    r = np.radians(rad)
    out = np.empty_like(psf)
    _contain(psf, 2 * np.pi * np.sin(r), np.diff(r), out)
    return out


@njit(cache=True)
def _contain(psf: Any, ring: Any, step: Any, out: Any) -> None:
    """Cumulative trapezoid of psf x ring along the nodes, over its last value; 1 where that is 0.

    ring : (nrad,) circumference of each node; step : (nrad - 1,) distance to the next
    """
    noffset, nrad, nenergy = psf.shape
    for k in range(noffset):
        out[k, 0] = 0.0
        for i in range(1, nrad):
            low, high = 0.5 * step[i - 1] * ring[i - 1], 0.5 * step[i - 1] * ring[i]
            for e in range(nenergy):
                out[k, i, e] = out[k, i - 1, e] + low * psf[k, i - 1, e] + high * psf[k, i, e]
        for i in range(nrad):
            for e in range(nenergy):
                whole = out[k, nrad - 1, e]
                # The last node itself comes last, and is what the others are divided by.
                out[k, i, e] = out[k, i, e] / whole if whole > 0.0 else 1.0


def difference_rules(width1: float, width2: float) -> tuple[FloatArray, FloatArray, IntArray]:
    """Quadratures for the difference of two uniform numbers of the given widths.

    Returns
    -------
    nodes, weights : (4, n) one row a level, coarse to fine; weights of a row add up to 1
    sizes : (4,) number of nodes in use
    """
    outer, inner = 0.5 * (width1 + width2), 0.5 * abs(width1 - width2)
    rules = [(np.array([-1.0, 1.0]) * math.hypot(width1, width2) / math.sqrt(12), np.full(2, 0.5))]
    panels = [(-outer, -inner), (-inner, inner), (inner, outer)]
    panels = [(low, high) for low, high in panels if high - low > 1e-12 * outer]
    for points in _POINTS:
        # A single wide panel needs more points than three narrow ones.
        x, w = np.polynomial.legendre.leggauss(2 * points if len(panels) == 1 else points)
        nodes, weights = [], []
        for low, high in panels:
            at = 0.5 * (low + high) + 0.5 * (high - low) * x
            density = np.minimum(1.0, (outer - np.abs(at)) / max(outer - inner, 1e-300))
            nodes.append(at)
            weights.append(0.5 * (high - low) * w * density)
        all_weights = np.concatenate(weights)
        rules.append((np.concatenate(nodes), all_weights / all_weights.sum()))
    size = max(n.size for n, _ in rules)
    packed = np.zeros((2, len(rules), size))
    for i, (n, w) in enumerate(rules):
        packed[0, i, : n.size], packed[1, i, : n.size] = n, w
    return packed[0], packed[1], np.array([n.size for n, _ in rules], dtype=np.int64)


@cache
def pixel_rules() -> tuple[tuple[FloatArray, FloatArray, IntArray], FloatArray]:
    """Quadratures of one side of a pixel seen from a point, coarse to fine.

    Gauss-Legendre. Up to its limit each level errs, on a Gaussian, by 5e-5 of the peak at most.

    Returns
    -------
    rule : nodes, weights (nlevel, npoint) in units of the side, sizes (nlevel,)
    limits : (nlevel,) largest ratio of side to scale of the PSF for each level
    """
    sizes = np.array(list(_SIDE_POINTS), dtype=np.int64)
    nodes, weights = np.zeros((2, sizes.size, int(sizes.max())))
    for level, n in enumerate(sizes):
        x, w = np.polynomial.legendre.leggauss(int(n))
        nodes[level, :n], weights[level, :n] = 0.5 * x, 0.5 * w
    return (nodes, weights, sizes), np.array(list(_SIDE_POINTS.values()))
