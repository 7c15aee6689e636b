import numpy as np
import pytest
from astropy.io import fits
from scipy.special import ndtr
from tests.dl3_files import (
    ENERGY_EDGES,
    FOV_EDGES,
    aeff_hdu,
    background_hdu,
    centres,
    edisp_hdu,
    energy_axis,
    good_irfs,
    irf_hdu,
    king_hdu,
    offset_axis,
    psf_table_hdu,
    radial_background_hdu,
    table_hdu,
    write,
)

from skymix.axes import EnergyAxis
from skymix.domains.gamma.irf import background_rate, read_response
from skymix.domains.gamma.irf_types import Stated
from skymix.errors import DataError

AXIS = EnergyAxis(np.geomspace(0.2, 50.0, 13))


def tabulate(tmp_path, axis=AXIS, **changes):
    irfs = {k: v for k, v in (good_irfs() | changes).items() if v is not None}
    return read_response(write(tmp_path / "irf.fits", *irfs.values()), axis)


def inside(rad, psf, radius):
    """Integral of a profile, linear in sqrt(rad) between nodes, on a much finer grid."""
    fine = radius * np.linspace(0, 1, 20001) ** 2
    ring = np.interp(np.sqrt(fine), np.sqrt(rad), psf) * 2 * np.pi * np.sin(np.radians(fine))
    return np.trapezoid(ring, np.radians(fine))


def test_effective_area_is_the_mean_over_cell_and_linear_in_offset(tmp_path):
    r = tabulate(tmp_path)
    assert r.offset.tolist() == [0.0, 0.5, 1.5, 2.5, 3.0]
    a, b = AXIS.edges[:-1], AXIS.edges[1:]
    mean = 1e5 * 2 * (np.sqrt(b) - np.sqrt(a)) / np.log(b / a)
    # The table samples sqrt(E) ten times a decade and is linear in ln E between.
    np.testing.assert_allclose(r.effective_area, mean * (1 - r.offset[:, None] / 10), rtol=4e-3)
    assert r.instrument == "TEST"


def test_energy_dispersion_is_the_cumulative_and_its_scale_does_not_matter(tmp_path):
    r = tabulate(tmp_path)
    expected = ndtr(r.log_migra / 0.15)
    np.testing.assert_allclose(r.edisp, np.broadcast_to(expected, r.edisp.shape), atol=5e-4)
    assert np.all(r.edisp[..., 0] == 0)
    assert np.all(r.edisp[..., -1] == 1)
    assert np.all(np.diff(r.edisp, axis=-1) >= 0)
    np.testing.assert_allclose(np.diff(r.log_migra), r.log_migra[1] - r.log_migra[0], rtol=1e-9)
    scaled = tabulate(tmp_path, edisp=edisp_hdu(scale=0.01))
    np.testing.assert_allclose(scaled.edisp, r.edisp, atol=1e-12)


def test_king_psf_against_its_containment(tmp_path):
    sigma, gamma = 0.05, 2.5
    r = tabulate(tmp_path)

    def share(rad):
        return 1 - (1 + rad**2 / (2 * gamma * sigma**2)) ** (1 - gamma)

    assert share(r.rad[-1]) >= 1 - 1e-6 or r.rad[-1] == pytest.approx(10.0)
    np.testing.assert_allclose(np.sqrt(r.rad), np.linspace(0, np.sqrt(r.rad[-1]), r.rad.size))
    for radius in (0.02, 0.1, 0.4, 2.0):
        got = inside(r.rad, r.psf[2, :, 5], radius)
        assert got == pytest.approx(share(radius) / share(r.rad[-1]), abs=3e-4)
    assert inside(r.rad, r.psf[2, :, 5], r.rad[-1]) == pytest.approx(1.0, abs=3e-4)


def test_king_psf_with_too_heavy_a_tail_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"within 10 deg the PSF holds only 0\.8"):
        tabulate(tmp_path, psf=king_hdu(sigma=0.3, gamma=1.3))


