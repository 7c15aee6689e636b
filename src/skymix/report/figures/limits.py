"""Upper limits against mass, a panel a channel, with the band that is expected without a signal."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from skymix.axes import FloatArray
from skymix.report.labels import figure_text, readable
from skymix.report.style import COLUMN, DATA, MODEL, POSTERIOR
from skymix.store.limits import Limits

THERMAL = 2.2e-26
"""Cross-section of a thermal relic above 10 GeV, cm3 s-1 (Steigman, Dasgupta and Beacom 2012)."""

_SYMBOLS = {"cross_section": r"$\langle\sigma v\rangle$"}


def limits_figure(limits: Limits) -> Figure:
    """Observed limits, the median expected ones, and the bands of 68 and 95 %."""
    band = limits.band()
    number = len(limits.channels)
    columns = {1: 1, 2: 2, 4: 2}.get(number, 3)
    rows = -(-number // columns)
    figure = Figure(
        figsize=(COLUMN * max(1.0, 0.7 * columns), 0.8 + 2.1 * rows), layout="constrained"
    )
    panels = np.atleast_1d(figure.subplots(rows, columns, sharex=True, sharey=True)).ravel()
    for k, (axes, channel) in enumerate(zip(panels, limits.channels, strict=False)):
        _panel(axes, limits, limits.physical(band[:, k]), limits.physical(limits.limit[k]))
        if number > 1:
            axes.text(0.05, 0.06, figure_text(channel), transform=axes.transAxes, weight="bold")
        axes.tick_params(labelbottom=k + columns >= number)
    handles, labels = panels[0].get_legend_handles_labels()
    across = 3 if columns == 1 else 5
    figure.legend(handles, labels, loc="outside upper center", ncols=across, columnspacing=1.0)
    for axes in panels[number:]:
        axes.set_visible(False)
    figure.supxlabel("Mass (TeV)", fontsize="medium")
    side = "lower" if limits.quantity == "lifetime" else "upper"
    quantity = _SYMBOLS.get(limits.quantity, f"the {readable(limits.quantity)}")
    figure.supylabel(
        f"{100 * limits.level:g} % {side} limit on {quantity} ({_unit(limits.unit)})",
        fontsize="medium",
    )
    return figure


def _panel(axes: Axes, limits: Limits, band: FloatArray, observed: FloatArray) -> None:
    mass = limits.mass
    axes.fill_between(mass, band[0], band[4], color="0.88", linewidth=0, label="95 % expected")
    axes.fill_between(mass, band[1], band[3], color="0.74", linewidth=0, label="68 % expected")
    axes.plot(
        mass, band[2], color=MODEL, linewidth=0.8, linestyle=(0, (4, 2)), label="median expected"
    )
    axes.plot(mass, observed, color=DATA, label="observed")
    if limits.quantity == "cross_section":
        axes.axhline(THERMAL, color=POSTERIOR, linewidth=0.8, linestyle=":", label="thermal")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(mass[0], mass[-1])
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _unit(unit: str) -> str:
    return {"cm3 s-1": r"cm$^3$ s$^{-1}$"}.get(unit, unit)
