"""Diffuse templates."""

from itertools import pairwise

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose
from pydantic import TypeAdapter
from scipy.integrate import quad

from skymix.axes import EnergyAxis, Grid, SkyGrid
from skymix.domains.gamma.components import build_source
from skymix.domains.gamma.components.diffuse import cell_integrals
from skymix.domains.gamma.geometry import RegionFrame
from skymix.errors import DataError, StudyError
from skymix.study.components import AnyComponent, Position

COMPONENT = TypeAdapter(AnyComponent)
CENTRE = RegionFrame(Position(frame="galactic", lon="0 deg", lat="0 deg"))
GRID = Grid(EnergyAxis.logarithmic(0.1, 10, 4), SkyGrid.centred(3, 2, 0.1))
MEV = np.geomspace(1e4, 1e6, 7)


def write_cube(path, data=None, energy=MEV, unit="MeV-1 s-1 sr-1 cm-2", step=0.25, energies=True):
    """Cube of (E/TeV)^-2.5 (5 + l + 0.5 b), TeV-1 cm-2 s-1 sr-1 in MeV-1, 6 by 4 deg."""
    nx, ny = round(6 / step), round(4 / step)
    header = fits.Header(
        {
            "CTYPE1": "GLON-CAR",
            "CTYPE2": "GLAT-CAR",
            "CUNIT1": "deg",
            "CUNIT2": "deg",
            "CRVAL1": 0.0,
            "CRVAL2": 0.0,
            "CRPIX1": 0.5 + nx / 2,
            "CRPIX2": 0.5 + ny / 2,
            "CDELT1": -step,
            "CDELT2": step,
            "BUNIT": unit,
        }
    )
    if data is None:
        lon = -(np.arange(nx) - (nx - 1) / 2) * step
        lat = (np.arange(ny) - (ny - 1) / 2) * step
        plane = 5 + lon + 0.5 * lat[:, None]
        data = 1e-6 * (energy / 1e6)[:, None, None] ** -2.5 * plane
    hdus = [fits.PrimaryHDU(data, header)]
    if energies:
        column = fits.Column("Energy", "D", unit="MeV", array=energy)
        hdus.append(fits.BinTableHDU.from_columns([column], name="ENERGIES"))
    fits.HDUList(hdus).writeto(path)
    return path


def template(path, **settings):
    settings = {"kind": "diffuse_template", "path": str(path)} | settings
    return build_source("diffuse", COMPONENT.validate_python(settings), path.parent)


def intensity(term):
    return term.morphology.intensity * term.spectrum[0][:, None, None]


def expected_integral(edges):
    return np.diff(edges**-1.5) / -1.5 * 1e4


@pytest.mark.parametrize("step", [0.25, 0.05])
def test_linear_sky_and_power_law_are_exact(tmp_path, step):
    source = template(write_cube(tmp_path / "cube.fits", step=step))
    (term,) = source.terms(GRID, CENTRE, {}, {})
    lon, lat = GRID.sky.mesh()
    expected = expected_integral(GRID.energy.edges)[:, None, None] * (5 + lon + 0.5 * lat)
    assert_allclose(intensity(term), expected, rtol=1e-6)
    content = np.sum(term.morphology.intensity * GRID.sky.solid_angle, axis=(1, 2))
    assert_allclose(content, 1, rtol=1e-12)
    assert source.parameters == ()


def test_another_region_frame(tmp_path):
    # A region about (1, 0.5) deg: its centre cell has the value of that place.
    source = template(write_cube(tmp_path / "cube.fits"))
    frame = RegionFrame(Position(frame="galactic", lon="1 deg", lat="0.5 deg"))
    sky = SkyGrid.centred(0.3, 0.3, 0.1)
    (term,) = source.terms(Grid(GRID.energy, sky), frame, {}, {})
    expected = expected_integral(GRID.energy.edges) * 6.25
    assert_allclose(intensity(term)[:, 1, 1], expected, rtol=1e-5)


def test_above_the_last_plane(tmp_path):
    path = write_cube(tmp_path / "cube.fits")
    (dark,) = template(path, above_last_energy="zero").terms(GRID, CENTRE, {}, {})
    (bright,) = template(path).terms(GRID, CENTRE, {}, {})
    last = np.searchsorted(GRID.energy.edges, 1 - 1e-9)
    assert np.all(dark.spectrum[0, last:] == 0)
    assert np.all(np.isfinite(dark.morphology.intensity))
    assert_allclose(dark.spectrum[0, :last], bright.spectrum[0, :last], rtol=1e-7)
    assert np.all(bright.spectrum[0, last:] > 0)


