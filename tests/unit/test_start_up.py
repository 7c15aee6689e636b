"""What the commands import: nothing heavy before it is needed."""

import subprocess
import sys

import pytest

HEAVY = ("astropy", "dynesty", "gammapy", "h5py", "matplotlib", "numba", "numpy", "pandas",
         "pydantic", "scipy", "scipy.optimize", "xarray", "yaml")  # fmt: skip


def imported(statement: str) -> set[str]:
    """Heavy packages that a fresh interpreter holds after a statement."""
    code = f"import sys\n{statement}\nprint(*(p for p in {HEAVY} if p in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_the_command_line_imports_nothing_heavy():
    assert imported("import skymix.cli") == set()


def test_help_imports_nothing_heavy():
    run = "from click.testing import CliRunner\nfrom skymix.cli import cli\n"
    assert imported(run + "assert CliRunner().invoke(cli, ['--help']).exit_code == 0") == set()


@pytest.mark.parametrize(
    ("modules", "spared"),
    [
        ("skymix.pipeline, skymix.store.tables, skymix.domains.gamma.data",
         {"gammapy", "matplotlib", "dynesty", "pandas", "xarray"}),
        ("skymix.pipeline, skymix.domains.gamma.observe",
         {"gammapy", "matplotlib", "dynesty", "pandas", "xarray"}),
        ("skymix.pipeline, skymix.sampling",
         {"gammapy", "matplotlib", "pandas", "scipy.optimize", "xarray"}),
        ("skymix.pipeline, skymix.diagnostics", {"gammapy", "matplotlib", "dynesty"}),
    ],
)  # fmt: skip
def test_a_stage_imports_what_it_needs(modules, spared):
    found = imported(f"import {modules}")
    assert {"numpy", "h5py"} <= found
    assert not found & spared
