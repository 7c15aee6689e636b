"""The adaptive scan: for each event only the true cells that can have made it are visited.

In energy, the cells that hold all but `tolerance` of dispersion times brightest source; on the
sky, the directions within the radius that contains all but `tolerance` of the PSF. What is left
out is bounded: beyond the radius the PSF is at most its value there, and beyond the energies the
smeared source is at most its peak.

Components that are scanned together share the PSF at each event; each keeps its own energies, so
that its densities are the same as alone.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.domains.gamma.components.base import Source
from skymix.domains.gamma.content import Part, parts_of
from skymix.domains.gamma.data import Data
from skymix.domains.gamma.dispersion import dispersion_bound, largest_dispersion, true_edge_places
from skymix.domains.gamma.exposure import Exposure
from skymix.domains.gamma.psf_events import BLOCK, maps_to_events, points_to_events
from skymix.domains.gamma.psf_table import pixel_rules
from skymix.domains.gamma.rows import Rows

_EVENTS_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of a component whose densities are wanted, and their expected counts (nrow,)."""

    source: Source
    rows: Rows
    expected: FloatArray


@dataclass(frozen=True, eq=False)
class Group:
    """Parts that are scanned together.

    Parameters
    ----------
    owners : number of the table of each part
    parts : what they hold
    weights : (npart, nenergy) largest spectrum over the rows, each over its expected counts
    maps : (nlat, nlon, nmap, nenergy) content of the parts that have a map, filled up in energy
    peaks : (nmap, ntrue) largest content over solid angle
    beyond : (nmap, ntrue) bound on what pixels beyond their reach make anywhere, sr-1
    """

    owners: list[int]
    parts: list[Part]
    weights: FloatArray
    maps: FloatArray
    peaks: FloatArray
    beyond: FloatArray

    @cached_property
    def shining(self) -> np.ndarray:
        """(nlat, nlon) whether a pixel has any content."""
        return np.asarray(self.maps.any(axis=(2, 3)))


