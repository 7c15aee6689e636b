"""Reading a study file and saying in one sentence what is wrong with it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from skymix.errors import StudyError
from skymix.study.messages import first_mistake
from skymix.study.model import Study


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        for i, key in enumerate(keys):
            if key in keys[:i]:
                line = node.value[i][0].start_mark.line + 1
                raise StudyError(f"line {line}: the key '{key}' is given twice; delete one")
        return super().construct_mapping(node, deep)


def load_study(path: Path | str) -> Study:
    """Read and check a study file.

    Raises
    ------
    StudyError
        If the file cannot be read or its first wrong key, its place and what is allowed.
    """
    raw = read_mapping(path)
    try:
        return study_from_mapping(raw)
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from None


def read_mapping(path: Path | str) -> Any:
    """Content of a study file as plain values, not checked but for keys that are given twice.

    Raises
    ------
    StudyError
        If the file cannot be read, is not YAML or gives a key twice.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StudyError(f"{path}: no such study file; give the path of a YAML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: cannot be read as a text file ({error})") from None
    try:
        return yaml.load(text, Loader=_Loader)
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise StudyError(f"{path}: {line}{problem}; mend the YAML") from None
    except ValueError as error:
        raise StudyError(f"{path}: a date that does not exist ({error}); quote the text") from None


def study_from_mapping(raw: Any) -> Study:
    """Check a study that is a mapping already; errors as `load_study`."""
    if not isinstance(raw, Mapping):
        raise StudyError("a study is a mapping of keys to values; see config/config.yaml")
    try:
        return Study.model_validate(raw)
    except ValidationError as error:
        raise StudyError(first_mistake(error)) from None


def data_folder(study: Study) -> Path:
    """Folder of the data files (see the `data` key of the study)."""
    if study.data is not None:
        return study.data
    if "SKYMIX_DATA" in os.environ:
        return Path(os.environ["SKYMIX_DATA"])
    shared = Path("../shared/data")
    return shared if shared.is_dir() else Path("data")
