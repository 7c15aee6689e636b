"""Corner plot of the free parameters."""

import math
import warnings
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import (
    FixedLocator,
    Formatter,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    ScalarFormatter,
)

from skymix.axes import FloatArray
from skymix.report.labels import parameter_label
from skymix.report.quantities import Quantity
from skymix.report.rounding import round_to_error
from skymix.report.style import PAGE, POSTERIOR, TRUTH

LEVELS = (0.68, 0.95)
_MANY = 5  # parameters, beyond which panels are so narrow that a unit takes a line of its own
_CHARACTER = 0.055  # width of one of a tick's label, inches
_DECADE = 10.0  # a parameter that spans less is drawn on a linear axis


def corner_figure(quantities: Sequence[Quantity]) -> Figure:
    """Marginal posteriors of one and two parameters, contours at 68 and 95 %, truth as lines.

    Parameters
    ----------
    quantities : the parameters; at least one, each with at least two different draws
    """
    corner = _corner()
    n = len(quantities)
    side = min(PAGE, 1.6 + 1.25 * n)
    figure = Figure(figsize=(side, side))
    limits = [_range(q) for q in quantities]
    scales = ["log" if _is_log(q, r) else "linear" for q, r in zip(quantities, limits, strict=True)]
    powers = [0 if s == "log" else _power(r) for s, r in zip(scales, limits, strict=True)]
    factors = 10.0 ** -np.array(powers, dtype=np.float64)
    draws = np.column_stack([q.draws for q in quantities]) * factors
    corner.corner(
        draws,
        bins=_bins(len(draws)),
        range=[(low * f, high * f) for (low, high), f in zip(limits, factors, strict=True)],
        axes_scale=scales,
        color=POSTERIOR,
        smooth=1.0,
        levels=LEVELS,
        labels=[
            parameter_label(q.name, q.unit, p).replace(" [", "\n[" if n > _MANY else " [")
            for q, p in zip(quantities, powers, strict=True)
        ],
        quiet=True,
        plot_datapoints=False,
        plot_density=False,
        fill_contours=True,
        max_n_ticks=3,
        hist_kwargs={"linewidth": 1.0},
        contour_kwargs={"linewidths": 0.8},
        labelpad=0.0,
        fig=figure,
    )
    axes = np.array(figure.axes, dtype=object).reshape(n, n)
    _finish(figure, axes, quantities, factors, scales)
    return figure


