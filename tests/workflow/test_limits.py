"""Limits by the workflow: made on demand, shown on the page, kept in step with the study."""

import copy

import pytest
import yaml
from tests.statistical.test_limits import STUDY

PRODUCT = "results/limited/limits/joint.h5"


@pytest.fixture
def tiny():
    raw = copy.deepcopy(STUDY)
    raw["grids"] |= {"pixel": "0.6 deg", "subdivision": 1}
    raw["limits"] |= {"channels": ["W"], "realisations": 2, "draws": 1000}
    raw["sampler"] = {"kind": "laplace", "draws": 4000}
    raw["jobs"] = {"observations": 2}
    return raw


@pytest.mark.slow
def test_limits_are_shown_and_kept_in_step(snakemake, tmp_path, tiny):
    def run(raw, *arguments):
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
        done = snakemake(*arguments, "--configfile", str(path))
        assert done.code == 0, done.text
        return done

    done = run(tiny, "--cores", "2", "limits", "all")
    assert done.jobs["set_limits"] == done.jobs["make_report"] == 1
    assert "95 % upper limits" in done.text
    assert (tmp_path / PRODUCT).exists()
    page = (tmp_path / "results/limited/report/index.html").read_text(encoding="utf-8")
    assert 'id="fit-joint-limits"' in page
    assert "limits/joint.h5" in page  # among the products
    assert (tmp_path / "results/limited/report/joint/figures/limits.png").exists()

    tiny["limits"]["level"] = 0.9
    again = {"set_limits": 1, "gather_limits": 1, "make_report": 1}
    assert run(tiny, "-n").jobs == again
    del tiny["limits"]
    assert run(tiny, "-n").jobs == {"make_report": 1}
