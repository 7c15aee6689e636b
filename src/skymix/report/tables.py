"""Tables of a fit as ECSV, with a unit and a description for every column."""

from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import numpy as np
from astropy.table import Column, Table

from skymix.axes import FloatArray, IntArray
from skymix.report.counts import gehrels_errors
from skymix.report.inputs import Fit
from skymix.report.labels import readable
from skymix.report.quantities import Quantity

STATISTICS = (
    "median", "lower_68", "upper_68", "lower_95", "upper_95", "mean", "standard_deviation",
)  # fmt: skip
_ROWS_AT_ONCE = 20_000


def write_table(table: Table, path: Path) -> None:
    """Write a table as ECSV, some rows at a time: as text, a survey's events fill gigabytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, max(len(table), 1), _ROWS_AT_ONCE):
            text = StringIO()
            table[start : start + _ROWS_AT_ONCE].write(text, format="ascii.ecsv")
            lines = text.getvalue().splitlines(keepends=True)
            # Comments, then the names of the columns.
            header = next(i for i, line in enumerate(lines) if not line.startswith("#")) + 1
            file.writelines(lines[header if start else 0 :])


def posterior_table(quantities: Sequence[Quantity], of: str) -> Table:
    """Return intervals of the posterior: a row a statistic, a column (with unit) a quantity.

    A last row "truth" is there if any true value is known, NaN where one is not.
    """
    simulated = any(q.truth is not None for q in quantities)
    rows = [*STATISTICS, "truth"] if simulated else list(STATISTICS)
    table = Table(meta={"description": f"Posterior of {of}; intervals have equal tails."})
    table["statistic"] = Column(rows, description="Statistic of the posterior, or the true value")
    for q in quantities:
        values = [getattr(q.summary, name) for name in STATISTICS]
        if simulated:
            values.append(np.nan if q.truth is None else q.truth)
        table[q.name] = Column(values, unit=q.unit or None, description=readable(q.name))
    return table


def evidence_table(fit: Fit) -> Table:
    """Evidence and size of the sampler's run, in one row."""
    attributes = fit.posterior.attrs
    columns = {
        "log_evidence": ("logz", "", "Natural logarithm of the evidence"),
        "log_evidence_error": ("logzerr", "", "Its statistical error"),
        "information": ("information", "", "Information gained over the prior, nats"),
        "live_points": ("n_live", "", "Number of live points"),
        "iterations": ("n_iterations", "", "Number of iterations"),
        "weighted_draws": ("n_draws", "", "Number of weighted draws"),
        "chains": ("n_chains", "", "Number of chains"),
        "rhat": ("rhat_max", "", "Largest r-hat of any variable"),
        "divergences": ("divergences", "", "Number of trajectories that diverged"),
        "likelihood_calls": ("n_calls", "", "Number of likelihood evaluations"),
        "wall_time": ("seconds", "s", "Wall time of the sampling"),
        "check_log_evidence": ("laplace_logz", "", "Evidence by importance sampling"),
        "check_log_evidence_error": ("laplace_logzerr", "", "Its statistical error"),
    }
    columns = {name: column for name, column in columns.items() if column[0] in attributes}
    table = Table(meta={"description": f"Evidence and run of the fit {fit.name}"})
    for name, (key, unit, description) in columns.items():
        value = np.asarray(attributes[key]).item()
        table[name] = Column([value], unit=unit or None, description=description)
    return table


def observation_table(fit: Fit) -> Table:
    """Counts and predicted counts of each observation."""
    d = fit.diagnostics
    table = Table(meta={"description": "Counts of the observations, and as the posterior predicts"})
    table["observation"] = Column(d.observations, description="Observation")
    table["counts"] = Column(d.observed_counts, unit="ct", description="Observed events")
    for name, values in zip(("16", "50", "84"), d.predicted_counts_band, strict=True):
        table[f"predicted_total_{name}"] = Column(
            values, unit="ct", description=f"{name} % quantile of the predicted counts"
        )
    for leaf, values in zip(d.leaves, d.predicted_counts.T, strict=True):
        table[f"predicted.{leaf}"] = Column(
            values, unit="ct", description=f"Posterior mean of the counts of {readable(leaf)}"
        )
    return table


