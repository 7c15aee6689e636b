"""What the pages of studies with one fit share: facts of the run, products, the run's trace."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from skymix.report.figures.run import run_figure
from skymix.report.overview import duration, product_row
from skymix.report.page import environment, style_sheet
from skymix.report.pictures import Drawn
from skymix.report.quantities import undefined_variables
from skymix.report.rounding import round_number, round_to_error
from skymix.report.sections import chain_facts
from skymix.report.style import LeafStyle
from skymix.store.base import atomic_path


def run_facts(posterior: xr.DataTree) -> dict[str, Any]:
    """What is known of a nested run, or of chains."""
    a = posterior.attrs
    facts = {
        "calls": int(a["n_calls"]),
        "draws": int(posterior["posterior"].sizes["draw"]),
        "wall_time": duration(float(a["seconds"])),
        "seed": str(a["seed"]),
    }
    undefined = undefined_variables(posterior)
    if "nested" not in posterior.children:
        chains = chain_facts(a)
        return facts | chains | {"warnings": [*chains["warnings"], *undefined]}
    return facts | {
        "warnings": undefined,
        "evidence": round_to_error(float(a["logz"]), float(a["logzerr"])),
        "information": round_number(float(a["information"])),
        "iterations": int(a["n_iterations"]),
        "live_points": int(a["n_live"]),
        "effective": round(float(a["effective_size"])),
    }


def run_picture(posterior: xr.DataTree) -> Iterator[Drawn]:
    """Trace of a nested run; nothing of chains."""
    if "nested" not in posterior.children:
        return
    nested = posterior["nested"]
    columns = (nested[n].values for n in ("log_likelihood", "log_prior_volume", "log_weight"))
    yield (
        "run", run_figure(*(np.asarray(c, dtype=np.float64) for c in columns)),
        "Trace of the nested sampling run",
        "Dead points of the run against the shrinking prior volume.",
    )  # fmt: skip


def write_page(
    output: Path,
    template: str,
    styles: dict[str, LeafStyle],
    products: Mapping[str, Mapping[str, Any]],
    **content: Any,
) -> Path:
    """Write the page of a template.

    Parameters
    ----------
    output : folder of the page
    styles : of the components that the page shows
    products : root attributes of each product, by path
    """
    page = output / "index.html"
    text = environment(styles).get_template(template).render(
        css=style_sheet(),
        products=[product_row(path, attributes) for path, attributes in products.items()],
        inputs=sorted({k: v for p in products.values() for k, v in p["inputs"].items()}.items()),
        **content,
    )  # fmt: skip
    with atomic_path(page) as part:
        part.write_text(text, encoding="utf-8")
    return page
