"""IRF tables of a DL3 file as plain arrays in fixed units, read through gammapy and checked."""

from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits

from skymix.axes import FloatArray
from skymix.domains.gamma.dl3 import (
    BACKGROUND_UNIT_ADVICE,
    checked_table,
    open_dl3,
    require_finite,
)
from skymix.domains.gamma.irf_types import (
    NOTHING_STATED,
    PSF,
    Axis,
    Background,
    EffectiveArea,
    EnergyDispersion,
    IRFTables,
    RadialBackground,
    Stated,
)
from skymix.domains.gamma.psf_models import GaussianMixture, King, PSFModel, Rings
from skymix.errors import DataError

_KIND = {"EFF_AREA": "AEFF", "EDISP": "EDISP", "RPSF": "PSF", "PSF": "PSF", "BKG": "BKG"}
_FORMATS = {
    "AEFF": ("AEFF_2D",),
    "EDISP": ("EDISP_2D",),
    "PSF": ("PSF_TABLE", "PSF_3GAUSS", "PSF_KING"),
    "BKG": ("BKG_3D", "BKG_2D"),
}
_OVERSHOOT = 0.03  # of an energy's integral, that negative values may hold
_REVERSED_EXPORTER = ("SASH FITS::EventListWriter", "0.2")  # CREATOR, HDUVERS of EVENTS


def read_irf_tables(path: Path, stated: Stated = NOTHING_STATED) -> IRFTables:
    """Effective area, energy dispersion, PSF and background of a DL3 file.

    Parameters
    ----------
    path : the file
    stated : what holds where the background table says nothing valid

    Raises
    ------
    DataError
        If one of them is missing, given twice, point-like, of an unknown format, or holds units
        that are invalid or values that are not finite or negative.
    """
    tables: dict[str, Any] = {}
    instrument = ""
    with open_dl3(path) as hdus:
        for hdu in hdus:
            kind = _kind(hdu, path)
            if kind is None:
                continue
            if kind in tables:
                raise DataError(f"{path}: has more than one {kind} table; keep one of them")
            tables[kind] = (
                _read_background(hdu, path, stated, _lon_increases_with_ra(hdus))
                if kind == "BKG"
                else _READERS[kind](hdu, path)
            )
            instrument = instrument or str(hdu.header.get("TELESCOP", ""))
    missing = [kind for kind in _FORMATS if kind not in tables]
    if missing:
        raise DataError(
            f"{path}: has no {', '.join(missing)} table; a response needs AEFF, EDISP, PSF and BKG"
            " (HDUCLAS1 = RESPONSE) in one file"
        )
    return IRFTables(
        tables["AEFF"], tables["EDISP"], tables["PSF"], tables["BKG"], instrument or "unknown"
    )


def _lon_increases_with_ra(hdus: fits.HDUList) -> bool:
    """Whether the file is one of the first H.E.S.S. exporter, as gammapy recognises them.

    GADF's fov_lon increases with decreasing right ascension; the backgrounds of these files have it
    the other way round although they say RADEC too.
    """
    if "EVENTS" not in hdus:
        return False
    header = hdus["EVENTS"].header
    return (header.get("CREATOR"), header.get("HDUVERS")) == _REVERSED_EXPORTER


def read_point_like_tables(path: Path) -> tuple[EffectiveArea, EnergyDispersion, float, str]:
    """Effective area, energy dispersion, radius of the angular cut (deg), and instrument.

    Raises
    ------
    DataError
        If one of the tables is missing, given twice, not point-like or unusable, or they have no
        common RAD_MAX.
    """
    tables: dict[str, Any] = {}
    radii, instrument = [], ""
    with open_dl3(path) as hdus:
        for hdu in hdus:
            kind = _KIND.get(str(hdu.header.get("HDUCLAS2", "")).upper())
            if kind not in ("AEFF", "EDISP"):
                continue
            if kind in tables or str(hdu.header.get("HDUCLAS3", "")).upper() != "POINT-LIKE":
                raise DataError(
                    f"{path}: {hdu.name} is given twice or not POINT-LIKE; give a file with one"
                    " point-like AEFF and EDISP"
                )
            tables[kind] = _READERS[kind](hdu, path)
            radii.append(hdu.header.get("RAD_MAX"))
            instrument = instrument or str(hdu.header.get("TELESCOP", ""))
    if set(tables) != {"AEFF", "EDISP"}:
        raise DataError(f"{path}: has no point-like AEFF and EDISP; give a file that has both")
    if radii[0] is None or radii[0] != radii[1]:
        raise DataError(
            f"{path}: AEFF and EDISP give no common angular cut in the keyword RAD_MAX, in deg;"
            " cuts that depend on the energy cannot be used"
        )
    return tables["AEFF"], tables["EDISP"], float(radii[0]), instrument or "unknown"


def _kind(hdu: Any, path: Path) -> str | None:
    """Which response an HDU holds, if any."""
    header = hdu.header
    if str(header.get("HDUCLAS1", "")).upper() != "RESPONSE":
        return None
    if str(header.get("HDUCLAS3", "")).upper() == "POINT-LIKE":
        raise DataError(
            f"{path}: {hdu.name} is a point-like response (HDUCLAS3 = POINT-LIKE), valid only"
            " within its own angular cut; give a full-enclosure response, or set the kinds"
            " point_like and on_off"
        )
    return _KIND.get(str(header.get("HDUCLAS2", "")).upper())


