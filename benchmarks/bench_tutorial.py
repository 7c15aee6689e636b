"""The tutorial (docs/tutorial.md) from the study file to the posterior, and as a workflow.

In one process, warm (the second run and later) and cold (a fresh interpreter, imports included,
with numba's cache on disk); as a workflow with every product and the report.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from importlib import util
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from benchmarks.timing import median_seconds, seconds
from skymix.pipeline import load
from skymix.study.files import component_tables, response_file
from skymix.study.load import data_folder

ROOT = Path(__file__).resolve().parents[1]
STUDY = ROOT / "config" / "studies" / "tutorial.yaml"
SCRIPT = ROOT / "docs" / "tutorial.py"


def tutorial() -> ModuleType:
    """The script of the tutorial as a module."""
    spec = util.spec_from_file_location("tutorial", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command(*arguments: str, data: Path) -> None:
    """Run a Python command on the data folder; its output is shown if it fails."""
    environment = os.environ | {"SKYMIX_DATA": str(data)}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise SystemExit(f"{' '.join(arguments)} failed with exit code {done.returncode}")


def run() -> Iterator[tuple[str, float, str]]:
    """Wall times of the tutorial."""
    study = load(STUDY)
    data = data_folder(study).resolve()
    files = [response_file(study, run) for run in study.observations]
    files += component_tables(study, *study.components)
    missing = [path for path in files if path is not None and not path.exists()]
    if missing:
        sys.stderr.write(
            f"The tutorial is not measured: {missing[0]} is missing; set SKYMIX_DATA to the folder"
            " that holds it (docs/data.md).\n"
        )
        return
    script = partial(command, str(SCRIPT), str(STUDY), data=data)
    yield "tutorial.process_seconds_cold", seconds(script), "s"
    yield "tutorial.process_seconds", median_seconds(partial(tutorial().fit, study)), "s"
    with TemporaryDirectory() as folder:
        workflow = partial(
            command,
            *("-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "all"),
            *("--directory", f"{folder}/workflow", "--configfile", str(STUDY)),
            data=data,
        )
        yield "tutorial.workflow_seconds", seconds(workflow), "s"
        report = Path(folder) / "workflow" / "results" / study.name / "report" / "index.html"
        assert report.is_file(), f"the workflow has made no report {report}"
