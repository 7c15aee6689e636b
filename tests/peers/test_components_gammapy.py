"""Source components against gammapy's models."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pydantic import TypeAdapter

from skymix.axes import EnergyAxis, Grid, SkyGrid
from skymix.domains.gamma.components import build_source, spectra
from skymix.domains.gamma.components.catalogue import read_hgps
from skymix.domains.gamma.components.cosmixs import read_cosmixs
from skymix.domains.gamma.components.diffuse import IntensityCube
from skymix.domains.gamma.components.hdmspectra import read_hdmspectra
from skymix.domains.gamma.components.pppc4dmid import read_pppc4dmid
from skymix.domains.gamma.components.radial import radial_cell_means
from skymix.domains.gamma.components.source import SphericalGaussian
from skymix.domains.gamma.geometry import RegionFrame
from skymix.domains.gamma.halo import CM_PER_KPC, Halo, burkert, einasto, generalised_nfw
from skymix.study.components import AnyComponent, Position
from skymix.study.files import ANNIHILATION_SPECTRA
from skymix.study.files import DIFFUSE_CUBE as DIFFUSE_PATH
from skymix.study.files import PLANE_SURVEY as HGPS_PATH

pytestmark = pytest.mark.peers

EDGES = EnergyAxis.logarithmic(0.1, 100, 5).edges
ONE = np.ones(1)
# gammapy interpolates the logarithm by default, the intensity on demand.
LINEAR = {"method": "linear", "fill_value": None, "values_scale": "lin"}


@pytest.fixture(scope="module")
def u():
    pytest.importorskip("gammapy")
    from astropy import units

    return units


def integrals(model, u, points=20_001):
    """Integral of a gammapy model over each cell by a fine trapezoid, cm-2 s-1."""
    values = []
    for a, b in pairwise(EDGES):
        energy = np.geomspace(a, b, points)
        density = model(energy * u.TeV).to_value("TeV-1 cm-2 s-1")
        values.append(np.trapezoid(density * energy, np.log(energy)))
    return np.array(values)


def test_spectra(u):
    from gammapy.modeling.models import (
        ExpCutoffPowerLawSpectralModel,
        LogParabolaSpectralModel,
        PowerLawSpectralModel,
    )

    amplitude, reference = 2e-12 / (u.cm**2 * u.s * u.TeV), 3 * u.TeV
    plain = PowerLawSpectralModel(index=2.3, amplitude=amplitude, reference=reference)
    cut = ExpCutoffPowerLawSpectralModel(
        index=1.9, amplitude=amplitude, reference=reference, lambda_=0.2 / u.TeV
    )
    curved = LogParabolaSpectralModel(
        alpha=2.1, beta=0.15, amplitude=amplitude, reference=reference
    )
    a = 2e-12 * ONE
    got = spectra.power_law(EDGES, a, 2.3 * ONE, 3.0)[0]
    assert_allclose(got, integrals(plain, u), rtol=1e-7)
    got = spectra.cutoff_power_law(EDGES, a, 1.9 * ONE, 5 * ONE, 3.0)[0]
    assert_allclose(got, integrals(cut, u), rtol=1e-7)
    got = spectra.log_parabola(EDGES, a, 2.1 * ONE, 0.15 * ONE, 3.0)[0]
    assert_allclose(got, integrals(curved, u), rtol=1e-7)


def test_gaussian(u):
    from gammapy.modeling.models import GaussianSpatialModel

    model = GaussianSpatialModel(lon_0=0.1 * u.deg, lat_0=-0.2 * u.deg, sigma=0.3 * u.deg)
    sky = SkyGrid.centred(1, 1, 0.01)
    lon, lat = sky.mesh()
    expected = model(lon * u.deg, lat * u.deg).to_value("sr-1")
    profile = SphericalGaussian(np.radians(0.3))
    got = radial_cell_means(sky, 0.1, -0.2, profile, boundary_within=0.0)
    assert_allclose(got, expected, rtol=5e-4)


@pytest.mark.parametrize("annihilation", [True, False], ids=["J", "D"])
@pytest.mark.parametrize("name", ["einasto", "nfw", "burkert", "moore"])
def test_jfactor_and_dfactor(u, name, annihilation):
    from gammapy.astro.darkmatter import JFactory, profiles
    from gammapy.maps import WcsGeom

    shapes = {
        "einasto": lambda x: einasto(x, 0.17),
        "nfw": lambda x: generalised_nfw(x, 1.0),
        "burkert": burkert,
        "moore": lambda x: generalised_nfw(x, 1.16),
    }
    zhao = profiles.ZhaoProfile(r_s=20 * u.kpc, alpha=1 * u.one, beta=3 * u.one, gamma=1.16 * u.one)
    profile = {
        "einasto": lambda: profiles.EinastoProfile(r_s=20 * u.kpc, alpha=0.17),
        "nfw": lambda: profiles.NFWProfile(r_s=20 * u.kpc),
        "burkert": lambda: profiles.BurkertProfile(r_s=20 * u.kpc),
        "moore": lambda: zhao,
    }[name]()
    profile.scale_to_local_density()
    halo = Halo(
        shapes[name],
        20.0,
        profile.DISTANCE_GC.to_value("kpc"),
        profile.LOCAL_DENSITY.to_value("GeV cm-3"),
    )
    radius = np.geomspace(1e-3, 100, 20)
    assert_allclose(halo.density(radius), profile(radius * u.kpc).to_value("GeV cm-3"), rtol=1e-12)
    # gammapy's sum over radii begins at D tan(psi) where the closest approach is D sin(psi): that
    # loses a share of about psi (rad), and needs steps finer than psi^2. So 0.05 to 0.45 deg.
    geom = WcsGeom.create(npix=(10, 1), binsz=0.1, proj="TAN")
    distance = profile.DISTANCE_GC
    factory = JFactory(geom, profile, distance=distance, annihilation=annihilation)
    unit = "GeV2 cm-5 sr-1" if annihilation else "GeV cm-2 sr-1"
    expected = factory.compute_differential_jfactor(ndecade=1e5).to_value(unit)
    psi = geom.separation(geom.center_skydir).rad
    got = halo.jfactor(psi.ravel()) if annihilation else halo.dfactor(psi.ravel())
    # gammapy's line of sight ends at four times the Sun's distance from the centre, which takes a
    # tenth and more of an integral of rho, but nothing of one of rho^2.
    beyond = 0.0 if annihilation else missing(halo, psi.ravel())
    assert_allclose(got - beyond, expected.ravel(), rtol=0.01)


def missing(halo, psi):
    """D-factor beyond four times the Sun's distance from the centre, GeV cm-2 sr-1."""
    way = np.geomspace(4 * halo.distance, 1e3 * halo.scale_radius, 20_001)[:, None]
    radius = np.hypot(way, halo.distance * np.sin(psi))
    return np.trapezoid(halo.density(radius), way, axis=0) * CM_PER_KPC


