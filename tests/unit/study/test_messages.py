"""Every kind of mistake gives one sentence with the place, the problem and what is allowed."""

import pytest

from skymix.errors import StudyError
from skymix.study import study_from_mapping

OBSERVATION = "observations/centre_5h"
EVENTS = f"{OBSERVATION}/events"
HALO = "components/dark_matter"
MASS = f"{HALO}/mass"
INNER = "tree/children/background"
SECTION = "must be a section of its own"
NAME = "a name starts with a letter"

MISTAKES = [
    # unknown and missing keys
    ("regoin", 1, "unknown key 'regoin' (allowed: name, ", "did you mean 'region'?"),
    ("region/centre/lng", "1 deg", "unknown key 'lng' in region.centre (allowed: frame, lon, lat)"),
    (f"{OBSERVATION}/response/path", "x", "unknown key 'path' in observations.centre_5h.response"),
    (f"{HALO}/profile/gamma", 1, "in components.dark_matter.profile (allowed: ", "scale_radius"),
    (f"{MASS}/node", 3, "in components.dark_matter.mass (allowed: min, max", "mean 'nodes'?"),
    (f"{MASS}/prior", {"kind": "uniform", "low": 1}, "'low' in components.dark_matter.mass.prior"),
    (f"{INNER}/child", {}, "unknown key 'child' in tree.children.background (allowed: prior,"),
    ("sampler/livepoints", 5, "in sampler (allowed: kind, live_points", "mean 'live_points'?"),
    ("region", "region: this key is missing"),
    (f"{EVENTS}/livetime", "observations.centre_5h.events.livetime: this key is missing"),
    # kinds of sections
    (f"{EVENTS}/kind", "fits", "observations.centre_5h.events: 'fits' is not a known kind"),
    (f"{EVENTS}/kind", "'kind' is missing; allowed: 'simulated', 'dl3'"),
    (f"{HALO}/kind", "dm", "components.dark_matter: 'dm' is not a known kind", "'galactic_ridge'"),
    (f"{HALO}/profile/kind", "king", "allowed: 'einasto', 'nfw', 'gnfw', 'burkert', 'moore'"),
    ("sampler/kind", "mcmc", "sampler: 'mcmc' is not a known kind; allowed: 'nested', 'laplace'"),
    # sections that are none
    ("region", 5, f"region: {SECTION}"),
    (f"{HALO}", None, f"components.dark_matter: {SECTION}"),
    ("tree", None, f"tree: {SECTION}"),
    (INNER, "x", f"tree.children.background: {SECTION}"),
    (f"{EVENTS}/counts", [1], f"observations.centre_5h.events.counts: {SECTION}"),
    ("observations", {}, "observations: must not be empty"),
    (f"{INNER}/children", {}, "tree.children.background.children: must not be empty"),
    # plain values
    ("name", "a b", f"name: {NAME}", "'a b'"),
    ("observations/bad name", {}, f"observations.bad name: {NAME}"),
    ("seed", -1, "seed: must be greater than or equal to 0 (got -1)"),
    ("data", 5, "data: must be the path of a file or folder"),
    ("region/centre/frame", "fk5", "region.centre.frame: must be 'galactic' or 'icrs' (got 'fk5')"),
    ("grids/subdivision", 1.5, "grids.subdivision: must be a valid integer"),
    ("sampler", {"kind": "laplace", "draws": 5}, "sampler.draws: must be greater than or equal"),
    ("sampler", {"kind": "laplace", "dlogz": 5}, "'dlogz' in sampler (allowed: kind, draws, seed)"),
    ("sampler/live_points", 5, "sampler.live_points: must be greater than or equal to 10 (got 5)"),
    # quantities
    ("region/width", "6 TeV", "region.width: '6 TeV' has the unit 'TeV'; an angle", '"0.2 deg"'),
    ("region/width", "200 deg", "region.width: '200 deg' must be at most 180 deg"),
    ("region/centre/lat", "95 deg", "region.centre.lat: '95 deg' must be at most 90 deg"),
    ("grids/margin", "21 deg", "grids.margin: '21 deg' must be at most 20 deg"),
    ("marginalisation/tolerance", 0.5, "marginalisation.tolerance: '0.5' must be less than 0.1"),
    (MASS, 5, "components.dark_matter.mass: '5' needs a unit; an energy is expected here"),
    (f"{EVENTS}/counts/diffuse", -5, "centre_5h.events.counts.diffuse: '-5' must be greater than"),
    (f"{HALO}/spectrum/channels", {"q": 1}, "spectrum.channels.q: must be 'W', 'Z', 'b', 't' or"),
    # relations within a section
    ("grids/energy/min", "200 TeV", "grids.energy: 'min' (200 TeV) must be below 'max' (100 TeV)"),
    ("grids/true_energy/min", "0.2 TeV", "does not cover the data's 0.1 to 100 TeV; widen"),
    (f"{HALO}/spectrum/channels", {"W": 0.5}, "branching fractions add up to 0.5, not to 1"),
    (f"{MASS}/min", "50 TeV", "components.dark_matter.mass: 'min' (50) must be below 'max' (20)"),
    (f"{MASS}/spacing", "cubic", "mass.spacing: must be 'linear' or 'log' (got 'cubic')"),
    # priors of parameters
    (f"{MASS}/prior", {"kind": "flat"}, "mass.prior.kind: must be 'uniform', 'log_uniform', "),
    (
        f"{MASS}/prior",
        {"kind": "uniform", "lower": "3 TeV", "upper": "2 TeV"},
        "mass: prior: 'lower' (3) must be below 'upper' (2)",
    ),
    (
        f"{MASS}/prior",
        {"kind": "uniform", "lower": "0.1 TeV"},
        "its range 0.1 to 20 leaves the scanned range 0.2 to 20; widen the scan or narrow",
    ),
    (f"{MASS}/prior", {"kind": "normal", "mean": "1 TeV"}, "a normal prior needs 'mean' and 'sd'"),
    (f"{MASS}/prior", {"kind": "uniform", "lower": "1 deg"}, "mass.prior.lower: '1 deg' has the"),
    # the tree
    ("tree/children/dark_mater", None, "tree: 'dark_mater' is not a component; components are"),
    ("tree/children/dark_matter", "tree: leaves out the component 'dark_matter'; add it"),
    ("tree/children/diffuse", None, "tree: 'diffuse' appears more than once"),
    (f"{INNER}/prior", {"beta": [1, 1]}, "a beta prior is for two children, here are 3"),
    (f"{INNER}/prior", {"dirichlet": [1, 1]}, "the prior has 2 values for 3 children"),
    (f"{INNER}/prior", {"dirichlet": [1, -1, 1]}, "background.prior.dirichlet.1: '-1' must be"),
    ("tree/prior", {"beta": [1]}, "tree.prior.beta: value 2 is missing"),
    ("tree/prior", {"fixed": [0.5, 0.6]}, "tree.prior: fixed: the fractions add up to 1.1"),
    ("tree/prior", {"gamma": [1]}, "tree.prior: a prior of fractions is one of {dirichlet: [...]}"),
    # what a simulation names
    (f"{EVENTS}/counts/dark", 5, "events.counts: 'dark' is not a component; components are"),
    (f"{EVENTS}/parameters", {}, "the true value of 'dark_matter.mass' is needed to simulate"),
    (f"{EVENTS}/parameters/dm.mass", "1 TeV", "'dm.mass' is not a scanned parameter; scanned"),
    (
        f"{EVENTS}/parameters/dark_matter.mass",
        "1 deg",
        "observations.centre_5h.events.parameters.dark_matter.mass: '1 deg' has the unit 'deg'",
    ),
    (
        f"{EVENTS}/parameters/dark_matter.mass",
        "100 TeV",
        "'100 TeV' is outside the scanned range 0.2 to 20",
    ),
]


