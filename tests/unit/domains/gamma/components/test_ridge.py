"""The Galactic ridge."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pydantic import TypeAdapter

from skymix.axes import EnergyAxis, Grid, SkyGrid
from skymix.domains.gamma.components import build_source
from skymix.domains.gamma.geometry import RegionFrame
from skymix.study.components import AnyComponent, Position

COMPONENT = TypeAdapter(AnyComponent)
CENTRE = RegionFrame(Position(frame="galactic", lon="0 deg", lat="0 deg"))
ENERGY = EnergyAxis(np.array([0.99999, 1.00001]))


def ridge(**settings):
    return build_source(
        "ridge", COMPONENT.validate_python({"kind": "galactic_ridge"} | settings), "."
    )


@pytest.mark.parametrize("pixel", [0.02, 0.1, 0.6])
def test_default_is_the_measured_mean_intensity(pixel):
    # Aharonian et al. 2006: 1.73e-8 TeV-1 cm-2 s-1 sr-1 over |l| < 0.8, |b| < 0.3 deg.
    sky = SkyGrid.centred(1.6, 0.6, min(pixel, 0.6))
    (term,) = ridge().terms(Grid(ENERGY, sky), CENTRE, {}, {})
    mean = np.average(term.morphology.intensity, weights=sky.solid_angle)
    density = mean * term.spectrum[0, 0] / ENERGY.widths[0]
    assert_allclose(density, 1.73e-4, rtol=2e-3)


def test_region_elsewhere_and_other_axes():
    frame = RegionFrame(Position(frame="icrs", lon="266.4 deg", lat="-28.5 deg"))
    sky = SkyGrid.centred(3, 3, 0.01)
    (term,) = ridge().terms(Grid(ENERGY, SkyGrid.centred(0.03, 0.03, 0.01)), frame, {}, {})
    coord = frame.to_sky(np.array(0.0), np.array(0.0), "galactic")
    lon, lat = coord.l.wrap_at("180d").deg, coord.b.deg
    expected = np.exp(-0.5 * (lon / 0.8) ** 2 - 0.5 * (lat / 0.2) ** 2)
    assert_allclose(term.morphology.intensity[1, 1], expected, rtol=1e-3)
    assert sky.size > 0


def test_index_makes_rows():
    source = ridge(index={"min": 2, "max": 3, "nodes": 5})
    assert [p.name for p in source.parameters] == ["ridge.index"]
    grid = Grid(EnergyAxis.logarithmic(0.1, 10, 3), SkyGrid.centred(2, 1, 0.1))
    (term,) = source.terms(grid, CENTRE, {}, {"ridge.index": np.array([2.0, 3.0])})
    assert term.spectrum.shape == (2, grid.energy.size)
    assert np.all(term.morphology.intensity <= 1)
