"""Membership probabilities: their distribution, and how they compare with the truth."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from scipy import special

from skymix.axes import FloatArray, IntArray
from skymix.report.labels import figure_text, readable
from skymix.report.style import COLUMN, PAGE, LeafStyle

_BINS = np.linspace(0, 1, 21)
_FEWEST = 10  # events in a point of the comparison with the truth


def membership_figure(
    membership: FloatArray,
    multiplicity: IntArray,
    true_leaf: IntArray | None,
    styles: Mapping[str, LeafStyle],
) -> Figure:
    """Histogram of the probability of each leaf over the events, and by true leaf if known.

    Parameters
    ----------
    membership : (event, leaf)
    multiplicity : (event,) number of events of each row
    true_leaf : (event,) index of the true leaf, or None
    """
    n = len(styles)
    rows = -(-n // 4)
    columns = -(-n // rows)
    legend = 0.0 if true_leaf is None else 0.1 + 0.17 * -(-(n + 1) // 5)
    height = 1.75 * rows + 0.12 + legend
    figure = Figure(figsize=(PAGE, height))
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for k, (axes, (leaf, style)) in enumerate(zip(grid, styles.items(), strict=False)):
        colour = "0.82" if true_leaf is not None else style.colour
        axes.hist(membership[:, k], _BINS, weights=multiplicity, color=colour, label="all events")
        if true_leaf is not None:
            for j, (other, drawn) in enumerate(styles.items()):
                own = true_leaf == j
                counts, _ = np.histogram(membership[own, k], _BINS, weights=multiplicity[own])
                axes.stairs(
                    counts, _BINS, color=drawn.colour, label=_name(other),
                    linewidth=1.9 if j == k else 0.8, zorder=3 if j == k else 2,
                )  # fmt: skip
        axes.set_title(_name(leaf), color=style.colour, fontweight="bold")
        axes.set_xlabel("Membership probability")
        axes.tick_params(labelbottom=True)
        if k % columns == 0:
            axes.set_ylabel("Events per bin of 0.05")
    grid[0].set(yscale="log", xlim=(0, 1), ylim=(0.6, 1.6 * multiplicity.sum()), xticks=[0, 0.5, 1])
    grid[0].set_xticklabels(["0", "0.5", "1"])
    for axes in grid[n:]:
        axes.set_visible(False)
    if true_leaf is not None:
        handles, names = grid[0].get_legend_handles_labels()
        names = [names[0], *(f"truly {name}" for name in names[1:])]
        figure.legend(handles, names, loc="upper center", ncols=min(n + 1, 5))
    top = 1 - (0.24 + legend) / height
    figure.subplots_adjust(
        left=0.065, right=0.985, bottom=0.36 / height, top=top, wspace=0.1, hspace=0.55
    )
    return figure


def calibration_figure(
    membership: FloatArray,
    multiplicity: IntArray,
    true_leaf: IntArray,
    styles: Mapping[str, LeafStyle],
) -> Figure:
    """Fraction of events that truly belong to a leaf against their mean membership probability.

    Error bars are the 68 % interval of the fraction, with a uniform prior (beta distribution).

    Parameters
    ----------
    membership : (event, leaf)
    multiplicity : (event,) number of events of each row
    true_leaf : (event,) index of the true leaf
    """
    figure = Figure(figsize=(COLUMN, 3.3))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
    for k, (leaf, style) in enumerate(styles.items()):
        mean, fraction, low, high = calibration_points(
            membership[:, k], multiplicity, true_leaf == k
        )
        axes.errorbar(
            mean, fraction, yerr=[fraction - low, high - fraction], fmt=style.marker,
            color=style.colour, markersize=3.6, elinewidth=0.8, label=_name(leaf),
        )  # fmt: skip
    axes.set(
        xlim=(-0.03, 1.03),
        ylim=(-0.03, 1.03),
        xlabel="Mean membership probability",
        ylabel="True fraction",
        aspect="equal",
    )
    axes.legend(loc="upper left", handlelength=1.0)
    figure.subplots_adjust(left=0.14, right=0.97, bottom=0.13, top=0.98)
    return figure


def calibration_points(
    probability: FloatArray, multiplicity: IntArray, belongs: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Mean probability, true fraction and its 68 % interval, in up to ten groups of equal size.

    Rows are not divided, so that groups are of equal size as far as their multiplicities allow.

    Parameters
    ----------
    probability : (event,) membership probability of one leaf
    multiplicity : (event,) number of events of each row
    belongs : (event,) bool, whether the event is truly of this leaf
    """
    order = np.argsort(probability, kind="stable")
    number, p = multiplicity[order], probability[order]
    before = np.cumsum(number) - number
    group = before * int(np.clip(number.sum() // _FEWEST, 1, 10)) // number.sum()
    size, total, hits = (
        np.add.reduceat(values, np.flatnonzero(np.diff(group, prepend=-1))).astype(np.float64)
        for values in (number, number * p, number * belongs[order])
    )
    mean, fraction = total / size, hits / size
    low = special.betaincinv(hits + 1, size - hits + 1, 0.16)
    high = special.betaincinv(hits + 1, size - hits + 1, 0.84)
    # At 0 and 1 the interval of equal tails leaves out the fraction itself.
    return mean, fraction, np.minimum(low, fraction), np.maximum(high, fraction)


def _name(leaf: str) -> str:
    return figure_text(readable(leaf))
