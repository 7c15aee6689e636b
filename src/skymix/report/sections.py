"""What the page says of one fit: numbers, tables and warnings, ready for the template."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.errors import DataError
from skymix.report.counts import significance
from skymix.report.inputs import Fit
from skymix.report.labels import readable, unit_text
from skymix.report.overview import duration
from skymix.report.quantities import WEIGHT, Quantity
from skymix.report.rounding import MINUS, Rounded, round_interval, round_number, round_to_error

LARGEST_LOG_LIKELIHOOD_ERROR = 0.1
LARGEST_DENSITY_ERROR = 0.01
SMALLEST_P_VALUE = 0.01
LARGEST_RESIDUAL = 4.0  # of an observation's counts, in standard deviations
MOST_LIKELY = 5  # events listed for each component

_REMEDIES = {
    "Truncation": "a smaller marginalisation.tolerance",
    "Binning": "a finer grid (true_energy.per_decade, subdivision)",
    "Interpolation": "more nodes in the scans",
}
LARGEST_DIFFERENCE = 4.0  # of two evidences, in their combined error
_RUN_ATTRIBUTES = ("n_calls", "seconds", "seed")
_EVIDENCE_ATTRIBUTES = (*_RUN_ATTRIBUTES, "logz", "logzerr", "information")
_ATTRIBUTES = {
    "nested": (*_EVIDENCE_ATTRIBUTES, "n_live", "n_iterations"),
    "weighted": (*_EVIDENCE_ATTRIBUTES, "n_draws"),
    "convergence": (
        *_RUN_ATTRIBUTES, "n_chains", "divergences", "rhat_max", "effective_size",
        "effective_size_tail",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class QuantityRow:
    """A line of a table of the posterior."""

    name: str
    unit: str
    value: Rounded
    interval_95: str
    prior_95: str
    truth: str
    truth_within: str


def quantity_row(quantity: Quantity) -> QuantityRow:
    """Line of the table of parameters or of weights."""
    s = quantity.summary
    prior = ""
    if quantity.prior.size:
        prior = round_interval(*(float(x) for x in np.quantile(quantity.prior, [0.025, 0.975])))
    return QuantityRow(
        readable(quantity.name),
        unit_text(quantity.unit),
        round_to_error(s.median, s.plus, s.minus),
        round_interval(s.lower_95, s.upper_95),
        prior,
        "" if quantity.truth is None else round_number(quantity.truth, 4),
        quantity.truth_within,
    )


def run_facts(fit: Fit) -> dict[str, Any]:
    """Evidence and cost of the sampler's run.

    Raises
    ------
    DataError
        If the posterior file lacks one of its root attributes.
    """
    attributes = fit.posterior.attrs
    kind = next((k for k in _ATTRIBUTES if k in fit.posterior.children), "weighted")
    for name in _ATTRIBUTES[kind]:
        if name not in attributes:
            raise DataError(
                f"fit '{fit.name}': the posterior file has no attribute '{name}';"
                " delete it and run again"
            )
    facts = {
        "kind": kind,
        "nested": kind == "nested",
        "check": evidence_check(attributes),
        "calls": int(attributes["n_calls"]),
        "draws": int(fit.posterior["posterior"].sizes.get("draw", 0)),
        "wall_time": duration(float(attributes["seconds"])),
        "seed": str(attributes["seed"]),
    }
    if kind == "convergence":
        return facts | chain_facts(attributes)
    weighted = fit.posterior[kind]
    weight = np.asarray(weighted["log_weight"].values, dtype=np.float64)
    share = np.exp(weight - weight.max())
    effective = float(share.sum() ** 2 / (share**2).sum())
    facts |= {
        "evidence": round_to_error(float(attributes["logz"]), float(attributes["logzerr"])),
        "information": round_number(float(attributes["information"])),
        "effective": round(effective),
    }
    return facts | (
        _nested_facts(fit) if kind == "nested" else _weighted_facts(attributes, effective)
    )


def chain_facts(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """What chains tell of their own convergence."""
    return {
        "chains": int(attributes["n_chains"]),
        "divergences": int(attributes["divergences"]),
        "rhat": f"{float(attributes['rhat_max']):.3f}",
        "effective": round(float(attributes["effective_size"])),
        "effective_tail": round(float(attributes["effective_size_tail"])),
        "warnings": str(attributes.get("warnings", "")).splitlines(),
    }


def _nested_facts(fit: Fit) -> dict[str, Any]:
    attributes = fit.posterior.attrs
    calls, iterations = int(attributes["n_calls"]), int(attributes["n_iterations"])
    p_value = fit.diagnostics.insertion_p_value
    return {
        "live_points": int(attributes["n_live"]),
        "iterations": iterations,
        "efficiency": round_number(100 * iterations / max(calls, 1), 2),
        "p_value": round_number(p_value, 2),
        "ranks_uniform": p_value >= SMALLEST_P_VALUE,
    }


def _weighted_facts(attributes: Mapping[Any, Any], effective: float) -> dict[str, Any]:
    weighted = int(attributes["n_draws"])
    return {"weighted": weighted, "efficiency": round_number(100 * effective / weighted, 2)}


def evidence_check(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Second evidence of a small problem: its value and how far it is off; empty if not tried.

    Parameters
    ----------
    attributes : of a posterior file
    """
    if "laplace_refused" in attributes:
        return {"refused": str(attributes["laplace_refused"])}
    if "laplace_logz" not in attributes:
        return {}
    value, error = float(attributes["laplace_logz"]), float(attributes["laplace_logzerr"])
    combined = math.hypot(error, float(attributes["logzerr"]))
    sigma = abs(value - float(attributes["logz"])) / combined
    return {
        "evidence": round_to_error(value, error),
        "effective": round(float(attributes["laplace_effective_size"])),
        "sigma": round_number(sigma, 2),
        "agrees": sigma <= LARGEST_DIFFERENCE,
    }