def _format(hdu: Any, kind: str, path: Path) -> str:
    """HDUCLAS4 in the standard's spelling; the first data challenge of CTA left out the prefix."""
    given = str(hdu.header.get("HDUCLAS4", "")).upper()
    full = given if given.startswith(f"{kind}_") else f"{kind}_{given}"
    if full not in _FORMATS[kind]:
        raise DataError(
            f"{path}: {hdu.name} has the format HDUCLAS4 = '{given}'; {kind} can be read as"
            f" {' or '.join(_FORMATS[kind])}"
        )
    return full


def _load(
    hdu: Any, irf_class: Any, unit: str, path: Path, signed: bool = False
) -> tuple[Any, FloatArray]:
    """Table through its gammapy class, and its values in `unit`; not negative if not `signed`."""
    require_finite(hdu, tuple(hdu.columns.names), path)
    table = checked_table(hdu, path)
    try:
        irf = irf_class.from_table(table)
        values = np.asarray(irf.quantity.to_value(unit), dtype=np.float64)
    except (KeyError, ValueError, IndexError) as error:
        raise DataError(
            f"{path}: gammapy cannot read {hdu.name} as {irf_class.tag} in {unit or 'no unit'}"
            f" ({error}); mend the table"
        ) from None
    if not signed and np.any(values < 0):
        raise DataError(f"{path}: {hdu.name} has negative values; mend the table")
    return irf, values


def _axis(irf: Any, name: str, unit: str) -> Axis:
    axis = irf.axes[name]
    return Axis(
        np.asarray(axis.center.to_value(unit), dtype=np.float64),
        np.asarray(axis.edges.to_value(unit), dtype=np.float64),
        axis.node_type == "edges",
    )


def _read_area(hdu: Any, path: Path) -> EffectiveArea:
    from gammapy.irf import EffectiveAreaTable2D

    _format(hdu, "AEFF", path)
    irf, values = _load(hdu, EffectiveAreaTable2D, "m2", path)
    return EffectiveArea(_axis(irf, "energy_true", "TeV"), _axis(irf, "offset", "deg"), values.T)


def _read_edisp(hdu: Any, path: Path) -> EnergyDispersion:
    from gammapy.irf import EnergyDispersion2D

    _format(hdu, "EDISP", path)
    irf, values = _load(hdu, EnergyDispersion2D, "", path, signed=True)
    edges = _axis(irf, "migra", "").edges
    width = np.diff(edges)
    share = _without_overshoots(np.moveaxis(values, (2, 1), (0, 2)), width, hdu, path) * width
    total = share.sum(axis=2, keepdims=True)
    share = np.cumsum(share, axis=2) / np.where(total > 0, total, 1.0)
    cumulative = np.concatenate([np.zeros((*share.shape[:2], 1)), share], axis=2)
    energy, offset = _axis(irf, "energy_true", "TeV"), _axis(irf, "offset", "deg")
    return EnergyDispersion(energy, offset, edges, cumulative, total[..., 0] > 0)


def _without_overshoots(values: FloatArray, volume: FloatArray, hdu: Any, path: Path) -> FloatArray:
    """Density over the cells of the last axis, with small negative values set to zero.

    Interpolation in the making of a table overshoots: in H.E.S.S. DL3 DR1 by up to 2 % of an
    energy's integral at the edge of the field, and by 0.03 % where events are used.
    """
    positive = np.maximum(values, 0.0)
    if np.any((positive - values) @ volume > _OVERSHOOT * (positive @ volume)):
        raise DataError(
            f"{path}: {hdu.name} has negative values that hold more than {100 * _OVERSHOOT:g} % of"
            " an energy's integral; mend the table"
        )
    return positive


def _read_psf(hdu: Any, path: Path) -> PSF:
    from gammapy.irf import PSF3D, EnergyDependentMultiGaussPSF, PSFKing

    form = _format(hdu, "PSF", path)
    if form == "PSF_TABLE":
        irf, values = _load(hdu, PSF3D, "sr-1", path, signed=True)
        rows, edges = _axis(irf, "energy_true", "TeV").nodes, _axis(irf, "rad", "deg").edges
        values = _without_overshoots(values, np.diff(edges**2), hdu, path)
        models: list[PSFModel] = [
            Rings.from_density(rows, edges.copy(), values[:, k]) for k in range(values.shape[1])
        ]
    else:
        irf_class = EnergyDependentMultiGaussPSF if form == "PSF_3GAUSS" else PSFKing
        irf = _load_parametric(hdu, irf_class, path)
        analytic = _gaussians if form == "PSF_3GAUSS" else _king
        models = [analytic(irf, k) for k in range(irf.axes["offset"].nbin)]
    return PSF(_axis(irf, "energy_true", "TeV"), _axis(irf, "offset", "deg"), tuple(models))


