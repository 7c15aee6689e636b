"""Events and marginals of several observations in one process: what a bundle of the workflow does.

A start of Python and its libraries takes longer than the work on a small observation. What is there
already, made with these settings, from these files, by this version, is kept: so a bundle that was
interrupted goes on, and one that gains an observation makes that one only. A response that other
jobs use, too, is theirs: made anew here, it would outdate what they have made from it.
"""

import json
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import skymix
from skymix import pipeline
from skymix.errors import DataError
from skymix.store import Events, Marginals, Response, file_sha256, read_product, read_provenance
from skymix.store.base import write_image
from skymix.study import Study
from skymix.study.files import component_tables, event_files, response_file
from skymix.study.stages import response_key, results_folder, stage_settings


def marginalise_bundle(study: Study, observations: Sequence[str], output: Path) -> int:
    """Make the events and marginals of some observations that are not there yet.

    They go to the study's results folder, to where a job for each would have put them; the output
    is a JSON file of their checksums, by path within that folder.

    Returns
    -------
    number of files that had to be made
    """
    root, made = results_folder(study), 0
    sums: dict[str, str] = {}
    others = set(study.observations) - set(observations)
    shared = {response_key(study, name) for name in others}
    for name in observations:
        products = list(_before(study, name, shared))
        for product in products:
            left = product.shared and product.path.exists()
            if not left and not _is_valid(product):
                product.make()
                made += 1
        marginals = _marginals(study, name)
        missing = {c: product.path for c, product in marginals.items() if not _is_valid(product)}
        if missing:
            response, events = (product.path for product in products)
            pipeline.marginalise_together(study, name, events, response, missing)
            made += len(missing)
        for path in [p.path for p in (*products, *marginals.values())]:
            sums[str(path.relative_to(root))] = file_sha256(path)
    write_image(output, json.dumps(sums, indent=1).encode())
    return made


@dataclass(frozen=True)
class _Product:
    """A file that a stage makes: its class, and the settings and files that shape it."""

    path: Path
    kind: Any
    settings: Mapping[str, Any]
    inputs: Sequence[Path]


@dataclass(frozen=True)
class _Made(_Product):
    """A product with the stage that makes it; `shared` is one that other jobs use, too."""

    make: Callable[[], object]
    shared: bool = False


def _before(study: Study, name: str, shared: Container[str]) -> tuple[_Made, _Made]:
    """Response and events of an observation, and whether the response is a shared one."""
    response, events = _paths(study, name)
    irf, recorded = response_file(study, name), event_files(study, name)
    tables = component_tables(study, *study.components)
    return (
        _Made(
            response,
            Response,
            stage_settings(study, "response", observation=name),
            [irf] if irf else [],
            lambda: pipeline.tabulate_response(study, name, response),
            response_key(study, name) in shared,
        ),
        _Made(
            events,
            Events,
            stage_settings(study, "events", observation=name),
            recorded or [response, *tables],
            (lambda: pipeline.read_events(study, name, events))
            if recorded
            else (lambda: pipeline.simulate_events(study, name, response, events)),
        ),
    )


def _marginals(study: Study, name: str) -> dict[str, _Product]:
    """Marginals of an observation by component."""
    response, events = _paths(study, name)
    folder = results_folder(study) / "marginals" / name
    return {
        component: _Product(
            folder / f"{component}.h5",
            Marginals,
            stage_settings(study, "marginals", observation=name, component=component),
            [events, response, *component_tables(study, component)],
        )
        for component in study.tree.leaves()
    }


def _paths(study: Study, name: str) -> tuple[Path, Path]:
    """Files of the response and the events of an observation."""
    root = results_folder(study)
    key = response_key(study, name)
    return root / "response" / f"{key}.h5", root / "events" / f"{name}.h5"


def _is_valid(product: _Product) -> bool:
    """Whether a product is there, whole, and what its settings, files and this version make."""
    try:
        made = read_provenance(product.path)
        read_product(product.path, product.kind)
    except DataError:
        return False
    return bool(
        made["study"] == json.loads(json.dumps(product.settings))
        and made["inputs"] == {path.name: file_sha256(path) for path in product.inputs}
        and made["skymix_version"] == skymix.__version__
        and made["git_commit"] == skymix.git_commit()
    )