def test_table_psf_keeps_the_share_within_every_ring(tmp_path):
    r = tabulate(tmp_path, psf=psf_table_hdu(sigma=0.08))
    for radius in (0.02, 0.1, 0.2, 0.3):
        expected = -np.expm1(-0.5 * (radius / 0.08) ** 2)
        assert inside(r.rad, r.psf[1, :, 3], radius) == pytest.approx(expected, abs=3e-4)
    flat = np.radians(0.08)
    at = np.interp(0.05, r.rad, r.psf[1, :, 3])
    assert at == pytest.approx(np.exp(-0.5 * (5 / 8) ** 2) / (2 * np.pi * flat**2), rel=5e-3)


def test_empty_psf_row_between_others_is_passed_over(tmp_path):
    sigma = np.full(len(ENERGY_EDGES) - 1, 0.08)
    hdu = psf_table_hdu(sigma)
    hdu.data["RPSF"][0][:, :, 14] = 0.0
    r = tabulate(tmp_path, psf=hdu)
    np.testing.assert_allclose(r.psf, tabulate(tmp_path, psf=psf_table_hdu(sigma)).psf, rtol=1e-9)


@pytest.mark.parametrize("name", ["edisp", "psf"])
def test_area_without_a_shape_is_refused(tmp_path, name):
    hdu, column = {"edisp": (edisp_hdu(), "MATRIX"), "psf": (psf_table_hdu(), "RPSF")}[name]
    hdu.data[column][0][..., :5] = 0.0  # nothing known below 0.316 TeV
    with pytest.raises(DataError, match=f"{name.upper()} is defined only from 0.3162 to 100 TeV"):
        tabulate(tmp_path, **{name: hdu})
    above = EnergyAxis(np.geomspace(0.32, 50, 5))
    assert np.isfinite(tabulate(tmp_path, above, **{name: hdu}).psf).all()


@pytest.mark.parametrize("name", ["edisp", "psf"])
def test_no_shape_is_needed_where_there_is_no_area(tmp_path, name):
    hdu, column = {"edisp": (edisp_hdu(), "MATRIX"), "psf": (psf_table_hdu(), "RPSF")}[name]
    hdu.data[column][0][..., :5] = 0.0
    e, o = centres(ENERGY_EDGES, log=True), centres([0, 1, 2, 3])
    area = np.where(e > 0.35, 1e5, 0.0)[None] * np.ones(o.size)[:, None]
    axis = EnergyAxis(np.geomspace(0.11, 50, 15))
    r = tabulate(tmp_path, axis, aeff=aeff_hdu(area), **{name: hdu})
    assert np.all(r.effective_area[:, 0] == 0)
    assert inside(r.rad, r.psf[1, :, 0], r.rad[-1]) == pytest.approx(1, abs=1e-3)
    assert np.all(r.edisp[..., -1] == 1)


def test_shapes_are_weighted_with_the_area_within_a_cell(tmp_path):
    # Area only in the upper half of a wide cell, where the PSF is narrow.
    e = centres(ENERGY_EDGES, log=True)
    area = np.where(e > 1.0, 1e5, 0.0)[None] * np.ones((3, 1))
    hdu = psf_table_hdu(np.where(e > 1.0, 0.05, 0.15))
    r = tabulate(tmp_path, EnergyAxis(np.array([0.2, 6.0])), aeff=aeff_hdu(area), psf=hdu)
    assert inside(r.rad, r.psf[1, :, 0], 0.15) > 0.985  # unweighted: about 0.7


# Background --------------------------------------------------------------------------------


def test_background_convention_fov_lon_increases_with_right_ascension(tmp_path):
    r = tabulate(tmp_path)
    # DETX of the standard increases with decreasing right ascension.
    lon, lat = np.array([1.0, -1.0, 0.0]), np.array([0.0, 0.0, 2.0])
    expected = 1.0 * (1 - 0.2 * lon + 0.1 * lat) * 2.0**-2.7
    np.testing.assert_allclose(background_rate(r, np.float64(2.0), lon, lat), expected, rtol=1e-6)


