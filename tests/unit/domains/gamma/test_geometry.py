import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skymix.axes import separation
from skymix.domains.gamma.geometry import RegionFrame
from skymix.study.components import Position


def position(frame, lon, lat):
    return Position(frame=frame, lon=f"{lon} deg", lat=f"{lat} deg")


def turned(about, lon, lat):
    """Offsets by rotation matrices, without astropy: about z to the centre, then about y."""
    l0, b0, lon, lat = np.radians([*about, lon, lat])
    v = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    z = np.array([[np.cos(l0), np.sin(l0), 0], [-np.sin(l0), np.cos(l0), 0], [0, 0, 1]])
    y = np.array([[np.cos(b0), 0, np.sin(b0)], [0, 1, 0], [-np.sin(b0), 0, np.cos(b0)]])
    x = y @ z @ v
    return np.degrees(np.arctan2(x[1], x[0])), np.degrees(np.arcsin(x[2]))


lons = st.floats(0, 359.9)
lats = st.floats(-85, 85)


@given(about=st.tuples(lons, lats), lon=lons, lat=lats)
def test_offsets_are_a_rotation(about, lon, lat):
    frame = RegionFrame(position("galactic", *about))
    got = frame.from_position(position("galactic", lon, lat))
    expected = turned(about, lon, lat)
    assert separation(*map(np.asarray, got), *map(np.asarray, expected)) < 1e-7


@given(about=st.tuples(lons, lats), lon=st.floats(-30, 30), lat=st.floats(-30, 30))
def test_there_and_back(about, lon, lat):
    frame = RegionFrame(position("icrs", *about))
    back = frame.from_sky(frame.to_sky(np.array([lon]), np.array([lat]), "galactic"))
    assert separation(np.array([lon]), np.array([lat]), *back)[0] < 1e-7


def test_centre_is_the_origin_and_axes_are_parallel_there():
    frame = RegionFrame(position("galactic", 359.9, 0.5))
    assert frame.from_position(position("galactic", 359.9, 0.5)) == pytest.approx((0, 0), abs=1e-9)
    lon, lat = frame.from_position(position("galactic", 0.1, 0.5))
    assert lon == pytest.approx(0.2 * np.cos(np.radians(0.5)), abs=1e-6)
    assert lat == pytest.approx(0.0, abs=1e-5)


@given(ra=lons, dec=st.floats(-70, 70))
def test_field_of_view_follows_right_ascension_and_north(ra, dec):
    # A galactic region, so that its axes are turned against those of the field of view.
    frame = RegionFrame(position("galactic", 30, 10))
    pointing = frame.from_position(position("icrs", ra, dec))
    east = frame.from_position(position("icrs", (ra + 0.1) % 360, dec))
    north = frame.from_position(position("icrs", ra, dec + 0.1))
    lon, lat = frame.field_of_view(
        pointing, np.array([east[0], north[0]]), np.array([east[1], north[1]])
    )
    np.testing.assert_allclose(lon, [0.1 * np.cos(np.radians(dec)), 0.0], atol=1e-6)
    np.testing.assert_allclose(lat, [0.0, 0.1], atol=3e-4)


def test_crab_in_galactic_coordinates():
    # Published: RA 83.6331, Dec +22.0145 is l = 184.5575, b = -5.7844.
    frame = RegionFrame(position("galactic", 184.5575, -5.7844))
    assert frame.from_position(position("icrs", 83.6331, 22.0145)) == pytest.approx(
        (0, 0), abs=2e-4
    )
