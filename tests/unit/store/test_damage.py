import dataclasses
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from tests.unit.store.products import KINDS, assert_same, random_product

from skymix.errors import DataError
from skymix.store import (
    Events,
    Marginals,
    Provenance,
    file_sha256,
    read_product,
    read_provenance,
    write_product,
)

PROVENANCE = Provenance({"name": "damage"}, {}, 1)


EVENTS = f"'events' version {Events.schema_version}"


def events(n=6, **changes):
    return dataclasses.replace(random_product(Events, 1, sizes=(n,)), **changes)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "events.h5"
    write_product(path, events(), PROVENANCE)
    return path


def refused(path, message, kind=Events):
    with pytest.raises(DataError, match=message) as caught:
        read_product(path, kind)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return text


def test_missing_file(tmp_path):
    refused(tmp_path / "none.h5", "no such file; run the stage that makes it")
    with pytest.raises(DataError, match=r"none.h5: cannot be read \(No such file or directory\)"):
        file_sha256(tmp_path / "none.h5")


def test_folder_instead_of_a_file(tmp_path):
    refused(tmp_path, "not an HDF5 file")


@pytest.mark.parametrize("content", [b"", b"SIMPLE  =", b"\x89HDF\r\n\x1a\n", b"x" * 10_000])
def test_not_hdf5(tmp_path, content):
    (tmp_path / "p.h5").write_bytes(content)
    refused(tmp_path / "p.h5", "truncated or not an HDF5 file; delete it and run again")


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0])
def test_truncated(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: min(int(share * len(content)), len(content) - 1)])
    refused(path, "delete it and run again")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [5, 40])
def test_flipped_byte_in_the_data(tmp_path, kind, n):
    """First, middle and last byte of every dataset, plain or compressed."""
    path = tmp_path / "p.h5"
    write_product(path, random_product(kind, 2, sizes=(n,)), PROVENANCE)
    whole = path.read_bytes()
    for place in data_places(path):
        content = bytearray(whole)
        content[place] ^= 0x10
        path.write_bytes(content)
        refused(path, "delete it and run again", kind)
    path.write_bytes(whole)
    read_product(path, kind)


def data_places(path):
    with h5py.File(path) as file:
        for dataset in file.values():
            start = dataset.id.get_offset()
            if start is not None:
                regions = [(start, dataset.id.get_storage_size())]
            else:
                chunks = (dataset.id.get_chunk_info(i) for i in range(dataset.id.get_num_chunks()))
                regions = [(chunk.byte_offset, chunk.size) for chunk in chunks]
            for begin, size in regions[:1] + regions[-1:]:
                yield from {begin, begin + size // 2, begin + size - 1}


@pytest.mark.parametrize("bit", [0, 7])
def test_flipped_bit_anywhere(path, bit):
    """Refused with one sentence, or harmless: the same product."""
    whole = path.read_bytes()
    expected = read_product(path, Events)
    for place in range(0, len(whole), 41):
        content = bytearray(whole)
        content[place] ^= 1 << bit
        path.write_bytes(content)
        try:
            found = read_product(path, Events)
        except DataError as error:
            assert str(path) in str(error)  # noqa: PT017
        else:
            assert_same(found, expected)


def test_other_schema(path):
    refused(
        path, f"holds {EVENTS}, expected 'marginals' version {Marginals.schema_version}", Marginals
    )


@pytest.mark.parametrize(("name", "value"), [("schema_version", 99), ("schema_name", "stars")])
def test_other_version(path, name, value):
    with h5py.File(path, "a") as file:
        file.attrs[name] = value
    text = refused(path, f"expected {EVENTS}; delete it and run again")
    assert str(value) in text


def test_hdf5_of_someone_else(tmp_path):
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file["energy"] = np.ones(3)
    refused(tmp_path / "p.h5", f"holds 'None' version None, expected {EVENTS}")


@pytest.mark.parametrize("change", ["attribute", "value", "deleted", "added", "unit"])
def test_edited_by_hand(path, change):
    with h5py.File(path, "a") as file:
        if change == "attribute":
            file.attrs["livetime"] = file.attrs["livetime"] * 2
        elif change == "value":
            file["energy"][0] = 1.5
        elif change == "deleted":
            del file["lon"]
        elif change == "added":
            file["other"] = np.ones(2)
        else:
            file["energy"].attrs["unit"] = "GeV"
    refused(path, "does not match its checksum; delete it and run again")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 3, 5])
