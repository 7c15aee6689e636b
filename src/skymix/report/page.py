"""The page: sections, figures and tables of all fits in one self-contained HTML file."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from skymix.report import overview, sections, tables
from skymix.report.figures.comparison import comparison_figure
from skymix.report.inputs import Fit, ReportInput
from skymix.report.labels import readable, unit_text
from skymix.report.limits import limits_section
from skymix.report.pictures import fit_pictures
from skymix.report.quantities import (
    Quantity,
    free_parameters,
    leaf_weights,
    nuisance_parameters,
    physical_amplitudes,
)
from skymix.report.rounding import MINUS, Rounded, round_to_error
from skymix.report.style import LeafStyle, Picture, journal_style, leaf_styles, save_picture
from skymix.store.base import atomic_path


def make_report(report: ReportInput, output: Path | str) -> Path:
    """Write the report of a study; the same input gives the same bytes.

    Parameters
    ----------
    report : the study and the products of its fits
    output : folder; gets `index.html`, and for each fit `<fit>/figures` (PNG and PDF) and
        `<fit>/tables` (ECSV); with several fits also `figures` and `tables` that compare them

    Returns
    -------
    The path of the page, which is written last.

    Raises
    ------
    DataError
        If the products of a fit do not belong together.
    """
    output = Path(output)
    styles = leaf_styles(report.study.tree.leaves())
    parameters = [free_parameters(fit, report.study) for fit in report.fits]
    with journal_style():
        fits = [
            _fit_section(fit, report, quantities, styles, output)
            for fit, quantities in zip(report.fits, parameters, strict=True)
        ]
        comparison = _comparison(report.fits, parameters, output) if len(fits) > 1 else None
    text = environment(styles).get_template("index.html.j2").render(
        study=report.study,
        css=style_sheet(),
        facts=overview.facts(report.study),
        observations=overview.observation_rows(report),
        components=overview.component_rows(report.study),
        root_prior=overview.split_prior(report.study.tree),
        tree=overview.tree_rows(report.study.tree),
        settings=overview.settings_text(report.study),
        fits=fits,
        comparison=comparison,
        versions=report.versions,
        inputs=overview.input_rows(report.fits),
        products=overview.product_rows(report.fits),
    )  # fmt: skip
    page = output / "index.html"
    with atomic_path(page) as part:
        part.write_text(text, encoding="utf-8")
    return page


def _fit_section(
    fit: Fit,
    report: ReportInput,
    parameters: Sequence[Quantity],
    styles: dict[str, LeafStyle],
    output: Path,
) -> dict[str, Any]:
    weights, nuisances = leaf_weights(fit), nuisance_parameters(fit)
    reported = [*parameters, *physical_amplitudes(fit)]
    true_leaf = sections.true_leaves(fit)
    run = sections.run_facts(fit)
    exactness = sections.exactness_rows(fit)
    folder = f"{fit.name}/tables"
    for name, table in (
        ("parameters", tables.posterior_table(reported, "the free parameters")),
        ("nuisances", tables.posterior_table(nuisances, "the nuisance parameters")),
        ("observations", tables.observation_table(fit)),
        ("weights", tables.posterior_table(weights, "the share of each component")),
        ("evidence", tables.evidence_table(fit)),
        ("spectrum", tables.spectrum_table(fit)),
        ("membership", tables.membership_table(fit, true_leaf)),
    ):
        tables.write_table(table, output / folder / f"{name}.ecsv")
    return {
        "name": fit.name,
        "observations": [(events.observation, events.number) for events in fit.events],
        "simulated": fit.simulated,
        "events": sum(events.number for events in fit.events),
        "run": run,
        "parameters": [sections.quantity_row(q) for q in reported],
        "nuisances": [sections.quantity_row(q) for q in nuisances],
        "extended": fit.likelihood.kind == "extended",
        "counts": sections.observation_rows(fit),
        "leaves": sections.leaf_rows(fit, weights, true_leaf),
        "members": sections.likely_members(fit, true_leaf),
        "limits": limits_section(fit.limits, output) if fit.limits else None,
        "exactness": exactness,
        "warnings": sections.warnings_of(run, exactness),
        "tables": folder,
        "pictures": fit_pictures(
            fit, report.study, parameters, nuisances, true_leaf, styles, output
        ),
    }


def _comparison(
    fits: Sequence[Fit], parameters: Sequence[Sequence[Quantity]], output: Path
) -> dict[str, Any]:
    """Table and figure of the parameters and leaf weights of several fits."""
    all_rows = [[*own, *leaf_weights(fit)] for fit, own in zip(fits, parameters, strict=True)]
    names = dict.fromkeys(q.name for row in all_rows for q in row)
    by_name = {
        name: {
            fit.name: q
            for fit, row in zip(fits, all_rows, strict=True)
            for q in row
            if q.name == name
        }
        for name in names
    }
    tables.write_table(tables.comparison_table(fits, all_rows), output / "tables/comparison.ecsv")
    picture = save_picture(
        comparison_figure([fit.name for fit in fits], by_name),
        output,
        "figures/comparison",
        "Parameters of all fits",
        "Medians with 68 % (thick) and 95 % (thin) intervals."
        + (
            " Magenta lines mark the values that the events were simulated with."
            if any(q.truth is not None for row in all_rows for q in row)
            else ""
        ),
    )
    return {"rows": _comparison_rows(fits, by_name), "picture": picture}


def _comparison_rows(
    fits: Sequence[Fit], by_name: dict[str, dict[str, Quantity]]
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, found in by_name.items():
        values = [
            round_to_error(s.median, s.plus, s.minus)
            if (s := found[fit.name].summary if fit.name in found else None)
            else None
            for fit in fits
        ]
        unit = unit_text(next(iter(found.values())).unit)
        rows.append({"name": readable(name), "unit": unit, "values": values})
    return rows


def style_sheet() -> Markup:
    """Style sheet, which is a part of the page."""
    return Markup(files("skymix.report").joinpath("templates/report.css").read_text("utf-8"))


def environment(styles: dict[str, LeafStyle]) -> Environment:
    """Templates with the filters and macros of the page."""
    environment = Environment(
        loader=PackageLoader("skymix.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number_html, "readable": readable, "power": power_html}
    environment.globals["swatch"] = lambda leaf: _swatch(styles[leaf])
    environment.globals["figure"] = _figure
    return environment


_NARROW = 500  # css px; beside a narrower figure there is room for its caption


def number_html(number: Rounded | None) -> Markup:
    """Value with its errors for the page; a dash for none."""
    if number is None:
        return Markup("–")
    body = escape(number.value)
    if number.plus and number.symmetric:
        body += f" ± {number.plus}"
    elif number.plus:
        body += Markup('<span class="errors"><span>+{}</span><span>{}{}</span></span>').format(
            number.plus, MINUS, number.minus
        )
    if number.exponent:
        body = Markup("({})").format(body) if number.plus else body
        body += _times_ten(number.exponent)
    return Markup('<span class="number">{}</span>').format(body)


def power_html(text: str) -> Markup:
    """Plain number or interval with its trailing "e-12" written as a power of ten."""
    body, mark, exponent = text.rpartition("e")
    if not mark or not exponent.lstrip("-").isdigit():
        return escape(text)
    return escape(body) + _times_ten(int(exponent))


def _times_ten(exponent: int) -> Markup:
    return Markup(" × 10<sup>{}</sup>").format(str(exponent).replace("-", MINUS))


def _swatch(style: LeafStyle) -> Markup:
    return Markup('<span class="swatch" style="background:{}"></span>').format(style.colour)


def _figure(picture: Picture) -> Markup:
    return Markup(
        '<figure class="{shape}" style="--width:{width}px">'
        '<div class="scroll"><img src="{data}" alt="{alt}" width="{width}"></div>'
        '<figcaption>{caption} <span class="links"><a href="{png}">PNG</a>'
        ' <a href="{pdf}">PDF</a></span></figcaption></figure>'
    ).format(
        shape="narrow" if picture.width < _NARROW else "broad",
        width=picture.width,
        data=picture.data,
        alt=picture.alt,
        caption=picture.caption,
        png=picture.png,
        pdf=picture.pdf,
    )
