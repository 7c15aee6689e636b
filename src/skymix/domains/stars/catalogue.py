"""Reading a catalogue of stars: columns, units, selections, covariances of the errors."""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import Table
from numpy.typing import NDArray

from skymix.axes import FloatArray, IntArray
from skymix.errors import DataError
from skymix.store import Catalogue
from skymix.study.stars import CatalogueSettings, Labels, SkyRegion


def read_catalogue(settings: CatalogueSettings, folder: Path) -> Catalogue:
    """Read a table, select stars and build the covariances of their errors.

    Parameters
    ----------
    settings : columns, units and selections
    folder : that the path is relative to

    Raises
    ------
    DataError
        If the file cannot be read, a column is not there, a unit does not fit, a value is missing
        (unless the study drops such stars), an error is not positive, a correlation is outside
        [-1, 1], a covariance is not positive definite, or no star is left.
    """
    path = folder / settings.path
    inner = settings.region.inner_radius or 0.0 if settings.region else 0.0
    table = read_table(path, settings.format)
    removed: dict[str, int] = {}
    keep = np.ones(len(table), dtype=np.bool_)

    def remove(name: str, bad: NDArray[np.bool_]) -> None:
        removed[name] = int(np.count_nonzero(keep & bad))
        keep[bad] = False

    sky = np.empty((0, 2))
    if settings.region is not None:
        sky = _offsets(settings.region, table, path)
        distance = np.hypot(*sky.T)
        remove("region", ~((distance <= settings.region.radius) & (distance >= inner)))
    for cut in settings.cuts:
        column = _column(table, cut.column, path)
        low = -np.inf if cut.min is None else cut.min
        high = np.inf if cut.max is None else cut.max
        remove(cut.column, ~((column >= low) & (column <= high)))  # a missing value fails a cut
    numbers = _numbers(settings, table, path)
    missing = np.zeros(len(table), dtype=np.bool_)
    for column_name, column in numbers.items():
        lacking = np.isnan(column)
        if settings.missing == "refuse" and np.any(lacking & keep):
            raise DataError(
                f"{path}: {np.count_nonzero(lacking & keep)} values are missing in column"
                f" '{column_name}', first in row {_first(lacking & keep)}; correct the table, or"
                " say 'missing: drop' in the study"
            )
        missing |= lacking
    if settings.missing == "drop":
        remove("missing", missing)
    if not keep.any():
        raise DataError(f"{path}: no star is left of {len(table)}; the selections remove {removed}")
    row = np.flatnonzero(keep)
    values = np.stack(
        [numbers[c.column] * _factor(table, c, path) for c in settings.coordinates.values()], axis=1
    )
    return Catalogue(
        tuple(settings.coordinates),
        tuple(c.unit for c in settings.coordinates.values()),
        values[row],
        _covariance(settings, table, numbers, row, path),
        row,
        json.dumps(removed),
        sky[row] if sky.size else sky,
        inner,
        settings.region.radius if settings.region else 0.0,
        _members(settings.labels, table, path)[row] if settings.labels else np.empty(0, np.int64),
    )


def read_table(path: Path, kind: str | None) -> Table:
    """Read a table of any kind that astropy reads; DataError if it cannot."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; correct the path in the study")
    try:
        return Table.read(path, format=kind)
    except (OSError, ValueError, TypeError, u.UnitsError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"{path}: astropy cannot read it ({reason}); give its format") from None


def _column(table: Table, name: str, path: Path) -> FloatArray:
    """Numbers of a column, NaN where one is missing."""
    if name not in table.colnames:
        known = {column.lower(): column for column in table.colnames}
        close = [known[c] for c in get_close_matches(name.lower(), known, n=3)]
        near = f"; the nearest names are {', '.join(close)}" if close else ""
        raise DataError(f"{path}: has no column '{name}'{near}")
    try:
        return np.asarray(np.ma.filled(np.ma.asarray(table[name]).astype(np.float64), np.nan))
    except (TypeError, ValueError):
        raise DataError(f"{path}: column '{name}' holds text, not numbers") from None


def _numbers(settings: CatalogueSettings, table: Table, path: Path) -> dict[str, FloatArray]:
    """Every column that the analysis uses, as the file has it."""
    names = [c.column for c in settings.coordinates.values()]
    names += [c.error for c in settings.coordinates.values() if c.error is not None]
    names += [c.column for c in settings.correlations]
    found = {name: _column(table, name, path) for name in names}
    return {name: np.where(np.isfinite(column), column, np.nan) for name, column in found.items()}


def _factor(table: Table, coordinate: Any, path: Path) -> float:
    """What a column's numbers are multiplied by."""
    own = table[coordinate.column].unit or coordinate.column_unit
    if own is None:
        raise DataError(
            f"{path}: column '{coordinate.column}' has no unit; give its column_unit in the study"
        )
    try:
        return float(u.Unit(own).to(u.Unit(coordinate.unit)))
    except (u.UnitConversionError, ValueError) as error:
        raise DataError(f"{path}: column '{coordinate.column}': {error}") from None


