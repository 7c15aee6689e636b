"""Photon spectra of CosmiXs (Arina et al. 2024, JCAP 03, 035; Di Mauro et al. 2025, PRL 135).

The table holds dN/dlog10(x), x = E/m, averaged over 100 bins of x from 1e-9 to 1, for 64 masses
from 5 GeV to 100 TeV. The density runs straight between the bins' centres and is level in the outer
halves of the first and last. The photon channel lacks the photons that did not split, so its line
is not known and the channel is refused.
"""

import re
from pathlib import Path

import numpy as np

from skymix.axes import FloatArray
from skymix.domains.gamma.components.pppc4dmid import mass_by_x
from skymix.domains.gamma.components.spectrum_table import ChannelSpectrum, SpectrumTable
from skymix.errors import DataError

_TEV = 1e-3
_NAMES = {"a": "gamma", "H": "h", "aZ": "Zgamma", "HZ": "Zh"}
_ALIASES = {"H": "h", "photon": "gamma", "gluon": "g", "aZ": "Zgamma", "HZ": "Zh"}
_NO_LINE = (
    "lacks the photons that did not split, so it has no line; use pppc4dmid or hdmspectra for it"
)
_COLUMN = re.compile(r"dN/dLog10\(x\)\s*\[(\w+)\]")


def read_cosmixs(path: Path) -> SpectrumTable:
    """Read AtProduction-Gammas.dat.

    Raises
    ------
    DataError
        If it is no such table, truncated, or holds a negative number or NaN.
    """
    try:
        header, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
        table = np.loadtxt(lines, dtype=np.float64, ndmin=2) if lines else np.empty((0, 0))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a table of numbers ({error}); fetch it again") from None
    names = [_NAMES.get(name, name) for name in _COLUMN.findall(header)]
    if not header.startswith("# DM") or table.shape[1] != len(names) + 2:
        raise DataError(
            f"{path}: its columns are not DM, Log10[x] and the channels; AtProduction-Gammas.dat"
            " of CosmiXs is needed"
        )
    mass, centres, cube = mass_by_x(table, path)
    step = np.diff(centres)
    if step.size == 0 or not np.allclose(step, step[0]) or abs(centres[-1] + step[0] / 2) > 1e-6:
        raise DataError(f"{path}: its x are not the centres of equal bins up to 1; fetch it again")
    x = np.concatenate([[centres[0] - step[0] / 2], centres, [0.0]])
    spectra = {
        name: ChannelSpectrum(mass * _TEV, x, _between(cube[:, :, i]), np.zeros(mass.size))
        for i, name in enumerate(names)
        if name != "gamma"
    }
    return SpectrumTable(spectra, _ALIASES, {"gamma": _NO_LINE}, path)


def _between(density: FloatArray) -> FloatArray:
    """Density at the lower edge of the first bin, all centres and the upper edge of the last."""
    return np.concatenate([density[:, :1], density, density[:, -1:]], axis=1)
