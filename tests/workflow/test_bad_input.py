"""Bad input through the real commands: one sentence, exit code 1, and nothing half-written."""

import copy
import dataclasses
import gzip
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from astropy.io import fits
from tests import dl3_files

from skymix import pipeline
from skymix.cli import program
from skymix.store import (
    Events,
    Marginals,
    Provenance,
    Response,
    read_product,
    read_provenance,
    write_product,
)
from skymix.study import study_from_mapping
from skymix.study.default import DEFAULT_STUDY

RUN = "centre_5h"
EVENTS = f"e/{RUN}.h5"
COMPONENTS = tuple(DEFAULT_STUDY["components"])
Edit = Callable[[dict[str, Any]], object]


def tiny() -> dict[str, Any]:
    """The default study on few cells, with few events."""
    raw = copy.deepcopy(DEFAULT_STUDY)
    raw["grids"] |= {"pixel": "0.5 deg", "margin": "0.5 deg", "subdivision": 2}
    for axis in ("energy", "true_energy"):
        raw["grids"][axis]["per_decade"] = 2
    raw["components"]["dark_matter"]["mass"]["nodes"] = 3
    raw["observations"][RUN]["events"]["counts"] = dict.fromkeys(COMPONENTS, 20)
    raw["sampler"] = {"live_points": 20, "dlogz": 10}
    return raw


def crab(data: Path) -> dict[str, Any]:
    """A study of the recorded run.fits in a data folder."""
    return {
        "name": "crab",
        "data": str(data),
        "region": {
            "centre": {"frame": "icrs", "lon": "83.63 deg", "lat": "22.01 deg"},
            "width": "4 deg",
            "height": "4 deg",
        },
        "grids": {
            "energy": {"min": "1 TeV", "max": "20 TeV", "per_decade": 3},
            "true_energy": {"min": "0.5 TeV", "max": "50 TeV", "per_decade": 3},
            "pixel": "0.5 deg",
        },
        "observations": {
            RUN: {
                "events": {"kind": "dl3", "path": "run.fits"},
                "response": {"kind": "dl3", "path": "run.fits"},
            }
        },
        "components": {"cosmic_rays": {"kind": "cosmic_rays"}},
        "tree": {"children": {"cosmic_rays": None}},
    }


def write_study(path: Path, raw: dict[str, Any]) -> str:
    path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return path.name


def make_products(folder: Path) -> None:
    """Products of all stages of the tiny study: r.h5, e/, m/, l.h5, p.nc, d.h5."""
    write_study(folder / "study.yaml", tiny())
    study = study_from_mapping(tiny())
    events, response, likelihood = folder / EVENTS, folder / "r.h5", folder / "l.h5"
    marginals = [folder / "m" / RUN / f"{name}.h5" for name in COMPONENTS]
    pipeline.tabulate_response(study, RUN, response)
    pipeline.simulate_events(study, RUN, response, events)
    for name, path in zip(COMPONENTS, marginals, strict=True):
        pipeline.marginalise_nuisance(study, RUN, name, events, response, path)
    pipeline.gather_marginals(study, RUN, folder / "e", folder / "m", likelihood)
    pipeline.sample_posterior(study, likelihood, folder / "p.nc")
    pipeline.predict_posterior(
        study, folder / "e", folder / "m", likelihood, folder / "p.nc", folder / "d.h5"
    )


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    folder = tmp_path_factory.mktemp("products")
    make_products(folder)
    return folder


