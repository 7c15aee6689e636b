"""Densities in reconstructed energy within an on region: point-like responses.

Such a response holds only for a point source in the middle of a circle whose size it was made for,
and says nothing of where in it a photon is reconstructed. All densities are therefore even over the
circle, and differ in energy alone.
"""

from dataclasses import dataclass, replace

import numpy as np

from skymix.axes import FloatArray
from skymix.domains.gamma.components.base import PointMorphology, Source, Term
from skymix.domains.gamma.data import Data
from skymix.domains.gamma.dispersion import dispersion_matrix, edge_steps, event_steps
from skymix.domains.gamma.exposure import Exposure
from skymix.domains.gamma.grids import coverage
from skymix.domains.gamma.on_off import OnRegion
from skymix.domains.gamma.rows import Rows
from skymix.errors import DataError, StudyError
from skymix.store.events import Events
from skymix.store.marginals import Marginals
from skymix.store.response import Response

_SAME_RADIUS = 1e-3
_CENTRED = 0.1  # largest distance of a source from the centre, in radii of the on region
_JEFFREYS = 0.5  # added to the off counts of each cell


@dataclass(frozen=True, eq=False)
class OnSpectrum:
    """What a source is worth in the on region.

    Parameters
    ----------
    counts : (nrow, nenergy) expected counts of each reconstructed energy cell
    at_data : (nrow, ndatum) expected counts TeV-1
    """

    counts: FloatArray
    at_data: FloatArray

    @property
    def norm(self) -> FloatArray:
        """Counts to divide by, (nrow, 1); infinite where none are expected."""
        expected = self.counts.sum(axis=1, keepdims=True)
        return np.where(expected > 0, expected, np.inf)

    @property
    def density(self) -> FloatArray:
        """Normalised density at the data, (nrow, ndatum) TeV-1."""
        return self.at_data / self.norm


def on_exposure(exposure: Exposure, on: OnRegion, observation: str) -> Exposure:
    """Exposure that covers the on region alone.

    Raises
    ------
    StudyError
        If the response was made for another radius.
    """
    made_for = float(exposure.response.rad[-1])
    if abs(on.radius - made_for) > _SAME_RADIUS * made_for:
        raise StudyError(
            f"observations.{observation}.events.radius: is {on.radius:g} deg, but the response was"
            f" made for {made_for:.6g} deg (RAD_MAX); give that"
        )
    return replace(exposure, coverage=coverage(exposure.data.sky, (on.lon, on.lat), on.radius))


def marginalise_on_region(
    source: Source,
    exposure: Exposure,
    data: Data,
    binned: bool,
    on: OnRegion,
    component: str,
    observation: str,
) -> Marginals:
    """Detected density of a point source at the data of an on region.

    Parameters
    ----------
    exposure : its coverage is the share of each pixel in the on region
    on : the on region

    Raises
    ------
    StudyError
        If the component is anything but a point source in the middle of the on region.
    """
    parameters = source.parameters
    nodes = Rows.grid(parameters)
    fine = _spectrum(source, exposure, data, binned, on, nodes, component)
    expected = fine.counts.sum(axis=1)
    density = fine.density
    coarse = _spectrum(source, exposure.coarser, data, binned, on, nodes, component)
    middle = Rows.midpoints(parameters)
    error = 0.0
    if middle.size:
        between = _spectrum(source, exposure, data, binned, on, middle, component)
        shape = tuple(p.nodes.size for p in parameters)
        error = _difference(_halfway(density, shape), between.density, data.multiplicity)
    return Marginals(
        parameters=tuple(p.name for p in parameters),
        spacings=tuple(p.spacing for p in parameters),
        units=tuple(p.unit for p in parameters),
        nodes=np.array([p.nodes.size for p in parameters], dtype=np.int64),
        node_values=np.concatenate([p.nodes for p in parameters] or [np.empty(0)]),
        density=density / _solid_angle(exposure),
        multiplicity=data.multiplicity,
        expected_counts=expected,
        counts_map=_even_map(exposure, nodes.size),
        counts_spectrum=fine.counts / fine.norm,
        truncation=np.zeros(data.size),
        # Second-order quadrature: a third of the change at double width.
        binning_error=_difference(coarse.density, density, data.multiplicity) / 3,
        interpolation_error=error,
        observation=observation,
        component=component,
    )


