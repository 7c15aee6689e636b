"""Response from the IRFs of a DL3 file, tabulated on the study's true energies.

Offset nodes are those of the IRFs, and the edges of their first and last bins; there the effective
area continues its last two nodes, as in gammapy, while shapes keep those of the nearest node.
Shapes are renormalised at every node, because published tables are not normalised.

Rows of the energy dispersion or the PSF without any simulated event are empty. Between energies
with a shape they are passed over; beyond them the nearest is taken where the effective area is
negligible, and elsewhere the study is refused.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skymix.axes import EnergyAxis, FloatArray, IntArray
from skymix.domains.gamma.irf_background import background_nodes, background_rate
from skymix.domains.gamma.irf_tables import read_irf_tables, read_point_like_tables
from skymix.domains.gamma.irf_types import (
    NOTHING_STATED,
    PSF,
    Axis,
    Background,
    EffectiveArea,
    EnergyDispersion,
    IRFTables,
    Stated,
)
from skymix.domains.gamma.psf_models import PSFModel
from skymix.domains.gamma.tabulate import (
    area_weights,
    linear_weights,
    log_migra_nodes,
    normalised_psf,
    rad_nodes,
    sub_energies,
)
from skymix.errors import DataError
from skymix.store.response import Response

__all__ = ["area_at", "background_rate", "read_response", "response_from_tables"]

Mask = NDArray[np.bool_]

# Below this share of the largest area over the offsets, an undefined shape is taken from the
# nearest defined energy; above, it is an error.
_NEGLIGIBLE_AREA = 0.01
_EDGE_TOLERANCE = 1e-6  # energies in files are single precision
_MASS_TOLERANCE = 1e-9
_MIN_CONTAINED = 0.99


def read_response(path: Path, axis_true: EnergyAxis, stated: Stated = NOTHING_STATED) -> Response:
    """Tabulate the IRFs of a DL3 file.

    Parameters
    ----------
    path : the file
    axis_true : true energy cells
    stated : what the study says where the file says nothing valid

    Raises
    ------
    DataError
        If the file cannot be used (see `read_irf_tables`), if the true energies are not within
        those of the IRFs, or if there is effective area but no simulated event to define the
        energy dispersion or the PSF.
    """
    return response_from_tables(read_irf_tables(path, stated), axis_true, path)


def response_from_tables(tables: IRFTables, axis_true: EnergyAxis, path: Path) -> Response:
    """Tabulate IRFs that were read already; `path` is for messages."""
    _require_energies(tables, axis_true, path)
    offset = _offset_nodes(tables, path)
    energy = sub_energies(axis_true)
    area = area_at(tables.area, offset, energy)
    if not area.any():
        raise DataError(
            f"{path}: AEFF is zero at all true energies of the study, {axis_true.edges[0]:g} to"
            f" {axis_true.edges[-1]:g} TeV; widen grids.true_energy"
        )
    log_migra, edisp = _tabulate_edisp(tables, energy, offset, path)
    rad, psf = _tabulate_psf(tables, energy, offset, path)
    background_energy, lon, lat, rate = background_nodes(tables.background)
    return Response(
        offset=offset,
        energy_true_edges=axis_true.edges,
        log_migra=log_migra,
        rad=rad,
        effective_area=area.mean(axis=2),
        edisp=edisp,
        psf=psf,
        background_energy=background_energy,
        background_fov_lon=lon,
        background_fov_lat=lat,
        background=rate,
        fov_alignment="RADEC",
        instrument=tables.instrument,
    )


def read_point_like_response(path: Path, axis_true: EnergyAxis) -> Response:
    """Tabulate a point-like response; its PSF is even within the angular cut, its background zero.

    Raises
    ------
    DataError
        As `read_response`, and if the tables are not point-like.
    """
    area, edisp, radius, instrument = read_point_like_tables(path)
    nowhere = Axis(np.array([-radius, radius]), np.array([-radius, 0.0, radius]), False)
    tables = IRFTables(
        area,
        edisp,
        PSF(edisp.energy, edisp.offset, ()),
        Background(edisp.energy, nowhere, nowhere, np.zeros((edisp.energy.nodes.size, 2, 2))),
        instrument,
    )
    _require_energies(tables, axis_true, path)
    offset, energy = _offset_nodes(tables, path), sub_energies(axis_true)
    log_migra, cumulative = _tabulate_edisp(tables, energy, offset, path)
    rad = rad_nodes(radius)
    even = normalised_psf(np.ones((rad.size, 1)), rad)
    background_energy, lon, lat, rate = background_nodes(tables.background)
    return Response(
        offset=offset,
        energy_true_edges=axis_true.edges,
        log_migra=log_migra,
        rad=rad,
        effective_area=area_at(area, offset, energy).mean(axis=2),
        edisp=cumulative,
        psf=np.broadcast_to(even, (offset.size, rad.size, axis_true.size)).copy(),
        background_energy=background_energy,
        background_fov_lon=lon,
        background_fov_lat=lat,
        background=rate,
        fov_alignment="RADEC",
        instrument=instrument,
    )


def area_at(area: EffectiveArea, offset: FloatArray, energy: FloatArray) -> FloatArray:
    """Effective area, linear in offset and ln E, (offset.size, *energy.shape) m2.

    Within the outer halves of the first and last bins the last two nodes are continued, but never
    below zero.
    """
    by_energy = linear_weights(np.log(area.energy.nodes), np.log(energy.ravel()), extrapolate=True)
    by_offset = linear_weights(area.offset.nodes, offset, extrapolate=True)
    values = np.maximum(by_offset @ area.values @ by_energy.T, 0.0)
    return np.asarray(values.reshape(offset.size, *energy.shape))


def _require_energies(tables: IRFTables, axis: EnergyAxis, path: Path) -> None:
    axes = (tables.area.energy, tables.edisp.energy, tables.psf.energy)
    low, high = max(a.low for a in axes), min(a.high for a in axes)
    if axis.edges[0] < low * (1 - _EDGE_TOLERANCE) or axis.edges[-1] > high * (1 + _EDGE_TOLERANCE):
        raise DataError(
            f"{path}: the true energies {axis.edges[0]:g} to {axis.edges[-1]:g} TeV of the study"
            f" reach beyond the response's {low:g} to {high:g} TeV; narrow grids.true_energy"
        )


def _offset_nodes(tables: IRFTables, path: Path) -> FloatArray:
    """Nodes of all three responses, from the first bin's lower edge (0) to where one ends."""
    axes = (tables.area.offset, tables.edisp.offset, tables.psf.offset)
    low, high = max(0.0, *(a.low for a in axes)), min(a.high for a in axes)
    if high < low:
        raise DataError(
            f"{path}: AEFF, EDISP and PSF have no common offset; give responses of one production"
        )
    nodes = np.concatenate([[low, high], *(a.nodes for a in axes)])
    nodes = np.unique(nodes[(nodes >= low) & (nodes <= high)])
    # Nodes of different tables may differ by rounding.
    return np.asarray(nodes[np.concatenate([[True], np.diff(nodes) > 1e-5])])


