"""The models, the commented YAML and the JSON schema say the same."""

import copy
import inspect
import json
import shutil
from pathlib import Path

import jsonschema
import pytest
import yaml

from skymix.errors import StudyError
from skymix.study import load_study, study_from_mapping
from skymix.study.default import DEFAULT_STUDY
from skymix.study.document import commented_yaml, json_schema, study_models
from skymix.study.load import load_any_study

CONFIG = Path(__file__).resolve().parents[3] / "config"
STUDIES = [CONFIG / "config.yaml", *sorted((CONFIG / "studies").glob("*.yaml"))]


@pytest.fixture(scope="module")
def validator():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_default_study_file_is_the_generated_one():
    text = (CONFIG / "config.yaml").read_text(encoding="utf-8")
    assert text == commented_yaml(DEFAULT_STUDY), "run skymix default-study > config/config.yaml"


def test_schema_file_is_the_generated_one():
    schema = json.loads((CONFIG / "schema.json").read_text(encoding="utf-8"))
    assert schema == json_schema(), "run skymix schema > config/schema.json"


def test_study_file_reads_back_as_the_default_study():
    assert load_study(CONFIG / "config.yaml") == study_from_mapping(DEFAULT_STUDY)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_satisfies_model_and_schema(path, validator):
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    study = load_any_study(path)
    validator.validate(raw)
    validator.validate(study.model_dump(mode="json"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_commented_text_of_any_study_reads_back(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for table in path.parent.glob("*.csv"):  # of observations; its path is relative to the study
        shutil.copy(table, tmp_path)
    text = commented_yaml(yaml.safe_load(path.read_text(encoding="utf-8")))
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    written, given = (load_any_study(p) for p in (tmp_path / "study.yaml", path))
    apart = {"model": {"path"}}  # of a PyMC model; relative to the study
    assert written.model_dump(exclude=apart) == given.model_dump(exclude=apart)
    assert max(map(len, text.splitlines())) <= 100


def test_every_key_of_every_section_is_shown_and_described():
    text = commented_yaml(DEFAULT_STUDY)

    def same_keys(shown, complete):
        if isinstance(complete, dict):
            assert set(shown) == set(complete)
            for key in complete:
                same_keys(shown[key], complete[key])

    same_keys(yaml.safe_load(text), study_from_mapping(DEFAULT_STUDY).model_dump(mode="json"))
    comments = " ".join(
        line.strip(" #") for line in text.splitlines() if line.strip().startswith("#")
    )
    for sentence in (
        "Number of live points.",
        "Shape parameter.",
        "else data/.",
        "Kinds: einasto, nfw, gnfw, burkert, moore.",
    ):
        assert comments.count(sentence) == 1


def test_text_keeps_what_is_written():
    raw = copy.deepcopy(DEFAULT_STUDY)
    raw["observations"]["centre_5h"]["events"]["livetime"] = "300 min"
    assert "livetime: 300 min" in commented_yaml(raw)
    raw["seed"] = -1
    with pytest.raises(StudyError, match="seed"):
        commented_yaml(raw)


@pytest.mark.parametrize("model", study_models(), ids=lambda model: model.__name__)
def test_every_field_is_described(model):
    assert inspect.getdoc(model)
    for name, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{name} has no description"
        assert field.description.endswith("."), f"{model.__name__}.{name}"


def test_schema_is_closed_described_and_deterministic():
    schema = json_schema()
    assert json.dumps(schema) == json.dumps(json_schema())
    tables = list(schema["$defs"].values())
    assert len(tables) == len(study_models())
    for table in tables:
        assert table["description"]
        assert table["additionalProperties"] is False
        # A field described like the section it refers to shows the section's words.
        assert all("description" in f or "$ref" in f for f in table["properties"].values())


def test_schema_writes_defaults_as_the_study_file_does():
    tables = json_schema()["$defs"]
    assert tables["Grids"]["properties"]["margin"]["default"] == "0.6 deg"
    assert tables["Einasto"]["properties"]["scale_radius"]["default"] == "20 kpc"
    assert tables["NestedSampler"]["properties"]["dlogz"]["default"] == 0.05


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("regoin", 1),
        ("region/width", 6),
        ("region/width", "-6 deg"),
        ("region/width", "six deg"),
        ("region/width", "6"),
        ("region/centre/frame", "fk5"),
        ("grids/energy/per_decade", 0),
        ("grids/subdivision", 1.5),
        ("observations", {}),
        ("observations/bad name", {}),
        ("observations/centre_5h/events/kind", "fits"),
        ("observations/centre_5h/response/path", "x"),
        ("components/dark_matter/kind", "dm"),
        ("components/dark_matter/profile/gamma", 1.0),
        ("components/dark_matter/spectrum/channels", {"q": 1.0}),
        ("components/dark_matter/mass", 5),
        ("components/dark_matter/mass/node", 5),
        ("components/dark_matter/mass/spacing", "cubic"),
        ("tree/prior", {"gamma": [1]}),
        ("tree/children/background/child", {}),
        ("sampler/live_points", 5),
        ("sampler/kind", "mcmc"),
    ],
)
def test_schema_refuses_what_the_model_refuses(edited, validator, place, value):
    study = edited(place, value)
    with pytest.raises(StudyError):
        study_from_mapping(study)
    assert not validator.is_valid(study)