def true_leaves(fit: Fit) -> IntArray | None:
    """Index of the leaf that each event of the diagnostics was simulated from; None if recorded.

    Raises
    ------
    DataError
        If an event of the diagnostics is not in the event files.
    """
    if not fit.simulated:
        return None
    d = fit.diagnostics
    found = np.empty(d.event_id.size, dtype=np.int64)
    for events in fit.events:
        leaf = np.array([d.leaves.index(name) for name in events.components])[events.true_component]
        known = dict(zip(events.event_id.tolist(), leaf.tolist(), strict=True))
        rows = np.flatnonzero(d.event_observation == d.observations.index(events.observation))
        try:
            found[rows] = [known[i] for i in d.event_id[rows].tolist()]
        except KeyError as error:
            raise DataError(
                f"fit '{fit.name}': event {error.args[0]} of the diagnostics is not among the"
                f" events of '{events.observation}'; run predict-posterior again"
            ) from None
    return found


def leaf_rows(
    fit: Fit, weights: Sequence[Quantity], true_leaf: IntArray | None
) -> list[dict[str, Any]]:
    """Each leaf: weight, number of events by weight and by membership, true number."""
    d = fit.diagnostics
    by_name = {w.name.removeprefix(WEIGHT): w for w in weights}
    rows = []
    for k, leaf in enumerate(d.leaves):
        p, n = d.membership[:, k], d.event_multiplicity
        row: dict[str, Any] = {
            "name": leaf,
            # An event belongs or not: its variance is p(1 - p), added up over the events.
            "membership": round_to_error(float(n @ p), math.sqrt(float(n @ (p * (1 - p))))),
            "true_events": None if true_leaf is None else int(n[true_leaf == k].sum()),
        }
        if leaf in by_name:
            s, total = by_name[leaf].summary, int(n.sum())
            row["weight"] = quantity_row(by_name[leaf])
            row["events"] = round_to_error(total * s.median, total * s.plus, total * s.minus)
        rows.append(row)
    return rows


