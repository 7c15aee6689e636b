"""Figure, table and summary of upper limits."""

from pathlib import Path

import numpy as np
from astropy.table import Table

from skymix.axes import FloatArray
from skymix.report.figures.limits import THERMAL, limits_figure
from skymix.report.labels import readable, unit_text
from skymix.report.style import journal_style, save_picture
from skymix.report.tables import write_table
from skymix.store.limits import Limits

_BAND = ("2.5 %", "16 %", "50 %", "84 %", "97.5 %")


def write_limits(limits: Limits, band: FloatArray, folder: Path) -> str:
    """Write the figure and the table of limits below `folder`; a summary as text.

    Parameters
    ----------
    limits : of all channels
    band : (5, channel, mass) quantiles of the expected factors
    folder : its files begin with the name of the fit
    """
    alt = f"Limits on the {readable(limits.quantity)} against mass, fit {limits.fit}"
    with journal_style():
        save_picture(limits_figure(limits, band), folder, limits.fit, alt, "")
    write_table(_table(limits, band), folder / f"{limits.fit}.ecsv")
    side = "lower" if limits.quantity == "lifetime" else "upper"
    head = (
        f"Limits of {limits.fit}: {100 * limits.level:g} % {side} limits on the"
        f" {readable(limits.quantity)} ({unit_text(limits.unit)}) of {readable(limits.component)};"
        f" expected from {limits.realisation.size} simulations without it"
    )
    lines = [_line(limits, band, k) for k in range(len(limits.channels))]
    return "\n".join([head, *lines, f"Figure: {folder / limits.fit}.png"])


def _line(limits: Limits, band: FloatArray, k: int) -> str:
    """Strongest limit of a channel, where it is below the thermal cross-section, and evidence."""
    best, top = int(np.argmin(limits.limit[k])), int(np.argmax(limits.log_bayes[k]))
    strongest = limits.physical(limits.limit[k, best])
    expected = limits.physical(band[2, k, best])
    text = (
        f"{limits.channels[k]}: {strongest:.2e} at {limits.mass[best]:.3g} TeV"
        f" ({expected:.2e} expected)"
    )
    if limits.quantity == "cross_section":
        below = limits.mass[limits.physical(band[2, k]) < THERMAL]
        text += (
            f"; expected below the thermal one from {below[0]:.3g} to {below[-1]:.3g} TeV"
            if below.size
            else "; nowhere expected below the thermal one"
        )
    return text + (
        f"; ln B of signal against none {limits.log_bayes[k, top]:+.1f} at most"
        f" ({limits.mass[top]:.3g} TeV)"
    )


def _table(limits: Limits, band: FloatArray) -> Table:
    """A row a channel and mass."""
    shape = limits.limit.shape
    table = Table(
        meta={
            "description": f"Limits on the {readable(limits.quantity)}, {limits.level:g} credible",
            "prior": f"uniform in the rate, up to {limits.largest:g} times the study's",
        }
    )
    table["channel"] = np.repeat(np.array(limits.channels), shape[1])
    table["mass"] = np.tile(limits.mass, shape[0])
    table["mass"].unit = "TeV"
    table["limit"] = limits.physical(limits.limit).ravel()
    for name, values in zip(_BAND, band, strict=True):
        column = f"expected {name}"
        table[column] = limits.physical(values).ravel()
        table[column].unit = limits.unit
        table[column].description = "Quantile of the simulations, by their rate"
    table["limit"].unit = limits.unit
    table["ln B"] = limits.log_bayes.ravel()
    table["ln B"].description = "Evidence with the component over that without it, logarithm"
    table["ln B error"] = limits.log_bayes_error.ravel()
    return table
