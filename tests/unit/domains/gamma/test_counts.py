"""Simulated counts in cells: against expected counts, against events one by one, and downstream."""

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml
from scipy.stats import chi2
from tests.small_study import (
    NOWHERE,
    RUN,
    at_all_cells,
    default_component,
    event_list,
    response_of,
    small_study,
)

from skymix import pipeline
from skymix.domains.gamma.data import data_of
from skymix.domains.gamma.grids import data_grid
from skymix.domains.gamma.observe import simulate_observation
from skymix.errors import DataError, StudyError
from skymix.store import Diagnostics, Events, LikelihoodTables, read_product
from skymix.study import study_from_mapping
from skymix.study.stages import response_key

PLAUSIBLE = 1e-3
COMPONENTS = {
    "dark_matter": default_component("dark_matter")
    | {"mass": {"min": "1 TeV", "max": "1.5 TeV", "nodes": 2}},
    "central_source": default_component("central_source"),
    "cosmic_rays": {"kind": "cosmic_rays"},
}


def study_of(name, number, form):
    component = COMPONENTS[name]
    mass = {"it.mass": "1.5 TeV"} if name == "dark_matter" else {}
    true = {"min": "0.25 TeV", "max": "40 TeV", "per_decade": 40}
    study = small_study(
        component, number, parameters=mass, events="binned", true_energy=true, subdivision=4,
        offset_max="180 deg",
    )  # fmt: skip
    return with_form(study, form)


def with_form(study, form):
    run = study.observations[RUN]
    drawn = run.events.model_copy(update={"form": form})
    return study.model_copy(
        update={"observations": {RUN: run.model_copy(update={"events": drawn})}}
    )


def in_cells(study, events):
    grid = data_grid(study.grids, study.region)
    cell = grid.cell(events.energy, events.lon, events.lat)
    weights = events.multiplicity
    return np.bincount(cell, weights=weights, minlength=int(np.prod(grid.shape)))


@pytest.mark.parametrize("name", COMPONENTS)
def test_counts_are_poisson_about_the_expected_counts(name):
    study = study_of(name, 1e8, "counts")
    response = response_of(study)
    events = simulate_observation(study, RUN, response, NOWHERE, 3)
    marginals, volume = at_all_cells(study, response, (events.pointing_lon, events.pointing_lat))
    expected = 1e8 * marginals.density[-1] * volume.ravel()
    observed = in_cells(study, events)
    assert expected.sum() == pytest.approx(1e8, rel=1e-9)
    assert np.all(observed[expected == 0] == 0)
    many = expected > 25
    value = np.sum((observed - expected)[many] ** 2 / expected[many])
    degrees = int(many.sum())
    # Neither too far from the expected counts nor too close: they scatter as Poisson counts do.
    assert PLAUSIBLE < chi2.sf(value, degrees) < 1 - PLAUSIBLE
    assert events.number == pytest.approx(1e8, abs=4e4)
    assert events.size <= observed.size


@pytest.mark.parametrize("name", COMPONENTS)
def test_counts_are_those_of_events_drawn_one_by_one(name):
    number = 300_000
    counts, single = (study_of(name, number, form) for form in ("counts", "events"))
    response = response_of(counts)
    a = in_cells(counts, simulate_observation(counts, RUN, response, NOWHERE, 4))
    b = in_cells(single, simulate_observation(single, RUN, response, NOWHERE, 5))
    both = a + b
    few = both < 50
    a, b = (np.append(x[~few], x[few].sum()) for x in (a, b))
    value = np.sum((a - b) ** 2 / (a + b))
    assert chi2.sf(value, a.size) > PLAUSIBLE