def observation_rows(fit: Fit) -> list[dict[str, Any]]:
    """Each observation: counts, predicted counts and the significance of their difference."""
    d = fit.diagnostics
    residual = significance(d.observed_counts, d.predicted_counts.sum(axis=1))
    rows = []
    for o, name in enumerate(d.observations):
        low, median, high = (float(x) for x in d.predicted_counts_band[:, o])
        rows.append(
            {
                "name": name,
                "counts": int(d.observed_counts[o]),
                "predicted": round_to_error(median, high - median, median - low),
                "residual": f"{residual[o]:+.1f}".replace("-", MINUS),
                "large": abs(residual[o]) > LARGEST_RESIDUAL,
            }
        )
    return rows


def likely_members(fit: Fit, true_leaf: IntArray | None) -> list[dict[str, Any]]:
    """Return the events of highest membership probability of each leaf."""
    d = fit.diagnostics
    found = []
    for k, leaf in enumerate(d.leaves):
        order = np.lexsort((d.event_id, -d.membership[:, k]))[:MOST_LIKELY]
        rows = [
            {
                "observation": d.observations[int(d.event_observation[i])],
                "id": int(d.event_id[i]),
                "energy": round_number(float(d.event_energy[i])),
                "lon": _offset(d.event_lon, i),
                "lat": _offset(d.event_lat, i),
                "probability": _probability(d.membership[i, k], d.membership_sd[i, k]),
                "truth": None if true_leaf is None else d.leaves[int(true_leaf[i])],
            }
            for i in order
        ]
        found.append({"name": leaf, "rows": rows})
    return found


def _offset(values: FloatArray, i: int) -> str:
    # Adding 0 turns a negative zero into a positive one.
    return f"{round(float(values[i]), 2) + 0.0:+.2f}".replace("-", MINUS)


def _probability(mean: float, sd: float) -> str:
    return f"{mean:.3f} ± {sd:.3f}" if mean < 0.9995 else "> 0.999"


def exactness_rows(fit: Fit) -> list[dict[str, Any]]:
    """Errors of the likelihood itself, what each means, and whether it is larger than it should."""
    t = fit.likelihood
    rows: list[tuple[str, float, float, str, str]] = [
        (
            "Truncation",
            t.truncation_error,
            LARGEST_LOG_LIKELIHOOD_ERROR,
            "in ln L",
            "Upper bound on how much ln L misses because the scan of each event leaves out the far"
            " tails of the instrument's response, added up over all events.",
        ),
        (
            "Binning",
            t.binning_error,
            LARGEST_DENSITY_ERROR,
            "in ln p",
            "Change of the density when the true energy and sky cells are made twice as fine, the"
            " mean over the data, for the worst parameter values of any component.",
        ),
        (
            "Interpolation",
            t.interpolation_error,
            LARGEST_DENSITY_ERROR,
            "in ln p",
            "Error of the density halfway between the nodes of the scanned parameters, the mean"
            " over the data, for the worst pair of nodes of any component.",
        ),
    ]
    return [
        {
            "name": name,
            "value": round_number(value, 2),
            "where": where,
            "limit": f"{limit:g}",
            "meaning": meaning,
            # Written so that NaN counts as too large.
            "too_large": not value <= limit,
        }
        for name, value, limit, where, meaning in rows
    ]


def warnings_of(run: Mapping[str, Any], exactness: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return sentences that the top of a fit's section must say aloud."""
    found = list(run.get("warnings", []))
    found += [
        f"{row['name']} error of the likelihood: {row['value']} {row['where']}, larger than"
        f" {row['limit']}. Treat the evidence and the widths of the posterior with care;"
        f" {_REMEDIES[row['name']]} makes it smaller."
        for row in exactness
        if row["too_large"]
    ]
    if not run["check"].get("agrees", True):
        found.append(
            f"Two ways to compute the evidence differ by {run['check']['sigma']} σ of their"
            f" combined error: ln Z = {run['evidence'].text()} by nested sampling and"
            f" {run['check']['evidence'].text()} by importance sampling. Trust neither before a"
            " run with more live points and another way of drawing new points."
        )
    if run["nested"] and not run["ranks_uniform"]:
        found.append(
            f"The insertion ranks of the sampler are not uniform (p = {run['p_value']}): the"
            " evidence may be biased. Run again with more live points or another way of drawing"
            " new points."
        )
    return found
