"""Expected counts in all reconstructed cells: normalisation, maps, and densities of binned data."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numba import njit

from skymix.axes import FloatArray, IntArray
from skymix.domains.gamma.content import Part, Parts
from skymix.domains.gamma.data import Data
from skymix.domains.gamma.exposure import Exposure
from skymix.domains.gamma.psf_operator import NEGLIGIBLE, maps_to_pixels, points_to_pixels
from skymix.domains.gamma.rows import consecutive

# Data of which the true energies are held at a time.
_DATA_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Counts:
    """Expected counts of the rows of a table in the observed data space.

    Parameters
    ----------
    expected : (nrow,) all counts
    counts_map, counts_spectrum : (nrow, nlat, nlon), (nrow, nenergy) counts
    at_data : (nnode, ndatum) counts TeV-1 sr-1 in the cell of each datum, of the first rows; no
        columns if unbinned
    at_sample : (nrow, nsample) the same of all rows in the cells of a sample
    neglected : (nrow, nenergy) bound on what is missing of `at_data` at each reconstructed energy,
        as the PSF is cut where it is negligible
    """

    expected: FloatArray
    counts_map: FloatArray
    counts_spectrum: FloatArray
    at_data: FloatArray
    at_sample: FloatArray
    neglected: FloatArray

    @classmethod
    def none(
        cls, nrow: int, exposure: Exposure, at_data: tuple[int, int], nsample: int
    ) -> "Counts":
        """No counts yet."""
        energy, nlat, nlon = exposure.data.shape
        shapes = (nrow,), (nrow, nlat, nlon), (nrow, energy), at_data, (nrow, nsample)
        return cls(*(np.zeros(shape) for shape in (*shapes, (nrow, energy))))

    def rows(self, part: slice) -> "Counts":
        """Some of the rows."""
        return Counts(*(getattr(self, name)[part] for name in self.__dataclass_fields__))


def count_pixels(
    parts: Parts,
    data: Data | None,
    nodes: Sequence[int] | None = None,
    sample: Data | None = None,
) -> Iterator[Counts]:
    """Expected counts of components one after the other; they share the work of the PSF.

    Parameters
    ----------
    parts : of the rows that are wanted
    data : data whose cells are wanted too, None if there are none
    nodes : how many rows of each component are wanted there, from the first; None if all are
    sample : data in whose cells all rows are wanted, None if there are none
    """
    tables, exposure, memory = parts.tables, parts.exposure, parts.memory
    ndatum, nsample = (0 if d is None else d.size for d in (data, sample))
    owned = iter(parts)
    done, out = 0, None

    def nothing(number: int) -> Counts:
        nrow = tables[number][1].size
        nnode = nrow if nodes is None else nodes[number]
        return Counts.none(nrow, exposure, (nnode, ndatum), nsample)

    while batch := list(islice(owned, _parts_at_once(exposure, memory))):
        sums = _to_pixels([part for _, part in batch], exposure, memory)
        for (number, part), at_pixels in zip(batch, sums, strict=True):
            while done < number:
                yield nothing(done) if out is None else out
                done, out = done + 1, None
            if out is None:
                out = nothing(number)
            _add(out, part, at_pixels, exposure)
            for table, where in ((out.at_data, data), (out.at_sample, sample)):
                few = part.first(len(table))
                if where is not None and few.rows.size:
                    _add_in_cells(table, few, at_pixels, exposure, where)
    if out is not None:
        yield out


def _parts_at_once(exposure: Exposure, memory: float) -> int:
    """Parts whose maps and sums take half of the memory; the PSF has the other."""
    noffset, ntrue = exposure.response.offset.size, exposure.true.energy.size
    each = 8 * ntrue * (2 * exposure.true.sky.size + 2 * noffset * exposure.data.sky.size)
    return max(1, int(0.5 * memory / each))


def _to_pixels(parts: list[Part], exposure: Exposure, memory: float) -> list[FloatArray]:
    """Content of the data pixels of each part, (npixel, noffset, nenergy)."""
    sky, table = exposure.data.sky, exposure.psf
    maps = [part.map for part in parts if part.map is not None]
    spread: Iterator[FloatArray] = iter(())
    if maps:
        true = exposure.true.sky
        stacked = np.stack(maps) if len(maps) > 1 else maps[0][None]
        spread = iter(maps_to_pixels(stacked, true, sky, *exposure.map_nodes, table, 0.5 * memory))
    out = []
    for part in parts:
        total = next(spread) if part.map is not None else None
        if part.points is not None:
            p = part.points
            nodes = exposure.nodes(p.lon, p.lat)
            added = points_to_pixels(p.lon, p.lat, p.values, sky, *nodes, table)
            total = added if total is None else np.add(total, added, out=total)
        assert total is not None  # a part has a map or points
        out.append(total.reshape(sky.size, *total.shape[2:]))
    return out


def _add(out: Counts, part: Part, sums: FloatArray, exposure: Exposure) -> None:
    """Add what a part makes; its spectra come last, as sums over true energy."""
    grid, dispersion, rows = exposure.data, exposure.dispersion, part.rows
    seen = dispersion.sum(axis=0)  # share of any reconstructed energy
    cover = exposure.coverage.ravel()
    by_pixel = np.einsum("pke,ke->pe", sums, seen) * cover[:, None]
    by_energy = np.einsum("rke,ke->re", dispersion, np.tensordot(cover, sums, 1))
    counts_map = (part.spectrum @ by_pixel.T).reshape(-1, *grid.sky.shape)
    out.counts_map[rows] += counts_map
    out.counts_spectrum[rows] += part.spectrum @ by_energy.T
    out.expected[rows] += counts_map.sum(axis=(1, 2))
    peak = exposure.psf.peak * part.content
    smeared = dispersion.max(axis=1) / grid.energy.widths[:, None]
    out.neglected[rows] += part.spectrum @ (NEGLIGIBLE * peak * smeared).T


def _add_in_cells(
    out: FloatArray, part: Part, sums: FloatArray, exposure: Exposure, data: Data
) -> None:
    """Add the density of a part in the cells of some data to a table (nrow, ndatum)."""
    grid = exposure.data
    energy, pixel = np.divmod(data.cell, grid.sky.size)
    volume = grid.volume.ravel()[data.cell]
    lit, rows = sums.any(axis=2), consecutive(part.rows)
    for start in range(0, data.size, _DATA_AT_ONCE):
        here = slice(start, start + _DATA_AT_ONCE)
        true = _true_energies(exposure.dispersion, energy[here])
        in_cells = np.empty((energy[here].size, true.stop - true.start))
        _disperse(exposure.dispersion, sums, lit, energy[here], pixel[here], true.start, in_cells)
        in_cells /= volume[here, None]
        out[rows, here] += part.spectrum[:, true] @ in_cells.T


def _true_energies(dispersion: FloatArray, energy: IntArray) -> slice:
    """True energies that are seen at reconstructed ones; cells of few of them lie together."""
    near = dispersion[energy.min() : energy.max() + 1]
    seen = np.flatnonzero(near.any(axis=(0, 1)))
    return slice(int(seen[0]), int(seen[-1]) + 1) if seen.size else slice(0, 0)


@njit(cache=True)
def _disperse(
    dispersion: Any, sums: Any, lit: Any, energy: Any, pixel: Any, first: int, out: Any
) -> None:
    """Content of cells by true energy, the sum over offset nodes.

    dispersion : (nreco, noffset, ntrue)
    sums : (npixel, noffset, ntrue)
    lit : (npixel, noffset) whether there is any content
    energy, pixel : (ncell,) reconstructed energy and pixel of each cell
    out : (ncell, nseen), output: at the true energies from the first on
    """
    last = first + out.shape[1]
    for n in range(energy.size):
        value = out[n]
        value[:] = 0.0
        for k in range(sums.shape[1]):
            if lit[pixel[n], k]:
                share = dispersion[energy[n], k, first:last]
                content = sums[pixel[n], k, first:last]
                for e in range(value.size):
                    value[e] += share[e] * content[e]