@pytest.fixture
def primary_flux(data_folder, tmp_path, monkeypatch):
    pytest.importorskip("gammapy")
    folder = tmp_path / "dark_matter_spectra"
    folder.mkdir()
    (folder / "PPPC4DMID").symlink_to(data_folder / Path(ANNIHILATION_SPECTRA["pppc4dmid"]).parent)
    monkeypatch.setenv("GAMMAPY_DATA", str(tmp_path))
    from gammapy.astro.darkmatter import PrimaryFlux

    return PrimaryFlux


@pytest.mark.data
@pytest.mark.parametrize("mass", [0.5, 3.0, 13.7])
@pytest.mark.parametrize("channel", ["b", "tau", "W"])
def test_annihilation_spectrum(u, data_folder, primary_flux, channel, mass):
    table = read_pppc4dmid(data_folder / ANNIHILATION_SPECTRA["pppc4dmid"])
    flux = primary_flux(mDM=mass * u.TeV, channel=channel)
    energy = mass * 10 ** np.linspace(-4, -0.1, 4001)
    density = flux(energy * u.TeV).to_value("TeV-1")
    expected = np.sum(0.5 * (density[1:] * energy[1:] + density[:-1] * energy[:-1])) * np.log(
        energy[1] / energy[0]
    )
    got = table.photons(channel, energy[[0, -1]], np.array([mass]))[0, 0]
    assert_allclose(got, expected, rtol=1e-4)


@pytest.mark.data
@pytest.mark.parametrize("channel", ["b", "t", "u", "W", "Z", "h", "tau"])
def test_tables_of_spectra_agree_as_far_as_their_showers_do(data_folder, channel):
    # PPPC4DMID is PYTHIA 8 of 2010, CosmiXs VINCIA retuned to LEP, HDMSpectra analytic evolution
    # matched to PYTHIA: at 0.01 < x < 0.3, where photons of pi0 dominate, they differ by a quarter.
    pppc, cosmixs, hdm = (
        read(data_folder / ANNIHILATION_SPECTRA[kind])
        for kind, read in (
            ("pppc4dmid", read_pppc4dmid),
            ("cosmixs", read_cosmixs),
            ("hdmspectra", read_hdmspectra),
        )
    )
    mass, x = np.array([1.0, 10.0]), np.array([0.01, 0.03, 0.1, 0.3])
    for m in mass:
        old = pppc.photons(channel, x * m, np.array([m]))[0]
        assert_allclose(cosmixs.photons(channel, x * m, np.array([m]))[0], old, rtol=0.25)
        assert_allclose(hdm.photons(channel, x * m, np.array([m]))[0], old, rtol=0.25)


