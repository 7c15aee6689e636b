"""Morphologies times acceptance: what the PSF acts on, once for all spectra."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.domains.gamma.components.base import GridMorphology, Source, Term
from skymix.domains.gamma.exposure import Exposure
from skymix.domains.gamma.rows import Rows


@dataclass(frozen=True, eq=False)
class Points:
    """Directions with their counts per unit spectrum at each true energy.

    Parameters
    ----------
    lon, lat : (npoint,) deg
    values : (npoint, nenergy)
    """

    lon: FloatArray
    lat: FloatArray
    values: FloatArray


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a component that is morphology times spectrum.

    Parameters
    ----------
    rows : rows of the component's table that it adds to, ascending
    map : (nlat, nlon, nenergy) counts per unit spectrum of each true pixel, None if there is no map
    points : the same of single directions, None if there are none
    spectrum : (nrow, nenergy) integral over each true energy cell
    """

    rows: IntArray
    map: FloatArray | None
    points: Points | None
    spectrum: FloatArray

    def first(self, nrow: int) -> "Part":
        """Of the first so many rows of the table only."""
        few = int(np.searchsorted(self.rows, nrow))
        return Part(self.rows[:few], self.map, self.points, self.spectrum[:few])

    @property
    def content(self) -> FloatArray:
        """Counts per unit spectrum of the whole sky, (nenergy,)."""
        on_map = 0.0 if self.map is None else self.map.sum(axis=(0, 1))
        at_points = 0.0 if self.points is None else self.points.values.sum(axis=0)
        return np.asarray(on_map + at_points)


class Parts:
    """Parts of some components, each with the number of its component.

    Parameters
    ----------
    tables : components and the rows that are wanted
    memory : bytes for the working arrays
    again : whether they are gone through more than once; they are kept then, if they fit
    """

    def __init__(
        self,
        tables: Sequence[tuple[Source, Rows]],
        exposure: Exposure,
        memory: float,
        again: bool = False,
    ) -> None:
        self.tables = tables
        self.exposure = exposure
        self.memory = memory
        self.again = again
        self._made: list[tuple[int, Part]] | None = None

    def first(self, tables: Sequence[tuple[Source, Rows]]) -> "Parts":
        """Of the first rows of each component only; what was made is not made again."""
        parts = Parts(tables, self.exposure, self.memory, self.again)
        if self._made is not None:
            few = ((number, part.first(tables[number][1].size)) for number, part in self._made)
            parts._made = [(number, part) for number, part in few if part.rows.size]
        return parts

    @cached_property
    def at_once(self) -> int:
        """Parts whose maps and copies of them take half of the memory."""
        each = 8 * 4 * self.exposure.true.sky.size * self.exposure.true.energy.size
        return max(1, int(0.5 * self.memory / each))

    @cached_property
    def kept(self) -> bool:
        """Whether they are kept."""
        return self.again and self.at_once >= sum(
            len(list(rows.by_sky())) for _, rows in self.tables
        )

    def __iter__(self) -> Iterator[tuple[int, Part]]:
        if self._made is not None:
            return iter(self._made)
        made = (
            (number, part)
            for number, (source, rows) in enumerate(self.tables)
            for part in parts_of(source, rows, self.exposure)
        )
        if not self.kept:
            return made
        self._made = list(made)
        return iter(self._made)


def parts_of(source: Source, rows: Rows, exposure: Exposure) -> Iterator[Part]:
    """Parts of a component; terms with a single spectrum are added up beforehand."""
    for index, sky, spectral in rows.by_sky():
        terms = source.terms(exposure.true, exposure.frame, sky, spectral)
        if terms[0].spectrum.shape[0] > 1:
            for term in terms:
                values = _values(term, exposure)
                on_map = values if isinstance(values, np.ndarray) else None
                points = values if isinstance(values, Points) else None
                yield Part(index, on_map, points, term.spectrum)
        else:
            yield _sum(terms, exposure, index)


def _values(term: Term, exposure: Exposure) -> FloatArray | Points:
    shape = term.morphology
    if isinstance(shape, GridMorphology):
        by_energy = shape.intensity if shape.intensity.ndim == 3 else shape.intensity[None]
        weight = np.moveaxis(by_energy, 0, -1) * exposure.true.sky.solid_angle[..., None]
        return np.asarray(weight * exposure.map_acceptance)
    accepted = exposure.acceptance(shape.lon, shape.lat)
    return Points(shape.lon, shape.lat, shape.weight[:, None] * accepted)


def _sum(terms: tuple[Term, ...], exposure: Exposure, index: IntArray) -> Part:
    """Terms of a single spectrum each as one part with a flat spectrum."""
    total: FloatArray | None = None
    points: list[Points] = []
    for term in terms:
        values = _values(term, exposure)
        if isinstance(values, Points):
            points.append(Points(values.lon, values.lat, values.values * term.spectrum[0]))
        else:
            values *= term.spectrum[0]
            total = values if total is None else np.add(total, values, out=total)
    joined = None
    if points:
        columns = ([getattr(p, name) for p in points] for name in ("lon", "lat", "values"))
        joined = Points(*(np.concatenate(column) for column in columns))
    return Part(index, total, joined, np.ones((1, exposure.true.energy.size)))
