"""Nested sampling: the batched pool against stock dynesty and against GammaBayes.

Two problems: the default study's likelihood, and GammaBayes' own tutorial tables with the number
of live points and the stopping rule of its tutorial. The baseline is dynesty with scalar functions
of the same mixture and no pool.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from dynesty import NestedSampler
from tests import gammabayes

from skymix import pipeline
from skymix.mixture import TabulatedMixture
from skymix.sampling import NestedRun, sample_laplace, sample_nested
from skymix.store import LikelihoodTables, read_product
from skymix.store.tables import mixture_of
from skymix.study import study_from_mapping
from skymix.study.default import DEFAULT_STUDY

LIVE_POINTS, DLOGZ = 500, 0.8
SEEDS = range(10)
LAPLACE_DRAWS = 20_000
REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "facts" / "gammabayes" / "reference.h5"


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


def batched(mixture: TabulatedMixture, seed: int) -> NestedRun:
    """One run as the workflow does it."""
    return sample_nested(mixture, LIVE_POINTS, DLOGZ, "single", "auto", seed)


def stock(mixture: TabulatedMixture, seed: int) -> tuple[float, float]:
    """Seconds and log evidence of dynesty with scalar functions and no pool."""
    start = perf_counter()
    sampler = NestedSampler(
        lambda x: float(mixture.log_likelihood(x[None])[0]),
        lambda u: mixture.prior_transform(u[None])[0],
        mixture.ndim,
        nlive=LIVE_POINTS,
        bound="single",
        rstate=np.random.default_rng(seed),
    )
    sampler.run_nested(dlogz=DLOGZ, print_progress=False)
    return perf_counter() - start, float(sampler.results.logz[-1])


def compared(mixture: TabulatedMixture, name: str) -> Iterator[tuple[str, float, str]]:
    """Time and evidence over the seeds, and the time of stock dynesty over ours, interleaved."""
    sample_nested(mixture, 50, 5.0, "single", "auto", 0)
    runs, ratios, other = [], [], []
    for seed in SEEDS:
        runs.append(batched(mixture, seed))
        if seed % 3 == 0:
            taken, evidence = stock(mixture, seed)
            ratios.append(taken / runs[-1].seconds)
            other.append(evidence)
    evidences = np.array([run.log_evidence for run in runs])
    yield f"{name}.seconds", median(run.seconds for run in runs), "s"
    yield f"{name}.logz", float(evidences.mean()), ""
    yield f"{name}.logz_scatter", float(evidences.std(ddof=1)), ""
    yield f"{name}.logz_error", float(np.mean([run.log_evidence_error for run in runs])), ""
    yield f"{name}.calls", float(np.mean([run.n_calls for run in runs])), ""
    yield f"{name}.stock_ratio", median(ratios), ""
    yield f"{name}.stock_logz", float(np.mean(other)), ""


def laplace(mixture: TabulatedMixture, name: str) -> Iterator[tuple[str, float, str]]:
    """Time and evidence of importance sampling from Laplace fits."""
    runs = [sample_laplace(mixture, LAPLACE_DRAWS, seed) for seed in (0, *SEEDS)][1:]
    evidences = np.array([run.log_evidence for run in runs])
    yield f"{name}.laplace_seconds", median(run.seconds for run in runs), "s"
    yield f"{name}.laplace_logz", float(evidences.mean()), ""
    yield f"{name}.laplace_logz_scatter", float(evidences.std(ddof=1)), ""


def run() -> Iterator[tuple[str, float, str]]:
    """Figures of the sampler: on GammaBayes' tables, then on the default study."""
    if REFERENCE.is_file():
        arrays = gammabayes.read_reference(REFERENCE)
        mixture = gammabayes.mixture_of(arrays, gammabayes.marginals_of(arrays))
        figures = list(compared(mixture, "sample"))
        yield from figures
        yield "sample.ratio_gammabayes", gammabayes.SECONDS / figures[0][1], ""
        yield "sample.logz_bias", figures[1][1] - gammabayes.LOG_EVIDENCE, ""
        yield from laplace(mixture, "sample")
    else:
        sys.stderr.write(
            f"GammaBayes' tables are not sampled: {REFERENCE} is missing; put the folder `shared`"
            " beside the repository.\n"
        )
    mixture = default_mixture()
    yield from compared(mixture, "sample.default")
    yield from laplace(mixture, "sample.default")
