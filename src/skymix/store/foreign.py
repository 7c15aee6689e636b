"""HDF5 files that others made, as arrays in memory."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from skymix.errors import DataError


def read_hdf5(path: Path) -> dict[str, NDArray[Any]]:
    """Every dataset of an HDF5 file by its path in the file, without the leading slash.

    Raises
    ------
    DataError
        If the file is missing, truncated or no HDF5.
    """
    found: dict[str, NDArray[Any]] = {}

    def collect(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item[()])

    try:
        with h5py.File(path, "r") as file:
            file.visititems(collect)
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: not a complete HDF5 file ({reason}); fetch it again") from None
    return found
