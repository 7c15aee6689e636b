"""Photon spectra at production of PPPC4DMID (Cirelli et al. 2011, JCAP 03, 051).

The table holds dN/dlog10(x), x = E/m, for 62 masses from 5 GeV to 100 TeV. Linear interpolation is
within 0.5 % of a cubic through the logarithms up to x = 0.3, and within 2 % above, where few
photons are. The line of the photon channel is spread over the last two steps of x in the table;
what they hold above the density before them is the line.
"""

import re
from pathlib import Path

import numpy as np

from skymix.axes import FloatArray
from skymix.domains.gamma.components.spectrum_table import ChannelSpectrum, SpectrumTable
from skymix.errors import DataError

_TEV = 1e-3
_ALIASES = {"u": "q", "d": "q", "s": "q", "H": "h", "photon": "gamma", "gluon": "g"}
_SMEARED = 2  # last steps of x that hold the line


def read_pppc4dmid(path: Path) -> SpectrumTable:
    r"""Read AtProduction_gammas.dat.

    Channels carry the names of its header in plain letters: ``\[Tau]`` is tau,
    ``\[Nu]\[Mu]`` is numu, ``V->\[Mu]`` is V->mu.

    Raises
    ------
    DataError
        If it is no such table, truncated, or holds a negative number or NaN.
    """
    try:
        header, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
        names = [_plain(name) for name in header.split()]
        table = np.loadtxt(lines, dtype=np.float64, ndmin=2) if lines else np.empty((0, 0))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a table of numbers ({error}); fetch it again") from None
    if names[:2] != ["mDM", "Log[10,x]"] or table.shape[1] != len(names):
        raise DataError(
            f"{path}: its columns are not mDM, Log[10,x] and the channels;"
            " AtProduction_gammas.dat of PPPC4DMID is needed"
        )
    mass, log10_x, cube = mass_by_x(table, path)
    if log10_x[-1] != 0:
        raise DataError(f"{path}: its x do not end at 1; fetch it again")
    spectra = {
        name: _channel(name, mass * _TEV, log10_x, cube[:, :, i].copy())
        for i, name in enumerate(names[2:])
    }
    return SpectrumTable(spectra, _ALIASES, {}, path)


def mass_by_x(table: FloatArray, path: Path) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Masses, x and columns (nmass, nx, ncolumn) of a table whose rows are in any order.

    Raises
    ------
    DataError
        If a row is missing or given twice, or a number is negative or not finite.
    """
    mass, x = np.unique(table[:, 0]), np.unique(table[:, 1])
    if len(table) != mass.size * x.size:
        raise DataError(f"{path}: rows are missing or given twice; fetch it again")
    if not np.all(np.isfinite(table)) or np.any(table[:, 2:] < 0):
        raise DataError(f"{path}: holds a negative number or NaN; fetch it again")
    order = np.lexsort((table[:, 1], table[:, 0]))
    return mass, x, table[order, 2:].reshape(mass.size, x.size, -1)


def _channel(name: str, mass: FloatArray, x: FloatArray, density: FloatArray) -> ChannelSpectrum:
    if name != "gamma":
        return ChannelSpectrum(mass, x, density, np.zeros(mass.size))
    smooth = density.copy()
    smooth[:, -_SMEARED:] = np.minimum(density, density[:, [-_SMEARED - 1]])[:, -_SMEARED:]
    line = np.asarray(np.trapezoid(density - smooth, x, axis=1))
    return ChannelSpectrum(mass, x, smooth, line)


def _plain(name: str) -> str:
    return re.sub(r"\\\[(\w+)\]", lambda match: match[1].lower(), name)
