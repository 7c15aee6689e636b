"""An edit of the study reruns the jobs that it matters to, and no others."""

import copy
from pathlib import Path

import pytest
import yaml

from skymix.study import study_from_mapping
from skymix.study.default import DEFAULT_STUDY
from skymix.study.stages import response_key

ROOT = Path(__file__).resolve().parents[2]
LATER = {"gather_marginals": 1, "sample_posterior": 1, "predict_posterior": 1, "make_report": 1}


@pytest.fixture
def call(snakemake, tmp_path):
    """Run snakemake on a study that is given as a mapping."""

    def run(raw, *arguments):
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
        done = snakemake(*arguments, "--configfile", str(path))
        assert done.code == 0, done.text
        return done

    return run


@pytest.fixture
def plan(call):
    """Jobs that snakemake would run for a study."""
    return lambda raw: call(raw, "-n").jobs


@pytest.fixture
def finish(call, tmp_path):
    """Write a study's products as empty files that snakemake holds for its own."""

    def write(raw):
        study = study_from_mapping(raw)
        folder = tmp_path / "results" / study.name
        for name in study.observations:
            for product in (
                f"events/{name}.h5",
                f"response/{response_key(study, name)}.h5",
                *(f"marginals/{name}/{leaf}.h5" for leaf in study.tree.leaves()),
                *(f"fits/{name}/{p}" for p in ("likelihood.h5", "posterior.nc", "diagnostics.h5")),
                "report/index.html",
            ):
                (folder / product).parent.mkdir(parents=True, exist_ok=True)
                (folder / product).touch()
        call(raw, "--touch", "--forceall", "--no-hooks")

    return write


def edited(place, value):
    raw = copy.deepcopy(DEFAULT_STUDY)
    *parents, last = place.split("/")
    section = raw
    for parent in parents:
        section = section[parent]
    section[last] = value
    return raw


def test_edits_of_a_simulated_study(finish, plan):
    finish(DEFAULT_STUDY)
    sampling = {"sample_posterior": 1, "predict_posterior": 1, "make_report": 1}
    events = {"simulate_events": 1, "marginalise_nuisance": 4, **LATER}
    for place, value, jobs in (
        ("seed", 1, {}),
        ("description", "other", {"make_report": 1}),
        ("sampler/live_points", 400, sampling),
        ("tree/prior", {"beta": [1, 9]}, LATER),
        ("components/dark_matter/mass/nodes", 62, {"marginalise_nuisance": 1, **LATER}),
        ("selection/offset_max", "3 deg", events),
        ("grids/true_energy/per_decade", 24, {"tabulate_response": 1, **events}),
    ):
        assert plan(edited(place, value)) == jobs, place


def test_two_edits_at_once_are_both_seen(finish, plan):
    finish(DEFAULT_STUDY)
    raw = edited("sampler/live_points", 400)
    raw["components"]["dark_matter"]["mass"]["nodes"] = 62
    assert plan(raw) == {"marginalise_nuisance": 1, **LATER}


@pytest.mark.data
def test_edits_of_a_recorded_study(finish, plan, data_folder, monkeypatch):
    monkeypatch.setenv("SKYMIX_DATA", str(data_folder))
    raw = yaml.safe_load((ROOT / "config/studies/crab.yaml").read_text(encoding="utf-8"))
    finish(raw)
    assert plan(raw) == {}
    raw["components"]["crab"]["spectrum"]["index"]["nodes"] = 18
    assert plan(raw) == {"marginalise_nuisance": 4, **LATER}


def test_changed_event_file_reruns_what_was_made_from_it(finish, plan, tmp_path, monkeypatch):
    monkeypatch.setenv("SKYMIX_DATA", str(tmp_path))
    raw = copy.deepcopy(DEFAULT_STUDY)
    recorded = {"kind": "dl3", "path": "run.fits"}
    raw["observations"] = {"run": {"events": recorded, "response": {"kind": "parametric"}}}
    (tmp_path / "run.fits").write_text("first")
    finish(raw)
    assert plan(raw) == {}
    (tmp_path / "run.fits").write_text("second")
    assert plan(raw) == {"read_events": 1, "marginalise_nuisance": 4, **LATER}
