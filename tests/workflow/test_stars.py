"""Studies of stars through the real commands: the whole workflow, and bad input in one sentence."""

import sys

import numpy as np
import pytest
import yaml
from astropy.table import Table
from tests import star_study

from skymix.cli import program
from skymix.store import read_posterior


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    star_study.write(tmp_path)
    return tmp_path


def write_study(folder, **changes):
    path = folder / "study_file.yaml"
    path.write_text(yaml.safe_dump(star_study.raw(**changes) | {"data": str(folder)}))
    return path


def test_workflow_finds_the_truth_and_writes_members_and_report(folder, snakemake):
    study = write_study(folder)
    done = snakemake("--cores", "1", "--configfile", str(study))
    assert done.code == 0, done.text
    assert done.jobs == {
        "read_catalogue": 1, "sample_posterior": 1, "predict_posterior": 1, "make_report": 1,
    }  # fmt: skip
    fit = folder / "results/small/fits/stars"
    draws = read_posterior(fit / "posterior.nc")["posterior"]
    truth = star_study.TRUTH | {"cluster.scale": 0.05}
    for name, value in truth.items():
        assert abs(draws[name].mean() - value) < 4 * draws[name].std(), name
        assert 0 < draws[name].std() < 0.2
    table, given = Table.read(fit / "membership.ecsv"), star_study.table()
    kept = given[table["skymix_row"]]
    assert np.allclose(table["x"], kept["x"])
    p = table["probability.cluster"]
    assert np.allclose(p + table["probability.field"], 1)
    assert table["probability_sd.cluster"].max() > 0.01
    assert np.mean((p > 0.5) == (kept["label"] == "in")) > 0.9
    page = (folder / "results/small/report/index.html").read_text()
    for words in ("Area under the ROC curve", "Against the labels", "cluster: mean.x", "stars.csv"):
        assert words in page
    again = snakemake("--cores", "1", "--configfile", str(study))
    assert "Nothing to be done" in again.text


def damaged(column, value):
    content = star_study.table()
    content[column][7] = value
    return content


def renamed():
    content = star_study.table()
    content.rename_column("ex", "e_x")
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: damaged("rho", 1.5), "the correlation 'rho' is 1.5 in row 7; it must lie in"),
        (lambda: damaged("ex", 0.0), "the error 'ex' is 0 in row 7; errors must be greater than"),
        (lambda: damaged("ey", -1.0), "the error 'ey' is -1 in row 7; errors must be greater"),
        (lambda: damaged("x", np.nan), "1 values are missing in column 'x', first in row 7"),
        (lambda: damaged("rho", 1.0), "errors in row 7 is not positive definite"),
        (renamed, "has no column 'ex'; the nearest names are e_x"),
    ],
    ids=["correlation", "zero", "negative", "missing", "singular", "column"],
)
def test_bad_table_is_one_sentence(folder, monkeypatch, capsys, content, message):
    star_study.write(folder, content())
    refuse(monkeypatch, capsys, folder, write_study(folder), message)


def test_missing_values_are_dropped_and_counted_if_the_study_says_so(folder, monkeypatch, capsys):
    star_study.write(folder, damaged("x", np.nan))
    raw = star_study.raw()
    study = write_study(folder, catalogue=raw["catalogue"] | {"missing": "drop"})
    monkeypatch.setattr(program, "_stop_by_signal", list)
    monkeypatch.setattr(sys, "argv", ["skymix", "read-catalogue", str(study), "-o", "c.h5"])
    with pytest.raises(SystemExit) as stopped:
        program.main()
    assert stopped.value.code == 0
    assert "'missing': 1" in capsys.readouterr().out


def place(**changes):
    """Components with a cluster of one factor."""
    return {"components": star_study.raw()["components"] | {"cluster": changes}}


MEAN = {"x": 0.0, "y": 0.0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (place(kind="normal", mean={"q": 0}, sigma={"q": 1}), "'q' is not a coordinate"),
        (place(kind="normal", mean={"x": 0}, sigma={"x": 1}), "the errors of 'x' and 'y' are"),
        (place(kind="normal", mean=MEAN, sigma={"x": 1}), "sigma: names 'x', but shape"),
        (place(kind="normal", mean=MEAN, sigma={"x": -1, "y": 1}), "must be greater than zero"),
        (place(kind="nromal", mean=MEAN, sigma=MEAN), "'nromal' is not a known kind"),
        (place(kind="distance", coordinate="x", distance="1 kpc"), "must be a parallax"),
        ({"tree": {"children": {"cluster": None}}}, "leaves out the component 'field'"),
        ({"domain": "start"}, "domain: 'start' is not a known domain"),
        ({"catalog": {}}, "unknown key 'catalog'"),
    ],
)
def test_bad_study_is_one_sentence(folder, monkeypatch, capsys, changes, message):
    refuse(monkeypatch, capsys, folder, write_study(folder, **changes), message)


def refuse(monkeypatch, capsys, folder, study, message):
    """Exit code 1, one sentence, and no file."""
    before = sorted(folder.iterdir())
    monkeypatch.setattr(program, "_stop_by_signal", list)
    monkeypatch.setattr(sys, "argv", ["skymix", "read-catalogue", str(study), "-o", "out.h5"])
    with pytest.raises(SystemExit) as stopped:
        program.main()
    assert stopped.value.code == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert sorted(folder.iterdir()) == before


def test_commands_of_the_other_domain_are_refused(folder, monkeypatch, capsys):
    study = write_study(folder)
    monkeypatch.setattr(program, "_stop_by_signal", list)
    monkeypatch.setattr(sys, "argv", ["skymix", "read-events", str(study), "a", "-o", "e.h5"])
    with pytest.raises(SystemExit) as stopped:
        program.main()
    assert stopped.value.code == 1
    assert "has the domain stars; this command is for gamma rays" in capsys.readouterr().err
