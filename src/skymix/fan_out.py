"""Events and marginals of several observations in one process: what a bundle of the workflow does.

A start of Python and its libraries takes longer than the work on a small observation. What is there
already, made with these settings, from these files, by this version, is kept: so a bundle that was
interrupted goes on, and one that gains an observation makes that one only.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    for name in observations:
        for product in _products(study, name):
            if not _is_valid(product):
                product.make()
                made += 1
            sums[str(product.path.relative_to(root))] = file_sha256(product.path)
    write_image(output, json.dumps(sums, indent=1).encode())
    return made


@dataclass(frozen=True)
class _Product:
    """A file that a stage makes: its class, the settings and files that shape it, the stage."""

    path: Path
    kind: Any
    settings: Mapping[str, Any]
    inputs: Sequence[Path]
    make: Callable[[], object]


def _products(study: Study, name: str) -> Iterator[_Product]:
    """Products of an observation, in the order in which they need each other."""
    root = results_folder(study)
    response = root / "response" / f"{response_key(study, name)}.h5"
    events = root / "events" / f"{name}.h5"
    irf, recorded = response_file(study, name), event_files(study, name)
    yield _Product(
        response,
        Response,
        stage_settings(study, "response", observation=name),
        [irf] if irf else [],
        lambda: pipeline.tabulate_response(study, name, response),
    )
    tables = component_tables(study, *study.components)
    yield _Product(
        events,
        Events,
        stage_settings(study, "events", observation=name),
        recorded or [response, *tables],
        (lambda: pipeline.read_events(study, name, events))
        if recorded
        else (lambda: pipeline.simulate_events(study, name, response, events)),
    )
    for component in study.tree.leaves():
        yield _marginals(study, name, component, events, response)


def _marginals(study: Study, name: str, component: str, events: Path, response: Path) -> _Product:
    path = results_folder(study) / "marginals" / name / f"{component}.h5"
    return _Product(
        path,
        Marginals,
        stage_settings(study, "marginals", observation=name, component=component),
        [events, response, *component_tables(study, component)],
        lambda: pipeline.marginalise_nuisance(study, name, component, events, response, path),
    )


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
