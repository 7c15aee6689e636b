"""What docs/study-file.md shows is true."""

import re
from pathlib import Path

import pytest
import yaml

from skymix.errors import StudyError
from skymix.study import study_from_mapping
from skymix.study.document import study_models
from skymix.study.pymc_study import PymcModel, PymcStudy
from skymix.study.star_study import StarStudy

DOCS = Path(__file__).resolve().parents[3] / "docs"
GUIDE = (DOCS / "study-file.md").read_text(encoding="utf-8")
STARS = (DOCS / "stars.md").read_text(encoding="utf-8")
PYMC = (DOCS / "pymc.md").read_text(encoding="utf-8")


def block(first_line):
    found = re.search(rf"```(?:yaml)?\n({re.escape(first_line)}.*?)```", GUIDE, re.DOTALL)
    assert found, first_line
    return found[1]


def test_minimal_study_is_valid():
    study = study_from_mapping(yaml.safe_load(block("name: crab_minimal")))
    assert list(study.components) == ["crab", "cosmic_rays"]


def test_tree_and_simulation_fit_the_default_study(raw):
    raw |= yaml.safe_load(block("tree:"))
    raw["observations"]["centre_5h"] |= yaml.safe_load(block("events:"))
    assert study_from_mapping(raw).tree.prior.beta == (1, 9)


def test_every_section_and_kind_is_mentioned():
    study = study_models()[0]
    kinds = {
        kind
        for model in study_models()
        if "kind" in model.model_fields
        for kind in getattr(model.model_fields["kind"].annotation, "__args__", ())
    }
    studies = [study, StarStudy, PymcStudy, PymcModel]
    words = [*(word for model in studies for word in model.model_fields), *kinds]
    missing = [word for word in words if f"`{word}`" not in GUIDE + STARS + PYMC]
    assert set(missing) <= {"domain", "nested", "uniform", "log_uniform", "normal"}


@pytest.mark.parametrize(
    "edit",
    [
        ("sampler/livepoints", 5),
        ("region/width", "6 TeV"),
        ("grids/true_energy/min", "0.2 TeV"),
        ("components/dark_matter/mass/min", "50 TeV"),
        ("tree/children/dark_matter",),
    ],
    ids=str,
)
def test_messages_are_those_that_are_shown(edited, edit):
    with pytest.raises(StudyError) as caught:
        study_from_mapping(edited(*edit))
    assert str(caught.value) in GUIDE.splitlines()
