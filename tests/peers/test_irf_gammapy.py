"""Tabulated responses and event lists against gammapy's own evaluation of the same files."""

from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from tests.dl3_files import aeff_hdu, background_hdu, edisp_hdu, king_hdu, write

from skymix.axes import EnergyAxis
from skymix.domains.gamma.events import read_events
from skymix.domains.gamma.geometry import RegionFrame
from skymix.domains.gamma.irf import background_rate, read_response
from skymix.study.components import Position
from skymix.study.observation import Grids, Region, Selection

pytestmark = [pytest.mark.peers, pytest.mark.data]

FILES = {
    "cta": "gamma/cta-prod5-irfs/Prod5-South-20deg-AverageAz-14MSTs37SSTs.180000s-v0.1.fits.gz",
    "hess": "gamma/hess-dl3-dr1/data/hess_dl3_dr1_obs_id_023523.fits.gz",
}
AXES = {
    "cta": EnergyAxis(np.geomspace(0.05, 150.0, 101)),
    "hess": EnergyAxis(np.geomspace(0.4, 90.0, 101)),
}


@pytest.fixture(scope="module", params=["cta", "hess"])
def case(request, data_folder):
    from gammapy.irf import load_irf_dict_from_file

    path = data_folder / FILES[request.param]
    axis = AXES[request.param]
    return request.param, read_response(path, axis), load_irf_dict_from_file(path), axis


def fine_energies(axis, cell, n=64):
    a, b = np.log(axis.edges[cell]), np.log(axis.edges[cell + 1])
    return np.exp(a + (b - a) * (np.arange(n) + 0.5) / n)


def at_offset(response, values, offset):
    k = np.searchsorted(response.offset, offset, side="right") - 1
    k = min(k, response.offset.size - 2)
    f = (offset - response.offset[k]) / (response.offset[k + 1] - response.offset[k])
    return (1 - f) * values[k] + f * values[k + 1]


def test_effective_area(case):
    name, response, irfs, axis = case
    rng = np.random.default_rng(3)
    # Beyond the last bin's centre gammapy may clip a negative continuation later than we do.
    highest = {"cta": 5.5, "hess": 2.5}[name]
    for _ in range(100):
        cell, offset = rng.integers(axis.size), rng.uniform(0, highest)
        expected = irfs["aeff"].evaluate(
            energy_true=fine_energies(axis, cell) * u.TeV, offset=offset * u.deg
        )
        got = at_offset(response, response.effective_area[:, cell], offset)
        assert got == pytest.approx(expected.to_value("m2").mean(), rel=2e-3, abs=1.0)


def test_energy_dispersion(case):
    name, response, irfs, axis = case
    edisp, offsets = irfs["edisp"], irfs["edisp"].axes["offset"].center
    rng = np.random.default_rng(4)
    migra = np.linspace(0.005, 4.995, 2000) if name == "hess" else np.linspace(5e-4, 2.9995, 6000)
    worst = 0.0
    for _ in range(40):
        # Noise of few simulated events makes rows differ within a cell at large offsets.
        cell, k = rng.integers(axis.size), rng.integers(3)
        energy = fine_energies(axis, cell, 16)
        density = edisp.evaluate(
            energy_true=energy[:, None] * u.TeV, migra=migra[None], offset=offsets[k]
        ).value
        density /= density.sum(axis=1, keepdims=True)
        expected = np.cumsum(density.mean(axis=0))
        edges = migra + 0.5 * (migra[1] - migra[0])
        node = int(np.argmin(np.abs(response.offset - offsets[k].value)))
        reco = np.array([0.7, 0.85, 0.95, 1.0, 1.05, 1.15, 1.3])
        got = np.interp(np.log(reco), response.log_migra, response.edisp[node, cell])
        worst = max(worst, np.abs(got - np.interp(reco, edges, expected)).max())
    # gammapy interpolates the density between bin centres, the table keeps each bin's share.
    assert worst < 0.01


