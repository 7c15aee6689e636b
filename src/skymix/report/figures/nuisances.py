"""All nuisance parameters of a fit, with their priors."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from skymix.report.labels import figure_text, readable
from skymix.report.quantities import Quantity
from skymix.report.style import PAGE, POSTERIOR, TRUTH
from skymix.study.energy_scale import ENERGY_SCALE


def nuisance_figure(nuisances: Sequence[Quantity]) -> Figure:
    """Median with 68 % (thick) and 95 % (thin) intervals over 68 % of the prior (grey), by line."""
    figure = Figure(figsize=(PAGE, 0.7 + 0.2 * len(nuisances)), layout="constrained")
    axes = figure.subplots()
    for y, quantity in enumerate(nuisances):
        s = quantity.summary
        low, high = np.quantile(quantity.prior, [0.16, 0.84]) if quantity.prior.size else (1, 1)
        axes.fill_between([low, high], y - 0.42, y + 0.42, color="0.9", linewidth=0)
        axes.plot([s.lower_95, s.upper_95], [y, y], color=POSTERIOR, linewidth=0.9)
        axes.plot([s.lower_68, s.upper_68], [y, y], color=POSTERIOR, linewidth=2.6)
        axes.plot(s.median, y, "o", color="white", markeredgecolor=POSTERIOR, markersize=3.8)
        if quantity.truth is not None:
            axes.plot([quantity.truth] * 2, [y - 0.38, y + 0.38], color=TRUTH, linewidth=1.2)
    axes.axvline(1, color="0.5", linewidth=0.7, linestyle=":")
    axes.set_yticks(range(len(nuisances)), [figure_text(readable(q.name)) for q in nuisances])
    axes.set_ylim(len(nuisances) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    scaled = any(q.name.startswith(ENERGY_SCALE) for q in nuisances)
    axes.set_xlabel("Factor on the expected counts" + " or on the energies" * scaled)
    return figure
