"""The figures of one fit, drawn and saved, with their captions."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from skymix.axes import EnergyAxis, IntArray, SkyGrid
from skymix.report.counts import correlation_radius
from skymix.report.figures.corner import corner_figure
from skymix.report.figures.maps import component_maps_figure, maps_figure
from skymix.report.figures.membership import calibration_figure, membership_figure
from skymix.report.figures.nuisances import nuisance_figure
from skymix.report.figures.run import insertion_rank_figure, run_figure
from skymix.report.figures.spectrum import spectrum_figure
from skymix.report.inputs import Fit
from skymix.report.labels import shortened, sky_labels
from skymix.report.quantities import Quantity
from skymix.report.rounding import round_number
from skymix.report.style import LeafStyle, Picture, save_picture
from skymix.study import Study

Drawn = tuple[str, Figure, str, str]  # name, figure, alternative text, caption


def fit_pictures(
    fit: Fit,
    study: Study,
    parameters: Sequence[Quantity],
    nuisances: Sequence[Quantity],
    true_leaf: IntArray | None,
    styles: Mapping[str, LeafStyle],
    page: Path,
) -> dict[str, Picture]:
    """Draw and save the figures of a fit below `<page>/<fit>/figures`; pictures by name.

    Parameters
    ----------
    parameters, nuisances : the free parameters
    true_leaf : (event,) index of the true leaf of each event of the diagnostics, if known
    styles : style of each leaf
    page : folder of the page
    """
    drawn = [
        *_corner(parameters),
        *_nuisances(nuisances),
        *_maps(fit, study),
        *_spectrum(fit, styles),
        *_membership(fit, true_leaf, styles),
        *_run(fit),
    ]
    return {
        name: save_picture(
            figure, page, f"{fit.name}/figures/{name}", f"{alt}, fit {fit.name}", caption
        )
        for name, figure, alt, caption in drawn
    }


def _corner(parameters: Sequence[Quantity]) -> Iterator[Drawn]:
    if not parameters:
        return
    caption = (
        "Posterior of the free parameters. Contours hold 68 and 95 % of the draws; on the"
        " diagonal the dashed line is the median and the shade the 68 % interval, which the"
        " numbers above repeat."
    )
    if any(q.truth is not None for q in parameters):
        caption += (
            " Magenta lines mark the values that the events were simulated with; one that lies far"
            " outside of a panel is not drawn."
        )
    yield "corner", corner_figure(parameters), "Corner plot of the parameters", caption


def _nuisances(nuisances: Sequence[Quantity]) -> Iterator[Drawn]:
    if not nuisances:
        return
    yield (
        "nuisances",
        nuisance_figure(nuisances),
        "Intervals of the nuisance parameters",
        "Posterior of the nuisance parameters: medians with 68 % (thick) and 95 % (thin) intervals,"
        " over the 68 % interval of the prior (grey).",
    )


def _maps(fit: Fit, study: Study) -> Iterator[Drawn]:
    d = fit.diagnostics
    if not d.space_mapped.any():
        return
    sky = SkyGrid(d.lon_edges, d.lat_edges)
    labels = sky_labels(study.region.centre)
    model = d.predicted_map.sum(axis=0)
    radius = correlation_radius(model)
    degrees = radius * float(np.mean(np.diff(d.lon_edges)))
    space = dict(zip(d.observations, d.observation_space.tolist(), strict=True))
    mapped = [e for e in fit.events if d.space_mapped[space[e.observation]]]
    pointings = [(events.pointing_lon, events.pointing_lat) for events in mapped]
    without = [e.observation for e in fit.events if not d.space_mapped[space[e.observation]]]
    summed = f"within {round_number(degrees, 2)} deg of each pixel" if radius else "of each pixel"
    yield (
        "maps",
        maps_figure(sky, d.counts_map, model, radius, pointings, labels),
        "Maps of the counts, the model and the residual",
        "Observed counts, posterior mean of the model on the same colour scale (square root), and"
        f" residual: the signed root of the Poisson deviance of the counts {summed}"
        f"{', so that neighbouring pixels are correlated' if radius else ''}. Crosses mark the"
        f" pointing.{f' Without {shortened(without)}, of on and off regions.' if without else ''}",
    )
    yield (
        "component_maps",
        component_maps_figure(sky, d.leaves, d.predicted_map, labels),
        "Maps of the expected counts of each component",
        "Posterior mean of the expected counts of each component, each on its own colour scale"
        " (square root).",
    )


def _spectrum(fit: Fit, styles: Mapping[str, LeafStyle]) -> Iterator[Drawn]:
    d = fit.diagnostics
    for number, (s, mapped) in enumerate(zip(d.spectra, d.space_mapped, strict=True), start=1):
        where = "whole region" if mapped else "on region"
        of = f" of {shortened(s.observations)}" if len(d.spectra) > 1 else ""
        yield (
            "spectrum" if number == 1 else f"spectrum-{number}",
            spectrum_figure(EnergyAxis(s.edges), s.counts, s.predicted, s.band, styles),
            f"Counts spectrum{of} with the fitted components",
            f"Counts{of} over the {where} against reconstructed energy, with the posterior mean of"
            " each component and of the total; the grey band is the 68 % interval of the total."
            " Error bars are the 1σ Poisson limits of Gehrels (1986, ApJ 303, 336); a triangle is"
            " the upper limit of a cell without events. Below: the signed root of the Poisson"
            " deviance from the total, with ±1σ shaded.",
        )


def _membership(
    fit: Fit, true_leaf: IntArray | None, styles: Mapping[str, LeafStyle]
) -> Iterator[Drawn]:
    d = fit.diagnostics
    membership, number = d.membership, d.event_multiplicity
    caption = "Membership probability of each component over all events (posterior mean)."
    if true_leaf is not None:
        caption += (
            " Grey: all events; lines: the events by the component that they were simulated from,"
            " with the panel's own one thick."
        )
    yield (
        "membership",
        membership_figure(membership, number, true_leaf, styles),
        "Histograms of the membership probabilities",
        caption,
    )
    if true_leaf is not None:
        yield (
            "membership_calibration",
            calibration_figure(membership, number, true_leaf, styles),
            "True fraction against membership probability",
            "Events in groups of equal size by membership probability: the fraction that truly"
            " comes from the component against the mean probability. Points of honest"
            " probabilities scatter about the diagonal; error bars are 68 % intervals.",
        )


def _run(fit: Fit) -> Iterator[Drawn]:
    if "nested" not in fit.posterior.children:
        return
    nested = fit.posterior["nested"]
    columns = (nested[n].values for n in ("log_likelihood", "log_prior_volume", "log_weight"))
    yield (
        "run",
        run_figure(*(np.asarray(column, dtype=np.float64) for column in columns)),
        "Trace of the nested sampling run",
        "Dead points of the run against the shrinking prior volume: log likelihood, importance"
        " weight, and the evidence gathered so far. The run is complete when the weight has come"
        " down to zero on the right.",
    )
    d = fit.diagnostics
    if not np.any(d.insertion_rank >= 0):
        return
    yield (
        "insertion_ranks",
        insertion_rank_figure(d.insertion_rank, d.live_points),
        "Histogram of insertion ranks",
        "Rank of each new point's likelihood among the live points. A faithful run makes them"
        " uniform (Fowlie, Handley and Su 2020, MNRAS 497, 5256); a Kolmogorov-Smirnov test gives"
        f" p = {round_number(d.insertion_p_value, 2)}.",
    )
