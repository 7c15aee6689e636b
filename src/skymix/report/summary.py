"""A fit in a few lines of plain text, for the terminal."""

from collections.abc import Sequence

import xarray as xr

from skymix.report.labels import readable, unit_text
from skymix.report.quantities import Quantity, quantities_of, undefined_variables
from skymix.report.rounding import round_interval, round_number, round_to_error
from skymix.report.sections import evidence_check


def summary_text(name: str, posterior: xr.DataTree) -> str:
    """Evidence and posterior table of a fit.

    Parameters
    ----------
    name : name of the fit
    posterior : content of its posterior.nc
    """
    quantities = quantities_of(posterior)
    simulated = any(q.truth is not None for q in quantities)
    header = ["", "unit", "median, 68 %", "95 %", *(["truth", "within"] if simulated else [])]
    rows = [header, *(_cells(q, simulated) for q in quantities)]
    return "\n".join([*_first_lines(name, posterior), *_aligned(rows)])


def _first_lines(name: str, posterior: xr.DataTree) -> list[str]:
    """Evidence; of chains how well they agree, and what is bad."""
    attributes = posterior.attrs
    undefined = undefined_variables(posterior)
    bad = [*str(attributes.get("warnings", "")).splitlines(), *undefined]
    lines = [f"{name}: warning: {sentence}" for sentence in bad]
    if "logz" not in attributes:
        return [
            *lines,
            f"{name}: {int(attributes['n_chains'])} chains, r-hat at most"
            f" {float(attributes['rhat_max']):.3f}, {int(attributes['divergences'])} divergences;"
            " NUTS gives no evidence",
        ]
    evidence = round_to_error(float(attributes["logz"]), float(attributes["logzerr"])).text()
    return [*lines, f"{name}: ln Z = {evidence}{_second_evidence(posterior)}"]


def _second_evidence(posterior: xr.DataTree) -> str:
    check = evidence_check(posterior.attrs)
    if "evidence" not in check:
        return ""
    return f" (by importance sampling {check['evidence'].text()}, {check['sigma']} σ off)"


def _cells(quantity: Quantity, simulated: bool) -> list[str]:
    s = quantity.summary
    cells = [
        readable(quantity.name),
        unit_text(quantity.unit),
        round_to_error(s.median, s.plus, s.minus).text(),
        round_interval(s.lower_95, s.upper_95),
    ]
    if simulated:
        truth = "" if quantity.truth is None else round_number(quantity.truth, 4)
        cells += [truth, quantity.truth_within]
    return cells


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
