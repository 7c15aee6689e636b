"""Limits on dark matter: where they are expected, and how often they hold."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from skymix import pipeline
from skymix.errors import DataError
from skymix.set_limits import Search, count_cells, gather_limits, set_limits
from skymix.store import Provenance, read_product, read_provenance, write_product
from skymix.store.limits import Limits
from skymix.study import study_from_mapping
from skymix.study.limits import searched
from skymix.study.stages import response_key

SURVEYS = 200

STUDY = {
    "name": "limited",
    "region": {
        "centre": {"frame": "galactic", "lon": "0 deg", "lat": "0 deg"},
        "width": "2.4 deg",
        "height": "2.4 deg",
    },
    "grids": {
        "energy": {"min": "0.3 TeV", "max": "10 TeV", "per_decade": 5},
        "true_energy": {"min": "0.2 TeV", "max": "15 TeV", "per_decade": 10},
        "pixel": "0.3 deg",
        "subdivision": 2,
        "margin": "0.3 deg",
    },
    "observations": {
        name: {
            "events": {
                "kind": "simulated",
                "form": "counts",
                "pointing": {"frame": "galactic", "lon": lon, "lat": "0 deg"},
                "livetime": livetime,
                "counts": {"dark_matter": 0},
                "parameters": {"dark_matter.mass": "2 TeV"},
            },
            "response": {"kind": "parametric"},
        }
        for name, lon, livetime in (("a", "0.7 deg", "5 h"), ("b", "0.7 deg", "2 h"))
    },
    "components": {
        "dark_matter": {
            "kind": "dark_matter",
            "profile": {"kind": "einasto"},
            "spectrum": {"kind": "closed_form", "channels": {"W": 1}},
            "mass": {"min": "1 TeV", "max": "8 TeV", "nodes": 9, "spacing": "log"},
        },
        "background": {"kind": "cosmic_rays", "normalisation": 0.05},
    },
    "tree": {"children": {"dark_matter": None, "background": None}},
    "marginalisation": {"events": "binned"},
    "likelihood": {
        "kind": "extended",
        "amplitudes": {
            "dark_matter": {"kind": "uniform", "lower": 0, "upper": 1e4},
            "background": {"kind": "uniform", "lower": 0.5, "upper": 2.0},
        },
        "nuisances": {
            "j_factor": {
                "components": ["dark_matter"],
                "prior": {"kind": "log_normal", "dex": 0.1},
            }
        },
    },
    "limits": {
        "component": "dark_matter",
        "channels": ["W", "b"],
        "masses": {"min": "1 TeV", "max": "4 TeV", "nodes": 3, "spacing": "log"},
        "draws": 2000,
        "realisations": 40,
    },
}


def study_of(**limits):
    settings = copy.deepcopy(STUDY)
    settings["limits"].update(limits)
    return study_from_mapping(settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Events and responses of the study, of which nothing is dark matter."""
    root = tmp_path_factory.mktemp("limits")
    study = study_of()
    for name in study.observations:
        response = root / "response" / f"{response_key(study, name)}.h5"
        if not response.exists():
            pipeline.tabulate_response(study, name, response)
        pipeline.simulate_events(study, name, response, root / "events" / f"{name}.h5")
    return root


@pytest.fixture(scope="module")
def counting(folder):
    survey = searched(study_of(), "W")
    return count_cells(survey, "joint", folder / "events", folder / "response", folder)


def limits_of_surveys(counting, factor):
    """Limits at 2 TeV in surveys with a signal, whose J-factor is drawn from its prior."""
    study = study_of()
    search = Search.of(study, counting.observed())
    search = replace(search, masses=search.masses[1:2])
    mixture, found = counting.observed(), []
    for number in range(SURVEYS):
        rng = np.random.default_rng((number, 1))
        truth = {
            "amplitude.dark_matter": factor,
            "amplitude.background": 1.0,
            "j_factor": 10 ** (0.1 * rng.standard_normal()),
            "dark_matter.mass": search.masses[0],
        }
        theta = np.array([truth[name] for name in mixture.names])
        counts = [rng.poisson(n).astype(float) for n in counting.expected(theta)]
        found.append(search.limits(counting.of(counts), 2000, number).limit[0])
    return np.array(found)


@pytest.fixture(scope="module")
def parts(folder):
    """Limits of both channels, each in two jobs."""
    study, made = study_of(realisations=20, per_job=10), []
    for part, (channel, first, stop) in study.limits.jobs().items():
        path = folder / f"{part}.h5"
        set_limits(
            study,
            "joint",
            channel,
            folder / "events",
            folder / "response",
            range(first, stop),
            path,
        )
        made.append(path)
    return study, made


def test_observed_limit_lies_in_the_expected_band(parts, folder):
    study, paths = parts
    text = gather_limits(study, "joint", paths, folder / "limits.h5")
    limits = read_product(folder / "limits.h5", Limits)
    assert limits.channels == ("W", "b")
    assert limits.expected.shape == (2, 20, 3)
    low, _, _, _, high = limits.band()
    assert np.all(limits.limit > 0.8 * low)
    assert np.all(limits.limit < 1.2 * high)
    assert np.all(limits.log_bayes()[0] < 0)
    assert "20 simulations" in text
    assert (folder / "joint.png").stat().st_size > 10_000
    assert (folder / "joint.ecsv").read_text().count("\n") > 6


def test_parts_of_other_events_are_not_joined(parts, folder):
    study, paths = parts
    other = folder / "other.h5"
    made = read_provenance(paths[1])
    provenance = Provenance(made["study"], {**made["inputs"], "events/a.h5": "ab" * 32})
    write_product(other, read_product(paths[1], Limits), provenance)
    with pytest.raises(DataError, match="is of other events than"):
        gather_limits(study, "joint", [paths[0], other, *paths[2:]], folder / "mixed.h5")


