"""Recorded event lists: a DL3 file read by gammapy, cut to the study, in the region frame."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from numpy.typing import NDArray

from skymix.axes import FloatArray, IntArray, separation
from skymix.domains.gamma.dl3 import checked_table, named_hdu, open_dl3, require_finite
from skymix.domains.gamma.geometry import RegionFrame
from skymix.domains.gamma.grids import data_grid
from skymix.errors import DataError
from skymix.store.events import Events
from skymix.study.observation import Grids, Region, Selection

_COLUMNS = ("TIME", "RA", "DEC", "ENERGY")
_TIME_TOLERANCE = 1e-6  # s; MET in double precision is good to some 1e-8 s
_MOVING = ("DRIFT", "RASTER", "SLEW")  # OBS_MODE of the GADF standard
_ADVICE = {
    "good_time": "check that the GTI table belongs to these events",
    "energy": "widen grids.energy",
    "region": "move or widen the region",
    "offset": "raise selection.offset_max",
}

Mask = NDArray[np.bool_]


def read_events(
    path: Path,
    observation: str,
    frame: RegionFrame,
    grids: Grids,
    region: Region,
    selection: Selection,
) -> Events:
    """Events of a DL3 file that pass the cuts, in the order of the file.

    The livetime is the sum of the good time intervals times DEADC. Cuts, in order: good time,
    reconstructed energy range, rectangle of the region, angle to the pointing. Equatorial
    coordinates are taken as ICRS, as gammapy does.

    Raises
    ------
    DataError
        If the file is missing, truncated, or lacks EVENTS or GTI; if an energy or a direction is
        not finite or an energy not positive; if the pointing moves; if the livetime is zero; if no
        event is left.
    """
    run = read_run(path, frame)
    grid = data_grid(grids, region)
    offset = separation(run.lon, run.lat, *(np.asarray(angle) for angle in run.pointing))
    keep, cuts = _apply_cuts(
        {
            "good_time": run.good,
            "energy": grid.energy.cell(run.energy) >= 0,
            "region": grid.sky.cell(run.lon, run.lat) >= 0,
            "offset": offset <= selection.offset_max,
        },
        path,
    )
    count = int(keep.sum())
    unknown = np.full(count, np.nan)
    return Events(
        event_id=run.event_id[keep],
        multiplicity=np.ones(count, dtype=np.int64),
        energy=run.energy[keep],
        lon=run.lon[keep],
        lat=run.lat[keep],
        true_component=np.full(count, -1, dtype=np.int64),
        true_energy=unknown,
        true_lon=unknown,
        true_lat=unknown,
        observation=observation,
        pointing_lon=run.pointing[0],
        pointing_lat=run.pointing[1],
        livetime=run.ontime * run.dead,
        ontime=run.ontime,
        cuts=json.dumps(cuts),
        components=(),
        expected_counts=np.empty(0),
        truth="{}",
    )


@dataclass(frozen=True, eq=False)
class Run:
    """All events of a DL3 file, and how long it looked where.

    Parameters
    ----------
    event_id : (nevent,) the file's, or the row
    energy, lon, lat : (nevent,) TeV, deg in the region frame
    good : (nevent,) whether in a good time interval
    ontime : sum of the good time intervals, s
    dead : livetime over ontime
    pointing : (lon, lat) deg, region frame
    """

    event_id: IntArray
    energy: FloatArray
    lon: FloatArray
    lat: FloatArray
    good: Mask
    ontime: float
    dead: float
    pointing: tuple[float, float]


def read_run(path: Path, frame: RegionFrame) -> Run:
    """Events of a DL3 file without any cut; errors as `read_events`."""
    with open_dl3(path) as hdus:
        hdu = named_hdu(hdus, "EVENTS", path)
        _require_columns(hdu, path)
        require_finite(hdu, _COLUMNS, path)
        energy, sky, time, reference = _columns(hdu, path)
        good, ontime, dead = _good_time(hdus, hdu.header, time, reference, path)
        pointing = _pointing(hdu.header, frame, path)
        named = "EVENT_ID" in hdu.columns.names
        ids = np.asarray(hdu.data["EVENT_ID"]) if named else np.arange(energy.size)
    lon, lat = frame.from_sky(sky)
    return Run(ids.astype(np.int64), energy, lon, lat, good, ontime, dead, pointing)


def _require_columns(hdu: Any, path: Path) -> None:
    names = hdu.columns.names if isinstance(hdu, fits.BinTableHDU) else []
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        raise DataError(
            f"{path}: EVENTS lacks the column {', '.join(missing)}; give a DL3 event list (GADF)"
        )


def _columns(hdu: Any, path: Path) -> tuple[FloatArray, SkyCoord, Any, Any]:
    """Energies in TeV, directions, times and their reference, as gammapy reads them."""
    from gammapy.data.io import EventListReader

    checked_table(hdu, path)
    try:
        events = EventListReader.from_gadf_hdu(hdu)
        # Files hold single precision; what follows is double.
        energy, ra, dec = (
            np.asarray(events.table[name].quantity.to_value(unit), dtype=np.float64)
            for name, unit in (("ENERGY", "TeV"), ("RA", "deg"), ("DEC", "deg"))
        )
        sky = SkyCoord(ra * u.deg, dec * u.deg, frame="icrs")
    except (KeyError, ValueError, TypeError, u.UnitConversionError) as error:
        raise DataError(f"{path}: gammapy cannot read EVENTS ({error}); mend the table") from None
    if np.any(energy <= 0):
        row = int(np.flatnonzero(energy <= 0)[0])
        raise DataError(
            f"{path}: ENERGY of EVENTS is {energy[row]:g} TeV in row {row}, not positive; remove"
            " the row or mend the file"
        )
    return energy, sky, events.time, events.time_ref


def _good_time(
    hdus: fits.HDUList, header: Any, time: Any, reference: Any, path: Path
) -> tuple[Mask, float, float]:
    """Which events lie in a good time interval, their sum in s, and the dead-time factor."""
    from gammapy.data import GTI

    hdu = named_hdu(hdus, "GTI", path)
    try:
        gti = GTI.from_table_hdu(hdu)
        start, stop = (
            np.atleast_1d(np.asarray((edge - reference).to_value("s"), dtype=np.float64))
            for edge in (gti.time_start, gti.time_stop)
        )
    except (KeyError, ValueError, TypeError, u.UnitConversionError) as error:
        raise DataError(f"{path}: gammapy cannot read GTI ({error}); mend the table") from None
    order = np.argsort(start, kind="stable")
    start, stop = start[order], stop[order]
    if np.any(stop < start) or np.any(start[1:] < stop[:-1] - _TIME_TOLERANCE):
        raise DataError(
            f"{path}: GTI has intervals that overlap or end before they start; merge them"
        )
    ontime = float((stop - start).sum())
    if not ontime > 0:
        raise DataError(f"{path}: the livetime is zero: GTI holds no time; check the file")
    seconds = np.asarray((time - reference).to_value("s"), dtype=np.float64)
    interval = np.searchsorted(start - _TIME_TOLERANCE, seconds, side="right") - 1
    inside = (interval >= 0) & (seconds <= stop[np.maximum(interval, 0)] + _TIME_TOLERANCE)
    return inside, ontime, _dead_time_correction(header, path)


def _dead_time_correction(header: Any, path: Path) -> float:
    value = header.get("DEADC")
    if not isinstance(value, int | float) or not 0 < value <= 1:
        shown = "is missing" if value is None else f"is {value}"
        raise DataError(
            f"{path}: DEADC of EVENTS (livetime over good time) {shown}; it must be a number above"
            " 0 and at most 1"
        )
    return float(value)


def _pointing(header: Any, frame: RegionFrame, path: Path) -> tuple[float, float]:
    """Direction of the telescope (lon, lat), deg in the region frame; it must stand still."""
    mode = str(header.get("OBS_MODE", "")).strip().upper()
    if mode in _MOVING:
        raise DataError(
            f"{path}: OBS_MODE is {mode}, so the pointing moves during the run; only runs that"
            " track one direction can be analysed: cut it into such runs"
        )
    values = []
    for key, limit in (("RA_PNT", 360), ("DEC_PNT", 90)):
        value = header.get(key)
        if not isinstance(value, int | float) or not abs(value) <= limit:
            shown = "is missing" if value is None else f"is {value}"
            raise DataError(
                f"{path}: {key} of EVENTS {shown}; a pointing in degrees is needed in the header"
            )
        values.append(float(value))
    lon, lat = frame.from_sky(SkyCoord(values[0] * u.deg, values[1] * u.deg, frame="icrs"))
    return float(lon), float(lat)


def _apply_cuts(cuts: dict[str, Mask], path: Path) -> tuple[Mask, dict[str, int]]:
    """Events that pass all cuts, and how many were read and removed by each cut in turn."""
    keep = np.ones(next(iter(cuts.values())).size, dtype=np.bool_)
    counts = {"read": int(keep.size)}
    for name, passed in cuts.items():
        counts[name] = int(np.sum(keep & ~passed))
        keep &= passed
    if not keep.any():
        removed = ", ".join(f"{name} {counts[name]}" for name in cuts)
        # The last cut removes what the others left; the worst is the one that alone removes most.
        worst = max(cuts, key=lambda name: int(np.sum(~cuts[name])))
        raise DataError(
            f"{path}: no event is left of {counts['read']} (removed by the cuts on {removed});"
            + (f" {_ADVICE[worst]}" if counts["read"] else " the event list is empty")
        )
    return keep, counts
