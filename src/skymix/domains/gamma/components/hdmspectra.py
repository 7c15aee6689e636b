"""Photon spectra of HDMSpectra (Bauer, Rodd and Webber 2021, JHEP 06, 121): 500 GeV to 1e16 TeV.

The file holds fragmentation functions F(x, Q) = x dN/dx of each initial state, with its helicity,
at scales Q, and the coefficient of the line at x = 1 where a photon (or a transverse Z, by mixing)
may stay whole. An annihilation of two particles of mass m into X and its antiparticle makes the
photons of both at Q = m; helicities are averaged. Half precision leaves a few values of -1e-4 of
the peak, which are taken as zero.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from skymix.axes import FloatArray
from skymix.domains.gamma.components.spectrum_table import ChannelSpectrum, SpectrumTable
from skymix.errors import DataError
from skymix.store.foreign import read_hdf5

_TEV = 1e-3
_PHOTON = 22
_ROUNDING = 1e-3
_LEFT, _RIGHT, _LONGITUDINAL = 1900, 2900, 3900
_FERMIONS = {"d": 1, "u": 2, "s": 3, "c": 4, "b": 5, "t": 6, "e": 11, "mu": 13, "tau": 15}
_NEUTRINOS = {"nue": 12, "numu": 14, "nutau": 16}
_ALIASES = {"H": "h", "photon": "gamma", "gluon": "g"}
_GROUPS = ("high_gauge", "high_higgs", "high_leptons", "high_quarks")


def _states() -> dict[str, tuple[int, ...]]:
    """Codes of the helicities of the particle and antiparticle of each channel."""

    def both(*codes: int) -> tuple[int, ...]:
        return (*codes, *(-code for code in codes))

    found: dict[str, tuple[int, ...]] = {}
    for name, code in _FERMIONS.items():
        found[name] = both(_LEFT + code, _RIGHT + code)
        if code > 6:
            found |= {f"{name}L": both(_LEFT + code), f"{name}R": both(_RIGHT + code)}
    found |= {name: both(_LEFT + code) for name, code in _NEUTRINOS.items()}
    found |= {"g": (_LEFT + 21, _RIGHT + 21), "gamma": (_LEFT + 22, _RIGHT + 22)}
    found |= {"ZT": (_LEFT + 23, _RIGHT + 23), "ZL": (_LONGITUDINAL + 23,)}
    found |= {"WT": both(_LEFT + 24, _RIGHT + 24), "WL": both(_LONGITUDINAL + 24)}
    return found | {"Z": found["ZT"] + found["ZL"], "W": found["WT"] + found["WL"], "h": (25,)}


STATES: Mapping[str, tuple[int, ...]] = _states()
"""Initial states that a channel averages over."""


def read_hdmspectra(path: Path) -> SpectrumTable:
    """Read HDMSpectra.hdf5.

    Raises
    ------
    DataError
        If it is no such file, or a table holds a negative number or NaN.
    """
    arrays = read_hdf5(path)
    try:
        spectra = {name: _channel(arrays, codes) for name, codes in STATES.items()}
    except KeyError as error:
        raise DataError(
            f"{path}: {error} is missing; HDMSpectra.hdf5 of HDMSpectra is needed"
        ) from None
    except ValueError as error:
        raise DataError(f"{path}: {error}; fetch it again") from None
    return SpectrumTable(spectra, _ALIASES, {}, path)


def _channel(arrays: Mapping[str, FloatArray], codes: tuple[int, ...]) -> ChannelSpectrum:
    parts = [fragmentation(arrays, code, _PHOTON) for code in codes]
    scale, x = parts[0][:2]
    # The pair makes twice the mean over its states.
    function = 2 * np.mean([part[2] for part in parts], axis=0)
    line = 2 * np.mean([unsplit(arrays, code, _PHOTON, scale) for code in codes], axis=0)
    return ChannelSpectrum(10**scale * _TEV, np.log10(x), np.log(10) * function, line)


def fragmentation(
    arrays: Mapping[str, FloatArray], initial: int, final: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """log10(Q / GeV), x, and x dN/dx (nscale, nx) of a final state from an initial one.

    Raises
    ------
    KeyError
        If the file has no such state.
    ValueError
        If the table is not positive and finite on rising x up to 1.
    """
    group = next((g for g in _GROUPS if initial in arrays[f"{g}/high_flavors"]), None)
    if group is None:
        raise KeyError(f"state {initial}")
    row = int(np.flatnonzero(arrays[f"{group}/high_flavors"] == initial)[0])
    scale, x = arrays[f"{group}/Q_{final}"], arrays[f"{group}/x_{final}"]
    function = np.asarray(arrays[f"{group}/FF_{final}"][row], dtype=np.float64)
    if function.shape != (scale.size, x.size) or np.any(np.diff(x) <= 0) or x[-1] != 1:
        raise ValueError(f"the table of {initial} into {final} has not the shape of its axes")
    if not np.all(np.isfinite(function)) or function.min() < -_ROUNDING * function.max():
        raise ValueError(f"the table of {initial} into {final} holds a negative number or NaN")
    return scale, x, np.maximum(function, 0.0)


def unsplit(
    arrays: Mapping[str, FloatArray], initial: int, final: int, scale: FloatArray
) -> FloatArray:
    """Coefficient of the line at x = 1 at each log10(Q / GeV); zero for most pairs of states."""
    table = arrays.get(f"delta_coeff/{initial}_2_{final}")
    if table is None:
        return np.zeros(scale.size)
    return np.interp(scale, arrays["delta_coeff/Q"], np.asarray(table, dtype=np.float64))
