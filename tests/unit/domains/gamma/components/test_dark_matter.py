"""Annihilating dark matter."""

import numpy as np
import pytest
from astropy import units as u
from numpy.testing import assert_allclose
from pydantic import TypeAdapter

from skymix.axes import EnergyAxis, Grid, SkyGrid
from skymix.domains.gamma.components import build_source
from skymix.domains.gamma.components.annihilation import CLOSED_FORM
from skymix.domains.gamma.geometry import RegionFrame
from skymix.domains.gamma.halo import Halo, einasto
from skymix.errors import DataError, StudyError
from skymix.study.components import AnyComponent, Position

COMPONENT = TypeAdapter(AnyComponent)
CENTRE = RegionFrame(Position(frame="galactic", lon="0 deg", lat="0 deg"))
GRID = Grid(EnergyAxis.logarithmic(0.1, 100, 5), SkyGrid.centred(4, 2, 0.25))
MASS = {"min": "0.2 TeV", "max": "50 TeV", "nodes": 10, "spacing": "log"}


def dark_matter(data="nowhere", **changes):
    settings = {
        "kind": "dark_matter",
        "profile": {"kind": "einasto"},
        "spectrum": {"kind": "closed_form", "channels": {"W": 1}},
        "mass": MASS,
    }
    return build_source("dm", COMPONENT.validate_python(settings | changes), data)


def terms(source, sky=None, mass=(3.0,), grid=GRID, frame=CENTRE):
    return source.terms(grid, frame, sky or {}, {"dm.mass": np.asarray(mass)})


def test_flux_in_one_cell():
    mass, place = 3 * u.TeV, (5, 12)
    (term,) = terms(dark_matter())
    lon, lat = GRID.sky.lon[place[1]], GRID.sky.lat[place[0]]
    psi = np.arccos(np.cos(np.radians(lon)) * np.cos(np.radians(lat)))
    galaxy = Halo(lambda x: einasto(x, 0.17), 20.0, 8.5, 0.39)
    jfactor = galaxy.jfactor(np.array([psi]))[0] * u.GeV**2 / u.cm**5 / u.sr
    a, b = CLOSED_FORM["W"]
    x = (GRID.energy.centres[3] * u.TeV / mass).to_value("")
    density = a * x**-1.5 * np.exp(-b * x) / mass
    expected = 2.2e-26 * u.cm**3 / u.s / (8 * np.pi * mass**2) * density * jfactor
    got = term.morphology.intensity[place] * term.spectrum[0, 3] / GRID.energy.widths[3]
    # Mean over the cells against values at their centres.
    assert_allclose(got, expected.to_value("TeV-1 m-2 s-1 sr-1"), rtol=0.05)


def test_a_fine_grid_meets_the_flux_at_a_point():
    fine = Grid(
        EnergyAxis(np.array([0.9999, 1.0001])),
        SkyGrid(np.array([0.9999, 1.0001]), np.array([-1e-4, 1e-4])),
    )
    (term,) = terms(dark_matter(), grid=fine)
    galaxy = Halo(lambda x: einasto(x, 0.17), 20.0, 8.5, 0.39)
    a, b = CLOSED_FORM["W"]
    density = a * 3**1.5 * np.exp(-b / 3) / 3
    expected = 2.2e-32 / (8 * np.pi * 9) * density * galaxy.jfactor(np.radians([1.0]))[0] * 1e4
    got = term.morphology.intensity[0, 0] * term.spectrum[0, 0] / fine.energy.widths[0]
    assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["einasto", "nfw", "gnfw", "burkert", "moore"])
def test_every_profile_is_symmetric_and_brightest_at_its_centre(kind):
    (term,) = terms(dark_matter(profile={"kind": kind}))
    sky = term.morphology.intensity
    assert sky.shape == GRID.sky.shape
    assert np.all(np.isfinite(sky) & (sky > 0))
    assert_allclose(sky, sky[::-1, ::-1], rtol=1e-10)
    assert np.unravel_index(sky.argmax(), sky.shape) in [(3, 7), (3, 8), (4, 7), (4, 8)]


def test_scanned_profile_shapes_the_sky_and_mass_the_spectrum():
    gamma = {"min": 0.8, "max": 1.4, "nodes": 4}
    source = dark_matter(profile={"kind": "gnfw", "gamma": gamma})
    assert [(p.name, p.shapes_sky) for p in source.parameters] == [
        ("dm.gamma", True),
        ("dm.mass", False),
    ]
    (shallow,) = terms(source, {"dm.gamma": 0.8}, [1.0, 10.0])
    (steep,) = terms(source, {"dm.gamma": 1.4}, [1.0, 10.0])
    assert shallow.spectrum.shape == (2, GRID.energy.size)
    assert_allclose(shallow.spectrum, steep.spectrum)
    ratio = steep.morphology.intensity / shallow.morphology.intensity
    assert ratio[4, 8] > 10 * ratio[0, 0]