def off_background(
    events: Events,
    exposure: Exposure,
    data: Data,
    normalisation: float,
    component: str,
    observation: str,
) -> Marginals:
    """Background of the on region, measured in the off regions.

    Its density is level in each reconstructed energy cell: the off counts, plus a half in every
    cell (Jeffreys' prior), so that a cell without off events is rare and not impossible.

    Raises
    ------
    DataError
        If there is no off event.
    """
    axis = exposure.data.energy
    off = np.bincount(axis.cell(events.off_energy), minlength=axis.size).astype(np.float64)
    if off.sum() == 0:
        raise DataError(
            f"component {component}: observation {observation} has no event in its off regions;"
            " widen the energies or give more runs"
        )
    share = (off + _JEFFREYS) / (off + _JEFFREYS).sum()
    density = (share / axis.widths)[axis.cell(data.energy)] / _solid_angle(exposure)
    return Marginals(
        parameters=(),
        spacings=(),
        units=(),
        nodes=np.empty(0, dtype=np.int64),
        node_values=np.empty(0),
        density=density[None],
        multiplicity=data.multiplicity,
        expected_counts=np.array([normalisation * events.on_over_off * off.sum()]),
        counts_map=_even_map(exposure, 1),
        counts_spectrum=share[None],
        truncation=np.zeros(data.size),
        binning_error=0.0,
        interpolation_error=0.0,
        observation=observation,
        component=component,
    )


def _spectrum(
    source: Source,
    exposure: Exposure,
    data: Data,
    binned: bool,
    on: OnRegion,
    rows: Rows,
    component: str,
) -> OnSpectrum:
    axis = exposure.data.energy
    node, fraction = (a[0] for a in exposure.nodes(np.array([on.lon]), np.array([on.lat])))
    weights = np.zeros(exposure.response.offset.size)
    weights[[node, node + 1]] = 1 - fraction, fraction
    matrix = np.tensordot(weights, dispersion_matrix(exposure.response, axis), axes=1)
    acceptance = exposure.acceptance(np.array([on.lon]), np.array([on.lat]))[0]
    counts = np.zeros((rows.size, axis.size))
    at_data = np.zeros((rows.size, data.size))
    for index, sky, spectral in rows.by_sky():
        for term in source.terms(exposure.true, exposure.frame, sky, spectral):
            detected = _flux(term, on, component) * term.spectrum * acceptance
            counts[index] += detected @ matrix.T
            if not binned:
                seen = _dispersion_at(exposure.response, weights, data.energy)
                at_data[index] += detected @ seen.T
    if binned:
        at_data = (counts / axis.widths)[:, axis.cell(data.energy)]
    return OnSpectrum(counts, at_data)


def _dispersion_at(response: Response, weights: FloatArray, energy: FloatArray) -> FloatArray:
    """Density of each reconstructed energy at mixed offsets, (nevent, ntrue) TeV-1."""
    cumulative = np.tensordot(weights, response.edisp, axes=1)
    place = event_steps(response, energy)[:, None] - edge_steps(response)
    index = np.clip(np.floor(place).astype(np.int64), 0, response.log_migra.size - 2)
    fraction = np.clip(place - index, 0.0, 1.0)
    cell = np.arange(cumulative.shape[0])

    def at(edge: slice) -> FloatArray:
        i, f = index[:, edge], fraction[:, edge]
        return np.asarray(cumulative[cell, i] * (1 - f) + cumulative[cell, i + 1] * f)

    width = np.diff(np.log(response.energy_true_edges))
    below = at(slice(None, -1)) - at(slice(1, None))
    return np.asarray(np.maximum(below / width / energy[:, None], 0.0))


def _flux(term: Term, on: OnRegion, component: str) -> float:
    """Weight of a point in the middle of the on region."""
    shape = term.morphology
    centred = isinstance(shape, PointMorphology) and all(
        OnRegion(float(x), float(y), 0.0).offset((on.lon, on.lat)) <= _CENTRED * on.radius
        for x, y in zip(shape.lon, shape.lat, strict=True)
    )
    if not centred:
        raise StudyError(
            f"components.{component}: a point-like response holds only for a point source in the"
            f" middle of the on region; give observations with it in a study whose sources are"
        )
    assert isinstance(shape, PointMorphology)
    return float(shape.weight.sum())


def _solid_angle(exposure: Exposure) -> float:
    return float((exposure.coverage * exposure.data.sky.solid_angle).sum())


def _even_map(exposure: Exposure, rows: int) -> FloatArray:
    share = exposure.coverage * exposure.data.sky.solid_angle
    return np.repeat((share / share.sum())[None], rows, axis=0)


def _halfway(density: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Means of neighbouring nodes, in the order of `Rows.midpoints`."""
    table = density.reshape(*shape, -1)
    parts = []
    for axis, n in enumerate(shape):
        left = np.take(table, np.arange(n - 1), axis=axis)
        right = np.take(table, np.arange(1, n), axis=axis)
        parts.append((0.5 * (left + right)).reshape(-1, density.shape[1]))
    return np.concatenate(parts)


def _difference(approximate: FloatArray, exact: FloatArray, multiplicity: FloatArray) -> float:
    """Mean of |difference| over mean of density, worst row; zero without data."""
    size = exact @ multiplicity
    change = np.abs(approximate - exact) @ multiplicity
    return float(np.max(np.divide(change, size, out=np.zeros_like(size), where=size > 0)))
