"""A bundle makes what single jobs make, and only what is not there yet."""

import dataclasses
import json

import numpy as np
import pytest
from tests.survey import COMPONENTS, survey, write_survey

from skymix import pipeline
from skymix.fan_out import marginalise_bundle
from skymix.store import Events, Marginals, read_product
from skymix.study import load_study
from skymix.study.stages import response_key

NAMES = ["run_0000", "run_0001"]


@pytest.fixture
def load(tmp_path, monkeypatch):
    """The survey of two observations, perhaps edited, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(edit=lambda raw: None):
        raw = survey()
        edit(raw)
        return load_study(write_survey(tmp_path, raw, len(NAMES)))

    return run


def fewer_nodes(raw):
    raw["components"]["dark_matter"]["mass"]["nodes"] = 4


def test_bundle_makes_what_is_missing_and_nothing_else(load, tmp_path):
    study, output = load(), tmp_path / "bundle.json"
    root = tmp_path / "results/survey"
    total = 1 + len(NAMES) * (1 + len(COMPONENTS))
    assert marginalise_bundle(study, NAMES[:1], output) == 2 + len(COMPONENTS)
    assert marginalise_bundle(study, NAMES, output) == 1 + len(COMPONENTS)
    assert len(json.loads(output.read_text())) == total
    assert marginalise_bundle(study, NAMES, output) == 0

    damaged = root / "marginals/run_0001/cosmic_rays.h5"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    (root / "marginals/run_0000/dark_matter.h5").unlink()
    assert marginalise_bundle(study, NAMES, output) == 2
    assert read_product(damaged, Marginals).component == "cosmic_rays"

    assert marginalise_bundle(load(fewer_nodes), NAMES, output) == len(NAMES)
    # What is made from an event file is made again when that is.
    (root / "events/run_0000.h5").write_bytes(b"")
    assert marginalise_bundle(load(fewer_nodes), NAMES, output) == 1 + len(COMPONENTS)


def test_bundle_leaves_a_response_that_others_use(load, tmp_path, monkeypatch):
    study, output = load(), tmp_path / "bundle.json"
    response = tmp_path / f"results/survey/response/{response_key(study, NAMES[0])}.h5"
    pipeline.tabulate_response(study, NAMES[0], response)
    before = response.stat()
    monkeypatch.setattr("skymix.__version__", "of tomorrow")
    assert marginalise_bundle(study, NAMES[:1], output) == 1 + len(COMPONENTS)
    assert response.stat() == before
    # In a bundle of all that use it, it is the bundle's own.
    assert marginalise_bundle(study, NAMES, output) == 1 + len(NAMES) * (1 + len(COMPONENTS))


def test_bundle_makes_what_single_jobs_make(load, tmp_path):
    study = load()
    marginalise_bundle(study, NAMES, tmp_path / "bundle.json")
    root, alone = tmp_path / "results/survey", tmp_path / "alone"
    response = alone / "r.h5"
    pipeline.tabulate_response(study, NAMES[1], response)
    events = alone / "e.h5"
    pipeline.simulate_events(study, NAMES[1], response, events)
    assert (root / f"response/{response_key(study, NAMES[1])}.h5").exists()
    assert_equal(root / f"events/{NAMES[1]}.h5", events, Events)
    for name in COMPONENTS:
        path = alone / f"{name}.h5"
        pipeline.marginalise_nuisance(study, NAMES[1], name, events, response, path)
        assert_equal(root / f"marginals/{NAMES[1]}/{name}.h5", path, Marginals)


def assert_equal(path, other, kind):
    one, two = read_product(path, kind), read_product(other, kind)
    for field in dataclasses.fields(kind):
        a, b = getattr(one, field.name), getattr(two, field.name)
        if isinstance(a, np.ndarray | float):
            # Components made together or alone may differ in rounding.
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=0)
        else:
            assert a == b
