"""Simulated events against closed forms, and against the expected counts of the marginaliser.

The counts tests are the main check of simulation and marginalisation on each other: one moves
photons one by one, the other integrates cells. With a million events an error of 0.5 % (rms) in
the spectrum, 1 % in the map or 1.5 % in the cells of the cube is found.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2, kstest, norm
from tests.small_study import (
    CENTRE,
    CTA_SOUTH,
    NOWHERE,
    RUN,
    at_all_cells,
    default_component,
    response_of,
    small_study,
)
from tests.synthetic import RESOLUTION, psf_width, small_exposure

from skymix.axes import separation
from skymix.domains.gamma.components.base import GridMorphology, PointMorphology, Term
from skymix.domains.gamma.grids import data_grid
from skymix.domains.gamma.observe import simulate_observation
from skymix.domains.gamma.simulate import selected, simulate_background, simulate_source
from skymix.errors import DataError, StudyError

PLAUSIBLE = 1e-3
POWER_LAW = {"kind": "power_law", "index": 2.4, "amplitude": "1e-11 TeV-1 cm-2 s-1"}
POINT = {"kind": "point_source", "position": CENTRE, "spectrum": POWER_LAW}


def power_law(edges, index):
    return 1e-7 * (edges[:-1] ** (1 - index) - edges[1:] ** (1 - index)) / (index - 1)


class OneTerm:
    """A source made of one term; `shape` makes its morphology on a grid."""

    parameters = ()

    def __init__(self, shape, index=2.3):
        self.shape, self.index = shape, index

    def terms(self, grid, frame, sky, rows):
        return (Term(self.shape(grid), power_law(grid.energy.edges, self.index)[None]),)


def point_at(lon, lat, weight=1.0):
    lon, lat = np.atleast_1d(lon).astype(float), np.atleast_1d(lat).astype(float)
    return lambda grid: PointMorphology(lon, lat, np.full(lon.size, weight))


def drawn(shape, scale=1.0, seed=3, index=2.3, exposure=None):
    exposure = exposure or small_exposure(subdivision=4)
    return simulate_source(OneTerm(shape, index), {}, scale, exposure, np.random.default_rng(seed))


def accepted_counts(exposure, lon, lat, index=2.3):
    """Expected photons of each true energy cell at a direction, from the closed forms."""
    grid = exposure.true.energy
    offset = float(separation(lon, lat, *exposure.pointing))
    area = [
        np.interp(offset, exposure.response.offset, column)
        for column in exposure.response.effective_area.T
    ]
    return power_law(grid.edges, index) * np.array(area) * exposure.livetime


def test_true_energies_follow_spectrum_times_acceptance():
    exposure = small_exposure()
    photons = drawn(point_at(0.8, 0.4), 2000, exposure=exposure)
    counts = accepted_counts(exposure, 0.8, 0.4)
    edges = exposure.true.energy.edges

    def cumulative(energy):
        # Within a cell the acceptance is constant, so the spectrum is the source's own.
        cell = np.clip(np.searchsorted(edges, energy, side="right") - 1, 0, counts.size - 1)
        part = edges[cell] ** -1.3 - energy**-1.3
        whole = edges[cell] ** -1.3 - edges[cell + 1] ** -1.3
        below = np.concatenate([[0], np.cumsum(counts)])[cell]
        return (below + counts[cell] * part / whole) / counts.sum()

    assert photons.size > 30_000
    assert kstest(photons.true_energy, cumulative).pvalue > PLAUSIBLE
    # The test is sharp enough to see the acceptance, which a plain power law lacks.
    lowest, highest = edges[0] ** -1.3, edges[-1] ** -1.3
    plain = kstest(photons.true_energy, lambda e: (lowest - e**-1.3) / (lowest - highest))
    assert plain.pvalue < 1e-6


def test_energies_and_directions_are_smeared_as_the_response_says():
    exposure = small_exposure(per_decade=20)
    photons = drawn(point_at(0.8, 0.4), 2000, exposure=exposure)
    shift = np.log(photons.energy / photons.true_energy)
    assert kstest(shift / RESOLUTION, norm.cdf).pvalue > PLAUSIBLE
    cell = exposure.true.energy.cell(photons.true_energy)
    centre = exposure.true.energy.centres[cell]
    distance = separation(photons.lon, photons.lat, 0.8, 0.4)
    offset = float(separation(0.8, 0.4, *exposure.pointing))
    low, high = psf_width(0.0, centre), psf_width(1.5, centre)
    f = offset / 1.5

    def within(r):
        return 1 - (1 - f) * np.exp(-0.5 * (r / low) ** 2) - f * np.exp(-0.5 * (r / high) ** 2)

    # The share of the PSF within an event's own distance is uniform.
    assert kstest(within(distance), "uniform").pvalue > PLAUSIBLE
    assert kstest(within(0.97 * distance), "uniform").pvalue < PLAUSIBLE
    angle = np.arctan2(photons.lat - 0.4, photons.lon - 0.8) / (2 * np.pi) + 0.5
    assert kstest(angle, "uniform").pvalue > PLAUSIBLE


def test_psf_is_round_on_the_sphere_far_from_the_equator():
    exposure = small_exposure()
    high = replace(exposure, pointing=(0.0, 70.0))
    photons = drawn(point_at(0.0, 70.0), 500, exposure=high)
    east = (photons.lon + 180) % 360 - 180
    assert east.std() * np.cos(np.radians(70)) == pytest.approx(photons.lat.std(), rel=0.03)
    assert photons.lat.mean() == pytest.approx(70, abs=0.01)


def test_number_is_poisson_about_flux_times_exposure():
    exposure = small_exposure()
    mean = accepted_counts(exposure, 0.8, 0.4).sum()
    scale = 25 / mean
    sizes = np.array(
        [drawn(point_at(0.8, 0.4), scale, s, exposure=exposure).size for s in range(400)]
    )
    # Mean and variance of 400 Poisson numbers of mean 25, at 4 standard errors.
    assert sizes.mean() == pytest.approx(25, abs=4 * 5 / 20)
    assert sizes.var() == pytest.approx(25, abs=4 * 25 * np.sqrt(2 / 400))


def test_points_share_the_photons_by_weight_and_acceptance():
    lon, lat = np.array([0.3, -0.9]), np.array([-0.2, 0.9])
    exposure = small_exposure()
    photons = drawn(point_at(lon, lat), 300, exposure=exposure)
    expected = [300 * accepted_counts(exposure, *at).sum() for at in zip(lon, lat, strict=True)]
    for k in range(2):
        here = np.sum((photons.true_lon == lon[k]) & (photons.true_lat == lat[k]))
        assert here == pytest.approx(expected[k], abs=4 * np.sqrt(expected[k]))
    assert expected[0] > 1.2 * expected[1]


def test_directions_of_a_map_follow_its_intensity():
    def ramp(grid):
        lon, _ = grid.sky.mesh()
        return GridMorphology(1e3 * (lon - grid.sky.lon_edges[0]))

    flat = small_exposure()
    area = np.broadcast_to(flat.response.effective_area[:1], flat.response.effective_area.shape)
    flat = replace(flat, response=replace(flat.response, effective_area=area))
    photons = drawn(ramp, 250, exposure=flat)
    edges = flat.true.sky.lon_edges
    assert photons.size > 20_000
    share = (photons.true_lon - edges[0]) / (edges[-1] - edges[0])
    # Cells of constant intensity make a staircase of the ramp; the square root of 2 / cells is far
    # below what this number of events resolves.
    assert kstest(share, lambda x: x**2).pvalue > PLAUSIBLE
    low, high = np.sin(np.radians(flat.true.sky.lat_edges[[0, -1]]))
    sine = np.sin(np.radians(photons.true_lat))
    assert kstest((sine - low) / (high - low), "uniform").pvalue > PLAUSIBLE


def test_morphology_may_change_with_energy():
    def two_halves(grid):
        lon, _ = grid.sky.mesh()
        soft = grid.energy.centres[:, None, None] < 3
        return GridMorphology(np.where(soft == (lon < 0), 1e3, 0.0))

    photons = drawn(two_halves, 30)
    west = photons.true_lon < 0
    assert np.all(photons.true_energy[west] < 3.2)
    assert np.all(photons.true_energy[~west] > 2.8)
    assert 100 < west.sum() < photons.size - 100


def test_background_follows_the_rate_and_is_not_smeared():
    exposure = small_exposure()
    events = simulate_background(1.0, exposure, np.random.default_rng(4))
    fov = np.linspace(-1, 1, 2001)
    # Field-of-view and galactic axes differ by a rotation about the pointing.
    lon, lat = np.meshgrid(fov, fov)
    r2 = separation(lon, lat, *exposure.pointing) ** 2
    energy_integral = 30 * (1 - 10**-1.7) / 1.7
    mean = np.exp(-0.5 * r2 / 1.5**2).mean() * np.radians(2) ** 2 * energy_integral * 3600
    # Bilinear nodes 0.25 deg apart change the Gaussian by up to 0.7 %.
    assert events.size == pytest.approx(mean, abs=4 * np.sqrt(mean) + 0.007 * mean)
    low = 1 - 10**-1.7
    assert kstest(events.energy, lambda e: (1 - e**-1.7) / low).pvalue > PLAUSIBLE
    assert np.all(np.isnan(events.true_energy))
    many = simulate_background(20.0, exposure, np.random.default_rng(5))
    assert many.size == pytest.approx(20 * mean, abs=4 * np.sqrt(20 * mean) + 0.14 * mean)
    near = separation(many.lon, many.lat, *exposure.pointing) < 0.8
    expected = np.exp(-0.5 * r2[r2 < 0.64] / 1.5**2).sum() / np.exp(-0.5 * r2 / 1.5**2).sum()
    sigma = np.sqrt(expected * (1 - expected) / many.size)
    assert near.mean() == pytest.approx(expected, abs=4 * sigma + 0.002)


def test_selection_keeps_what_is_in_the_grid_and_near_the_pointing():
    exposure = small_exposure()
    photons = drawn(point_at(0.9, 0.9), 200, exposure=exposure)
    keep = selected(photons, exposure, 1.6)
    by_hand = (np.abs(photons.lon) <= 1) & (np.abs(photons.lat) <= 1)
    by_hand &= (photons.energy >= 1) & (photons.energy <= 10)
    by_hand &= np.hypot(photons.lon - 0.3, photons.lat + 0.2) <= 1.6
    away = np.abs(np.hypot(photons.lon - 0.3, photons.lat + 0.2) - 1.6) > 1e-3
    np.testing.assert_array_equal(keep[away], by_hand[away])
    assert 0.05 < keep.mean() < 0.95


@pytest.fixture(scope="module")
def point_study():
    study = small_study(POINT, 500)
    return study, response_of(study)


def test_same_seed_same_events_and_another_seed_others(point_study):
    study, response = point_study
    one, again, other = (
        simulate_observation(study, RUN, response, NOWHERE, seed) for seed in (1, 1, 2)
    )
    for column in ("energy", "lon", "lat", "true_energy", "true_lon", "true_component"):
        np.testing.assert_array_equal(getattr(one, column), getattr(again, column))
    assert not np.array_equal(one.energy[:10], other.energy[:10])


def both_components(it, other):
    study = small_study(POINT, it)
    run = study.observations[RUN]
    drawn_events = run.events.model_copy(update={"counts": {"it": it, "other": other}})
    return study.model_copy(
        update={"observations": {RUN: run.model_copy(update={"events": drawn_events})}}
    )


def test_truth_columns_and_random_order(point_study):
    events = simulate_observation(both_components(400, 600), RUN, point_study[1], NOWHERE, 5)
    source, background = events.true_component == 0, events.true_component == 1
    assert np.all(source | background)
    assert events.components == ("it", "other")
    np.testing.assert_array_equal(events.expected_counts, [400, 600])
    assert np.all(np.isnan(events.true_energy[background]))
    np.testing.assert_allclose(events.true_lon[source], 0, atol=1e-9)
    np.testing.assert_allclose(events.true_lat[source], 0, atol=1e-9)
    np.testing.assert_array_equal(events.event_id, np.arange(events.size))
    # Components and energies are in random order: positions of the source's events are uniform.
    position = np.flatnonzero(source) / events.size
    assert kstest(position, "uniform").pvalue > PLAUSIBLE
    cuts = json.loads(events.cuts)
    assert cuts["simulated"] - cuts["outside the selection"] == events.size


def test_counts_are_of_selected_events(point_study):
    _, response = point_study
    number = simulate_observation(small_study(POINT, 20_000), RUN, response, NOWHERE, 6)
    assert number.size == pytest.approx(20_000, abs=4 * np.sqrt(20_000))
    model = simulate_observation(small_study(POINT, "model"), RUN, response, NOWHERE, 6)
    expected = model.expected_counts[0]
    assert model.size == pytest.approx(expected, abs=4 * np.sqrt(expected))
    # A power law over a flat acceptance at 0.5 deg, on the scale of the closed-form area.
    edges = np.geomspace(0.3, 30, 400)
    middle = np.sqrt(edges[1:] * edges[:-1])
    area = 1.71e11 * (middle * 1e6) ** -0.0891 * np.exp(-1e5 / (middle * 1e6))
    by_hand = np.sum(1e-11 * middle**-2.4 * np.diff(edges) * area * np.exp(-0.5 * (0.5 / 3) ** 2))
    assert expected == pytest.approx(3600 * by_hand, rel=0.03)


def test_a_component_of_zero_counts_is_left_out(point_study):
    events = simulate_observation(both_components(0, 300), RUN, point_study[1], NOWHERE, 7)
    np.testing.assert_array_equal(events.expected_counts, [0, 300])
    assert np.all(events.true_component == 1)


def test_nothing_to_simulate_is_refused(point_study):
    with pytest.raises(DataError, match="the simulation left no event after the selection"):
        simulate_observation(both_components(0, 0), RUN, point_study[1], NOWHERE, 7)


def test_counts_of_a_component_that_cannot_be_seen_are_refused(point_study):
    response = replace(point_study[1], background=np.zeros_like(point_study[1].background))
    with pytest.raises(DataError, match="component other: no counts are expected"):
        simulate_observation(both_components(100, 100), RUN, response, NOWHERE, 7)


def test_recorded_events_cannot_be_simulated(point_study):
    study, response = point_study
    run = study.observations[RUN]
    recorded = type(run).model_validate(
        {"events": {"kind": "dl3", "path": "events.fits"}, "response": {"kind": "parametric"}}
    )
    study = study.model_copy(update={"observations": {RUN: recorded}})
    with pytest.raises(StudyError, match="is not simulated"):
        simulate_observation(study, RUN, response, NOWHERE, 1)


# Simulation against marginalisation ----------------------------------------------------------

EVENTS = 1_000_000
FINE = {
    "width": 2.0,
    "pixel": 0.2,
    # At 4, a cusp seen by 3e6 events shows that true cells are taken as uniform (1 %).
    "subdivision": 8,
    "energy": {"min": "0.3 TeV", "max": "30 TeV", "per_decade": 8},
    "true_energy": {"min": "0.25 TeV", "max": "40 TeV", "per_decade": 40},
    "offset_max": "180 deg",
}
BUILT_IN = {
    "dark_matter": default_component("dark_matter"),
    "cusp": default_component("dark_matter") | {"profile": {"kind": "gnfw", "gamma": 1.3}},
    "cosmic_rays": default_component("cosmic_rays"),
    "central_source": default_component("central_source"),
    "diffuse": default_component("diffuse"),
    "narrow": POINT | {"kind": "gaussian_source", "sigma": "0.04 deg"},
    "wide": POINT | {"kind": "gaussian_source", "sigma": "0.5 deg"},
}
FROM_FILES = {
    "singlet": default_component("dark_matter") | {"spectrum": {"kind": "scalar_singlet"}},
    "catalogue": {"kind": "catalogue"},
    "template": {"kind": "diffuse_template"},
}


def counts_and_expectation(component, response=None, data=NOWHERE, damage=None, **grids):
    """Observed and expected counts in all cells, (nenergy, nlat, nlon)."""
    mass = {"it.mass": "1.5 TeV"} if component["kind"] == "dark_matter" else {}
    if mass:
        component = component | {"mass": {"min": "1 TeV", "max": "1.5 TeV", "nodes": 2}}
    study = small_study(component, EVENTS, parameters=mass, response=response, **(FINE | grids))
    tables = response_of(study, data)
    events = simulate_observation(study, RUN, tables, data, 11)
    if damage:
        tables = damage(tables)
    pointing = events.pointing_lon, events.pointing_lat
    marginals, volume = at_all_cells(study, tables, pointing, data)
    expected = EVENTS * marginals.density[-1].reshape(volume.shape) * volume
    cell = data_grid(study.grids, study.region).cell(events.energy, events.lon, events.lat)
    return np.bincount(cell, minlength=volume.size).reshape(volume.shape), expected


def probability(observed, expected):
    """Pearson's chi2 of Poisson counts; cells of few counts are put together."""
    observed, expected = observed.ravel(), expected.ravel()
    few = expected < 25
    o = np.append(observed[~few], observed[few].sum())
    e = np.append(expected[~few], expected[few].sum())
    seen = e > 0
    assert np.all(o[~seen] == 0)
    return chi2.sf(np.sum((o[seen] - e[seen]) ** 2 / e[seen]), seen.sum())


