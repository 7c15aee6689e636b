"""Membership and predicted counts against their definitions."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from tests.gathering import gathered

from skymix.axes import EnergyAxis, Grid, SkyGrid
from skymix.diagnostics import Observed, Space, insertion_p_value, predict_posterior
from skymix.diagnostics.predict import insertion_ranks
from skymix.store import Events, Marginals
from skymix.store.tables import mixture_of

GRID = Grid(EnergyAxis(np.array([1.0, 2.0, 4.0])), SkyGrid.centred(2, 2, 1))
N = 30
TREE = {"children": {"a": None, "b": None}}
PRIORS = {"a.x": {"kind": "uniform", "lower": 0.0, "upper": 1.0}}


def marginals(name: str, rows: int, rng: np.random.Generator) -> Marginals:
    maps = rng.random((rows, 2, 2))
    spectra = rng.random((rows, 2))
    return Marginals(
        parameters=("a.x",) if rows > 1 else (),
        spacings=("linear",) if rows > 1 else (),
        units=("",) if rows > 1 else (),
        nodes=np.array([rows] if rows > 1 else [], dtype=np.int64),
        node_values=np.linspace(0, 1, rows) if rows > 1 else np.empty(0),
        density=rng.random((rows, N)),
        multiplicity=np.ones(N),
        expected_counts=np.ones(rows),
        counts_map=maps / maps.sum(axis=(1, 2), keepdims=True),
        counts_spectrum=spectra / spectra.sum(axis=1, keepdims=True),
        truncation=np.zeros(N),
        binning_error=0.0,
        interpolation_error=0.0,
        observation="run",
        component=name,
    )


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(4)
    leaves = [marginals("a", 3, rng), marginals("b", 1, rng)]
    nothing = np.full(N, np.nan)
    events = Events(
        event_id=np.arange(N),
        multiplicity=np.ones(N, dtype=np.int64),
        energy=rng.uniform(1, 4, N),
        lon=rng.uniform(-1, 1, N),
        lat=rng.uniform(-1, 1, N),
        true_component=np.full(N, -1),
        true_energy=nothing,
        true_lon=nothing,
        true_lat=nothing,
        observation="run",
        pointing_lon=0.0,
        pointing_lat=0.0,
        livetime=1.0,
        ontime=1.0,
        cuts="{}",
        components=("a", "b"),
        expected_counts=np.empty(0),
        truth="{}",
    )
    tables = gathered([leaves], TREE, PRIORS)
    theta = rng.random((50, 2))
    posterior = xr.DataTree.from_dict(
        {
            "/posterior": xr.Dataset(
                {
                    "fraction.a": (("chain", "draw"), theta[None, :, 0]),
                    "a.x": (("chain", "draw"), theta[None, :, 1]),
                }
            ),
            "/nested": xr.Dataset(
                {
                    "insertion_rank": ("dead_point", np.arange(40) % 20),
                    "insertion_run": ("dead_point", np.zeros(40, dtype=np.int64)),
                }
            ),
        }
    )
    posterior.attrs["n_live"] = 20
    found = predict_posterior(
        mixture_of(tables), tables, posterior, [Observed(events, leaves)], [Space(GRID)]
    )
    return found, leaves, events, theta


def test_data_spaces_stand_side_by_side(fit) -> None:
    """The same observation twice, once without a map: spectra of both, the map of the first."""
    found, leaves, events, theta = fit
    again = [replace(m, observation="other") for m in leaves]
    tables = gathered([leaves, again], TREE, PRIORS)
    fractions = {"fraction.a": theta[None, :, 0], "a.x": theta[None, :, 1]}
    draws = xr.Dataset({name: (("chain", "draw"), v) for name, v in fractions.items()})
    two = predict_posterior(
        mixture_of(tables),
        tables,
        xr.DataTree.from_dict({"/posterior": draws}),
        [Observed(events, leaves, 1), Observed(replace(events, observation="other"), again, 0)],
        [Space(GRID), Space(GRID, mapped=False)],
    )
    first, second = two.spectra
    assert (first.observations, second.observations) == (("other",), ("run",))
    for spectrum in (first, second):
        np.testing.assert_array_equal(spectrum.edges, GRID.energy.edges)
        np.testing.assert_array_equal(spectrum.counts, found.counts_spectrum)
        np.testing.assert_allclose(spectrum.predicted, found.predicted_spectrum)
        np.testing.assert_allclose(spectrum.band, found.predicted_spectrum_band)
    np.testing.assert_array_equal(two.counts_map, found.counts_map)
    np.testing.assert_allclose(two.predicted_map, found.predicted_map)
    assert two.space_mapped.tolist() == [1, 0]


def at(table: np.ndarray, x: float) -> np.ndarray:
    """Linear interpolation between three nodes on 0 ... 1."""
    k = min(int(2 * x), 1)
    return table[k] + (2 * x - k) * (table[k + 1] - table[k])


def test_membership_is_the_posterior_mean(fit) -> None:
    found, (a, b), _, theta = fit
    each = []
    for w, x in theta:
        joint = np.stack([w * at(a.density, x), (1 - w) * b.density[0]], axis=1)
        each.append(joint / joint.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found.membership, np.mean(each, axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.membership_sd, np.std(each, axis=0, ddof=1), rtol=1e-9)
    np.testing.assert_allclose(found.membership.sum(axis=1), 1)


def test_predicted_counts_are_the_posterior_mean(fit) -> None:
    found, (a, b), _, theta = fit
    spectra = [N * w * at(a.counts_spectrum, x) for w, x in theta]
    maps = [N * w * at(a.counts_map, x) for w, x in theta]
    np.testing.assert_allclose(found.predicted_spectrum[0], np.mean(spectra, axis=0))
    np.testing.assert_allclose(found.predicted_map[0], np.mean(maps, axis=0))
    other = N * (1 - theta[:, 0]).mean()
    np.testing.assert_allclose(found.predicted_spectrum[1], other * b.counts_spectrum[0])
    assert found.predicted_map.sum() == pytest.approx(N)
    assert np.all(np.diff(found.predicted_spectrum_band, axis=0) >= 0)


def test_counts_are_those_of_the_events(fit) -> None:
    found, _, events, _ = fit
    low, _ = np.histogram(events.energy, GRID.energy.edges)
    np.testing.assert_array_equal(found.counts_spectrum, low)
    counts, _, _ = np.histogram2d(events.lat, events.lon, [[-1, 0, 1], [-1, 0, 1]])
    np.testing.assert_array_equal(found.counts_map, counts)


def test_importance_sampling_has_no_insertion_ranks() -> None:
    posterior = xr.DataTree.from_dict({"/weighted": xr.Dataset({"x": ("point", np.ones(3))})})
    ranks, live = insertion_ranks(posterior)
    assert ranks.size == live == 0
    assert np.isnan(insertion_p_value(ranks, live))
