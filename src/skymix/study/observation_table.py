"""Observations that are written as rows of a table: common settings and what differs."""

import copy
import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from skymix.errors import StudyError
from skymix.study.messages import first_mistake
from skymix.study.observation import Observation, ObservationTable

_COLUMN = re.compile(r"(?P<key>[^\[\]]+?)\s*(\[(?P<unit>[^\[\]]+)\])?")


def read_observations(table: ObservationTable, folder: Path) -> dict[str, Observation]:
    """Observations of a table by name, in its order.

    Parameters
    ----------
    folder : what the table's path is relative to

    Raises
    ------
    StudyError
        If the file cannot be read, or naming its first wrong row.
    """
    path = folder / table.path
    found: dict[str, Observation] = {}
    for row, cells in _rows(path):
        place = f"{path}: row {row}"
        name = cells.pop("name", "")
        if not name:
            raise StudyError(f"{place}: has no name; give one")
        if name in found:
            raise StudyError(f"{place}: the name '{name}' is given twice; change one")
        raw = copy.deepcopy(table.common)
        for key, value in cells.items():
            _put(raw, key, value, place)
        try:
            found[name] = Observation.model_validate(raw)
        except ValidationError as error:
            raise StudyError(f"{place} ({name}): {first_mistake(error, Observation)}") from None
    if not found:
        raise StudyError(f"{path}: has no row; give one for each observation")
    return found


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Number and filled cells by key of each row, with the unit of their column."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = (line for line in file if line.strip() and not line.startswith("#"))
            lines = csv.reader(rows, skipinitialspace=True)
            columns = [_column(path, text) for text in next(lines, [])]
            keys = [key for key, _ in columns]
            if "name" not in keys:
                raise StudyError(f"{path}: has no column 'name'; its columns are {', '.join(keys)}")
            if twice := {key for key in keys if keys.count(key) > 1}:
                raise StudyError(f"{path}: the column '{min(twice)}' is given twice; delete one")
            for row, cells in enumerate(lines, start=1):
                if len(cells) != len(columns):
                    raise StudyError(
                        f"{path}: row {row}: has {len(cells)} cells for {len(columns)} columns"
                    )
                yield (
                    row,
                    {
                        key: f"{cell.strip()} {unit}" if unit else cell.strip()
                        for (key, unit), cell in zip(columns, cells, strict=True)
                        if cell.strip()
                    },
                )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise StudyError(f"{path}: cannot be read as a table ({reason}); give a CSV file") from None


def _column(path: Path, text: str) -> tuple[str, str | None]:
    match = _COLUMN.fullmatch(text.strip())
    if match is None:
        raise StudyError(
            f"{path}: the column '{text}' is not a key with perhaps its unit; write it as in"
            " 'events.livetime [h]'"
        )
    return match["key"], match["unit"]


def _put(raw: dict[str, Any], key: str, value: str, place: str) -> None:
    """Set a setting that is named by its keys joined by dots; names of parameters have dots."""
    section, mark, parameter = key.partition(".parameters.")
    *parents, last = [*section.split("."), "parameters", parameter] if mark else key.split(".")
    for parent in parents:
        raw = raw.setdefault(parent, {})
        if not isinstance(raw, Mapping):
            raise StudyError(f"{place}: '{key}': '{parent}' is no section with keys of its own")
    raw[last] = _number(value)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
