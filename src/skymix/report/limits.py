"""Figure, tables and summary of upper limits."""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Column, Table

from skymix.report.figures.limits import THERMAL, limits_figure
from skymix.report.labels import readable, unit_text
from skymix.report.rounding import round_interval, round_number, round_to_error
from skymix.report.style import Picture, journal_style, save_picture
from skymix.report.tables import write_table
from skymix.store.limits import BAND, Limits


def write_limits(limits: Limits, folder: Path) -> str:
    """Write the figure and the tables of limits below `folder`; a summary as text.

    Parameters
    ----------
    limits : of all channels
    folder : its files begin with the name of the fit
    """
    with journal_style():
        _picture(limits, folder, limits.fit)
    write_table(limits_table(limits), folder / f"{limits.fit}.ecsv")
    write_table(channel_table(limits), folder / f"{limits.fit}-channels.ecsv")
    lines = [_line(limits, k) for k in range(len(limits.channels))]
    return "\n".join(
        [
            f"Limits of {limits.fit}: {_what(limits)}; expected from {limits.realisation.size}"
            " simulations without it",
            *lines,
            f"Figure: {folder / limits.fit}.png",
        ]
    )


def limits_section(limits: Limits, page: Path) -> dict[str, Any]:
    """Write the figure and the tables beside the report's page; what the page says of them."""
    tables = page / limits.fit / "tables"
    write_table(limits_table(limits), tables / "limits.ecsv")
    write_table(channel_table(limits), tables / "limits-channels.ecsv")
    return {
        "what": _what(limits),
        "unit": unit_text(limits.unit),
        "simulations": limits.realisation.size,
        "masses": limits.mass.size,
        "range": f"{round_number(limits.mass[0])} to {round_number(limits.mass[-1])} TeV",
        "largest": round_number(float(limits.physical(np.array(limits.largest)))),
        "lifetime": limits.quantity == "lifetime",
        "rows": _rows(limits),
        "picture": _picture(limits, page, f"{limits.fit}/figures/limits"),
    }


def _picture(limits: Limits, page: Path, stem: str) -> Picture:
    thermal = limits.quantity == "cross_section"
    caption = (
        f"{_what(limits)} against mass: of the data, and the bands that hold 68 and"
        f" 95 % of the limits of {limits.realisation.size} simulations without"
        f" {readable(limits.component)}, with their median."
    )
    if thermal:
        caption += (
            f" Dotted: the cross-section of a thermal relic, {THERMAL * 1e26:g}e−26 cm³ s⁻¹"
            " (Steigman, Dasgupta and Beacom 2012, PRD 86, 023506)."
        )
    alt = f"Limits on the {readable(limits.quantity)} against mass, fit {limits.fit}"
    return save_picture(limits_figure(limits), page, stem, alt, caption)


def _what(limits: Limits) -> str:
    side = "lower" if limits.quantity == "lifetime" else "upper"
    return (
        f"{100 * limits.level:g} % {side} limits on the {readable(limits.quantity)} of"
        f" {readable(limits.component)} ({unit_text(limits.unit)})"
    )


def _rows(limits: Limits) -> list[dict[str, Any]]:
    """A line of the page's table for each channel."""
    evidence, error = limits.channel_log_evidence()
    against_none, none_error = _against_none(limits)
    best = int(np.argmax(evidence))
    rows = []
    for k, channel in enumerate(limits.channels):
        at = int(np.argmin(limits.limit[k]))
        observed, *expected = limits.physical(
            np.array([limits.limit[k, at], *limits.band()[[1, 2, 3], k, at]])
        )
        low, median, high = sorted(expected)
        rows.append(
            {
                "channel": channel,
                "mass": round_number(limits.mass[at]),
                "limit": round_number(observed),
                "expected": round_number(median),
                "band": round_interval(low, high),
                "against_none": round_to_error(against_none[k], none_error[k]),
                "against_best": None
                if k == best
                else round_to_error(evidence[k] - evidence[best], np.hypot(error[k], error[best])),
            }
        )
    return rows


def _against_none(limits: Limits) -> tuple[Any, Any]:
    """Logarithm of the Bayes factor of each channel, its mass free, against no signal."""
    evidence, error = limits.channel_log_evidence()
    return evidence - limits.null_log_evidence, np.hypot(error, limits.null_log_evidence_error)


def _line(limits: Limits, k: int) -> str:
    """Strongest limit of a channel, where it is below the thermal cross-section, and evidence."""
    best, median = int(np.argmin(limits.limit[k])), limits.physical(limits.band()[2, k])
    strongest = limits.physical(limits.limit[k, best])
    text = (
        f"{limits.channels[k]}: {strongest:.2e} at {limits.mass[best]:.3g} TeV"
        f" ({median[best]:.2e} expected)"
    )
    if limits.quantity == "cross_section":
        below = limits.mass[median < THERMAL]
        text += (
            f"; expected below the thermal one from {below[0]:.3g} to {below[-1]:.3g} TeV"
            if below.size
            else "; nowhere expected below the thermal one"
        )
    log_bayes, error = (column[k] for column in _against_none(limits))
    return f"{text}; ln B of signal against none {log_bayes:+.2f} ± {error:.2f}, the mass free"


def limits_table(limits: Limits) -> Table:
    """Limits and evidences: a row a channel and mass."""
    shape = limits.limit.shape
    table = Table(
        meta={
            "description": f"Limits on the {readable(limits.quantity)}, {limits.level:g} credible,"
            f" and what {limits.realisation.size} simulations without a signal expect",
            "prior": f"uniform in the rate, up to {limits.largest:g} times the study's",
        }
    )
    table["channel"] = np.repeat(np.array(limits.channels), shape[1])
    table["mass"] = Column(np.tile(limits.mass, shape[0]), unit="TeV")
    table["limit"] = Column(limits.physical(limits.limit).ravel(), unit=limits.unit)
    for quantile, values in zip(BAND, limits.band(), strict=True):
        table[f"expected {100 * quantile:g} %"] = Column(
            limits.physical(values).ravel(),
            unit=limits.unit,
            description="Quantile of the simulations, by their rate",
        )
    log_bayes, error = limits.log_bayes()
    for name, values, description in (
        ("ln Z", limits.log_evidence, "Logarithm of the evidence at this mass"),
        ("ln Z error", limits.log_evidence_error, "Its statistical error"),
        ("ln B", log_bayes, "Evidence with the component over that without it, logarithm"),
        ("ln B error", error, "Its statistical error"),
    ):
        table[name] = Column(values.ravel(), description=description)
    return table


def channel_table(limits: Limits) -> Table:
    """Evidences with a free mass: a row for no signal and one for each channel."""
    evidence, error = limits.channel_log_evidence()
    against_none, none_error = _against_none(limits)
    table = Table(
        meta={
            "description": "Evidence without a signal and of each channel; ln B of two channels is"
            " the difference of their ln Z",
            "prior": "mass uniform in its logarithm, "
            f"{limits.mass[0]:g} to {limits.mass[-1]:g} TeV",
        }
    )
    null, null_error = limits.null_log_evidence, limits.null_log_evidence_error
    table["channel"] = ["none", *limits.channels]
    for name, values, description in (
        ("ln Z", [null[0], *evidence], "Logarithm of the evidence"),
        ("ln Z error", [null_error[0], *error], "Its statistical error"),
        ("ln B", [0.0, *against_none], "Evidence over that without a signal, logarithm"),
        ("ln B error", [0.0, *none_error], "Its statistical error"),
    ):
        table[name] = Column(values, description=description)
    return table
