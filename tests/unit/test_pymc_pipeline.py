"""The stages of a study of a PyMC model: both samplers write the same variables, which agree."""

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from skymix import pymc_pipeline
from skymix.cli import cli
from skymix.errors import DataError, SkymixError, StudyError
from skymix.pipeline import freeze_study
from skymix.store import read_posterior
from skymix.study.load import load_any_study

MODEL = """
import numpy as np
import pymc as pm

def model(data, width):
    y = np.loadtxt(data / "y.txt")
    with pm.Model() as found:
        x = pm.Normal("x", 0, width, shape=2)
        cuts = pm.Normal("cuts", 0, 1, shape=2, transform=pm.distributions.transforms.ordered,
                         initval=[-0.5, 0.5])
        w = pm.Dirichlet("w", [2.0, 3.0, 4.0])
        pm.Deterministic("sum", x.sum())
        pm.Normal("y", x, 0.5, observed=y)
        pm.Potential("shares", 5 * pm.math.log(w[0]) - 0.1 * cuts[1])
    return found
"""
SMALL = """
import numpy as np
import pymc as pm

def model(data):
    with pm.Model() as found:
        pm.Normal("y", pm.Normal("x"), 1, observed=np.loadtxt(data / "y.txt"))
    return found
"""
NAMES = ["x[0]", "x[1]", "cuts[0]", "cuts[1]", "w[0]", "w[1]", "w[2]", "sum"]
NESTED = {"live_points": 100, "dlogz": 0.5, "bound": "multi", "sample": "unif"}
NUTS = {"kind": "nuts", "chains": 2, "tune": 300, "draws": 500}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pymc")
    (folder / "own.py").write_text(MODEL)
    (folder / "small.py").write_text(SMALL)
    (folder / "y.txt").write_text("1.0 -0.5\n")
    return folder


@pytest.fixture
def write(folder, monkeypatch):
    """Write a study and go to its folder."""
    monkeypatch.chdir(folder)

    def study(**changes):
        raw = {
            "domain": "pymc",
            "name": "own",
            "data": str(folder),
            "model": {"path": "own.py", "arguments": {"width": 2}, "files": ["y.txt"]},
            "sampler": NESTED,
        }
        path = folder / "study.yaml"
        path.write_text(yaml.safe_dump(raw | changes))
        return path

    return study


def draws(study, folder):
    """Posterior, made by the commands that the workflow calls, and the text of the report."""
    study = load_any_study(study)
    freeze_study(
        study.model_dump(mode="json"), frozen := folder / f"results/{study.name}/study.yaml"
    )
    made = frozen.parent / "fits/model/posterior.nc"
    made.parent.mkdir(parents=True, exist_ok=True)
    again = load_any_study(frozen)
    pymc_pipeline.sample_posterior(again, study.model.path, made)
    page = pymc_pipeline.make_report(again, frozen.parent / "report")
    return read_posterior(made), page.read_text(), pymc_pipeline.summary(again)


def test_both_samplers_write_the_same_variables_and_agree(write, folder):
    nested, page, text = draws(write(), folder)
    chains, nuts_page, nuts_text = draws(write(name="chains", sampler=NUTS), folder)
    for tree in (nested, chains):
        assert list(tree["posterior"].data_vars) == NAMES
        assert list(tree["prior"].data_vars) == NAMES
        found = tree["posterior"]
        assert (found["cuts[0]"] < found["cuts[1]"]).all()
        assert np.allclose(found["w[0]"] + found["w[1]"] + found["w[2]"], 1)
        # Normal prior and likelihood: variance 1 / (1/4 + 1/0.25).
        variance = 1 / (1 / 4 + 1 / 0.25)
        for name, datum in (("x[0]", 1.0), ("x[1]", -0.5)):
            assert float(found[name].mean()) == pytest.approx(datum / 0.25 * variance, abs=0.1)
            assert float(found[name].std()) == pytest.approx(variance**0.5, rel=0.15)
        # Dirichlet(2 + 5, 3, 4).
        assert float(found["w[0]"].mean()) == pytest.approx(7 / 14, abs=0.03)
    for name in NAMES:
        one, other = (tree["posterior"][name] for tree in (nested, chains))
        assert abs(float(one.mean() - other.mean())) < 0.25 * float(other.std()), name
    assert "<td>posterior 2</td>" in page
    assert "Log evidence, ln Z" in page
    assert "Largest r-hat" in nuts_page
    for words in ("np.loadtxt", "y.txt", "own.py", "w[1]", "figures/corner.png"):
        assert words in page
        assert words in nuts_page
    assert str(folder / "own.py") not in page
    assert "ln Z" in text
    assert "r-hat at most" in nuts_text