def test_a_grid_beyond_the_cube_is_refused(tmp_path):
    source = template(write_cube(tmp_path / "cube.fits"))
    wide = Grid(GRID.energy, SkyGrid.centred(6.4, 2, 0.1))
    with pytest.raises(
        StudyError, match=r"outside cube.fits, which covers l -3.00 to 3.00 and b -2"
    ):
        source.terms(wide, CENTRE, {}, {})
    # Up to the very edge is inside.
    source.terms(Grid(GRID.energy, SkyGrid.centred(6, 4, 0.1)), CENTRE, {}, {})
    soft = Grid(EnergyAxis.logarithmic(0.001, 10, 4), GRID.sky)
    with pytest.raises(StudyError, match=r"begin at 0.001 TeV, below the first plane of cube.fits"):
        source.terms(soft, CENTRE, {}, {})


def test_a_cube_of_the_whole_sky_has_no_seam(tmp_path):
    step, nx, ny = 1.0, 360, 180
    lon = -(np.arange(nx) - (nx - 1) / 2) * step
    plane = 2 + np.cos(np.radians(lon)) * np.ones((ny, 1))
    header = fits.Header()
    keys = {"CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR", "CUNIT1": "deg", "CUNIT2": "deg"}
    keys |= {"CRVAL1": 0.0, "CRVAL2": 0.0, "CRPIX1": 180.5, "CRPIX2": 90.5}
    header.update(keys | {"CDELT1": -step, "CDELT2": step, "BUNIT": "TeV-1 m-2 s-1 sr-1"})
    energy = fits.Column("ENERGY", "D", unit="TeV", array=[0.05, 20.0])
    table = fits.BinTableHDU.from_columns([energy], name="ENERGIES")
    path = tmp_path / "all.fits"
    fits.HDUList([fits.PrimaryHDU(np.stack([plane, plane]), header), table]).writeto(path)
    frame = RegionFrame(Position(frame="galactic", lon="180 deg", lat="0 deg"))
    (term,) = template(path).terms(GRID, frame, {}, {})
    lon, _ = GRID.sky.mesh()
    expected = GRID.energy.widths[:, None, None] * (2 - np.cos(np.radians(lon)))
    assert_allclose(intensity(term), expected, rtol=1e-4)


def test_cell_integrals_follow_the_planes_and_survive_zeros():
    energy = np.array([1.0, 2.0, 5.0, 9.0])
    planes = np.array([4.0, 1.0, 0.0, 2.0])[:, None]
    edges = np.array([1.0, 1.5, 4.0, 9.0, 20.0])

    def value(e):
        if e < 2:
            return 4 * e**-2
        return np.interp(e, energy[1:], planes[1:, 0], right=0.0)

    cells = pairwise(edges)
    expected = [quad(value, a, b, points=[2, 5, 9])[0] for a, b in cells]
    assert_allclose(cell_integrals(energy, planes, edges)[:, 0], expected, rtol=1e-9)


def test_unusable_cubes_are_refused(tmp_path):
    nan = np.full((7, 16, 24), np.nan)
    cases = [
        ({"unit": ""}, "its unit \\(BUNIT ''\\) is not an intensity"),
        ({"unit": "MeV"}, "is not an intensity"),
        ({"data": nan}, "negative intensity or NaN"),
        ({"data": -np.ones((7, 16, 24))}, "negative intensity or NaN"),
        ({"data": np.ones((6, 16, 24))}, "6 planes but 7 energies"),
        ({"data": np.ones((16, 24))}, "not a cube"),
        ({"energies": False}, "no table with a column ENERGY"),
        ({"energy": MEV[::-1].copy()}, "not positive and rising"),
    ]
    for i, (changes, message) in enumerate(cases):
        path = write_cube(tmp_path / f"{i}.fits", **changes)
        with pytest.raises(DataError, match=message):
            template(path)


def test_a_photon_unit_is_an_intensity_too(tmp_path):
    plain = template(write_cube(tmp_path / "a.fits"))
    photons = template(write_cube(tmp_path / "b.fits", unit="ph cm-2 s-1 MeV-1 sr-1"))
    assert_allclose(plain.cube.intensity, photons.cube.intensity)


def test_a_truncated_cube_is_refused(tmp_path):
    path = write_cube(tmp_path / "cube.fits")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cube\.fits: not a complete FITS file"):
        template(path)


@pytest.mark.data
def test_the_fermi_template_is_found(data_folder):
    source = build_source(
        "diffuse", COMPONENT.validate_python({"kind": "diffuse_template"}), data_folder
    )
    (term,) = source.terms(GRID, CENTRE, {}, {})
    assert np.all(term.morphology.intensity > 0)
    # Brightest along the plane, falling steeply with energy.
    profile = term.morphology.intensity[0].mean(axis=1)
    assert abs(GRID.sky.lat[profile.argmax()]) < 0.2
    assert np.all(np.diff(np.log(term.spectrum[0] / GRID.energy.widths)) < 0)
