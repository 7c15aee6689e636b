"""Every kind of component integrates to 1 over the observed data space.

Unbinned densities are integrated by randomised quasi-Monte-Carlo (Sobol points, half of them
gathered about the source) within the data grid and the offset cut; binned ones are summed.
"""

import numpy as np
import pytest
from scipy.stats import norm, qmc
from tests.small_study import (
    CENTRE,
    CTA_SOUTH,
    NOWHERE,
    POINTING,
    RUN,
    at_all_cells,
    default_component,
    event_list,
    response_of,
    small_study,
)

from skymix.axes import separation
from skymix.domains.gamma.components import build_source
from skymix.domains.gamma.geometry import RegionFrame
from skymix.domains.gamma.grids import data_grid
from skymix.domains.gamma.observe import marginalise_component
from skymix.study.components import Position

FRAME = RegionFrame(Position(**CENTRE))
SAGITTARIUS = (-0.056, -0.046)
AT = FRAME.from_position(Position(**POINTING))
WIDTHS = (0.015, 0.05, 0.15, 0.4)  # deg, of the proposals about a source
SCRAMBLES = 8

MASS = {"min": "0.8 TeV", "max": "3 TeV", "nodes": 2, "spacing": "log"}
CLOSED = {"kind": "closed_form", "channels": {"b": 1}}
CUTOFF = {"kind": "cutoff_power_law", "index": 2.1, "cutoff": "8 TeV"}
PARABOLA = {"kind": "log_parabola", "alpha": 2.3, "beta": 0.2}


def dark_matter(profile, spectrum=CLOSED):
    return {"kind": "dark_matter", "profile": profile, "spectrum": spectrum, "mass": MASS}


def scan(low, high):
    return {"min": low, "max": high, "nodes": 2}


def source(kind, spectrum, **settings):
    position = {"frame": "galactic", "lon": "359.944 deg", "lat": "-0.046 deg"}
    return {"kind": kind, "position": position, "spectrum": spectrum} | settings


COMPONENTS = {
    "einasto": dark_matter({"kind": "einasto"}),
    "einasto, alpha scanned": dark_matter({"kind": "einasto", "alpha": scan(0.1, 0.3)}),
    "nfw": dark_matter({"kind": "nfw"}),
    "gnfw, gamma scanned": dark_matter({"kind": "gnfw", "gamma": scan(0.8, 1.4)}),
    "burkert": dark_matter({"kind": "burkert"}),
    "moore": dark_matter({"kind": "moore"}),
    "point, power law": source("point_source", {"kind": "power_law", "index": scan(1.8, 3.0)}),
    "point, log parabola": source("point_source", PARABOLA),
    "point, cutoff": source("point_source", CUTOFF),
    "narrow Gaussian": source("gaussian_source", PARABOLA, sigma="0.03 deg"),
    "wide Gaussian": source("gaussian_source", CUTOFF, sigma="0.4 deg"),
    "ridge": default_component("diffuse") | {"index": scan(2.0, 2.6)},
    "cosmic rays": {"kind": "cosmic_rays", "normalisation": 3.0},
}
EINASTO = {"kind": "einasto"}
PPPC = {"kind": "pppc4dmid", "channels": {"tau": 0.7, "W": 0.3}}
FROM_FILES = {
    "pppc4dmid": dark_matter(EINASTO, PPPC),
    "singlet": dark_matter(EINASTO, {"kind": "scalar_singlet"}),
    "catalogue": {"kind": "catalogue"},
    "diffuse template": {"kind": "diffuse_template"},
    "cosmic rays": {"kind": "cosmic_rays"},
}


def study_of(component, response=None):
    parameters = {
        f"it.{key}": value["min"]
        for section in (component, component.get("profile", {}), component.get("spectrum", {}))
        for key, value in section.items()
        if isinstance(value, dict) and "nodes" in value
    }
    # Pixels fine enough that the cells on the edge of the offset cut weigh little.
    return small_study(
        component, parameters=parameters, response=response, pixel=0.1, subdivision=1
    )


