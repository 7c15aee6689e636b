"""Photon spectra tabulated by channel, mass and x = E / m, integrated over energy cells.

Between its nodes a spectrum is linear in log10(x) and in log(m), which neither over- nor
undershoots, and makes the integral over a cell exact. A line at x = 1 is no part of the
tabulated density: its photons are shared between the two energy cells whose centres enclose it, so
that their number and mean log energy are kept and nothing jumps when the mass passes an edge.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.domains.gamma.components.parameters import Values
from skymix.errors import StudyError

_EDGE = 1e-9  # a mass at the very end of a table may be off by rounding


@dataclass(frozen=True, eq=False)
class ChannelSpectrum:
    """Photons of one channel.

    Parameters
    ----------
    mass : (nmass,) TeV
    log10_x : (nx,) from the lowest to 0
    density : (nmass, nx) dN/dlog10(x)
    line : (nmass,) photons of the line at x = 1
    """

    mass: FloatArray
    log10_x: FloatArray
    density: FloatArray
    line: FloatArray

    @cached_property
    def opens_at(self) -> float:
        """Lowest mass with photons, TeV."""
        return float(self.mass[np.argmax(self.density.any(axis=1))])

    @cached_property
    def _above(self) -> FloatArray:
        """Photons above each node of x, (nmass, nx)."""
        content = 0.5 * (self.density[:, 1:] + self.density[:, :-1]) * np.diff(self.log10_x)
        # Summed from the top, so that the few photons near x = 1 keep their digits.
        tail = np.cumsum(content[:, ::-1], axis=1)[:, ::-1]
        return np.concatenate([tail, np.zeros((self.mass.size, 1))], axis=1)

    def photons(self, edges: FloatArray, mass: FloatArray) -> FloatArray:
        """Integral of dN/dE over each energy cell, (nrow, nenergy).

        Below the mass at which the channel opens the spectrum in x is that at the opening.

        Parameters
        ----------
        edges : (nenergy + 1,) TeV
        mass : (nrow,) TeV, within the table
        """
        shape_mass = np.log(np.clip(mass, self.opens_at, self.mass[-1]))
        nodes = np.log(self.mass)
        lower = np.clip(np.searchsorted(nodes, shape_mass, side="right") - 1, 0, nodes.size - 2)
        share = (shape_mass - nodes[lower]) / (nodes[lower + 1] - nodes[lower])
        log10_x = np.clip(np.log10(edges / mass[:, None]), self.log10_x[0], 0.0)
        above = (1 - share)[:, None] * self._photons_above(lower, log10_x)
        above += share[:, None] * self._photons_above(lower + 1, log10_x)
        continuum = np.maximum(-np.diff(above, axis=1), 0.0)
        if not self.line.any():
            return np.asarray(continuum)
        number = (1 - share) * self.line[lower] + share * self.line[lower + 1]
        return np.asarray(continuum + number[:, None] * line_cells(edges, mass))

    def _photons_above(self, row: IntArray, log10_x: FloatArray) -> FloatArray:
        """Photons above x at table masses; row (nrow,), log10_x (nrow, nx)."""
        x, i = self.log10_x, row[:, None]
        k = np.clip(np.searchsorted(x, log10_x, side="right") - 1, 0, x.size - 2)
        low, high, step = self.density[i, k], self.density[i, k + 1], x[k + 1] - x[k]
        left = x[k + 1] - log10_x
        # Trapezoid between x and the next node, under the straight line of the table.
        here = high - (high - low) * left / step
        return np.asarray(self._above[i, k + 1] + 0.5 * (here + high) * left)


def line_cells(edges: FloatArray, energy: FloatArray) -> FloatArray:
    """Share of a line's photons in each energy cell, (nrow, nenergy).

    A line outside all cells has no photon in them; in the outer half of the first or the last cell
    it is wholly in that cell.

    Parameters
    ----------
    edges : (nenergy + 1,) TeV
    energy : (nrow,) of the line, TeV
    """
    log_e, log_edges = np.log(energy), np.log(edges)
    centres = 0.5 * (log_edges[1:] + log_edges[:-1])
    out = np.zeros((energy.size, centres.size))
    inside = np.flatnonzero((log_e >= log_edges[0]) & (log_e <= log_edges[-1]))
    at = np.interp(log_e[inside], centres, np.arange(centres.size))
    cell = np.minimum(at.astype(np.int64), max(centres.size - 2, 0))
    out[inside, cell] = 1 - (at - cell)
    if centres.size > 1:
        out[inside, cell + 1] = at - cell
    return out


@dataclass(frozen=True, eq=False)
class SpectrumTable:
    """Spectra of all channels of one publication.

    Parameters
    ----------
    channels : by name
    aliases : other names of channels
    absent : channels that the file has but that cannot be used, and why
    path : file they were read from, for messages
    """

    channels: Mapping[str, ChannelSpectrum]
    aliases: Mapping[str, str]
    absent: Mapping[str, str]
    path: Path

    def channel(self, name: str) -> str:
        """Name in the table of a channel or its alias.

        Raises
        ------
        StudyError
            If the table has no such channel.
        """
        known = self.aliases.get(name, name)
        if known in self.channels:
            return known
        if known in self.absent:
            raise StudyError(f"channel '{name}' of {self.path.name} {self.absent[known]}")
        near = get_close_matches(name, self.channels, n=1, cutoff=0.3)
        guess = f"; did you mean '{near[0]}'?" if near else ""
        raise StudyError(
            f"channel '{name}' is not in {self.path.name}; channels are"
            f" {', '.join(self.channels)}{guess}"
        )

    def opens_at(self, name: str) -> float:
        """Lowest mass with photons in a channel, TeV."""
        return self.channels[self.channel(name)].opens_at

    def photons(self, name: str, edges: FloatArray, mass: FloatArray) -> FloatArray:
        """Integral of a channel's dN/dE over each energy cell, (nrow, nenergy).

        Raises
        ------
        StudyError
            If there is no such channel or a mass is outside the table.
        """
        channel = self.channels[self.channel(name)]
        low, high = channel.mass[0], channel.mass[-1]
        wrong = mass[(mass < low * (1 - _EDGE)) | (mass > high * (1 + _EDGE))]
        if wrong.size:
            raise StudyError(
                f"mass: {wrong[0]:g} TeV is outside {self.path.name}, which holds {low:g} to"
                f" {high:g} TeV; narrow the scan"
            )
        return channel.photons(edges, mass)


@dataclass(frozen=True, eq=False)
class TabulatedChannels:
    """Annihilation into channels with given branching fractions.

    Parameters
    ----------
    table : photons by channel
    channels : branching fraction by channel name or alias
    """

    table: SpectrumTable
    channels: Mapping[str, float]

    def photons(self, edges: FloatArray, mass: FloatArray, values: Values) -> FloatArray:
        """As `AnnihilationSpectrum` says; a channel that is closed at a mass is a StudyError."""
        total = np.zeros((mass.size, edges.size - 1))
        for name, fraction in self.channels.items():
            photons = self.table.photons(name, edges, mass)
            opening = self.table.opens_at(name)
            if np.any(mass < opening * (1 - _EDGE)):
                raise StudyError(
                    f"mass: {mass.min():g} TeV is below the {opening:g} TeV from which"
                    f" {self.table.path.name} has channel '{name}'; narrow the scan or"
                    " choose other channels"
                )
            total += fraction * photons
        return total
