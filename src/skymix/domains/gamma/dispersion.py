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
    reco = np.log(reconstructed.edges)
    low = _integral_at(reco - true[:-1, None], y, integral, c)
    high = _integral_at(reco - true[1:, None], y, integral, c)
    at_edge = (low - high) / np.diff(true)[:, None]
    # Rounding can leave -1e-17 where there is nothing.
    return np.maximum(np.diff(at_edge, axis=-1), 0.0).transpose(0, 2, 1)


def event_steps(response: Response, energy: FloatArray) -> FloatArray:
    """ln E_reco of events above the first node of the cumulative, in steps of its nodes.

    Less `edge_steps`, it is the place of a true edge among the nodes of the event's cumulative.
    """
    y = response.log_migra
    return np.asarray((np.log(energy) - y[0]) / (y[1] - y[0]))


def edge_steps(response: Response) -> FloatArray:
    """ln E of the edges of the true cells in steps of the cumulative's nodes, (ntrue + 1,)."""
    y = response.log_migra
    return np.asarray(np.log(response.energy_true_edges) / (y[1] - y[0]))


def dispersion_bound(response: Response) -> FloatArray:
    """Bound on the probability of an energy over a true cell's width, at any offset, (ntrue, ny).

    It holds where the cell's lower edge is at a node of the cumulative, or up to one step after it.
    The cumulative rises, so there it is at most its value at the next node, and at the cell's other
    edge at least its value at the node below.
    """
    cumulative = response.edisp
    _, ntrue, ny = cumulative.shape
    width = np.diff(np.log(response.energy_true_edges))[:, None]
    node = np.arange(ny)
    below = np.floor(node - width / (response.log_migra[1] - response.log_migra[0]))
    below = below.astype(np.int64)
    lower = cumulative[:, np.arange(ntrue)[:, None], np.maximum(below, 0)] * (below >= 0)
    upper = cumulative[:, :, np.minimum(node + 1, ny - 1)]
    return np.asarray((upper - lower).max(axis=0) / width)


def _integral_at(
    at: FloatArray, y: FloatArray, integral: FloatArray, cumulative: FloatArray
) -> FloatArray:
    """Integrals of piecewise linear cumulatives; 0 before the nodes, slope 1 after.

    at : (nenergy, n); integral, cumulative : (noffset, nenergy, ny) -> (noffset, nenergy, n)
    """
    step = y[1] - y[0]
    i = np.clip(((at - y[0]) / step).astype(np.int64), 0, y.size - 2)
    d = np.clip(at - y[i], 0.0, step)
    cells = np.arange(at.shape[0])[:, None]
    here, after = cumulative[:, cells, i], cumulative[:, cells, i + 1]
    inside = integral[:, cells, i] + d * (here + 0.5 * (after - here) / step * d)
    return np.where(at <= y[0], 0.0, inside + np.maximum(at - y[-1], 0.0))
