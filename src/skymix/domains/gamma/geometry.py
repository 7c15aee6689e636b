"""Sky frames: the region frame of a study, and field-of-view coordinates about a pointing."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord, SkyOffsetFrame

from skymix.axes import FloatArray
from skymix.study.components import Position


@dataclass(frozen=True)
class RegionFrame:
    """Longitude and latitude offsets from a direction, in a frame rotated to put it at (0, 0).

    The axes are parallel to those of the centre's own frame at the centre, so distances and
    solid angles are those of the sphere and nothing is distorted far from the equator.
    """

    centre: Position

    def from_sky(self, coord: SkyCoord) -> tuple[FloatArray, FloatArray]:
        """Offsets (lon in -180 to 180, lat) in deg of directions on the sky."""
        local = coord.transform_to(SkyOffsetFrame(origin=sky_coord(self.centre)))
        lon = local.lon.wrap_at(180 * u.deg).to_value(u.deg)
        return np.asarray(lon, dtype=np.float64), np.asarray(local.lat.to_value(u.deg), np.float64)

    def from_frame(
        self, lon: FloatArray, lat: FloatArray, frame: str
    ) -> tuple[FloatArray, FloatArray]:
        """Offsets (lon in -180 to 180, lat) of directions in `frame`; deg, arrays."""
        return _turned(_to_frame(self.centre, frame).T, lon, lat)

    def from_position(self, position: Position) -> tuple[float, float]:
        """Offsets (lon, lat) in deg of a position of the study file."""
        at = np.asarray(position.lon), np.asarray(position.lat)
        lon, lat = self.from_frame(*at, position.frame)
        return float(lon), float(lat)

    def to_frame(
        self, lon: FloatArray, lat: FloatArray, frame: str
    ) -> tuple[FloatArray, FloatArray]:
        """Directions (lon in -180 to 180, lat) in `frame` ("galactic", "icrs") of offsets; deg."""
        return _turned(_to_frame(self.centre, frame), lon, lat)

    def to_sky(self, lon: FloatArray, lat: FloatArray, frame: str) -> SkyCoord:
        """The same as an astropy coordinate."""
        at = self.to_frame(lon, lat, frame)
        return SkyCoord(at[0] * u.deg, at[1] * u.deg, frame=frame)

    def field_of_view(
        self, pointing: tuple[float, float], lon: FloatArray, lat: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Field-of-view coordinates of directions about a pointing, RADEC-aligned.

        Parameters
        ----------
        pointing : (lon, lat) deg, region frame
        lon, lat : arrays of deg, region frame

        Returns
        -------
        fov_lon, fov_lat : arrays of deg; fov_lon increases with right ascension, fov_lat to north
        """
        at = self.to_frame(np.asarray(pointing[0]), np.asarray(pointing[1]), "icrs")
        matrix = _about(*map(float, at)).T @ _to_frame(self.centre, "icrs")
        return _turned(matrix, lon, lat)


@cache
def _to_frame(centre: Position, frame: str) -> FloatArray:
    """Rotation from the region frame to another: astropy is asked once, for three directions."""
    own = _about(centre.lon, centre.lat)
    if frame == centre.frame:
        return own
    axes = SkyCoord([0, 90, 0] * u.deg, [0, 0, 90] * u.deg, frame=centre.frame)
    return np.asarray(axes.transform_to(frame).cartesian.xyz.value) @ own


def _about(lon: float, lat: float) -> FloatArray:
    """Rotation that takes (0, 0) to a direction (deg) and keeps the axes parallel there."""
    (cos_lon, cos_lat), (sin_lon, sin_lat) = (
        np.cos(np.radians([lon, lat])),
        np.sin(np.radians([lon, lat])),
    )
    return np.array(
        [
            [cos_lat * cos_lon, -sin_lon, -sin_lat * cos_lon],
            [cos_lat * sin_lon, cos_lon, -sin_lat * sin_lon],
            [sin_lat, 0.0, cos_lat],
        ]
    )


def _turned(matrix: FloatArray, lon: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Directions (lon in -180 to 180, lat) after a rotation; deg."""
    lon, lat = np.radians(lon), np.radians(lat)
    across = np.cos(lat)
    x, y, z = np.tensordot(
        matrix, np.stack([across * np.cos(lon), across * np.sin(lon), np.sin(lat)]), 1
    )
    return np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))


def sky_coord(position: Position) -> SkyCoord:
    """Position of the study file as an astropy coordinate."""
    return SkyCoord(position.lon * u.deg, position.lat * u.deg, frame=position.frame)
