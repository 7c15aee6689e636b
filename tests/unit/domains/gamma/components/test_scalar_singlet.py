"""The scalar singlet's branching fractions and spectrum."""

import shutil

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skymix.domains.gamma.components.cosmixs import read_cosmixs
from skymix.domains.gamma.components.parameters import Values
from skymix.domains.gamma.components.pppc4dmid import read_pppc4dmid
from skymix.domains.gamma.components.scalar_singlet import (
    COSMIXS_STATES,
    FINAL_STATES,
    SingletCrossSections,
    SingletSpectrum,
)
from skymix.errors import DataError, StudyError
from skymix.study.files import ANNIHILATION_SPECTRA, SINGLET_CROSS_SECTIONS

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def cross_sections(data_folder):
    return SingletCrossSections.read(data_folder / SINGLET_CROSS_SECTIONS)


def fractions(cross_sections, mass, coupling):
    got = cross_sections.fractions(np.array([mass]), np.array([coupling]))[0]
    return dict(zip(FINAL_STATES, got, strict=True))


def test_fractions_at_a_node_are_those_of_the_files(cross_sections, data_folder):
    i, j = 250, 10
    sigma = {}
    for name in FINAL_STATES:
        path = data_folder / SINGLET_CROSS_SECTIONS / f"SHP_sigmav_{name}.dat"
        table = [line.split() for line in path.read_text().splitlines() if line[0] != "#"]
        sigma[name] = float(table[i][j + 1])
        mass = float(table[i][0]) * 1e-3
    got = fractions(cross_sections, mass, 10 ** (-4 + 0.25 * j))
    total = sum(sigma.values())
    for name in FINAL_STATES:
        assert_allclose(got[name], sigma[name] / total, rtol=1e-9, atol=1e-20)


def test_goldstone_equivalence_at_high_mass(cross_sections):
    # Far above all thresholds W : Z = 2 : 1. (h should equal Z; the tables have a fifth of it.)
    got = fractions(cross_sections, 10.0, 0.1)
    assert_allclose(got["ww"] / got["zz"], 2, rtol=0.03)
    assert got["ww"] + got["zz"] + got["hh"] > 0.999


def test_bottom_quarks_below_the_w(cross_sections):
    assert fractions(cross_sections, 0.01, 0.01)["bb"] > 0.7


def test_fractions_add_up_between_nodes(cross_sections):
    mass = np.geomspace(0.03, 19, 200)
    got = cross_sections.fractions(mass, np.full(200, 0.037))
    assert_allclose(got.sum(axis=1), 1, rtol=1e-12)
    assert np.all(got >= 0)


def test_outside_and_inconsistent_points_are_refused(cross_sections):
    with pytest.raises(StudyError, match=r"mass: 30 TeV is outside .* 0.002 to 19.08"):
        fractions(cross_sections, 30.0, 0.1)
    with pytest.raises(StudyError, match=r"coupling: 20 is outside .* 0.0001 to 10"):
        fractions(cross_sections, 1.0, 20.0)
    with pytest.raises(StudyError, match="not to be trusted"):
        fractions(cross_sections, 0.002, 10.0)


def test_spectrum_is_the_weighted_sum(cross_sections, data_folder):
    table = read_pppc4dmid(data_folder / ANNIHILATION_SPECTRA["pppc4dmid"])
    edges, mass = np.geomspace(0.01, 10, 20), np.array([1.0, 1.0])
    rows = {"dm.coupling": np.array([0.01, 5.0])}
    spectrum = SingletSpectrum(table, cross_sections, 0.01, FINAL_STATES)
    got = spectrum.photons(edges, mass, Values("dm", {}, rows))
    share = fractions(cross_sections, 1.0, 0.01)
    main = {"ww": "W", "zz": "Z", "hh": "h", "tt": "t"}
    expected = sum(share[k] * table.photons(v, edges, mass[:1])[0] for k, v in main.items())
    assert_allclose(got[0], expected, rtol=1e-3, atol=1e-9)
    assert_allclose(got[0], got[1], rtol=1e-12)


def test_cosmixs_spectra_give_nearly_the_same_photons(cross_sections, data_folder):
    edges, mass = np.array([0.03, 0.1, 0.3]), np.array([1.0, 3.0])
    values = Values("dm", {}, {"dm.mass": mass})
    pppc = read_pppc4dmid(data_folder / ANNIHILATION_SPECTRA["pppc4dmid"])
    cosmixs = read_cosmixs(data_folder / ANNIHILATION_SPECTRA["cosmixs"])
    old = SingletSpectrum(pppc, cross_sections, 0.1, FINAL_STATES)
    new = SingletSpectrum(cosmixs, cross_sections, 0.1, COSMIXS_STATES)
    ratio = new.photons(edges, mass, values) / old.photons(edges, mass, values)
    assert np.all((ratio > 0.9) & (ratio < 1.3))
    assert not np.allclose(ratio, 1, atol=1e-3)


def test_missing_and_truncated_tables_are_refused(data_folder, tmp_path):
    folder = tmp_path / "tables"
    shutil.copytree(data_folder / SINGLET_CROSS_SECTIONS, folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    path = folder / "SHP_sigmav_ww.dat"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-20]))
    with pytest.raises(DataError, match=r"ww\.dat: its masses are not those"):
        SingletCrossSections.read(folder)
    path.write_text("\n".join(lines)[:-30])
    with pytest.raises(DataError, match=r"ww\.dat: not a table of numbers"):
        SingletCrossSections.read(folder)
    path.unlink()
    with pytest.raises(DataError, match=r"ww\.dat does not exist"):
        SingletCrossSections.read(folder)