def _corner() -> ModuleType:
    """Return the package `corner`; it loads arviz, which takes seconds and announces its 1.0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return import_module("corner")


def _range(quantity: Quantity) -> tuple[float, float]:
    """Range that holds nearly all draws, and the truth unless it is far off."""
    low, high = (float(x) for x in np.quantile(quantity.draws, [0.001, 0.999]))
    if _is_log(quantity, (low, high)):
        truth = quantity.truth if quantity.truth is not None and quantity.truth > 0 else None
        truth = None if truth is None else math.log(truth)
        low, high = _with_truth(math.log(low), math.log(high), truth)
        return math.exp(low), math.exp(high)
    low, high = _with_truth(low, high, quantity.truth)
    return max(low, _floor(quantity)), min(high, _ceiling(quantity))


def _with_truth(low: float, high: float, truth: float | None) -> tuple[float, float]:
    width = high - low
    low, high = low - 0.06 * width, high + 0.06 * width
    # A far truth would squeeze the posterior into one bin; then its line is left out.
    if truth is None or not low - width <= truth <= high + width:
        return low, high
    return min(low, truth - 0.04 * width), max(high, truth + 0.04 * width)


def _floor(quantity: Quantity) -> float:
    positive = quantity.draws.min() >= 0 and (quantity.truth is None or quantity.truth >= 0)
    return 0.0 if positive else -np.inf


def _ceiling(quantity: Quantity) -> float:
    fraction = quantity.name.startswith("fraction.") and quantity.draws.max() <= 1
    return 1.0 if fraction else np.inf


def _is_log(quantity: Quantity, limits: tuple[float, float]) -> bool:
    return quantity.logarithmic and limits[0] > 0 and limits[1] / limits[0] > _DECADE


def _power(limits: tuple[float, float]) -> int:
    largest = max(abs(limits[0]), abs(limits[1]))
    power = int(np.floor(np.log10(largest)))
    return power if power < -2 or power > 4 else 0


def _bins(draws: int) -> int:
    return int(np.clip(round(1.6 * draws ** (1 / 3)), 12, 32))


def _finish(
    figure: Figure,
    axes: FloatArray,
    quantities: Sequence[Quantity],
    factors: FloatArray,
    scales: Sequence[str],
) -> None:
    n = len(quantities)
    margin = (0.82 if n > _MANY else 0.64) / figure.get_figwidth()
    figure.subplots_adjust(
        left=margin, bottom=margin, right=0.99, top=1 - 0.3 / figure.get_figwidth(),
        wspace=0.07, hspace=0.07,
    )  # fmt: skip
    for i, (quantity, factor) in enumerate(zip(quantities, factors, strict=True)):
        _diagonal(axes[i, i], quantity, factor)
        for j in range(n):
            if j > i:
                axes[i, j].set_visible(False)
            else:
                width = axes[i, j].get_position().width * figure.get_figwidth()
                _cell(axes[i, j], i, j, n, scales, width)
                _place_labels(axes[i, j], width)
        if quantity.truth is None:
            continue
        for row in range(i, n):
            axes[row, i].axvline(quantity.truth * factor, color=TRUTH, linewidth=0.9)
        for column in range(i):
            axes[i, column].axhline(quantity.truth * factor, color=TRUTH, linewidth=0.9)
    figure.align_labels()
    side = 0.94 * axes[0, 0].get_window_extent().width
    below = [(axes[-1, j].xaxis.label, 0) for j in range(n)]
    _fit(below + [(axes[i, 0].yaxis.label, 1) for i in range(1, n)], side)
    _fit([(axes[i, i].title, 0) for i in range(n)], side)
    if n > 1:
        _legend(figure, any(q.truth is not None for q in quantities))


def _diagonal(axes: Axes, quantity: Quantity, factor: float) -> None:
    s = quantity.summary
    axes.axvspan(s.lower_68 * factor, s.upper_68 * factor, color=POSTERIOR, alpha=0.13, linewidth=0)
    axes.axvline(s.median * factor, color=POSTERIOR, linewidth=0.8, linestyle=(0, (4, 2)))
    rounded = round_to_error(s.median * factor, s.plus * factor, s.minus * factor)
    axes.set_title(rounded.mathtext(), pad=4)


def _cell(axes: Axes, i: int, j: int, n: int, scales: Sequence[str], width: float) -> None:
    for axis, scale, shown in (
        (axes.xaxis, scales[j], i == n - 1),
        (axes.yaxis, scales[i], j == 0 and i > 0),
    ):
        if axis is axes.yaxis and i == j:
            continue
        low, high = sorted(axis.get_view_interval())
        if scale == "log":
            axis.set_major_locator(FixedLocator(_log_ticks(low, high)))
            axis.set_minor_locator(LogLocator(subs=range(2, 10)))
        else:
            ticks = _linear_ticks(low, high)
            if axis is axes.xaxis:
                ticks = _apart(ticks, low, high, width)
            axis.set_major_locator(FixedLocator(ticks))
        axis.set_major_formatter(_formatter(scale) if shown else NullFormatter())
        axis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="both", direction="in", top=True, right=i != j, length=2.5)
    axes.tick_params(which="minor", length=1.5)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_rotation(0)


def _place_labels(axes: Axes, side: float) -> None:
    """Put the labels at the same distance, in inches, whatever the size of the panels."""
    axes.xaxis.set_label_coords(0.5, -0.23 / side)
    axes.yaxis.set_label_coords(-0.36 / side, 0.5)


def _fit(texts: Sequence[tuple[Text, int]], room: float) -> None:
    """Shrink all texts alike, so that none is longer than so many pixels along its axis."""
    longest = max((text.get_window_extent().size[along] for text, along in texts), default=0.0)
    if longest > room:
        for text, _ in texts:
            text.set_fontsize(float(text.get_fontsize()) * room / longest)


def _formatter(scale: str) -> Formatter:
    if scale == "log":
        return FuncFormatter(lambda x, _: f"{x:g}")
    formatter = ScalarFormatter(useOffset=False)
    formatter.set_scientific(False)
    return formatter


def _linear_ticks(low: float, high: float) -> list[float]:
    """Round numbers, none so close to an end that its label meets the next panel's."""
    ticks = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high)
    margin = 0.1 * (high - low)
    return [float(t) for t in ticks if low + margin <= t <= high - margin]


def _apart(ticks: list[float], low: float, high: float, width: float) -> list[float]:
    """Those of the ticks whose labels are apart and stay within a panel of so many inches."""
    decimals = max((len(f"{tick:.6g}".partition(".")[2]) for tick in ticks), default=0)
    length = _CHARACTER * (1 + max((len(f"{tick:.{decimals}f}") for tick in ticks), default=0))
    room = length * (high - low) / width
    inside = [t for t in ticks if low + 0.45 * room <= t <= high - 0.45 * room]
    ticks = inside or sorted(ticks, key=lambda tick: abs(tick - 0.5 * (low + high)))[:1]
    step = 1
    while len(ticks) > step and ticks[step] - ticks[0] < room:
        step += 1
    return ticks[(len(ticks) - 1) % step // 2 :: step]


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [10.0**p for p in powers if low <= 10.0**p <= high]
    if len(ticks) >= 2:
        return ticks[:: max(1, len(ticks) // 3)]
    return [m * 10.0**p for p in powers for m in (1, 3) if low <= m * 10.0**p <= high]


def _legend(figure: Figure, truths: bool) -> None:
    handles = [
        Line2D([], [], color=POSTERIOR, linewidth=6, alpha=0.75, label="68 % of the posterior"),
        Line2D([], [], color=POSTERIOR, linewidth=6, alpha=0.35, label="95 % of the posterior"),
        Line2D([], [], color=POSTERIOR, linestyle=(0, (4, 2)), linewidth=0.8, label="median"),
    ]
    if truths:
        handles.append(Line2D([], [], color=TRUTH, label="true value"))
    figure.legend(handles=handles, loc="upper right", bbox_to_anchor=(0.985, 0.985))
