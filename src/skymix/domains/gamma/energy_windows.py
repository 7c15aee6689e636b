"""The true energies that an event can have come from.

Callees are made part of the kernel, so that no bit depends on what the process has compiled before.
"""

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, fastmath={"reassoc"})
def find_windows(
    place: Any,
    edges: Any,
    bound: Any,
    energy: Any,
    weights: Any,
    peaks: Any,
    beyond: Any,
    tolerance: float,
    windows: Any,
    core: Any,
    missing: Any,
) -> None:
    """Ranges of true energies that hold all but a tolerance of dispersion times brightest source.

    Parameters
    ----------
    place, edges : (nevent,), (ntrue + 1,) `event_steps` and `edge_steps`
    bound : (ntrue, ny) `dispersion_bound`
    energy : (nevent,) TeV
    weights : (nmap, ntrue) largest spectrum over the rows, each over its expected counts
    peaks : (nmap, ntrue) largest content over solid angle
    beyond : (nmap, ntrue) bound on what is left out at each energy that is visited, sr-1
    windows : (nmap, nevent, 2), output: half-open ranges
    core : (nevent, 2), output: the same of a source that is equally bright at all energies
    missing : (nmap, nevent), output: bound on what is left out, over the expected counts
    """
    ntrue, ny = bound.shape
    largest, share = np.empty(ntrue), np.empty(ntrue)
    for n in range(energy.size):
        # Higher true energies are at lower places; beyond the table there is nothing.
        low, high = 0, ntrue
        while low < high and place[n] - edges[low + 1] >= ny - 1:
            low += 1
        while low < high and place[n] - edges[high - 1] <= 0.0:
            high -= 1
        for e in range(low, high):
            largest[e] = bound[e, min(int(place[n] - edges[e]), ny - 1)] / energy[n]
        core[n] = _window(largest, _total(largest, low, high), low, high, tolerance)
        for c in range(weights.shape[0]):
            for e in range(low, high):
                share[e] = largest[e] * weights[c, e] * peaks[c, e]
            total = _total(share, low, high)
            first, last = _window(share, total, low, high, tolerance)
            for e in range(first, last):
                total += largest[e] * weights[c, e] * beyond[c, e] - share[e]
            windows[c, n] = first, last
            missing[c, n] = max(total, 0.0)


@njit(forceinline=True, fastmath={"reassoc"})
def _total(share: Any, low: int, high: int) -> float:
    total = 0.0
    for e in range(low, high):
        total += share[e]
    return total


@njit(forceinline=True)
def _window(share: Any, whole: float, low: int, high: int, tolerance: float) -> tuple[int, int]:
    """Part of a half-open range with all but a tolerance of a share, half of it at each end."""
    if whole <= 0.0:
        return 0, 0
    first, below = low, share[low]
    while below <= 0.5 * tolerance * whole and first < high - 1:
        first += 1
        below += share[first]
    last, above = high, share[high - 1]
    while above <= 0.5 * tolerance * whole and last > first + 1:
        last -= 1
        above += share[last - 1]
    return first, last


@njit(cache=True)
def largest_beyond(psf: Any, index: Any) -> Any:
    """Largest value of a PSF from a radial node on, (noffset, nenergy).

    psf : (noffset, nrad, nenergy)
    index : (noffset, nenergy) the node
    """
    noffset, nrad, nenergy = psf.shape
    out = np.zeros((noffset, nenergy))
    for k in range(noffset):
        for r in range(nrad):
            for e in range(nenergy):
                if r >= index[k, e] and psf[k, r, e] > out[k, e]:
                    out[k, e] = psf[k, r, e]
    return out