def all_probabilities(observed, expected):
    return {
        "cells": probability(observed, expected),
        "map": probability(observed.sum(axis=0), expected.sum(axis=0)),
        "spectrum": probability(observed.sum(axis=(1, 2)), expected.sum(axis=(1, 2))),
    }


@pytest.mark.parametrize("name", BUILT_IN)
def test_simulated_counts_are_those_that_the_marginaliser_expects(name):
    found = all_probabilities(*counts_and_expectation(BUILT_IN[name]))
    assert min(found.values()) > PLAUSIBLE, found


@pytest.mark.data
@pytest.mark.parametrize("name", FROM_FILES)
def test_so_are_those_of_a_real_instrument(name, data_folder):
    # The singlet's spectrum ends in an edge at the mass that wide energy cells would blur.
    grids = {"true_energy": {"min": "0.25 TeV", "max": "40 TeV", "per_decade": 100}}
    found = all_probabilities(
        *counts_and_expectation(
            FROM_FILES[name], CTA_SOUTH, data_folder, **(grids if name == "singlet" else {})
        )
    )
    assert min(found.values()) > PLAUSIBLE, found


def test_cells_that_the_offset_cut_divides_hold_what_they_show():
    """They are given the mean of the whole cell: right to some per cent there, 1 % in all."""
    observed, expected = counts_and_expectation(BUILT_IN["wide"], offset_max="0.9 deg")
    volume = expected.sum(axis=0) > 0
    assert np.all(observed.sum(axis=0)[~volume] < 30)
    assert observed.sum() == pytest.approx(expected.sum(), rel=0.01)
    whole = observed.sum(axis=0) > 0
    for axis in (0, 1):
        inner = np.cumsum(whole, axis=axis) > 1
        whole &= inner & np.flip(np.cumsum(np.flip(whole, axis), axis=axis) > 1, axis)
    assert whole.sum() > 20
    # All cells share the normalisation, so that of the whole cells is adjusted here.
    share = observed[:, whole].sum() / expected[:, whole].sum()
    assert probability(observed[:, whole], share * expected[:, whole]) > PLAUSIBLE


def wider_psf(tables):
    """Radii 2 % larger."""
    return replace(tables, rad=tables.rad * 1.02, psf=tables.psf / 1.02**2)


def biased_energies(tables):
    """Reconstructed energies 1 % higher."""
    return replace(tables, log_migra=tables.log_migra + 0.01)


def steeper_offset(tables):
    """Acceptance that falls off 60 % faster: 6 % at the corners of the region."""
    factor = np.exp(-0.5 * 0.6 * (tables.offset / 3) ** 2)
    return replace(tables, effective_area=tables.effective_area * factor[:, None])


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("central_source", wider_psf),
        ("cusp", biased_energies),
        ("wide", steeper_offset),
    ],
)
def test_a_slightly_wrong_response_is_found(name, damage):
    found = all_probabilities(*counts_and_expectation(BUILT_IN[name], damage=damage))
    assert min(found.values()) < 1e-6, found
