"""A small simulated survey: a table of observations, and a study that reads it."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from skymix.study.default import DEFAULT_STUDY

COMPONENTS = ("dark_matter", "cosmic_rays", "central_source")


def survey(name: str = "survey") -> dict[str, Any]:
    """Few coarse cells around the Galactic Centre, three components, observations in survey.csv."""
    raw = copy.deepcopy(DEFAULT_STUDY)
    raw |= {"name": name, "sampler": {"live_points": 50, "dlogz": 0.5}}
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
        "counts": {"dark_matter": 40, "cosmic_rays": 60, "central_source": 30},
        "parameters": {"dark_matter.mass": "1.5 TeV"},
    }
    common = {"events": events, "response": {"kind": "parametric"}}
    raw["observation_table"] = {"path": "survey.csv", "common": common}
    return raw


def write_survey(
    folder: Path, raw: Mapping[str, Any], number: int, irf: Path | None = None
) -> Path:
    """Write study.yaml and survey.csv; every second observation has the response of `irf`."""
    columns = ["name", "events.pointing.lon [deg]", "events.pointing.lat [deg]"]
    columns += ["events.livetime [h]", "response.kind", "response.path"]
    lines = [", ".join(columns)]
    rng = np.random.default_rng(1)
    for k in range(number):
        lon, lat, hours = rng.normal(0, 0.5), rng.normal(0, 0.5), rng.uniform(0.3, 0.5)
        response = f"dl3, {irf}" if irf and k % 2 else "parametric, "
        lines.append(f"run_{k:04d}, {lon % 360:.4f}, {lat:.4f}, {hours:.4f}, {response}")
    (folder / "survey.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(dict(raw), sort_keys=False), encoding="utf-8")
    return path