@pytest.mark.data
@pytest.mark.parametrize("process", ["annihilation", "decay"])
def test_total_flux_of_dark_matter(u, data_folder, primary_flux, process):
    from gammapy.astro import darkmatter as peer

    frame = RegionFrame(Position(frame="galactic", lon="0 deg", lat="0 deg"))
    edges, sky = np.geomspace(0.1, 0.9, 9), SkyGrid(np.array([0.1, 0.2]), np.array([0.1, 0.2]))
    settings = {
        "profile": {"kind": "einasto", "distance": "8.33 kpc", "local_density": "0.3 GeV cm-3"},
        "spectrum": {"kind": "pppc4dmid", "channels": {"b": 1}},
        "mass": "3 TeV",
    }
    if process == "annihilation":
        settings |= {"kind": "dark_matter", "cross_section": "3e-26 cm3 s-1"}
        model = peer.DarkMatterAnnihilationSpectralModel
    else:
        age = peer.DarkMatterDecaySpectralModel.LIFETIME_AGE_OF_UNIVERSE.to_value("s").item()
        settings |= {"kind": "decaying_dark_matter", "lifetime": f"{age!r} s"}
        model = peer.DarkMatterDecaySpectralModel
    source = build_source("dm", TypeAdapter(AnyComponent).validate_python(settings), data_folder)
    (term,) = source.terms(Grid(EnergyAxis(edges), sky), frame, {}, {})
    got = term.morphology.intensity[0, 0] * term.spectrum.sum()
    halo = Halo(lambda x: einasto(x, 0.17), 20.0, 8.33, 0.3)
    fine = sky.split(40)
    lon, lat = np.radians(fine.mesh())
    psi = np.arccos(np.cos(lon) * np.cos(lat)).ravel()
    ours = (halo.jfactor if process == "annihilation" else halo.dfactor)(psi)
    factor = np.average(ours, weights=fine.solid_angle.ravel())
    unit = "GeV2 cm-5" if process == "annihilation" else "GeV cm-2"
    flux = model(mass=3 * u.TeV, channel="b", jfactor=factor * u.Unit(unit))
    energy = np.geomspace(0.1, 0.9, 4001)
    density = flux(energy * u.TeV).to_value("m-2 s-1 TeV-1")
    assert_allclose(got, np.trapezoid(density * energy, np.log(energy)), rtol=1e-3)


@pytest.mark.data
def test_catalogue(u, data_folder):
    from gammapy.catalog import SourceCatalogHGPS

    peer = SourceCatalogHGPS(data_folder / HGPS_PATH)
    assert len(peer.table) == 78
    for entry in read_hgps(data_folder / HGPS_PATH):
        model = peer[entry.name].spectral_model()
        assert_allclose(entry.spectrum(EDGES)[0], 1e4 * integrals(model, u, 2001), rtol=1e-5)
        if len(entry.lobes) > 1:
            parts = peer[entry.name].components
            assert_allclose(
                [lobe.size for lobe in entry.lobes],
                [part.spatial_model().sigma.value for part in parts],
                rtol=1e-6,
            )


@pytest.mark.data
def test_diffuse_template(u, data_folder):
    from astropy.coordinates import SkyCoord
    from gammapy.maps import Map
    from gammapy.modeling.models import TemplateSpatialModel

    path = data_folder / DIFFUSE_PATH
    peer = TemplateSpatialModel(Map.read(path), normalize=False, interp_kwargs=LINEAR)
    cube = IntensityCube.read(path)
    coord = SkyCoord([0.03, 1.31, -2.2] * u.deg, [0.01, -0.77, 2.9] * u.deg, frame="galactic")
    planes = cube.energy[[5, 20, 27]]
    got = cube.at(coord)[[5, 20, 27]]
    for value, energy in zip(got, planes, strict=True):
        expected = peer.evaluate(coord.l, coord.b, energy * u.TeV)
        assert_allclose(value, expected.to_value("TeV-1 m-2 s-1 sr-1"), rtol=1e-3)