def test_background_marked_as_reversed_is_not_turned_about(tmp_path):
    r = tabulate(tmp_path, bkg=background_hdu(align="REVERSE_LON_RADEC"))
    lon = np.array([1.0, -1.0])
    np.testing.assert_allclose(
        background_rate(r, np.float64(1.0), lon, np.zeros(2)), 1 + 0.2 * lon, rtol=1e-6
    )


def test_files_of_the_first_hess_exporter_are_reversed(tmp_path):
    cards = {"CREATOR": "SASH FITS::EventListWriter", "HDUVERS": "0.2"}
    events = table_hdu("EVENTS", [("ENERGY", "D", "TeV", np.ones(1))], cards)
    r = tabulate(tmp_path, events=events)
    rate = background_rate(r, np.float64(1.0), np.array([1.0, -1.0]), np.zeros(2))
    np.testing.assert_allclose(rate, [1.2, 0.8], rtol=1e-6)


def test_background_is_a_power_law_to_the_outer_edges_and_zero_beyond(tmp_path):
    r = tabulate(tmp_path)
    energy = np.array([0.1, 0.13, 3.3, 100.0])
    zero = np.zeros(4)
    np.testing.assert_allclose(background_rate(r, energy, zero, zero), energy**-2.7, rtol=1e-6)
    assert np.all(background_rate(r, np.array([0.09, 101.0]), zero[:2], zero[:2]) == 0)
    edge = np.array([3.01, 0.0]), np.array([0.0, -3.01])
    assert np.all(background_rate(r, np.ones(2), *edge) == 0)


def test_background_beside_a_zero_falls_linearly(tmp_path):
    hdu = background_hdu()
    hdu.data["BKG"][0][..., 15:] = 0.0
    r = tabulate(tmp_path, bkg=hdu)
    low, high = centres(ENERGY_EDGES, log=True)[14:16]
    at_low = low**-2.7
    middle = background_rate(r, np.sqrt(low * high), np.zeros(1), np.zeros(1))
    np.testing.assert_allclose(middle, 0.5 * at_low, rtol=1e-6)
    assert background_rate(r, np.float64(high), np.zeros(1), np.zeros(1))[0] == 0


def test_radial_background_is_expanded(tmp_path):
    r = tabulate(tmp_path, bkg=radial_background_hdu())
    rng = np.random.default_rng(1)
    offset, angle = rng.uniform(0.6, 2.4, 200), rng.uniform(0, 2 * np.pi, 200)
    lon, lat = offset * np.cos(angle), offset * np.sin(angle)
    rate = background_rate(r, np.float64(1.0), lon, lat)
    np.testing.assert_allclose(rate, 1 - offset / 4, rtol=3e-3)
    assert np.all(background_rate(r, np.float64(1.0), np.array([2.2]), np.array([2.2])) == 0)


@pytest.mark.parametrize(
    ("align", "message"), [("ALTAZ", "FOVALIGN = ALTAZ"), (None, "no FOVALIGN, which means ALTAZ")]
)
def test_background_in_horizontal_coordinates_is_refused(tmp_path, align, message):
    with pytest.raises(DataError, match=message):
        tabulate(tmp_path, bkg=background_hdu(align=align))


# Bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        ("1/s/MeV/sr", "column BKG of BKG has the invalid unit '1/s/MeV/sr'; gammapy would assume"),
        (None, "column BKG of BKG has no unit; gammapy would assume 's-1 MeV-1 sr-1'"),
        ("m2", "gammapy cannot read BKG as bkg_3d in s-1 TeV-1 sr-1"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*did not parse:astropy.units.UnitsWarning")
def test_background_units_are_not_guessed(tmp_path, unit, message):
    with pytest.raises(DataError, match=message):
        tabulate(tmp_path, bkg=background_hdu(unit=unit))


@pytest.mark.parametrize("unit", ["1/s/MeV/sr", None])
@pytest.mark.filterwarnings("ignore:.*did not parse:astropy.units.UnitsWarning")
def test_a_unit_may_be_stated_where_the_file_has_no_valid_one(tmp_path, unit):
    expected = tabulate(tmp_path, bkg=background_hdu(unit="s-1 MeV-1 sr-1"))
    path = write(
        tmp_path / "irf.fits", *(good_irfs() | {"bkg": background_hdu(unit=unit)}).values()
    )
    got = read_response(path, AXIS, Stated(unit="s-1 MeV-1 sr-1"))
    np.testing.assert_array_equal(got.background, expected.background)


def test_what_the_file_says_is_not_overruled(tmp_path):
    path = write(tmp_path / "irf.fits", *good_irfs().values())
    with pytest.raises(DataError, match=r"has the valid unit .* leave response.background_unit"):
        read_response(path, AXIS, Stated(unit="s-1 MeV-1 sr-1"))
    with pytest.raises(DataError, match=r"has FOVALIGN = RADEC; leave response.background_align"):
        read_response(path, AXIS, Stated(alignment="RADEC"))


def test_an_alignment_may_be_stated_where_the_file_has_none(tmp_path):
    expected = tabulate(tmp_path)
    path = write(
        tmp_path / "irf.fits", *(good_irfs() | {"bkg": background_hdu(align=None)}).values()
    )
    got = read_response(path, AXIS, Stated(alignment="RADEC"))
    np.testing.assert_array_equal(got.background, expected.background)


@pytest.mark.filterwarnings("ignore:.*did not parse:astropy.units.UnitsWarning")
def test_other_invalid_units_are_refused(tmp_path):
    hdu = aeff_hdu()
    hdu.columns["EFFAREA"].unit = "square metres"
    with pytest.raises(DataError, match=r"column EFFAREA of AEFF has the invalid unit.*TUNIT5"):
        tabulate(tmp_path, aeff=hdu)


def _spoiled(hdu, column, value):
    hdu.data[column][0].flat[7] = value
    return hdu


def test_small_negative_cells_of_the_dispersion_are_zero(tmp_path):
    """As in H.E.S.S. DL3 DR1; the rest of the energy's dispersion is normalised."""
    (tmp_path / "a").mkdir()
    overshot = tabulate(tmp_path, edisp=_spoiled(edisp_hdu(), "MATRIX", -1e-3))
    zero = tabulate(tmp_path / "a", edisp=_spoiled(edisp_hdu(), "MATRIX", 0.0))
    np.testing.assert_array_equal(overshot.edisp, zero.edisp)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"psf": None}, "has no PSF table; a response needs AEFF, EDISP, PSF and BKG"),
        ({"aeff": None, "bkg": None}, "has no AEFF, BKG table"),
        ({"second": aeff_hdu()}, "more than one AEFF table"),
        ({"aeff": aeff_hdu(HDUCLAS3="POINT-LIKE")}, "AEFF is a point-like response"),
        ({"edisp": edisp_hdu(HDUCLAS4="EDISP_9D")}, "HDUCLAS4 = 'EDISP_9D'; EDISP can be read as"),
        ({"aeff": _spoiled(aeff_hdu(), "EFFAREA", np.nan)}, "EFFAREA of AEFF is not finite"),
        ({"edisp": _spoiled(edisp_hdu(), "MATRIX", -1e3)}, "EDISP has negative values that"),
        ({"psf": _spoiled(king_hdu(), "SIGMA", np.inf)}, "SIGMA of PSF is not finite"),
        ({"aeff": aeff_hdu(np.zeros((3, 30)))}, "AEFF is zero at all true energies"),
    ],
)
def test_bad_responses_are_refused(tmp_path, changes, message):
    with pytest.raises(DataError, match=message) as error:
        tabulate(tmp_path, **changes)
    assert "irf.fits" in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_column_is_refused(tmp_path):
    hdu = irf_hdu(
        "AEFF", [energy_axis(), offset_axis()], [("AREA", "m2", np.ones((3, 30)))], "EFF_AREA", "2D"
    )
    with pytest.raises(DataError, match=r"gammapy cannot read AEFF as aeff_2d.*EFFAREA"):
        tabulate(tmp_path, aeff=hdu)


