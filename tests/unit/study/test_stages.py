"""A stage depends on the settings that shape its product and on no others."""

from pathlib import Path

import pytest

from skymix.study import load_study, study_from_mapping
from skymix.study.default import DEFAULT_STUDY
from skymix.study.files import component_files, event_files, response_file
from skymix.study.stages import observation_of_key, response_key, stage_settings

STUDIES = Path(__file__).resolve().parents[3] / "config" / "studies"
CALLS = {
    "events": {"observation": "centre_5h"},
    "response": {"observation": "centre_5h"},
    "marginals dark_matter": {"observation": "centre_5h", "component": "dark_matter"},
    "marginals diffuse": {"observation": "centre_5h", "component": "diffuse"},
    "likelihood": {},
    "posterior": {},
    "diagnostics": {},
    "report": {},
}
BOTH = {"marginals dark_matter", "marginals diffuse"}


@pytest.mark.parametrize(
    ("place", "value", "stages"),
    [
        ("description", "other", set()),
        ("sampler/live_points", 400, {"posterior"}),
        ("tree/prior", {"beta": [1, 9]}, {"likelihood"}),
        ("seed", 2, {"events", "posterior"}),
        ("marginalisation/events", "unbinned", BOTH),
        ("marginalisation/memory", "0.5 GB", set()),
        ("selection/offset_max", "3 deg", {"events"} | BOTH),
        ("grids/true_energy/per_decade", 20, {"events", "response", "diagnostics"} | BOTH),
        ("components/diffuse/index", 2.5, {"events", "marginals diffuse"}),
        ("components/dark_matter/mass/nodes", 62, {"marginals dark_matter", "likelihood"}),
        (
            "components/dark_matter/mass/prior",
            {"kind": "uniform", "upper": "10 TeV"},
            {"likelihood"},
        ),
        ("observations/centre_5h/events/counts/diffuse", 501, {"events"}),
        ("observations/centre_5h/events/parameters/dark_matter.mass", "2 TeV", {"events"}),
    ],
)
def test_an_edit_changes_the_stages_that_it_matters_to(edited, place, value, stages):
    before = study_from_mapping(DEFAULT_STUDY)
    after = study_from_mapping(edited(place, value))
    changed = {
        name
        for name, names in CALLS.items()
        if stage_settings(before, name.split()[0], **names)
        != stage_settings(after, name.split()[0], **names)
    }
    assert changed == stages | {"report"}


def test_a_component_that_is_not_simulated_does_not_shape_the_events(edited):
    study = edited("observations/centre_5h/events/counts/diffuse", 0)
    settings = stage_settings(study_from_mapping(study), "events", observation="centre_5h")
    assert set(settings["components"]) == {"dark_matter", "cosmic_rays", "central_source"}


def test_unknown_stage_is_refused(raw):
    with pytest.raises(ValueError, match="'guess' is not a stage"):
        stage_settings(study_from_mapping(raw), "guess")


def test_observations_with_one_response_share_its_key(raw):
    observations = raw["observations"]
    observations["second"] = observations["centre_5h"]
    observations["third"] = observations["centre_5h"] | {
        "response": {"kind": "dl3", "path": "irf/south.fits.gz"}
    }
    study = study_from_mapping(raw)
    key = response_key(study, "centre_5h")
    assert key.startswith("parametric-")
    assert response_key(study, "second") == key
    assert observation_of_key(study, key) == "centre_5h"
    assert response_key(study, "third").startswith("south-")


def test_files_lie_in_the_data_folder(monkeypatch, tmp_path, raw):
    monkeypatch.setenv("SKYMIX_DATA", str(tmp_path))
    study = load_study(STUDIES / "galactic_centre_cta.yaml")
    assert response_file(study, "centre_5h").parent == tmp_path / "gamma/cta-prod5-irfs"
    assert event_files(study, "centre_5h") == []
    assert set(component_files(study, "dark_matter")) == {"spectra", "cross_sections"}
    assert component_files(study, "cosmic_rays") == {}
    crab = load_study(STUDIES / "crab.yaml")
    assert event_files(crab, "run_23523") == [response_file(crab, "run_23523")]
    assert response_file(study_from_mapping(raw), "centre_5h") is None


def test_real_files_of_the_studies_exist(monkeypatch, data_folder):
    monkeypatch.setenv("SKYMIX_DATA", str(data_folder))
    for name in ("crab", "galactic_centre_cta"):
        study = load_study(STUDIES / f"{name}.yaml")
        for observation in study.observations:
            for path in (*event_files(study, observation), response_file(study, observation)):
                assert path is None or path.is_file()
        for component in study.components:
            assert all(path.exists() for path in component_files(study, component).values())
