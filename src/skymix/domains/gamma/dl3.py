"""DL3 files (Gamma Astro Data Formats): found, opened whole, and their tables checked.

A truncated gzip file looks to astropy like a shorter file without its last tables, and a truncated
plain one only causes a warning; both are refused here. gammapy replaces units that it cannot read
by its own assumption; such units are refused too.
"""

import gzip
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.units import UnitsWarning, UnrecognizedUnit

from skymix.errors import DataError

BACKGROUND_UNIT_ADVICE = (
    "gammapy would assume 's-1 MeV-1 sr-1', skymix does not guess: if that is what is meant, say so"
    " in response.background_unit of the study"
)
_GZIP_MAGIC = b"\x1f\x8b"


def locate(path: Path, data: Path) -> Path:
    """Path of an input file; a relative one is taken from the data folder.

    Raises
    ------
    DataError
        If there is no such file.
    """
    if path.is_relative_to(data):
        path = path.relative_to(data)
    found = path if path.is_absolute() else data / path
    if not path.is_absolute() and not data.is_dir():
        raise DataError(
            f"{path}: the data folder {data} does not exist; set `data` of the study or"
            " SKYMIX_DATA to the folder that holds the file"
        )
    if not found.is_file():
        where = "" if path.is_absolute() else f" in the data folder {data}"
        raise DataError(
            f"{path}: no such file{where}; correct the path, or set `data` of the study or"
            " SKYMIX_DATA to the folder that holds it"
        )
    return found


@contextmanager
def open_dl3(path: Path) -> Iterator[fits.HDUList]:
    """Open a FITS file, plain or gzipped, with all its HDUs.

    Raises
    ------
    DataError
        If it is missing, is not FITS or is truncated.
    """
    stream = BytesIO(_content(path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message=".*truncated")
        try:
            hdus = fits.open(stream, memmap=False)
            len(hdus)  # reads all headers
        except (OSError, ValueError, Warning) as error:
            # What follows is advice to programmers.
            reason = str(error).splitlines()[0].split(". ")[0]
            raise DataError(
                f"{path}: not a whole FITS file ({reason}); copy it again from its source"
            ) from None
    with hdus:
        yield hdus


def _content(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw.startswith(_GZIP_MAGIC) else raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path}: the gzip file is truncated or damaged ({error}); copy it again from its"
            " source"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None


def named_hdu(hdus: fits.HDUList, name: str, path: Path) -> Any:
    """Table HDU of the given name; DataError that lists what the file has if it is missing."""
    if name not in hdus:
        present = ", ".join(hdu.name for hdu in hdus[1:]) or "none"
        raise DataError(
            f"{path}: has no {name} table (its tables: {present}); give a DL3 file with EVENTS and"
            " GTI"
        )
    return hdus[name]


def checked_table(hdu: Any, path: Path) -> Table:
    """Table of an HDU, all of whose units are known; UnrecognizedUnit is refused.

    Raises
    ------
    DataError
        If a unit is not FITS, naming column and keyword.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)
        try:
            table = Table.read(hdu)
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{path}: table {hdu.name} cannot be read ({error})") from None
    for number, name in enumerate(table.colnames, start=1):
        unit = table[name].unit
        if isinstance(unit, UnrecognizedUnit):
            raise DataError(
                f"{path}: column {name} of {hdu.name} has the invalid unit '{unit}'; "
                + _unit_advice(hdu, number)
            )
    return table


def _unit_advice(hdu: Any, number: int) -> str:
    keyword = f"TUNIT{number}"
    if str(hdu.header.get("HDUCLAS2", "")).upper() != "BKG":
        return f"write a unit of the FITS standard to the keyword {keyword} of a copy of the file"
    return BACKGROUND_UNIT_ADVICE


def require_finite(hdu: Any, columns: tuple[str, ...], path: Path) -> None:
    """Refuse NaN and infinite values; DataError names table, column and place (from 0)."""
    for name in columns:
        finite = np.isfinite(np.asarray(hdu.data[name], dtype=np.float64))
        if not finite.all():
            row, *place = (int(i) for i in np.argwhere(~finite)[0])
            where = f"row {row}, element {place}" if place else f"row {row}"
            advice = "mend the table" if place else "remove the row or mend the file"
            raise DataError(f"{path}: {name} of {hdu.name} is not finite in {where}; {advice}")
