"""Surveys of many tiny observations, and runs of the workflow on them."""

import copy
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import yaml

from skymix.study.default import DEFAULT_STUDY

ROOT = Path(__file__).resolve().parents[1]


def write_survey(folder: Path, number: int) -> None:
    """A study of simulated observations on few cells, its observations as a table."""
    raw = copy.deepcopy(DEFAULT_STUDY)
    raw["name"] = "survey"
    raw["sampler"] = {"live_points": 100, "dlogz": 0.5}
    raw["region"] |= {"width": "4 deg", "height": "4 deg"}
    raw["grids"] |= {"pixel": "0.5 deg", "subdivision": 1, "margin": "0.5 deg"}
    raw["grids"]["energy"]["per_decade"] = 3
    raw["grids"]["true_energy"]["per_decade"] = 6
    raw["components"]["dark_matter"]["mass"]["nodes"] = 5
    del raw["components"]["diffuse"], raw["tree"]["children"]["background"]["children"]["diffuse"]
    del raw["observations"]
    events = {
        "kind": "simulated",
        "pointing": {"frame": "galactic"},
        "counts": {"dark_matter": 20, "cosmic_rays": 30, "central_source": 10},
        "parameters": {"dark_matter.mass": "1.5 TeV"},
    }
    common = {"events": events, "response": {"kind": "parametric"}}
    raw["observation_table"] = {"path": "survey.csv", "common": common}
    (folder / "study.yaml").write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    rng = np.random.default_rng(1)
    columns = ["name", "events.pointing.lon [deg]", "events.pointing.lat [deg]"]
    lines = [", ".join([*columns, "events.livetime [h]"])]
    for k in range(number):
        lon, lat, hours = rng.normal(0, 0.5) % 360, rng.normal(0, 0.5), rng.uniform(0.3, 0.5)
        lines.append(f"run_{k:05d}, {lon:.4f}, {lat:.4f}, {hours:.4f}")
    (folder / "survey.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def run_workflow(folder: Path, *arguments: str) -> tuple[float, float, str]:
    """Wall seconds, peak memory of snakemake itself in MB, and what it said."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--configfile", str(folder / "study.yaml")]
    log = folder / "run.log"
    start = perf_counter()
    with open(log, "w", encoding="utf-8") as file:
        run = subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=file, stderr=file)
        _, status, usage = os.wait4(run.pid, 0)
    seconds = perf_counter() - start
    run.returncode = os.waitstatus_to_exitcode(status)
    text = log.read_text(encoding="utf-8")
    if run.returncode != 0:
        raise RuntimeError(text[-2000:])
    return seconds, usage.ru_maxrss / 1024, text
