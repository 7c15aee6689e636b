"""The study of a PyMC model: its file is found from everywhere, its settings are checked."""

from pathlib import Path

import pytest

from skymix.errors import StudyError
from skymix.study import study_from_mapping
from skymix.study.load import any_study_from_mapping
from skymix.study.pymc_stages import pymc_settings


def raw(**model):
    return {"domain": "pymc", "name": "own", "model": {"path": "own.py"} | model}


def test_file_is_relative_to_the_study_and_found_after_freezing(tmp_path):
    study = any_study_from_mapping(raw(), tmp_path / "config")
    assert study.model.path == tmp_path / "config/own.py"
    frozen = any_study_from_mapping(study.model_dump(mode="json"), Path("results/own"))
    assert frozen == study


def test_arguments_keep_their_kinds():
    given = {"on": True, "count": 3, "width": 0.5, "kind": "broad"}
    found = any_study_from_mapping(raw(arguments=given)).model.arguments
    assert {name: (type(value), value) for name, value in found.items()} == {
        name: (type(value), value) for name, value in given.items()
    }


def test_posterior_depends_on_the_model_and_not_on_its_place(tmp_path):
    study = any_study_from_mapping(raw())
    moved = any_study_from_mapping(raw(), tmp_path)
    other = any_study_from_mapping(raw(arguments={"width": 2}))
    assert pymc_settings(moved, "posterior") == pymc_settings(study, "posterior")
    assert pymc_settings(other, "posterior") != pymc_settings(study, "posterior")
    slower = {**raw(), "sampler": {"checkpoint_every": 5}}
    found = pymc_settings(any_study_from_mapping(slower), "posterior")
    assert found == pymc_settings(study, "posterior")


def test_numbers_that_yaml_takes_for_text_are_numbers():
    study = any_study_from_mapping(raw(arguments={"a": "1e-1", "b": "-2.E+3", "c": "1e", "d": 1}))
    assert study.model.arguments == {"a": 0.1, "b": -2000.0, "c": "1e", "d": 1}


@pytest.mark.parametrize(
    ("study", "message"),
    [
        (raw(pth="x"), r"unknown key 'pth' in model .*did you mean 'path'"),
        (raw(arguments={"data": "x"}), r"model\.arguments: 'data' is always the path of the data"),
        (
            raw(arguments={"x": [1]}),
            r"model\.arguments\.x: must be a number, a text, true",
        ),
        (raw(arguments={"x": float("inf")}), r"model\.arguments\.x: must be finite"),
        ({**raw(), "seed": 2**63}, r"seed: must be less than"),
        (raw(arguments={"1x": 1}), r"model\.arguments.*a name starts with a letter"),
        (raw(function="my function"), r"model\.function: a name starts with a letter"),
        ({**raw(), "sampler": {"kind": "laplace"}}, r"sampler: 'laplace' is not a known kind"),
        ({"domain": "pymc", "name": "own"}, r"model: this key is missing"),
    ],
)
def test_bad_study_is_one_sentence(study, message):
    with pytest.raises(StudyError, match=message):
        any_study_from_mapping(study)


def test_commands_for_gamma_rays_refuse_it():
    with pytest.raises(StudyError, match="has the domain pymc; this command is for gamma rays"):
        study_from_mapping(raw())
