"""Densities on the sky: radial profiles about a free centre, normalised over the selected region.

A profile S(R) of the projected distance R from a centre at distance d from that of an annulus of
radii a < b is divided by its integral over the annulus,

    int_0^inf S(R) 2 R [w(R, d, b) - w(R, d, a)] dR,   w = arccos((R^2 + d^2 - r^2) / (2 R d)),

w being half the angle under which the circle of radius R about the profile's centre lies inside
the circle of radius r about the region's (0 or pi where the circles do not cross). The sky is
flat: distances from the centre of the region are true angles, and regions small.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from skymix.axes import FloatArray
from skymix.domains.stars.normal import LogDensity
from skymix.mixture import Prior
from skymix.store import Catalogue

SKY = "sky"
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_PANELS = 4  # to each smooth piece of the integral


@dataclass(frozen=True)
class Profile:
    """A round cluster on the sky.

    Parameters
    ----------
    kind : "plummer", (1 + R^2 / a^2)^-2 (Plummer 1911, MNRAS 71, 460); "king", King's (1962, AJ
        67, 471) [(1 + R^2 / a^2)^-1/2 - (1 + t^2 / a^2)^-1/2]^2 within the tidal radius t = c a;
        "gaussian", exp(-R^2 / (2 a^2))
    lon, lat : priors of the centre's offset from that of the region, deg
    scale : prior of a, deg
    concentration : prior of c, of a King profile
    """

    kind: Literal["plummer", "king", "gaussian"]
    lon: Prior
    lat: Prior
    scale: Prior
    concentration: Prior | None = None
    coordinates: tuple[str, ...] = (SKY,)

    @property
    def parameters(self) -> dict[str, Prior]:
        """Priors by name."""
        found = {"centre.lon": self.lon, "centre.lat": self.lat, "scale": self.scale}
        if self.concentration is not None:
            found["concentration"] = self.concentration
        return found

    def at(self, stars: Catalogue) -> LogDensity:
        """Log density at these stars, deg-2, as a function of the parameters."""
        return partial(self._log_density, stars.sky, stars.radii)

    def _log_density(
        self, sky: FloatArray, radii: tuple[float, float], theta: FloatArray
    ) -> FloatArray:
        shape = theta[2:]
        square = ((sky - theta[:2]) ** 2).sum(axis=1)
        norm = self._integral(shape, float(np.hypot(*theta[:2])), radii)
        if norm <= 0:  # a profile with an edge, all of it outside the region
            return np.full(len(sky), -np.inf)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.surface(square, shape)) - np.log(norm))

    def surface(self, square: FloatArray, shape: FloatArray) -> FloatArray:
        """Profile, not normalised, at squares of the distance, of its scale (and concentration)."""
        x = square / shape[0] ** 2
        if self.kind == "gaussian":
            return np.asarray(np.exp(-0.5 * x))
        if self.kind == "plummer":
            return np.asarray((1 + x) ** -2)
        root = 1 / np.sqrt(1 + np.minimum(x, shape[1] ** 2))
        return np.asarray((root - 1 / np.sqrt(1 + shape[1] ** 2)) ** 2)

    def _integral(self, shape: FloatArray, d: float, radii: tuple[float, float]) -> float:
        """Integral over an annulus whose centre is at distance `d`."""
        inner, outer = radii
        # The angles have kinks where circles touch, the profile changes at its scale.
        kinks = {0.0, *(abs(d - r) for r in radii), *(d + r for r in radii)}
        kinks |= {float(shape[0]) * x for x in (0.5, 1, 2, 4, 8, 16)}
        if self.kind == "king":
            kinks.add(float(shape.prod()))
        edges = np.array(sorted(k for k in kinks if k <= d + outer))
        # Near a kink the angle goes as a square root: cosines bring the nodes close to it.
        fine = 0.5 - 0.5 * np.cos(np.pi * np.linspace(0, 1, _PANELS + 1))
        low = (edges[:-1, None] + np.diff(edges)[:, None] * fine[:-1]).ravel()
        width = (np.diff(edges)[:, None] * np.diff(fine)).ravel()
        r = low[:, None] + width[:, None] * (0.5 + 0.5 * _NODES)
        angle = _half_angle(r, d, outer) - _half_angle(r, d, inner)
        value = self.surface(r * r, shape) * 2 * r * angle
        return float((value @ _WEIGHTS) @ (0.5 * width))


def _half_angle(r: FloatArray, d: float, radius: float) -> FloatArray:
    """Half the angle of a circle of radius r, at distance d, that lies within a radius."""
    if radius == 0:
        return np.zeros_like(r)
    with np.errstate(divide="ignore"):
        cosine = (r * r + d * d - radius * radius) / (2 * r * d) if d else (r - radius) * np.inf
    return np.arccos(np.clip(cosine, -1, 1))


def area(radii: tuple[float, float]) -> float:
    """Area of an annulus, deg2."""
    return float(np.pi * (radii[1] ** 2 - radii[0] ** 2))
