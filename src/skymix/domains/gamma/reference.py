"""Direct sums over true cells for any response given as an array: slow and plain.

The fast path is checked against these; they also serve a response that has no table.
"""

from collections.abc import Callable, Sequence

import numpy as np

from skymix.axes import FloatArray

Window = tuple[slice, slice, slice]


def window_about(
    axes: tuple[FloatArray, FloatArray, FloatArray],
    datum: tuple[float, float, float],
    half_widths: tuple[float, float, float],
) -> Window:
    """Box of true nodes about a datum.

    Parameters
    ----------
    axes : nodes in energy, and in the two angles
    datum : reconstructed energy and angles
    half_widths : in log10 of the energy, and in the two angles; the box is open
    """
    distances = (
        np.abs(np.log10(axes[0]) - np.log10(datum[0])),
        np.abs(axes[1] - datum[1]),
        np.abs(axes[2] - datum[2]),
    )
    slices = []
    for distance, width in zip(distances, half_widths, strict=True):
        inside = np.flatnonzero(distance < width)
        slices.append(slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0, 0))
    return slices[0], slices[1], slices[2]


def direct_marginals(
    windows: Sequence[Window],
    response: Callable[[int, Window], FloatArray],
    density: FloatArray,
    spectra: FloatArray,
    measure: FloatArray,
) -> FloatArray:
    """Sum over true cells of response x density x spectrum x measure, (nrow, ndatum).

    Parameters
    ----------
    windows : true cells to visit for each datum
    response : from the number of a datum and its window to the response there, per
        reconstructed energy and solid angle
    density : (nenergy, n1, n2) source density times acceptance, per true cell measure
    spectra : (nrow, nenergy) factor on it
    measure : (nenergy, n1, n2) measure of each true cell
    """
    out = np.zeros((spectra.shape[0], len(windows)))
    for n, window in enumerate(windows):
        seen = response(n, window) * density[window] * measure[window]
        out[:, n] = spectra[:, window[0]] @ seen.sum(axis=(1, 2))
    return out