def test_not_finite_where_it_must_be(tmp_path, value, row):
    lon = np.zeros(6)
    lon[row] = value
    path = tmp_path / "p.h5"
    with pytest.raises(DataError, match=rf"p.h5: 'lon' is not finite at row {row}"):
        write_product(path, events(lon=lon), PROVENANCE)
    assert list(tmp_path.iterdir()) == []


def test_row_of_a_table_that_is_not_finite(tmp_path):
    product = random_product(Marginals, 3, sizes=(4,))
    product.density[2, 1] = np.nan
    with pytest.raises(DataError, match="'density' is not finite at row 2"):
        write_product(tmp_path / "p.h5", product, PROVENANCE)


def test_nan_is_kept_where_it_is_allowed(tmp_path):
    truth = np.full(6, np.nan)
    write_product(tmp_path / "p.h5", events(true_energy=truth), PROVENANCE)
    assert np.isnan(read_product(tmp_path / "p.h5", Events).true_energy).all()


def test_wrong_number_of_dimensions(tmp_path):
    with pytest.raises(DataError, match="'energy' has 2 dimensions"):
        write_product(tmp_path / "p.h5", events(energy=np.ones((6, 1))), PROVENANCE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", [1, 5, 9])
def test_disk_error_leaves_the_old_file(path, monkeypatch, call):
    old = path.read_bytes()
    create, calls = h5py.Group.create_dataset, []

    def failing(self, *args, **kwargs):
        calls.append(args)
        if len(calls) == call:
            raise OSError(28, "No space left on device")
        return create(self, *args, **kwargs)

    monkeypatch.setattr(h5py.Group, "create_dataset", failing)
    with pytest.raises(OSError, match="No space left"):
        write_product(path, events(8), PROVENANCE)
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


def test_sync_error_leaves_the_old_file(path, monkeypatch):
    old = path.read_bytes()

    def failing(_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output error"):
        write_product(path, events(8), PROVENANCE)
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


FULL_DISK = """
import pathlib, resource, signal, sys
from skymix.errors import SkymixError
from skymix.store import Events, Provenance, read_product, write_product
from tests.unit.store.products import random_product
path = pathlib.Path(sys.argv[1])
product = random_product(Events, 1, sizes=(20_000,))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    write_product(path, product, Provenance({}))
except (OSError, SkymixError) as error:
    print(type(error).__name__, error)
"""


def test_file_that_cannot_grow(path):
    """The operating system itself refuses the writes, as on a full disk."""
    old = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "DataError" in done.stdout
    assert str(path) in done.stdout
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


def test_new_content_replaces_the_old_at_once(path, monkeypatch):
    """Until the last step the old file is whole, then the new one is."""
    replace, seen = os.replace, []
    from pathlib import Path

    def watched(self, target):
        seen.append(assert_readable(target))
        return replace(self, target)

    def assert_readable(target):
        return read_product(target, Events).size

    monkeypatch.setattr(Path, "replace", watched)
    write_product(path, events(9), PROVENANCE)
    assert seen == [6]
    assert read_product(path, Events).size == 9


def test_folders_are_made_and_mode_follows_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_product(tmp_path / "a" / "b" / "p.h5", events(), PROVENANCE)
    finally:
        os.umask(old)
    assert (tmp_path / "a" / "b" / "p.h5").stat().st_mode & 0o777 == 0o640


def test_provenance_of_a_damaged_file(path):
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match="delete it and run again"):
        read_provenance(path)
