"""Bundles keep what they hold when observations come and go; chunks are counted from headers."""

import copy
import gzip
import random

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from tests import dl3_files

from skymix.errors import DataError
from skymix.study import study_from_mapping
from skymix.study.default import DEFAULT_STUDY
from skymix.study.jobs import bundles, chunks, recorded_events

(OBSERVATION,) = DEFAULT_STUDY["observations"].values()


def study_of(names, jobs=None, events="binned", counts=None):
    raw = copy.deepcopy(DEFAULT_STUDY)
    observation = copy.deepcopy(OBSERVATION)
    if counts is not None:
        observation["events"]["counts"] = counts
    raw["observations"] = dict.fromkeys(names, observation)
    return study_from_mapping(raw | {"jobs": jobs or {}, "marginalisation": {"events": events}})


NUMBERED = [f"run_{k:04d}" for k in range(400)]


@pytest.mark.parametrize("size", [2, 5, 25])
def test_bundles_share_out_all_observations(size):
    found = bundles(study_of(NUMBERED, {"observations": size}))
    assert sorted(name for names in found.values() for name in names) == NUMBERED
    sizes = [len(names) for names in found.values()]
    assert max(sizes) <= 2 * size
    assert min(sizes[:-1]) >= size / 2
    assert 0.7 * size < np.mean(sizes) < 1.3 * size
    assert all(names[0] == bundle for bundle, names in found.items())


@given(seed=st.integers(0, 10**6))
def test_one_observation_more_changes_its_own_bundles_only(seed):
    draw = random.Random(seed)
    missing = draw.choice(NUMBERED)
    jobs = {"observations": 20}
    all_bundles = {tuple(names) for names in bundles(study_of(NUMBERED, jobs)).values()}
    names = [name for name in NUMBERED if name != missing]
    draw.shuffle(names)  # their order does not matter
    kept = {tuple(found) for found in bundles(study_of(names, jobs)).values()}
    changed = all_bundles - kept
    assert any(missing in found for found in changed)
    assert len(changed) <= 4


def test_few_observations_are_not_bundled_unless_wanted():
    assert bundles(study_of(NUMBERED[:100])) == {}
    assert len(bundles(study_of(NUMBERED[:101]))) >= 2
    assert bundles(study_of(NUMBERED, {"observations": 1})) == {}


def test_chunks_of_simulated_events():
    counts = {"dark_matter": 2500, "cosmic_rays": 1600, "central_source": "model", "diffuse": 0}
    for events, wanted in (("unbinned", 5), ("binned", 1)):
        study = study_of(["a"], {"events": 1000}, events, counts)
        assert chunks(study, "a") == wanted
    assert chunks(study_of(["a"], {"events": 1000}, "unbinned", {}), "a") == 1
    study = study_of(["a", "b"], {"events": 1000, "observations": 9}, "unbinned", counts)
    assert bundles(study) == {}


@pytest.fixture
def recorded(tmp_path):
    columns = [np.linspace(0, 100, 77), np.full(77, 83.6), np.full(77, 22.0), np.full(77, 2.0)]
    image = fits.ImageHDU(np.zeros((30, 50), dtype=np.float32))
    hdus = [image, dl3_files.gti_hdu((0, 200)), dl3_files.events_hdu(*columns)]
    path = tmp_path / "run.fits"
    dl3_files.write(path, *hdus)
    return path


def test_recorded_events_are_counted_from_the_headers(recorded):
    assert recorded_events(recorded) == 77
    zipped = recorded.with_suffix(".fits.gz")
    zipped.write_bytes(gzip.compress(recorded.read_bytes()))
    assert recorded_events(zipped) == 77
    with fits.open(recorded) as hdus:
        assert len(hdus["EVENTS"].data) == 77


def test_files_without_events_are_refused_by_name(recorded):
    whole = recorded.read_bytes()
    for content in (whole[:3000], b"text\n" * 999):
        recorded.write_bytes(content)
        with pytest.raises(DataError, match=r"run.fits: (not a whole FITS|has no EVENTS)"):
            recorded_events(recorded)
    fits.PrimaryHDU().writeto(recorded, overwrite=True)
    with pytest.raises(DataError, match=r"run.fits: has no EVENTS table"):
        recorded_events(recorded)


@pytest.mark.data
def test_chunks_of_a_real_event_file(data_folder):
    path = data_folder / "gamma/hess-dl3-dr1/data/hess_dl3_dr1_obs_id_023523.fits.gz"
    with fits.open(path) as hdus:
        assert recorded_events(path) == len(hdus["EVENTS"].data)
