"""Random energies and directions from a tabulated response, by inversion of its cumulatives."""

from collections.abc import Callable

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.domains.gamma.tabulate import rad_cumulative
from skymix.store.response import Response


def sample_edisp(
    response: Response, offset_index: IntArray, energy_index: IntArray, rng: np.random.Generator
) -> FloatArray:
    """Draw ln(E_reco / E_true) of each event, (nevent,).

    Parameters
    ----------
    response : the tabulated response
    offset_index : (nevent,) offset node. Taking one of the two neighbouring nodes at random with
        the weights of linear interpolation is linear interpolation in offset; draw the node of the
        energy dispersion and that of the PSF independently, since they are interpolated separately
    energy_index : (nevent,) true energy cell
    rng : random stream
    """

    def invert(k: int, e: int, share: FloatArray) -> FloatArray:
        return np.interp(share, response.edisp[k, e], response.log_migra)

    return _by_row(response, offset_index, energy_index, rng, invert)


def sample_psf(
    response: Response, offset_index: IntArray, energy_index: IntArray, rng: np.random.Generator
) -> FloatArray:
    """Draw the angle between true and reconstructed direction of each event, (nevent,) deg.

    Parameters are those of `sample_edisp`.
    """
    # Close to the centre the share within r grows as the solid angle of the cap.
    cap = 4 * np.sin(0.5 * np.radians(response.rad)) ** 2

    def invert(k: int, e: int, share: FloatArray) -> FloatArray:
        cumulative = rad_cumulative(response.psf[k, :, e], response.rad)
        at = np.interp(share * cumulative[-1], cumulative, cap)
        return np.asarray(np.degrees(2 * np.arcsin(0.5 * np.sqrt(at))))

    return _by_row(response, offset_index, energy_index, rng, invert)


def _by_row(
    response: Response,
    offset_index: IntArray,
    energy_index: IntArray,
    rng: np.random.Generator,
    invert: Callable[[int, int, FloatArray], FloatArray],
) -> FloatArray:
    """Uniform shares of all events, inverted table row by table row."""
    share = rng.random(offset_index.size)
    ncell = response.energy_true_edges.size - 1
    row = offset_index * ncell + energy_index
    order = np.argsort(row, kind="stable")
    starts = np.flatnonzero(np.diff(row[order], prepend=-1))
    out = np.empty(share.size)
    for events in np.split(order, starts[1:]):
        if events.size:
            k, e = divmod(int(row[events[0]]), ncell)
            out[events] = invert(k, e, share[events])
    return out
