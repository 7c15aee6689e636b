"""The plane survey catalogue as a component."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pydantic import TypeAdapter

from skymix.axes import EnergyAxis, Grid, SkyGrid
from skymix.domains.gamma.components import build_source
from skymix.domains.gamma.components.base import GridMorphology, PointMorphology
from skymix.domains.gamma.components.catalogue import (
    ProjectedShell,
    read_hgps,
)
from skymix.domains.gamma.components.files import read_hdus
from skymix.domains.gamma.components.radial import radial_cell_means
from skymix.domains.gamma.geometry import RegionFrame
from skymix.errors import DataError, StudyError
from skymix.study.components import AnyComponent, Position
from skymix.study.files import PLANE_SURVEY

COMPONENT = TypeAdapter(AnyComponent)
GALACTIC_CENTRE = RegionFrame(Position(frame="galactic", lon="0 deg", lat="0 deg"))
GRID = Grid(EnergyAxis.logarithmic(0.1, 100, 5), SkyGrid.centred(4, 3, 0.05))


def test_shell_holds_its_content_and_is_empty_outside():
    shell = ProjectedShell(np.radians(0.38), np.radians(0.4))
    sky = SkyGrid.centred(1.2, 1.2, 0.05)
    means = radial_cell_means(sky, 0.02, 0.01, shell, boundary_within=0.4)
    assert_allclose(np.sum(means * sky.solid_angle), 1, rtol=1e-5)
    assert np.all(means >= 0)
    assert np.all(means[:3] == 0)
    # Limb brightening.
    assert means[12, 19] > 2 * means[12, 12]


def test_shell_intensity_is_the_slope_of_its_content():
    shell = ProjectedShell(0.8e-3, 1e-3)
    psi = np.linspace(0, 1.1e-3, 23) + 1e-6
    step = 1e-9
    slope = (shell.cumulative(psi + step) - shell.cumulative(psi - step)) / (2 * step)
    assert_allclose(slope / psi, shell.intensity(psi), rtol=1e-4, atol=1)


@pytest.fixture(scope="module")
def entries(data_folder):
    return {entry.name: entry for entry in read_hgps(data_folder / PLANE_SURVEY)}


@pytest.fixture(scope="module")
def table(data_folder):
    return dict((name, data) for name, _, data in read_hdus(data_folder / PLANE_SURVEY))[
        "HGPS_SOURCES"
    ]


def catalogue(data, **settings):
    return build_source(
        "sources", COMPONENT.validate_python({"kind": "catalogue"} | settings), data
    )


@pytest.mark.data
def test_all_sources_are_read_with_shares_that_add_up(entries):
    assert len(entries) == 78
    assert sum(entry.inverse_cutoff > 0 for entry in entries.values()) == 12
    for entry in entries.values():
        assert_allclose(sum(lobe.share for lobe in entry.lobes), 1, rtol=1e-12)
    assert len(entries["HESS J0835-455"].lobes) == 3
    assert entries["HESS J1713-397"].lobes[0].shell
    assert entries["HESS J1745-290"].lobes[0].size == 0


@pytest.mark.data
def test_spectra_give_the_flux_above_one_tev_of_the_catalogue(entries, table):
    edges = np.geomspace(1, 1e5, 400)
    for row in table:
        flux = entries[row["Source_Name"].strip()].spectrum(edges).sum()
        # The catalogue's numbers are rounded; the integral is its own.
        assert_allclose(flux, 1e4 * row["Flux_Spec_Int_1TeV"], rtol=0.02)


@pytest.mark.data
def test_sources_of_the_galactic_centre(data_folder):
    source = catalogue(data_folder)
    assert source.parameters == ()
    names = {entry.name for entry in source.reaching(GRID.sky, GALACTIC_CENTRE)}
    assert names == {
        "HESS J1741-302",
        "HESS J1745-290",
        "HESS J1745-303",
        "HESS J1746-285",
        "HESS J1746-308",
        "HESS J1747-281",
    }
    terms = source.terms(GRID, GALACTIC_CENTRE, {}, {})
    assert len(terms) == 6
    for term in terms:
        assert term.spectrum.shape == (1, GRID.energy.size)
        if isinstance(term.morphology, PointMorphology):
            assert_allclose(term.morphology.weight.sum(), 1)
        else:
            content = np.sum(term.morphology.intensity * GRID.sky.solid_angle)
            assert 0.3 < content < 1 + 1e-9


@pytest.mark.data
def test_shells_and_several_gaussians(data_folder):
    frame = RegionFrame(Position(frame="galactic", lon="347.3 deg", lat="-0.5 deg"))
    source = catalogue(data_folder)
    names = [entry.name for entry in source.reaching(GRID.sky, frame)]
    shell = source.terms(GRID, frame, {}, {})[names.index("HESS J1713-397")]
    assert isinstance(shell.morphology, GridMorphology)
    assert_allclose(np.sum(shell.morphology.intensity * GRID.sky.solid_angle), 1, rtol=1e-5)
    frame = RegionFrame(Position(frame="galactic", lon="263.96 deg", lat="-3.05 deg"))
    grid = Grid(GRID.energy, SkyGrid.centred(8, 8, 0.05))
    vela = catalogue(data_folder).terms(grid, frame, {}, {})
    content = [np.sum(t.morphology.intensity * grid.sky.solid_angle) for t in vela]
    assert_allclose(content[:3], 1, rtol=1e-3)
    assert_allclose(vela[0].spectrum[0] / vela[1].spectrum[0], 2.7644566 / 1.0797381, rtol=1e-6)


@pytest.mark.data
def test_exclusion(data_folder):
    left = catalogue(data_folder, exclude=["HESS J1745-290"])
    assert len(left.terms(GRID, GALACTIC_CENTRE, {}, {})) == 5
    with pytest.raises(
        StudyError, match=r"components\.sources\.exclude: 'HESS J1745-29' .*J1745-290"
    ):
        catalogue(data_folder, exclude=["HESS J1745-29"])


@pytest.mark.data
def test_no_source_in_reach(data_folder):
    frame = RegionFrame(Position(frame="icrs", lon="83.63 deg", lat="22.01 deg"))
    with pytest.raises(StudyError, match="no source of the catalogue reaches the true sky"):
        catalogue(data_folder).terms(GRID, frame, {}, {})


@pytest.mark.data
def test_truncated_and_foreign_files_are_refused(data_folder, tmp_path):
    content = (data_folder / PLANE_SURVEY).read_bytes()
    path = tmp_path / "short.fits.gz"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="not a complete FITS file"):
        catalogue(tmp_path, path=str(path))
    other = data_folder / "gamma/fermi-gc/gll_iem_v07_gc.fits.gz"
    with pytest.raises(DataError, match="'HGPS_SOURCES' is missing"):
        catalogue(data_folder, path=str(other))
    with pytest.raises(DataError, match=r"components\.sources\.path: .* does not exist"):
        catalogue(tmp_path)
