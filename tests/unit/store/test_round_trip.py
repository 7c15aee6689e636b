import dataclasses
import subprocess
import sys

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.store.products import KINDS, assert_same, random_product

import skymix
from skymix.store import (
    Events,
    Provenance,
    file_sha256,
    read_product,
    read_provenance,
    write_product,
)

PROVENANCE = Provenance({"region": {"width": 3.0}, "name": "é"}, {"events.fits": "ab12"}, 2**48 - 1)

texts = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=20
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), text=texts)
def test_round_trip(kind, tmp_path, seed, text):
    product = random_product(kind, seed, text=text)
    write_product(tmp_path / "product.h5", product, PROVENANCE)
    assert_same(read_product(tmp_path / "product.h5", kind), product)


@pytest.mark.parametrize("kind", KINDS)
def test_large_arrays_round_trip(kind, tmp_path):
    """Large enough to be compressed."""
    product = random_product(kind, 1, sizes=(30, 40) if kind is not Events else (900,))
    write_product(tmp_path / "product.h5", product, PROVENANCE)
    assert_same(read_product(tmp_path / "product.h5", kind), product)
    with h5py.File(tmp_path / "product.h5") as file:
        assert any(dataset.compression for dataset in file.values())


@pytest.mark.parametrize("kind", KINDS)
def test_empty_arrays_round_trip(kind, tmp_path):
    product = random_product(kind, 2, sizes=(0,))
    write_product(tmp_path / "product.h5", product, PROVENANCE)
    assert_same(read_product(tmp_path / "product.h5", kind), product)


def test_strided_arrays_and_other_types_are_converted(tmp_path):
    product = random_product(KINDS[0], 3, sizes=(4,))
    product = dataclasses.replace(
        product,
        lon=np.arange(8.0)[::2],
        lat=np.arange(4, dtype=np.float32),
        event_id=np.arange(4, dtype=np.int16),
    )
    write_product(tmp_path / "p.h5", product, PROVENANCE)
    found = read_product(tmp_path / "p.h5", KINDS[0])
    assert found.lon.tolist() == [0.0, 2.0, 4.0, 6.0]
    assert (found.lat.dtype, found.event_id.dtype) == (np.float64, np.int64)


@pytest.mark.parametrize("kind", KINDS)
def test_units_and_dimensions(kind, tmp_path):
    """Every dataset carries its unit, the names of its dimensions, and the scales it can have."""
    product = random_product(kind, 4, sizes=(3,))
    write_product(tmp_path / "product.h5", product, PROVENANCE)
    with h5py.File(tmp_path / "product.h5") as file:
        for field in dataclasses.fields(kind):
            if "dims" not in field.metadata:
                assert field.name in file.attrs
                continue
            dataset, dims = file[field.name], field.metadata["dims"]
            assert dataset.attrs["unit"] == field.metadata["unit"]
            if dims == (field.name,):
                assert dataset.is_scale
                continue
            for axis, dim in enumerate(dims):
                assert dataset.dims[axis].label == dim
                if dim in file:
                    np.testing.assert_array_equal(dataset.dims[axis][0][...], file[dim][...])


def test_some_products_have_dimension_scales(tmp_path):
    product = random_product(KINDS[1], 5, sizes=(3,))
    write_product(tmp_path / "response.h5", product, PROVENANCE)
    with h5py.File(tmp_path / "response.h5") as file:
        assert file["effective_area"].dims[0]["offset"].name == "/offset"
        assert file["edisp"].dims[2]["log_migra"].attrs["unit"] == ""
        assert file["psf"].dims[1]["rad"].attrs["unit"] == "deg"


@pytest.mark.parametrize("kind", KINDS)
def test_provenance(kind, tmp_path):
    write_product(tmp_path / "product.h5", random_product(kind, 6), PROVENANCE)
    found = read_provenance(tmp_path / "product.h5")
    assert found["schema_name"] == kind.schema_name
    assert found["schema_version"] == kind.schema_version
    assert found["skymix_version"] == skymix.__version__
    assert found["study"] == {"region": {"width": 3.0}, "name": "é"}
    assert found["inputs"] == {"events.fits": "ab12"}
    assert found["seed"] == 2**48 - 1
    assert {"git_commit", "created", "checksum"} <= set(found)


def test_no_seed(tmp_path):
    write_product(tmp_path / "p.h5", random_product(KINDS[0], 7), Provenance({}))
    assert read_provenance(tmp_path / "p.h5")["seed"] == -1


def test_settings_longer_than_an_old_attribute(tmp_path):
    """Attributes of HDF5's old format end at 64 kB."""
    study = {"text": "x" * 300_000}
    product = dataclasses.replace(random_product(KINDS[0], 8), truth="y" * 300_000)
    write_product(tmp_path / "p.h5", product, Provenance(study))
    assert read_provenance(tmp_path / "p.h5")["study"] == study
    assert_same(read_product(tmp_path / "p.h5", KINDS[0]), product)


def test_same_product_has_the_same_checksum(tmp_path, monkeypatch):
    """The checksum is of the content; files of equal content differ by nothing else."""
    monkeypatch.setattr("skymix.store.base.datetime", Frozen)
    product = random_product(KINDS[2], 9)
    sums = []
    for name in ("a.h5", "b.h5"):
        write_product(tmp_path / name, product, PROVENANCE)
        sums.append(read_provenance(tmp_path / name)["checksum"])
    assert sums[0] == sums[1]


class Frozen:
    @staticmethod
    def now(zone):
        import datetime

        return datetime.datetime(2026, 1, 1, tzinfo=zone)


def test_opens_without_skymix(tmp_path):
    """Plain h5py in another process, where skymix cannot be imported."""
    product = random_product(KINDS[0], 10, sizes=(4,))
    write_product(tmp_path / "p.h5", product, PROVENANCE)
    code = (
        "import sys; sys.modules['skymix'] = None\n"
        "import h5py\n"
        "with h5py.File(sys.argv[1]) as file:\n"
        "    print(file.attrs['schema_name'], file['energy'].attrs['unit'], file['energy'].shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "p.h5")], capture_output=True, text=True
    )
    assert done.stdout.strip() == "events TeV (4,)", done.stderr


def test_sha256_of_a_file(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_sha256(tmp_path / "abc") == expected