def _cases():
    for place, *rest in MISTAKES:
        value, words = (rest[:1], rest[1:]) if len(rest) > 1 else ([], rest)
        yield pytest.param(place, value, words, id=f"{place}={value}")


@pytest.mark.parametrize(("place", "value", "words"), list(_cases()))
def test_mistake_gives_one_sentence(edited, place, value, words):
    study = edited(place, *value)
    with pytest.raises(StudyError) as caught:
        study_from_mapping(study)
    message = str(caught.value)
    for word in words:
        assert word in message
    assert "\n" not in message
    assert "pydantic" not in message
    assert "function-" not in message
    assert caught.value.__cause__ is None


def test_unknown_key_comes_before_the_key_it_stands_for(edited):
    study = edited("region/width")
    study["region"]["widht"] = "6 deg"
    with pytest.raises(StudyError, match=r"unknown key 'widht' in region .*did you mean 'width'"):
        study_from_mapping(study)


@pytest.mark.parametrize("raw", [None, [], "text", 5])
def test_a_study_is_a_mapping(raw):
    with pytest.raises(StudyError, match=r"a study is a mapping.*config/config\.yaml"):
        study_from_mapping(raw)


def test_the_untouched_study_is_right(raw):
    assert study_from_mapping(raw).name == "galactic_centre"
