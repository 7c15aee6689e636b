"""Counts spectrum with the fitted components."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from skymix.axes import EnergyAxis, FloatArray
from skymix.report.counts import gehrels_errors, significance
from skymix.report.labels import figure_text, readable
from skymix.report.style import COLUMN, DATA, MODEL, LeafStyle


def spectrum_figure(
    energy: EnergyAxis,
    counts: FloatArray,
    predicted: FloatArray,
    band: FloatArray,
    styles: Mapping[str, LeafStyle],
) -> Figure:
    """Counts with Gehrels error bars over the components and their total, residuals below.

    Parameters
    ----------
    counts : (energy,)
    predicted : (leaf, energy), in the order of `styles`
    band : (3, energy), 16, 50 and 84 % quantiles of the total
    """
    legend_rows = -(-(len(predicted) + 2) // 3)
    height = 3.2 + 0.16 * legend_rows
    figure = Figure(figsize=(COLUMN, height))
    upper, lower = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1], "hspace": 0.06}
    )
    for (leaf, style), values in zip(styles.items(), predicted, strict=True):
        upper.stairs(
            values, energy.edges, baseline=None, color=style.colour, linestyle=style.line,
            linewidth=1.2, label=figure_text(readable(leaf)),
        )  # fmt: skip
    total = predicted.sum(axis=0)
    upper.stairs(band[2], energy.edges, baseline=band[0], fill=True, color=MODEL, alpha=0.3)
    upper.stairs(
        total, energy.edges, baseline=None, color=MODEL, linewidth=1.2, label="total (68 %)"
    )
    _data(upper, energy, counts)
    upper.set_yscale("log")
    upper.set_ylim(_floor(total, predicted), 3.0 * max(float(counts.max()), float(total.max()), 1))
    upper.set_ylabel("Counts per energy cell")
    _legend(upper)
    _residuals(lower, energy, counts, total)
    figure.align_ylabels()
    top = 1 - (0.1 + 0.15 * legend_rows) / height
    figure.subplots_adjust(left=0.145, right=0.965, bottom=0.38 / height, top=top)
    return figure


def _data(axes: Axes, energy: EnergyAxis, counts: FloatArray) -> None:
    low, high = gehrels_errors(counts)
    some = counts > 0
    axes.errorbar(
        energy.centres[some], counts[some], yerr=[low[some], high[some]], fmt="o", color=DATA,
        markersize=2.6, elinewidth=0.8, capsize=0, label="data", zorder=5,
    )  # fmt: skip
    # A cell without events is an upper limit.
    axes.plot(
        energy.centres[~some], high[~some], linestyle="none", marker="v", markersize=3.2,
        markerfacecolor="white", color=DATA, markeredgewidth=0.8, zorder=5,
    )  # fmt: skip


def _floor(total: FloatArray, predicted: FloatArray) -> float:
    """Low enough for the components that matter, not for the last photon of each."""
    lowest = float(np.min(predicted[predicted > 0], initial=1.0))
    return float(np.clip(lowest / 2, max(0.03, 1e-5 * float(total.max())), 0.5))


def _legend(axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    order = [len(names) - 1, len(names) - 2, *range(len(names) - 2)]
    axes.legend(
        [handles[i] for i in order], [names[i] for i in order], ncols=3, loc="lower left",
        bbox_to_anchor=(-0.15, 1.0), borderaxespad=0.3, columnspacing=1.0, handletextpad=0.5,
    )  # fmt: skip


def _residuals(axes: Axes, energy: EnergyAxis, counts: FloatArray, total: FloatArray) -> None:
    residual = significance(counts, total)
    axes.axhspan(-1, 1, color="0.9", linewidth=0)
    axes.axhline(0, color=MODEL, linewidth=0.8)
    axes.errorbar(
        energy.centres, residual, yerr=1.0, fmt="o", color=DATA, markersize=2.6, elinewidth=0.8
    )
    limit = max(3.4, float(np.nanmax(np.abs(residual), initial=0)) + 1.4)
    axes.set_ylim(-limit, limit)
    axes.set_xscale("log")
    axes.set_xlim(energy.edges[0], energy.edges[-1])
    axes.set_xlabel("Reconstructed energy [TeV]")
    axes.set_ylabel("Residual [σ]")
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    decades = np.log10(energy.edges[-1] / energy.edges[0])
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.6 else (1,), numticks=20))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
