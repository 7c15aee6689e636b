"""CosmiXs and HDMSpectra, and the line of a channel."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skymix.domains.gamma.components.cosmixs import read_cosmixs
from skymix.domains.gamma.components.hdmspectra import (
    STATES,
    fragmentation,
    read_hdmspectra,
    unsplit,
)
from skymix.domains.gamma.components.pppc4dmid import read_pppc4dmid
from skymix.domains.gamma.components.spectrum_table import ChannelSpectrum, line_cells
from skymix.errors import DataError, StudyError
from skymix.store.foreign import read_hdf5
from skymix.study.files import ANNIHILATION_SPECTRA

CENTRE = "# DM Log10[x] dN/dLog10(x) [b] dN/dLog10(x) [a] dN/dLog10(x) [H]"


@settings(max_examples=100)
@given(log_e=st.floats(-0.99, 0.99))
def test_a_line_keeps_its_photons_and_mean_log_energy(log_e):
    edges = 10 ** np.linspace(-1.1, 1.1, 23)
    share = line_cells(edges, np.array([10**log_e]))[0]
    centres = np.sqrt(edges[1:] * edges[:-1])
    assert_allclose(share.sum(), 1, rtol=1e-12)
    assert np.count_nonzero(share > 1e-12) <= 2
    assert_allclose(share @ np.log10(centres), log_e, atol=1e-9)


def test_a_line_outside_the_cells_is_not_seen():
    edges = np.array([1.0, 2.0, 4.0])
    share = line_cells(edges, np.array([0.99, 1.01, 3.9, 4.1]))
    assert_allclose(share, [[0, 0], [1, 0], [0, 1], [0, 0]])
    assert_allclose(line_cells(edges[:2], np.array([1.5, 3.0])), [[1], [0]])


def test_a_line_is_interpolated_in_its_photons_between_masses():
    mass, x = np.array([1.0, 100.0]), np.array([-2.0, 0.0])
    channel = ChannelSpectrum(mass, x, np.zeros((2, 2)), np.array([2.0, 1.0]))
    got = channel.photons(np.geomspace(0.1, 1000, 9), np.array([1.0, 10.0, 100.0]))
    assert_allclose(got.sum(axis=1), [2.0, 1.5, 1.0])


def cosmixs_lines():
    for mass in (100, 1000):
        for i, log_x in enumerate([-0.75, -0.25]):
            yield f"{mass} {log_x} {i + 1} 7 0.5"


def test_cosmixs_between_bin_centres(tmp_path):
    path = tmp_path / "AtProduction-Gammas.dat"
    path.write_text("\n".join([CENTRE, *cosmixs_lines()]))
    table = read_cosmixs(path)
    assert list(table.channels) == ["b", "h"]
    edges = 10 ** np.array([-1.0, -0.75, -0.5, -0.25, 0.0])
    got = table.photons("b", edges, np.array([1.0]))
    assert_allclose(got, [[0.25, 0.25 * 1.25, 0.25 * 1.75, 0.5]], rtol=1e-9)
    with pytest.raises(StudyError, match=r"channel 'gamma' .* has no line; use pppc4dmid"):
        table.channel("gamma")
    with pytest.raises(StudyError, match=r"channels are b, h"):
        table.channel("c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its columns are not"),
        ("# DM x\n1 2 3", "its columns are not"),
        (CENTRE + "\n1 0 x 1 1", "not a table of numbers"),
        (CENTRE + "\n1 -0.75 1 1 1\n1 -0.3 1 1 1", "not the centres of equal bins"),
        (CENTRE + "\n1 -0.75 1 1 1\n1 -0.25 1 -1 1", "negative number or NaN"),
        (CENTRE + "\n1 -0.75 1 1 1\n2 -0.25 1 1 1", "rows are missing"),
    ],
)
def test_other_files_are_not_cosmixs(tmp_path, text, message):
    path = tmp_path / "bad.dat"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_cosmixs(path)


def test_other_files_are_not_hdmspectra(tmp_path):
    path = tmp_path / "other.h5"
    path.write_bytes(b"no HDF5 at all")
    with pytest.raises(DataError, match=r"other\.h5: not a complete HDF5 file"):
        read_hdmspectra(path)
    path.unlink()
    with h5py.File(path, "w") as file:
        file["high_gauge/high_flavors"] = [1]
    with pytest.raises(DataError, match=r"is missing; HDMSpectra\.hdf5"):
        read_hdmspectra(path)


@pytest.fixture(scope="module")
def tables(data_folder):
    readers = {
        "pppc4dmid": read_pppc4dmid,
        "cosmixs": read_cosmixs,
        "hdmspectra": read_hdmspectra,
    }
    return {k: read(data_folder / ANNIHILATION_SPECTRA[k]) for k, read in readers.items()}


@pytest.mark.data
@pytest.mark.parametrize("channel", ["b", "W", "tau", "Zgamma"])
def test_cosmixs_keeps_the_photons_and_the_energy_of_its_bins(tables, data_folder, channel):
    rows = np.loadtxt(data_folder / ANNIHILATION_SPECTRA["cosmixs"])
    column = {"b": 16, "W": 20, "tau": 8, "Zgamma": 27}[channel] + 2
    rows = rows[rows[:, 0] == 1000]
    x = 10 ** np.linspace(-9, 0, 9001)
    photons = tables["cosmixs"].photons(channel, x, np.array([1.0]))[0]
    # The table is a mean over bins of 23 %: its own sums are good to that in x.
    assert_allclose(photons.sum(), 0.09 * rows[:, column].sum(), rtol=0.01)
    energy = photons @ np.sqrt(x[1:] * x[:-1])
    assert_allclose(energy, 0.09 * rows[:, column] @ 10 ** rows[:, 1], rtol=0.02)
    assert energy < 2


@pytest.mark.data
def test_hdmspectra_conserves_momentum(data_folder):
    # Stable states of a photon, a transverse Z, a Higgs and a tau carry all energy; x below 1e-6 is
    # missing, and of quarks and gluons at 1 TeV the file has 90 % and 82 %.
    arrays = read_hdf5(data_folder / ANNIHILATION_SPECTRA["hdmspectra"])
    finals = [22, 2212, -2212, 11, -11, 12, -12, 14, -14, 16, -16]
    for initial, least in [(1922, 0.97), (1923, 0.95), (25, 0.97), (1915, 0.96), (1905, 0.87)]:
        total = 0.0
        for final in finals:
            scale, x, function = fragmentation(arrays, initial, final)
            carried = np.trapezoid(function, x, axis=1)
            carried += unsplit(arrays, initial, final, scale)
            total += np.interp(3.0, scale, carried)
        assert least < total < 1.01, initial


@pytest.mark.data
def test_hdmspectra_line_of_two_photons_is_that_of_pppc4dmid(tables):
    at = np.array([1.0, 10.0])
    edges = np.geomspace(1e-3, 100, 41)
    for mass in at:
        top = [
            tables[k].photons("gamma", edges, np.array([mass]))[0][edges[1:] > 0.8 * mass].sum()
            for k in ("pppc4dmid", "hdmspectra")
        ]
        assert_allclose(top[0], top[1], rtol=0.05)
        assert 1.6 < top[1] < 2


@pytest.mark.data
def test_hdmspectra_channels_and_masses(tables):
    table = tables["hdmspectra"]
    assert set(table.channels) == set(STATES)
    edges = np.geomspace(0.01, 1e4, 30)
    for name in table.channels:
        photons = table.photons(name, edges, np.array([0.5, 3.0, 1e16]))
        assert np.all(np.isfinite(photons) & (photons >= 0)), name
    with pytest.raises(StudyError, match=r"0.3 TeV is outside HDMSpectra.hdf5, which holds 0.5 to"):
        table.photons("b", edges, np.array([0.3]))
    halves = sum(table.photons(n, edges, np.array([3.0])) for n in ("tauL", "tauR")) / 2
    assert_allclose(table.photons("tau", edges, np.array([3.0])), halves, rtol=1e-12)
