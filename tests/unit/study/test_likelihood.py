"""Settings of the likelihood and of the fits: what they mean, and what is refused."""

import copy

import numpy as np
import pytest

from skymix.errors import StudyError
from skymix.mixture import prior_from_mapping
from skymix.study import study_from_mapping
from skymix.study.default import DEFAULT_STUDY
from skymix.study.rates import rate_settings
from skymix.study.stages import stage_settings

FREE = {"kind": "log_uniform", "lower": 0.1, "upper": 10}
FIXED = {"kind": "fixed"}
AMPLITUDES = {"dark_matter": FREE, "background": FIXED}
OBSERVATIONS = ("one", "two", "three")


def study(likelihood=None, **others):
    raw = copy.deepcopy(DEFAULT_STUDY)
    (observation,) = raw["observations"].values()
    raw["observations"] = {name: copy.deepcopy(observation) for name in OBSERVATIONS}
    if likelihood is not None:
        raw["likelihood"] = {"kind": "extended", **likelihood}
    return study_from_mapping(raw | others)


def nuisance(**settings):
    base = {"components": ["cosmic_rays"], "prior": {"kind": "normal", "sd": 0.1}}
    return {"amplitudes": AMPLITUDES, "nuisances": {"level": base | settings}}


@pytest.mark.parametrize(
    ("fits", "fitted"),
    [
        ("joint", {"joint": OBSERVATIONS}),
        ("separate", {name: (name,) for name in OBSERVATIONS}),
        ({"both": ["two", "one"], "last": ["three"]}, {"both": ("one", "two"), "last": ("three",)}),
    ],
)
def test_fits(fits, fitted) -> None:
    assert study(fits=fits).fitted() == fitted


def test_one_observation_is_fitted_under_its_name() -> None:
    assert study_from_mapping(DEFAULT_STUDY).fitted() == {"centre_5h": ("centre_5h",)}


MISTAKES = [
    (None, {"fits": "all"}, "fits: must be 'joint' or 'separate' (got 'all')"),
    (None, {"fits": {}}, "fits: must not be empty; name a fit"),
    (None, {"fits": {"a": []}}, "fits.a: must list at least one observation, and each only once"),
    (None, {"fits": {"a": ["one", "one"]}}, "fits.a: must list at least one observation"),
    (None, {"fits": {"a": ["one", "four"]}}, "fits.a: 'four' is not an observation; observations"),
    (None, {"fits": {"a": "one"}}, "fits.a: must be a list"),
    ({}, {}, "likelihood.amplitudes: this key is missing"),
    ({"amplitudes": {"halo": FREE}}, {}, "'halo' is neither a component nor a split of the tree"),
    (
        {"amplitudes": {"dark_matter": FREE}},
        {},
        "amplitudes: says nothing of 'central_source', 'cosmic_rays', 'diffuse'; give each",
    ),
    (
        {"amplitudes": {**AMPLITUDES, "diffuse": FREE}},
        {},
        "'diffuse' has an amplitude of its own and one of a split above it",
    ),
    (
        {"amplitudes": {**AMPLITUDES, "dark_matter": {"kind": "flat"}}},
        {},
        "amplitudes.dark_matter: 'flat' is not a known kind; allowed: 'fixed', 'uniform'",
    ),
    (
        {"amplitudes": {**AMPLITUDES, "dark_matter": {**FREE, "lower": 20}}},
        {},
        "amplitudes.dark_matter: 'lower' (20) must be below 'upper' (10)",
    ),
    (
        {"amplitudes": {**AMPLITUDES, "dark_matter": {**FREE, "lower": 0}}},
        {},
        "dark_matter.lower: '0' must be greater than zero",
    ),
    (nuisance(components=["dust"]), {}, "level.components: must list components, each once, or"),
    (nuisance(components=[]), {}, "level.components: must not be empty"),
    (nuisance(per={"a": ["four"]}), {}, "level.per: 'four' is not an observation; observations"),
    (nuisance(per={"a": ["one"], "b": ["one"]}), {}, "each in one group only"),
    (nuisance(per="run"), {}, "level.per: must be 'shared' or 'observation' (got 'run')"),
    (nuisance(prior=FIXED), {}, "level.prior: 'fixed' is not a known kind; allowed: 'uniform'"),
    (nuisance(prior={"kind": "log_normal"}), {}, "level.prior.dex: this key is missing"),
]


@pytest.mark.parametrize(("likelihood", "others", "message"), MISTAKES)
def test_mistakes(likelihood, others, message) -> None:
    with pytest.raises(StudyError) as error:
        study(likelihood, **others)
    assert message in str(error.value)


