"""Products that are written block by block."""

import os

import numpy as np
import pytest
from tests.unit.store.products import assert_same, random_product

from skymix.errors import DataError
from skymix.store import LikelihoodTables, Provenance, base, read_product, write_product
from skymix.store.stream import stream_product

NOTHING = Provenance({}, {}, 3)


def stream(path, product, widths) -> None:
    """Write a product with its table in blocks of these widths."""
    with stream_product(path, LikelihoodTables, NOTHING, len(widths)) as out:
        start = 0
        for width in widths:
            part = slice(start, start + width)
            for rows in (slice(0, 2), slice(2, None)):
                block = product.density[rows, part]
                out.append_rows("density", rows, len(product.density), block, start)
            out.append("multiplicity", product.multiplicity[part])
            start += width
        written = ("density", "multiplicity")
        fields = LikelihoodTables.__dataclass_fields__
        out.set(**{name: getattr(product, name) for name in fields if name not in written})


@pytest.mark.parametrize("small", [False, True])
def test_blocks_make_the_same_product(tmp_path, monkeypatch, small) -> None:
    """Also where a row of the table is longer than what is held for the checksum."""
    product = random_product(LikelihoodTables, 1, sizes=(5,))
    product = type(product)(**{**vars(product), "density": np.arange(25.0).reshape(5, 5)})
    if small:
        monkeypatch.setattr(base, "_BLOCK", 16)
    stream(tmp_path / "a.h5", product, [2, 1, 2])
    write_product(tmp_path / "b.h5", product, NOTHING)
    found = read_product(tmp_path / "a.h5", LikelihoodTables)
    assert_same(found, product)
    assert_same(found, read_product(tmp_path / "b.h5", LikelihoodTables))


def test_checksum_does_not_depend_on_the_blocks(tmp_path, monkeypatch) -> None:
    product = random_product(LikelihoodTables, 2, sizes=(7,))
    write_product(tmp_path / "a.h5", product, NOTHING)
    for size in (8, 100, 1 << 30):
        monkeypatch.setattr(base, "_BLOCK", size)
        assert_same(read_product(tmp_path / "a.h5", LikelihoodTables), product)


def test_a_value_that_is_not_finite_leaves_no_file(tmp_path) -> None:
    product = random_product(LikelihoodTables, 3, sizes=(5,))
    product.density[4, 4] = np.nan
    with pytest.raises(DataError, match="'density' is not finite"):
        stream(tmp_path / "a.h5", product, [3, 2])
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("limit", [0, 3000, 20_000])
def test_a_full_disk_is_one_sentence_and_leaves_no_file(tmp_path, monkeypatch, limit) -> None:
    """Writes fail from some place on, as they do on a disk that has filled up."""
    from skymix.store import stream as module

    class Full(module._Disk):
        def write(self, block) -> int:
            if self._raw.seek(0, os.SEEK_CUR) >= limit and self.failure is None:
                with pytest.raises(OSError, match="No space") as full, open("/dev/full", "wb") as f:
                    os.write(f.fileno(), b"x")
                self.failure = full.value
            return super().write(block)

    monkeypatch.setattr(module, "_Disk", Full)
    product = random_product(LikelihoodTables, 4, sizes=(60,))
    with pytest.raises(DataError, match=r"No space left on device\); make room"):
        stream(tmp_path / "a.h5", product, [30, 30])
    assert os.listdir(tmp_path) == []
