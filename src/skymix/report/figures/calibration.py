"""Ranks of the truths of simulated surveys: their distribution less the uniform one."""

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from skymix.report.labels import readable
from skymix.report.style import COLUMN, MODEL, POSTERIOR
from skymix.store.calibration import Calibration


def calibration_ranks_figure(calibration: Calibration) -> Figure:
    """Empirical cumulative distribution of each parameter's ranks, less the uniform one.

    The band holds 95 % of faithful posteriors as a whole curve (Kolmogorov's distribution).
    """
    n = calibration.realisation.size
    reach = float(stats.kstwo.ppf(0.95, n))
    columns = min(3, len(calibration.parameters))
    rows = -(-len(calibration.parameters) // columns)
    figure = Figure(figsize=(COLUMN * max(1.0, 0.62 * columns), 0.6 + 1.5 * rows))
    panels = np.atleast_1d(figure.subplots(rows, columns, sharex=True, sharey=True)).ravel()
    for axes, name, ranks in zip(panels, calibration.parameters, calibration.rank.T, strict=False):
        # Each rank twice: the share below jumps there.
        x = np.concatenate([[0.0], np.repeat(np.sort(ranks), 2), [1.0]])
        below = np.repeat(np.arange(n + 1) / n, 2)
        axes.axhspan(-reach, reach, color="0.85", linewidth=0)
        axes.axhline(0, color=MODEL, linewidth=0.8)
        axes.plot(x, below - x, color=POSTERIOR, linewidth=1.1)
        axes.set_title(readable(name), fontsize="small")
        axes.set_xlim(0, 1)
    for axes in panels[len(calibration.parameters) :]:
        axes.set_visible(False)
    figure.supxlabel("Share of the posterior below the truth", fontsize="medium")
    figure.supylabel(
        "Share of surveys below\n(minus uniform)", fontsize="medium", ha="center", x=0.03
    )
    figure.tight_layout()
    return figure
