"""Whether products belong together: made with the same settings, from the same files."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from skymix.errors import DataError
from skymix.store.base import file_sha256, read_provenance


def require_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Refuse a product that was made with other values of these settings.

    Raises
    ------
    DataError
        If they differ, naming the settings that do.
    """
    made = read_provenance(path)["study"]
    wanted = json.loads(json.dumps(settings))
    names = sorted(name for name, value in wanted.items() if made.get(name) != value)
    if names:
        raise DataError(
            f"{path}: was made with other settings than this study's ({', '.join(names)});"
            " make it again with this study"
        )


def require_inputs(path: Path, *inputs: Path) -> None:
    """Refuse a product that was not made from these very files.

    Raises
    ------
    DataError
        If one of them is not among the checksums of what the product was made from.
    """
    known = read_provenance(path)["inputs"].values()
    for source in inputs:
        _require_known(path, known, source, file_sha256(source))


def require_source(source: Path, *paths: Path) -> None:
    """Refuse products of which one was not made from this very file; it is read once.

    Raises
    ------
    DataError
        If it is not among the checksums of what a product was made from.
    """
    digest = file_sha256(source)
    for path in paths:
        _require_known(path, read_provenance(path)["inputs"].values(), source, digest)


def _require_known(path: Path, known: Collection[str], source: Path, digest: str) -> None:
    if digest not in known:
        raise DataError(
            f"{path}: was not made from {source} as it is now; make it again from this file, or"
            " give the one that it was made from"
        )
