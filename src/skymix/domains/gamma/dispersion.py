"""Energy dispersion between cells: exact integrals of the tabulated cumulative.

Within a true energy cell the source is taken as uniform in ln E. With C(y) the cumulative of
y = ln(E_reco / E_true), averaging over the cell [a, b] gives

    dP/dE_reco = [C(ln(E_reco/a)) - C(ln(E_reco/b))] / (E_reco ln(b/a)),

and a further integral over a reconstructed cell needs the integral of C alone.
"""

import numpy as np

from skymix.axes import EnergyAxis, FloatArray
from skymix.store.response import Response


def dispersion_matrix(response: Response, reconstructed: EnergyAxis) -> FloatArray:
    """Probability of each reconstructed cell, (noffset, nreco, ntrue)."""
    y = response.log_migra
    c = response.edisp
    steps = 0.5 * (c[..., 1:] + c[..., :-1]) * np.diff(y)
    integral = np.concatenate([np.zeros((*c.shape[:2], 1)), np.cumsum(steps, axis=-1)], axis=-1)
    true = np.log(response.energy_true_edges)
    width = np.diff(true)
    reco = np.log(reconstructed.edges)
    noffset, ntrue = c.shape[:2]
    at_edge = np.empty((noffset, reco.size, ntrue))
    for k in range(noffset):
        for e in range(ntrue):
            low, high = reco - true[e], reco - true[e + 1]
            table, cumulative = integral[k, e], c[k, e]
            at_edge[k, :, e] = (
                _integral_at(low, y, table, cumulative) - _integral_at(high, y, table, cumulative)
            ) / width[e]
    # Rounding can leave -1e-17 where there is nothing.
    return np.maximum(np.diff(at_edge, axis=1), 0.0)


def dispersion_at(response: Response, energy: FloatArray) -> FloatArray:
    """Density of each reconstructed energy, (nevent, noffset, ntrue) TeV-1."""
    y = response.log_migra
    step = y[1] - y[0]
    true = np.log(response.energy_true_edges)
    position = (np.log(energy)[:, None] - true[None, :] - y[0]) / step
    index = np.clip(np.floor(position).astype(np.int64), 0, y.size - 2)
    fraction = np.clip(position - index, 0.0, 1.0)
    out = np.empty((energy.size, response.offset.size, true.size - 1))
    cells = np.arange(true.size - 1)
    for k in range(response.offset.size):
        table = response.edisp[k]
        at_low = _interpolate(table, cells, index[:, :-1], fraction[:, :-1])
        at_high = _interpolate(table, cells, index[:, 1:], fraction[:, 1:])
        out[:, k] = (at_low - at_high) / np.diff(true) / energy[:, None]
    return np.maximum(out, 0.0)


def _interpolate(
    table: FloatArray, cells: np.ndarray, index: np.ndarray, fraction: FloatArray
) -> FloatArray:
    return np.asarray(table[cells, index] * (1 - fraction) + table[cells, index + 1] * fraction)


def _integral_at(
    at: FloatArray, y: FloatArray, integral: FloatArray, cumulative: FloatArray
) -> FloatArray:
    """Integral of a piecewise linear cumulative up to `at`; 0 before the nodes, slope 1 after."""
    step = y[1] - y[0]
    i = np.clip(((at - y[0]) / step).astype(np.int64), 0, y.size - 2)
    d = np.clip(at - y[i], 0.0, step)
    slope = (cumulative[i + 1] - cumulative[i]) / step
    inside = integral[i] + cumulative[i] * d + 0.5 * slope * d * d
    return np.where(at <= y[0], 0.0, inside + np.maximum(at - y[-1], 0.0))
