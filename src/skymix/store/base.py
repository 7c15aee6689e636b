"""Writing and reading of HDF5 products: declared fields, provenance, checksum, atomic files.

A product is a frozen dataclass. Fields made with `array` become datasets with a unit, and with
HDF5 dimension scales where a dimension has the name of another field; fields made with `scalar`
become attributes.
"""

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import h5py
import numpy as np

import skymix
from skymix.errors import DataError

P = TypeVar("P")

_COMPRESS_FROM = 4096  # bytes; smaller datasets only grow
COMPRESSED = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
_BLOCK = 1 << 25  # bytes of a dataset that are held while its checksum is taken


def array(
    unit: str,
    dims: tuple[str, ...],
    dtype: str = "f8",
    finite: bool = True,
    optional: bool = False,
) -> Any:
    """Declare a dataset: its unit, the names of its dimensions and its type.

    With `finite` a NaN or infinite value is refused, both when writing and when reading. An
    `optional` one is empty by default.
    """
    metadata = {"unit": unit, "dims": dims, "dtype": dtype, "finite": finite}
    if optional:
        return field(default_factory=lambda: np.empty((0,) * len(dims), dtype), metadata=metadata)
    return field(metadata=metadata)


def scalar(unit: str = "", default: Any = dataclasses.MISSING) -> Any:
    """Declare an attribute: number, text, or tuple of texts."""
    return field(default=default, metadata={"unit": unit})


@dataclass(frozen=True)
class Provenance:
    """Where a product comes from.

    Parameters
    ----------
    study : the settings that shaped it
    inputs : sha256 of each file read, by file name
    seed : seed of its random stream, if it has one
    """

    study: Mapping[str, Any]
    inputs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    seed: int | None = None


def file_sha256(path: Path | str) -> str:
    """Checksum of a file; DataError if it is missing."""
    try:
        now = os.stat(path)
        return _file_sha256(path, now.st_ino, now.st_size, now.st_mtime_ns)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None