def points(grid, centres, seed, log2_points):
    """Sobol points in the data space, and the inverse of their density (TeV sr).

    The proposal is a mixture of the whole rectangle and Gaussians about the centres; the density
    of the mixture is used for all points, wherever they come from.
    """
    u = qmc.Sobol(4, rng=np.random.default_rng(seed)).random_base2(log2_points)
    low, high = np.log(grid.energy.edges[[0, -1]])
    # Energies about as steep as the spectra: dN/dE ~ E^-2 makes E^-1 uniform.
    inverse = np.exp(-low) + (np.exp(-high) - np.exp(-low)) * u[:, 0]
    energy = 1 / inverse
    density = energy**-2 / (np.exp(-low) - np.exp(-high))
    peaks = [(lon, lat, width) for lon, lat in centres for width in WIDTHS]
    share = u[:, 3] * 2
    which = np.minimum(((share - 1) * len(peaks)).astype(int), len(peaks) - 1)
    edges = grid.sky.lon_edges[[0, -1]], grid.sky.lat_edges[[0, -1]]
    bounds = [
        [norm.cdf(edge, centre, width) for edge in side]
        for side, k in zip(edges, (0, 1), strict=True)
        for centre, width in [(np.array([p[k] for p in peaks]), np.array([p[2] for p in peaks]))]
    ]
    coordinates = []
    for k, side in enumerate(edges):
        flat = side[0] + (side[1] - side[0]) * u[:, 1 + k]
        below, above = (b[which] for b in bounds[k])
        centre = np.array([p[k] for p in peaks])[which]
        width = np.array([p[2] for p in peaks])[which]
        near = norm.ppf(below + (above - below) * u[:, 1 + k], centre, width)
        coordinates.append(np.where(share < 1, flat, near))
    lon, lat = coordinates
    sky = 0.5 / np.prod([side[1] - side[0] for side in edges])
    for k, (c_lon, c_lat, width) in enumerate(peaks):
        inside = np.prod([b[1][k] - b[0][k] for b in bounds])
        bell = norm.pdf(lon, c_lon, width) * norm.pdf(lat, c_lat, width)
        sky = sky + 0.5 * bell / inside / len(peaks)
    solid_angle = np.radians(1) ** 2 * np.cos(np.radians(lat))
    return energy, lon, lat, solid_angle / (density * sky)


def integrals(study, centres, log2_points, response, data):
    """Integral of each row's density, and its standard error over the scrambles."""
    grid = data_grid(study.grids, study.region)
    parts = [points(grid, centres, seed, log2_points) for seed in range(SCRAMBLES)]
    energy, lon, lat, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    seen = separation(lon, lat, *AT) <= study.selection.offset_max
    events = event_list(AT, energy, lon, lat)
    density = marginalise_component(study, RUN, "it", events, response, data).density
    values = np.where(seen, density * weight, 0.0).reshape(density.shape[0], SCRAMBLES, -1)
    each = values.mean(axis=2)
    return each.mean(axis=1), each.std(axis=1, ddof=1) / np.sqrt(SCRAMBLES)


def centre_of(component):
    return SAGITTARIUS if "position" in component else (0.0, 0.0)


def check(component, centres, response=None, data=NOWHERE, log2_points=10):
    study = study_of(component, response)
    tables = response_of(study, data)
    marginals, volume = at_all_cells(study, tables, AT, data)
    np.testing.assert_allclose(marginals.density @ volume.ravel(), 1, rtol=1e-10)
    np.testing.assert_allclose(marginals.counts_spectrum.sum(axis=1), 1, rtol=1e-10)
    found, error = integrals(study, centres, log2_points, tables, data)
    print(np.round(found - 1, 5), np.round(error, 5))
    assert error.max() < 0.006, error
    # What the offset cut takes from the cells on its edge is known to some 0.3 %.
    np.testing.assert_array_less(np.abs(found - 1), 0.005 + 4 * error)
    np.testing.assert_array_less(np.abs(found - 1), 0.01)


@pytest.mark.parametrize("name", COMPONENTS)
def test_density_integrates_to_one(name):
    check(COMPONENTS[name], (centre_of(COMPONENTS[name]),))


@pytest.mark.data
@pytest.mark.parametrize("name", FROM_FILES)
def test_density_from_files_integrates_to_one(name, data_folder):
    component = FROM_FILES[name]
    centres, log2_points = (centre_of(component),), 10
    if name == "catalogue":
        sky = data_grid(study_of(component).grids, study_of(component).region).sky
        entries = build_source("it", study_of(component).components["it"], data_folder)
        lobes = [lobe for entry in entries.reaching(sky, FRAME) for lobe in entry.lobes]
        directions = [((lobe.lon + 180) % 360 - 180, lobe.lat) for lobe in lobes]
        centres = [at for at in directions if max(map(abs, at)) < 1]
        assert len(centres) > 2
        # Points are shared by all of them.
        log2_points = 12
    check(component, centres, CTA_SOUTH, data_folder, log2_points)
