"""The adaptive scan: for each event only the true cells that can have made it are visited.

In energy, the cells that hold all but `tolerance` of dispersion times brightest source; on the
sky, the directions within the radius that contains all but `tolerance` of the PSF. What is left
out is bounded: beyond the radius the PSF is at most its value there, and beyond the energies the
smeared source is at most its peak.

Components that are scanned together share the PSF at each event, and the most accurate of the ways
to its means that one of them needs; each keeps its own energies.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.domains.gamma.content import Part, Parts
from skymix.domains.gamma.data import Data
from skymix.domains.gamma.dispersion import dispersion_bound, edge_steps, event_steps
from skymix.domains.gamma.energy_windows import find_windows, largest_beyond
from skymix.domains.gamma.exposure import Exposure
from skymix.domains.gamma.psf_events import (
    LANES,
    EventMaps,
    EventResponse,
    EventSky,
    SmoothPSF,
    cell_of,
    maps_to_events,
)
from skymix.domains.gamma.psf_points import points_to_events
from skymix.domains.gamma.rows import consecutive
from skymix.store.events import EVENTS_AT_ONCE

# Terms of a sum that the matrix products of OpenBLAS do one after the other, at least (AVX2 and
# later; found by trial).
_UNDIVIDED = 200


@dataclass(frozen=True, eq=False)
class Group:
    """Parts that are scanned together.

    Parameters
    ----------
    owners : number of the component of each part
    parts : what they hold
    spectra : (nrow, nenergy) of each part, each row over its expected counts
    weights : (npart, nenergy) the largest of these over the rows
    nodes : lower offset node of each point, and distance to the next, of the parts that have points
    maps : content of the parts that have a map, None if there are none
    peaks : (nmap, ntrue) largest content over solid angle
    beyond : (nmap, ntrue) bound on what pixels beyond their reach make anywhere, sr-1
    """

    owners: list[int]
    parts: list[Part]
    spectra: list[FloatArray]
    weights: FloatArray
    nodes: list[tuple[IntArray, FloatArray] | None]
    maps: EventMaps | None
    peaks: FloatArray
    beyond: FloatArray


def _multiply(
    spectra: FloatArray,
    seen: FloatArray,
    out: FloatArray,
    rows: IntArray | slice,
    first: bool,
) -> None:
    """Add spectra times what is seen to some rows, or put it there if it is the first.

    spectra : (nrow, nenergy)
    seen : (nevent, nenergy)
    out : (any, nevent)

    The rounding of a product depends on its shape, so that few events are done as a whole block.
    """
    nevent, nenergy = seen.shape
    if nevent < EVENTS_AT_ONCE:
        block = np.zeros((EVENTS_AT_ONCE, nenergy))
        block[:nevent] = seen
        product = (spectra @ block.T)[:, :nevent]
    elif first and isinstance(rows, slice):
        np.matmul(spectra, seen.T, out=out[rows])
        return
    else:
        product = spectra @ seen.T
    if first:
        out[rows] = product
    else:
        out[rows] += product


def _whole_blocks(windows: IntArray, ntrue: int) -> slice:
    """Range of true energies, in whole blocks, that holds the windows (nevent, 2) of all events.

    All, if these are so many that a matrix product may divide them: its rounding would then depend
    on which events are done together.
    """
    if ntrue > _UNDIVIDED:
        return slice(None)
    first, last = windows[:, 0].min(), windows[:, 1].max()
    return slice(int(first // LANES) * LANES, int(-(-last // LANES)) * LANES)


@dataclass(frozen=True, eq=False)
class Sight:
    """How far events see the true sky of an observation.

    Parameters
    ----------
    exposure : of the observation
    tolerance : share of the response that may be left out
    """

    exposure: Exposure
    tolerance: float

    @cached_property
    def response(self) -> EventResponse:
        """The response out to where it is seen."""
        exposure = self.exposure
        reach = np.radians(self.reach + 0.5 * math.hypot(*cell_of(exposure.true.sky)))
        starts = np.arange(0, reach.shape[1], LANES)
        scales = np.radians(exposure.psf.scales)
        narrowest = np.minimum(scales[1:], scales[:-1])
        return EventResponse.of(
            SmoothPSF.of(exposure.psf, exposure.true.sky, reach),
            np.radians(exposure.response.offset),
            np.minimum.reduceat(narrowest, starts, axis=1),
            reach,
            exposure.response.edisp,
            np.diff(np.log(exposure.true.energy.edges)),
            edge_steps(exposure.response),
        )

    @cached_property
    def reach(self) -> FloatArray:
        """Radius that contains all but `tolerance` of the PSF, (noffset - 1, nenergy) deg.

        It is that of the worse of the two nodes that a direction lies between.
        """
        rad = self.exposure.response.rad
        index = (self.exposure.psf.contained < 1 - self.tolerance).sum(axis=1)
        reach = rad[np.minimum(index, rad.size - 1)]
        return np.asarray(np.maximum(reach[1:], reach[:-1]))

    @cached_property
    def beyond(self) -> FloatArray:
        """Largest PSF at or beyond the reach, (noffset - 1, nenergy) sr-1."""
        rad, psf = self.exposure.response.rad, self.exposure.response.psf
        index = np.searchsorted(rad, self.reach, side="right") - 1
        largest = np.maximum(largest_beyond(psf[:-1], index), largest_beyond(psf[1:], index))
        return np.where(self.reach >= rad[-1], 0.0, largest)

    @cached_property
    def bound(self) -> FloatArray:
        """Of the energy dispersion, over all offsets, (nenergy, ny)."""
        return dispersion_bound(self.exposure.response)


@dataclass(frozen=True, eq=False)
class Scan:
    """The scan of some components of one observation.

    Parameters
    ----------
    parts : of the rows whose densities are wanted
    expected : (nrow,) expected counts of each component
    sight : of their exposure
    """

    parts: Parts
    expected: Sequence[FloatArray]
    sight: Sight
    _kept: list[Group] = field(default_factory=list)

    @property
    def exposure(self) -> Exposure:
        """Of the observation."""
        return self.parts.exposure

    @cached_property
    def morphologies(self) -> list[IntArray]:
        """Number of the morphology of each row, for each component."""
        out = [np.empty(rows.size, dtype=np.int64) for _, rows in self.parts.tables]
        for numbers, (_, rows) in zip(out, self.parts.tables, strict=True):
            for number, (index, _, _) in enumerate(rows.by_sky()):
                numbers[index] = number
        return out

    def at(
        self, data: Data, out: Sequence[FloatArray] | None = None
    ) -> list[tuple[FloatArray, FloatArray]]:
        """At each event, for each component: its density, and a bound on what is left out of it.

        TeV-1 sr-1; the first (nrow, nevent), to be held by `out` if given, and the second
        (nmorphology, nevent).
        """
        if out is None:
            out = [np.empty((numbers.size, data.size)) for numbers in self.morphologies]
        left_out = [np.zeros((numbers.max() + 1, data.size)) for numbers in self.morphologies]
        begun = set()
        for group in self._groups():
            numbers = [
                int(self.morphologies[owner][part.rows[0]])
                for owner, part in zip(group.owners, group.parts, strict=True)
            ]
            rows = [consecutive(part.rows) for part in group.parts]
            first = []
            for key in zip(group.owners, numbers, strict=True):
                first.append(key not in begun)
                begun.add(key)
            for start in range(0, data.size, EVENTS_AT_ONCE):
                here = slice(start, start + EVENTS_AT_ONCE)
                seen, missing, lit = self._see(group, data.part(here))
                for n, owner in enumerate(group.owners):
                    left_out[owner][numbers[n], here] += missing[n]
                    to, at = out[owner][:, here], lit[n]
                    _multiply(group.spectra[n][:, at], seen[n][:, at], to, rows[n], first[n])
        return list(zip(out, left_out, strict=True))

    @property
    def events_at_once(self) -> int:
        """Events whose columns and what is left out take a quarter of the memory, or few if kept.

        Whole blocks, as the rounding of a matrix product depends on its shape.
        """
        if self.parts.kept:
            return EVENTS_AT_ONCE
        each = 8 * (6 + sum(int(numbers.max()) + 1 for numbers in self.morphologies))
        blocks = int(0.25 * self.parts.memory / each / EVENTS_AT_ONCE)
        return EVENTS_AT_ONCE * max(1, blocks)

    def _groups(self) -> Iterator[Group]:
        if self._kept:
            yield from self._kept
            return
        batches = groupby(enumerate(self.parts), key=lambda item: item[0] // self.parts.at_once)
        for _, batch in batches:
            group = self._group([pair for _, pair in batch])
            if self.parts.kept:
                self._kept.append(group)
            yield group

    def _group(self, owned: list[tuple[int, Part]]) -> Group:
        spectra = []
        for owner, part in owned:
            expected = self.expected[owner][part.rows]
            # What is expected nowhere has zero density.
            spectra.append(part.spectrum / np.where(expected > 0, expected, np.inf)[:, None])
        weights = np.array([spectrum.max(axis=0) for spectrum in spectra])
        maps = [part.map for _, part in owned if part.map is not None]
        sky, ntrue = self.exposure.true.sky, self.exposure.true.energy.size
        peaks, beyond = np.zeros((2, len(maps), ntrue))
        between = np.arange(self.sight.reach.shape[0])[:, None]
        near = (self.exposure.map_nodes[0].ravel() == between).astype(np.float64)
        for c, content in enumerate(maps):
            peaks[c] = (content / sky.solid_angle[..., None]).max(axis=(0, 1))
            totals = near @ content.reshape(-1, ntrue)
            beyond[c] = (self.sight.beyond * totals).sum(axis=0)
        owners, parts = [owner for owner, _ in owned], [part for _, part in owned]
        points = [part.points for part in parts]
        nodes = [None if p is None else self.exposure.nodes(p.lon, p.lat) for p in points]
        laid_out = EventMaps.of(maps) if maps else None
        return Group(owners, parts, spectra, weights, nodes, laid_out, peaks, beyond)

    def _see(self, group: Group, data: Data) -> tuple[list[FloatArray], FloatArray, list[slice]]:
        """What each part shows at each event, a bound on what is left out, and where it shows it.

        The first (nevent, nenergy) by true energy, TeV-1 sr-1 per unit spectrum; the second
        (npart, nevent), of the row for which it is largest over its expected counts; the last
        ranges of true energies outside which the first are zero.
        """
        exposure, response = self.exposure, self.sight.response
        place = event_steps(exposure.response, data.energy)
        missing = np.zeros((len(group.parts), data.size))
        on_maps: Iterator[FloatArray] = iter(())
        lit = [slice(None)] * len(group.parts)
        if group.maps is not None:
            mapped = [n for n, part in enumerate(group.parts) if part.map is not None]
            shown, missing[mapped], windows = self._see_maps(
                group.maps, group.weights[mapped], group, data, place
            )
            on_maps = iter(shown)
            for n, window in zip(mapped, windows, strict=True):
                if group.parts[n].points is None:
                    lit[n] = _whole_blocks(window, response.widths.size)
        seen = []
        for part, nodes in zip(group.parts, group.nodes, strict=True):
            dark = np.zeros((data.size, response.widths.size)) if part.map is None else None
            seen.append(next(on_maps) if dark is None else dark)
            if part.points is not None and nodes is not None:
                p = part.points
                points_to_events(
                    data.energy,
                    np.radians(data.lon),
                    np.radians(data.lat),
                    np.radians(p.lon),
                    np.radians(p.lat),
                    p.values,
                    *nodes,
                    exposure.psf.values,
                    math.radians(exposure.psf.rad_max),
                    place,
                    response.edges,
                    response.widths,
                    response.cumulative,
                    seen[-1],
                )
        return seen, missing, lit

    def _see_maps(
        self, maps: EventMaps, weights: FloatArray, group: Group, data: Data, place: FloatArray
    ) -> tuple[FloatArray, FloatArray, IntArray]:
        exposure = self.exposure
        windows = np.empty((len(weights), data.size, 2), dtype=np.int64)
        core = np.empty((data.size, 2), dtype=np.int64)
        missing = np.empty((len(weights), data.size))
        find_windows(
            place,
            self.sight.response.edges,
            self.sight.bound,
            data.energy,
            weights,
            group.peaks,
            group.beyond,
            self.sight.tolerance,
            windows,
            core,
            missing,
        )
        seen = maps_to_events(
            self.sight.response,
            EventSky(exposure.true.sky, *exposure.map_nodes),
            maps,
            np.ascontiguousarray(data.energy),
            np.radians(data.lon),
            np.radians(data.lat),
            np.radians(exposure.offset(data.lon, data.lat)),
            windows,
            core,
            place,
        )
        return seen, missing, windows
