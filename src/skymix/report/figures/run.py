"""The sampler's run: likelihood, weights and evidence over the prior volume; insertion ranks."""

import numpy as np
from matplotlib.figure import Figure

from skymix.axes import FloatArray, IntArray
from skymix.report.style import COLUMN, MODEL, POSTERIOR


def run_figure(
    log_likelihood: FloatArray, log_prior_volume: FloatArray, log_weight: FloatArray
) -> Figure:
    """ln L, importance weight and cumulative evidence of the dead points over -ln X.

    Parameters
    ----------
    log_likelihood, log_prior_volume, log_weight : (dead_point,) in the order of the run; the
        weights up to a constant
    """
    figure = Figure(figsize=(COLUMN, 3.9))
    likelihood, weight, evidence = figure.subplots(3, 1, sharex=True)
    depth = -log_prior_volume
    share = np.exp(log_weight - log_weight.max())
    total = share.sum()
    likelihood.plot(depth, log_likelihood, color=POSTERIOR, linewidth=1.0)
    best = float(log_likelihood.max())
    bulk = float(np.quantile(log_likelihood, 0.25))
    likelihood.set_ylim(bulk - 0.05 * (best - bulk), best + 0.1 * (best - bulk))
    likelihood.set_ylabel(r"$\ln L$")
    likelihood.ticklabel_format(axis="y", style="plain", useOffset=False)
    weight.fill_between(depth, share, color=POSTERIOR, alpha=0.75, linewidth=0)
    weight.set_ylabel("Weight\n(largest = 1)")
    weight.set_ylim(0, 1.1)
    evidence.plot(depth, np.cumsum(share) / total, color=POSTERIOR)
    evidence.axhline(1, color=MODEL, linewidth=0.6, linestyle=(0, (4, 2)))
    evidence.set_ylabel("Evidence so far\n(share of $Z$)")
    evidence.set_ylim(0, 1.1)
    evidence.set_xlabel(r"$-\ln X$, with $X$ the remaining prior volume")
    evidence.set_xlim(0, float(depth[np.isfinite(depth)].max()))
    figure.align_ylabels()
    figure.subplots_adjust(left=0.2, right=0.975, bottom=0.105, top=0.985, hspace=0.08)
    return figure


def insertion_rank_figure(ranks: IntArray, live_points: int) -> Figure:
    """Histogram of insertion ranks, which are uniform in a faithful run.

    Parameters
    ----------
    ranks : (iteration,) 0 to `live_points`; negative ones are points that were not inserted
    """
    figure = Figure(figsize=(COLUMN, 2.2))
    axes = figure.subplots()
    inserted = ranks[ranks >= 0]
    bins = int(np.clip(inserted.size // 100, 5, 25))
    edges = np.linspace(0, live_points, bins + 1)
    mean = inserted.size / bins
    sigma = np.sqrt(mean * (1 - 1 / bins))
    counts, _ = np.histogram(inserted, edges)
    axes.axhspan(mean - sigma, mean + sigma, color="0.85", linewidth=0, label="uniform (68 %)")
    axes.axhline(mean, color=MODEL, linewidth=0.8)
    axes.stairs(counts, edges, baseline=None, color=POSTERIOR, linewidth=1.2, label="run")
    reach = max(4 * sigma, 1.2 * float(np.abs(counts - mean).max()))
    axes.set_xlim(0, live_points)
    axes.set_ylim(max(0.0, mean - reach), mean + reach)
    axes.set_xlabel("Insertion rank among the live points")
    axes.set_ylabel("New points per bin")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, borderaxespad=0.2)
    figure.subplots_adjust(left=0.145, right=0.965, bottom=0.18, top=0.9)
    return figure