def test_nuisance_with_the_name_of_a_parameter() -> None:
    raw = copy.deepcopy(DEFAULT_STUDY)
    raw["components"]["dark_matter"]["mass"]["name"] = "level"
    raw["observations"]["centre_5h"]["events"]["parameters"] = {"level": "1 TeV"}
    raw["likelihood"] = {"kind": "extended", **nuisance()}
    with pytest.raises(StudyError, match="'level' is also the name of a scanned parameter"):
        study_from_mapping(raw)


@pytest.mark.parametrize(
    ("per", "factors"),
    [
        ("shared", {"level": OBSERVATIONS}),
        ("observation", {f"level.{name}": (name,) for name in OBSERVATIONS}),
        ({"a": ["two", "three"], "b": ["one"]}, {"level.a": ("two", "three"), "level.b": ("one",)}),
    ],
)
def test_factors_of_a_nuisance(per, factors) -> None:
    found = rate_settings(study(nuisance(per=per)), OBSERVATIONS)["nuisances"]
    assert {f["name"]: tuple(f["observations"]) for f in found} == factors


def test_a_fit_has_just_the_factors_of_its_observations() -> None:
    both = study(nuisance(per={"a": ["two", "three"], "b": ["one"]}))
    (factor,) = rate_settings(both, ("two",))["nuisances"]
    assert (factor["name"], factor["observations"]) == ("level.a", ["two"])


def test_physical_amplitudes_are_those_that_are_free() -> None:
    settings = rate_settings(study({"amplitudes": AMPLITUDES}), OBSERVATIONS)
    assert settings["physical"] == {
        "dark_matter.cross_section": {"of": "dark_matter", "value": 2.2e-26, "unit": "cm3 s-1"},
        # The split's factor is fixed, but not the fractions below it.
        "central_source.amplitude": {
            "of": "central_source",
            "value": 2.55e-12,
            "unit": "TeV-1 cm-2 s-1",
        },
        "diffuse.amplitude": {
            "of": "diffuse",
            "value": 2.793e-8,
            "unit": "TeV-1 cm-2 s-1 sr-1",
        },
    }


def test_components_of_a_split_that_are_alike_give_it_a_physical_amplitude() -> None:
    raw = copy.deepcopy(DEFAULT_STUDY)
    channel = raw["components"].pop("dark_matter")
    for name in ("W", "b"):
        spectrum = {"kind": "closed_form", "channels": {name: 1.0}}
        mass = {**channel["mass"], "name": "mass"}
        raw["components"][name] = {**channel, "spectrum": spectrum, "mass": mass}
    del raw["tree"]["children"]["dark_matter"]
    raw["tree"]["children"]["signal"] = {"children": {"W": None, "b": None}}
    raw["observations"]["centre_5h"]["events"] |= {"counts": {}, "parameters": {"mass": "1 TeV"}}
    amplitudes = {"signal": FREE, "cosmic_rays": FIXED, "central_source": FIXED, "diffuse": FIXED}
    raw["likelihood"] = {"kind": "extended", "amplitudes": amplitudes}
    physical = rate_settings(study_from_mapping(raw), ("centre_5h",))["physical"]
    assert list(physical) == ["signal.cross_section", "W.cross_section", "b.cross_section"]


@pytest.mark.parametrize(
    "prior",
    [
        {"kind": "uniform", "upper": 3},
        FREE,
        {"kind": "normal", "sd": 0.2},
        {"kind": "log_normal", "dex": 0.1},
    ],
)
def test_every_prior_of_a_factor_is_one_of_the_mixture(prior) -> None:
    found = rate_settings(study(nuisance(prior=prior)), OBSERVATIONS)["nuisances"][0]["prior"]
    values = prior_from_mapping(found).transform(np.linspace(0, 1, 11)[1:-1])
    assert np.all(np.diff(values) > 0)
    assert np.all(values > 0)


def test_computing_settings_do_not_shape_the_tables() -> None:
    plain, fast = (study(likelihood) for likelihood in ({"amplitudes": AMPLITUDES},) * 2)
    fast = study({"amplitudes": AMPLITUDES, "threads": 2, "precision": "single"})
    assert stage_settings(plain, "likelihood") == stage_settings(fast, "likelihood")
    assert stage_settings(plain, "posterior") != stage_settings(fast, "posterior")
    threads = study({"amplitudes": AMPLITUDES, "threads": 2})
    assert stage_settings(plain, "posterior") == stage_settings(threads, "posterior")
