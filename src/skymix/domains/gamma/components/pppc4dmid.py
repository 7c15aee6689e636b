"""Photon spectra at production of PPPC4DMID (Cirelli et al. 2011, JCAP 03, 051).

The table holds dN/dlog10(x), x = E/m, for 62 masses from 5 GeV to 100 TeV. Between its nodes the
spectrum is linear in log10(x) and in log(m), which neither over- nor undershoots, keeps the energy
of the table, and makes the integral over a cell exact. It is within 0.5 % of a cubic through the
logarithms up to x = 0.3, and within 2 % above, where few photons are. Lines (the photon channel)
are spread over the last step of x in the table, and linear interpolation keeps their content.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.domains.gamma.components.parameters import Values
from skymix.errors import DataError, StudyError

_TEV = 1e-3
_ALIASES = {"u": "q", "d": "q", "s": "q", "H": "h", "photon": "gamma", "gluon": "g"}


@dataclass(frozen=True, eq=False)
class PPPC4DMID:
    """The table of photons at production.

    Parameters
    ----------
    mass : (nmass,) TeV
    log10_x : (nx,) from the lowest to 0
    density : (nmass, nx) dN/dlog10(x) by channel
    path : file it was read from, for messages
    """

    mass: FloatArray
    log10_x: FloatArray
    density: Mapping[str, FloatArray]
    path: Path

    @classmethod
    def read(cls, path: Path) -> "PPPC4DMID":
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
        mass, log10_x = np.unique(table[:, 0]), np.unique(table[:, 1])
        if len(table) != mass.size * log10_x.size or log10_x[-1] != 0:
            raise DataError(f"{path}: rows are missing or given twice; fetch it again")
        if not np.all(np.isfinite(table)) or np.any(table[:, 2:] < 0):
            raise DataError(f"{path}: holds a negative number or NaN; fetch it again")
        order = np.lexsort((table[:, 1], table[:, 0]))
        cube = table[order].reshape(mass.size, log10_x.size, -1)
        density = {name: cube[:, :, 2 + i].copy() for i, name in enumerate(names[2:])}
        return cls(mass * _TEV, log10_x, density, path)

    def channel(self, name: str) -> str:
        """Name in the table of a channel or its alias.

        Raises
        ------
        StudyError
            If the table has no such channel.
        """
        known = _ALIASES.get(name, name)
        if known in self.density:
            return known
        near = get_close_matches(name, self.density, n=1, cutoff=0.3)
        guess = f"; did you mean '{near[0]}'?" if near else ""
        raise StudyError(
            f"channel '{name}' is not in {self.path.name}; channels are"
            f" {', '.join(self.density)}{guess}"
        )

    def opens_at(self, channel: str) -> float:
        """Lowest mass with photons in a channel, TeV."""
        return float(self.mass[np.argmax(self.density[channel].any(axis=1))])

    @cached_property
    def _above(self) -> dict[str, FloatArray]:
        """Photons above each node of x, by channel (nmass, nx)."""
        step = np.diff(self.log10_x)
        above = {}
        for name, density in self.density.items():
            content = 0.5 * (density[:, 1:] + density[:, :-1]) * step
            # Summed from the top, so that the few photons near x = 1 keep their digits.
            tail = np.cumsum(content[:, ::-1], axis=1)[:, ::-1]
            above[name] = np.concatenate([tail, np.zeros((self.mass.size, 1))], axis=1)
        return above

    def photons(self, channel: str, edges: FloatArray, mass: FloatArray) -> FloatArray:
        """Integral of a channel's dN/dE over each energy cell.

        Below the mass at which the channel opens the spectrum in x is that at the opening.

        Parameters
        ----------
        channel : name in the table
        edges : (nenergy + 1,) TeV
        mass : (nrow,) TeV

        Returns
        -------
        (nrow, nenergy)

        Raises
        ------
        StudyError
            If a mass is outside the table.
        """
        self._check_mass(mass)
        shape_mass = np.log(np.maximum(mass, self.opens_at(channel)))
        nodes = np.log(self.mass)
        lower = np.clip(np.searchsorted(nodes, shape_mass, side="right") - 1, 0, nodes.size - 2)
        share = (shape_mass - nodes[lower]) / (nodes[lower + 1] - nodes[lower])
        log10_x = np.clip(np.log10(edges / mass[:, None]), self.log10_x[0], 0.0)
        above = (1 - share)[:, None] * self._photons_above(channel, lower, log10_x)
        above += share[:, None] * self._photons_above(channel, lower + 1, log10_x)
        return np.asarray(np.maximum(-np.diff(above, axis=1), 0.0))

    def _photons_above(self, channel: str, row: IntArray, log10_x: FloatArray) -> FloatArray:
        """Photons above x at table masses; row (nrow,), log10_x (nrow, nx)."""
        x, i = self.log10_x, row[:, None]
        k = np.clip(np.searchsorted(x, log10_x, side="right") - 1, 0, x.size - 2)
        density = self.density[channel]
        low, high, step = density[i, k], density[i, k + 1], x[k + 1] - x[k]
        left = x[k + 1] - log10_x
        # Trapezoid between x and the next node, under the straight line of the table.
        here = high - (high - low) * left / step
        return np.asarray(self._above[channel][i, k + 1] + 0.5 * (here + high) * left)

    def _check_mass(self, mass: FloatArray) -> None:
        low, high = self.mass[0], self.mass[-1]
        wrong = mass[(mass < low) | (mass > high)]
        if wrong.size:
            raise StudyError(
                f"mass: {wrong[0]:g} TeV is outside {self.path.name}, which holds {low:g} to"
                f" {high:g} TeV; narrow the scan"
            )


@dataclass(frozen=True, eq=False)
class TabulatedChannels:
    """Annihilation into channels with given branching fractions.

    Parameters
    ----------
    table : photons by channel
    channels : branching fraction by channel name or alias
    """

    table: PPPC4DMID
    channels: Mapping[str, float]

    def photons(self, edges: FloatArray, mass: FloatArray, values: Values) -> FloatArray:
        """As `AnnihilationSpectrum` says; a channel that is closed at a mass is a StudyError."""
        total = np.zeros((mass.size, edges.size - 1))
        for name, fraction in self.channels.items():
            channel = self.table.channel(name)
            opening = self.table.opens_at(channel)
            if np.any(mass < opening):
                raise StudyError(
                    f"mass: {mass.min():g} TeV is below the {opening:g} TeV from which"
                    f" {self.table.path.name} has channel '{name}'; narrow the scan or"
                    " choose other channels"
                )
            total += fraction * self.table.photons(channel, edges, mass)
        return total


def _plain(name: str) -> str:
    return re.sub(r"\\\[(\w+)\]", lambda match: match[1].lower(), name)
