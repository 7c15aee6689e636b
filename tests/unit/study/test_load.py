import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from skymix.errors import StudyError
from skymix.study import load_study, study_from_mapping
from skymix.study.load import data_folder

ROOT = Path(__file__).resolve().parents[3]


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_missing_file(tmp_path):
    with pytest.raises(StudyError, match=r"none\.yaml: no such study file"):
        load_study(tmp_path / "none.yaml")


def test_folder_is_not_a_study(tmp_path):
    with pytest.raises(StudyError, match="cannot be read as a text file"):
        load_study(tmp_path)


def test_binary_file(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_bytes(b"\x89HDF\xff\xfe")
    with pytest.raises(StudyError, match="cannot be read as a text file"):
        load_study(path)


def test_key_given_twice_is_refused_with_its_line(tmp_path):
    path = write(tmp_path / "study.yaml", "name: a\nregion:\n  width: 6 deg\n  width: 5 deg\n")
    with pytest.raises(StudyError, match=r"study\.yaml: line 4: the key 'width' is given twice"):
        load_study(path)


@pytest.mark.parametrize("text", ["name: [a", "name: 'a", "a: b: c", "\tname: a", "? [a]\n: b\n"])
def test_broken_yaml_is_refused_with_its_line(tmp_path, text):
    with pytest.raises(StudyError, match=r"study\.yaml: line \d+: .*; mend the YAML"):
        load_study(write(tmp_path / "study.yaml", text))


def test_python_objects_are_refused(tmp_path):
    path = write(tmp_path / "study.yaml", "name: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(StudyError, match="line 1"):
        load_study(path)


def test_message_names_the_file(tmp_path, raw):
    raw["seed"] = -1
    path = write(tmp_path / "study.yaml", yaml.safe_dump(raw, sort_keys=False))
    with pytest.raises(StudyError, match=r"^.*study\.yaml: seed: must be"):
        load_study(path)


def test_data_folder(monkeypatch, tmp_path, raw):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SKYMIX_DATA", raising=False)
    study = study_from_mapping(raw)
    assert data_folder(study) == Path("data")
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    (tmp_path / "shared" / "data").mkdir(parents=True)
    assert data_folder(study) == Path("../shared/data")
    monkeypatch.setenv("SKYMIX_DATA", str(tmp_path))
    assert data_folder(study) == tmp_path
    assert data_folder(study_from_mapping(raw | {"data": "here"})) == Path("here")


def test_a_study_is_checked_within_a_second_and_without_heavy_imports():
    code = (
        "import sys; from skymix.study import load_study; load_study('config/config.yaml');"
        "heavy = {'gammapy', 'h5py', 'matplotlib', 'scipy', 'dynesty', 'numba', 'xarray'};"
        "sys.exit(f'imported: {heavy & set(sys.modules)}' if heavy & set(sys.modules) else 0)"
    )

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    # Processor time, the best of three: the machine may be busy with other tests.
    assert min(seconds() for _ in range(3)) < 1.0
