"""Nested sampling of the default study's likelihood: batched pool against one point at a time."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from dynesty import NestedSampler

from skymix import pipeline
from skymix.mixture import TabulatedMixture
from skymix.sampling import sample_nested
from skymix.store import LikelihoodTables, read_product
from skymix.store.tables import mixture_of
from skymix.study import study_from_mapping
from skymix.study.default import DEFAULT_STUDY

LIVE_POINTS, DLOGZ = 500, 0.5


def default_mixture() -> TabulatedMixture:
    """Likelihood of the default study, through all stages before the sampler."""
    study = study_from_mapping(DEFAULT_STUDY)
    (name,) = study.observations
    with TemporaryDirectory() as folder:
        root = Path(folder)
        response, likelihood, events = root / "r.h5", root / "l.h5", root / "e" / f"{name}.h5"
        pipeline.tabulate_response(study, name, response)
        pipeline.simulate_events(study, name, response, events)
        for component in study.components:
            output = root / "m" / name / f"{component}.h5"
            pipeline.marginalise_nuisance(study, name, component, events, response, output)
        pipeline.gather_marginals(study, name, root / "e", root / "m", likelihood)
        return mixture_of(read_product(likelihood, LikelihoodTables))


def one_at_a_time(mixture: TabulatedMixture, seed: int) -> float:
    """Log evidence by dynesty with scalar functions and no pool."""
    sampler = NestedSampler(
        lambda x: float(mixture.log_likelihood(x[None])[0]),
        lambda u: mixture.prior_transform(u[None])[0],
        mixture.ndim,
        nlive=LIVE_POINTS,
        bound="single",
        rstate=np.random.default_rng(seed),
    )
    sampler.run_nested(dlogz=DLOGZ, print_progress=False)
    return float(sampler.results.logz[-1])


def run() -> Iterator[tuple[str, float, str]]:
    """Figures of the sampler."""
    mixture = default_mixture()
    sample_nested(mixture, 50, 5.0, "single", "auto", 0)
    times, evidences = [], []
    for seed in range(5):
        nested = sample_nested(mixture, LIVE_POINTS, DLOGZ, "single", "auto", seed)
        evidences.append(nested.log_evidence)
        times.append(nested.seconds)
    start = perf_counter()
    scalar = one_at_a_time(mixture, 0)
    alone = perf_counter() - start
    yield "sample.seconds", median(times), "s"
    yield "sample.logz", float(np.mean(evidences)), ""
    yield "sample.logz_scatter", float(np.std(evidences, ddof=1)), ""
    yield "sample.scalar_ratio", alone / median(times), ""
    yield "sample.scalar_logz_difference", scalar - float(np.mean(evidences)), ""
