"""Products that a stage reads, each checked to be of this study and of what it says it is."""

from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from skymix.errors import DataError
from skymix.store import (
    Events,
    Marginals,
    Response,
    file_sha256,
    read_posterior,
    read_product,
)
from skymix.store.lineage import require_inputs, require_settings
from skymix.study import Study
from skymix.study.stages import stage_settings

if TYPE_CHECKING:
    import xarray as xr


def inputs_of(*paths: Path) -> dict[str, str]:
    """Checksum of each file, by its name; with its folder's where several have one name."""
    names = Counter(path.name for path in paths)
    return {
        path.name if names[path.name] == 1 else f"{path.parent.name}/{path.name}": file_sha256(path)
        for path in paths
    }


def events_of(study: Study, observation: str, path: Path) -> Events:
    """Events of an observation, made with the settings of this study."""
    events = read_product(path, Events)
    if events.observation != observation:
        raise DataError(
            f"{path}: holds the events of '{events.observation}', not of '{observation}'; give"
            " the event file of the observation"
        )
    # Simulated events may be fitted with other components than those that made them.
    settings = stage_settings(study, "events", observation=observation)
    settings.pop("components", None)
    require_settings(path, settings)
    return events


def marginals_of(path: Path, observation: str, component: str) -> Marginals:
    """Marginals of a component in an observation."""
    found = read_product(path, Marginals)
    if (found.observation, found.component) != (observation, component):
        raise DataError(
            f"{path}: holds the marginals of '{found.component}' in '{found.observation}', not of"
            f" '{component}' in '{observation}'; delete it and run again"
        )
    return found


def response_of(study: Study, observation: str, path: Path) -> Response:
    """Response of an observation, made with the settings of this study."""
    response = _read_response(path, path.stat().st_mtime_ns if path.exists() else 0)
    require_settings(path, stage_settings(study, "response", observation=observation))
    return response


@lru_cache(maxsize=2)
def _read_response(path: Path, _modified: int) -> Response:
    """A response; kept while its file stays the same, as a calibration reads it again and again."""
    return read_product(path, Response)


def posterior_of(study: Study, folder: Path) -> "xr.DataTree":
    """Posterior of a fit's folder, made with the settings of this study."""
    posterior, likelihood = folder / "posterior.nc", folder / "likelihood.h5"
    tree = read_posterior(posterior)
    require_settings(posterior, stage_settings(study, "posterior"))
    require_settings(likelihood, stage_settings(study, "likelihood"))
    require_inputs(posterior, likelihood)
    return tree