_EDGES = slice(None, -1), slice(1, None)


def spectrum_table(fit: Fit) -> Table:
    """Counts and predicted counts in each energy cell."""
    d = fit.diagnostics
    low, high = gehrels_errors(d.counts_spectrum)
    table = Table(meta={"description": "Counts spectrum; errors: Gehrels 1986, ApJ 303, 336"})
    if len(d.spectra) > 1:
        names = [", ".join(s.observations) for s in d.spectra]
        table["observations"] = Column(np.repeat(names, d.space_cells), description="Observed in")
    lower, upper = (np.concatenate([s.edges[k] for s in d.spectra]) for k in _EDGES)
    table["energy_min"] = Column(lower, unit="TeV", description="Lower edge")
    table["energy_max"] = Column(upper, unit="TeV", description="Upper edge")
    table["counts"] = Column(d.counts_spectrum, unit="ct", description="Observed events")
    table["counts_error_low"] = Column(low, unit="ct", description="Lower error, 1 sigma")
    table["counts_error_high"] = Column(high, unit="ct", description="Upper error, 1 sigma")
    for leaf, values in zip(d.leaves, d.predicted_spectrum, strict=True):
        table[f"predicted.{leaf}"] = Column(
            values, unit="ct", description=f"Posterior mean of the counts of {readable(leaf)}"
        )
    for name, values in zip(("16", "50", "84"), d.predicted_spectrum_band, strict=True):
        table[f"predicted_total_{name}"] = Column(
            values, unit="ct", description=f"{name} % quantile of the predicted counts"
        )
    return table


def membership_table(fit: Fit, true_leaf: IntArray | None) -> Table:
    """Every event with its membership probabilities."""
    d = fit.diagnostics
    table = Table(meta={"description": "Membership probability of every event, posterior mean"})
    observations = np.array(d.observations)[d.event_observation]
    table["observation"] = Column(observations, description="Observation")
    table["event_id"] = Column(d.event_id, description="Event number in its observation")
    table["multiplicity"] = Column(d.event_multiplicity, description="Number of events of the row")
    for name, values, unit, text in _coordinates(fit):
        table[name] = Column(values, unit=unit, description=text)
    for k, leaf in enumerate(d.leaves):
        table[f"probability.{leaf}"] = Column(
            d.membership[:, k], description=f"Probability that it comes from {readable(leaf)}"
        )
        table[f"probability_sd.{leaf}"] = Column(
            d.membership_sd[:, k], description="Standard deviation of that over the posterior"
        )
    if true_leaf is not None:
        names = np.array([*d.leaves, ""])[true_leaf]
        table["true_component"] = Column(names, description="Component it was simulated from")
    return table


def _coordinates(fit: Fit) -> list[tuple[str, FloatArray, str, str]]:
    d = fit.diagnostics
    return [
        ("energy", d.event_energy, "TeV", "Reconstructed energy"),
        ("lon", d.event_lon, "deg", "Longitude offset from the region's centre"),
        ("lat", d.event_lat, "deg", "Latitude offset from the region's centre"),
    ]


def comparison_table(fits: Sequence[Fit], quantities: Sequence[Sequence[Quantity]]) -> Table:
    """Evidence and posterior of several fits: a row a fit; NaN where a fit lacks a parameter."""
    table = Table(meta={"description": "Parameters of the fits; intervals have equal tails."})
    table["fit"] = Column([fit.name for fit in fits], description="Name of the fit")
    for name, key in (("log_evidence", "logz"), ("log_evidence_error", "logzerr")):
        values = [float(fit.posterior.attrs.get(key, np.nan)) for fit in fits]
        table[name] = Column(values, description="Natural logarithm of the evidence, or its error")
    for q in dict.fromkeys(q.name for row in quantities for q in row):
        found = [next((x for x in row if x.name == q), None) for row in quantities]
        unit = next(x.unit for x in found if x is not None)
        for statistic in STATISTICS[:5]:
            values = [np.nan if x is None else getattr(x.summary, statistic) for x in found]
            table[f"{q}.{statistic}"] = Column(
                values, unit=unit or None, description=f"{readable(q)}, {statistic}"
            )
    return table
