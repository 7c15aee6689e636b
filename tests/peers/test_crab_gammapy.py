"""Four H.E.S.S. Crab runs against gammapy's own binned 3-D fit with the same IRFs."""

from pathlib import Path

import numpy as np
import pytest

from skymix import pipeline
from skymix.store import read_posterior
from skymix.study import load_study, study_from_mapping

pytestmark = [pytest.mark.peers, pytest.mark.data]

STUDY = Path("config/studies/crab.yaml")
RUNS = ("run_23523", "run_23526", "run_23559", "run_23592")
ALONE = ("run_23523", "run_23592")  # one at 0.5 deg from the Crab, one at 1.5 deg


def gammapy_dataset(path: Path, study, name: str):
    """Counts, response and background of a run on maps."""
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from gammapy.data import GTI, EventList, Observation
    from gammapy.datasets import MapDataset
    from gammapy.makers import MapDatasetMaker, SafeMaskMaker
    from gammapy.maps import MapAxis, WcsGeom

    observation = Observation.read(path)
    assert isinstance(observation.events, EventList)
    assert isinstance(observation.gti, GTI)
    grids, region = study.grids, study.region
    crab = SkyCoord(region.centre.lon, region.centre.lat, unit="deg", frame="icrs")
    axis = MapAxis.from_energy_bounds(
        grids.energy.min * u.TeV, grids.energy.max * u.TeV, 20, per_decade=True
    )
    true = MapAxis.from_energy_bounds(
        0.3 * u.TeV, 100 * u.TeV, 20, per_decade=True, name="energy_true"
    )
    geom = WcsGeom.create(
        skydir=crab, width=(region.width, region.height), binsz=0.04, proj="TAN", axes=[axis]
    )
    dataset = MapDatasetMaker().run(
        MapDataset.create(geom, energy_axis_true=true, name=name), observation
    )
    return SafeMaskMaker(methods=["offset-max"], offset_max=2 * u.deg).run(dataset, observation)


def gammapy_joint(datasets, study):
    """The source, fitted to all datasets together, with a background level of each."""
    from gammapy.modeling import Fit
    from gammapy.modeling.models import (
        FoVBackgroundModel,
        PointSpatialModel,
        PowerLawSpectralModel,
        SkyModel,
    )

    centre = study.region.centre
    source = SkyModel(
        PowerLawSpectralModel(index=2.6, amplitude="3.5e-11 cm-2 s-1 TeV-1", reference="1 TeV"),
        PointSpatialModel(lon_0=f"{centre.lon} deg", lat_0=f"{centre.lat} deg", frame="icrs"),
        name="crab",
    )
    source.spatial_model.lon_0.frozen = source.spatial_model.lat_0.frozen = True
    for dataset in datasets:
        dataset.models = [source, FoVBackgroundModel(dataset_name=dataset.name)]
    assert Fit().run(datasets).success
    return source


def gammapy_fit(dataset, study) -> dict[str, float]:
    """Index and number of source events, with errors, from a map fit of one run."""
    source = gammapy_joint([dataset], study)
    spectrum = source.spectral_model
    number, slope = source_events(dataset), {}
    for parameter in (spectrum.index, spectrum.amplitude):
        best, step = parameter.value, 0.1 * parameter.error
        parameter.value = best + step
        slope[parameter.name] = (source_events(dataset) - number) / step
        parameter.value = best
    covariance = source.covariance.get_subcovariance([spectrum.index, spectrum.amplitude]).data
    gradient = np.array([slope["index"], slope["amplitude"]])
    return {
        "index": spectrum.index.value,
        "index_error": spectrum.index.error,
        "number": number,
        "number_error": float(np.sqrt(gradient @ covariance @ gradient)),
        "events": float((dataset.counts * dataset.mask).data.sum()),
    }


def source_events(dataset) -> float:
    """Predicted number of source events within the mask."""
    return float((dataset.npred_signal(model_names=["crab"]) * dataset.mask).data.sum())


def fractions_of_each(study):
    """The study with a fit of the fractions in every run, so that each run stands for itself."""
    settings = study.model_dump(mode="json")
    return study_from_mapping(settings | {"likelihood": {}, "fits": "separate"})