def _load_parametric(hdu: Any, irf_class: Any, path: Path) -> Any:
    require_finite(hdu, tuple(hdu.columns.names), path)
    for name in hdu.columns.names:
        if name.startswith("SIGMA") and np.any(np.asarray(hdu.data[name]) < 0):
            raise DataError(f"{path}: {name} of {hdu.name} has negative values; mend the table")
    table = checked_table(hdu, path)
    widths = np.array(table["SIGMA"][0]).T if "SIGMA" in table.colnames else None
    try:
        irf = irf_class.from_table(table)
    except (KeyError, ValueError, IndexError) as error:
        raise DataError(
            f"{path}: gammapy cannot read {hdu.name} as {irf_class.tag} ({error}); mend the table"
        ) from None
    if widths is not None:
        # gammapy puts 1 where sigma is 0, which marks a row without simulated events.
        irf.data["sigma"][widths == 0] = 0
    return irf


def _parameter(irf: Any, name: str, offset: int, unit: str) -> FloatArray:
    values = irf.quantity[name][:, offset]
    return np.asarray(values.to_value(unit), dtype=np.float64)


def _gaussians(irf: Any, offset: int) -> PSFModel:
    """Rows without simulated events have a zero scale."""
    energy = _axis(irf, "energy_true", "TeV").nodes
    sigma = np.array([_parameter(irf, f"sigma_{i}", offset, "deg") for i in (1, 2, 3)])
    tail = [_parameter(irf, f"ampl_{i}", offset, "") for i in (2, 3)]
    amplitude = np.array([np.ones(energy.size), *tail])
    scale = np.asarray(irf.data["scale"][:, offset], dtype=np.float64)
    defined = (scale > 0) & ((amplitude * sigma**2).sum(axis=0) > 0)
    return GaussianMixture(energy, defined, sigma, amplitude)


def _king(irf: Any, offset: int) -> PSFModel:
    """Rows without simulated events have gamma 0."""
    energy = _axis(irf, "energy_true", "TeV").nodes
    sigma, gamma = _parameter(irf, "sigma", offset, "deg"), _parameter(irf, "gamma", offset, "")
    return King(energy, (gamma > 1) & (sigma > 0), sigma, gamma)


def _read_background(
    hdu: Any, path: Path, stated: Stated, with_right_ascension: bool
) -> Background | RadialBackground:
    from gammapy.irf import Background2D, Background3D

    flat = _format(hdu, "BKG", path) == "BKG_2D"
    _settle_unit(hdu, path, stated.unit)
    irf, values = _load(hdu, Background2D if flat else Background3D, "s-1 TeV-1 sr-1", path)
    energy = _axis(irf, "energy", "TeV")
    if flat:
        return RadialBackground(energy, _axis(irf, "offset", "deg"), values)
    alignment = _settle_alignment(hdu, path, stated.alignment)
    if alignment not in ("RADEC", "REVERSE_LON_RADEC"):
        shown = f"FOVALIGN = {alignment}" if alignment else "no FOVALIGN, which means ALTAZ"
        raise DataError(
            f"{path}: {hdu.name} has {shown}; only backgrounds aligned with RADEC, or radially"
            " symmetric ones (BKG_2D), can be used: convert it, or say how it is aligned in"
            " response.background_alignment of the study"
        )
    lon, lat = _axis(irf, "fov_lon", "deg"), _axis(irf, "fov_lat", "deg")
    if alignment == "RADEC" and not with_right_ascension:
        lon = Axis(-lon.nodes[::-1], -lon.edges[::-1], lon.binned)
        values = values[:, ::-1]
    return Background(energy, lon, lat, values)


def _settle_unit(hdu: Any, path: Path, stated: str | None) -> None:
    """Put the stated unit where the file has no valid one; without, gammapy would assume one."""
    column = next((c for c in hdu.columns if c.name in ("BKG", "BGD")), None)
    if column is not None and not _is_unit(column.unit):
        if stated is not None:
            hdu.columns.change_unit(column.name, stated)
        elif not column.unit:
            raise DataError(
                f"{path}: column {column.name} of {hdu.name} has no unit; {BACKGROUND_UNIT_ADVICE}"
            )
    elif column is not None and stated is not None:
        raise DataError(
            f"{path}: column {column.name} of {hdu.name} has the valid unit '{column.unit}'; leave"
            " response.background_unit out of the study"
        )
    checked_table(hdu, path)


def _is_unit(text: str | None) -> bool:
    """Whether astropy reads a unit of the FITS standard."""
    try:
        return bool(text) and u.Unit(text, format="fits") is not None
    except ValueError:
        return False


def _settle_alignment(hdu: Any, path: Path, stated: str | None) -> str:
    """Alignment of the field-of-view axes: the file's, else that of the study."""
    given = str(hdu.header.get("FOVALIGN", "")).upper()
    if given and stated is not None:
        raise DataError(
            f"{path}: {hdu.name} has FOVALIGN = {given}; leave response.background_alignment out"
            " of the study"
        )
    return given or stated or ""


_READERS = {
    "AEFF": _read_area,
    "EDISP": _read_edisp,
    "PSF": _read_psf,
}
