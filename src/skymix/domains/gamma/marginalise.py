"""Marginalisation over true energy and direction of a component at the data of an observation.

A component is a sum of terms morphology x spectrum. For each term the PSF acts on morphology x
acceptance once, whatever the number of spectra; energy dispersion and spectra follow as matrix
products. The density is then normalised over the observed data space:

    p(d | theta) = integral R(d | x) A(x) f(x | theta) dx / N(theta).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from skymix.axes import FloatArray
from skymix.domains.gamma.components.base import GridMorphology, Parameter, Source, Term
from skymix.domains.gamma.data import Data
from skymix.domains.gamma.dispersion import dispersion_at, dispersion_matrix
from skymix.domains.gamma.exposure import Exposure
from skymix.domains.gamma.psf_operator import grid_to_pixels, points_to_pixels
from skymix.domains.gamma.scan import scan_events
from skymix.errors import DataError
from skymix.store.marginals import Marginals

_PIXELS_AT_ONCE = 32
_EVENTS_AT_ONCE = 2000
_EVENTS_FOR_ERRORS = 500


@dataclass(frozen=True, eq=False)
class Rows:
    """Parameter values of the rows of a table.

    Parameters
    ----------
    parameters : all scanned parameters of the component
    values : (nrow,) value of each parameter in each row, by name
    """

    parameters: tuple[Parameter, ...]
    values: Mapping[str, FloatArray]
    size: int

    @classmethod
    def grid(cls, parameters: tuple[Parameter, ...]) -> "Rows":
        """All combinations of the nodes, the last parameter fastest."""
        mesh = np.meshgrid(*(p.nodes for p in parameters), indexing="ij")
        values = {p.name: m.ravel() for p, m in zip(parameters, mesh, strict=True)}
        return cls(parameters, values, int(np.prod([p.nodes.size for p in parameters])))

    @classmethod
    def midpoints(cls, parameters: tuple[Parameter, ...]) -> "Rows":
        """For each parameter in turn, its midpoints between nodes with the nodes of the others."""
        rows = cls.grid(parameters).at(slice(0, 0))
        for k, moved in enumerate(parameters):
            nodes = moved.nodes
            middle = (
                np.sqrt(nodes[1:] * nodes[:-1])
                if moved.spacing == "log"
                else 0.5 * (nodes[1:] + nodes[:-1])
            )
            shifted = (*parameters[:k], replace(moved, nodes=middle), *parameters[k + 1 :])
            rows = rows.joined(cls.grid(shifted))
        return rows

    def at(self, part: slice) -> "Rows":
        """Some of the rows."""
        values = {name: column[part] for name, column in self.values.items()}
        return Rows(self.parameters, values, len(range(self.size)[part]))

    def joined(self, other: "Rows") -> "Rows":
        """These rows, then those of another table of the same parameters."""
        values = {
            name: np.concatenate([column, other.values[name]])
            for name, column in self.values.items()
        }
        return Rows(self.parameters, values, self.size + other.size)

    def by_sky(self) -> Iterator[tuple[np.ndarray, dict[str, float], dict[str, FloatArray]]]:
        """Groups of rows that share a morphology: (rows, sky parameters, spectral parameters)."""
        sky = [p.name for p in self.parameters if p.shapes_sky]
        spectral = [p.name for p in self.parameters if not p.shapes_sky]
        keys = np.array([self.values[name] for name in sky]).reshape(len(sky), self.size).T
        for key in np.unique(keys, axis=0) if sky else [np.empty(0)]:
            rows = np.flatnonzero((keys == key).all(axis=1))
            yield (
                rows,
                dict(zip(sky, map(float, key), strict=True)),
                {name: self.values[name][rows] for name in spectral},
            )


@dataclass(frozen=True, eq=False)
class Densities:
    """Unnormalised result for the rows of a table.

    Parameters
    ----------
    expected : (nrow,) counts in the observed data space
    counts_map, counts_spectrum : (nrow, nlat, nlon), (nrow, nenergy) expected counts
    at_data : (nrow, ndatum) expected counts TeV-1 sr-1
    neglected : (nrow, ndatum) bound on what the scan left out of `at_data`
    """

    expected: FloatArray
    counts_map: FloatArray
    counts_spectrum: FloatArray
    at_data: FloatArray
    neglected: FloatArray

    def rows(self, part: slice) -> "Densities":
        """Some of the rows."""
        return Densities(*(getattr(self, name)[part] for name in self.__dataclass_fields__))


def marginalise(
    source: Source,
    exposure: Exposure,
    data: Data,
    binned: bool,
    tolerance: float,
    component: str,
    observation: str,
) -> Marginals:
    """Detected density of a source component at the data.

    Raises
    ------
    DataError
        If the component has no expected counts at some parameter values.
    """
    parameters = source.parameters
    nodes, between = Rows.grid(parameters), Rows.midpoints(parameters)
    # Rows between the nodes share the spatial integrals of those at the nodes.
    both = densities(source, exposure, data, nodes.joined(between), binned, tolerance)
    fine = both.rows(slice(0, nodes.size))
    _check_expected(fine.expected, nodes, component, observation)
    norm = fine.expected[:, None]
    density = fine.at_data / norm
    sample = _sample(data)
    coarse = densities(source, exposure.coarser(), sample, nodes, binned, tolerance)
    pick = _sample_index(data)
    return Marginals(
        parameters=tuple(p.name for p in parameters),
        spacings=tuple(p.spacing for p in parameters),
        units=tuple(p.unit for p in parameters),
        nodes=np.array([p.nodes.size for p in parameters], dtype=np.int64),
        node_values=np.concatenate([p.nodes for p in parameters] or [np.empty(0)]),
        density=density,
        multiplicity=data.multiplicity,
        expected_counts=fine.expected,
        counts_map=fine.counts_map / norm[..., None],
        counts_spectrum=fine.counts_spectrum / norm,
        truncation=(fine.neglected / norm).max(axis=0),
        # Second-order quadrature: a third of the change at double width.
        binning_error=_difference(
            coarse.at_data / coarse.expected[:, None], density[:, pick], sample.multiplicity
        )
        / 3,
        interpolation_error=_interpolation_error(
            parameters, density, both.rows(slice(nodes.size, None)), data.multiplicity
        ),
        observation=observation,
        component=component,
    )


def densities(
    source: Source, exposure: Exposure, data: Data, rows: Rows, binned: bool, tolerance: float
) -> Densities:
    """Expected counts of a component for any rows of parameter values."""
    grid = exposure.data
    out = Densities(
        np.zeros(rows.size),
        np.zeros((rows.size, *grid.sky.shape)),
        np.zeros((rows.size, grid.energy.size)),
        np.zeros((rows.size, data.size)),
        np.zeros((rows.size, data.size)),
    )
    for index, sky, spectral in rows.by_sky():
        terms = source.terms(exposure.true, exposure.frame, sky, spectral)
        for contents, spectrum in _merged(terms, exposure):
            _add_pixels(out, index, contents, spectrum, exposure, data, binned)
        if not binned:
            norm = out.expected[index]
            for contents, spectrum in _merged(terms, exposure):
                _add_events(out, index, contents, spectrum, norm, exposure, data, tolerance)
    return out


@dataclass(frozen=True, eq=False)
class Content:
    """A morphology times the acceptance: counts per unit spectrum at each true energy.

    Parameters
    ----------
    values : (nlat, nlon, nenergy) on the true sky, or (npoint, nenergy)
    lon, lat : (npoint,) deg; None for a map on the true sky
    """

    values: FloatArray
    lon: FloatArray | None = None
    lat: FloatArray | None = None


def _merged(
    terms: tuple[Term, ...], exposure: Exposure
) -> Iterator[tuple[list[Content], FloatArray]]:
    """Terms as contents and spectrum; those with a single spectrum are added up beforehand."""
    if terms[0].spectrum.shape[0] > 1:
        for term in terms:
            yield [_content(term, exposure)], term.spectrum
        return
    contents = []
    for term in terms:
        content = _content(term, exposure)
        contents.append(Content(content.values * term.spectrum[0], content.lon, content.lat))
    maps = [c for c in contents if c.lon is None]
    points = [c for c in contents if c.lon is not None]
    merged = [Content(sum(c.values for c in maps))] if maps else []  # type: ignore[arg-type]
    if points:
        merged.append(
            Content(
                np.concatenate([c.values for c in points]),
                np.concatenate([c.lon for c in points]),
                np.concatenate([c.lat for c in points]),
            )
        )
    yield merged, np.ones((1, exposure.true.energy.size))


def _content(term: Term, exposure: Exposure) -> Content:
    sky = exposure.true.sky
    shape = term.morphology
    if isinstance(shape, GridMorphology):
        intensity = shape.intensity
        by_energy = intensity if intensity.ndim == 3 else intensity[None]
        weight = np.moveaxis(by_energy, 0, -1) * sky.solid_angle[..., None]
        return Content(weight * exposure.acceptance(*sky.mesh()))
    accepted = exposure.acceptance(shape.lon, shape.lat)
    return Content(shape.weight[:, None] * accepted, shape.lon, shape.lat)


def _add_pixels(
    out: Densities,
    rows: np.ndarray,
    contents: list[Content],
    spectrum: FloatArray,
    exposure: Exposure,
    data: Data,
    binned: bool,
) -> None:
    """Add the counts in all reconstructed cells: the normalisation, maps, and binned data."""
    grid = exposure.data
    sums = _to_pixels(contents, exposure).reshape(grid.sky.size, exposure.response.offset.size, -1)
    matrix = dispersion_matrix(exposure.response, grid.energy)
    cover = exposure.coverage.ravel()
    energy, pixel = np.divmod(data.cell, grid.sky.size)
    volume = grid.volume.reshape(grid.energy.size, -1)
    counts_map = out.counts_map.reshape(out.counts_map.shape[0], -1)
    for start in range(0, grid.sky.size, _PIXELS_AT_ONCE):
        stop = min(start + _PIXELS_AT_ONCE, grid.sky.size)
        chunk = sums[start:stop]
        if not chunk.any():
            continue
        spread = np.einsum("rke,pke->pre", matrix.transpose(1, 0, 2), chunk, optimize=False)
        counts = (spectrum @ spread.reshape(-1, spread.shape[-1]).T).reshape(
            spectrum.shape[0], stop - start, -1
        )
        selected = counts * cover[start:stop, None]
        counts_map[rows, start:stop] += selected.sum(axis=2)
        out.counts_spectrum[rows] += selected.sum(axis=1)
        out.expected[rows] += selected.sum(axis=(1, 2))
        if binned:
            here = np.flatnonzero((pixel >= start) & (pixel < stop))
            e, p = energy[here], pixel[here]
            out.at_data[np.ix_(rows, here)] += counts[:, p - start, e] / volume[e, p]


def _to_pixels(contents: list[Content], exposure: Exposure) -> FloatArray:
    sky = exposure.data.sky
    total = np.zeros((*sky.shape, exposure.response.offset.size, exposure.true.energy.size))
    for content in contents:
        if content.lon is None or content.lat is None:
            node, fraction = exposure.nodes(*exposure.true.sky.mesh())
            total += grid_to_pixels(
                content.values, exposure.true.sky, sky, node, fraction, exposure.psf
            )
        else:
            node, fraction = exposure.nodes(content.lon, content.lat)
            total += points_to_pixels(
                content.lon, content.lat, content.values, sky, node, fraction, exposure.psf
            )
    return total


def _add_events(
    out: Densities,
    rows: np.ndarray,
    contents: list[Content],
    spectrum: FloatArray,
    norm: FloatArray,
    exposure: Exposure,
    data: Data,
    tolerance: float,
) -> None:
    """Add the densities at each event's own coordinates."""
    weight = (spectrum / np.where(norm > 0, norm, 1.0)[:, None]).max(axis=0)
    for start in range(0, data.size, _EVENTS_AT_ONCE):
        part = slice(start, start + _EVENTS_AT_ONCE)
        dispersion = dispersion_at(exposure.response, data.energy[part])
        for content in contents:
            sums, bound = scan_events(
                content.values,
                content.lon,
                content.lat,
                data.lon[part],
                data.lat[part],
                dispersion,
                weight,
                exposure,
                tolerance,
            )
            seen = np.einsum("nke,nke->ne", dispersion, sums)
            out.at_data[rows, part] += spectrum @ seen.T
            out.neglected[rows, part] += spectrum @ bound.T