def test_centre_elsewhere():
    centre = {"frame": "galactic", "lon": "1 deg", "lat": "0 deg"}
    (here,) = terms(dark_matter())
    (there,) = terms(dark_matter(centre=centre))
    assert_allclose(there.morphology.intensity[:, 4:], here.morphology.intensity[:, :-4], rtol=2e-4)


def test_too_steep_a_cusp_is_refused():
    source = dark_matter(profile={"kind": "gnfw", "gamma": 1.5})
    with pytest.raises(StudyError, match=r"components\.dm\.profile\.gamma: 1.5 makes the J-factor"):
        terms(source)


def test_decay_is_an_annihilation_at_half_the_mass():
    decay = dark_matter(kind="decaying_dark_matter", lifetime="2e26 s")
    (got,) = terms(decay, mass=[6.0])
    (annihilation,) = terms(dark_matter(cross_section="1e-26 cm3 s-1"), mass=[3.0])
    photons = annihilation.spectrum * 8 * np.pi * 9 / 1e-32
    assert_allclose(got.spectrum, photons / (4 * np.pi * 6 * 2e26), rtol=1e-12)
    assert not got.spectrum[0, GRID.energy.edges[:-1] > 3].any()
    lon, lat = np.radians(GRID.sky.lon[12]), np.radians(GRID.sky.lat[5])
    galaxy = Halo(lambda x: einasto(x, 0.17), 20.0, 8.5, 0.39)
    dfactor = galaxy.dfactor(np.arccos(np.cos(lon) * np.cos(lat))[None])[0]
    expected = (dfactor * u.GeV / u.cm**2).to_value("TeV m-2")
    assert_allclose(got.morphology.intensity[5, 12], expected, rtol=0.01)


def test_decay_allows_steeper_cusps_and_its_errors_speak_of_half_the_mass(tmp_path):
    spectrum = {"kind": "closed_form", "channels": {"b": 1}}
    steep = {"kind": "gnfw", "gamma": 1.6}
    decay = dark_matter(kind="decaying_dark_matter", profile=steep, spectrum=spectrum)
    assert np.all(terms(decay)[0].morphology.intensity > 0)
    with pytest.raises(StudyError, match=r"decay at 0\.15 TeV gives no photon"):
        terms(decay, mass=[0.15])
    with pytest.raises(StudyError, match=r"3 makes the D-factor infinite.* below 3"):
        terms(dark_matter(kind="decaying_dark_matter", profile={"kind": "gnfw", "gamma": 3.0}))


def test_a_mass_without_photons_is_refused():
    with pytest.raises(
        StudyError, match=r"components\.dm\.mass: annihilation at 0.09 TeV gives no"
    ):
        terms(dark_matter(), mass=[1.0, 0.09])


def test_a_missing_table_says_what_to_do(tmp_path):
    spectrum = {"kind": "pppc4dmid", "channels": {"b": 1}}
    with pytest.raises(DataError, match=r"dm\.spectrum\.path: .* does not exist; set SKYMIX_DATA"):
        dark_matter(tmp_path, spectrum=spectrum)
    with pytest.raises(DataError, match=r"x\.dat does not exist; correct the path"):
        dark_matter(tmp_path, spectrum=spectrum | {"path": "x.dat"})


@pytest.mark.data
def test_tables_are_found_and_their_errors_name_the_component(data_folder):
    spectrum = {"kind": "pppc4dmid", "channels": {"b": 0.5, "tau": 0.5}}
    (term,) = terms(dark_matter(data_folder, spectrum=spectrum))
    assert np.all(term.spectrum[0, : np.searchsorted(GRID.energy.edges, 3)] > 0)
    with pytest.raises(StudyError, match=r"components\.dm\.mass: 200 TeV is outside AtProd"):
        terms(dark_matter(data_folder, spectrum=spectrum), mass=[200.0])
    with pytest.raises(StudyError, match=r"components\.dm\.spectrum\.channels: channel 'quark'"):
        dark_matter(data_folder, spectrum={"kind": "pppc4dmid", "channels": {"quark": 1}})


@pytest.mark.data
def test_scalar_singlet_scans_mass_and_coupling(data_folder):
    coupling = {"min": 1e-3, "max": 1, "nodes": 3, "spacing": "log"}
    source = dark_matter(data_folder, spectrum={"kind": "scalar_singlet", "coupling": coupling})
    assert [p.name for p in source.parameters] == ["dm.coupling", "dm.mass"]
    rows = {"dm.mass": np.array([1.0, 1.0]), "dm.coupling": np.array([1e-3, 1.0])}
    (term,) = source.terms(GRID, CENTRE, {}, rows)
    assert term.spectrum.shape == (2, GRID.energy.size)
    assert np.all(term.spectrum >= 0)
