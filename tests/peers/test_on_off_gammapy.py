"""FACT's Crab: on and off events, and the spectrum, against gammapy's reflected regions."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from skymix.domains.gamma.geometry import RegionFrame
from skymix.domains.gamma.grids import data_grid, true_grid
from skymix.domains.gamma.irf import read_point_like_response
from skymix.domains.gamma.observe import marginalise_component
from skymix.domains.gamma.on_off import read_on_off
from skymix.study import study_from_mapping
from skymix.study.files import event_files

pytestmark = [pytest.mark.peers, pytest.mark.data]

CRAB = {"frame": "icrs", "lon": "83.63333 deg", "lat": "22.01444 deg"}
RADIUS = 0.1732050807568877
RUNS = "gamma/crab-joint/fact/20131103_1*_dl3.fits"
IRF = "gamma/crab-joint/fact/fact_irf.fits"


@pytest.fixture(scope="module")
def study(data_folder):
    observation = {
        "events": {
            "kind": "on_off",
            "paths": [RUNS],
            "position": CRAB,
            "radius": f"{RADIUS} deg",
        },
        "response": {"kind": "point_like", "path": IRF},
    }
    raw = {
        "name": "fact",
        "data": str(data_folder),
        "region": {"centre": CRAB, "width": "1 deg", "height": "1 deg"},
        "grids": {
            "energy": {"min": "0.6 TeV", "max": "20 TeV", "per_decade": 10},
            "true_energy": {"min": "0.25 TeV", "max": "40 TeV", "per_decade": 30},
            "pixel": "0.1 deg",
        },
        "observations": {"fact": observation},
        "components": {
            "crab": {
                "kind": "point_source",
                "position": CRAB,
                "spectrum": {
                    "kind": "power_law",
                    "index": {"min": 1.8, "max": 3.4, "nodes": 33},
                    "amplitude": "3.5e-11 TeV-1 cm-2 s-1",
                },
            },
            "background": {"kind": "cosmic_rays"},
        },
        "tree": {"children": {"crab": None, "background": None}},
    }
    return study_from_mapping(raw)


@pytest.fixture(scope="module")
def ours(study, data_folder):
    settings = study.observations["fact"].events
    paths = event_files(study, "fact")
    frame, grid = RegionFrame(study.region.centre), data_grid(study.grids, study.region)
    # The runs of this night are at one side of the Crab and at the other.
    events = read_on_off(paths, "fact", settings, frame, grid)
    axis = true_grid(study.grids, study.region).energy
    response = read_point_like_response(data_folder / IRF, axis)
    tables = [
        marginalise_component(study, "fact", name, events, response, data_folder)
        for name in ("crab", "background")
    ]
    return events, grid, tables


@pytest.fixture(scope="module")
def theirs(study, data_folder):
    pytest.importorskip("gammapy")
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from gammapy.data import GTI, EventList, FixedPointingInfo, Observation
    from gammapy.datasets import Datasets, SpectrumDataset
    from gammapy.irf import EffectiveAreaTable2D, EnergyDispersion2D
    from gammapy.makers import (
        ReflectedRegionsBackgroundMaker,
        ReflectedRegionsFinder,
        SpectrumDatasetMaker,
    )
    from gammapy.maps import MapAxis, RegionGeom
    from regions import CircleSkyRegion

    crab = SkyCoord(83.63333, 22.01444, unit="deg")
    region = CircleSkyRegion(crab, RADIUS * u.deg)
    grid = data_grid(study.grids, study.region)
    reco = MapAxis.from_energy_edges(grid.energy.edges * u.TeV)
    true = MapAxis.from_energy_edges(
        true_grid(study.grids, study.region).energy.edges * u.TeV, name="energy_true"
    )
    empty = SpectrumDataset.create(geom=RegionGeom(region, axes=[reco]), energy_axis_true=true)
    maker = SpectrumDatasetMaker(selection=["counts", "exposure", "edisp"])
    off = ReflectedRegionsBackgroundMaker(
        region_finder=ReflectedRegionsFinder(max_region_number=5, min_distance="30 deg")
    )
    irfs = {
        "aeff": EffectiveAreaTable2D.read(data_folder / IRF, hdu="EFFECTIVE AREA"),
        "edisp": EnergyDispersion2D.read(data_folder / IRF, hdu="ENERGY DISPERSION"),
    }
    found = Datasets()
    for path in event_files(study, "fact"):
        events = EventList.read(path)
        header = events.table.meta
        at = SkyCoord(header["RA_PNT"], header["DEC_PNT"], unit="deg")
        run = Observation(
            events=events,
            gti=GTI.read(path),
            obs_id=header["OBS_ID"],
            pointing=FixedPointingInfo(fixed_icrs=at),
            **irfs,
        )
        found.append(off.run(maker.run(empty.copy(name=path.stem), run), run))
    return found.stack_reduce()


def test_on_and_off_counts(ours, theirs):
    events, grid, _ = ours
    on = np.bincount(grid.energy.cell(events.energy), minlength=grid.energy.size)
    assert_allclose(on, theirs.counts.data.ravel(), atol=1)
    off = events.off_energy.size * events.on_over_off
    sigma = np.sqrt(events.off_energy.size) * events.on_over_off
    assert abs(off - theirs.background.data.sum()) < 3 * sigma
    assert events.livetime == pytest.approx(theirs.gti.time_sum.to_value("s") * 0.981, rel=5e-3)


def test_expected_counts_of_a_power_law(ours, theirs):
    from astropy import units as u
    from gammapy.modeling.models import PowerLawSpectralModel, SkyModel

    events, _, (crab, _) = ours
    model = PowerLawSpectralModel(index=2.6, amplitude=3.5e-11 * u.Unit("TeV-1 cm-2 s-1"))
    theirs = theirs.copy(name="copy")
    theirs.models = SkyModel(model, name="crab")
    expected = theirs.npred_signal().data.ravel()
    row = 16  # index 2.6
    assert crab.node_values[row] == pytest.approx(2.6)
    # An Observation put together by hand knows no dead time: its exposure is the good time.
    dead = events.livetime / theirs.exposure.meta["livetime"].to_value("s")
    assert_allclose(crab.expected_counts[row], dead * expected.sum(), rtol=0.01)
    assert_allclose(crab.counts_spectrum[row], expected / expected.sum(), rtol=0.05, atol=2e-3)


def test_index_of_a_simple_likelihood(ours, theirs):
    from astropy import units as u
    from gammapy.modeling import Fit
    from gammapy.modeling.models import PowerLawSpectralModel, SkyModel

    _, _, (crab, background) = ours
    nodes = crab.node_values

    def cost(x):
        k = np.clip((x[0] - nodes[0]) / (nodes[1] - nodes[0]), 0, nodes.size - 1.001)
        i, f = int(k), k - int(k)
        density = (1 - f) * crab.density[i] + f * crab.density[i + 1]
        mu = np.exp(x[1]) * ((1 - f) * crab.expected_counts[i] + f * crab.expected_counts[i + 1])
        total = mu * density + background.expected_counts[0] * background.density[0]
        return mu - crab.multiplicity @ np.log(total)

    best = minimize(cost, [2.6, 0.0], method="Nelder-Mead")
    model = PowerLawSpectralModel(index=2.6, amplitude=3.5e-11 * u.Unit("TeV-1 cm-2 s-1"))
    theirs = theirs.copy(name="fit")
    theirs.models = SkyModel(model, name="crab")
    assert Fit().run([theirs]).success
    assert best.x[0] == pytest.approx(model.index.value, abs=model.index.error)
    amplitude = 3.5e-11 * np.exp(best.x[1])
    assert amplitude == pytest.approx(model.amplitude.value, abs=model.amplitude.error)


def test_event_by_event_integrates_to_the_cells(study, ours, data_folder):
    events, grid, (binned, _) = ours
    raw = study.model_dump(mode="json")
    raw["marginalisation"]["events"] = "unbinned"
    fine = np.geomspace(0.6, 20, 4001)
    middle = np.sqrt(fine[1:] * fine[:-1])
    many = replace(
        events,
        **{
            name: np.resize(getattr(events, name), middle.size)
            for name in ("event_id", "multiplicity", "lon", "lat", "true_component")
        },
        **dict.fromkeys(("true_energy", "true_lon", "true_lat"), np.full(middle.size, np.nan)),
        energy=middle,
    )
    axis = true_grid(study.grids, study.region).energy
    response = read_point_like_response(data_folder / IRF, axis)
    got = marginalise_component(
        study_from_mapping(raw), "fact", "crab", many, response, data_folder
    )
    omega = np.pi * np.radians(RADIUS) ** 2
    assert_allclose(got.density @ np.diff(fine) * omega, 1, rtol=0.02)
    share = np.add.reduceat(
        got.density * np.diff(fine) * omega, np.searchsorted(middle, grid.energy.edges[:-1]), axis=1
    )
    assert_allclose(share, binned.counts_spectrum, rtol=0.05, atol=2e-3)
