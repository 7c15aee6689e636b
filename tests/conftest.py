"""Fixtures that find the material which is not part of the repository."""

import os
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

# The first example may compile kernels, so no deadline; CI repeats the same examples.
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One worker has all tests on SLURM, as a machine has but one; others go where there is room.

    xdist's own groups are lost with pytest 9.2 (pytest-xdist issue 1386).
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduler(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "slurm" if nodeid.startswith("tests/slurm/") else nodeid

    return Scheduler(config, log)


def _missing(message: str) -> NoReturn:
    """Skip the test, or fail it where the data are required."""
    if os.environ.get("SKYMIX_REQUIRE_DATA") == "1":
        pytest.fail(f"{message} (SKYMIX_REQUIRE_DATA=1 forbids skipping)", pytrace=False)
    pytest.skip(message)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder of the real observations: SKYMIX_DATA, else ../shared/data, else data."""
    named = os.environ.get("SKYMIX_DATA")
    candidates = [Path(named)] if named else [SHARED / "data", ROOT / "data"]
    for folder in candidates:
        if folder.is_dir():
            return folder.resolve()
    looked = " and ".join(str(folder) for folder in candidates)
    _missing(
        f"No real data: looked for {looked}. "
        "Set SKYMIX_DATA to a folder that holds them (see docs/data.md)."
    )


@pytest.fixture(scope="session")
def gammabayes_reference() -> Path:
    """File of results computed with GammaBayes, to compare with."""
    path = SHARED / "facts" / "gammabayes" / "reference.h5"
    if not path.is_file():
        _missing(
            f"No GammaBayes reference: looked for {path}. "
            "Put the folder `shared` of the project beside the repository."
        )
    return path
