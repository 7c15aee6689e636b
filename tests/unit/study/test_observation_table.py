"""Observations from a table: the same as written out; mistakes name their row."""

import copy

import pytest
import yaml

from skymix.errors import StudyError
from skymix.study import load_study, study_from_mapping
from skymix.study.default import DEFAULT_STUDY

COMMON = {
    "events": {
        "kind": "simulated",
        "pointing": {"frame": "galactic"},
        "counts": {"diffuse": 5},
        "parameters": {"dark_matter.mass": "1.5 TeV"},
    },
    "response": {"kind": "parametric"},
}
HEAD = "name, events.pointing.lon [deg], events.pointing.lat, events.livetime [h]\n"


@pytest.fixture
def load(tmp_path):
    """Load the default study with a table in the place of its observations."""

    def run(text, **more):
        raw = copy.deepcopy(DEFAULT_STUDY) | more
        if "observations" not in more:
            del raw["observations"]
        raw["observation_table"] = {"path": "survey.csv", "common": COMMON}
        (tmp_path / "survey.csv").write_text(text, encoding="utf-8")
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
        return load_study(path)

    return run


def test_rows_are_observations(load):
    columns = "events.parameters.dark_matter.mass [TeV], events.counts.diffuse, response.path"
    text = (
        f"# a survey\n{HEAD.strip()}, {columns}, response.kind, events.seed\n"
        "a, 359.5, 0.5 deg, 0.4, , , , ,\n\n"
        "b, 0.5, -30 arcmin, 2, 3, 0, irf.fits, dl3, 7\n"
    )
    study = load(text)
    written = copy.deepcopy(DEFAULT_STUDY)
    one, two = copy.deepcopy(COMMON), copy.deepcopy(COMMON)
    one["events"]["pointing"] |= {"lon": "359.5 deg", "lat": "0.5 deg"}
    one["events"]["livetime"] = "24 min"
    two["events"]["pointing"] |= {"lon": "0.5 deg", "lat": "-0.5 deg"}
    two["events"] |= {"livetime": "2 h", "counts": {"diffuse": 0}, "seed": 7}
    two["events"]["parameters"] = {"dark_matter.mass": "3 TeV"}
    two["response"] = {"kind": "dl3", "path": "irf.fits"}
    written["observations"] = {"a": one, "b": two}
    assert study == study_from_mapping(written)
    assert study_from_mapping(study.model_dump(mode="json")) == study


def test_rows_beside_written_ones(load):
    written = DEFAULT_STUDY["observations"]
    assert list(load(f"{HEAD}a, 0, 0 deg, 1", observations=written).observations) == [*written, "a"]
    with pytest.raises(StudyError, match=r"'centre_5h' is also in survey.csv; rename one"):
        load(f"{HEAD}centre_5h, 0, 0 deg, 1", observations=written)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEAD}a, 0, 0 deg, 1\nb, 0, 0 deg, x", r"row 2 \(b\): events.livetime: 'x h' is not a"),
        (f"{HEAD}a, 0, 0 deg, -1", r"row 1 \(a\): events.livetime: '-1 h' must be greater"),
        (f"{HEAD}a, 0, 0 deg", "row 1: has 3 cells for 4 columns"),
        (f"{HEAD}a, 0, 0 deg,", r"row 1 \(a\): events.livetime: this key is missing"),
        (f"{HEAD}a, 0, 0 deg, 1\na, 0, 0 deg, 1", "row 2: the name 'a' is given twice"),
        (f"{HEAD}, 0, 0 deg, 1", "row 1: has no name"),
        (f"{HEAD}1a, 0, 0 deg, 1", "observations.1a: a name starts with a letter"),
        (HEAD, "has no row; give one"),
        ("", "has no column 'name'"),
        ("name, events.lifetime\na, 1 h", r"row 1 \(a\): unknown key 'lifetime' in events"),
        ("name, name\na, b", "the column 'name' is given twice"),
        ("name, events.livetime [h\na, 1", r"the column 'events.livetime \[h' is not a key"),
        ("name, events.kind.x\na, 1", "row 1: 'events.kind.x': 'kind' is no section"),
    ],
)
def test_mistakes_name_file_and_row(load, text, message):
    with pytest.raises(StudyError, match=message) as error:
        load(text)
    assert "survey.csv" in str(error.value) or "observations.1a" in str(error.value)


def test_missing_table_is_named(load, tmp_path):
    raw = copy.deepcopy(DEFAULT_STUDY) | {"observation_table": {"path": "none.csv"}}
    with pytest.raises(StudyError, match=r"none.csv: cannot be read as a table \(No such file"):
        study_from_mapping(raw, tmp_path)
    raw["observation_table"] = {"file": "none.csv"}
    with pytest.raises(StudyError, match="observation_table: unknown key 'file'"):
        study_from_mapping(raw, tmp_path)


def test_no_observation_at_all():
    raw = copy.deepcopy(DEFAULT_STUDY)
    del raw["observations"]
    with pytest.raises(StudyError, match="observations: must not be empty"):
        study_from_mapping(raw)
