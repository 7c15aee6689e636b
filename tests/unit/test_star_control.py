"""A field that is fitted to the stars of a control region, and held fixed in the fit."""

import json

import numpy as np
import pytest
from astropy.table import Table, vstack
from tests import star_study

from skymix import star_pipeline
from skymix.domains.stars.build import mixture_of
from skymix.errors import DataError, StudyError
from skymix.store import Catalogue, read_posterior, read_product
from skymix.study.load import any_study_from_mapping

TRUTH = {"mean.x": 0.3, "mean.y": -0.5, "sigma.x": 2.0, "sigma.y": 1.0, "rho.x.y": 0.5}
STARS = 3000


def field(rng):
    """Stars of the field, 0.4 to 0.6 deg north of the centre, a tenth of them fast."""
    cut = 0.5 * 2.0 * 1.0
    x, y = rng.multivariate_normal([0.3, -0.5], [[4, cut], [cut, 1]], STARS).T
    fast = rng.random(STARS) < 0.1
    x, y = (np.where(fast, rng.normal(0, 12, STARS), v) for v in (x, y))
    return Table(
        {
            "star": np.arange(STARS), "x": x + rng.normal(0, 0.1, STARS),
            "y": y + rng.normal(0, 0.1, STARS), "ex": np.full(STARS, 0.1),
            "ey": np.full(STARS, 0.1), "rho": np.zeros(STARS), "ra": np.full(STARS, 10.0),
            "dec": 20 + rng.uniform(0.4, 0.6, STARS), "label": np.full(STARS, "out"),
        }
    )  # fmt: skip


def normal(lowest, highest, shape="diagonal"):
    return {
        "kind": "normal", "shape": shape,
        "mean": {c: {"min": -3, "max": 3} for c in "xy"},
        "sigma": {c: {"min": lowest, "max": highest, "spacing": "log"} for c in "xy"},
    }  # fmt: skip


def study(folder, **changes):
    raw = star_study.raw(data=str(folder))
    raw["components"] |= {"slow": normal(0.5, 4, "full"), "fast": normal(6, 30)}
    del raw["components"]["field"]
    raw["tree"] = {
        "children": {"cluster": None, "field": {"children": {"slow": None, "fast": None}}}
    }
    region = raw["catalogue"]["region"] | {"radius": "0.6 deg", "inner_radius": "0.4 deg"}
    control = {"node": "field", "region": region | changes.pop("region", {})}
    return any_study_from_mapping(raw | {"control": control | changes.pop("control", {})} | changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("control")
    stars = vstack([star_study.table(), field(np.random.default_rng(8))])
    star_study.write(folder, stars)
    return folder


@pytest.fixture(scope="module")
def catalogue(folder):
    star_pipeline.read_catalogue(study(folder), folder / "catalogue.h5")
    return read_product(folder / "catalogue.h5", Catalogue)


def test_field_is_that_of_the_control_region(catalogue):
    found = json.loads(catalogue.field)
    assert found["stars"] == STARS
    values = found["parameters"]
    assert values["fraction.slow"] == pytest.approx(0.9, abs=0.03)
    for name, value in TRUTH.items():
        assert values[f"slow.{name}"] == pytest.approx(value, abs=0.15), name


def test_what_is_fixed_is_no_parameter_of_the_fit(folder, catalogue):
    mixture = mixture_of(study(folder), catalogue)
    assert catalogue.row.size <= star_study.STARS  # none of the control region
    assert mixture.names[0] == "fraction.cluster"
    assert all(n.startswith(("fraction.cluster", "cluster.")) for n in mixture.names)
    theta = mixture.prior_transform(np.full((1, len(mixture.names)), 0.3))
    weights = dict(zip(mixture.tree.leaves, mixture.weights(theta)[0], strict=True))
    values = json.loads(catalogue.field)["parameters"]
    assert weights["slow"] / weights["fast"] == pytest.approx(
        values["fraction.slow"] / (1 - values["fraction.slow"])
    )


def test_fit_beside_the_fixed_field_and_its_report(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = study(folder, sampler={"live_points": 30, "dlogz": 2, "sample": "rwalk"})
    fit = tmp_path / "results" / own.name / "fits" / "stars"
    fit.mkdir(parents=True)
    catalogue, posterior = fit / "catalogue.h5", fit / "posterior.nc"
    star_pipeline.read_catalogue(own, catalogue)
    star_pipeline.sample_posterior(own, catalogue, posterior)
    draws = read_posterior(posterior)["posterior"]
    for name, value in star_study.TRUTH.items():
        assert abs(draws[name].mean() - value) < 5 * draws[name].std(), name
    assert not any(name.startswith("slow.") for name in draws)
    star_pipeline.predict_posterior(own, catalogue, posterior, fit / "membership.ecsv")
    page = star_pipeline.make_report(own, fit.parents[1] / "report").read_text()
    assert "Fixed before the fit" in page
    assert "slow: sigma.x" in page


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"region": {"lon": "100 deg"}}, r"control.region: .*no star is left"),
        ({"region": {"inner_radius": "0.1 deg"}}, r"of its \d+ stars are in the selection, too"),
        ({"region": {"radius": "0.4004 deg"}}, r"stars for 10 parameters; make it larger"),
    ],
    ids=["empty", "overlap", "few"],
)
def test_bad_region_is_refused(folder, tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        star_pipeline.read_catalogue(study(folder, **changes), tmp_path / "c.h5")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"control": {"node": "filed"}}, "'filed' is no component and no split"),
        ({"control": {"node": "cluster"}}, "'cluster' is no normal density of all coordinates"),
    ],
)
def test_bad_node_is_refused(folder, changes, message):
    with pytest.raises(StudyError, match=message):
        study(folder, **changes)


def test_all_components_cannot_be_fixed(folder):
    tree = {"children": {"all": {"children": {"slow": None, "fast": None}}}}
    components = {"slow": normal(0.5, 4), "fast": normal(6, 30)}
    with pytest.raises(StudyError, match="nothing is left to fit"):
        study(folder, tree=tree, components=components, control={"node": "all"},
              catalogue=star_study.raw()["catalogue"] | {"labels": None})  # fmt: skip