def _offsets(region: SkyRegion, table: Table, path: Path) -> FloatArray:
    """Offsets from the region's centre, (nrow, 2) deg; their length is the true distance.

    Distances by the haversine formula, directions by the position angle.
    """
    lon = np.radians(_column(table, region.lon_column, path) - region.lon)
    lat, centre = np.radians(_column(table, region.lat_column, path)), np.radians(region.lat)
    half = np.sin((lat - centre) / 2) ** 2 + np.cos(lat) * np.cos(centre) * np.sin(lon / 2) ** 2
    distance = np.degrees(2 * np.arcsin(np.sqrt(np.clip(half, 0, 1))))
    east = np.cos(lat) * np.sin(lon)
    north = np.sin(lat) * np.cos(centre) - np.cos(lat) * np.sin(centre) * np.cos(lon)
    angle = np.arctan2(east, north)
    return np.stack([distance * np.sin(angle), distance * np.cos(angle)], axis=1)


def _members(labels: Labels, table: Table, path: Path) -> IntArray:
    """1 for members, 0 for others, -1 for rows whose label is in neither list."""
    if labels.column not in table.colnames:
        _column(table, labels.column, path)
    text = np.array([str(value) for value in table[labels.column]])
    found = np.where(np.isin(text, labels.others), 0, -1)
    return np.where(np.isin(text, labels.members), 1, found).astype(np.int64)


def _covariance(
    settings: CatalogueSettings,
    table: Table,
    numbers: Mapping[str, FloatArray],
    row: IntArray,
    path: Path,
) -> FloatArray:
    names = list(settings.coordinates)
    error = np.zeros((row.size, len(names)))
    for j, coordinate in enumerate(settings.coordinates.values()):
        if coordinate.error is None:
            continue
        own = numbers[coordinate.error][row]
        if np.any(own <= 0):
            raise DataError(
                f"{path}: the error '{coordinate.error}' is {own[own <= 0][0]:g} in row"
                f" {row[_first(own <= 0)]}; errors must be greater than zero"
            )
        error[:, j] = own * _factor(table, coordinate, path)
    correlation = np.broadcast_to(np.eye(len(names)), (row.size, len(names), len(names))).copy()
    for pair in settings.correlations:
        i, j = (names.index(name) for name in pair.between)
        rho = numbers[pair.column][row]
        outside = np.abs(rho) > 1
        if outside.any():
            raise DataError(
                f"{path}: the correlation '{pair.column}' is {rho[outside][0]:g} in row"
                f" {row[_first(outside)]}; it must lie in [-1, 1]"
            )
        correlation[:, i, j] = correlation[:, j, i] = rho
    # Of coordinates without errors the block is empty; the others must be invertible.
    singular = np.linalg.eigvalsh(correlation)[:, 0] <= 1e-12
    if singular.any():
        raise DataError(
            f"{path}: the covariance of the errors in row {row[_first(singular)]} is not positive"
            " definite; correct its correlations"
        )
    return np.asarray(error[:, :, None] * correlation * error[:, None, :])


def _first(which: NDArray[np.bool_]) -> int:
    return int(np.flatnonzero(which)[0])
