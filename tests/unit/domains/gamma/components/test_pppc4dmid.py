"""PPPC4DMID photon spectra."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skymix.domains.gamma.components.parameters import Values
from skymix.domains.gamma.components.pppc4dmid import read_pppc4dmid
from skymix.domains.gamma.components.spectrum_table import ChannelSpectrum, TabulatedChannels
from skymix.errors import DataError, StudyError
from skymix.study.files import ANNIHILATION_SPECTRA

HEADER = "mDM Log[10,x] b \\[Tau] W \\[Nu]\\[Mu] V->\\[Mu]"
NONE = Values("halo", {}, {})


def rows():
    """Three masses and four x; W opens at 1 TeV."""
    for m, mass in enumerate([100.0, 1000.0, 10000.0]):
        for log_x in (-3.0, -2.0, -0.5, 0.0):
            b = 10.0 * 10**-log_x * (m + 1)
            yield [mass, log_x, b, -log_x + 0.1, 0.0 if m == 0 else 1.0, 0.5, 0.25]


def write(path, lines):
    path.write_text("\n".join([HEADER, *(" ".join(f"{x:g}" for x in row) for row in lines)]))
    return path


@pytest.fixture
def table(tmp_path):
    return read_pppc4dmid(write(tmp_path / "table.dat", rows()))


def test_reads_masses_and_plain_channel_names(table):
    assert_allclose(table.channels["b"].mass, [0.1, 1, 10])
    assert list(table.channels) == ["b", "tau", "W", "numu", "V->mu"]
    assert table.opens_at("W") == 1


def test_cells_are_trapezoids_of_the_table(table):
    # Between log10 x of -2 and -0.5 at 1 TeV, tau is 2.1 and 0.6.
    edges = 10 ** np.array([-2.0, -1.25, -0.5])
    got = table.photons("tau", edges, np.array([1.0]))
    assert_allclose(got, [[0.75 * 0.5 * (2.1 + 1.35), 0.75 * 0.5 * (1.35 + 0.6)]], rtol=1e-12)


def test_cut_at_the_mass_and_below_the_table(table):
    got = table.photons("V->mu", np.array([1e-9, 1e-4, 1e-3, 1.0, 5.0]), np.array([1.0]))
    assert_allclose(got, [[0, 0, 0.75, 0]], atol=1e-15)


def test_between_masses_linear_in_the_logarithm(table):
    mass = np.array([0.1, np.sqrt(0.1), 1.0])
    x = np.array([1e-2, 1e-1])
    photons = [table.photons("b", x * m, np.array([m]))[0, 0] for m in mass]
    assert_allclose(photons[1], 0.5 * (photons[0] + photons[2]), rtol=1e-12)


@settings(max_examples=100)
@given(mass=st.floats(0.1, 10), low=st.floats(-2.9, -0.2), width=st.floats(1e-3, 0.1))
def test_never_beyond_the_neighbouring_masses(mass, low, width):
    lines = np.array(list(rows()))
    density, none = lines[:, 2].reshape(3, 4), np.zeros(3)
    channel = ChannelSpectrum(np.array([0.1, 1, 10]), lines[:4, 1], density, none)
    x = 10 ** np.array([low, low + width])
    at = [channel.photons(x * m, np.array([m]))[0, 0] for m in (0.1, 1.0, 10.0)]
    got = channel.photons(x * mass, np.array([mass]))[0, 0]
    assert min(at) * (1 - 1e-9) <= got <= max(at) * (1 + 1e-9)


def test_masses_outside_are_refused(table):
    for mass in (0.05, 11.0):
        with pytest.raises(StudyError, match=r"mass: .* outside table.dat, which holds 0.1 to 10"):
            table.photons("b", np.array([0.1, 1.0]), np.array([1.0, mass]))


def test_channels_that_are_closed_or_unknown_are_refused(table):
    edges = np.array([0.1, 1.0])
    with pytest.raises(StudyError, match=r"below the 1 TeV from which table.dat has channel 'W'"):
        TabulatedChannels(table, {"W": 1.0}).photons(edges, np.array([0.5]), NONE)
    with pytest.raises(StudyError, match=r"'tauu' is not in table.dat.*did you mean 'tau'"):
        table.channel("tauu")
    with pytest.raises(StudyError, match="'x y' is not in table"):
        table.channel("x y")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its columns are not"),
        ("a b c\n1 2 3", "its columns are not"),
        (HEADER + "\n100 0 1 1 1 1 x", "not a table of numbers"),
        (HEADER + "\n100 0 1 1 1 1", "its columns are not"),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    path = tmp_path / "bad.dat"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_pppc4dmid(path)


def test_missing_rows_and_nan_are_refused(tmp_path):
    lines = list(rows())
    with pytest.raises(DataError, match="rows are missing"):
        read_pppc4dmid(write(tmp_path / "short.dat", lines[:-1]))
    lines[3][2] = np.nan
    with pytest.raises(DataError, match="negative number or NaN"):
        read_pppc4dmid(write(tmp_path / "nan.dat", lines))


@pytest.fixture(scope="module")
def recorded(data_folder):
    return read_pppc4dmid(data_folder / ANNIHILATION_SPECTRA["pppc4dmid"])


@pytest.mark.data
def test_energy_is_conserved_in_every_channel(recorded):
    assert len(recorded.channels) == 28
    x = 10 ** np.linspace(-8.9, 0, 3561)
    for name, channel in recorded.channels.items():
        for mass in channel.mass[[0, 20, 40, 61]]:
            photons = recorded.photons(name, x * mass, np.array([mass]))[0]
            share = np.sum(photons * np.sqrt(x[1:] * x[:-1]))
            assert 0 <= share < 2.0, (name, mass)
    gamma = recorded.photons("gamma", x * 0.005, np.array([0.005]))[0]
    # Two photons at x = 1, of which some split.
    assert_allclose(np.sum(gamma * np.sqrt(x[1:] * x[:-1])), 2, rtol=0.06)


@pytest.mark.data
def test_photons_vary_smoothly_with_the_mass(recorded):
    edges = np.geomspace(0.03, 100, 30)
    mass = np.geomspace(0.1, 100, 4000)
    photons = recorded.photons("b", edges, mass)
    assert np.all(photons >= 0)
    step = np.abs(np.diff(photons, axis=0))
    # Log steps of 0.0017: a jump at a cell edge would be of the order of the photons themselves.
    assert np.max(step / (photons[1:] + 0.01)) < 0.05
