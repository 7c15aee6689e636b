import hashlib
from pathlib import Path

import numpy as np
import pytest
from tests.dl3_files import good_irfs, write

from skymix.axes import EnergyAxis
from skymix.domains.gamma.response import tabulate_response
from skymix.errors import DataError
from skymix.store import Provenance, Response, read_product, write_product
from skymix.study.observation import ParametricTelescope, RecordedResponse

AXIS = EnergyAxis(np.geomspace(0.5, 20.0, 5))


def recorded(path):
    return RecordedResponse(kind="dl3", path=path)


def test_built_in_telescope_has_no_input(tmp_path):
    response, inputs = tabulate_response(ParametricTelescope(kind="parametric"), AXIS, tmp_path)
    assert inputs == {}
    assert response.instrument == "skymix parametric telescope"


def test_relative_path_starts_at_the_data_folder_and_is_recorded(tmp_path):
    folder = tmp_path / "irfs"
    folder.mkdir()
    path = write(folder / "irf.fits", *good_irfs().values())
    response, inputs = tabulate_response(recorded("irfs/irf.fits"), AXIS, tmp_path)
    assert inputs == {"irfs/irf.fits": hashlib.sha256(path.read_bytes()).hexdigest()}
    np.testing.assert_array_equal(response.energy_true_edges, AXIS.edges)
    absolute, _ = tabulate_response(recorded(str(path)), AXIS, Path("elsewhere"))
    np.testing.assert_array_equal(absolute.psf, response.psf)


def test_missing_file_names_the_data_folder(tmp_path):
    with pytest.raises(
        DataError, match=r"irf\.fits: no such file in the data folder .*SKYMIX_DATA"
    ):
        tabulate_response(recorded("irf.fits"), AXIS, tmp_path)
    with pytest.raises(DataError, match=r"/absent/irf\.fits: no such file; correct"):
        tabulate_response(recorded("/absent/irf.fits"), AXIS, tmp_path)


@pytest.mark.parametrize("settings", ["parametric", "dl3"])
def test_response_goes_through_its_file(tmp_path, settings):
    if settings == "dl3":
        write(tmp_path / "irf.fits", *good_irfs().values())
        response, inputs = tabulate_response(recorded("irf.fits"), AXIS, tmp_path)
    else:
        response, inputs = tabulate_response(ParametricTelescope(kind="parametric"), AXIS, tmp_path)
    path = tmp_path / "response.h5"
    write_product(path, response, Provenance({}, inputs))
    again = read_product(path, Response)
    for name in ("offset", "effective_area", "edisp", "psf", "background"):
        np.testing.assert_array_equal(getattr(again, name), getattr(response, name))


@pytest.mark.data
def test_size_and_normalisation_for_cta(data_folder):
    path = "gamma/cta-prod5-irfs/Prod5-South-20deg-AverageAz-14MSTs37SSTs.180000s-v0.1.fits.gz"
    axis = EnergyAxis(np.geomspace(0.05, 150.0, 101))
    response, _ = tabulate_response(recorded(path), axis, data_folder)
    assert response.edisp.nbytes + response.psf.nbytes < 100e6
    assert np.isfinite(response.psf).all()
    assert np.all(response.psf >= 0)
    assert np.all(np.diff(response.edisp, axis=-1) >= 0)
    s = np.linspace(0, np.sqrt(response.rad[-1]), 30001)
    ring = 2 * np.pi * np.sin(np.radians(s**2))
    for k in range(response.offset.size):
        for e in (0, 50, 99):
            psf = np.interp(s, np.sqrt(response.rad), response.psf[k, :, e])
            assert np.trapezoid(psf * ring, np.radians(s**2)) == pytest.approx(1, abs=1e-5)
