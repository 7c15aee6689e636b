"""Marginalisation over true energy and direction of a component at the data of an observation.

A component is a sum of parts morphology x spectrum. For each part the PSF acts on morphology x
acceptance once, whatever the number of spectra; energy dispersion and spectra follow as matrix
products. The density is then normalised over the observed data space:

    p(d | theta) = integral R(d | x) A(x) f(x | theta) dx / N(theta).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.domains.gamma.components.base import Source
from skymix.domains.gamma.content import Parts
from skymix.domains.gamma.data import Data, to_original_order
from skymix.domains.gamma.exposure import Exposure
from skymix.domains.gamma.interpolation import interpolation_error
from skymix.domains.gamma.pixels import Counts, count_pixels
from skymix.domains.gamma.rows import Rows
from skymix.domains.gamma.scan import Scan, Sight
from skymix.store.marginals import Marginals

MEMORY = 1e9  # bytes
_EVENTS_FOR_ERRORS = 500


@dataclass(frozen=True, eq=False)
class Densities:
    """Unnormalised result for the rows of a table.

    Parameters
    ----------
    expected : (nrow,) counts in the observed data space
    counts_map, counts_spectrum : (nrow, nlat, nlon), (nrow, nenergy) expected counts
    at_data : (nrow, ndatum) expected counts TeV-1 sr-1
    neglected : (nrow, ndatum) bound on what is missing of `at_data`
    """

    expected: FloatArray
    counts_map: FloatArray
    counts_spectrum: FloatArray
    at_data: FloatArray
    neglected: FloatArray


def densities(
    source: Source,
    exposure: Exposure,
    data: Data,
    rows: Rows,
    binned: bool,
    tolerance: float,
    memory: float = MEMORY,
) -> Densities:
    """Expected counts of a component for any rows of parameter values."""
    parts = Parts([(source, rows)], exposure, memory, again=not binned)
    (counts,) = count_pixels(parts, data if binned else None)
    if binned:
        at_data, neglected = counts.at_data, counts.neglected[:, _energy_cell(exposure, data)]
    else:
        scan = Scan(parts, [counts.expected], Sight(exposure, tolerance))
        norm = counts.expected[:, None]
        ((density, missing),) = scan.at(data)
        at_data, neglected = norm * density, norm * missing[scan.morphologies[0]]
    return Densities(counts.expected, counts.counts_map, counts.counts_spectrum, at_data, neglected)


def marginalise(
    source: Source,
    exposure: Exposure,
    data: Data,
    binned: bool,
    tolerance: float,
    component: str,
    observation: str,
    memory: float = MEMORY,
) -> Marginals:
    """Detected density of a source component at the data; see `marginalise_sources`."""
    sources = {component: source}
    (marginals,) = marginalise_sources(
        sources, exposure, data, binned, tolerance, observation, memory
    )
    return marginals


def marginalise_sources(
    sources: Mapping[str, Source],
    exposure: Exposure,
    data: Data,
    binned: bool,
    tolerance: float,
    observation: str,
    memory: float = MEMORY,
) -> Iterator[Marginals]:
    """Detected densities of source components at the data, one after the other.

    Parameters
    ----------
    sources : components by name
    binned : whether a datum is a reconstructed cell or an event at its own coordinates
    tolerance : share of the response that the scan of an event may leave out
    memory : bytes for the working arrays, the tables that are returned not counted

    A component that nothing is expected of, at some parameter values or at all, has no density.
    """
    components = [
        _Component(name, source, Rows.grid(source.parameters), Rows.midpoints(source.parameters))
        for name, source in sources.items()
    ]
    sample = _sample(data)
    if binned:
        found = _at_cells(components, exposure, data, sample, memory)
    else:
        found = _at_events(components, exposure, data, sample, tolerance, memory)
    for component, (counts, table) in zip(components, found, strict=True):
        parameters, norm = component.source.parameters, _divisor(counts.expected)
        yield Marginals(
            parameters=tuple(p.name for p in parameters),
            spacings=tuple(p.spacing for p in parameters),
            units=tuple(p.unit for p in parameters),
            nodes=np.array([p.nodes.size for p in parameters], dtype=np.int64),
            node_values=np.concatenate([p.nodes for p in parameters] or [np.empty(0)]),
            density=table.density,
            multiplicity=data.multiplicity,
            expected_counts=counts.expected,
            counts_map=counts.counts_map / norm[:, None, None],
            counts_spectrum=counts.counts_spectrum / norm[:, None],
            truncation=table.truncation,
            # Second-order quadrature: a third of the change at double width.
            binning_error=table.change(sample) / 3,
            interpolation_error=interpolation_error(
                parameters, *table.split_sample(), sample.multiplicity
            ),
            observation=observation,
            component=component.name,
        )


@dataclass(frozen=True, eq=False)
class _Component:
    """A component with the rows of its table, and those halfway between them."""

    name: str
    source: Source
    nodes: Rows
    between: Rows

    @property
    def rows(self) -> Rows:
        """Both: rows between the nodes share the spatial integrals of those at the nodes."""
        return self.nodes.joined(self.between)

    def at_nodes(self, counts: Counts) -> Counts:
        """Counts of the nodes among those of all rows."""
        return counts.rows(slice(0, self.nodes.size))


@dataclass(frozen=True, eq=False)
class _Table:
    """Density of a component at the data, and how wrong it is.

    Parameters
    ----------
    density : (nrow, ndatum) TeV-1 sr-1
    truncation : (ndatum,) bound on what is left out, worst row
    at_sample : (nrow + nmidpoint, nsample) density at the sample, at the nodes and between them
    coarse : (nrow, nsample) density at the sample with true cells of double width
    """

    density: FloatArray
    truncation: FloatArray
    at_sample: FloatArray
    coarse: FloatArray

    def split_sample(self) -> tuple[FloatArray, FloatArray]:
        """Density at the sample at the nodes, and between them."""
        return self.at_sample[: len(self.density)], self.at_sample[len(self.density) :]

    def change(self, sample: Data) -> float:
        """Mean of |difference| of coarse and fine over mean of density, worst row."""
        exact, _ = self.split_sample()
        change = np.abs(self.coarse - exact) @ sample.multiplicity
        size = exact @ sample.multiplicity
        return float(np.max(np.where(size > 0, change / np.where(size > 0, size, 1.0), 0.0)))


def _divisor(expected: FloatArray) -> FloatArray:
    """Expected counts to divide by: what is expected nowhere has zero density."""
    return np.where(expected > 0, expected, np.inf)


def _sample(data: Data) -> Data:
    """Data at which errors are estimated: all if they are few, and else those of some events.

    The events are drawn at random, always the same: data at equal steps could all lie in one column
    of the sky.
    """
    if data.size <= _EVENTS_FOR_ERRORS:
        return data
    rng = np.random.default_rng(0)
    share = data.multiplicity / data.multiplicity.sum()
    drawn = rng.choice(data.size, _EVENTS_FOR_ERRORS, p=share)
    which, times = np.unique(drawn, return_counts=True)
    return replace(data.part(which), multiplicity=times.astype(np.float64))


def _energy_cell(exposure: Exposure, data: Data) -> IntArray:
    return data.cell // exposure.data.sky.size


def _rows(
    components: list[_Component],
) -> tuple[list[tuple[Source, Rows]], list[tuple[Source, Rows]]]:
    """All rows of each component, and those at the nodes."""
    return [(c.source, c.rows) for c in components], [(c.source, c.nodes) for c in components]


def _at_cells(
    components: list[_Component],
    exposure: Exposure,
    data: Data,
    sample: Data,
    memory: float,
) -> Iterator[tuple[Counts, _Table]]:
    """Counts and table of each component at reconstructed cells."""
    rows, nodes = _rows(components)
    sizes = [c.nodes.size for c in components]
    fine = count_pixels(Parts(rows, exposure, memory), data, sizes, sample)
    coarse = count_pixels(Parts(nodes, exposure.coarser, memory), sample)
    for component, both in zip(components, fine, strict=True):
        counts, again = component.at_nodes(both), next(coarse)
        norm, norm_again = _divisor(both.expected)[:, None], _divisor(again.expected)[:, None]
        neglected = counts.neglected / norm[: component.nodes.size]
        yield (
            counts,
            _Table(
                np.divide(both.at_data, norm[: component.nodes.size], out=both.at_data),
                neglected.max(axis=0)[_energy_cell(exposure, data)],
                both.at_sample / norm,
                again.at_data / norm_again,
            ),
        )


def _at_events(
    components: list[_Component],
    exposure: Exposure,
    data: Data,
    sample: Data,
    tolerance: float,
    memory: float,
) -> Iterator[tuple[Counts, _Table]]:
    """Counts and table of each component at events' own coordinates."""
    rows, nodes = _rows(components)
    sight = Sight(exposure, tolerance)
    parts = Parts(rows, exposure, memory, again=True)
    both = list(count_pixels(parts, None))
    counts = [c.at_nodes(b) for c, b in zip(components, both, strict=True)]
    at_sample = Scan(parts, [b.expected for b in both], sight).at(sample)
    wide = Parts(nodes, exposure.coarser, memory, again=True)
    again = [a.expected for a in count_pixels(wide, None)]
    coarse = Scan(wide, again, Sight(exposure.coarser, tolerance)).at(sample)
    tables = [
        _Table(np.empty((c.nodes.size, data.size)), np.empty(data.size), fine, wider)
        for c, (fine, _), (wider, _) in zip(components, at_sample, coarse, strict=True)
    ]
    scan = Scan(parts.first(nodes), [c.expected for c in counts], sight)
    # Neighbours use the same part of the tables and maps, and of the spectra.
    order = data.by_neighbours()
    for start in range(0, data.size, scan.events_at_once):
        here = slice(start, min(start + scan.events_at_once, data.size))
        found = scan.at(data.part(order[here]), [table.density[:, here] for table in tables])
        for table, (_, missing) in zip(tables, found, strict=True):
            table.truncation[order[here]] = missing.max(axis=0)
    for table in tables:
        to_original_order(table.density, order)
    yield from zip(counts, tables, strict=True)
