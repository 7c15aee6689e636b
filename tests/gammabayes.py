"""GammaBayes' own tutorial tables, rebuilt from the arrays of `reference.h5` with its conventions.

Quadrature weights, a smeared background and events at cell centres are reproduced as they are;
`reference.h5` says what each array holds.
"""

from pathlib import Path

import h5py
import numpy as np
from astropy import units as u

from skymix.axes import separation
from skymix.domains.gamma.reference import direct_marginals, window_about
from skymix.mixture import LeafTable, ParameterAxis, TabulatedMixture, Tree, prior_from_mapping

COMPONENTS = ("CCR_BKG", "HESSCatalogueSources_Prior", "FermiGaggeroDiffusePrior")
UNITS = {"energy_true": "TeV", "offset": "deg", "migra": ""}
INTERP = {"energy_true": "log", "offset": "lin", "migra": "lin"}
LOG_EVIDENCE = -2669.026  # by quadrature; its own run has -2669.05 +- 0.27
SECONDS = 186.3  # of its own run, nlive 500 and dlogz 0.8, on one core


def read_reference(path: Path) -> dict:
    """Every array of the file, by its path in it."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.__setitem__(name, item[()]) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def axis(reference, table, name, kind="edges"):
    from gammapy.maps import MapAxis

    if kind == "center":
        nodes = reference[f"irf/tables/{table}/axis_{name}_center"]
        return MapAxis.from_nodes(nodes, name=name, unit=UNITS[name], interp=INTERP[name])
    edges = reference[f"irf/tables/{table}/axis_{name}_edges"]
    return MapAxis.from_edges(edges, name=name, unit=UNITS[name], interp=INTERP[name])


def gammapy_irfs(reference):
    from gammapy.irf import EnergyDependentMultiGaussPSF, EnergyDispersion2D

    edisp = EnergyDispersion2D(
        axes=[axis(reference, "edisp", n) for n in ("energy_true", "migra", "offset")],
        data=reference["irf/tables/edisp/data"].astype(float),
    )
    names = EnergyDependentMultiGaussPSF.required_parameters
    units = {
        "sigma_1": u.deg, "sigma_2": u.deg, "sigma_3": u.deg,
        "scale": u.Unit("sr-1"), "ampl_2": u.Unit(""), "ampl_3": u.Unit(""),
    }  # fmt: skip
    shape = reference["irf/tables/psf/scale"].shape
    data = np.zeros(shape, dtype=[(n, float) for n in names])
    for name in names:
        data[name] = reference[f"irf/tables/psf/{name}"]
    psf = EnergyDependentMultiGaussPSF(
        axes=[axis(reference, "psf", n) for n in ("energy_true", "offset")],
        data=data,
        unit={n: units[n] for n in names},
    )
    return edisp, psf


def marginals_of(reference):
    """(rows, 484) densities of the four components, by name."""
    edisp, psf = gammapy_irfs(reference)
    axes = tuple(reference[f"axes/true_{n}"] for n in ("energy", "lon", "lat"))
    log_dx = [reference[f"axes/log_dx_true_{n}"] for n in ("energy", "lon", "lat")]
    measure = np.exp(log_dx[0][:, None, None] + log_dx[1][:, None] + log_dx[2])
    data = reference["events/meas_coords"]
    windows = [window_about(axes, tuple(d), (0.5, 0.5, 0.5)) for d in data]
    lon, lat = np.meshgrid(axes[1], axes[2], indexing="ij")
    offset = separation(lon, lat, np.float64(0), np.float64(0))
    norm = reference["irf/log_irf_norm"]
    cache = {}

    def response(n, window):
        if n not in cache:
            e = axes[0][window[0]][:, None, None] * u.TeV
            off = offset[window[1:]][None] * u.deg
            rad = separation(lon[window[1:]], lat[window[1:]], data[n, 1], data[n, 2])
            energy = edisp.evaluate(energy_true=e, migra=data[n, 0] * u.TeV / e, offset=off)
            spread = psf.evaluate(energy_true=e, rad=rad[None] * u.deg, offset=off)
            value = energy.to_value("") / e.value * spread.to_value("deg-2")
            cache[n] = np.clip(value, 0, None) / np.exp(norm[window])
        return cache[n]

    rows = {}
    one = np.ones((1, axes[0].size))
    for name in COMPONENTS:
        density = np.exp(reference[f"priors/{name}/log_prior"])
        rows[name] = direct_marginals(windows, response, density, one, measure)
    exposure = reference["irf/log_exposure_true"] + reference["priors/DM/log_dJdOmega"]
    shift = exposure.max()
    spectra = np.exp(
        reference["priors/DM/log_spectrum"] - reference["priors/DM/log_norm"] + shift
    ).T
    rows["DM"] = direct_marginals(windows, response, np.exp(exposure - shift), spectra, measure)
    return rows


def mixture_of(reference, marginals) -> TabulatedMixture:
    """Its mixture, with the mass interpolated and the fractions' priors flat."""
    masses = reference["axes/mass"]
    tree = {"children": {"DM": None, "background": {"children": dict.fromkeys(COMPONENTS)}}}
    leaves = [LeafTable("DM", marginals["DM"], (ParameterAxis("mass", masses, "log"),))]
    return TabulatedMixture(
        Tree.from_mapping(tree),
        [*leaves, *(LeafTable(name, marginals[name]) for name in COMPONENTS)],
        reference["events/meas_weights"].astype(float),
        {"mass": prior_from_mapping({"kind": "log_uniform", "lower": 0.12, "upper": 38.0})},
    )
