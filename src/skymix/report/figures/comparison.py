"""The same quantities in several fits."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from skymix.report.labels import figure_text, parameter_label, readable
from skymix.report.quantities import Quantity
from skymix.report.style import PAGE, POSTERIOR, TRUTH


def comparison_figure(fits: Sequence[str], rows: Mapping[str, Mapping[str, Quantity]]) -> Figure:
    """Median with 68 % (thick) and 95 % (thin) intervals, a panel a quantity and a line a fit.

    Parameters
    ----------
    fits : names, from top to bottom
    rows : quantity of each fit by the fit's name, by the quantity's name
    """
    columns = min(len(rows), 4)
    lines = -(-len(rows) // columns)
    height = lines * (0.75 + 0.22 * len(fits))
    figure = Figure(figsize=(PAGE, height), layout="constrained")
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    for axes, (name, quantities) in zip(grid, rows.items(), strict=False):
        _panel(axes, fits, quantities)
        unit = next(iter(quantities.values())).unit
        axes.set_xlabel(parameter_label(name, unit))
    grid[0].set_yticks(range(len(fits)), [figure_text(readable(fit)) for fit in fits])
    grid[0].set_ylim(len(fits) - 0.4, -0.6)
    for axes in grid[len(rows) :]:
        axes.set_visible(False)
    return figure


def _panel(axes: Axes, fits: Sequence[str], quantities: Mapping[str, Quantity]) -> None:
    for y, fit in enumerate(fits):
        if fit not in quantities:
            continue
        quantity = quantities[fit]
        s = quantity.summary
        axes.plot([s.lower_95, s.upper_95], [y, y], color=POSTERIOR, linewidth=0.9)
        axes.plot([s.lower_68, s.upper_68], [y, y], color=POSTERIOR, linewidth=2.6)
        axes.plot(s.median, y, "o", color="white", markeredgecolor=POSTERIOR, markersize=3.8)
        if quantity.truth is not None:
            axes.plot([quantity.truth] * 2, [y - 0.38, y + 0.38], color=TRUTH, linewidth=1.2)
    low, high = axes.get_xlim()
    if all(q.logarithmic for q in quantities.values()) and low > 0 and high / low > 10:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(axis="y", length=0)
    axes.set_axisbelow(True)
    axes.hlines(
        np.arange(len(fits) - 1) + 0.5, 0, 1, transform=axes.get_yaxis_transform(), color="0.9",
        linewidth=0.5, zorder=0,
    )  # fmt: skip
