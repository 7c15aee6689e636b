"""The report as a whole, from made-up products."""

import dataclasses
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr
from astropy import units as u
from astropy.table import QTable
from matplotlib.image import imread
from tests.unit.diagnostics.test_limits import limits
from tests.unit.report import synthetic

from skymix.errors import DataError
from skymix.report import Fit, ReportInput, installed_versions, make_report
from skymix.report.figures.corner import corner_figure
from skymix.report.figures.maps import maps_figure
from skymix.report.labels import parameter_label, sky_labels
from skymix.report.quantities import (
    free_parameters,
    leaf_weights,
    nuisance_parameters,
    physical_amplitudes,
)
from skymix.report.sections import (
    exactness_rows,
    leaf_rows,
    likely_members,
    observation_rows,
    true_leaves,
)
from skymix.report.style import TRUTH, Picture, journal_style, leaf_styles
from skymix.study.components import Position

FIGURES = (
    "corner", "maps", "component_maps", "spectrum", "membership", "membership_calibration", "run",
    "insertion_ranks",
)  # fmt: skip


class Page(HTMLParser):
    """Collects tags, ids and links of a page, and checks that its tags are balanced."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.tags = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [v for k, v in attrs if k == "id"]
        self.links += [v for k, v in attrs if k in ("href", "src")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    return make_report(
        synthetic.report_input(description="<script>alert(1)</script> & 'x'"), folder
    )


@pytest.fixture(scope="module")
def page(report):
    return report.read_text(encoding="utf-8")


def test_page_has_every_section_and_its_links_lead_somewhere(report, page):
    parsed = Page(page)
    parts = ("parameters", "components", "data", "membership", "sampler", "exactness")
    wanted = {"study", "fit-gc", "provenance", *(f"fit-gc-{part}" for part in parts)}
    assert wanted <= set(parsed.ids)
    assert len(parsed.ids) == len(set(parsed.ids))
    for link in parsed.links:
        if link.startswith("#"):
            assert link[1:] in parsed.ids
        elif not link.startswith("data:"):
            assert (report.parent / link).is_file()


def test_page_of_limits(tmp_path):
    none = synthetic.report_input()
    made = replace(limits("W"), fit="gc", channels=("W", "b"), **{
        name: np.repeat(getattr(limits(), name), 2, axis=0)
        for name in (
            "limit", "log_evidence", "log_evidence_error", "null_log_evidence",
            "null_log_evidence_error", "expected", "expected_log_bayes",
        )
    })  # fmt: skip
    made.log_evidence[1] += 3.0
    report = make_report(
        replace(none, fits=(replace(none.fits[0], limits=made),)), tmp_path / "report"
    )
    text = report.read_text(encoding="utf-8")
    parsed = Page(text)
    assert "fit-gc-limits" in parsed.ids
    assert {"gc/tables/limits.ecsv", "gc/tables/limits-channels.ecsv"} <= set(parsed.links)
    assert (report.parent / "gc/figures/limits.pdf").is_file()
    channels = QTable.read(report.parent / "gc/tables/limits-channels.ecsv")
    assert list(channels["channel"]) == ["none", "W", "b"]
    # The mean over the masses of evidences e^5 and e^6, over e^4.
    mean = np.log((np.exp(1) + np.exp(2)) / 2)
    np.testing.assert_allclose(channels["ln B"], [0, mean, mean + 3])
    np.testing.assert_allclose(channels["ln B error"], [0, 0.5, 0.5])
    assert "−3.00 ± 0.42" in text  # W against b


def test_page_needs_nothing_from_elsewhere(page):
    parsed = Page(page)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in parsed.tags}
    assert "http" not in re.sub(r"data:image/png;base64,[^\"]*", "", page)
    assert all(
        a["src"].startswith("data:image/png") and a["alt"] for t, a in parsed.tags if t == "img"
    )


def test_page_shows_the_numbers_of_the_products(page):
    for text in ("−3456.79 ± 0.14", "1 min 23 s", "61234", "ab" * 32, "cd" * 32, "0123456789",
                 "seed 77", "2026-01-02", "3.11.4", "p = 0.43", "0.3 to 100 TeV"):  # fmt: skip
        assert text in page, text


def test_hostile_text_of_the_study_is_escaped(page):
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#39;x&#39;" in page


def test_figures_are_there_as_png_and_pdf(report):
    folder = report.parent / "gc" / "figures"
    assert {p.name for p in folder.iterdir()} == {
        f"{n}.{s}" for n in FIGURES for s in ("png", "pdf")
    }
    for name in FIGURES:
        image = imread(folder / f"{name}.png")
        assert image.std() > 0.01
        assert image[0, 0, :3].tolist() == [1, 1, 1]
        assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_same_input_gives_the_same_bytes(report, tmp_path):
    again = make_report(
        synthetic.report_input(description="<script>alert(1)</script> & 'x'"), tmp_path
    )
    files = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    assert files == sorted(
        p.relative_to(report.parent) for p in report.parent.rglob("*") if p.is_file()
    )
    for file in files:
        assert (again.parent / file).read_bytes() == (report.parent / file).read_bytes(), file


def test_tables_read_back_with_units_and_descriptions(report):
    folder = report.parent / "gc" / "tables"
    parameters = QTable.read(folder / "parameters.ecsv")
    fit = synthetic.fit("gc")
    median, truth = (
        parameters["dark_matter.mass"][parameters["statistic"] == row][0]
        for row in ("median", "truth")
    )
    draws = fit.posterior["posterior"]["dark_matter.mass"].values
    assert median.to_value(u.TeV) == pytest.approx(np.median(draws))
    assert truth == 3 * u.TeV
    spectrum = QTable.read(folder / "spectrum.ecsv")
    assert spectrum["counts"].sum() == 600 * u.ct
    assert spectrum["energy_max"].unit == u.TeV
    membership = QTable.read(folder / "membership.ecsv")
    assert len(membership) == 600
    assert membership["lon"].unit == u.deg
    shares = [membership[f"probability.{leaf}"] for leaf in synthetic.LEAVES]
    np.testing.assert_allclose(np.sum(shares, axis=0), 1)
    evidence = QTable.read(folder / "evidence.ecsv")
    assert evidence["log_evidence"][0] == -3456.789
    assert evidence["wall_time"][0] == 83.4 * u.s
    for table in (parameters, spectrum, membership, evidence, QTable.read(folder / "weights.ecsv")):
        assert all(column.info.description for column in table.itercols())


def test_only_free_parameters_are_in_the_corner_plot():
    names = [q.name for q in free_parameters(synthetic.fit("gc"), synthetic.study())]
    assert names == [
        "fraction.cosmic_rays", "fraction.dark_matter", "fraction.sources",
        "dark_matter.mass", "sources.index", "diffuse.index",
    ]  # fmt: skip


def _truth_lines(figure):
    return sum(line.get_color() == TRUTH for axes in figure.axes for line in axes.lines)


def test_truth_lines_are_drawn_only_where_events_were_simulated():
    study = synthetic.study()
    with journal_style():
        simulated = corner_figure(free_parameters(synthetic.fit("gc"), study))
        recorded = corner_figure(free_parameters(synthetic.fit("gc", simulated=False), study))
    # One vertical line in each panel of the lower triangle, one horizontal off the diagonal.
    assert _truth_lines(simulated) == 21 + 15
    assert _truth_lines(recorded) == 0


@pytest.fixture
def undrawn(monkeypatch):
    """Leave out the drawing, which takes most of the time."""

    def save(figure, page, stem, alt, caption):
        return Picture(f"{stem}.png", f"{stem}.pdf", "data:image/png;base64,", 400, alt, caption)

    monkeypatch.setattr("skymix.report.pictures.save_picture", save)


@pytest.mark.usefixtures("undrawn")
def test_report_of_recorded_events_says_nothing_of_truth(tmp_path):
    report = synthetic.report_input(simulated=False)
    page = make_report(report, tmp_path).read_text(encoding="utf-8")
    text = re.sub(r"<pre>.*?</pre>", "", page, flags=re.S)
    for word in ("Truth", "True<br>", "Truly", "Magenta", "membership_calibration"):
        assert word not in text
    assert "truth" not in QTable.read(tmp_path / "gc/tables/parameters.ecsv")["statistic"]


@pytest.mark.usefixtures("undrawn")
def test_several_fits_are_compared(tmp_path):
    report = synthetic.report_input(("run_1", "run_2"))
    page = make_report(report, tmp_path).read_text(encoding="utf-8")
    assert {"comparison", "fit-run_1", "fit-run_2"} <= set(Page(page).ids)
    assert (tmp_path / "figures/comparison.pdf").is_file()
    table = QTable.read(tmp_path / "tables/comparison.ecsv")
    assert list(table["fit"]) == ["run_1", "run_2"]
    draws = report.fits[1].posterior["posterior"]["dark_matter.mass"].values
    assert table["dark_matter.mass.median"][1].to_value(u.TeV) == pytest.approx(np.median(draws))


def test_true_leaves_follow_names_and_event_numbers():
    fit = synthetic.fit("gc")
    found = true_leaves(fit)
    events = fit.events[0]
    names = [events.components[i] for i in events.true_component]
    assert [synthetic.LEAVES[k] for k in found] == names
    order = np.random.default_rng(0).permutation(found.size)
    shuffled = dataclasses.replace(
        events, event_id=events.event_id[order], true_component=events.true_component[order]
    )
    np.testing.assert_array_equal(true_leaves(dataclasses.replace(fit, events=(shuffled,))), found)


def test_an_event_that_no_file_holds_is_refused():
    fit = synthetic.fit("gc")
    wrong = dataclasses.replace(fit.diagnostics, event_id=fit.diagnostics.event_id + 1)
    with pytest.raises(DataError, match="event 601 of the diagnostics"):
        true_leaves(dataclasses.replace(fit, diagnostics=wrong))


def test_leaf_numbers_add_up():
    fit = synthetic.fit("gc")
    rows = leaf_rows(fit, leaf_weights(fit), true_leaves(fit))
    assert sum(row["true_events"] for row in rows) == 600
    assert sum(float(row["membership"].value) for row in rows) == pytest.approx(600, abs=0.5)


def test_likely_members_are_the_most_probable():
    fit = synthetic.fit("gc")
    for k, leaf in enumerate(likely_members(fit, None)):
        best = np.sort(fit.diagnostics.membership[:, k])[::-1][:5]
        shown = [row["probability"].split(" ± ")[0] for row in leaf["rows"]]
        assert shown == [f"{p:.3f}" for p in best]


def test_a_member_beyond_doubt_has_no_error_of_zero():
    fit = synthetic.fit("gc")
    certain = np.where(np.arange(4) == 2, 1.0, np.zeros((600, 1)))
    diagnostics = dataclasses.replace(fit.diagnostics, membership=certain)
    leaf = likely_members(dataclasses.replace(fit, diagnostics=diagnostics), None)[2]
    assert {row["probability"] for row in leaf["rows"]} == {"> 0.999"}


@pytest.mark.parametrize(
    ("name", "value", "large"),
    [
        ("truncation_error", 0.09, False), ("truncation_error", 0.11, True),
        ("binning_error", 0.009, False), ("binning_error", 0.011, True),
        ("interpolation_error", 0.011, True), ("interpolation_error", float("nan"), True),
    ],
)  # fmt: skip
def test_large_errors_of_the_likelihood_are_marked(name, value, large):
    rows = exactness_rows(synthetic.fit("gc", **{name: value}))
    assert [row["too_large"] for row in rows] == [
        large and name.startswith(row["name"].lower()) for row in rows
    ]


@pytest.mark.usefixtures("undrawn")
def test_large_errors_and_uneven_ranks_are_warned_of_on_the_page(tmp_path):
    fit = synthetic.fit("gc", binning_error=0.2)
    fit = dataclasses.replace(
        fit, diagnostics=dataclasses.replace(fit.diagnostics, insertion_p_value=1e-4)
    )
    report = ReportInput(synthetic.study(), (fit,), {})
    page = make_report(report, tmp_path).read_text(encoding="utf-8")
    assert page.count('class="warning"') == 2
    assert "Binning error of the likelihood: 0.2 in ln p" in page


def test_page_of_importance_sampling(tmp_path):
    fit = synthetic.weighted(synthetic.fit("gc"))
    sampler = {"kind": "laplace", "draws": 20_000}
    report = ReportInput(synthetic.study(sampler=sampler), (fit,), {})
    page = make_report(report, tmp_path).read_text(encoding="utf-8")
    Page(page)
    assert "importance sampling from Laplace approximations, 20000 draws" in page
    assert "20000 weighted draws" in page
    assert "live points" not in page
    assert 'class="warning"' not in page
    names = {p.stem for p in (tmp_path / "gc/figures").iterdir()}
    assert names == set(FIGURES) - {"run", "insertion_ranks"}
    table = QTable.read(tmp_path / "gc/tables/evidence.ecsv")
    assert table["weighted_draws"].tolist() == [20_000]
    assert "live_points" not in table.colnames


@pytest.mark.parametrize("warnings", ["", "Chains differ.\nDraw longer."])
@pytest.mark.usefixtures("undrawn")
def test_page_of_chains_has_no_evidence_and_says_what_is_bad(tmp_path, warnings):
    fit = synthetic.chains(synthetic.fit("gc"), warnings)
    report = ReportInput(synthetic.study(sampler={"kind": "nuts"}), (fit,), {})
    page = make_report(report, tmp_path).read_text(encoding="utf-8")
    Page(page)
    assert "NUTS (pymc), 4 chains of 1000 tuning steps and 1000 draws" in page
    assert "<dt>Largest r-hat</dt><dd>1.003" in page
    assert "Log evidence" not in page
    assert "smallest effective sample size 2346 (in the tails 1987)" in page
    assert page.count('class="warning"') == len(warnings.splitlines())
    table = QTable.read(tmp_path / "gc/tables/evidence.ecsv")
    assert table["rhat"].tolist() == [1.0031]
    assert "log_evidence" not in table.colnames


@pytest.mark.parametrize(
    ("checked", "shown", "warned"),
    [
        ({"laplace_logz": -3456.5, "laplace_logzerr": 0.01}, "the two agree", False),
        ({"laplace_logz": -3456.1, "laplace_logzerr": 0.01}, "the two disagree", True),
        ({"laplace_refused": "draws < 5 & few"}, "could not be had: draws &lt; 5 &amp; few", False),
        ({}, "Run of the sampler", False),
    ],
)
@pytest.mark.usefixtures("undrawn")
def test_second_evidence_stands_beside_the_first(tmp_path, checked, shown, warned):
    fit = synthetic.fit("gc")
    fit.posterior.attrs |= checked | {"laplace_effective_size": 9876.5}
    page = make_report(ReportInput(synthetic.study(), (fit,), {}), tmp_path).read_text("utf-8")
    assert shown in page
    assert (page.count('class="warning"') == 1) == warned
    assert ("ln Z by importance sampling" in page) == ("laplace_logz" in checked)
    if warned:
        # 0.689 over the root of 0.142^2 + 0.01^2
        assert "differ by 4.8 σ of their" in page
        assert "−3456.100 ± 0.010 by importance sampling" in page
    table = QTable.read(tmp_path / "gc/tables/evidence.ecsv")
    assert ("check_log_evidence" in table.colnames) == ("laplace_logz" in checked)


def test_longitude_increases_to_the_left():
    labels = sky_labels(Position(frame="galactic", lon="0 deg", lat="0 deg"))
    counts = np.ones(synthetic.SKY.shape)
    with journal_style():
        figure = maps_figure(synthetic.SKY, counts, counts, 1.0, [(0.0, 0.0)], labels)
    for axes in figure.axes[:3]:
        assert axes.get_xlim() == (3, -3)
    assert figure.get_supxlabel() == "Galactic longitude offset [deg]"
    assert figure.get_supylabel() == "Galactic latitude offset [deg]"


def test_labels_carry_units_and_no_formula():
    assert parameter_label("dark_matter.mass", "TeV") == "dark matter\nmass [TeV]"
    assert parameter_label("a.b", "cm3 s-1", -26) == "a\nb [$10^{-26}$ cm³ s⁻¹]"
    assert parameter_label("x$y", "") == r"x\$y"


def test_leaf_styles_differ_from_one_another():
    styles = leaf_styles([f"leaf_{i}" for i in range(14)])
    assert len({(s.colour, s.line) for s in styles.values()}) == 14


def test_products_that_do_not_belong_together_are_refused():
    fit = synthetic.fit("gc")
    other = dataclasses.replace(fit.events[0], observation="crab")
    with pytest.raises(DataError, match="diagnostics are of the observations 'gc'"):
        Fit("gc", fit.posterior, fit.diagnostics, fit.likelihood, (other,), {})
    wrong = dataclasses.replace(fit.diagnostics, leaves=("a", "b", "c", "d"))
    with pytest.raises(DataError, match="components are 'a'"):
        ReportInput(synthetic.study(), (dataclasses.replace(fit, diagnostics=wrong),), {})
    with pytest.raises(DataError, match="at least one fit"):
        ReportInput(synthetic.study(), (), {})


@pytest.mark.usefixtures("undrawn")
def test_a_posterior_without_its_evidence_is_refused(tmp_path):
    fit = synthetic.fit("gc")
    del fit.posterior.attrs["logzerr"]
    with pytest.raises(DataError, match="no attribute 'logzerr'"):
        make_report(ReportInput(synthetic.study(), (fit,), {}), tmp_path)
    assert not (tmp_path / "index.html").exists()


def test_versions_are_those_installed():
    versions = installed_versions()
    assert versions["numpy"] == np.__version__
    assert "Python" in versions


def extended(fit):
    """The same fit as one of an extended likelihood of two observations with nuisances."""
    d, n = fit.diagnostics, fit.diagnostics.observed_counts[0]
    rates = {
        "amplitudes": {"dark_matter": {"kind": "log_uniform", "lower": 0.1, "upper": 10}},
        "nuisances": [{"name": "level.run"}, {"name": "level.other"}],
        "physical": {"dark_matter.cross_section": {"of": "dark_matter"}},
    }
    rng = np.random.default_rng(0)
    tree = fit.posterior.copy()
    for group in ("posterior", "prior"):
        columns = tree[group].to_dataset()
        shape = columns[next(iter(columns.data_vars))].shape
        for name in ("amplitude.dark_matter", "level.run", "level.other", "counts.dark_matter"):
            columns[name] = (("chain", "draw"), rng.lognormal(0, 0.1, shape))
        values = 2e-26 * columns["amplitude.dark_matter"].values
        unit = {"unit": "cm3 s-1"}
        columns["dark_matter.cross_section"] = (("chain", "draw"), values, unit)
        tree[group] = xr.DataTree(columns)
    both = np.array([0.5, 0.5])[:, None]
    counts = replace(
        d,
        observations=(*d.observations, "other"),
        observed_counts=np.array([n, 100.0]),
        predicted_counts=np.concatenate([d.predicted_counts] * 2) * both * 2,
        predicted_counts_band=np.concatenate([d.predicted_counts_band] * 2, axis=1),
    )
    second = replace(fit.events[0], observation="other")
    likelihood = replace(fit.likelihood, kind="extended", rates=json.dumps(rates))
    return replace(
        fit,
        posterior=tree,
        likelihood=likelihood,
        diagnostics=counts,
        events=(replace(fit.events[0], observation=d.observations[0]), second),
    )


def test_nuisances_and_counts_are_not_in_the_corner_plot() -> None:
    plain = synthetic.report_input()
    fit = extended(plain.fits[0])
    names = [q.name for q in free_parameters(fit, plain.study)]
    assert "amplitude.dark_matter" in names
    assert not {"level.run", "counts.dark_matter", "dark_matter.cross_section"} & set(names)
    assert [q.name for q in nuisance_parameters(fit)] == ["level.run", "level.other"]
    (physical,) = physical_amplitudes(fit)
    assert (physical.name, physical.unit) == ("dark_matter.cross_section", "cm3 s-1")


def test_counts_of_an_observation_that_the_fit_misses_are_marked() -> None:
    plain = synthetic.report_input()
    rows = observation_rows(extended(plain.fits[0]))
    assert [row["large"] for row in rows] == [False, True]
    assert rows[1]["counts"] == 100