def test_psf_containment(case):
    _, response, irfs, axis = case
    psf, offsets = irfs["psf"], irfs["psf"].axes["offset"].center
    # A table knows containment at the edges of its rings only.
    table = "rad" in psf.axes.names
    radii = psf.axes["rad"].edges.to_value("deg")[4:100:12] if table else np.geomspace(0.01, 0.5, 8)
    fine = np.linspace(0, 1, 4001)
    rng = np.random.default_rng(5)
    for _ in range(25):
        cell, k = rng.integers(axis.size), rng.integers(4)
        energy = fine_energies(axis, cell, 16)
        node = int(np.argmin(np.abs(response.offset - offsets[k].value)))
        for radius in radii:
            expected = psf.containment(
                rad=radius * u.deg, energy_true=energy * u.TeV, offset=offsets[k]
            )
            r = radius * fine**2
            values = np.interp(np.sqrt(r), np.sqrt(response.rad), response.psf[node, :, cell])
            ring = values * 2 * np.pi * np.sin(np.radians(r))
            got = np.trapezoid(ring, np.radians(r))
            assert got == pytest.approx(np.mean(np.asarray(expected)), abs=2e-3)


def test_background_at_nodes_and_between(case):
    name, response, irfs, _ = case
    bkg = irfs["bkg"]
    # fov_lon of gammapy increases with decreasing right ascension, but in old H.E.S.S. files.
    sign = 1.0 if name == "hess" else -1.0
    rng = np.random.default_rng(6)
    energy = bkg.axes["energy"].center.to_value("TeV")
    lon, lat = (bkg.axes[n].center.to_value("deg") for n in ("fov_lon", "fov_lat"))
    e, x, y = rng.choice(energy, 300), rng.choice(lon, 300), rng.choice(lat, 300)
    expected = bkg.evaluate(energy=e * u.TeV, fov_lon=x * u.deg, fov_lat=y * u.deg)
    got = background_rate(response, e, sign * x, y)
    np.testing.assert_allclose(got, expected.to_value("s-1 TeV-1 sr-1"), rtol=2e-4, atol=1e-12)
    # Between nodes gammapy interpolates the logarithm in the field of view, we the rate.
    middle = {"cta": (0.1, 5.0, 3.0), "hess": (0.7, 10.0, 1.5)}[name]
    e = np.exp(rng.uniform(*np.log(middle[:2]), 300))
    x, y = rng.uniform(-middle[2], middle[2], (2, 300))
    expected = bkg.evaluate(energy=e * u.TeV, fov_lon=x * u.deg, fov_lat=y * u.deg)
    got = background_rate(response, e, sign * x, y)
    np.testing.assert_allclose(got, expected.to_value("s-1 TeV-1 sr-1"), rtol=0.02)


def gammapy_background(path, irf_file_has_events):
    """gammapy's background counts in 0.2 deg pixels about the pointing, and pixel directions."""
    from astropy.coordinates import SkyCoord
    from astropy.time import Time
    from gammapy.data import Observation
    from gammapy.irf import load_irf_dict_from_file
    from gammapy.makers.utils import make_map_background_irf
    from gammapy.maps import MapAxis, WcsGeom

    if irf_file_has_events:
        observation = Observation.read(path)
        bkg, pointing = observation.bkg, observation.get_pointing_icrs(observation.tmid)
    else:
        bkg = load_irf_dict_from_file(path)["bkg"]
        pointing = SkyCoord(83.6, 21.5, unit="deg")
    energy = MapAxis.from_energy_edges(np.geomspace(1.0, 1.02, 2) * u.TeV)
    geom = WcsGeom.create(
        skydir=pointing, width=3.0, binsz=0.2, proj="CAR", frame="icrs", axes=[energy]
    )
    counts = make_map_background_irf(pointing, 100 * u.s, bkg, geom, Time("2020-01-01"))
    return counts, geom, pointing


