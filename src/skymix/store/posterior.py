"""posterior.nc: netCDF4 with the groups that ArviZ expects, and nested dead points beside them."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from skymix.errors import DataError
from skymix.store.base import Provenance, root_attributes, write_image

if TYPE_CHECKING:
    import xarray as xr


class PosteriorSchema:
    """Schema of posterior.nc."""

    schema_name: ClassVar[str] = "posterior"
    schema_version: ClassVar[int] = 2


def write_posterior(path: Path | str, tree: "xr.DataTree", provenance: Provenance) -> None:
    """Write a posterior; the file appears whole or not at all."""
    whole = tree.copy()
    whole.attrs |= root_attributes(PosteriorSchema(), provenance)
    whole.attrs["checksum"] = _checksum(whole)
    write_image(path, whole.to_netcdf(engine="h5netcdf"))


def read_posterior(path: Path | str) -> "xr.DataTree":
    """Read a posterior into memory.

    Raises
    ------
    DataError
        If the file is missing, truncated, of another schema, or fails its checksum.
    """
    # It takes a quarter of a second, which stages that know no posterior need not spend.
    import xarray as xr

    if not Path(path).exists():
        raise DataError(f"{path}: no such file; run the stage that makes it")
    try:
        # HDF5 of another kind has no named dimensions; its schema is refused below.
        with xr.open_datatree(path, engine="h5netcdf", phony_dims="access") as tree:
            loaded = tree.load()
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError):
        raise DataError(
            f"{path}: truncated or not a netCDF file; delete it and run again"
        ) from None
    found = loaded.attrs.get("schema_name"), int(loaded.attrs.get("schema_version", -1))
    wanted = PosteriorSchema.schema_name, PosteriorSchema.schema_version
    if found != wanted:
        raise DataError(
            f"{path}: holds '{found[0]}' version {found[1]}, expected '{wanted[0]}' version"
            f" {wanted[1]}; delete it and run again"
        )
    if loaded.attrs.get("checksum") != _checksum(loaded):
        raise DataError(f"{path}: its content does not match its checksum; delete it and run again")
    return loaded


def _checksum(tree: "xr.DataTree") -> str:
    """Hash of names, units, shapes and values of all variables, and of the root attributes."""
    digest = hashlib.sha256()
    for name, value in sorted(tree.attrs.items()):
        if name != "checksum":
            # Numbers come back from the file as numpy's.
            text = value if isinstance(value, str) else repr(float(value))
            digest.update(f"{name}={text}".encode())
    for node in sorted(tree.subtree, key=lambda n: n.path):
        for name in sorted(map(str, node.variables)):
            values: np.ndarray[Any, Any] = np.ascontiguousarray(node[name].values)
            unit = node[name].attrs.get("unit")
            digest.update(f"{node.path}/{name}{unit}{values.shape}{values.dtype.kind}".encode())
            digest.update(values.tobytes())
    return digest.hexdigest()
