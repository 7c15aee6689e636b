"""Figures of a fit of stars: two coordinates, or the sky, coloured by membership; ROC curve."""

import numpy as np
from matplotlib.figure import Figure

from skymix.axes import FloatArray, IntArray
from skymix.report.style import COLUMN, POSTERIOR

_SPREAD = (0.5, 99.5)  # per cent of the stars that a diagram shows


def membership_diagram(
    values: FloatArray, probability: FloatArray, labels: tuple[str, str], sky: bool = False
) -> Figure:
    """Stars in two coordinates, coloured by the probability of a component.

    Parameters
    ----------
    values : (nstar, 2)
    probability : (nstar,)
    labels : of the two axes
    sky : show every star, east to the left, angles to scale
    """
    figure = Figure(figsize=(COLUMN, 3.2))
    axes = figure.subplots()
    order = np.argsort(probability, kind="stable")  # likely members on top
    drawn = axes.scatter(
        values[order, 0], values[order, 1], c=probability[order], s=2 + 5 * probability[order],
        vmin=0, vmax=1, linewidths=0, rasterized=True,
    )  # fmt: skip
    if sky:
        axes.set_aspect("equal")
        axes.invert_xaxis()
    else:
        for limit, column in ((axes.set_xlim, values[:, 0]), (axes.set_ylim, values[:, 1])):
            low, high = np.percentile(column, _SPREAD)
            limit(float(low), float(high))
    axes.set(xlabel=labels[0], ylabel=labels[1])
    figure.colorbar(drawn, label="Membership probability", pad=0.02)
    figure.subplots_adjust(left=0.15, right=0.93, bottom=0.13, top=0.97)
    return figure


def coordinate_figure(values: FloatArray, probability: FloatArray, label: str) -> Figure:
    """Histogram of one coordinate: all stars, and stars weighted by their probability."""
    figure = Figure(figsize=(COLUMN, 2.6))
    axes = figure.subplots()
    low, high = np.percentile(values, _SPREAD)
    edges = np.linspace(low, high, 61).tolist()
    axes.hist(values, edges, color="0.82", label="all stars")
    axes.hist(values, edges, weights=probability, histtype="step", color=POSTERIOR, label="members")
    axes.set(xlabel=label, ylabel="Stars per bin", yscale="log", ylim=(0.5, None))
    axes.legend()
    figure.subplots_adjust(left=0.15, right=0.97, bottom=0.16, top=0.97)
    return figure


def roc_figure(probability: FloatArray, belongs: IntArray) -> Figure:
    """True against false positive rate as the threshold of the probability falls.

    Parameters
    ----------
    probability, belongs : (nlabelled,)
    """
    figure = Figure(figsize=(COLUMN, 3.2))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
    axes.plot(*roc_curve(probability, belongs), color=POSTERIOR)
    axes.set(
        xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal",
        xlabel="Other stars above the threshold (share)",
        ylabel="Members above the threshold (share)",
    )  # fmt: skip
    figure.subplots_adjust(left=0.14, right=0.97, bottom=0.13, top=0.98)
    return figure


def roc_curve(probability: FloatArray, belongs: IntArray) -> tuple[FloatArray, FloatArray]:
    """False and true positive rates at all thresholds, highest first; ties are one step."""
    order = np.argsort(-probability, kind="stable")
    last = np.append(np.diff(probability[order]) != 0, True)
    hits = np.cumsum(belongs[order] == 1)[last]
    misses = np.cumsum(belongs[order] != 1)[last]
    with np.errstate(invalid="ignore"):
        false, true = misses / misses[-1], hits / hits[-1]
    return np.append(0.0, false), np.append(0.0, true)
