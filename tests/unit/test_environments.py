"""The pip lock and the conda environment agree with each other and with pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "envs" / "requirements.lock"
ENVIRONMENT = ROOT / "envs" / "environment.yaml"

# Where conda's name differs from the package index's.
CONDA_NAMES = {"matplotlib": "matplotlib-base"}


def read_pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def direct_requirements() -> dict[str, Requirement]:
    pyproject = read_pyproject()
    project = pyproject["project"]
    lines = [
        *pyproject["build-system"]["requires"],
        *project["dependencies"],
        *project["optional-dependencies"]["dev"],
    ]
    requirements = map(Requirement, lines)
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def lock_entries() -> list[str]:
    """Return each logical line of the lock: continuations joined, comments dropped."""
    lines = [line for line in LOCK.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip()]


def lock_versions() -> dict[str, Version]:
    pins = (re.match(r"(\S+)==(\S+)", entry).groups() for entry in lock_entries())
    return {canonicalize_name(name): Version(version) for name, version in pins}


def conda_versions() -> dict[str, Version]:
    entries = yaml.safe_load(ENVIRONMENT.read_text())["dependencies"]
    pins = (entry.split("=") for entry in entries if "=" in entry)
    return {name: Version(version) for name, version in pins}


REQUIREMENTS = direct_requirements()


@pytest.mark.parametrize("name", sorted(REQUIREMENTS))
def test_direct_dependency_is_pinned_alike_in_both(name):
    locked = lock_versions()[name]
    conda = conda_versions()[CONDA_NAMES.get(name, name)]
    # A post release is a wheel packed again; conda numbers its builds apart.
    assert conda.release == locked.release
    assert locked in REQUIREMENTS[name].specifier


def test_conda_holds_nothing_else():
    expected = {CONDA_NAMES.get(name, name) for name in REQUIREMENTS} | {"python"}
    assert set(conda_versions()) == expected


def test_conda_python_is_one_we_support():
    python = conda_versions()["python"]
    assert python in SpecifierSet(read_pyproject()["project"]["requires-python"])


def test_each_locked_package_has_a_version_and_hashes():
    entries = lock_entries()
    assert entries
    pattern = re.compile(r"[a-z0-9._-]+==\S+( ;.*?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*")
    assert [entry for entry in entries if not pattern.fullmatch(entry)] == []


@pytest.mark.parametrize("path", [LOCK, ENVIRONMENT], ids=lambda path: path.name)
def test_no_host_and_no_machine_path(path):
    option = r"^\s*--?(?:i|f|index-url|extra-index-url|find-links|trusted-host)\b"
    forbidden = re.compile(rf"://|(?:^|\s)/|{option}")
    assert [line for line in path.read_text().splitlines() if forbidden.search(line)] == []
