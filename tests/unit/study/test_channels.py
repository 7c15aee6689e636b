"""A list of channels stands for a split of components with free fractions."""

import copy

import pytest
import yaml

from skymix.errors import StudyError
from skymix.study import study_from_mapping
from skymix.study.default import DEFAULT_STUDY

SPECTRUM = {"kind": "pppc4dmid", "channels": ["b", "tau", "V->mu"]}


@pytest.fixture
def raw():
    raw = copy.deepcopy(DEFAULT_STUDY)
    raw["components"]["dark_matter"]["spectrum"] = copy.deepcopy(SPECTRUM)
    raw["observations"]["centre_5h"]["events"]["counts"] = {}
    return raw


def leaves(raw):
    return [leaf for leaf in study_from_mapping(raw).tree.leaves() if "dark" in leaf]


def test_a_component_a_channel_with_one_mass(raw):
    study = study_from_mapping(raw)
    expected = ["dark_matter-b", "dark_matter-tau", "dark_matter-V_mu"]
    assert leaves(raw) == expected
    assert [n for n in study.components if "dark" in n] == expected
    assert study.components[expected[2]].spectrum.channels == {"V->mu": 1.0}
    assert [scan.name for c, _, scan in study.scans() if "dark" in c] == ["dark_matter.mass"] * 3
    assert "dark_matter" in study.tree.nodes()


def test_written_out_it_is_the_same_study(raw):
    study = study_from_mapping(raw)
    assert (
        study_from_mapping(yaml.safe_load(yaml.safe_dump(study.model_dump(mode="json")))) == study
    )


def test_the_split_may_have_a_prior_and_scans_their_own_names(raw):
    raw["tree"]["children"]["dark_matter"] = {"prior": {"dirichlet": [1, 2, 3]}}
    raw["components"]["dark_matter"]["mass"]["name"] = "m"
    raw["observations"]["centre_5h"]["events"]["parameters"] = {"m": "1 TeV"}
    study = study_from_mapping(raw)
    assert study.tree.children["dark_matter"].prior.dirichlet == (1, 2, 3)
    assert {scan.name for c, _, scan in study.scans() if "dark" in c} == {"m"}


@pytest.mark.parametrize("channels", [[], ["b", "b"]])
def test_empty_lists_and_repeated_channels_are_refused(raw, channels):
    raw["components"]["dark_matter"]["spectrum"]["channels"] = channels
    with pytest.raises(StudyError, match=r"dark_matter\.spectrum\.channels: a list of free chan"):
        study_from_mapping(raw)


def test_a_study_without_lists_is_left_as_it_is():
    study = study_from_mapping(DEFAULT_STUDY)
    assert "dark_matter" in study.components
