"""Energies and energy scales of observations in the study file."""

import copy

import pytest

from skymix.errors import StudyError
from skymix.pipeline import parameter_priors
from skymix.study import study_from_mapping
from skymix.study.default import DEFAULT_STUDY
from skymix.study.stages import stage_settings

RUN = "centre_5h"
FACTOR = {"min": 0.9, "max": 1.1, "nodes": 5, "prior": {"kind": "normal", "mean": 1, "sd": 0.05}}
NARROW = {"min": "0.2 TeV", "max": "50 TeV", "per_decade": 8}
EXTENDED = {
    "kind": "extended",
    "amplitudes": {
        name: {"kind": "log_uniform", "lower": 0.1, "upper": 10}
        for name in DEFAULT_STUDY["components"]
    },
}


def study(scale=None, energy=None, likelihood=EXTENDED):
    raw = copy.deepcopy(DEFAULT_STUDY) | {"likelihood": likelihood}
    raw["observations"]["second"] = copy.deepcopy(raw["observations"][RUN])
    if energy:
        raw["observations"][RUN]["energy"] = energy
    if scale is not None:
        raw["energy_scales"] = {"array": {"observations": [RUN], "factor": FACTOR, **scale}}
    return study_from_mapping(raw)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"energy": {**NARROW, "max": "500 TeV"}},
            "centre_5h.energy: true_energy: .* does not cover the data's 0.2 to 500 TeV",
        ),
        ({"scale": {"observations": ["third"]}}, "array.observations: 'third' is not an obs"),
        ({"scale": {"factor": {**FACTOR, "name": "s"}}}, "an energy scale has its own name"),
        ({"scale": {"factor": {**FACTOR, "nodes": 2}}}, "factor.nodes: must be at least 3"),
        (
            {"scale": {"factor": {"min": 1.1, "max": 1.2, "nodes": 5}}},
            "must scan a range that holds 1",
        ),
        (
            {"scale": {"factor": {"min": 0.1, "max": 1.2, "nodes": 5}}},
            "which true_energy does not cover; widen it",
        ),
        ({"scale": {}, "likelihood": {}}, "need a likelihood of kind 'extended'"),
    ],
)
def test_mistakes(changes, message) -> None:
    with pytest.raises(StudyError, match=message):
        study(**changes)


def test_two_scales_of_one_observation() -> None:
    raw = study(scale={}, energy=NARROW).model_dump(mode="json")
    raw["energy_scales"]["again"] = raw["energy_scales"]["array"]
    with pytest.raises(StudyError, match=r"again\.observations: 'centre_5h' already has a scale"):
        study_from_mapping(raw)


def test_only_what_a_scale_touches_depends_on_it() -> None:
    plain, scaled = study(energy=NARROW), study(scale={}, energy=NARROW)

    def changed(stage, **names):
        return stage_settings(plain, stage, **names) != stage_settings(scaled, stage, **names)

    assert changed("marginals", observation=RUN, component="dark_matter")
    assert not changed("marginals", observation=RUN, component="cosmic_rays")
    assert not changed("marginals", observation="second", component="dark_matter")
    assert not changed("events", observation=RUN)
    assert changed("likelihood")
    assert parameter_priors(scaled)["energy_scale.array"] == {
        "kind": "normal", "lower": 0.9, "upper": 1.1, "mean": 1.0, "sd": 0.05,
    }  # fmt: skip


def test_own_energies_are_those_of_the_observation_alone() -> None:
    plain, own = study(), study(energy=NARROW)
    assert own.grids_of(RUN).energy.min == 0.2
    assert own.grids_of("second") == plain.grids
    for stage, names in (("events", {}), ("marginals", {"component": "dark_matter"})):
        one, other = ({"observation": o, **names} for o in (RUN, "second"))
        assert stage_settings(plain, stage, **one) != stage_settings(own, stage, **one)
        assert stage_settings(plain, stage, **other) == stage_settings(own, stage, **other)
