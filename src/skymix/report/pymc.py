"""The report of a study of a PyMC model: parameters, the run, and the model's own text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr
import yaml

from skymix.report.figures.corner import corner_figure
from skymix.report.overview import sampler_text
from skymix.report.pictures import Drawn
from skymix.report.quantities import Quantity, quantities_of
from skymix.report.sections import quantity_row
from skymix.report.single import run_facts, run_picture, write_page
from skymix.report.style import journal_style, save_picture
from skymix.report.tables import posterior_table, write_table
from skymix.study.pymc_stages import pymc_settings
from skymix.study.pymc_study import PymcStudy

_MOST_DRAWN = 12  # parameters in a corner plot


@dataclass(frozen=True, eq=False)
class PymcReport:
    """All that the report shows.

    Parameters
    ----------
    study, posterior : of the fit
    source : text of the model's file
    products : root attributes of each product, by path
    versions : version of each package, by name
    """

    study: PymcStudy
    posterior: xr.DataTree
    source: str
    products: Mapping[str, Mapping[str, Any]]
    versions: Mapping[str, str]


def make_pymc_report(report: PymcReport, output: Path) -> Path:
    """Write the report of a study of a PyMC model; the same input gives the same bytes.

    Returns
    -------
    The path of the page, which is written last.
    """
    study = report.study
    names = set(str(report.posterior.attrs["parameters"]).splitlines())
    quantities = [q for q in quantities_of(report.posterior) if q.varies]
    free = [q for q in quantities if q.name in names]
    table = posterior_table(quantities, "the parameters and what follows from them")
    write_table(table, output / "parameters.ecsv")
    with journal_style():
        pictures = {
            name: save_picture(figure, output, f"figures/{name}", alt, caption)
            for name, figure, alt, caption in _pictures(report, free)
        }
    return write_page(
        output, "pymc.html.j2", {}, report.products,
        study=study,
        facts=_facts(study),
        free=len(free),
        settings=yaml.safe_dump(pymc_settings(study, "report"), sort_keys=False),
        run=run_facts(report.posterior),
        parameters=[quantity_row(q) for q in quantities],
        pictures=pictures,
        source=report.source,
        versions=report.versions,
    )  # fmt: skip


def _facts(study: PymcStudy) -> list[tuple[str, str]]:
    model = study.model
    arguments = ", ".join(f"{name} = {value!r}" for name, value in model.arguments.items())
    return [
        ("Model", f"{model.function}({arguments}) of {model.path.name}"),
        ("Data files", ", ".join(map(str, model.files)) or "none"),
        ("Sampler", sampler_text(study.sampler)),
        ("Seed of the study", str(study.seed)),
    ]


def _pictures(report: PymcReport, free: Sequence[Quantity]) -> Iterator[Drawn]:
    more = f" The first {_MOST_DRAWN} of {len(free)} are drawn." if len(free) > _MOST_DRAWN else ""
    yield (
        "corner", corner_figure(free[:_MOST_DRAWN]), "Corner plot of the parameters",
        "Posterior of the parameters. Contours hold 68 and 95 % of the draws; on the diagonal the"
        f" dashed line is the median and the shade the 68 % interval.{more}",
    )  # fmt: skip
    yield from run_picture(report.posterior)