def test_rows_are_single_components_at_cell_centres():
    study = small_study(COMPONENTS["central_source"], 5000, events="binned")
    run = study.observations[RUN]
    drawn = run.events.model_copy(update={"form": "counts", "counts": {"it": 5000, "other": 4e6}})
    study = study.model_copy(
        update={"observations": {RUN: run.model_copy(update={"events": drawn})}}
    )
    events = simulate_observation(study, RUN, response_of(study), NOWHERE, 1)
    grid = data_grid(study.grids, study.region)
    cell = grid.cell(events.energy, events.lon, events.lat)
    keys = cell * 2 + events.true_component
    assert np.unique(keys).size == events.size
    energy, lon, lat = grid.centre(cell)
    np.testing.assert_array_equal(events.energy, energy)
    np.testing.assert_array_equal(events.lon, lon)
    np.testing.assert_array_equal(events.lat, lat)
    for k, wanted in enumerate((5000, 4e6)):
        number = events.multiplicity[events.true_component == k].sum()
        assert number == pytest.approx(wanted, abs=4 * np.sqrt(wanted))
    assert json.loads(events.cuts) == {"simulated": events.number, "outside the selection": 0}
    # Cells outside the cut on the offset are empty.
    data = data_of(events, grid, binned=True)
    assert data.multiplicity.sum() == events.number
    assert data.size == np.unique(cell).size < events.size


def test_binned_data_add_up_multiplicities():
    study = small_study(COMPONENTS["central_source"], 10, events="binned")
    grid = data_grid(study.grids, study.region)
    events = event_list((0.0, 0.0), np.array([1.0, 1.0, 3.0]), np.zeros(3), np.zeros(3))
    events = replace(events, multiplicity=np.array([2, 5, 1]))
    data = data_of(events, grid, binned=True)
    np.testing.assert_array_equal(data.multiplicity, [7, 1])
    np.testing.assert_array_equal(data.event_datum, [0, 0, 1])
    with pytest.raises(DataError, match=r"set marginalisation\.events to binned"):
        data_of(events, grid, binned=False)


def test_counts_are_refused_unbinned():
    study = with_form(small_study(COMPONENTS["central_source"], 10), "counts")
    with pytest.raises(StudyError, match="counts in cells cannot be taken unbinned"):
        study_from_mapping(study.model_dump(mode="json"))


def test_only_counts_may_be_very_many():
    raw = study_of("central_source", 100, "counts").model_dump(mode="json")
    raw["observations"][RUN]["events"]["counts"]["it"] = 1e12
    assert study_from_mapping(raw).observations[RUN].events.counts["it"] == 1e12
    raw["observations"][RUN]["events"]["form"] = "events"
    with pytest.raises(StudyError, match="lower it or set 'form: counts'"):
        study_from_mapping(raw)


def test_every_stage_takes_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = study_of("central_source", 2e6, "counts").model_dump(mode="json")
    raw["observations"][RUN]["events"]["counts"]["other"] = 6e6
    raw["sampler"] = {"kind": "nested", "live_points": 50, "dlogz": 0.5}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    study = pipeline.load(path)
    root = tmp_path / "results" / study.name
    events, fit = root / "events" / f"{RUN}.h5", root / "fits" / RUN
    response = root / "response" / f"{response_key(study, RUN)}.h5"
    pipeline.tabulate_response(study, RUN, response)
    pipeline.simulate_events(study, RUN, response, events)
    marginals = [root / "marginals" / RUN / f"{name}.h5" for name in study.components]
    for name, output in zip(study.components, marginals, strict=True):
        pipeline.marginalise_nuisance(study, RUN, name, events, response, output)
    likelihood, posterior = fit / "likelihood.h5", fit / "posterior.nc"
    folders = root / "events", root / "marginals"
    pipeline.gather_marginals(study, RUN, *folders, likelihood)
    pipeline.sample_posterior(study, likelihood, posterior)
    diagnostics = fit / "diagnostics.h5"
    pipeline.predict_posterior(study, *folders, likelihood, posterior, diagnostics)
    pipeline.make_report(study, root / "report")
    number = read_product(events, Events).number
    assert read_product(likelihood, LikelihoodTables).multiplicity.sum() == number
    found = read_product(diagnostics, Diagnostics)
    assert found.counts_map.sum() == found.counts_spectrum.sum() == number
    assert found.predicted_map.sum() == pytest.approx(number, rel=1e-9)
    weight = found.predicted_map[0].sum() / number
    assert weight == pytest.approx(0.25, abs=0.002)
    members = found.event_multiplicity @ found.membership[:, 0]
    assert members / number == pytest.approx(weight, abs=0.001)
    assert str(number) in (root / "report" / "index.html").read_text(encoding="utf-8")
