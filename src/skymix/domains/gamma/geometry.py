"""Sky frames: the region frame of a study, and field-of-view coordinates about a pointing."""

from dataclasses import dataclass
from functools import cached_property

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

    @cached_property
    def _frame(self) -> SkyOffsetFrame:
        return SkyOffsetFrame(origin=sky_coord(self.centre))

    def from_sky(self, coord: SkyCoord) -> tuple[FloatArray, FloatArray]:
        """Offsets (lon in -180 to 180, lat) in deg of directions on the sky."""
        local = coord.transform_to(self._frame)
        lon = local.lon.wrap_at(180 * u.deg).to_value(u.deg)
        return np.asarray(lon, dtype=np.float64), np.asarray(local.lat.to_value(u.deg), np.float64)

    def from_position(self, position: Position) -> tuple[float, float]:
        """Offsets (lon, lat) in deg of a position of the study file."""
        lon, lat = self.from_sky(sky_coord(position))
        return float(lon), float(lat)

    def to_sky(self, lon: FloatArray, lat: FloatArray, frame: str) -> SkyCoord:
        """Directions in `frame` ("galactic", "icrs") of offsets in deg."""
        local = SkyCoord(lon * u.deg, lat * u.deg, frame=self._frame)
        return local.transform_to(frame)

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
        origin = self.to_sky(np.asarray(pointing[0]), np.asarray(pointing[1]), "icrs")
        local = self.to_sky(lon, lat, "icrs").transform_to(SkyOffsetFrame(origin=origin))
        return (
            np.asarray(local.lon.wrap_at(180 * u.deg).to_value(u.deg)),
            np.asarray(local.lat.to_value(u.deg)),
        )


def sky_coord(position: Position) -> SkyCoord:
    """Position of the study file as an astropy coordinate."""
    return SkyCoord(position.lon * u.deg, position.lat * u.deg, frame=position.frame)
