import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from tests.dl3_files import RUN, events_hdu, gti_hdu, write

from skymix.domains.gamma.events import read_events
from skymix.domains.gamma.geometry import RegionFrame
from skymix.errors import DataError
from skymix.study.components import Position
from skymix.study.observation import Grids, Region, Selection

CENTRE = Position(frame="icrs", lon=f"{RUN['RA_PNT']} deg", lat=f"{RUN['DEC_PNT']} deg")
REGION = Region(centre=CENTRE, width="4 deg", height="2 deg")
GRIDS = Grids(
    energy={"min": "0.5 TeV", "max": "50 TeV", "per_decade": 5},
    true_energy={"min": "0.3 TeV", "max": "80 TeV", "per_decade": 5},
    pixel="0.1 deg",
)


def read(path: Path, offset_max: str = "1.5 deg"):
    return read_events(
        path, "run", RegionFrame(CENTRE), GRIDS, REGION, Selection(offset_max=offset_max)
    )


def make(path: Path, *, n: int = 6, header=None, drop: str = "", **changes) -> Path:
    """Six events north of the pointing, 0.1 deg apart, of which `changes` replace columns."""
    columns = {
        "time": 10.0 * np.arange(n),
        "ra": np.full(n, RUN["RA_PNT"]),
        "dec": RUN["DEC_PNT"] + 0.1 * np.arange(n),
        "energy": np.full(n, 1.0),
    } | changes
    hdu = events_hdu(**columns, header=header, drop=drop)
    return write(path, hdu, gti_hdu((0.0, 30.0), (40.0, 60.0)))


def test_every_cut_removes_what_it_should_in_order(tmp_path):
    path = make(
        tmp_path / "run.fits",
        # 0 and 1 stay; 2 between the good time intervals, 3 too low in energy, 4 outside the
        # rectangle (its lat), 5 inside it but too far from the pointing (its lon).
        time=[0.0, 60.0, 35.0, 5.0, 6.0, 7.0],
        energy=[1.0, 50.0, 0.1, 0.4, 1.0, 1.0],
        ra=np.array([0, 0, 0, 0, 0, 1.8 / np.cos(np.radians(RUN["DEC_PNT"]))]) + RUN["RA_PNT"],
        dec=np.array([0.2, -0.3, 0, 0, 1.2, 0.0]) + RUN["DEC_PNT"],
    )
    events = read(path)
    assert events.event_id.tolist() == [100, 101]
    np.testing.assert_allclose(events.lat, [0.2, -0.3], atol=1e-9)
    np.testing.assert_allclose(events.lon, 0.0, atol=1e-9)
    assert json.loads(events.cuts) == {
        "read": 6,
        "good_time": 1,
        "energy": 1,
        "region": 1,
        "offset": 1,
    }
    assert events.livetime == pytest.approx(0.9 * 50)
    assert events.pointing_lon == pytest.approx(0.0, abs=1e-9)


def test_recorded_events_have_no_truth(tmp_path):
    events = read(make(tmp_path / "run.fits"))
    assert set(events.true_component) == {-1}
    assert np.isnan(events.true_energy).all()
    assert np.isnan(events.true_lon).all()
    assert events.components == ()
    assert events.expected_counts.size == 0
    assert events.truth == "{}"


def test_without_event_ids_rows_are_counted(tmp_path):
    path = make(tmp_path / "run.fits", drop="EVENT_ID", energy=[0.1, 1, 1, 1, 1, 1])
    assert read(path).event_id.tolist() == [1, 2, 3, 4, 5]


def test_longitude_grows_with_right_ascension(tmp_path):
    path = make(tmp_path / "run.fits", ra=np.full(6, RUN["RA_PNT"] + 0.1))
    assert np.all(read(path).lon > 0.08)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"energy": [1, 1, np.nan, 1, 1, 1]}, "ENERGY of EVENTS is not finite in row 2"),
        ({"ra": [80, np.inf, 80, 80, 80, 80]}, "RA of EVENTS is not finite in row 1"),
        ({"energy": [1, 1, 1, 0, 1, 1]}, "is 0 TeV in row 3, not positive"),
        ({"drop": "ENERGY"}, "EVENTS lacks the column ENERGY"),
        ({"header": {"OBS_MODE": "DRIFT"}}, "OBS_MODE is DRIFT, so the pointing moves"),
        ({"header": {"RA_PNT": None}}, "RA_PNT of EVENTS is missing"),
        ({"header": {"DEADC": None}}, r"DEADC of EVENTS .* is missing"),
        ({"header": {"DEADC": 1.2}}, r"DEADC of EVENTS .* is 1.2"),
    ],
)
def test_bad_tables_are_refused(tmp_path, changes, message):
    with pytest.raises(DataError, match=message) as error:
        read(make(tmp_path / "run.fits", **changes))
    assert "run.fits" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"energy": np.full(6, 0.1)}, "energy 5,.*widen grids.energy"),
        ({"time": np.full(6, 99.0)}, "good_time 6,.*GTI table belongs"),
        ({"dec": np.full(6, 30.0)}, "region 5,.*widen the region"),
        ({"dec": np.full(6, RUN["DEC_PNT"] + 0.9)}, "offset 5.*selection.offset_max"),
        ({"n": 0}, "no event is left of 0 .*event list is empty"),
    ],
)
def test_no_event_left_says_which_cut_took_them(tmp_path, changes, message):
    changes.setdefault("time", np.array([0.0, 10, 20, 30, 35, 50]))
    if changes.get("n") == 0:
        changes["time"] = np.empty(0)
    with pytest.raises(DataError, match=message):
        read(make(tmp_path / "run.fits", **changes), "0.8 deg")


