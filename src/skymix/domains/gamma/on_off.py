"""Events of an on region and of off regions about the pointing, from runs that are added up.

The off regions are circles of the on region's size at its distance from the pointing, turned about
the pointing by equal angles (reflected regions; Berge, Funk and Hinton 2007, A&A 466, 1219). Where
the background falls off evenly in all directions each holds as much of it as the on region.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skymix.axes import FloatArray, Grid, separation
from skymix.domains.gamma.events import Run, read_run
from skymix.domains.gamma.geometry import RegionFrame
from skymix.errors import DataError, StudyError
from skymix.store.events import Events
from skymix.study.observation import OnOffEvents

_SAME_OFFSET = 0.005  # deg; runs that are added up share one effective area


@dataclass(frozen=True)
class OnRegion:
    """A circle on the sky.

    Parameters
    ----------
    lon, lat : centre, deg in the region frame
    radius : deg
    """

    lon: float
    lat: float
    radius: float

    @classmethod
    def of(cls, settings: OnOffEvents, frame: RegionFrame) -> "OnRegion":
        """The on region of an observation."""
        return cls(*frame.from_position(settings.position), settings.radius)

    def offset(self, pointing: tuple[float, float]) -> float:
        """Angle between its centre and a pointing, deg."""
        return float(separation(self.lon, self.lat, *pointing))


def read_on_off(
    paths: Sequence[Path],
    observation: str,
    settings: OnOffEvents,
    frame: RegionFrame,
    grid: Grid,
) -> Events:
    """Events within the on region, and the energies of those in the off regions.

    Parameters
    ----------
    paths : DL3 event files that are added up
    grid : the study's reconstructed grid, which must hold the on region

    Raises
    ------
    DataError
        If a file is unusable, runs have different offsets, or no event is in the on region.
    StudyError
        If the on region leaves the grid, or the regions overlap.
    """
    on = OnRegion.of(settings, frame)
    _require_inside(on, grid, observation)
    runs = [read_run(path, frame) for path in paths]
    offsets = np.array([on.offset(run.pointing) for run in runs])
    if np.ptp(offsets) > 2 * _SAME_OFFSET:
        raise DataError(
            f"observation {observation}: its runs are {offsets.min():.3f} to {offsets.max():.3f}"
            " deg from the on region, so they do not share one effective area; give those at other"
            " offsets as another observation"
        )
    _require_apart(on, float(offsets.min()), settings.off_regions, observation)
    cuts: Counter[str] = Counter()
    energy, lon, lat, off = [], [], [], []
    for run in runs:
        good = run.good & (grid.energy.cell(run.energy) >= 0)
        inside = separation(run.lon, run.lat, on.lon, on.lat) <= on.radius
        keep = good & inside
        beside = good & _in_off_regions(run, on, settings.off_regions)
        energy.append(run.energy[keep])
        lon.append(run.lon[keep])
        lat.append(run.lat[keep])
        off.append(run.energy[beside])
        cuts["read"] += run.energy.size
        cuts["good_time"] += int(np.sum(~run.good))
        cuts["energy"] += int(np.sum(run.good & ~good))
        cuts["on_region"] += int(np.sum(good & ~inside))
    count = sum(part.size for part in energy)
    if count == 0:
        raise DataError(
            f"observation {observation}: no event is in the on region; check events.position and"
            " events.radius"
        )
    unknown = np.full(count, np.nan)
    return Events(
        event_id=np.arange(count),
        multiplicity=np.ones(count, dtype=np.int64),
        energy=np.concatenate(energy),
        lon=np.concatenate(lon),
        lat=np.concatenate(lat),
        true_component=np.full(count, -1, dtype=np.int64),
        true_energy=unknown,
        true_lon=unknown,
        true_lat=unknown,
        observation=observation,
        pointing_lon=runs[0].pointing[0],
        pointing_lat=runs[0].pointing[1],
        livetime=sum(run.ontime * run.dead for run in runs),
        ontime=sum(run.ontime for run in runs),
        cuts=json.dumps(cuts),
        components=(),
        expected_counts=np.empty(0),
        truth="{}",
        off_energy=np.concatenate(off),
        on_over_off=1 / settings.off_regions,
    )


def _in_off_regions(run: Run, on: OnRegion, regions: int) -> np.ndarray:
    """Which events of a run are in one of its off regions."""
    inside = np.zeros(run.energy.size, dtype=np.bool_)
    for k in range(1, regions + 1):
        lon, lat = turned(on.lon, on.lat, run.pointing, 2 * np.pi * k / (regions + 1))
        inside |= separation(run.lon, run.lat, lon, lat) <= on.radius
    return inside


def turned(lon: float, lat: float, pivot: tuple[float, float], angle: float) -> tuple[float, float]:
    """Direction turned about a pivot on the sphere by an angle in rad; deg in and out."""
    axis, point = _unit_vector(*pivot), _unit_vector(lon, lat)
    # Rodrigues' rotation formula.
    out = (
        point * np.cos(angle)
        + np.cross(axis, point) * np.sin(angle)
        + axis * (axis @ point) * (1 - np.cos(angle))
    )
    return float(np.degrees(np.arctan2(out[1], out[0]))), float(np.degrees(np.arcsin(out[2])))


def _unit_vector(lon: float, lat: float) -> FloatArray:
    a, b = np.radians(lon), np.radians(lat)
    return np.array([np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)])


def _require_inside(on: OnRegion, grid: Grid, observation: str) -> None:
    sky = grid.sky
    width = on.radius / np.cos(np.radians(on.lat))
    gap = min(
        on.lon - width - sky.lon_edges[0],
        sky.lon_edges[-1] - on.lon - width,
        on.lat - on.radius - sky.lat_edges[0],
        sky.lat_edges[-1] - on.lat - on.radius,
    )
    if gap < 0:
        raise StudyError(
            f"observations.{observation}.events: the on region leaves the study's region by"
            f" {-gap:.3g} deg; widen the region"
        )


def _require_apart(on: OnRegion, offset: float, regions: int, observation: str) -> None:
    half = np.sin(np.radians(offset)) * np.sin(np.pi / (regions + 1))
    if np.degrees(np.arcsin(half)) < on.radius:
        raise StudyError(
            f"observations.{observation}.events.off_regions: {regions} regions of radius"
            f" {on.radius:g} deg at {offset:.3g} deg from the pointing overlap; give fewer"
        )