def test_limits_cover_a_signal_of_their_own_size(counting, parts):
    _, paths = parts
    factor = float(np.median(read_product(paths[0], Limits).expected[0, :, 1]))
    covered = (limits_of_surveys(counting, factor) >= factor).mean()
    # 95 % by the binomial error of 200 surveys; a flat prior from zero is on the safe side.
    assert 0.9 <= covered <= 0.995


def test_limits_hold_without_a_signal_and_tell_one_from_none(counting):
    study = study_of()
    search = Search.of(study, counting.observed())
    without = search.limits(counting.observed(), 4000, 1)
    mixture = counting.observed()
    truth = np.array([3.0 if n == "amplitude.dark_matter" else 1.0 for n in mixture.names])
    truth[mixture.names.index("dark_matter.mass")] = 2.0
    rng = np.random.default_rng(3)
    counts = [rng.poisson(n).astype(float) for n in counting.expected(truth)]
    signal = search.limits(counting.of(counts), 4000, 1)
    assert np.all(without.limit > 0)
    assert signal.log_bayes[1] > 20 > 0 > without.log_bayes[1]
    assert signal.limit[1] > 3.0


def test_cells_expect_what_the_components_do(counting):
    mixture = counting.observed()
    theta = np.array([2.0, 1.5, 0.8, 2.0])
    assert mixture.names[:3] == ("amplitude.dark_matter", "amplitude.background", "j_factor")
    total = sum(cells.sum() for cells in counting.expected(theta))
    assert total == pytest.approx(mixture.counts(theta[None]).sum(), rel=1e-9)
    # Both observations point alike, so they differ by their livetimes.
    first, second = counting.expected(theta)
    np.testing.assert_allclose(first / second, 2.5, rtol=1e-6)


def test_energy_scale_is_marginalised(counting, folder):
    factor = {"min": 0.7, "max": 1.3, "nodes": 5, "prior": {"kind": "normal", "mean": 1, "sd": 0.1}}
    settings = copy.deepcopy(STUDY)
    settings["energy_scales"] = {"array": {"observations": ["a", "b"], "factor": factor}}
    study = study_from_mapping(settings)
    scaled = count_cells(
        searched(study, "W"), "joint", folder / "events", folder / "response", folder
    )
    mixture = scaled.observed()
    place = mixture.names.index("energy_scale.array")
    theta = np.ones(len(mixture.names))
    theta[mixture.names.index("dark_matter.mass")] = 2.0
    as_it_is = [cells.sum() for cells in counting.expected(np.delete(theta, place))]
    np.testing.assert_allclose([c.sum() for c in scaled.expected(theta)], as_it_is, rtol=1e-6)
    for scale in (0.8, 1.2):
        theta[place] = scale
        total = sum(cells.sum() for cells in scaled.expected(theta))
        assert total == pytest.approx(mixture.counts(theta[None]).sum(), rel=1e-6)
        assert abs(total / sum(as_it_is) - 1) > 1e-4
    search = replace(Search.of(study, mixture), masses=np.array([2.0]))
    free = search.limits(mixture, 4000, 1).limit[0]
    known = search.limits(counting.observed(), 4000, 1).limit[0]
    assert 0.97 < free / known < 1.5


def test_one_simulation_does_not_depend_on_the_others(counting, parts, folder):
    study, paths = parts
    path = folder / "alone.h5"
    set_limits(study, "joint", "W", folder / "events", folder / "response", [13], path)
    np.testing.assert_array_equal(
        read_product(path, Limits).expected[0, 0], read_product(paths[1], Limits).expected[0, 3]
    )


def test_evidences_are_the_integrals_over_the_prior(counting, parts):
    """Sums over grids of both amplitudes and the J-factor, with Poisson cells of their own."""
    _, paths = parts
    limits = read_product(paths[0], Limits)
    mixture = counting.observed()
    assert mixture.names == (
        "amplitude.dark_matter",
        "amplitude.background",
        "j_factor",
        "dark_matter.mass",
    )
    # The observations point alike, so they are counted together, in one set of cells.
    tables, size = counting.tables, counting.sizes["a"]
    observed = tables.multiplicity[tables.event_datum[tables.event_observation == 0]]
    held, mass = observed > 0, limits.mass[1]
    shared = tables.events @ np.log([5 / 7, 2 / 7])  # of each event's rate, by the livetimes
    signal_only, background_only = (
        np.sum(counting.expected(np.array([*theta, 1.0, mass])), axis=0)
        for theta in ((1.0, 0.0), (0.0, 1.0))
    )

    def log_likelihood(signal, level):
        cells = signal * signal_only + level * background_only
        return observed[held] @ np.log(cells[held] / size[held]) + shared - cells.sum()

    # They enter as a product, signal = amplitude * 10**(0.1 z), and the amplitude is uniform.
    level = np.linspace(0.8, 1.2, 201)
    signal = np.linspace(0.0, 4 * float(limits.limit[0, 1]), 201)
    value = np.array([[log_likelihood(s, b) for b in level] for s in signal])
    top = value.max()
    of_signal = np.trapezoid(np.exp(value - top), level, axis=1) / 1.5
    z = np.linspace(-5, 5, 201)
    normal = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    spread = np.trapezoid(normal * 10 ** (-0.1 * z), z)
    free = top + np.log(np.trapezoid(of_signal, signal) * spread / limits.largest)
    none = top + np.log(of_signal[0])
    for found, error, expected in (
        (limits.null_log_evidence[0], limits.null_log_evidence_error[0], none),
        (limits.log_evidence[0, 1], limits.log_evidence_error[0, 1], free),
    ):
        assert found == pytest.approx(expected, abs=0.02 + 4 * error)
        assert error < 0.1