def test_a_changed_file_is_noticed(write, folder):
    sampler = NESTED | {"live_points": 30, "dlogz": 5, "runs": 2}
    model = {"path": "small.py", "files": ["y.txt"]}
    loaded = load_any_study(write(name="several", sampler=sampler, model=model))
    source = loaded.model.path
    fit = folder / "results/several/fits/model"
    (fit / "runs").mkdir(parents=True)
    runs = [fit / "runs/1.h5", fit / "runs/2.h5"]
    for number, path in enumerate(runs, 1):
        pymc_pipeline.sample_posterior(loaded, source, path, run=number)
    pymc_pipeline.merge_runs(loaded, source, runs, fit / "posterior.nc")
    assert "ln Z" in pymc_pipeline.summary(loaded)
    (folder / "y.txt").write_text("1.0 -0.6\n")
    try:
        with pytest.raises(DataError, match=r"was not made from .*y\.txt as it is now"):
            pymc_pipeline.summary(loaded)
        with pytest.raises(DataError, match=r"1\.h5: was not made from .*y\.txt as it is now"):
            pymc_pipeline.merge_runs(loaded, source, runs, fit / "posterior.nc")
    finally:
        (folder / "y.txt").write_text("1.0 -0.5\n")


UNDEFINED = """
import pymc as pm
import pytensor.tensor as pt

def model(name):
    with pm.Model() as found:
        x = pm.Normal(name)
        pm.Deterministic("logarithm", pt.log(x))
        pm.Normal("y", x, 1, observed=0.5)
    return found
"""


def test_what_is_not_finite_everywhere_is_left_out_and_named(write, folder):
    (folder / "undefined.py").write_text(UNDEFINED)
    model = {"path": "undefined.py", "arguments": {"name": "x"}}
    tree, page, text = draws(write(name="undefined", model=model), folder)
    lacking = int(np.isnan(tree["posterior"]["logarithm"].values).sum())
    assert lacking > 0
    sentence = f"logarithm is not a finite number in {lacking} of"
    assert sentence in text
    assert sentence in page


def test_names_of_the_samplers_columns_are_refused(write, folder):
    (folder / "undefined.py").write_text(UNDEFINED)
    model = {"path": "undefined.py", "arguments": {"name": "log_weight"}}
    with pytest.raises(SkymixError, match="'log_weight' is called as a column of the posterior"):
        pymc_pipeline.problem_of(load_any_study(write(model=model)))


def test_validate_makes_the_model(write):
    done = CliRunner().invoke(cli, ["validate", str(write())])
    assert "Study 'own': 6 parameters." in done.output


def refused(*command):
    """What a command raises."""
    with pytest.raises((StudyError, DataError)) as caught:
        CliRunner().invoke(cli, list(map(str, command)), catch_exceptions=False)
    return str(caught.value)


def test_bad_input_is_one_sentence_and_makes_no_file(write, folder):
    before = sorted(folder.iterdir())
    study = write()
    missing = write(model={"path": "other.py"})
    assert "model.path: there is no file" in refused("validate", missing)
    study = write(model={"path": "own.py", "arguments": {"width": 2}, "files": ["z.txt"]})
    assert "z.txt: cannot be read" in refused(
        "sample-posterior", study, folder / "own.py", "-o", folder / "posterior.nc"
    )
    memberships = ["--likelihood", "own.py", "--posterior", "p.nc", "-o", "m.ecsv"]
    assert "no components whose membership" in refused("predict-posterior", study, *memberships)
    assert "has the domain pymc; this command is for stars" in refused(
        "read-catalogue", study, "-o", "c.h5"
    )
    assert {p.name for p in folder.iterdir()} - {p.name for p in before} <= {"study.yaml"}
