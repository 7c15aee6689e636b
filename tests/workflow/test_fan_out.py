"""How the workflow shares out its jobs, and what one observation more reruns."""

import dataclasses

import numpy as np
import pytest
from tests.survey import survey, write_survey

from skymix import pipeline
from skymix.store import Marginals, read_product
from skymix.study import load_study
from skymix.study.jobs import bundles
from skymix.study.stages import response_key

MADE = {"tabulate_response", "simulate_events", "marginalise_nuisance", "marginalise_bundle"}


@pytest.fixture
def plan(snakemake, tmp_path):
    """Jobs up to the marginals that the survey of some observations needs."""

    def run(number, size, *arguments):
        raw = survey()
        raw["jobs"] = {"observations": size}
        path = write_survey(tmp_path, raw, number)
        done = snakemake(*(arguments or ["-n"]), "--configfile", str(path))
        assert done.code == 0, done.text
        return {rule: jobs for rule, jobs in done.jobs.items() if rule in MADE}

    return run


def finish(plan, folder, number, size):
    """Write the products of the fan-out as empty files that snakemake holds for its own."""
    plan(number, size)
    study = load_study(folder / "study.yaml")
    shared = bundles(study)
    files = [f"bundles/{bundle}.json" for bundle in shared]
    for name in study.observations:
        files.append(f"response/{response_key(study, name)}.h5")
        if not shared:
            files.append(f"events/{name}.h5")
            files += [f"marginals/{name}/{leaf}.h5" for leaf in study.tree.leaves()]
    for path in (folder / "results/survey" / file for file in files):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    targets = [f"results/survey/{file}" for file in sorted(set(files))]
    plan(number, size, *targets, "--touch", "--forceall", "--no-hooks")


def test_one_observation_more_runs_its_own_jobs_only(plan, tmp_path):
    finish(plan, tmp_path, 4, 1)
    assert plan(4, 1) == {}
    assert plan(5, 1) == {"simulate_events": 1, "marginalise_nuisance": 3}


def test_one_observation_more_runs_its_own_bundle_only(plan, tmp_path):
    finish(plan, tmp_path, 40, 5)
    assert plan(40, 5) == {}
    assert plan(41, 5) == {"marginalise_bundle": 1}
    assert sum(len(n) for n in bundles(load_study(tmp_path / "study.yaml")).values()) == 41


def test_many_observations_are_bundled_by_themselves(plan):
    assert plan(100, None)["marginalise_nuisance"] == 300
    many = plan(400, None)
    assert many.keys() == {"tabulate_response", "marginalise_bundle"}
    assert many["tabulate_response"] == 1
    assert 10 <= many["marginalise_bundle"] <= 25


@pytest.mark.slow
def test_a_big_observation_is_divided(snakemake, tmp_path, monkeypatch):
    """Its joined marginals are those of one job, to the last bit."""
    raw = survey()
    raw["marginalisation"] = {"events": "unbinned"}
    raw["jobs"] = {"events": 50}
    path = write_survey(tmp_path, raw, 1)
    target = "results/survey/marginals/run_0000/dark_matter.h5"
    done = snakemake(target, "--cores", "2", "--configfile", str(path))
    assert done.code == 0, done.text
    assert done.jobs["marginalise_chunk"] == 3
    assert done.jobs["join_marginals"] == 1
    assert not list((tmp_path / "results/survey/marginals/run_0000").glob("*/*.h5"))

    monkeypatch.chdir(tmp_path)
    study, root = load_study(path), tmp_path / "results/survey"
    pipeline.marginalise_nuisance(
        study,
        "run_0000",
        "dark_matter",
        root / "events/run_0000.h5",
        root / f"response/{response_key(study, 'run_0000')}.h5",
        tmp_path / "whole.h5",
    )
    joined, whole = (read_product(p, Marginals) for p in (tmp_path / target, "whole.h5"))
    for field in dataclasses.fields(Marginals):
        if not field.name.endswith("_error"):
            one, two = getattr(joined, field.name), getattr(whole, field.name)
            np.testing.assert_array_equal(one, two, field.name)
