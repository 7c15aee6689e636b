"""Source spectra integrated over energy cells."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from pydantic import TypeAdapter
from scipy.integrate import quad

from skymix.axes import EnergyAxis
from skymix.domains.gamma.components.parameters import Values
from skymix.domains.gamma.components.spectra import (
    cutoff_power_law,
    integrated_spectrum,
    log_parabola,
    power_law,
)
from skymix.study.components import SourceSpectrum

EDGES = EnergyAxis.logarithmic(0.03, 100, 8).edges
SPECTRUM = TypeAdapter(SourceSpectrum)


def by_quad(density, edges):
    cells = pairwise(edges)
    return [
        quad(lambda u: density(np.exp(u)) * np.exp(u), np.log(a), np.log(b), epsrel=1e-12)[0]
        for a, b in cells
    ]


@pytest.mark.parametrize("index", [-1.0, 0.0, 1.0, 1.0 + 1e-9, 2.3, 4.0])
def test_power_law(index):
    got = power_law(EDGES, np.array([3.0]), np.array([index]), 2.0)
    assert_allclose(got[0], by_quad(lambda e: 3 * (e / 2) ** -index, EDGES), rtol=1e-11)


def test_power_law_in_closed_form():
    got = power_law(np.array([1.0, 10.0]), np.array([1.0]), np.array([2.0]), 1.0)
    assert_allclose(got, [[0.9]], rtol=1e-14)


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 0.3), (2.5, -0.1), (1.0, 1.5)])
def test_log_parabola(alpha, beta):
    got = log_parabola(EDGES, np.array([3.0]), np.array([alpha]), np.array([beta]), 0.7)
    expected = by_quad(lambda e: 3 * (e / 0.7) ** (-alpha - beta * np.log(e / 0.7)), EDGES)
    assert_allclose(got[0], expected, rtol=1e-10)


@pytest.mark.parametrize("cutoff", [0.5, 3.0, 40.0])
def test_cutoff_power_law(cutoff):
    got = cutoff_power_law(EDGES, np.array([3.0]), np.array([1.7]), np.array([cutoff]), 2.0)
    expected = by_quad(lambda e: 3 * (e / 2) ** -1.7 * np.exp(-e / cutoff), EDGES)
    assert_allclose(got[0], expected, rtol=1e-9)


@settings(max_examples=50)
@given(
    index=st.floats(-1, 5),
    beta=st.floats(-0.2, 1),
    cutoff=st.floats(0.1, 1000),
    factor=st.integers(2, 5),
)
def test_cells_add_up(index, beta, cutoff, factor):
    fine = EnergyAxis(EDGES).split(factor).edges
    one, i = np.ones(1), np.array([index])

    def all_kinds(edges):
        return np.concatenate(
            [
                power_law(edges, one, i, 1.0),
                log_parabola(edges, one, i, np.array([beta]), 1.0),
                cutoff_power_law(edges, one, i, np.array([cutoff]), 1.0),
            ]
        )

    coarse = all_kinds(EDGES)
    assert np.all(coarse >= 0)
    assert np.all(np.isfinite(coarse))
    parts = all_kinds(fine).reshape(3, -1, factor).sum(axis=2)
    assert_allclose(parts, coarse, rtol=1e-8, atol=1e-30 * coarse.max())


def test_rows_and_square_metres():
    spectrum = SPECTRUM.validate_python(
        {
            "kind": "cutoff_power_law",
            "index": {"min": 1, "max": 3, "nodes": 3},
            "cutoff": "5 TeV",
            "amplitude": "1e-11 TeV-1 cm-2 s-1",
        }
    )
    index = np.array([1.0, 2.0, 3.0])
    values = Values("source", {}, {"source.index": index})
    got = integrated_spectrum(spectrum, EDGES, values)
    expected = cutoff_power_law(EDGES, np.full(3, 1e-7), index, np.full(3, 5.0), 1.0)
    assert got.shape == (3, EDGES.size - 1)
    assert_allclose(got, expected, rtol=1e-14)


def test_a_flat_log_parabola_is_a_power_law():
    settings_ = {"kind": "log_parabola", "alpha": 2.2, "beta": 0, "reference": "3 TeV"}
    got = integrated_spectrum(SPECTRUM.validate_python(settings_), EDGES, Values("s", {}, {}))
    expected = power_law(EDGES, np.array([1e-8]), np.array([2.2]), 3.0)
    assert_allclose(got, expected, rtol=1e-11)