@dataclass(frozen=True, eq=False)
class Scan:
    """The scan of some components of one observation.

    Parameters
    ----------
    tables : what is wanted
    tolerance : share of the response that may be left out
    memory : bytes for the working arrays
    """

    tables: Sequence[Table]
    exposure: Exposure
    tolerance: float
    memory: float
    _kept: list[Group] = field(default_factory=list)

    def at(self, data: Data) -> list[tuple[FloatArray, FloatArray]]:
        """At each event, for each table: counts TeV-1 sr-1, and a bound on what is left out.

        Both are (nrow, nevent).
        """
        out = [
            (np.zeros((t.rows.size, data.size)), np.zeros((t.rows.size, data.size)))
            for t in self.tables
        ]
        for group in self._groups():
            for start in range(0, data.size, _EVENTS_AT_ONCE):
                here = slice(start, start + _EVENTS_AT_ONCE)
                seen, missing = self._see(group, data.part(here))
                for owner, part, s, m in zip(group.owners, group.parts, seen, missing, strict=True):
                    at_data, neglected = out[owner]
                    at_data[part.rows, here] += part.spectrum @ s.T
                    neglected[part.rows, here] += part.spectrum @ m.T
        return out

    @property
    def events_at_once(self) -> int:
        """Events whose tables take a quarter of the memory; few if the parts need not be redone."""
        if self._keep:
            return _EVENTS_AT_ONCE
        each = 8 * 3 * sum(t.rows.size for t in self.tables)
        return max(_EVENTS_AT_ONCE, int(0.25 * self.memory / each))

    @cached_property
    def _parts_at_once(self) -> int:
        each = 8 * 4 * self.exposure.true.sky.size * self._nenergy
        return max(1, int(0.5 * self.memory / each))

    @cached_property
    def _keep(self) -> bool:
        """Whether all parts fit in the memory, so that they are made once."""
        sky = sum(len(list(t.rows.by_sky())) for t in self.tables)
        return sky <= self._parts_at_once

    def _groups(self) -> Iterator[Group]:
        if self._kept:
            yield from self._kept
            return
        owned = (
            (owner, part)
            for owner, table in enumerate(self.tables)
            for part in parts_of(table.source, table.rows, self.exposure)
        )
        batches = groupby(enumerate(owned), key=lambda item: item[0] // self._parts_at_once)
        for _, batch in batches:
            group = self._group([pair for _, pair in batch])
            if self._keep:
                self._kept.append(group)
            yield group

    def _group(self, owned: list[tuple[int, Part]]) -> Group:
        weights = []
        for owner, part in owned:
            expected = self.tables[owner].expected[part.rows]
            share = part.spectrum / np.where(expected > 0, expected, 1.0)[:, None]
            weights.append(share.max(axis=0))
        maps = [part.map for _, part in owned if part.map is not None]
        sky, ntrue = self.exposure.true.sky, self.exposure.true.energy.size
        stacked = np.zeros((*sky.shape, len(maps), self._nenergy))
        peaks, beyond = np.zeros((2, len(maps), ntrue))
        for c, content in enumerate(maps):
            stacked[:, :, c, :ntrue] = content
            peaks[c] = (content / sky.solid_angle[..., None]).max(axis=(0, 1))
            totals = np.zeros((self._reach.shape[0], ntrue))
            np.add.at(totals, self.exposure.map_nodes[0], content)
            beyond[c] = (self._beyond * totals).sum(axis=0)
        owners, parts = [owner for owner, _ in owned], [part for _, part in owned]
        return Group(owners, parts, np.array(weights), stacked, peaks, beyond)

    def _see(self, group: Group, data: Data) -> tuple[FloatArray, FloatArray]:
        """What each part shows at each event by true energy, and a bound on what is left out.

        Both are (npart, nevent, nenergy), TeV-1 sr-1 per unit spectrum.
        """
        exposure = self.exposure
        place = true_edge_places(exposure.response, data.energy)
        seen = np.zeros((len(group.parts), data.size, exposure.true.energy.size))
        missing = np.zeros_like(seen)
        mapped = [n for n, part in enumerate(group.parts) if part.map is not None]
        if mapped:
            seen[mapped], missing[mapped] = self._see_maps(group, mapped, data, place)
        for n, part in enumerate(group.parts):
            if part.points is not None:
                p = part.points
                points_to_events(
                    np.radians(data.lon),
                    np.radians(data.lat),
                    np.radians(p.lon),
                    np.radians(p.lat),
                    p.values,
                    *exposure.nodes(p.lon, p.lat),
                    exposure.psf.values,
                    math.radians(exposure.psf.rad_max),
                    place,
                    exposure.response.edisp,
                    seen[n],
                )
        seen /= data.energy[:, None] * np.diff(np.log(exposure.true.energy.edges))
        return seen, missing

    def _see_maps(
        self, group: Group, mapped: list[int], data: Data, place: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        exposure, sky = self.exposure, self.exposure.true.sky
        largest = largest_dispersion(self._bound, place, data.energy)
        ntrue = exposure.true.energy.size
        windows = np.empty((len(mapped), data.size, 2), dtype=np.int64)
        missing = np.empty((len(mapped), data.size, ntrue))
        energies = np.arange(ntrue)
        for c, n in enumerate(mapped):
            peak = group.peaks[c]
            windows[c] = _energy_window(largest * (group.weights[n] * peak), self.tolerance)
            visited = (energies >= windows[c, :, :1]) & (energies < windows[c, :, 1:])
            missing[c] = largest * np.where(visited, group.beyond[c], peak)
        seen = np.zeros((len(mapped), data.size, ntrue))
        maps_to_events(
            np.radians(data.lon),
            np.radians(data.lat),
            np.radians(exposure.offset(data.lon, data.lat)),
            np.radians(exposure.response.offset),
            windows,
            _energy_window(largest, self.tolerance),
            np.radians(self._reach + 0.5 * self._diagonal),
            self._span,
            np.radians(exposure.psf.scales),
            group.maps,
            group.shining,
            np.radians(sky.lon),
            np.radians(sky.lat),
            *exposure.map_nodes,
            self._psf,
            math.radians(exposure.psf.rad_max),
            (math.radians(self._cell[0]), math.radians(self._cell[1])),
            math.radians(self._diagonal / math.sqrt(2)),
            *self._rules,
            place,
            exposure.response.edisp,
            seen,
        )
        return seen, missing

    @property
    def _nenergy(self) -> int:
        """True energies, filled up to whole blocks."""
        return -(-self.exposure.true.energy.size // BLOCK) * BLOCK

    @cached_property
    def _psf(self) -> FloatArray:
        values = self.exposure.psf.values
        out = np.zeros((*values.shape[:2], self._nenergy))
        out[..., : values.shape[2]] = values
        return out

    @cached_property
    def _reach(self) -> FloatArray:
        """Radius that contains all but `tolerance` of the PSF, (noffset - 1, nenergy) deg.

        It is that of the worse of the two nodes that a direction lies between.
        """
        rad = self.exposure.response.rad
        index = (self.exposure.psf.contained < 1 - self.tolerance).sum(axis=1)
        reach = rad[np.minimum(index, rad.size - 1)]
        return np.asarray(np.maximum(reach[1:], reach[:-1]))

    @cached_property
    def _beyond(self) -> FloatArray:
        """Largest PSF at or beyond the reach, (noffset - 1, nenergy) sr-1."""
        rad, psf = self.exposure.response.rad, self.exposure.response.psf
        largest = np.maximum.accumulate(np.maximum(psf[1:], psf[:-1])[:, ::-1], axis=1)[:, ::-1]
        index = np.searchsorted(rad, self._reach, side="right") - 1
        at = np.take_along_axis(largest, np.clip(index, 0, rad.size - 1)[:, None], axis=1)[:, 0]
        return np.where(self._reach >= rad[-1], 0.0, at)

    @cached_property
    def _span(self) -> IntArray:
        """Energies at which a pixel so far away is visited, (noffset - 1, nrad, 2)."""
        # A cell starts at its node, so what reaches into it belongs to it.
        reach = self._reach + 0.5 * self._diagonal
        seen = reach[:, None] >= self.exposure.response.rad[:, None]
        ntrue = seen.shape[2]
        first = np.where(seen.any(axis=2), seen.argmax(axis=2), ntrue)
        last = np.where(seen.any(axis=2), ntrue - seen[..., ::-1].argmax(axis=2), 0)
        return np.stack([first, last], axis=2).astype(np.int64)

    @cached_property
    def _cell(self) -> tuple[float, float]:
        """Width and height of a true pixel, deg."""
        sky = self.exposure.true.sky
        return (
            float(sky.lon_edges[1] - sky.lon_edges[0]),
            float(sky.lat_edges[1] - sky.lat_edges[0]),
        )

    @property
    def _diagonal(self) -> float:
        return math.hypot(*self._cell)

    @cached_property
    def _rules(self) -> tuple[Any, FloatArray]:
        return pixel_rules()

    @cached_property
    def _bound(self) -> FloatArray:
        return dispersion_bound(self.exposure.response)


def _energy_window(share: FloatArray, tolerance: float) -> IntArray:
    """Half-open range of columns that hold all but `tolerance` of each row, (nrow, 2)."""
    total = np.cumsum(share, axis=1)
    whole = total[:, -1:]
    first = (total <= 0.5 * tolerance * whole).sum(axis=1)
    last = (total < (1 - 0.5 * tolerance) * whole).sum(axis=1) + 1
    nothing = whole[:, 0] <= 0
    return np.stack(
        [
            np.where(nothing, 0, first),
            np.where(nothing, 0, np.minimum(last, share.shape[1])),
        ],
        axis=1,
    ).astype(np.int64)
