"""GammaBayes 0.1.9's own numbers from its own tables: marginals and likelihoods.

Its conventions (quadrature weights, background smeared, events at cell centres) are reproduced as
they are; `reference.h5` says what each array holds.
"""

import h5py
import numpy as np
import pytest
from astropy import units as u

from skymix.axes import separation
from skymix.domains.gamma.reference import direct_marginals, window_about
from skymix.mixture import LeafTable, ParameterAxis, TabulatedMixture, Tree, prior_from_mapping

pytestmark = pytest.mark.peers

COMPONENTS = ("CCR_BKG", "HESSCatalogueSources_Prior", "FermiGaggeroDiffusePrior")


@pytest.fixture(scope="module")
def reference(gammabayes_reference):
    with h5py.File(gammabayes_reference) as file:
        found = {}
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


UNITS = {"energy_true": "TeV", "offset": "deg", "migra": ""}
INTERP = {"energy_true": "log", "offset": "lin", "migra": "lin"}


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


@pytest.fixture(scope="module")
def marginals(reference):
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


@pytest.mark.parametrize("name", ["DM", *COMPONENTS])
def test_log_marginals(reference, marginals, name) -> None:
    expected = np.atleast_2d(reference[f"marg/log_marg_{name}"].T)
    found = np.log(marginals[name][:, : expected.shape[1]])
    np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0)


def test_likelihoods(reference, marginals) -> None:
    masses = reference["axes/mass"]
    mixture = TabulatedMixture(
        Tree.from_mapping(
            {
                "children": {
                    "DM": None,
                    "background": {"children": {name: None for name in COMPONENTS}},
                }
            }
        ),
        [
            LeafTable("DM", marginals["DM"], (ParameterAxis("mass", masses, "log"),)),
            *(LeafTable(name, marginals[name]) for name in COMPONENTS),
        ],
        reference["events/meas_weights"].astype(float),
        {"mass": prior_from_mapping({"kind": "log_uniform", "lower": 0.12, "upper": 38.0})},
    )
    assert mixture.names == ("fraction.DM", "fraction.CCR_BKG",
                             "fraction.HESSCatalogueSources_Prior", "mass")  # fmt: skip
    theta = reference["hyper/theta"]
    mass = masses[reference["hyper/mass_index"]]
    points = np.column_stack([theta[:, 0], theta[:, 2], theta[:, 3], mass])
    found = mixture.log_likelihood(points)
    np.testing.assert_allclose(found, reference["hyper/loglike"], atol=1e-4, rtol=0)
