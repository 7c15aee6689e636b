"""The stages of an analysis: each reads products, calls the library and writes one product."""

from skymix.pipeline.inputs import inputs_of
from skymix.pipeline.likelihood import gather_marginals
from skymix.pipeline.observations import (
    join_marginals,
    marginalise_nuisance,
    marginalise_together,
    read_events,
    simulate_events,
    tabulate_response,
)
from skymix.pipeline.posterior import draw_posterior, merge_runs, sample_posterior
from skymix.pipeline.results import make_report, predict_posterior, summary
from skymix.pipeline.studies import fit_of, freeze_study, load, parameter_priors

__all__ = [
    "draw_posterior",
    "fit_of",
    "freeze_study",
    "gather_marginals",
    "inputs_of",
    "join_marginals",
    "load",
    "make_report",
    "marginalise_nuisance",
    "marginalise_together",
    "merge_runs",
    "parameter_priors",
    "predict_posterior",
    "read_events",
    "sample_posterior",
    "simulate_events",
    "summary",
    "tabulate_response",
]
