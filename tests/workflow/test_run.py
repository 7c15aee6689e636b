"""A small study runs from the study file to the report, and again after an edit."""

import copy

import pytest
import yaml

from skymix.study import load_study, study_from_mapping
from skymix.study.default import DEFAULT_STUDY

FIT = "results/tiny/fits/centre_5h"


@pytest.fixture
def tiny():
    raw = copy.deepcopy(DEFAULT_STUDY)
    raw |= {"name": "tiny", "sampler": {"live_points": 40, "dlogz": 0.5}}
    raw["region"] |= {"width": "4 deg", "height": "4 deg"}
    raw["grids"]["pixel"] = "0.4 deg"
    raw["grids"]["energy"]["per_decade"] = 5
    raw["grids"]["true_energy"]["per_decade"] = 10
    raw["components"]["dark_matter"]["mass"]["nodes"] = 9
    return raw


@pytest.mark.slow
def test_small_study_runs_and_reruns(snakemake, tmp_path, tiny):
    def run(raw):
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
        done = snakemake("--cores", "2", "--configfile", str(path))
        assert done.code == 0, done.text
        return done

    first = run(tiny)
    assert first.jobs["marginalise_nuisance"] == 4
    assert "ln Z" in first.text  # progress of the sampler is on the screen
    assert (tmp_path / "results/tiny/report/index.html").stat().st_size > 10_000
    assert (tmp_path / "results/tiny/logs/fits/centre_5h/posterior.log").read_text()
    assert load_study(tmp_path / "results/tiny/study.yaml") == study_from_mapping(tiny)
    likelihood = (tmp_path / FIT / "likelihood.h5").read_bytes()

    assert "Nothing to be done" in run(tiny).text

    tiny["sampler"]["live_points"] = 41
    second = run(tiny)
    assert second.jobs == {"sample_posterior": 1, "predict_posterior": 1, "make_report": 1}
    assert (tmp_path / FIT / "likelihood.h5").read_bytes() == likelihood
    assert load_study(tmp_path / "results/tiny/study.yaml").sampler.live_points == 41


@pytest.mark.slow
def test_job_with_a_damaged_input_fails_with_one_sentence(snakemake, tmp_path, tiny):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(tiny, sort_keys=False), encoding="utf-8")
    arguments = ("--cores", "2", "--configfile", str(path))
    events = tmp_path / "results/tiny/events/centre_5h.h5"
    done = snakemake(str(events.relative_to(tmp_path)), *arguments)
    assert done.code == 0, done.text
    events.write_bytes(events.read_bytes()[:1000])
    marginals = "results/tiny/marginals/centre_5h/diffuse.h5"
    done = snakemake(marginals, *arguments)
    assert done.code != 0
    assert "centre_5h.h5: truncated or not an HDF5 file; delete it and run again" in done.text
    assert "Traceback" not in done.text
    assert not (tmp_path / marginals).exists()