@pytest.mark.parametrize("made_up", [False, True])
def test_background_on_the_sky(data_folder, tmp_path, made_up):
    """The axes point the same way as in gammapy's maps, for a real and a made-up tilted rate."""
    path = data_folder / FILES["hess"]
    if made_up:
        hdus = aeff_hdu(), edisp_hdu(), king_hdu(), background_hdu()
        path = write(tmp_path / "irf.fits", *hdus)
    counts, geom, pointing = gammapy_background(path, irf_file_has_events=not made_up)
    centre = Position(frame="galactic", lon="184 deg", lat="-6 deg")  # axes rotated on purpose
    frame = RegionFrame(centre)
    lon, lat = frame.from_sky(geom.to_image().get_coord().skycoord)
    at = frame.from_sky(pointing)
    fov_lon, fov_lat = frame.field_of_view((float(at[0]), float(at[1])), lon, lat)
    response = read_response(path, EnergyAxis(np.geomspace(0.5, 50.0, 3)))
    rate = background_rate(response, np.float64(np.sqrt(1.02)), fov_lon, fov_lat)
    got = rate * 0.02 * 100 * geom.to_image().solid_angle().to_value("sr")
    np.testing.assert_allclose(got, counts.data[0], rtol=0.01)
    # The test could not fail if the rate were symmetric.
    mirrored = background_rate(response, np.float64(np.sqrt(1.02)), -fov_lon, fov_lat)
    assert np.abs(mirrored / rate - 1).max() > 0.02


def test_events_of_a_real_run_follow_its_background(data_folder):
    """The sense of fov_lon, from data alone: events off the Crab prefer the table as we turn it."""
    crab = Position(frame="icrs", lon="83.633 deg", lat="22.014 deg")
    grids = Grids(
        energy={"min": "0.5 TeV", "max": "20 TeV", "per_decade": 5},
        true_energy={"min": "0.4 TeV", "max": "50 TeV", "per_decade": 5},
        pixel="0.1 deg",
    )
    region = Region(centre=crab, width="5 deg", height="5 deg")
    frame = RegionFrame(crab)
    gain = 0.0
    for run in ("023523", "023592"):
        path = data_folder / f"gamma/hess-dl3-dr1/data/hess_dl3_dr1_obs_id_{run}.fits.gz"
        events = read_events(path, run, frame, grids, region, Selection(offset_max="1.8 deg"))
        response = read_response(path, EnergyAxis(np.geomspace(0.5, 50.0, 3)))
        off = np.hypot(events.lon, events.lat) > 0.4
        pointing = (events.pointing_lon, events.pointing_lat)
        x, y = frame.field_of_view(pointing, events.lon[off], events.lat[off])
        ours = background_rate(response, events.energy[off], x, y)
        other = background_rate(response, events.energy[off], -x, y)
        both = (ours > 0) & (other > 0)
        gain += np.log(ours[both] / other[both]).sum()
    assert gain > 20


@pytest.mark.parametrize(
    "name",
    [
        "gamma/hess-dl3-dr1/data/hess_dl3_dr1_obs_id_029024.fits.gz",
        "gamma/cta-1dc/data/baseline/gps/gps_baseline_110380.fits",
        "gamma/crab-joint/fact/20131103_103_dl3.fits",
    ],
)
def test_event_lists(data_folder, name):
    from gammapy.data import GTI, EventList

    path: Path = data_folder / name
    theirs, gti = EventList.read(path), GTI.read(path)
    header = theirs.table.meta
    centre = Position(frame="icrs", lon=f"{header['RA_PNT']} deg", lat=f"{header['DEC_PNT']} deg")
    grids = Grids(
        energy={"min": "0.2 TeV", "max": "100 TeV", "per_decade": 5},
        true_energy={"min": "0.1 TeV", "max": "200 TeV", "per_decade": 5},
        pixel="0.1 deg",
    )
    region = Region(centre=centre, width="20 deg", height="20 deg")
    ours = read_events(
        path, "run", RegionFrame(centre), grids, region, Selection(offset_max="1.5 deg")
    )
    kept = theirs.select_energy([0.2, 100] * u.TeV).select_offset([0, 1.5] * u.deg)
    kept = kept.select_time([gti.time_start[0], gti.time_stop[0]])
    # gammapy's good time leaves out an event at the very edge, and its offsets single precision.
    assert abs(ours.size - len(kept.table)) <= 2
    common = np.isin(ours.event_id, np.asarray(kept.table["EVENT_ID"]))
    assert common.sum() >= ours.size - 2
    offset = kept.offset.to_value("deg")
    got = np.hypot(ours.lon, ours.lat)[common]
    np.testing.assert_allclose(np.sort(got)[:50], np.sort(offset)[:50], atol=1e-4)
    assert ours.livetime == pytest.approx(gti.time_sum.to_value("s") * header["DEADC"])
