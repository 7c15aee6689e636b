"""posterior.nc: netCDF4 with the groups that ArviZ expects, and nested dead points beside them."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import skymix
from skymix.errors import DataError
from skymix.store.base import Provenance, atomic_path

SCHEMA_NAME = "posterior"
SCHEMA_VERSION = 1


def write_posterior(path: Path | str, tree: xr.DataTree, provenance: Provenance) -> None:
    """Write a posterior; the file appears whole or not at all."""
    whole = tree.copy()
    whole.attrs |= {
        "schema_name": SCHEMA_NAME,
        "schema_version": SCHEMA_VERSION,
        "skymix_version": skymix.__version__,
        "git_commit": skymix.git_commit(),
        "study": json.dumps(provenance.study, sort_keys=True),
        "inputs": json.dumps(provenance.inputs, sort_keys=True),
        "seed": -1 if provenance.seed is None else provenance.seed,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    whole.attrs["checksum"] = _checksum(whole)
    with atomic_path(path) as part:
        whole.to_netcdf(part, engine="h5netcdf")


def read_posterior(path: Path | str) -> xr.DataTree:
    """Read a posterior into memory.

    Raises
    ------
    DataError
        If the file is missing, truncated, of another schema, or fails its checksum.
    """
    if not Path(path).exists():
        raise DataError(f"{path}: no such file; run the stage that makes it")
    try:
        with xr.open_datatree(path, engine="h5netcdf") as tree:
            loaded = tree.load()
    except (OSError, ValueError, KeyError):
        raise DataError(
            f"{path}: truncated or not a netCDF file; delete it and run again"
        ) from None
    found = loaded.attrs.get("schema_name"), int(loaded.attrs.get("schema_version", -1))
    if found != (SCHEMA_NAME, SCHEMA_VERSION):
        raise DataError(
            f"{path}: holds '{found[0]}' version {found[1]}, expected '{SCHEMA_NAME}' version"
            f" {SCHEMA_VERSION}; delete it and run again"
        )
    if loaded.attrs.get("checksum") != _checksum(loaded):
        raise DataError(f"{path}: its content does not match its checksum; delete it and run again")
    return loaded


def _checksum(tree: xr.DataTree) -> str:
    """Hash of the names, shapes and values of all variables."""
    digest = hashlib.sha256()
    for node in sorted(tree.subtree, key=lambda n: n.path):
        for name in sorted(map(str, node.data_vars)):
            values: np.ndarray[Any, Any] = np.ascontiguousarray(node[name].values)
            digest.update(f"{node.path}/{name}{values.shape}{values.dtype.kind}".encode())
            digest.update(values.tobytes())
    return digest.hexdigest()
