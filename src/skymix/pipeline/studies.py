"""Study files: read, checked and frozen; what the stages ask of a study."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skymix.errors import StudyError
from skymix.store.base import atomic_path
from skymix.study import Study, load_study
from skymix.study.load import any_study_from_mapping
from skymix.study.model import parameter_name
from skymix.study.parameters import Scan


def load(
    path: Path,
    observations: Sequence[str] = (),
    components: Sequence[str] = (),
    fits: Sequence[str] = (),
) -> Study:
    """Read a study and refuse observations, components and fits that it does not hold."""
    study = load_study(path)
    for kind, names, known in (
        ("observation", observations, study.observations),
        ("component", components, study.components),
        ("fit", fits, study.fitted()),
    ):
        for name in names:
            if name not in known:
                raise StudyError(
                    f"{path}: the study has no {kind} '{name}'; it has {', '.join(known)}"
                )
    return study


def freeze_study(settings: Any, output: Path) -> None:
    """Check a study and write it with all its settings, as the workflow's jobs read it."""
    # JSON is YAML that is read a hundred times faster.
    text = json.dumps(any_study_from_mapping(settings).model_dump(mode="json"), indent=1)
    with atomic_path(output) as part:
        part.write_text(text, encoding="utf-8")


def fit_of(study: Study, observations: Sequence[str]) -> str:
    """Name of the fit of these observations; their names joined if the study has no such fit."""
    wanted = set(observations)
    found = (fit for fit, names in study.fitted().items() if set(names) == wanted)
    return next(found, "+".join(sorted(wanted)))


def parameter_priors(study: Study) -> dict[str, dict[str, Any]]:
    """Prior of each scanned parameter and of each energy scale, by name."""
    priors = {
        parameter_name(component, field, scan): _prior(scan)
        for component, field, scan in study.scans()
    }
    scales = filter(None, map(study.energy_scale, study.observations))
    return priors | {name: _prior(scan) for name, scan in scales}


def _prior(scan: "Scan[float]") -> dict[str, Any]:
    lower, upper = scan.prior_bounds()
    if scan.prior is None:
        kind = "log_uniform" if scan.spacing == "log" else "uniform"
        return {"kind": kind, "lower": lower, "upper": upper}
    shape = {name: getattr(scan.prior, name) for name in ("mean", "sd", "median", "dex")}
    return {
        "kind": scan.prior.kind,
        "lower": lower,
        "upper": upper,
        **{name: value for name, value in shape.items() if value is not None},
    }
