"""Files that components are made from: where they are, and reading FITS with errors that help."""

import gzip
import io
import warnings
import zlib
from pathlib import Path
from typing import Any

from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from skymix.errors import DataError

_GZIP = b"\x1f\x8b"


def data_path(data: Path, given: Path | None, standard: Path, key: str) -> Path:
    """Path of a file or folder that a component needs.

    Parameters
    ----------
    data : the study's data folder
    given : path in the study, absolute or relative to the data folder
    standard : path within the data folder where the study gives none
    key : the study's key, for the message

    Raises
    ------
    DataError
        If it does not exist.
    """
    path = data / (standard if given is None else given)
    if path.exists():
        return path
    remedy = (
        "set SKYMIX_DATA (or `data` in the study) to a folder that holds it (docs/data.md says"
        f" where it comes from), or set {key}"
        if given is None
        else "correct the path; it is absolute or relative to the data folder"
    )
    raise DataError(f"{key}: {path} does not exist; {remedy}")


def read_hdus(path: Path) -> list[tuple[str, fits.Header, Any]]:
    """Name, header and data of every HDU of a FITS file.

    Raises
    ------
    DataError
        If the file is truncated or no FITS.
    """
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP):
            content = gzip.decompress(content)
        with warnings.catch_warnings():
            # astropy only warns of a truncated file.
            warnings.filterwarnings("error", message=".*truncated.*", category=AstropyUserWarning)
            with fits.open(io.BytesIO(content)) as hdus:
                return [(hdu.name, hdu.header, hdu.data) for hdu in hdus]
    except (OSError, EOFError, zlib.error, TypeError, ValueError, AstropyUserWarning) as error:
        raise DataError(
            f"{path}: not a complete FITS file ({error}); fetch or copy it again"
        ) from None
