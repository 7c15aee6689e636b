"""Energy spectra of sources, integrated over energy cells.

A power law is integrated in closed form, the others by Gauss-Legendre quadrature in ln E, to about
1e-13 as long as the cut-off is not more than some hundred times below the cell.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import exprel

from skymix.axes import FloatArray
from skymix.domains.gamma.components.parameters import Values
from skymix.study.components import LogParabola, PowerLaw, SourceSpectrum

PER_M2 = 1e4
"""A flux per m2 over the same flux per cm2."""

_PANEL = 0.2
_X, _W = np.polynomial.legendre.leggauss(12)


def integrated_spectrum(
    settings: SourceSpectrum, edges: FloatArray, values: Values, prefix: str = "spectrum."
) -> FloatArray:
    """Integral of a source spectrum over each energy cell.

    Parameters
    ----------
    settings : the spectrum's section of the study, fluxes in TeV-1 cm-2 s-1
    edges : (nenergy + 1,) TeV
    values : values of the scanned parameters
    prefix : dotted name of the section within the component

    Returns
    -------
    (nrow, nenergy) m-2 s-1
    """
    amplitude = np.full(values.nrow, settings.amplitude * PER_M2)
    if isinstance(settings, PowerLaw):
        index = values.row(f"{prefix}index", settings.index)
        return power_law(edges, amplitude, index, settings.reference)
    if isinstance(settings, LogParabola):
        alpha = values.row(f"{prefix}alpha", settings.alpha)
        beta = values.row(f"{prefix}beta", settings.beta)
        return log_parabola(edges, amplitude, alpha, beta, settings.reference)
    index = values.row(f"{prefix}index", settings.index)
    cutoff = values.row(f"{prefix}cutoff", settings.cutoff)
    return cutoff_power_law(edges, amplitude, index, cutoff, settings.reference)


def power_law(
    edges: FloatArray, amplitude: FloatArray, index: FloatArray, reference: float
) -> FloatArray:
    """Integral of amplitude (E / reference)^-index over each cell.

    Parameters
    ----------
    edges : (nenergy + 1,) TeV
    amplitude, index : (nrow,)
    reference : TeV

    Returns
    -------
    (nrow, nenergy), unit of the amplitude times TeV
    """
    low, width = np.log(edges[:-1] / reference), np.diff(np.log(edges))
    # exprel(z) = (e^z - 1) / z has no hole at index 1.
    slope = (1 - index)[:, None]
    norm = (amplitude * reference)[:, None]
    return np.asarray(norm * np.exp(slope * low) * width * exprel(slope * width))


def log_parabola(
    edges: FloatArray,
    amplitude: FloatArray,
    alpha: FloatArray,
    beta: FloatArray,
    reference: float,
) -> FloatArray:
    """Integral of amplitude (E / reference)^(-alpha - beta ln(E / reference)), as `power_law`."""
    a, b = alpha[:, None], beta[:, None]

    def log_density(log_x: FloatArray) -> FloatArray:
        return log_x * (1 - a - b * log_x)

    return (amplitude * reference)[:, None] * _integral(edges / reference, log_density)


def cutoff_power_law(
    edges: FloatArray,
    amplitude: FloatArray,
    index: FloatArray,
    cutoff: FloatArray,
    reference: float,
) -> FloatArray:
    """Integral of amplitude (E / reference)^-index exp(-E / cutoff), as `power_law`.

    Parameters
    ----------
    cutoff : (nrow,) TeV
    """
    slope, scale = (1 - index)[:, None], (reference / cutoff)[:, None]

    def log_density(log_x: FloatArray) -> FloatArray:
        return slope * log_x - scale * np.exp(log_x)

    return (amplitude * reference)[:, None] * _integral(edges / reference, log_density)


def _integral(edges: FloatArray, log_density: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Integral over cells of exp(log_density(ln x)) d ln x, (nrow, ncell)."""
    low, width = np.log(edges[:-1]), np.diff(np.log(edges))
    panels = max(1, int(np.ceil(width.max() / _PANEL)))
    total: FloatArray | float = 0.0
    for panel in range(panels):
        for x, w in zip(_X, _W, strict=True):
            at = low + width * (panel + 0.5 * (1 + x)) / panels
            total = total + 0.5 * w / panels * np.exp(log_density(at))
    return np.asarray(total * width)
