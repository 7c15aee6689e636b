"""Settings of upper limits: what they default to and what is refused."""

import copy

import pytest

from skymix.errors import StudyError
from skymix.study import study_from_mapping
from skymix.study.components import TabulatedAnnihilation
from skymix.study.default import DEFAULT_STUDY
from skymix.study.limits import (
    largest_factor,
    limited_amplitude,
    limited_components,
    searched,
)
from skymix.study.rates import rate_settings
from skymix.study.stages import stage_settings

FREE = {"kind": "uniform", "lower": 0, "upper": 50}


def study_of(limits=None, amplitude=None, component=None, truth=None, **changes):
    settings = copy.deepcopy(DEFAULT_STUDY)
    if truth is not None:
        settings["observations"]["centre_5h"]["events"]["parameters"] = truth
    settings["likelihood"] = {
        "kind": "extended",
        "amplitudes": {
            **{name: {"kind": "fixed"} for name in settings["components"]},
            "dark_matter": amplitude or FREE,
        },
    }
    settings["components"]["dark_matter"].update(component or {})
    settings["limits"] = {"component": "dark_matter", **(limits or {})}
    return study_from_mapping({**settings, **changes})


def test_default_is_the_own_spectrum_at_thinned_nodes():
    study = study_of()
    (job,) = {channel for channel, _, _ in study.limits.jobs().values()}
    survey = searched(study, job)
    before, after = study.components["dark_matter"], survey.components["dark_matter"]
    assert after.spectrum == before.spectrum
    assert (after.mass.min, after.mass.max) == (before.mass.min, before.mass.max)
    assert after.mass.nodes == 21  # each third of 61
    assert survey.marginalisation.events == "binned"
    assert largest_factor(study) == 50


def test_channels_and_masses_are_replaced():
    masses = {"min": "1 TeV", "max": "4 TeV", "nodes": 3, "spacing": "log"}
    study = study_of({"channels": ["W", "b"], "masses": masses, "upper": 7})
    survey = searched(study, "b")
    assert survey.components["dark_matter"].spectrum.channels == {"b": 1}
    assert survey.components["dark_matter"].mass.nodes == 3
    assert survey.likelihood.amplitudes["dark_matter"].upper == 7
    scans = survey.scans()
    assert [scan.name for _, _, scan in scans] == ["dark_matter.mass"]


def of_free_channels(limits=None, **changes):
    free = {"kind": "closed_form", "channels": ["W", "b"]}
    none = {"dark_matter-W": 0, "dark_matter-b": 0}
    raw = copy.deepcopy(DEFAULT_STUDY)
    raw["components"]["dark_matter"]["spectrum"] = free
    raw["observations"]["centre_5h"]["events"]["counts"] = none
    raw["likelihood"] = {
        "kind": "extended",
        "amplitudes": {"dark_matter": FREE, "background": {"kind": "uniform", "upper": 2}},
        "nuisances": {
            "j_factor": {"components": ["dark_matter"], "prior": {"kind": "log_normal", "dex": 0.1}}
        },
    }
    raw["limits"] = {"component": "dark_matter", **(limits or {})}
    return study_from_mapping(raw | changes)


def test_channels_with_free_fractions_are_limited_together():
    study = of_free_channels({"masses": {"min": "1 TeV", "max": "4 TeV", "nodes": 3}})
    assert set(limited_components(study)) == {"dark_matter-W", "dark_matter-b"}
    survey = searched(study, "spectrum")
    assert survey.components["dark_matter-b"].spectrum.channels == {"b": 1}
    assert {scan.name for _, _, scan in survey.scans()} == {"dark_matter.mass"}
    assert {scan.nodes for _, _, scan in survey.scans()} == {3}
    assert survey.likelihood.amplitudes["dark_matter"].upper == 50
    (factor,) = rate_settings(survey, ("centre_5h",))["nuisances"]
    assert factor["components"] == ["dark_matter-W", "dark_matter-b"]
    with pytest.raises(StudyError, match="have free fractions; leave 'channels' out"):
        of_free_channels({"channels": ["W"]})
    with pytest.raises(StudyError, match="'background' is not a component of dark matter"):
        of_free_channels({"component": "background"})


def test_components_of_a_split_that_differ_are_not_limited_together():
    study = of_free_channels()
    raw = study.model_dump(mode="json")
    raw["components"]["dark_matter-b"]["cross_section"] = "1e-26 cm3 s-1"
    with pytest.raises(StudyError, match="differ in more than their channels"):
        study_from_mapping(raw)


def test_jobs_hold_every_simulation_once():
    study = study_of({"channels": ["W", "b"], "realisations": 25, "per_job": 10})
    jobs = study.limits.jobs()
    assert list(jobs) == [f"{c}/{r}" for c in "Wb" for r in ("0-9", "10-19", "20-24")]
    assert [n for c, a, b in jobs.values() if c == "b" for n in range(a, b)] == list(range(25))


def test_scalar_singlet_has_the_channels_of_its_table():
    study = study_of({"channels": ["tau"]}, component={"spectrum": {"kind": "scalar_singlet"}})
    spectrum = searched(study, "tau").components["dark_matter"].spectrum
    assert isinstance(spectrum, TabulatedAnnihilation)
    assert (spectrum.kind, spectrum.channels) == ("pppc4dmid", {"tau": 1})


def test_decay_has_a_lifetime():
    decay = {"kind": "decaying_dark_matter", "lifetime": "1e27 s"}
    assert limited_amplitude(study_of(component=decay)) == ("lifetime", 1e27, "s")
    assert limited_amplitude(study_of()) == ("cross_section", 2.2e-26, "cm3 s-1")


def test_settings_that_matter_to_limits():
    settings = stage_settings(study_of(), "limits")
    assert settings["limits"]["component"] == "dark_matter"
    assert "sampler" not in settings


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"limits": {"component": "diffuse"}}, "not a component of dark matter; these are dark_m"),
        ({"likelihood": {"kind": "fractions"}}, "set likelihood.kind to extended"),
        ({"amplitude": {"kind": "fixed"}}, "amplitude of 'dark_matter' is not free"),
        ({"amplitude": {"kind": "log_normal", "dex": 1}}, "limits.upper: is needed"),
        ({"component": {"mass": "1 TeV"}, "truth": {}}, "limits.masses: are needed"),
        ({"limits": {"channels": ["W", "gluino"]}}, "'gluino' is not a channel of a closed_form"),
        ({"limits": {"channels": ["W", "W"]}}, "names a channel twice"),
        (
            {
                "limits": {
                    "masses": {"min": "1 TeV", "max": "2 TeV", "nodes": 3, "name": "m"},
                }
            },
            "leave 'prior' and 'name' out",
        ),
        ({"limits": {"level": 1.5}}, "limits.level"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(StudyError, match=message):
        study_of(**arguments)
