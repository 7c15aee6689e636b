"""Reading a study file and saying in one sentence what is wrong with it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from skymix.errors import StudyError
from skymix.study.messages import first_mistake
from skymix.study.model import Study
from skymix.study.observation import ObservationTable
from skymix.study.observation_table import read_observations
from skymix.study.pymc_study import PymcStudy
from skymix.study.star_study import StarStudy

AnyStudy = Study | StarStudy | PymcStudy
STUDIES: dict[str, type[AnyStudy]] = {"gamma": Study, "stars": StarStudy, "pymc": PymcStudy}
"""Model of a study by its domain."""


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
    """Read and check a study of gamma rays; errors as `load_any_study`."""
    study = load_any_study(path)
    try:
        return _gamma(study)
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from None


def load_any_study(path: Path | str) -> AnyStudy:
    """Read and check a study file of any domain.

    Raises
    ------
    StudyError
        If the file cannot be read or its first wrong key, its place and what is allowed.
    """
    raw = read_mapping(path)
    try:
        return any_study_from_mapping(raw, Path(path).parent)
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
    if text.startswith("{"):
        try:
            return json.loads(text, object_pairs_hook=_unique)
        except json.JSONDecodeError:
            pass  # YAML has braces, too
        except StudyError as error:
            raise StudyError(f"{path}: {error}") from None
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


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise StudyError(f"the key '{twice}' is given twice; delete one")
    return found


def study_from_mapping(raw: Any, folder: Path = Path()) -> Study:
    """Check a study of gamma rays that is a mapping already; errors as `load_study`."""
    return _gamma(any_study_from_mapping(raw, folder))


def any_study_from_mapping(raw: Any, folder: Path = Path()) -> AnyStudy:
    """Check a study of any domain that is a mapping already; errors as `load_study`.

    Parameters
    ----------
    folder : what the path of a table of observations, or of a model's file, is relative to
    """
    if not isinstance(raw, Mapping):
        raise StudyError("a study is a mapping of keys to values; see config/config.yaml")
    domain = raw.get("domain", "gamma")
    if domain not in list(STUDIES):
        allowed = ", ".join(f"'{known}'" for known in STUDIES)
        raise StudyError(f"domain: '{domain}' is not a known domain; allowed: {allowed}")
    root = STUDIES[domain]
    try:
        study = root.model_validate(_with_table(raw, folder))
    except ValidationError as error:
        raise StudyError(first_mistake(error, root)) from None
    return _with_model_file(study, folder) if isinstance(study, PymcStudy) else study


def _gamma(study: AnyStudy) -> Study:
    if not isinstance(study, Study):
        raise StudyError(
            f"the study '{study.name}' has the domain {study.domain}; this command is for gamma"
            " rays"
        )
    return study


def _with_model_file(study: PymcStudy, folder: Path) -> PymcStudy:
    """Study that finds its model from wherever it is written to: the path is absolute."""
    path = Path(os.path.abspath(folder / study.model.path))
    return study.model_copy(update={"model": study.model.model_copy(update={"path": path})})


def _with_table(raw: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """Study whose table of observations is read: its rows stand among the observations."""
    given = raw.get("observations") or {}
    if raw.get("observation_table") is None or not isinstance(given, Mapping):
        return raw
    try:
        table = ObservationTable.model_validate(raw["observation_table"])
    except ValidationError as error:
        raise StudyError(f"observation_table: {first_mistake(error, ObservationTable)}") from None
    rows = read_observations(table, folder)
    if twice := given.keys() & rows.keys():
        raise StudyError(f"observations: '{min(twice)}' is also in {table.path}; rename one")
    return {**raw, "observations": {**given, **rows}, "observation_table": None}


def data_folder(study: AnyStudy) -> Path:
    """Folder of the data files (see the `data` key of the study)."""
    if study.data is not None:
        return study.data
    if "SKYMIX_DATA" in os.environ:
        return Path(os.environ["SKYMIX_DATA"])
    shared = Path("../shared/data")
    return shared if shared.is_dir() else Path("data")