@pytest.mark.parametrize("edges", [(0.05, 10.0), (1.0, 150.0)])
def test_true_energies_outside_the_response_are_refused(tmp_path, edges):
    with pytest.raises(DataError, match=r"true energies .* reach beyond the response's 0.1 to 100"):
        tabulate(tmp_path, EnergyAxis(np.geomspace(*edges, 5)))


def test_whole_range_of_the_response_is_allowed(tmp_path):
    r = tabulate(tmp_path, EnergyAxis(ENERGY_EDGES.astype(np.float32).astype(float)))
    assert r.effective_area.shape == (5, 30)
    assert r.background_fov_lon[0] == FOV_EDGES[0]


@pytest.mark.data
def test_unit_of_the_first_cta_data_challenge(data_folder):
    path = data_folder / "gamma/cta-1dc/caldb/data/cta/1dc/bcf/South_z20_50h/irf_file.fits"
    with pytest.raises(DataError) as error:
        read_response(path, AXIS)
    message = str(error.value)
    for part in ("irf_file.fits", "BGD", "'1/s/MeV/sr'", "response.background_unit"):
        assert part in message


@pytest.mark.data
@pytest.mark.parametrize("run", ["110380", "111140"])
def test_background_of_the_first_cta_data_challenge_makes_most_of_its_events(data_folder, run):
    folder = data_folder / "gamma/cta-1dc"
    stated = Stated("s-1 MeV-1 sr-1", "RADEC")
    path = folder / "caldb/data/cta/1dc/bcf/South_z20_50h/irf_file.fits"
    response = read_response(path, EnergyAxis(np.geomspace(0.05, 150, 30)), stated)
    with fits.open(folder / f"data/baseline/gps/gps_baseline_{run}.fits") as hdus:
        events, header = hdus["EVENTS"].data, hdus["EVENTS"].header
        energy, x, y = (np.asarray(events[n], dtype=float) for n in ("ENERGY", "DETX", "DETY"))
    seen = np.sum((energy > 0.1) & (energy < 100) & (abs(x) < 3) & (abs(y) < 3))
    edges, side = np.geomspace(0.1, 100, 61), np.linspace(-2.95, 2.95, 60)
    middle = np.sqrt(edges[1:] * edges[:-1])
    e, lon, lat = np.meshgrid(middle, side, side, indexing="ij")
    rate = background_rate(response, e.ravel(), lon.ravel(), lat.ravel()).reshape(e.shape)
    area = np.radians(0.1) ** 2 * np.cos(np.radians(lat))
    expected = (rate * area).sum(axis=(1, 2)) @ np.diff(edges) * header["ONTIME"]
    # The rest are gamma rays of the Galactic plane.
    assert 0.8 < expected / seen < 1


@pytest.mark.data
def test_fact_is_point_like(data_folder):
    with pytest.raises(DataError, match="is a point-like response"):
        read_response(data_folder / "gamma/crab-joint/fact/fact_irf.fits", AXIS)


@pytest.mark.data
def test_cta_below_its_simulated_energies(data_folder):
    folder = data_folder / "gamma/cta-prod5-irfs"
    path = folder / "Prod5-South-20deg-AverageAz-14MSTs37SSTs.180000s-v0.1.fits.gz"
    with pytest.raises(DataError, match=r"offset 0\.5 deg EDISP is defined only from 0\.0263"):
        read_response(path, EnergyAxis(np.geomspace(0.013, 100, 11)))
