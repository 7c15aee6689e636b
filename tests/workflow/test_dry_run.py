"""The workflow plans the jobs that a study needs and refuses a study that is wrong."""

import copy

import pytest
import yaml

from skymix.study.default import DEFAULT_STUDY

PLANS = {
    "galactic_centre": {
        "tabulate_response": 1,
        "simulate_events": 1,
        "marginalise_nuisance": 4,
        "gather_marginals": 1,
        "sample_posterior": 1,
        "predict_posterior": 1,
        "make_report": 1,
    },
    "crab": {
        "tabulate_response": 4,
        "read_events": 4,
        "marginalise_nuisance": 8,
        "gather_marginals": 1,
        "sample_posterior": 1,
        "predict_posterior": 1,
        "make_report": 1,
    },
}
PLANS["galactic_centre_cta"] = PLANS["galactic_centre"]


def test_default_study_needs_no_data(snakemake):
    run = snakemake("-n", SKYMIX_DATA="nowhere")
    assert run.code == 0, run.text
    assert run.jobs == PLANS["galactic_centre"]


def test_plan_of_a_pymc_model(snakemake, tmp_path):
    run = snakemake("-n", "--configfile", "config/studies/line.yaml")
    assert run.code == 0, run.text
    assert run.jobs == {"sample_posterior": 1, "make_report": 1}
    study = {"domain": "pymc", "name": "own", "model": {"path": "missing.py"}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    run = snakemake("-n", "--configfile", str(tmp_path / "own.yaml"))
    assert run.code != 0
    assert f"{tmp_path}/missing.py" in run.text


@pytest.mark.data
@pytest.mark.parametrize("name", ["crab", "galactic_centre_cta"])
def test_plan_of_a_study_with_data(snakemake, data_folder, name):
    run = snakemake(
        "-n", "--configfile", f"config/studies/{name}.yaml", SKYMIX_DATA=str(data_folder)
    )
    assert run.code == 0, run.text
    assert run.jobs == PLANS[name]


@pytest.mark.data
def test_plan_of_limits(snakemake, data_folder):
    run = snakemake(
        "-n",
        "--configfile",
        "config/studies/limits_525h.yaml",
        "--",
        "limits",
        SKYMIX_DATA=str(data_folder),
    )
    assert run.code == 0, run.text
    assert run.jobs["set_limits"] == 6  # three channels, two jobs each
    assert run.jobs["gather_limits"] == 1


def test_limits_that_are_not_set(snakemake):
    run = snakemake("-n", "limits")
    assert run.code != 0
    assert "add a section 'limits' to it" in run.text


def test_missing_recorded_file_is_named_before_anything_runs(snakemake, tmp_path):
    run = snakemake("-n", "--configfile", "config/studies/crab.yaml", SKYMIX_DATA=str(tmp_path))
    assert run.code != 0
    assert "MissingInputException" in run.text
    assert "hess_dl3_dr1_obs_id_023523.fits.gz" in run.text


def test_settings_can_be_given_on_the_command_line(snakemake):
    run = snakemake("-n", "--config", "name=other")
    assert run.code == 0, run.text
    assert "results/other/" in run.text


def test_a_given_study_is_not_mixed_with_the_default_one(snakemake, tmp_path):
    study = copy.deepcopy(DEFAULT_STUDY)
    del study["components"]["diffuse"]
    del study["tree"]["children"]["background"]["children"]["diffuse"]
    del study["observations"]["centre_5h"]["events"]["counts"]["diffuse"]
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    run = snakemake("-n", "--configfile", str(path))
    assert run.jobs == {**PLANS["galactic_centre"], "marginalise_nuisance": 3}


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (("live_points: 500", "livepoints: 500"), "unknown key 'livepoints' in sampler"),
        (("width: 6 deg", "width: 6 TeV"), "region.width: '6 TeV' has the unit 'TeV'"),
        (("    dark_matter: null", "    dark: null"), "tree: 'dark' is not a component"),
        (("seed: 1", "seed: 1\nseed: 2"), "the key 'seed' is given twice"),
    ],
)
def test_wrong_study_is_refused_with_one_sentence(snakemake, tmp_path, edit, sentence):
    default = yaml.safe_dump(DEFAULT_STUDY, sort_keys=False).replace("null", "null")
    assert edit[0] in default
    path = tmp_path / "study.yaml"
    path.write_text(default.replace(*edit), encoding="utf-8")
    run = snakemake("-n", "--configfile", str(path))
    assert run.code != 0
    assert run.text.count(sentence) == 1
    assert "Traceback" not in run.text
    assert not (tmp_path / "results").exists()
