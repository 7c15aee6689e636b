"""Cost against the number of events, 1e3 to 1e8: where it stops growing.

The default study with its counts scaled, drawn as counts in cells, marginalised binned: once every
cell holds events the data grow no more. Each number of events has a process of its own, so that
the peak of its memory (that of the imports included) is its own.
"""

import resource
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench_tutorial import tutorial
from benchmarks.timing import median_seconds, seconds
from skymix.axes import FloatArray
from skymix.domains.gamma.grids import true_grid
from skymix.domains.gamma.observe import marginalise_components, simulate_observation
from skymix.domains.gamma.response import tabulate_response
from skymix.mixture import TabulatedMixture, Tree, prior_from_mapping
from skymix.pipeline import parameter_priors
from skymix.store import Events, Marginals, Response
from skymix.study import Study, study_from_mapping
from skymix.study.default import DEFAULT_STUDY

NOWHERE = Path()
POWERS = range(3, 9)
BATCH = 512


def study_of(number: float, form: str) -> Study:
    """The default study with `number` events."""
    settings: dict[str, Any] = dict(DEFAULT_STUDY)
    ((name, observation),) = settings["observations"].items()
    drawn = dict(observation["events"])
    total = sum(drawn["counts"].values())
    drawn["counts"] = {leaf: n * number / total for leaf, n in drawn["counts"].items()}
    settings["observations"] = {name: observation | {"events": drawn | {"form": form}}}
    return study_from_mapping(settings)


def response_of(study: Study) -> Response:
    """Response of the study's only observation."""
    (observation,) = study.observations.values()
    energies = true_grid(study.grids, study.region).energy
    return tabulate_response(observation.response, energies, NOWHERE)[0]


def simulated(study: Study, response: Response) -> Events:
    """Events of the study's only observation."""
    (run,) = study.observations
    return simulate_observation(study, run, response, NOWHERE, seed=1)


def marginalised(study: Study, events: Events, response: Response) -> list[Marginals]:
    """Marginals of every component."""
    (run,) = study.observations
    return list(marginalise_components(study, run, study.components, events, response, NOWHERE))


def mixture_of(study: Study, marginals: list[Marginals]) -> TabulatedMixture:
    """The likelihood of the marginals."""
    return TabulatedMixture(
        Tree.from_mapping(study.tree.model_dump(mode="json")),
        [tutorial().leaf_table(m) for m in marginals],
        marginals[0].multiplicity,
        {name: prior_from_mapping(p) for name, p in parameter_priors(study).items()},
    )


def peak_memory() -> float:
    """Largest memory that this process has held, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(power: int) -> list[tuple[str, float, str]]:
    """Figures of 10^power events; meant for a process of its own."""
    # Compiled code is loaded by a small case, which needs less memory than any other.
    small = study_of(100, "counts")
    response = response_of(small)
    marginalised(small, simulated(small, response), response)
    study = study_of(10**power, "counts")
    drawing = seconds(partial(simulated, study, response))
    events = simulated(study, response)
    found: list[Marginals] = []
    marginalising = seconds(lambda: found.extend(marginalised(study, events, response)))
    memory = peak_memory()
    mixture = mixture_of(study, found)
    theta = points(mixture)
    single = median_seconds(partial(mixture.log_likelihood, theta[:1]), 21)
    batch = median_seconds(partial(mixture.log_likelihood, theta), 5) / BATCH
    name = f"n1e{power}"
    return [
        (f"scale.cells_{name}", float(found[0].multiplicity.size), ""),
        (f"scale.simulate_seconds_{name}", drawing, "s"),
        (f"scale.marginalise_seconds_{name}", marginalising, "s"),
        (f"scale.peak_memory_mb_{name}", memory, "MB"),
        (f"scale.likelihood_microseconds_{name}", 1e6 * single, "us"),
        (f"scale.batched_microseconds_{name}", 1e6 * batch, "us"),
    ]


def points(mixture: TabulatedMixture) -> FloatArray:
    """Random points of the prior."""
    u = np.random.default_rng(0).random((BATCH, mixture.ndim))
    return mixture.prior_transform(u)


def one_by_one(power: int) -> list[tuple[str, float, str]]:
    """Time and memory of the simulation of single events; meant for a process of its own."""
    study = study_of(10**power, "events")
    response = response_of(study)
    drawing = seconds(partial(simulated, study, response))
    return [
        (f"scale.simulate_events_seconds_n1e{power}", drawing, "s"),
        (f"scale.simulate_events_memory_mb_n1e{power}", peak_memory(), "MB"),
    ]


def run() -> Iterator[tuple[str, float, str]]:
    """Figures of each number of events; single events up to 1e7."""
    alone = partial(ProcessPoolExecutor, 1, mp_context=get_context("spawn"), max_tasks_per_child=1)
    with alone() as processes:
        for figures in processes.map(measured, POWERS):
            yield from figures
        for figures in processes.map(one_by_one, (5, 6, 7)):
            yield from figures
