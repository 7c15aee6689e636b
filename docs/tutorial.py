"""The tutorial: from a study file to its posterior, in one Python process.

Run as ``python docs/tutorial.py [STUDY] [FOLDER]``; docs/tutorial.md explains it.
"""

import sys
from pathlib import Path

import xarray as xr

from skymix import pipeline
from skymix.store import read_posterior
from skymix.study import Study


def analyse(study: Study, folder: Path) -> xr.DataTree:
    """Simulate the study's only observation, fit it, and return the posterior."""
    (run,) = study.observations
    response, events = folder / "response.h5", folder / "events" / f"{run}.h5"
    marginals, likelihood = folder / "marginals" / run, folder / "likelihood.h5"
    posterior = folder / "posterior.nc"

    pipeline.tabulate_response(study, run, response)
    pipeline.simulate_events(study, run, response, events)
    for component in study.components:
        output = marginals / f"{component}.h5"
        pipeline.marginalise_nuisance(study, run, component, events, response, output)
    pipeline.gather_marginals(study, run, events, marginals, likelihood)
    pipeline.sample_posterior(study, likelihood, posterior)
    return read_posterior(posterior)


def main(study: str = "config/studies/tutorial.yaml", folder: str = "results/tutorial_py") -> None:
    """Print the evidence, and mean and standard deviation of each parameter."""
    tree = analyse(pipeline.load(Path(study)), Path(folder))
    print(f"ln Z = {tree.attrs['logz']:.2f} +- {tree.attrs['logzerr']:.2f}")
    for name, draws in tree["posterior"].data_vars.items():
        print(f"{name}: {float(draws.mean()):.3f} +- {float(draws.std()):.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