@lru_cache(maxsize=256)
def _file_sha256(path: Path | str, *_state: int) -> str:
    """Checksum of a file in the given state: many products are made from one catalogue or cube."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Give a temporary path in the same folder; it replaces `path` when the block succeeds.

    Raises
    ------
    DataError
        If there can be no such file.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror}); give a path in a folder that you may"
            " write to"
        ) from None
    os.close(handle)
    part = Path(name)
    part.chmod(0o666 & ~_umask())
    try:
        yield part
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_product(path: Path | str, product: Any, provenance: Provenance) -> None:
    """Write a product; the file appears whole or not at all.

    Raises
    ------
    DataError
        If an array has the wrong number of dimensions, or a value that is not finite.
    """
    datasets, attributes = _split_fields(product)
    for name, (values, meta) in datasets.items():
        check_values(values, name, meta, str(path))
    # In memory first: HDF5 cannot take back what it could not write to a full disk.
    write_image(path, _image(type(product), datasets, attributes, provenance))


def write_image(path: Path | str, image: bytes | memoryview) -> None:
    """Write the content of a file; DataError if there is no room or no permission."""
    with atomic_path(path) as part:
        try:
            part.write_bytes(image)
        except OSError as error:
            raise DataError(
                f"{path}: cannot be written ({error.strerror}); make room or write elsewhere"
            ) from None


def _image(
    kind: Any,
    datasets: Mapping[str, Any],
    attributes: Mapping[str, Any],
    provenance: Provenance,
) -> bytes:
    """Content of the HDF5 file of a product."""
    with h5py.File("product", "w", libver="latest", driver="core", backing_store=False) as file:
        for name, (values, meta) in datasets.items():
            _create(file, name, values, meta["unit"])
        seal(file, kind, attributes, provenance)
        file.flush()
        image: bytes = file.id.get_file_image()
    return image


def seal(file: h5py.File, kind: Any, attributes: Mapping[str, Any], provenance: Provenance) -> None:
    """Give a file whose datasets are written its scales, attributes and checksum."""
    for f in dataclasses.fields(kind):
        if "dims" in f.metadata:
            _attach_scales(file, f.name, f.metadata["dims"])
    file.attrs.update(attributes)
    file.attrs.update(root_attributes(kind, provenance))
    file.attrs["checksum"] = _checksum(file)


class HasSchema(Protocol):
    """Something whose file has a schema."""

    schema_name: ClassVar[str]
    schema_version: ClassVar[int]


def root_attributes(schema: HasSchema, provenance: Provenance) -> dict[str, Any]:
    """What every product carries: schema, versions, provenance and time."""
    return {
        "schema_name": schema.schema_name,
        "schema_version": schema.schema_version,
        "skymix_version": skymix.__version__,
        "git_commit": skymix.git_commit(),
        "study": json.dumps(provenance.study, sort_keys=True),
        "inputs": json.dumps(provenance.inputs, sort_keys=True),
        "seed": -1 if provenance.seed is None else provenance.seed,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def read_product(path: Path | str, kind: type[P]) -> P:
    """Read a product of the given class.

    Raises
    ------
    DataError
        If the file is missing, truncated, of another schema, or fails its checksum.
    """
    with _open(path) as file:
        name, version = file.attrs.get("schema_name"), file.attrs.get("schema_version")
        wanted = kind.schema_name, kind.schema_version  # type: ignore[attr-defined]
        if (name, version) != wanted:
            raise DataError(
                f"{path}: holds '{name}' version {version}, expected '{wanted[0]}' version"
                f" {wanted[1]}; delete it and run again"
            )
        if file.attrs.get("checksum") != _checksum(file):
            raise DataError(
                f"{path}: its content does not match its checksum; delete it and run again"
            )
        values = {f.name: _read_field(file, f, str(path)) for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**values)


def read_arrays(path: Path | str, *names: str) -> list[np.ndarray[Any, Any]]:
    """Some datasets of a product, without the check of the whole file that `read_product` makes."""
    with _open(path) as file:
        return [file[name][...] for name in names]


def read_provenance(path: Path | str) -> dict[str, Any]:
    """Root attributes of a product, JSON texts decoded."""
    with _open(path) as file:
        found = dict(file.attrs)
    for name in ("study", "inputs"):
        found[name] = json.loads(found.get(name, "{}"))
    return found


@contextmanager
def _open(path: Path | str) -> Iterator[h5py.File]:
    if not Path(path).exists():
        raise DataError(f"{path}: no such file; run the stage that makes it")
    try:
        file = h5py.File(path, "r")
    except OSError:
        raise DataError(f"{path}: truncated or not an HDF5 file; delete it and run again") from None
    try:
        with file:
            yield file
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise DataError(f"{path}: damaged ({error}); delete it and run again") from None


def _split_fields(product: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    datasets, attributes = {}, {}
    for f in dataclasses.fields(product):
        value = getattr(product, f.name)
        if "dims" in f.metadata:
            datasets[f.name] = (np.asarray(value, dtype=f.metadata["dtype"]), f.metadata)
        else:
            attributes[f.name] = as_attribute(value)
    return datasets, attributes


def as_attribute(value: Any) -> Any:
    """A scalar field as the file holds it: a tuple as JSON."""
    return json.dumps(list(value)) if isinstance(value, tuple | list) else value


def check_values(
    values: np.ndarray[Any, Any], name: str, meta: Mapping[str, Any], path: str
) -> None:
    """Refuse an array with other dimensions than declared, or with values that are not finite."""
    if values.ndim != len(meta["dims"]):
        raise DataError(f"{path}: '{name}' has {values.ndim} dimensions, not {meta['dims']}")
    if meta["finite"] and values.dtype.kind == "f" and not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise DataError(f"{path}: '{name}' is not finite at row {row}; check the input behind it")


def _create(file: h5py.File, name: str, values: np.ndarray[Any, Any], unit: str) -> None:
    big = values.nbytes >= _COMPRESS_FROM
    options = COMPRESSED if big else {}
    dataset = file.create_dataset(name, data=values, **options)
    dataset.attrs["unit"] = unit


def _attach_scales(file: h5py.File, name: str, dims: tuple[str, ...]) -> None:
    if dims == (name,):
        file[name].make_scale(name)
        return
    for axis, dim in enumerate(dims):
        file[name].dims[axis].label = dim
        if dim in file and file[dim].ndim == 1:
            if not file[dim].is_scale:
                file[dim].make_scale(dim)
            file[name].dims[axis].attach_scale(file[dim])


def _read_field(file: h5py.File, f: "dataclasses.Field[Any]", path: str) -> Any:
    if "dims" in f.metadata:
        values = file[f.name][...]
        check_values(values, f.name, f.metadata, path)
        return values
    value = file.attrs[f.name]
    if f.type in ("tuple[str, ...]", tuple[str, ...]):
        return tuple(json.loads(value))
    return value.item() if hasattr(value, "item") else value


def _blocks(dataset: h5py.Dataset) -> Iterator[Any]:
    """Slices that take little memory, in the order of their bytes: rows, or parts of a row."""
    if dataset.nbytes <= _BLOCK:
        yield ...
        return
    row = dataset.nbytes // dataset.shape[0]
    if row <= _BLOCK:
        step = _BLOCK // row
        yield from (slice(start, start + step) for start in range(0, dataset.shape[0], step))
        return
    step = max(1, _BLOCK * dataset.shape[1] // row)
    for k in range(dataset.shape[0]):
        yield from ((k, slice(start, start + step)) for start in range(0, dataset.shape[1], step))


def _checksum(file: h5py.File) -> str:
    """Hash of names, units, shapes and bytes of all datasets, and of attributes but itself."""
    digest = hashlib.sha256()
    for name in sorted(file):
        dataset = file[name]
        unit = dataset.attrs.get("unit")
        digest.update(f"{name}{unit}{dataset.shape}{dataset.dtype.str}".encode())
        for block in _blocks(dataset):
            digest.update(np.ascontiguousarray(dataset[block]).tobytes())
    for name in sorted(set(file.attrs) - {"checksum"}):
        digest.update(f"{name}={file.attrs[name]}".encode())
    return digest.hexdigest()