# Energy dispersion -------------------------------------------------------------------------


def _tabulate_edisp(
    tables: IRFTables, energy: FloatArray, offset: FloatArray, path: Path
) -> tuple[FloatArray, FloatArray]:
    """Nodes of ln(E_reco / E_true), and the cumulative (noffset, ncell, nmigra) there."""
    edisp = tables.edisp
    _require_shapes(tables, edisp, edisp.defined, energy, path, "EDISP")
    area = area_at(tables.area, edisp.offset.nodes, energy)
    defined = _nearest_defined(edisp.defined)
    cells = np.stack(
        [
            _cell_cumulative(edisp, int(k), energy, area_weights(area[i]))
            for i, k in enumerate(defined)
        ]
    )
    at_nodes = np.tensordot(linear_weights(edisp.offset.nodes, offset), cells, axes=1)
    return _in_log_migra(edisp.migra_edges, at_nodes)


def _cell_cumulative(
    edisp: EnergyDispersion, k: int, energy: FloatArray, weights: FloatArray
) -> FloatArray:
    """Mean cumulative of each true cell at the migration edges, (ncell, nedge)."""
    rows = np.flatnonzero(edisp.defined[k])
    at = linear_weights(np.log(edisp.energy.nodes[rows]), np.log(energy.ravel()))
    cell = np.einsum("cs,csr->cr", weights, at.reshape(*energy.shape, rows.size))
    return np.asarray(cell @ edisp.cumulative[k, rows])


