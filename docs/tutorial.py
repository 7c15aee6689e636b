"""The tutorial: from a study file to its posterior, in one Python process and without files.

Run as ``python docs/tutorial.py [STUDY]``; docs/tutorial.md explains it.
"""

import sys
from pathlib import Path

import numpy as np

from skymix.domains.gamma.grids import true_grid
from skymix.domains.gamma.observe import marginalise_components, simulate_observation
from skymix.domains.gamma.response import tabulate_response
from skymix.mixture import LeafTable, ParameterAxis, TabulatedMixture, Tree, prior_from_mapping
from skymix.pipeline import parameter_priors
from skymix.sampling import NestedRun, sample_nested
from skymix.store import Marginals
from skymix.study import Study, load_study
from skymix.study.load import data_folder


def leaf_table(marginals: Marginals) -> LeafTable:
    """Densities of a component at the data, and the grid of its parameters."""
    values = np.split(marginals.node_values, np.cumsum(marginals.nodes)[:-1])
    axes = zip(marginals.parameters, values, marginals.spacings, strict=False)
    return LeafTable(
        marginals.component, marginals.density, tuple(ParameterAxis(*axis) for axis in axes)
    )


def likelihood(study: Study) -> TabulatedMixture:
    """Simulate the study's only observation and marginalise every component at its events."""
    (run,) = study.observations
    data = data_folder(study)
    energies = true_grid(study.grids, study.region).energy
    response, _ = tabulate_response(study.observations[run].response, energies, data)
    events = simulate_observation(study, run, response, data, seed=1)
    marginals = list(marginalise_components(study, run, study.components, events, response, data))
    return TabulatedMixture(
        Tree.from_mapping(study.tree.model_dump(mode="json")),
        [leaf_table(m) for m in marginals],
        marginals[0].multiplicity,
        {name: prior_from_mapping(p) for name, p in parameter_priors(study).items()},
    )


def fit(study: Study) -> NestedRun:
    """Sample the posterior."""
    return sample_nested(
        likelihood(study), live_points=500, dlogz=0.8, bound="single", sample="auto", seed=1
    )


def main(study: str = "config/studies/tutorial.yaml") -> None:
    """Print the evidence, and mean and standard deviation of each parameter."""
    run = fit(load_study(Path(study)))
    print(f"ln Z = {run.log_evidence:.2f} +- {run.log_evidence_error:.2f}")
    weight = np.exp(run.log_weight)
    for name, values in zip(run.names, run.samples.T, strict=True):
        mean = weight @ values
        print(f"{name}: {mean:.3f} +- {np.sqrt(weight @ (values - mean) ** 2):.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
