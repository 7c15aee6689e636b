"""Axes and grids: measures and look-up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skymix.axes import EnergyAxis, Grid, SkyGrid, cell_of, separation


def test_logarithmic_axis_has_the_asked_density() -> None:
    axis = EnergyAxis.logarithmic(0.1, 100, 20)
    assert axis.size == 60
    np.testing.assert_allclose(np.diff(np.log10(axis.edges)), 0.05)
    assert axis.widths.sum() == pytest.approx(99.9)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20))
def test_cells_are_half_open_and_the_last_is_closed(values) -> None:
    edges = np.array([-2.0, 0.0, 0.5, 3.0])
    for value, cell in zip(values, cell_of(edges, np.array(values)), strict=True):
        if cell < 0:
            assert value < -2 or value > 3
        else:
            assert edges[cell] <= value
            assert value < edges[cell + 1] or value == 3.0


def test_solid_angle_is_that_of_the_sphere() -> None:
    whole = SkyGrid(np.linspace(-180, 180, 25), np.linspace(-90, 90, 13))
    assert whole.solid_angle.sum() == pytest.approx(4 * np.pi)
    cap = SkyGrid(np.linspace(-180, 180, 3), np.array([60.0, 90.0]))
    assert cap.solid_angle.sum() == pytest.approx(2 * np.pi * (1 - np.sin(np.radians(60))))


def test_volume_is_energy_times_solid_angle() -> None:
    grid = Grid(EnergyAxis(np.array([1.0, 3.0, 4.0])), SkyGrid.centred(2, 1, 0.5))
    assert grid.shape == (2, 2, 4)
    assert grid.volume.sum() == pytest.approx(3 * grid.sky.solid_angle.sum())


def test_splitting_keeps_edges_and_content() -> None:
    grid = Grid(EnergyAxis.logarithmic(1, 10, 4), SkyGrid.centred(2, 1, 0.5))
    fine = grid.split(3, 2)
    np.testing.assert_allclose(fine.energy.edges[::3], grid.energy.edges)
    np.testing.assert_allclose(fine.sky.lon_edges[::2], grid.sky.lon_edges)
    assert fine.volume.sum() == pytest.approx(grid.volume.sum())


def test_flat_index_is_energy_then_latitude_then_longitude() -> None:
    grid = Grid(EnergyAxis(np.array([1.0, 3.0, 4.0])), SkyGrid.centred(2, 1, 0.5))
    cell = grid.cell(np.array([3.5, 3.5, 9.0]), np.array([-0.9, 0.9, 0.0]), np.array([0.4, 0.4, 0]))
    assert cell.tolist() == [8 + 4, 8 + 7, -1]


@pytest.mark.parametrize("edges", [[1.0], [1.0, 1.0], [2.0, 1.0], [[1.0, 2.0]]])
def test_edges_must_increase(edges) -> None:
    with pytest.raises(ValueError, match="energy axis: edges must be a strictly increasing"):
        EnergyAxis(np.array(edges))


def test_energies_must_be_positive() -> None:
    with pytest.raises(ValueError, match="energies must be positive"):
        EnergyAxis(np.array([0.0, 1.0]))


@given(st.floats(-180, 180), st.floats(-89, 89), st.floats(-180, 180), st.floats(-89, 89))
def test_separation_is_that_of_unit_vectors(lon1, lat1, lon2, lat2) -> None:
    def vector(lon, lat):
        a, b = np.radians(lon), np.radians(lat)
        return np.array([np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)])

    u, v = vector(lon1, lat1), vector(lon2, lat2)
    angle = np.degrees(np.arctan2(np.linalg.norm(np.cross(u, v)), u @ v))
    assert float(separation(lon1, lat1, lon2, lat2)) == pytest.approx(angle, abs=1e-5)
