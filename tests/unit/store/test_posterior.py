"""posterior.nc: round trip, what plain ArviZ and xarray see of it, and damage."""

import warnings

import numpy as np
import pytest
import xarray as xr
from tests.unit.sampling.test_batches import Bowl
from tests.unit.store.products import random_product

from skymix.errors import DataError
from skymix.sampling import sample_nested
from skymix.sampling.posterior import posterior_tree
from skymix.store import Events, Provenance, read_posterior, write_posterior, write_product

PROVENANCE = Provenance({"sampler": {"live_points": 100}}, {"likelihood.h5": "ab"}, 17)


@pytest.fixture(scope="module")
def run():
    return sample_nested(Bowl(), 100, 0.1, "single", "auto", 5)


@pytest.fixture(scope="module")
def tree(run):
    def radius(theta):
        return {"weight.a": np.hypot(*theta.T)}

    units = {"x": "TeV"}
    data = {"multiplicity": np.arange(4.0)}
    return posterior_tree(run, Bowl(), radius, units, data, {"x": 0.25, "y": -1.0}, 3)


@pytest.fixture
def path(tree, tmp_path):
    path = tmp_path / "posterior.nc"
    write_posterior(path, tree, PROVENANCE)
    return path


def test_round_trip(tree, path):
    found = read_posterior(path)
    assert set(found.children) == set(tree.children)
    for name, group in tree.children.items():
        assert set(found[name].variables) == set(group.variables)
        for variable, values in group.variables.items():
            other = found[name][variable]
            assert other.dims == values.dims
            assert other.dtype == values.dtype
            assert other.values.tobytes() == values.values.tobytes()
            assert other.attrs == values.attrs
    for name, value in tree.attrs.items():
        assert found.attrs[name] == value


def test_the_tree_is_not_changed_by_writing(tree, path):
    assert "checksum" not in tree.attrs


def test_provenance(path):
    attrs = read_posterior(path).attrs
    assert attrs["schema_name"] == "posterior"
    assert attrs["seed"] == 17
    assert attrs["study"] == '{"sampler": {"live_points": 100}}'
    assert {"skymix_version", "git_commit", "inputs", "created", "checksum"} <= set(attrs)


def test_seen_by_arviz(run, path):
    with warnings.catch_warnings():
        # Once a day it announces its next version.
        warnings.simplefilter("ignore", FutureWarning)
        import arviz
    data = arviz.from_netcdf(path)
    assert data.posterior.sizes["chain"] == 1
    assert data.posterior.sizes == data.sample_stats.sizes
    assert set(data.posterior.data_vars) == {"x", "y", "weight.a"}
    assert set(data.prior.data_vars) == {"x", "y", "weight.a"}
    assert float(data.constant_data["truth.x"]) == 0.25
    table = arviz.summary(data, kind="stats")
    assert table.loc["x", "mean"] == pytest.approx(
        np.exp(run.log_weight) @ run.samples[:, 0], abs=0.1
    )
    # Every draw is one of the dead points, with its likelihood.
    at = {tuple(s): value for s, value in zip(run.samples, run.log_likelihood, strict=True)}
    draws = np.stack([data.posterior["x"].values[0], data.posterior["y"].values[0]], axis=1)
    expected = [at[tuple(d)] for d in draws]
    np.testing.assert_array_equal(data.sample_stats["log_likelihood"].values[0], expected)


def test_dead_points_give_the_evidence_again(path):
    """Columns as anesthetic takes them: ln L and its birth make volumes, weights, evidence."""
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        dead, attrs = tree["nested"].to_dataset().load(), tree.attrs
    logl, birth = dead["log_likelihood"].values, dead["log_likelihood_birth"].values
    assert np.all(birth < logl)
    # Live points at each death: born below it, not dead before.
    order = np.argsort(logl)
    live = np.searchsorted(np.sort(birth), logl[order], side="left") - np.arange(logl.size)
    assert live[0] == attrs["n_live"]
    assert live[-1] == 1
    log_volume = np.cumsum(-1 / live)
    log_shell = log_volume - np.log(live)  # X_i - X_{i+1} on average
    log_evidence = np.logaddexp.reduce(logl[order] + log_shell)
    assert log_evidence == pytest.approx(attrs["logz"], abs=0.5 * attrs["logzerr"])
    assert np.exp(dead["log_weight"].values).sum() == pytest.approx(1.0)


def refused(path, message):
    with pytest.raises(DataError, match=message) as caught:
        read_posterior(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_missing(tmp_path):
    refused(tmp_path / "posterior.nc", "no such file; run the stage that makes it")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.3, 0.6, 0.9, 0.99])
def test_truncated(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path, "truncated or not a netCDF file; delete it and run again")


def test_not_netcdf(tmp_path):
    (tmp_path / "posterior.nc").write_text("logz = 3")
    refused(tmp_path / "posterior.nc", "truncated or not a netCDF file")


def test_other_product(tmp_path):
    path = tmp_path / "events.h5"
    write_product(path, random_product(Events, 1, sizes=(3,)), PROVENANCE)
    refused(path, f"holds 'events' version {Events.schema_version}, expected 'posterior' version 2")


@pytest.mark.parametrize(
    "place", ["posterior/x", "posterior/draw", "nested/log_weight", "observed_data/multiplicity"]
)
def test_edited_value(path, place):
    import h5py

    with h5py.File(path, "a") as file:
        file[place][(0,) * file[place].ndim] = 12.5
    refused(path, "does not match its checksum; delete it and run again")


def test_edited_unit(path):
    import h5py

    with h5py.File(path, "a") as file:
        file["posterior/x"].attrs["unit"] = "GeV"
    refused(path, "does not match its checksum; delete it and run again")


@pytest.mark.parametrize(("name", "value"), [("logz", 3.0), ("study", "{}"), ("n_live", 7)])
def test_edited_attribute(path, name, value):
    import h5py

    with h5py.File(path, "a") as file:
        file.attrs[name] = value
    refused(path, "does not match its checksum; delete it and run again")


def test_other_version(path):
    import h5py

    with h5py.File(path, "a") as file:
        file.attrs["schema_version"] = 99
    refused(path, "holds 'posterior' version 99, expected 'posterior' version 2")


@pytest.mark.parametrize("bit", [0, 6])
def test_flipped_bit_anywhere(path, bit):
    """Refused with one sentence, or harmless: the same values."""
    whole = path.read_bytes()
    expected = read_posterior(path)
    for place in range(0, len(whole), len(whole) // 50):
        content = bytearray(whole)
        content[place] ^= 1 << bit
        path.write_bytes(content)
        try:
            found = read_posterior(path)
        except DataError as error:
            assert str(path) in str(error)  # noqa: PT017
        else:
            assert found.equals(expected)


def test_write_that_fails_leaves_the_old_file(tree, path, monkeypatch):
    from pathlib import Path

    old = path.read_bytes()

    def failing(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", failing)
    with pytest.raises(DataError, match=r"posterior.nc: cannot be written \(No space left"):
        write_posterior(path, tree, PROVENANCE)
    monkeypatch.undo()
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]
