"""A cluster under both samplers by the same stages: they agree, and make the same products."""

import pytest
from tests import star_study

from skymix import star_pipeline
from skymix.store import read_posterior
from skymix.study.load import any_study_from_mapping

NUTS = {"kind": "nuts", "chains": 2, "tune": 400, "draws": 800, "backend": "nutpie"}
NESTED = {"live_points": 120, "dlogz": 0.3, "sample": "rwalk"}


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    """Study, folder and posterior of each sampler."""
    found = {}
    for name, sampler in {"nested": NESTED, "nuts": NUTS}.items():
        folder = tmp_path_factory.mktemp(name)
        star_study.write(folder)
        raw = star_study.raw(sampler=sampler, data=str(folder))
        raw["components"]["field"] = {
            "kind": "normal", "shape": "full",
            "mean": {c: {"min": -2, "max": 2} for c in "xy"},
            "sigma": {c: {"min": 1, "max": 9, "spacing": "log"} for c in "xy"},
        }  # fmt: skip
        study = any_study_from_mapping(raw)
        catalogue, posterior = folder / "catalogue.h5", folder / "posterior.nc"
        star_pipeline.read_catalogue(study, catalogue)
        star_pipeline.sample_posterior(study, catalogue, posterior)
        found[name] = study, folder, read_posterior(posterior)
    return found


def test_samplers_agree(products):
    nested, nuts = (products[name][2]["posterior"] for name in ("nested", "nuts"))
    assert set(nested.data_vars) == set(nuts.data_vars)
    assert {f"rho.{c}" for c in ("x.y",)} <= {n.removeprefix("field.") for n in nuts.data_vars}
    for name in nested.data_vars:
        one, other = nested[name].values.ravel(), nuts[name].values.ravel()
        assert abs(one.mean() - other.mean()) < 0.2 * one.std(), name
        assert other.std() == pytest.approx(one.std(), rel=0.2), name
        assert nuts[name].attrs == nested[name].attrs
    attributes = products["nuts"][2].attrs
    assert attributes["divergences"] == 0
    assert attributes["rhat_max"] < 1.01
    assert "warnings" not in attributes


def test_chains_have_the_same_products_and_a_report(products, monkeypatch):
    study, folder, _ = products["nuts"]
    monkeypatch.chdir(folder)
    fit = folder / "results" / study.name / "fits" / "stars"
    fit.mkdir(parents=True)
    for name in ("catalogue.h5", "posterior.nc"):
        (folder / name).rename(fit / name)
    star_pipeline.predict_posterior(
        study, fit / "catalogue.h5", fit / "posterior.nc", fit / "membership.ecsv"
    )
    page = star_pipeline.make_report(study, fit.parents[1] / "report").read_text()
    for words in ("Largest r-hat", "NUTS (nutpie), 2 chains", "effective sample size", "ROC curve"):
        assert words in page
    assert "Log evidence" not in page
    assert "r-hat" in star_pipeline.summary(study)