def _check_expected(expected: FloatArray, rows: Rows, component: str, observation: str) -> None:
    if np.all(expected > 0):
        return
    row = int(np.flatnonzero(~(expected > 0))[0])
    at = ", ".join(f"{name} = {values[row]:g}" for name, values in rows.values.items())
    raise DataError(
        f"component {component}: no counts are expected in observation {observation}"
        f"{' at ' + at if at else ''}; narrow the scan or widen the data's energies and region"
    )


def _sample_index(data: Data) -> np.ndarray:
    step = max(1, -(-data.size // _EVENTS_FOR_ERRORS))
    return np.arange(0, data.size, step)


def _sample(data: Data) -> Data:
    pick = _sample_index(data)
    return Data(
        data.energy[pick],
        data.lon[pick],
        data.lat[pick],
        data.multiplicity[pick],
        data.cell[pick],
        np.arange(pick.size),
    )


def _difference(approximate: FloatArray, exact: FloatArray, multiplicity: FloatArray) -> float:
    """Mean of |difference| over mean of density, worst row; bright data count most."""
    change = np.abs(approximate - exact) @ multiplicity
    size = exact @ multiplicity
    return float(np.max(np.where(size > 0, change / np.where(size > 0, size, 1.0), 0.0)))


def _interpolation_error(
    parameters: tuple[Parameter, ...],
    density: FloatArray,
    between: Densities,
    multiplicity: FloatArray,
) -> float:
    """Worst difference, halfway between nodes, of interpolated and exact density."""
    table = density.reshape(*(p.nodes.size for p in parameters), -1)
    worst, start = 0.0, 0
    for axis, parameter in enumerate(parameters):
        n = parameter.nodes.size
        left = np.take(table, np.arange(n - 1), axis=axis)
        right = np.take(table, np.arange(1, n), axis=axis)
        linear = (0.5 * (left + right)).reshape(-1, density.shape[1])
        part = between.rows(slice(start, start + linear.shape[0]))
        start += linear.shape[0]
        seen = part.expected > 0
        exact = part.at_data[seen] / part.expected[seen, None]
        worst = max(worst, _difference(linear[seen], exact, multiplicity))
    return worst
