"""Z2 scalar singlet dark matter: tabulated spectra weighted by its annihilation cross-sections.

The tables of SingletScalar_DM (Di Mauro et al. 2023, arXiv:2305.11937) are used as published. Their
hh channel far above threshold is a fifth of the ZZ one, where the Goldstone equivalence theorem has
them equal; photons of h and Z are much alike, so the spectrum hardly feels it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skymix.axes import FloatArray
from skymix.domains.gamma.components.parameters import Setting, Values
from skymix.domains.gamma.components.spectrum_table import SpectrumTable
from skymix.errors import DataError, StudyError

_TEV = 1e-3
_COUPLINGS = np.logspace(-4, 1, 21)
# The tables write 1e-50 or 0 where a channel is closed.
_CLOSED = 1e-50
# The largest ratio of the sum of the channels to the table of their total that is believed.
_DISAGREEMENT = 2.0

# Z gamma has no table of its own: half a pair of each, good to (m_Z / 2m)^2 in the line's energy.
FINAL_STATES: Mapping[str, Mapping[str, float]] = {
    "aa": {"gamma": 1.0},
    "bb": {"b": 1.0},
    "cc": {"c": 1.0},
    "gg": {"g": 1.0},
    "hh": {"h": 1.0},
    "tautau": {"tau": 1.0},
    "tt": {"t": 1.0},
    "ww": {"W": 1.0},
    "za": {"Z": 0.5, "gamma": 0.5},
    "zz": {"Z": 1.0},
}
"""Channels that stand for each table SHP_sigmav_<name>.dat."""

COSMIXS_STATES: Mapping[str, Mapping[str, float]] = {
    **FINAL_STATES,
    "aa": {},
    "za": {"Zgamma": 1.0},
}
"""The same for CosmiXs, which has Z gamma but no line of two photons.

That state takes at most 0.3 % of the annihilations, at half the Higgs mass, and less than 1e-10 of
them above 0.1 TeV.
"""


@dataclass(frozen=True, eq=False)
class SingletCrossSections:
    """Velocity-averaged cross-sections on a grid of mass and Higgs portal coupling.

    Parameters
    ----------
    mass : (nmass,) TeV
    coupling : (ncoupling,) lambda_hS
    channels : (nmass, ncoupling, nchannel) cm3 s-1, in the order of `FINAL_STATES`
    total : (nmass, ncoupling) cm3 s-1
    """

    mass: FloatArray
    coupling: FloatArray
    channels: FloatArray
    total: FloatArray

    @classmethod
    def read(cls, folder: Path) -> "SingletCrossSections":
        """Read the tables SHP_sigmav_*.dat.

        Raises
        ------
        DataError
            If one is missing, no table of 22 columns, or on other masses than the rest.
        """
        tables = [_read(folder / f"SHP_sigmav_{name}.dat") for name in (*FINAL_STATES, "table")]
        for name, table in zip(FINAL_STATES, tables, strict=False):
            if not np.array_equal(table[:, 0], tables[-1][:, 0]):
                raise DataError(
                    f"{folder}/SHP_sigmav_{name}.dat: its masses are not those of"
                    " SHP_sigmav_table.dat; fetch the folder again"
                )
        channels = np.stack([table[:, 1:] for table in tables[:-1]], axis=-1)
        return cls(tables[-1][:, 0] * _TEV, _COUPLINGS, channels, tables[-1][:, 1:])

    def fractions(self, mass: FloatArray, coupling: FloatArray) -> FloatArray:
        """Branching fractions, cross-sections interpolated linearly in the log of everything.

        Parameters
        ----------
        mass : (nrow,) TeV
        coupling : (nrow,)

        Returns
        -------
        (nrow, nchannel), each row adds up to 1

        Raises
        ------
        StudyError
            If a point is outside the tables, or where their channels contradict their total.
        """
        from scipy.interpolate import RegularGridInterpolator

        _check_inside("mass", mass, self.mass, " TeV")
        _check_inside("coupling", coupling, self.coupling, "")
        axes = (np.log(self.mass), np.log(self.coupling))
        values = np.concatenate([self.channels, self.total[..., None]], axis=-1)
        interpolate = RegularGridInterpolator(axes, np.log(np.maximum(values, _CLOSED)))
        inside = [
            np.clip(np.log(v), a[0], a[-1]) for v, a in zip((mass, coupling), axes, strict=True)
        ]
        found = np.exp(interpolate(np.stack(inside, axis=-1)))
        channels, total = found[:, :-1], found[:, -1]
        ratio = channels.sum(axis=1) / total
        wrong = (ratio > _DISAGREEMENT) | (ratio < 1 / _DISAGREEMENT)
        if np.any(wrong):
            i = int(np.argmax(wrong))
            raise StudyError(
                f"mass, coupling: at {mass[i]:g} TeV and {coupling[i]:g} the cross-sections by"
                f" channel add up to {ratio[i]:.3g} times the table of their total, so they are not"
                " to be trusted there; raise the mass or lower the coupling"
            )
        return np.asarray(channels / channels.sum(axis=1, keepdims=True))


@dataclass(frozen=True, eq=False)
class SingletSpectrum:
    """Photons of the scalar singlet's annihilation.

    Parameters
    ----------
    table : photons by channel
    cross_sections : weights of the channels
    coupling : setting of the coupling, fixed or scanned
    states : channels of the table that stand for each final state
    """

    table: SpectrumTable
    cross_sections: SingletCrossSections
    coupling: Setting
    states: Mapping[str, Mapping[str, float]]

    def photons(self, edges: FloatArray, mass: FloatArray, values: Values) -> FloatArray:
        """As `AnnihilationSpectrum` says."""
        coupling = values.row("spectrum.coupling", self.coupling)
        fractions = self.cross_sections.fractions(mass, coupling)
        total = np.zeros((mass.size, edges.size - 1))
        for fraction, parts in zip(fractions.T, self.states.values(), strict=True):
            for channel, part in parts.items():
                total += (part * fraction)[:, None] * self.table.photons(channel, edges, mass)
        return total


def _read(path: Path) -> FloatArray:
    try:
        table = np.loadtxt(path, dtype=np.float64, ndmin=2)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; put it there (see docs/data.md)") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a table of numbers ({error}); fetch it again") from None
    if table.shape[1] != _COUPLINGS.size + 1 or not np.all(np.diff(table[:, 0]) > 0):
        raise DataError(f"{path}: not a table of rising masses and 21 couplings; fetch it again")
    if not np.all(np.isfinite(table)) or np.any(table < 0):
        raise DataError(f"{path}: holds a negative number or NaN; fetch it again")
    return table


def _check_inside(name: str, values: FloatArray, axis: FloatArray, unit: str) -> None:
    # A node at the very end may be off by rounding.
    wrong = values[(values < axis[0] * (1 - 1e-9)) | (values > axis[-1] * (1 + 1e-9))]
    if wrong.size:
        raise StudyError(
            f"{name}: {wrong[0]:g}{unit} is outside the tables of the scalar singlet, which hold"
            f" {axis[0]:g} to {axis[-1]:g}{unit}; narrow the scan"
        )
