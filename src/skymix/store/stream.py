"""Writing of a product block by block, in memory that its size does not change."""

import dataclasses
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from skymix.errors import DataError
from skymix.store.base import (
    COMPRESSED,
    Provenance,
    as_attribute,
    atomic_path,
    check_values,
    seal,
)

_NARROWEST, _WIDEST = 1 << 12, 1 << 17  # elements of a chunk
_CACHE = 1 << 26  # bytes of chunks that are held uncompressed


class ProductStream:
    """A product that is being written; its datasets grow along their last dimension.

    Parameters
    ----------
    file : open HDF5 file
    kind : class of the product
    path : for messages
    blocks : how many blocks a dataset will have; they may differ in size
    """

    def __init__(self, file: h5py.File, kind: Any, path: str, blocks: int) -> None:
        self._file, self._path, self._blocks = file, path, blocks
        self._meta = {f.name: f.metadata for f in dataclasses.fields(kind) if "dims" in f.metadata}
        self._attributes: dict[str, Any] = {}

    def append(self, name: str, block: np.ndarray[Any, Any]) -> None:
        """Append a block, (..., n), to a dataset; all blocks agree in the other dimensions."""
        values = self._checked(name, block)
        dataset = self._dataset(name, values.shape[:-1], values.shape[-1])
        start = dataset.shape[-1]
        dataset.resize(start + values.shape[-1], axis=values.ndim - 1)
        dataset[..., start:] = values

    def append_rows(
        self, name: str, rows: slice, height: int, block: np.ndarray[Any, Any], start: int
    ) -> None:
        """Write some rows of a table of `height` rows, from the column `start` on."""
        values = self._checked(name, block)
        dataset = self._dataset(name, (height,), values.shape[1])
        stop = start + values.shape[1]
        if dataset.shape[1] < stop:
            dataset.resize(stop, axis=1)
        dataset[rows, start:stop] = values

    def set(self, **values: Any) -> None:
        """Write whole datasets, or attributes."""
        for name, value in values.items():
            if name in self._meta:
                checked = self._checked(name, value)
                dataset = self._file.create_dataset(name, data=checked)
                dataset.attrs["unit"] = self._meta[name]["unit"]
            else:
                self._attributes[name] = as_attribute(value)

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The attributes so far."""
        return self._attributes

    def _checked(self, name: str, block: Any) -> np.ndarray[Any, Any]:
        values = np.asarray(block, dtype=self._meta[name]["dtype"])
        check_values(values, name, self._meta[name], self._path)
        return values

    def _dataset(self, name: str, height: tuple[int, ...], first: int) -> h5py.Dataset:
        """A dataset; a new one is given chunks that suit the width of its first block."""
        if name in self._file:
            return self._file[name]
        # The chunks that are being filled, one a row, are held in memory. A chunk is compressed
        # whole, so it should not be much wider than the dataset will be.
        width = min(_CACHE // (16 * int(np.prod(height))), self._blocks * first)
        dataset = self._file.create_dataset(
            name,
            shape=(*height, 0),
            maxshape=(*height, None),
            chunks=(*[1] * len(height), min(max(width, _NARROWEST), _WIDEST)),
            dtype=self._meta[name]["dtype"],
            **COMPRESSED,
        )
        dataset.attrs["unit"] = self._meta[name]["unit"]
        return dataset


@contextmanager
def stream_product(
    path: Path | str, kind: type[Any], provenance: Provenance, blocks: int
) -> Iterator[ProductStream]:
    """Write a product in so many blocks; the file appears whole when all succeed, or not.

    Raises
    ------
    DataError
        If a block has the wrong number of dimensions, or there is no room or no permission.
    """
    with atomic_path(path) as part, open(part, "w+b", buffering=0) as raw:
        disk = _Disk(raw)
        try:
            with h5py.File(disk, "w", libver="latest", rdcc_nbytes=_CACHE) as file:
                stream = ProductStream(file, kind, str(path), blocks)
                yield stream
                file.flush()
                disk.check()
                seal(file, kind, stream.attributes, provenance)
            disk.check()
        except Exception:
            # HDF5's own complaint about what it cannot read back would hide the reason.
            if disk.failure is None:
                raise
            raise DataError(
                f"{path}: cannot be written ({disk.failure.strerror}); make room or write elsewhere"
            ) from None


class _Disk(io.RawIOBase):
    """A file that keeps the first failure to write and swallows what comes after it.

    HDF5 cannot close a file that it cannot write.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.failure: OSError | None = None

    def check(self) -> None:
        """Raise the failure, if there was one."""
        if self.failure is not None:
            raise self.failure

    def write(self, block: Any) -> int:
        """Write, unless a write has failed."""
        left = memoryview(block).cast("B")
        while self.failure is None and left.nbytes:
            try:
                left = left[self._raw.write(left) :]
            except OSError as error:
                self.failure = error
        return len(memoryview(block).cast("B"))

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; what was never written is zero."""
        view = memoryview(buffer).cast("B")
        done = 0
        while done < view.nbytes and (step := self._raw.readinto(view[done:])):  # type: ignore[attr-defined]
            done += step
        view[done:] = bytes(view.nbytes - done)
        return view.nbytes

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move."""
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        """Position."""
        return self._raw.tell()

    def truncate(self, size: int | None = None) -> int:
        """Set the length."""
        return self._raw.truncate(size)
