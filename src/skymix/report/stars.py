"""The report of a study of stars: parameters, members on the sky and in the data, labels."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import yaml

from skymix.axes import FloatArray
from skymix.report.figures.corner import corner_figure
from skymix.report.figures.membership import calibration_figure
from skymix.report.figures.stars import (
    coordinate_figure,
    membership_diagram,
    roc_curve,
    roc_figure,
)
from skymix.report.labels import readable, unit_text
from skymix.report.overview import sampler_text, split_prior, tree_rows
from skymix.report.pictures import Drawn
from skymix.report.quantities import Quantity, quantities_of
from skymix.report.rounding import round_number, round_to_error
from skymix.report.sections import quantity_row
from skymix.report.single import run_facts, run_picture, write_page
from skymix.report.style import journal_style, leaf_styles, save_picture
from skymix.report.tables import posterior_table, write_table
from skymix.store import Catalogue
from skymix.study.mixture import Split
from skymix.study.star_study import StarStudy
from skymix.study.stars import SkyRegion

_THRESHOLD = 0.5
_MOST_DRAWN = 12  # parameters in a corner plot


@dataclass(frozen=True, eq=False)
class StarReport:
    """All that the report shows.

    Parameters
    ----------
    study, catalogue, posterior : of the fit
    membership, membership_sd : (nstar, nleaf)
    products : root attributes of each product, by path
    versions : version of each package, by name
    """

    study: StarStudy
    catalogue: Catalogue
    posterior: xr.DataTree
    membership: FloatArray
    membership_sd: FloatArray
    products: Mapping[str, Mapping[str, Any]]
    versions: Mapping[str, str]

    @property
    def node(self) -> str:
        """Component or split whose members the figures show: the labelled one, else the first."""
        labels = self.study.catalogue.labels
        return labels.component if labels is not None else next(iter(self.study.tree.children))

    @property
    def probability(self) -> FloatArray:
        """Probability of that node, (nstar,)."""
        below = leaves_below(self.study.tree, self.node)
        return np.asarray(
            self.membership[:, [leaf in below for leaf in self.study.tree.leaves()]].sum(axis=1)
        )


def leaves_below(tree: Split, node: str) -> set[str]:
    """Leaves of a node: itself if it is one."""
    for name, child in tree.children.items():
        if name == node:
            return set(child.leaves()) if child is not None else {name}
        if child is not None and (found := leaves_below(child, node)):
            return found
    return set()


def make_star_report(report: StarReport, output: Path) -> Path:
    """Write the report of a study of stars; the same input gives the same bytes.

    Returns
    -------
    The path of the page, which is written last.
    """
    study, leaves = report.study, report.study.tree.leaves()
    quantities = quantities_of(report.posterior)
    shares = [q for q in quantities if q.name.startswith(("weight.", "stars."))]
    parameters = [q for q in quantities if q not in shares and q.varies]
    write_table(posterior_table(parameters, "the free parameters"), output / "parameters.ecsv")
    write_table(posterior_table(shares, "the components' shares"), output / "shares.ecsv")
    with journal_style():
        pictures = {
            name: save_picture(figure, output, f"figures/{name}", alt, caption)
            for name, figure, alt, caption in _pictures(report, parameters)
        }
    return write_page(
        output, "stars.html.j2", leaf_styles(leaves), report.products,
        study=study,
        facts=_facts(report),
        root_prior=split_prior(study.tree),
        tree=tree_rows(study.tree),
        settings=yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False),
        run=run_facts(report.posterior),
        stars=report.catalogue.row.size,
        parameters=[quantity_row(q) for q in parameters],
        leaves=_leaf_rows(report, {q.name: q for q in shares}),
        labels=_labels(report),
        fixed=_fixed(report),
        node=report.node,
        pictures=pictures,
        versions=report.versions,
    )  # fmt: skip


def _facts(report: StarReport) -> list[tuple[str, str]]:
    settings, stars = report.study.catalogue, report.catalogue
    coordinates = ", ".join(
        f"{name} [{unit_text(c.unit)}]{'' if c.error else ' (exact)'}"
        for name, c in settings.coordinates.items()
    )
    removed = ", ".join(f"{n} by {name}" for name, n in stars.cuts.items())
    facts = [
        ("Table", settings.path),
        ("Coordinates", coordinates),
        ("Stars", f"{stars.row.size} kept; removed: {removed or 'none'}"),
    ]
    if settings.region is not None:
        facts.append(("Region", _region_text(settings.region)))
    facts.append(("Sampler", sampler_text(report.study.sampler)))
    return [*facts, ("Seed of the study", str(report.study.seed))]


def _fixed(report: StarReport) -> dict[str, Any] | None:
    """What a control region fixed: its place, its number of stars, and the values."""
    control = report.study.control
    if control is None:
        return None
    field = json.loads(report.catalogue.field)
    coordinates = report.study.catalogue.coordinates
    values = []
    for name, value in field["parameters"].items():
        *_, kind, last = name.split(".")
        known = kind in ("mean", "sigma") or last == "sigma"
        unit = (
            coordinates[last].unit if last in coordinates else next(iter(coordinates.values())).unit
        )
        values.append((readable(name), unit_text(unit) if known else "", round_number(value, 4)))
    return {
        "node": control.node,
        "stars": field["stars"],
        "region": _region_text(control.region),
        "values": values,
    }


def _region_text(region: SkyRegion) -> str:
    inner = f"{round_number(region.inner_radius)} to " if region.inner_radius else ""
    return (
        f"{inner}{round_number(region.radius)}° about {round_number(region.lon, 7)}°,"
        f" {round_number(region.lat, 7)}°"
    )


def _leaf_rows(report: StarReport, shares: Mapping[str, Quantity]) -> list[dict[str, Any]]:
    rows = []
    for k, leaf in enumerate(report.study.tree.leaves()):
        p = report.membership[:, k]
        error = float(np.sqrt((p * (1 - p)).sum()))
        rows.append(
            {
                "name": leaf,
                "weight": quantity_row(shares[f"weight.{leaf}"]).value,
                "stars": quantity_row(shares[f"stars.{leaf}"]).value,
                "sum": round_to_error(float(p.sum()), error),
                "likely": int(np.count_nonzero(p > _THRESHOLD)),
            }
        )
    return rows


def _labels(report: StarReport) -> dict[str, Any] | None:
    """Confusion table and area under the ROC curve; None without labels of both kinds."""
    member = report.catalogue.member
    if not ((member == 1).any() and (member == 0).any()):
        return None
    known = member >= 0
    found, true = report.probability[known] > _THRESHOLD, member[known] == 1
    false_rate, true_rate = roc_curve(report.probability[known], member[known])
    return {
        "number": int(known.sum()),
        "auc": f"{np.trapezoid(true_rate, false_rate):.3f}",
        "true": [int((found & true).sum()), int((~found & true).sum())],
        "others": [int((found & ~true).sum()), int((~found & ~true).sum())],
        "correct": f"{100 * float((found == true).mean()):.1f}",
    }


def _pictures(report: StarReport, parameters: list[Quantity]) -> Iterator[Drawn]:
    stars, p = report.catalogue, report.probability
    first = [q for q in parameters if q.name.split(".")[1] == report.node or _of(report, q)]
    shown = (first or parameters)[:_MOST_DRAWN]
    if shown:
        yield (
            "corner", corner_figure(shown), "Corner plot of the parameters",
            f"Posterior of the parameters of {readable(report.node)}. Contours hold 68 and 95 % of"
            " the draws.",
        )  # fmt: skip
    axes = [f"{n} [{unit_text(u)}]" for n, u in zip(stars.names, stars.units, strict=True)]
    what = f"probability to belong to {readable(report.node)} (posterior mean)"
    if len(axes) > 1:
        yield (
            "diagram", membership_diagram(stars.values[:, :2], p, (axes[0], axes[1])),
            f"{axes[1]} against {axes[0]} of the stars",
            f"Stars coloured by their {what}; the outermost 1 % of each coordinate are left out.",
        )  # fmt: skip
    for j in range(0 if len(axes) == 1 else 2, len(axes)):
        yield (
            f"coordinate_{stars.names[j]}", coordinate_figure(stars.values[:, j], p, axes[j]),
            f"Histogram of {axes[j]}",
            f"Stars by {axes[j]}, and the same weighted by their {what}.",
        )  # fmt: skip
    if stars.sky.size:
        yield (
            "sky", membership_diagram(stars.sky, p, ("East [deg]", "North [deg]"), sky=True),
            "Map of the stars",
            f"Offsets from the centre of the region, coloured by the {what}.",
        )  # fmt: skip
    yield from _against_labels(report)
    yield from run_picture(report.posterior)


def _of(report: StarReport, quantity: Quantity) -> bool:
    owner = quantity.name.split(".")[0]
    return owner in leaves_below(report.study.tree, report.node)


def _against_labels(report: StarReport) -> Iterator[Drawn]:
    if _labels(report) is None:
        return
    known = report.catalogue.member >= 0
    p, member = report.probability[known], report.catalogue.member[known]
    name = report.node
    yield (
        "roc", roc_figure(p, member), "ROC curve",
        "Share of the labelled members against that of the other labelled stars, above a threshold"
        " of the probability that falls along the curve.",
    )  # fmt: skip
    yield (
        "calibration",
        calibration_figure(
            np.stack([p, 1 - p], axis=1), np.ones(p.size, np.int64), np.where(member == 1, 0, 1),
            {name: leaf_styles([name])[name]},
        ),
        "Share of labelled members against membership probability",
        "Labelled stars in groups of equal size by probability: the share labelled as members"
        " against the mean probability, with 68 % intervals.",
    )  # fmt: skip