@pytest.mark.parametrize(
    ("intervals", "message"),
    [
        ([(5.0, 5.0)], "the livetime is zero"),
        ([], "the livetime is zero"),
        ([(0.0, 30.0), (20.0, 60.0)], "overlap"),
        ([(30.0, 0.0)], "end before they start"),
    ],
)
def test_bad_good_time_is_refused(tmp_path, intervals, message):
    n = 3
    hdu = events_hdu(np.zeros(n), np.full(n, 83.63), np.full(n, 22.01), np.ones(n))
    with pytest.raises(DataError, match=message):
        read(write(tmp_path / "run.fits", hdu, gti_hdu(*intervals)))


def test_missing_tables_and_files_are_named(tmp_path):
    hdu = events_hdu(np.zeros(1), [83.63], [22.01], [1.0])
    with pytest.raises(DataError, match=r"has no GTI table \(its tables: EVENTS\)"):
        read(write(tmp_path / "no_gti.fits", hdu))
    with pytest.raises(DataError, match=r"has no EVENTS table \(its tables: GTI\)"):
        read(write(tmp_path / "no_events.fits", gti_hdu((0, 1))))
    with pytest.raises(DataError, match=r"absent\.fits: cannot be read"):
        read(tmp_path / "absent.fits")


def test_gzipped_file_reads_the_same(tmp_path):
    plain = make(tmp_path / "run.fits")
    packed = tmp_path / "run.fits.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    np.testing.assert_array_equal(read(packed).lat, read(plain).lat)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("packed", [False, True])
def test_truncated_file_is_refused_wherever_it_ends(tmp_path, share, packed):
    raw = make(tmp_path / "run.fits").read_bytes()
    path = tmp_path / ("part.fits.gz" if packed else "part.fits")
    raw = gzip.compress(raw) if packed else raw
    path.write_bytes(raw[: int(share * len(raw))])
    with pytest.raises(DataError, match=r"part.*(truncated|not a whole FITS file|has no)"):
        read(path)


def test_no_fits_at_all_is_refused(tmp_path):
    path = tmp_path / "notes.fits"
    path.write_text("energies: see the other file")
    with pytest.raises(DataError, match="not a whole FITS file"):
        read(path)


@pytest.mark.data
def test_a_real_run_cut_by_hand(data_folder):
    path = data_folder / "gamma/hess-dl3-dr1/data/hess_dl3_dr1_obs_id_023523.fits.gz"
    crab = Position(frame="icrs", lon="83.633 deg", lat="22.014 deg")
    region = Region(centre=crab, width="3 deg", height="3 deg")
    events = read_events(
        path, "crab", RegionFrame(crab), GRIDS, region, Selection(offset_max="1.5 deg")
    )
    with fits.open(path) as hdus:
        table, header = hdus["EVENTS"].data, hdus["EVENTS"].header
        energy = table["ENERGY"].astype(float)
        ra, dec = np.radians(table["RA"].astype(float)), np.radians(table["DEC"].astype(float))
        ids = table["EVENT_ID"]
        late = table["TIME"] > hdus["GTI"].data["STOP"][0]  # one event, by 6 ms

    def unit(lon, lat):
        return np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])

    pointing = np.radians([header["RA_PNT"], header["DEC_PNT"]])
    offset = np.degrees(np.arccos(np.clip(unit(*pointing) @ unit(ra, dec), -1, 1)))
    # Tangents of the offsets from the Crab along its meridian and across it.
    east = unit(np.radians(83.633) + np.pi / 2, 0.0)
    at = unit(*np.radians([83.633, 22.014]))
    north = np.cross(at, east)
    lon = np.degrees(np.arctan2(east @ unit(ra, dec), at @ unit(ra, dec)))
    lat = np.degrees(np.arcsin(north @ unit(ra, dec)))
    keep = (energy >= 0.5) & (energy <= 50) & (offset <= 1.5) & ~late
    keep &= (np.abs(lon) <= 1.5) & (np.abs(lat) <= 1.5)
    assert events.event_id.tolist() == ids[keep].tolist()
    np.testing.assert_allclose(events.lon, lon[keep], atol=1e-9)
    np.testing.assert_allclose(events.lat, lat[keep], atol=1e-9)
    assert events.livetime == pytest.approx(header["LIVETIME"], rel=1e-6)
    assert events.pointing_lat == pytest.approx(-0.5, abs=1e-3)
    cuts = json.loads(events.cuts)
    assert cuts["read"] == 7613
    assert cuts["good_time"] == late.sum() == 1
    assert sum(v for k, v in cuts.items() if k != "read") == 7613 - events.size
