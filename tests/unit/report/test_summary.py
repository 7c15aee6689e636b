"""The plain text of a fit."""

from tests.unit.report import synthetic

from skymix.report import summary_text
from skymix.report.quantities import quantities_of
from skymix.report.rounding import round_to_error


def test_summary_has_evidence_and_a_line_for_each_quantity():
    posterior = synthetic.fit("gc").posterior
    first, header, *rows = summary_text("gc", posterior).splitlines()
    assert first == "gc: ln Z = −3456.79 ± 0.14"
    assert header.split() == ["unit", "median,", "68", "%", "95", "%", "truth", "within"]
    mass = next(q for q in quantities_of(posterior) if q.name == "dark_matter.mass").summary
    (line,) = [row for row in rows if "mass" in row]
    assert " TeV " in line
    assert round_to_error(mass.median, mass.plus, mass.minus).text() in line
    assert len(rows) == len(posterior["posterior"].data_vars)


def test_summary_shows_the_second_evidence():
    posterior = synthetic.fit("gc").posterior
    posterior.attrs |= {
        "laplace_logz": -3456.9, "laplace_logzerr": 0.01, "laplace_effective_size": 5000.0,
    }  # fmt: skip
    first = summary_text("gc", posterior).splitlines()[0]
    assert first == (
        "gc: ln Z = −3456.79 ± 0.14 (by importance sampling −3456.900 ± 0.010, 0.78 σ off)"
    )


def test_summary_of_recorded_events_has_no_truth():
    text = summary_text("gc", synthetic.fit("gc", simulated=False).posterior)
    assert "truth" not in text


def test_summary_of_chains_starts_with_what_is_bad():
    posterior = synthetic.chains(synthetic.fit("gc"), "Chains differ.").posterior
    first, second, *_ = summary_text("gc", posterior).splitlines()
    assert first == "gc: warning: Chains differ."
    assert second == "gc: 4 chains, r-hat at most 1.003, 0 divergences; NUTS gives no evidence"