def make_marginals(study, run: str, folder: Path) -> int:
    """Stages of a run up to its marginals; the number of its events."""
    events, response = folder / "events" / f"{run}.h5", folder / f"{run}.h5"
    number = pipeline.read_events(study, run, events).size
    pipeline.tabulate_response(study, run, response)
    for component in study.components:
        output = folder / "marginals" / run / f"{component}.h5"
        pipeline.marginalise_nuisance(study, run, component, events, response, output)
    return number


@pytest.fixture(scope="module")
def made(data_folder, tmp_path_factory):
    """Folder with events and marginals of all runs, and the number of events of each."""
    folder, study = tmp_path_factory.mktemp("crab"), load_study(STUDY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SKYMIX_DATA", str(data_folder))
        return folder, {run: make_marginals(study, run, folder) for run in RUNS}


@pytest.fixture(scope="module")
def datasets(data_folder):
    """Maps of all runs as gammapy makes them."""
    study = load_study(STUDY)
    return {
        run: gammapy_dataset(data_folder / study.observations[run].events.path, study, run)
        for run in RUNS
    }


def skymix_fit(study, run: str, folder: Path, number: int) -> dict[str, float]:
    """The same from the stages of skymix, by the fractions of one run."""
    likelihood, posterior = folder / f"{run}-likelihood.h5", folder / f"{run}.nc"
    pipeline.gather_marginals(study, run, folder / "events", folder / "marginals", likelihood)
    pipeline.sample_posterior(study, likelihood, posterior)
    draws = read_posterior(posterior)["posterior"]
    index, share = draws["crab.index"].values, draws["weight.crab"].values
    return {
        "index": float(index.mean()),
        "index_error": float(index.std()),
        "number": float(share.mean() * number),
        "number_error": float(share.std() * number),
        "events": float(number),
    }


@pytest.mark.parametrize("run", ALONE)
def test_index_and_source_events_agree(
    run, made, datasets, data_folder, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("SKYMIX_DATA", str(data_folder))
    study = fractions_of_each(load_study(STUDY))
    folder, numbers = made
    ours = skymix_fit(study, run, folder, numbers[run])
    theirs = gammapy_fit(datasets[run].copy(name="alone"), study)
    with capsys.disabled():
        for name, fit in (("skymix", ours), ("gammapy", theirs)):
            print(
                f"\n{run} {name:8s} index {fit['index']:.3f} +- {fit['index_error']:.3f}"
                f"  source events {fit['number']:.1f} +- {fit['number_error']:.1f}"
                f"  of {fit['events']:.0f}",
                end="",
            )
    # The same data: the two differ by far less than the statistical error that they share.
    assert abs(ours["index"] - theirs["index"]) < 0.35 * theirs["index_error"]
    assert abs(ours["number"] - theirs["number"]) < 0.35 * theirs["number_error"]
    np.testing.assert_allclose(ours["index_error"], theirs["index_error"], rtol=0.2)
    np.testing.assert_allclose(ours["number_error"], theirs["number_error"], rtol=0.2)


def test_joint_flux_and_index_agree(made, datasets, data_folder, monkeypatch, capsys) -> None:
    """Amplitude and index of four runs together, the background of each free in both."""
    monkeypatch.setenv("SKYMIX_DATA", str(data_folder))
    study = load_study(STUDY)
    folder, _ = made
    likelihood, posterior = folder / "likelihood.h5", folder / "posterior.nc"
    pipeline.gather_marginals(study, "joint", folder / "events", folder / "marginals", likelihood)
    pipeline.sample_posterior(study, likelihood, posterior)
    draws = read_posterior(posterior)["posterior"]
    maps = [datasets[run] for run in RUNS]
    spectrum = gammapy_joint(maps, study).spectral_model
    for name, scale in (("amplitude", 1e-11), ("index", 1.0)):
        values = draws[f"crab.{name}"].values / scale
        theirs = getattr(spectrum, name)
        value, error = theirs.value / scale, theirs.error / scale
        with capsys.disabled():
            print(
                f"\njoint {name}: skymix {values.mean():.3f} +- {values.std():.3f}"
                f"  gammapy {value:.3f} +- {error:.3f}",
                end="",
            )
        assert abs(values.mean() - value) < 0.35 * error
        np.testing.assert_allclose(values.std(), error, rtol=0.2)
    levels = [float(draws[f"background.{run}"].mean()) for run in RUNS]
    norms = [dataset.background_model.spectral_model.norm for dataset in maps]
    for ours, norm in zip(levels, norms, strict=True):
        assert abs(ours - norm.value) < 0.35 * norm.error
