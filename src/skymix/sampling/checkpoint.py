"""Checkpoints of a run: two generations, each written whole, read only by the run they are of.

A file is a line with the checksum of its header, the header as one line of JSON (what the run is a
function of, versions of the libraries, checksum of the content), and the content.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import skymix
from skymix.errors import DataError
from skymix.store.base import write_image

_log = logging.getLogger(__name__)
_MAGIC = "skymix-checkpoint-1"
_LIBRARIES = ("dynesty", "numba", "numpy", "scipy")


class _Damaged(Exception):
    """A checkpoint file that is truncated or was changed."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a run is kept while it goes on.

    Parameters
    ----------
    path : newest generation; the one before is kept beside it as ``<name>.previous``
    identity : what the run is a function of, by name: tables, settings, seed
    every : seconds between checkpoints
    """

    path: Path
    identity: Mapping[str, str]
    every: float = 60.0

    @property
    def previous(self) -> Path:
        """The older generation."""
        return self.path.with_name(f"{self.path.name}.previous")

    @property
    def _fresh(self) -> Path:
        return self.path.with_name(f"{self.path.name}.new")

    def write(self, content: bytes) -> None:
        """Write a new generation; a crash at any time leaves a whole one."""
        header = self._header() | {"sha256": hashlib.sha256(content).hexdigest()}
        line = json.dumps(header, sort_keys=True).encode()
        first = f"{_MAGIC} {hashlib.sha256(line).hexdigest()}".encode()
        write_image(self._fresh, b"\n".join([first, line, content]))
        if self.path.exists():
            os.replace(self.path, self.previous)
        os.replace(self._fresh, self.path)

    def read(self) -> bytes | None:
        """Content of the newest whole generation, None if there is none at all.

        Raises
        ------
        DataError
            If it is of another run, or all generations are damaged.
        """
        found = [path for path in (self.path, self.previous) if path.exists()]
        damage: list[str] = []
        for path in found:
            try:
                content = self._content(path)
            except _Damaged as error:
                damage.append(f"{path}: {error}")
                continue
            if path == self.previous:
                problem = damage[0] if damage else f"{self.path}: missing"
                _log.warning("%s; going on from the older checkpoint %s", problem, path)
                os.replace(path, self.path)
            return content
        if not found:
            return None
        raise DataError(
            f"no checkpoint can be read ({'; '.join(damage)}); delete"
            f" {' and '.join(str(path) for path in found)} to start anew"
        )

    def remove(self) -> None:
        """Delete all generations."""
        for path in (self.path, self.previous, self._fresh):
            path.unlink(missing_ok=True)

    def _header(self) -> dict[str, Any]:
        versions = {name: version(name) for name in _LIBRARIES} | {"skymix": skymix.__version__}
        return {"identity": dict(self.identity), "versions": versions}

    def _content(self, path: Path) -> bytes:
        first, _, rest = path.read_bytes().partition(b"\n")
        line, _, content = rest.partition(b"\n")
        if first != f"{_MAGIC} {hashlib.sha256(line).hexdigest()}".encode():
            raise _Damaged("its header is damaged")
        header = json.loads(line)
        for kind, wanted in self._header().items():
            known = header[kind]
            names = sorted(n for n in wanted | known if wanted.get(n) != known.get(n))
            if names:
                what = "another run" if kind == "identity" else "other versions"
                raise DataError(
                    f"{path}: is the checkpoint of {what} ({', '.join(names)} differ);"
                    " delete it to start anew, or give --checkpoint another file"
                )
        if header["sha256"] != hashlib.sha256(content).hexdigest():
            raise _Damaged("truncated or changed")
        return content