@pytest.fixture
def folder(products, tmp_path, monkeypatch):
    """A copy of the products, as the present folder."""
    shutil.copytree(products, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Run a command that must fail; its sentence must match, and no file may come of it."""
    monkeypatch.setattr(program, "_stop_by_signal", list)

    def run(message: str, *arguments: str) -> None:
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        monkeypatch.setattr(sys, "argv", ["skymix", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            program.main()
        out, err = capsys.readouterr()
        assert stopped.value.code == 1, err
        assert out == ""
        assert err.startswith("skymix: error: ")
        assert err.count("\n") == 1
        assert re.search(message, err), err
        files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        assert {p for p in files if p not in before} == set()
        assert all(files[path] == time for path, time in before.items() if path.is_file())

    return run


FOLDERS = ("--events-folder", "e", "--marginals-folder", "m")
STAGES = {
    "tabulate-response": ("study.yaml", RUN),
    "simulate-events": ("study.yaml", RUN, "--response", "r.h5"),
    "marginalise-nuisance": (
        *("study.yaml", RUN, "diffuse", "--events", EVENTS, "--response", "r.h5"),
    ),
    "gather-marginals": ("study.yaml", RUN, *FOLDERS),
    "sample-posterior": ("study.yaml", "l.h5"),
    "predict-posterior": (
        *("study.yaml", *FOLDERS, "--likelihood", "l.h5", "--posterior", "p.nc"),
    ),
}


def command(stage: str, **replaced: str) -> tuple[str, ...]:
    """Command of a stage; `study=` names another study, `option=` another value of an option."""
    arguments = list(STAGES[stage])
    if "study" in replaced:
        arguments[0] = replaced.pop("study")
    for option, value in replaced.items():
        arguments[arguments.index(f"--{option.replace('_', '-')}") + 1] = value
    return stage, *arguments, "-o", "out.h5"


# The study ---------------------------------------------------------------------------------


def leave_out(raw):
    del raw["tree"]["children"]["background"]["children"]["diffuse"]


def mass(**keys: Any) -> Edit:
    return lambda raw: raw["components"]["dark_matter"]["mass"].update(keys)


def grids(**keys: Any) -> Edit:
    return lambda raw: raw["grids"].update(keys)


def counts(number: float) -> Edit:
    return lambda raw: raw["observations"][RUN]["events"]["counts"].update(diffuse=number)


MISTAKES: dict[str, tuple[Edit, str]] = {
    "unknown component": (
        lambda raw: raw["tree"]["children"].update(nova=None),
        r"tree: 'nova' is not a component; components are ",
    ),
    "component left out": (leave_out, "tree: leaves out the component 'diffuse'; add it"),
    "prior upside down": (
        mass(prior={"kind": "uniform", "lower": "5 TeV", "upper": "2 TeV"}),
        r"dark_matter.mass: prior: 'lower' \(5\) must be below 'upper' \(2\)",
    ),
    "scan upside down": (mass(min="30 TeV"), r"mass: 'min' \(30\) must be below 'max' \(20\)"),
    "wrong kind of unit": (
        lambda raw: raw["region"].update(width="3 TeV"),
        "region.width: '3 TeV' has the unit 'TeV'; an angle greater than zero is expected",
    ),
    "true energies too narrow": (
        grids(true_energy={"min": "1 TeV", "max": "150 TeV", "per_decade": 2}),
        "grids: true_energy: 1 to 150 TeV does not cover the data's 0.1 to 100 TeV; widen",
    ),
    "absurd pixels": (
        grids(pixel="0.0001 deg"),
        r"grids: \S+ cells, which take \S+ GB an array, are more than .* use larger pixels",
    ),
    "absurd energies": (
        grids(true_energy={"min": "0.05 TeV", "max": "150 TeV", "per_decade": 1e9}),
        "fewer energies per decade",
    ),
    "pixel larger than the region": (
        grids(pixel="7 deg"),
        r"grids.pixel: 7 deg is larger than the region \(6 deg\)",
    ),
    "margin beyond the pole": (
        lambda raw: (
            raw["region"].update(width="180 deg", height="120 deg"),
            raw["grids"].update(pixel="60 deg", margin="20 deg"),
        ),
        "reach around the sphere",
    ),
    "absurd counts": (
        counts(1e12),
        r"events: counts.diffuse: 1e\+12 events are more than the 1e\+09 that can be simulated",
    ),
    "negative counts": (counts(-3), "counts.diffuse: '-3' must be greater than zero"),
    "counts NaN": (counts(float("nan")), "counts.diffuse: 'nan' is not finite"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_study(tmp_path, refused, monkeypatch, mistake):
    edit, message = MISTAKES[mistake]
    raw = tiny()
    edit(raw)
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path / "wrong.yaml", raw)
    refused(f"^skymix: error: wrong.yaml: .*{message}", "validate", "wrong.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: [a\nregion: }", "line 2: "),
        (b"", "a study is a mapping of keys to values"),
        (b"\xff\xfe", "cannot be read as a text file"),
        (b"name: 2020-99-99", "a date that does not exist"),
        (b"name: a\nname: b", "line 2: the key 'name' is given twice"),
    ],
)
def test_study_file(tmp_path, refused, content, message):
    path = tmp_path / "wrong.yaml"
    path.write_bytes(content)
    refused(message, "validate", str(path))


def test_unknown_names(folder, refused):
    refused(
        f"the study has no observation 'night'; it has {RUN}",
        *("tabulate-response", "study.yaml", "night", "-o", "out.h5"),
    )
    arguments = list(command("marginalise-nuisance"))
    arguments[3] = "nova"
    refused("the study has no component 'nova'; it has dark_matter, cosmic_rays", *arguments)


# Products ----------------------------------------------------------------------------------

INPUTS = [
    ("simulate-events", "response", "r.h5", EVENTS),
    ("marginalise-nuisance", "events", EVENTS, "p.nc"),
    ("marginalise-nuisance", "response", "r.h5", "l.h5"),
    ("predict-posterior", "likelihood", "l.h5", EVENTS),
    ("predict-posterior", "posterior", "p.nc", "l.h5"),
]


@pytest.mark.parametrize(("stage", "option", "good", "other"), INPUTS)
def test_product(folder, refused, stage, option, good, other):
    """Missing, empty, truncated, with a flipped byte in its header, of another kind."""
    whole, wrong = (folder / good).read_bytes(), f"wrong{Path(good).suffix}"
    refused(f"{wrong}: no such file; run the stage", *command(stage, **{option: wrong}))
    for content in (b"", whole[: len(whole) // 2], whole[:-1], b"text\n" * 999):
        (folder / wrong).write_bytes(content)
        refused(f"{wrong}: truncated or not", *command(stage, **{option: wrong}))
    (folder / wrong).write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
    refused(f"{wrong}: truncated or not", *command(stage, **{option: wrong}))
    refused(f"{other}: .*delete it and run again", *command(stage, **{option: other}))


def test_flipped_byte_in_the_data(folder, refused):
    whole = bytearray((folder / EVENTS).read_bytes())
    energy = read_product(EVENTS, Events).energy.tobytes()
    whole[whole.index(energy) + 6] ^= 1
    (folder / "wrong.h5").write_bytes(whole)
    refused(
        "wrong.h5: its content does not match its checksum; delete it and run again",
        *command("marginalise-nuisance", events="wrong.h5"),
    )


def test_flipped_byte_in_what_is_gathered(folder, refused):
    """Of the densities, which are read last, so that the tables are half written by then."""
    path = folder / "m" / RUN / "cosmic_rays.h5"
    whole = bytearray(path.read_bytes())
    density = read_product(path, Marginals).density.tobytes()
    whole[whole.index(density) + 6] ^= 1
    path.write_bytes(whole)
    refused("cosmic_rays.h5: its content does not match", *command("gather-marginals"))


def narrower(raw):
    raw["region"]["width"] = "4 deg"


def finer(raw):
    raw["grids"]["true_energy"]["per_decade"] = 3


OTHER_STUDIES = [
    (narrower, "marginalise-nuisance", rf"{RUN}.h5: was made with other settings .*\(region\)"),
    (finer, "simulate-events", r"r.h5: was made with other settings .*\(true_energy\)"),
    (mass(nodes=4), "gather-marginals", r"dark_matter.h5: was made with other .*\(component\)"),
    (mass(nodes=4), "sample-posterior", r"l.h5: was made with other settings .*\(scans\)"),
    (grids(pixel="0.6 deg"), "predict-posterior", rf"{RUN}.h5: was made with other .*\(grids\)"),
]


@pytest.mark.parametrize(("edit", "stage", "message"), OTHER_STUDIES)
def test_product_of_another_study(folder, refused, edit, stage, message):
    raw = tiny()
    edit(raw)
    other = write_study(folder / "other.yaml", raw)
    refused(f"{message}; make it again with this study", *command(stage, study=other))


def test_products_that_do_not_belong_together(folder, refused):
    raw = tiny()
    raw["observations"]["second"] = copy.deepcopy(raw["observations"][RUN])
    two = write_study(folder / "two.yaml", raw)
    arguments = list(command("marginalise-nuisance", study=two))
    arguments[2] = "second"
    refused(f"{RUN}.h5: holds the events of '{RUN}', not of 'second'", *arguments)

    study = study_from_mapping(raw)
    other = f"e2/{RUN}.h5"
    pipeline.simulate_events(study, "second", Path("r.h5"), Path(other))
    again = dataclasses.replace(read_product(other, Events), observation=RUN)
    made = read_provenance(EVENTS)
    write_product(other, again, Provenance(made["study"], made["inputs"]))
    message = f"was not made from {other} as it is now; make it again from this file"
    refused(f"dark_matter.h5: {message}", *command("gather-marginals", events_folder="e2"))
    refused(f"l.h5: {message}", *command("predict-posterior", events_folder="e2"))

    shutil.copy(f"m/{RUN}/diffuse.h5", f"m/{RUN}/dark_matter.h5")
    refused("dark_matter.h5: was made with other", *command("gather-marginals"))
    refused(
        f"dark_matter.h5: holds the marginals of 'diffuse' in '{RUN}', not of 'dark_matter'",
        *command("predict-posterior"),
    )
    Path(f"m/{RUN}/dark_matter.h5").unlink()
    refused("dark_matter.h5: no such file", *command("gather-marginals"))
    refused("dark_matter.h5: cannot be read", *command("predict-posterior"))


def test_data_that_no_component_explains(folder, refused):
    for path in (folder / "m" / RUN).iterdir():
        whole, made = read_product(path, Marginals), read_provenance(path)
        whole.density[:, 3] = 0
        write_product(path, whole, Provenance(made["study"], made["inputs"]))
    refused(
        rf"observation {RUN}: 1 data \(first: event row \d+\) have zero density under every",
        *command("gather-marginals"),
    )


def test_results_of_an_earlier_study(folder, refused):
    """Neither the report nor `show` passes old results off as those of an edited study."""
    refused("posterior.nc: no such file; run the stage that makes it", "show", "study.yaml")
    fit = folder / "results/galactic_centre/fits" / RUN
    fit.mkdir(parents=True)
    shutil.copy("p.nc", fit / "posterior.nc")
    shutil.copy("l.h5", fit / "likelihood.h5")
    raw = tiny()
    raw["sampler"]["live_points"] = 21
    other = write_study(folder / "other.yaml", raw)
    message = r"posterior.nc: was made with other settings than this study's \(sampler\)"
    refused(message, "show", other)
    refused(message, "make-report", other, "-o", "report")


# Simulation --------------------------------------------------------------------------------

EMPTY: list[tuple[Edit, str]] = [
    (
        lambda raw: raw["observations"][RUN]["events"].update(counts=dict.fromkeys(COMPONENTS, 0)),
        "the simulation left no event after the selection; raise its counts",
    ),
    (
        lambda raw: raw["observations"][RUN]["events"]["pointing"].update(lon="40 deg"),
        "component dark_matter: no counts are expected",
    ),
    (
        lambda raw: (
            raw["components"]["cosmic_rays"].update(normalisation=1e9),
            raw["observations"][RUN]["events"].update(counts={"dark_matter": 0}),
        ),
        r"events.counts.cosmic_rays: the model expects \S+ events, more than the 1e\+09",
    ),
    (
        lambda raw: raw["components"]["central_source"]["position"].update(lon="40 deg"),
        "central_source.position: the source is .* deg outside the true sky; move it",
    ),
]


@pytest.mark.parametrize(("edit", "message"), EMPTY)
def test_simulation(folder, refused, edit, message):
    raw = tiny()
    edit(raw)
    other = write_study(folder / "other.yaml", raw)
    refused(message, *command("simulate-events", study=other))


def test_true_energies_outside_the_telescope(folder, refused):
    raw = tiny()
    raw["grids"]["true_energy"]["min"] = "1 GeV"
    other = write_study(folder / "other.yaml", raw)
    refused(
        "the true energies 0.001 to 150 TeV of the study reach beyond its 0.02 to 300 TeV; narrow",
        *command("tabulate-response", study=other),
    )


def test_more_memory_than_there_is(folder, refused):
    raw = tiny()
    raw["sampler"]["live_points"] = 10**12
    other = write_study(folder / "other.yaml", raw)
    refused("not enough memory ", *command("sample-posterior", study=other))


# Recorded files ----------------------------------------------------------------------------


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Folder with a study of run.fits and that file, whole."""
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path / "study.yaml", crab(tmp_path))
    time = np.linspace(0, 100, 20)
    ra, dec = np.full(20, 83.63), np.full(20, 22.01)
    events = dl3_files.events_hdu(time, ra, dec, np.full(20, 2.0))
    hdus = events, dl3_files.gti_hdu((0, 200)), *dl3_files.good_irfs().values()
    dl3_files.write(tmp_path / "run.fits", *hdus)
    return tmp_path


