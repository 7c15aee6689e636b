"""A small study with made-up products whose truth is known, for the tests of the report."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from scipy import special

from skymix.axes import EnergyAxis, SkyGrid
from skymix.report import Fit, ReportInput
from skymix.store import Diagnostics, Events, LikelihoodTables
from skymix.study import Study, study_from_mapping

LEAVES = ("cosmic_rays", "dark_matter", "sources", "diffuse")
TRUE_WEIGHTS = np.array([0.5, 0.2, 0.12, 0.18])
FRACTIONS = {
    "fraction.cosmic_rays": 0.5, "fraction.gamma": 0.5, "fraction.dark_matter": 0.4,
    "fraction.astrophysical": 0.6, "fraction.sources": 0.4, "fraction.diffuse": 0.6,
}  # fmt: skip
PARAMETERS = {"dark_matter.mass": 3.0, "sources.index": 2.3, "diffuse.index": 2.7}
UNITS = {"dark_matter.mass": "TeV"}
ENERGY = EnergyAxis.logarithmic(0.2, 20, 6)
SKY = SkyGrid.centred(6.0, 6.0, 0.2)
VERSIONS = {"Python": "3.11.4", "numpy": "2.4.6", "skymix": "0.1.0"}


def study(observations: tuple[str, ...] = ("gc",), **changes: Any) -> Study:
    """Study of the Galactic Centre with four components; `changes` replace top-level keys."""
    events = {
        "kind": "simulated",
        "pointing": {"frame": "galactic", "lon": "0 deg", "lat": "1 deg"},
        "livetime": "5 h",
        "parameters": {"dark_matter.mass": "3 TeV", "sources.index": 2.3, "diffuse.index": 2.7},
    }
    index = {"min": 1.5, "max": 3.5, "nodes": 11}
    raw = {
        "name": "synthetic",
        "description": "Made-up products that exercise every part of the report.",
        "seed": 4,
        "region": {
            "centre": {"frame": "galactic", "lon": "0 deg", "lat": "0 deg"},
            "width": "6 deg",
            "height": "6 deg",
        },
        "grids": {
            "energy": {"min": "0.2 TeV", "max": "20 TeV", "per_decade": 6},
            "true_energy": {"min": "0.1 TeV", "max": "50 TeV", "per_decade": 12},
            "pixel": "0.2 deg",
        },
        "observations": {
            name: {"events": events, "response": {"kind": "parametric"}} for name in observations
        },
        "components": {
            "cosmic_rays": {"kind": "cosmic_rays"},
            "dark_matter": {
                "kind": "dark_matter",
                "profile": {"kind": "einasto"},
                "spectrum": {"kind": "closed_form", "channels": {"W": 1.0}},
                "mass": {"min": "0.3 TeV", "max": "100 TeV", "nodes": 21, "spacing": "log"},
            },
            "sources": {
                "kind": "point_source",
                "position": {"frame": "galactic", "lon": "0.9 deg", "lat": "0.1 deg"},
                "spectrum": {"kind": "power_law", "index": index},
            },
            "diffuse": {"kind": "galactic_ridge", "index": index},
        },
        "tree": {
            "prior": {"beta": [1, 1]},
            "children": {
                "cosmic_rays": None,
                "gamma": {
                    "prior": {"dirichlet": [1, 1]},
                    "children": {
                        "dark_matter": None,
                        "astrophysical": {"children": {"sources": None, "diffuse": None}},
                    },
                },
            },
        },
    }
    return study_from_mapping(raw | changes)


def report_input(
    observations: tuple[str, ...] = ("gc",), simulated: bool = True, **changes: Any
) -> ReportInput:
    """Input of a report with one fit an observation; `changes` go to the study."""
    fits = tuple(fit(name, seed, simulated) for seed, name in enumerate(observations))
    return ReportInput(study(observations, **changes), fits, VERSIONS)


def fit(name: str, seed: int = 0, simulated: bool = True, n: int = 600, **errors: float) -> Fit:
    """One fit; `errors` replace truncation_error, binning_error or interpolation_error."""
    rng = np.random.default_rng(seed)
    densities = _densities()
    true_leaf = rng.choice(len(LEAVES), n, p=TRUE_WEIGHTS)
    cells = np.array([rng.choice(densities[k].size, p=densities[k].ravel()) for k in true_leaf])
    e, i, j = np.unravel_index(cells, densities[0].shape)
    events = _events(name, rng, true_leaf, (e, i, j), simulated)
    p = TRUE_WEIGHTS[:, None] * np.array([d.ravel()[cells] for d in densities])
    membership = (p / p.sum(axis=0)).T
    diagnostics = Diagnostics(
        leaves=LEAVES,
        observations=(name,),
        membership=membership,
        membership_sd=0.15 * np.sqrt(membership * (1 - membership)),
        event_id=events.event_id,
        event_multiplicity=events.multiplicity,
        event_observation=np.zeros(n, np.int64),
        event_energy=events.energy,
        event_lon=events.lon,
        event_lat=events.lat,
        observation_space=np.zeros(1, np.int64),
        space_cells=np.array([ENERGY.size]),
        space_mapped=np.ones(1, np.int64),
        energy_edges=ENERGY.edges,
        lon_edges=SKY.lon_edges,
        lat_edges=SKY.lat_edges,
        **_predictions(n, densities, (e, i, j)),
        insertion_rank=rng.integers(0, 401, 6400),
        insertion_p_value=0.43,
        live_points=400,
    )
    products = {
        f"events/{name}.h5": _attributes("events", 11 + seed),
        f"fits/{name}/likelihood.h5": _attributes("likelihood", -1)
        | {"inputs": {f"{name}.h5": "ab" * 32}},
        f"fits/{name}/posterior.nc": _attributes("posterior", 77),
    }
    posterior, likelihood = _posterior(rng, simulated), _likelihood(name, errors)
    return Fit(name, posterior, diagnostics, likelihood, (events,), products)


def _densities() -> list[np.ndarray]:
    """Probability of each reconstructed cell for each leaf, (energy, lat, lon) each."""
    lon, lat = SKY.mesh()
    energy = ENERGY.centres
    r = np.hypot(lon, lat)
    skies = [
        np.exp(-0.5 * np.hypot(lon, lat - 1) ** 2 / 3.0**2),
        np.exp(-0.5 * (r / 0.7) ** 1.2),
        np.exp(-0.5 * (np.hypot(lon - 0.9, lat - 0.1) / 0.12) ** 2),
        np.exp(-0.5 * (lon / 1.2) ** 2 - 0.5 * (lat / 0.3) ** 2),
    ]
    spectra = [energy**-2.2, energy**-0.9 * np.exp(-energy / 1.2), energy**-1.1, energy**-1.5]
    found = [s[:, None, None] * sky for s, sky in zip(spectra, skies, strict=True)]
    return [f / f.sum() for f in found]


def _events(name, rng, true_leaf, cells, simulated) -> Events:
    e, i, j = cells
    n = true_leaf.size
    u = rng.random((3, n))
    energy = ENERGY.edges[e] * (ENERGY.edges[e + 1] / ENERGY.edges[e]) ** u[0]
    lon = SKY.lon_edges[j] + u[1] * np.diff(SKY.lon_edges)[j]
    lat = SKY.lat_edges[i] + u[2] * np.diff(SKY.lat_edges)[i]
    nan = np.full(n, np.nan)
    return Events(
        event_id=np.arange(1, n + 1),
        multiplicity=np.ones(n, dtype=np.int64),
        energy=energy,
        lon=lon,
        lat=lat,
        # Counted in another order than the leaves', as the study's components may be.
        true_component=(len(LEAVES) - 1 - true_leaf) if simulated else np.full(n, -1),
        true_energy=energy if simulated else nan,
        true_lon=lon if simulated else nan,
        true_lat=lat if simulated else nan,
        observation=name,
        pointing_lon=0.0,
        pointing_lat=1.0,
        livetime=18000.0,
        ontime=18000.0,
        cuts=json.dumps({"read": n + 31, "energy": 12, "region": 19}),
        components=LEAVES[::-1] if simulated else (),
        expected_counts=n * TRUE_WEIGHTS[::-1] if simulated else np.empty(0),
        truth=json.dumps(PARAMETERS) if simulated else "{}",
    )


def _predictions(n, densities, cells) -> dict[str, np.ndarray]:
    e, i, j = cells
    predicted = n * TRUE_WEIGHTS[:, None, None, None] * np.array(densities)
    spectrum = predicted.sum(axis=(2, 3))
    total = spectrum.sum(axis=0)
    counts_map = np.zeros(SKY.shape)
    np.add.at(counts_map, (i, j), 1.0)
    return {
        "counts_map": counts_map,
        "counts_spectrum": np.bincount(e, minlength=ENERGY.size).astype(float),
        "predicted_map": predicted.sum(axis=1),
        "predicted_spectrum": spectrum,
        "predicted_spectrum_band": np.array(
            [total - 0.5 * np.sqrt(total), total, total + 0.5 * np.sqrt(total)]
        ),
        "observed_counts": np.array([float(n)]),
        "predicted_counts": n * TRUE_WEIGHTS[None],
        "predicted_counts_band": np.array([[n - np.sqrt(n)], [n], [n + np.sqrt(n)]]),
    }


def _likelihood(name: str, errors: dict[str, float]) -> LikelihoodTables:
    sizes = {"truncation_error": 0.004, "binning_error": 0.003, "interpolation_error": 0.002}
    return LikelihoodTables(
        leaves=LEAVES,
        observations=(name,),
        leaf_rows=np.array([1, 2, 2, 2]),
        leaf_parameters=np.array([0, 1, 1, 1]),
        parameters=tuple(PARAMETERS),
        spacings=("log", "linear", "linear"),
        units=("TeV", "", ""),
        nodes=np.array([2, 2, 2]),
        node_values=np.array([0.3, 100.0, 1.5, 3.5, 1.5, 3.5]),
        density=np.ones((7, 3)),
        multiplicity=np.ones(3),
        dataset=np.zeros(1, np.int64),
        datum_dataset=np.zeros(3, np.int64),
        event_datum=np.zeros(3, np.int64),
        event_observation=np.zeros(3, np.int64),
        events=np.full(1, 3.0),
        expected_counts=np.ones((1, 7)),
        kind="fractions",
        rates="{}",
        tree="{}",
        priors="{}",
        truth="{}",
        **(sizes | errors),
    )


def _posterior(rng: np.random.Generator, simulated: bool, draws: int = 2000) -> xr.DataTree:
    def free() -> dict[str, np.ndarray]:
        z = rng.multivariate_normal(np.zeros(6), _correlation(), draws).T
        x = z + 0.6 * rng.normal(size=(6, 1))
        cosmic = special.expit(0.12 * x[0])
        dark = special.expit(special.logit(0.4) + 0.25 * x[1])
        sources = special.expit(special.logit(0.4) + 0.3 * x[2])
        return _variables(
            cosmic, dark, sources, 3 * np.exp(0.55 * x[3]), 2.3 + 0.11 * x[4], 2.7 + 0.2 * x[5]
        )

    def prior() -> dict[str, np.ndarray]:
        u = rng.random((6, draws))
        mass = 0.3 * (100 / 0.3) ** u[3]
        return _variables(u[0], u[1], u[2], mass, 1.5 + 2 * u[4], 1.5 + 2 * u[5])

    def dataset(values: dict[str, np.ndarray]) -> xr.Dataset:
        return xr.Dataset(
            {k: (("chain", "draw"), v[None], {"unit": UNITS.get(k, "")}) for k, v in values.items()}
        )

    posterior = dataset(free())
    groups = {"posterior": posterior, "prior": dataset(prior()), "nested": _nested(rng)}
    if simulated:
        truth = FRACTIONS | PARAMETERS
        truth |= {f"weight.{leaf}": w for leaf, w in zip(LEAVES, TRUE_WEIGHTS, strict=True)}
        groups["constant_data"] = xr.Dataset({f"truth.{k}": ((), v) for k, v in truth.items()})
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = {
        "logz": -3456.789, "logzerr": 0.142, "n_live": 400, "n_iterations": 6400, "n_calls": 61234,
        "efficiency": 7.8, "information": 8.91, "dlogz": 0.05, "seconds": 83.4, "seed": 77,
    }  # fmt: skip
    return tree


def weighted(fit: Fit) -> Fit:
    """The same fit as if importance sampling had made it."""
    nested = fit.posterior["nested"]
    draws = {k: (("point",), nested[k].values) for k in ("log_likelihood", "log_weight")}
    groups = {
        name: group.to_dataset()
        for name, group in fit.posterior.children.items()
        if name != "nested"
    }
    tree = xr.DataTree.from_dict(groups | {"weighted": xr.Dataset(draws)})
    attributes = {k: v for k, v in fit.posterior.attrs.items() if not k.startswith("n_")}
    tree.attrs = attributes | {"sampler": "laplace", "n_draws": 20_000, "n_calls": 20_892}
    none = {"insertion_rank": np.empty(0, np.int64), "insertion_p_value": np.nan, "live_points": 0}
    return replace(fit, posterior=tree, diagnostics=replace(fit.diagnostics, **none))


def chains(fit: Fit, warnings: str = "") -> Fit:
    """The same fit as if NUTS had made it."""
    bare = weighted(fit)
    groups = {
        name: group.to_dataset()
        for name, group in bare.posterior.children.items()
        if name != "weighted"
    }
    columns = {name: ("parameter", [1.0]) for name in ("rhat", "ess_bulk", "ess_tail")}
    tree = xr.DataTree.from_dict(groups | {"convergence": xr.Dataset(columns)})
    tree.attrs = {
        "sampler": "nuts", "n_chains": 4, "n_calls": 30_123, "divergences": 0, "rhat_max": 1.0031,
        "effective_size": 2345.6, "effective_size_tail": 1987.1, "seconds": 83.4, "seed": 77,
    }  # fmt: skip
    if warnings:
        tree.attrs["warnings"] = warnings
    return replace(bare, posterior=tree)


def _correlation() -> np.ndarray:
    matrix = np.eye(6)
    for i, j, rho in ((0, 1, -0.4), (1, 2, 0.5), (1, 3, -0.6), (3, 5, 0.5), (4, 2, 0.3)):
        matrix[i, j] = matrix[j, i] = rho
    return matrix


def _variables(cosmic, dark, sources, mass, index, ridge) -> dict[str, np.ndarray]:
    gamma, astro = 1 - cosmic, 1 - dark
    return {
        "fraction.cosmic_rays": cosmic,
        "fraction.gamma": gamma,
        "fraction.dark_matter": dark,
        "fraction.astrophysical": astro,
        "fraction.sources": sources,
        "fraction.diffuse": 1 - sources,
        "dark_matter.mass": mass,
        "sources.index": index,
        "diffuse.index": ridge,
        "weight.cosmic_rays": cosmic,
        "weight.dark_matter": gamma * dark,
        "weight.sources": gamma * astro * sources,
        "weight.diffuse": gamma * astro * (1 - sources),
    }


def _nested(rng: np.random.Generator) -> xr.Dataset:
    """Dead points of a six-dimensional Gaussian likelihood: ln L = best - r^2 / 2, X ~ r^6."""
    log_volume = np.append(-np.arange(1, 6401) / 400, -16 + np.log(np.arange(400, 0, -1) / 401))
    radius = 14.0 * np.exp(log_volume / 6)
    log_likelihood = -3440.0 - 0.5 * radius**2
    volume = np.exp(np.append(0.0, log_volume))
    log_weight = log_likelihood + np.log(-np.diff(volume))
    n = log_volume.size
    columns = {
        "log_likelihood": log_likelihood,
        "log_prior_volume": log_volume,
        "log_weight": log_weight - log_weight.max(),
        "insertion_rank": rng.integers(0, 401, n),
    }
    return xr.Dataset({k: (("dead_point",), v) for k, v in columns.items()})


def _attributes(schema: str, seed: int) -> dict[str, Any]:
    return {
        "schema_name": schema, "schema_version": 1, "skymix_version": "0.1.0",
        "git_commit": "0123456789abcdef", "study": {}, "seed": np.int64(seed),
        "inputs": {"irf.fits": "cd" * 32}, "created": "2026-01-02T03:04:05+00:00",
        "checksum": "ef" * 32,
    }  # fmt: skip