def _in_log_migra(edges: FloatArray, cumulative: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The cumulative on equally spaced ln(migration), linear in the migration between its edges.

    The grid holds all migrations that occur; those below the first positive edge count at it.
    """
    flat = cumulative.reshape(-1, edges.size)
    first = int(np.flatnonzero(flat.max(axis=0) > _MASS_TOLERANCE)[0]) - 1
    last = int(np.flatnonzero(flat.min(axis=0) >= 1 - _MASS_TOLERANCE)[0])
    if edges[first] <= 0:
        first += 1
    nodes = log_migra_nodes(float(np.log(edges[first])), float(np.log(edges[last])))
    nodes = np.concatenate([[2 * nodes[0] - nodes[1]], nodes])
    at = linear_weights(edges, np.exp(nodes))
    out = (flat @ at.T).reshape(*cumulative.shape[:-1], nodes.size)
    out[..., 0], out[..., -1] = 0.0, 1.0
    return nodes, np.maximum.accumulate(np.clip(out, 0.0, 1.0), axis=-1)  # rounding


# PSF ---------------------------------------------------------------------------------------


def _tabulate_psf(
    tables: IRFTables, energy: FloatArray, offset: FloatArray, path: Path
) -> tuple[FloatArray, FloatArray]:
    """Radial nodes, and the PSF (noffset, nrad, ncell) there."""
    psf = tables.psf
    defined = np.array([model.defined for model in psf.models])
    _require_shapes(tables, psf, defined, energy, path, "PSF")
    area = area_at(tables.area, psf.offset.nodes, energy)
    models = [psf.models[int(k)] for k in _nearest_defined(defined)]
    rad = rad_nodes(_rad_max(models, area, energy, path))
    cells = np.stack(
        [_cell_psf(model, energy, area_weights(area[i]), rad) for i, model in enumerate(models)]
    )
    return rad, np.tensordot(linear_weights(psf.offset.nodes, offset), cells, axes=1)


def _rad_max(models: Sequence[PSFModel], area: FloatArray, energy: FloatArray, path: Path) -> float:
    """Radius that holds the PSF at all energies and offsets with effective area."""
    used = [
        (model, energy[a > 0] if np.any(a > 0) else energy.ravel()[-1:])
        for model, a in zip(models, area, strict=True)
    ]
    rad_max = max(model.radius(at) for model, at in used)
    contained = min(float(model.contained(at, rad_max).min()) for model, at in used)
    if contained < _MIN_CONTAINED:
        raise DataError(
            f"{path}: within {rad_max:g} deg the PSF holds only {contained:.3f} of the photons;"
            " give a PSF with lighter tails, or a table"
        )
    return rad_max


def _cell_psf(
    model: PSFModel, energy: FloatArray, weights: FloatArray, rad: FloatArray
) -> FloatArray:
    """Mean PSF of each true cell, normalised, (nrad, ncell) sr-1."""
    out = np.empty((rad.size, len(energy)))
    for c in range(len(energy)):
        at_energies = normalised_psf(model.density(energy[c], rad).T, rad)
        out[:, c] = at_energies @ weights[c]
    return out


# Undefined shapes --------------------------------------------------------------------------


def _require_shapes(
    tables: IRFTables,
    shape: EnergyDispersion | PSF,
    defined: Mask,
    energy: FloatArray,
    path: Path,
    name: str,
) -> None:
    """Refuse energies with effective area but without a shape, unless the area is negligible."""
    all_offsets = np.union1d(tables.area.offset.nodes, shape.offset.nodes)
    largest = area_at(tables.area, all_offsets, energy).max(axis=0)
    area = area_at(tables.area, shape.offset.nodes, energy)
    matters = (area > _NEGLIGIBLE_AREA * largest) & (area > 0)
    if not defined.any():
        raise DataError(f"{path}: {name} is empty at all energies and offsets; mend the table")
    # The area falls linearly from its last positive node to zero at the next, so shapes may be
    # taken from the nearest row up to the first empty one.
    reach = np.concatenate([[0.0], shape.energy.nodes, [np.inf]])
    for k, node in enumerate(shape.offset.nodes):
        rows = np.flatnonzero(defined[k])
        wrong, within = matters[k], "nowhere"
        if rows.size:
            first, last = rows[0], rows[-1]
            wrong = wrong & ((energy < reach[first]) | (energy > reach[last + 2]))
            low, high = shape.energy.edges[first], shape.energy.edges[last + 1]
            within = f"only from {low:.4g} to {high:.4g} TeV"
        if np.any(wrong):
            raise DataError(
                f"{path}: at offset {node:g} deg {name} is defined {within} (empty rows: no"
                " simulated event), but the effective area is not zero at"
                f" {energy[wrong].min():.4g} TeV; narrow grids.true_energy to where both are known"
            )


def _nearest_defined(defined: Mask) -> IntArray:
    """For each offset node itself, or the nearest with any shape if it has none (and no area).

    Parameters
    ----------
    defined : (noffset, nenergy)
    """
    rows = np.flatnonzero(np.any(defined, axis=1))
    distance = np.abs(np.arange(len(defined))[:, None] - rows[None, :])
    return np.asarray(rows[distance.argmin(axis=1)], dtype=np.int64)