READERS = ("read-events", "tabulate-response")


def read(stage: str, study: str = "study.yaml") -> tuple[str, ...]:
    return stage, study, RUN, "-o", "out.h5"


@pytest.mark.parametrize("stage", READERS)
def test_recorded_file(recorded, refused, stage):
    """Missing, empty, truncated, damaged, and no FITS; plain and gzipped."""
    path = recorded / "run.fits"
    whole = path.read_bytes()
    zipped = gzip.compress(whole)
    damaged = bytearray(zipped)
    damaged[len(zipped) // 2] ^= 255
    for content in (b"", whole[:1000], whole[: len(whole) // 2], whole[:-2880], b"text\n" * 999):
        path.write_bytes(content)
        refused(r"run.fits: not a whole FITS file \(.*\); copy it again", *read(stage))
    for content in (zipped[:20], zipped[:-9], bytes(damaged)):
        path.write_bytes(content)
        refused("run.fits: the gzip file is truncated or damaged", *read(stage))
    path.write_bytes(gzip.compress(b"text\n" * 999))
    refused("run.fits: not a whole FITS file", *read(stage))
    fits.PrimaryHDU().writeto(path, overwrite=True)
    refused("run.fits: has no (EVENTS|AEFF, EDISP, PSF, BKG) table", *read(stage))
    path.unlink()
    refused("run.fits: no such file in the data folder .*SKYMIX_DATA", *read(stage))
    raw = crab(recorded / "nowhere")
    other = write_study(recorded / "other.yaml", raw)
    refused("run.fits: the data folder .*nowhere does not exist; set `data`", *read(stage, other))


@pytest.mark.parametrize(
    ("hdu", "column", "place", "stage", "message"),
    [
        ("EVENTS", "ENERGY", 3, "read-events", "ENERGY of EVENTS is not finite in row 3; remove"),
        ("AEFF", "EFFAREA", (0, 1, 2), "tabulate-response", r"in row 0, element \[1, 2\]; mend"),
        ("BKG", "BKG", (0, 1, 2, 3), "tabulate-response", r"in row 0, element \[1, 2, 3\]; mend"),
    ],
)
def test_nan_in_a_recorded_table(recorded, refused, hdu, column, place, stage, message):
    with fits.open("run.fits", mode="update") as hdus:
        hdus[hdu].data[column][place] = np.nan
    refused(message, *read(stage))


CUTS: list[tuple[Edit, str]] = [
    (lambda raw: raw["region"]["centre"].update(lon="200 deg"), "region 20.*; move or widen"),
    (
        lambda raw: raw["grids"]["energy"].update(min="10 TeV"),
        "no event is left of 20 .*energy 20.*; widen grids.energy",
    ),
    (
        lambda raw: raw.update(selection={"offset_max": "0.0001 deg"}),
        "offset 20.*; raise selection.offset_max",
    ),
]


@pytest.mark.parametrize(("edit", "message"), CUTS)
def test_no_recorded_event_is_left(recorded, refused, edit, message):
    with fits.open("run.fits", mode="update") as hdus:
        hdus["EVENTS"].data["RA"] += 0.1
    raw = crab(recorded)
    edit(raw)
    other = write_study(recorded / "other.yaml", raw)
    refused(message, *read("read-events", other))


def test_true_energies_outside_the_recorded_response(recorded, refused):
    raw = crab(recorded)
    raw["grids"]["true_energy"]["max"] = "500 TeV"
    other = write_study(recorded / "other.yaml", raw)
    refused("reach beyond the response's 0.1 to 100 TeV", *read("tabulate-response", other))


@pytest.mark.data
def test_invalid_unit_of_the_first_cta_data_challenge(data_folder, recorded, refused):
    path = data_folder / "gamma/cta-1dc/caldb/data/cta/1dc/bcf/South_z20_50h/irf_file.fits"
    raw = crab(recorded)
    raw["observations"][RUN]["response"]["path"] = str(path)
    other = write_study(recorded / "other.yaml", raw)
    refused(
        "irf_file.fits: column BGD of BACKGROUND has the invalid unit '1/s/MeV/sr'; gammapy would"
        " assume .* response.background_unit",
        *read("tabulate-response", other),
    )


def with_component(raw: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    raw["components"]["diffuse"] = settings
    raw["observations"][RUN]["events"]["counts"] = {"diffuse": "model"}
    return raw


def test_nan_in_a_cube(folder, refused):
    cube = fits.PrimaryHDU(np.ones((2, 20, 20)))
    cube.header.update({"BUNIT": "MeV-1 cm-2 s-1 sr-1", "CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR"})
    cube.data[1, 2, 3] = np.nan
    energies = dl3_files.table_hdu("ENERGIES", [("ENERGY", "D", "MeV", [1e4, 1e6])], {})
    fits.HDUList([cube, energies]).writeto("cube.fits")
    settings = {"kind": "diffuse_template", "path": str(folder / "cube.fits")}
    other = write_study(folder / "other.yaml", with_component(tiny(), settings))
    refused(
        "cube.fits: holds a negative intensity or NaN", *command("simulate-events", study=other)
    )


@pytest.mark.data
def test_nan_in_the_catalogue(data_folder, folder, refused):
    whole = data_folder / "gamma/catalogs/hgps_catalog_v1.fits.gz"
    with fits.open(whole) as hdus:
        row = int(np.flatnonzero(hdus["HGPS_SOURCES"].data["Source_Name"] == "HESS J1745-290")[0])
        hdus["HGPS_SOURCES"].data["Flux_Spec_ECPL_Diff_Pivot"][row] = np.nan
        hdus.writeto("catalogue.fits")
    settings = {"kind": "catalogue", "path": str(folder / "catalogue.fits")}
    other = write_study(folder / "other.yaml", with_component(tiny(), settings))
    refused(
        "catalogue.fits: HESS J1745-290: a number of its spectrum or morphology is missing",
        *command("simulate-events", study=other),
    )


# The output --------------------------------------------------------------------------------


def test_output_that_cannot_be_written(folder, refused):
    stage, *arguments = command("tabulate-response")[:-1]
    advice = "; give a path in a folder that you may write to"
    below = r"study.yaml/out.h5: cannot be written \((File exists|Not a directory)\)"
    refused(below + advice, stage, *arguments, "study.yaml/out.h5")
    refused("m: Is a directory; nothing was written", stage, *arguments, "m")
    refused(rf"xxx: cannot be written \(File name too long\){advice}", stage, *arguments, "x" * 300)


def test_two_commands_write_the_same_file(folder):
    """The file is that of one of them, whole."""
    running = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from skymix.cli import main; main()",
                *command("tabulate-response"),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in running:
        _, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
    made, wanted = (
        read_product("out.h5", Response),
        read_product("r.h5", Response),
    )
    np.testing.assert_array_equal(made.psf, wanted.psf)
    assert not list(folder.glob(".*"))
