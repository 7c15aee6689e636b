"""Densities on the sky: radial profiles about a free centre, normalised over the selected region.

A profile S(R) of the projected distance R from a centre at distance d from that of an annulus of
radii a < b is divided by its integral over the annulus,

    int_0^inf S(R) 2 R [w(R, d, b) - w(R, d, a)] dR,   w = arccos((R^2 + d^2 - r^2) / (2 R d)),

w being half the angle under which the circle of radius R about the profile's centre lies inside
the circle of radius r about the region's (0 or pi where the circles do not cross). By Gauss's
theorem its derivative by d is an integral of S along the annulus's circles. The sky is flat:
distances from the centre of the region are true angles, and regions small.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from skymix.axes import FloatArray
from skymix.mixture import Prior
from skymix.store import Catalogue

SKY = "sky"
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_PANELS = 4  # to each smooth piece of the integral
_COSINES = np.cos(np.pi * (np.arange(720) + 0.5) / 720)  # along half a circle


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

    def at(self, stars: Catalogue) -> "ProfileOnSky":
        """Log density at these stars, deg-2, as a function of the parameters."""
        return ProfileOnSky(self, np.ascontiguousarray(stars.sky.T), stars.radii)

    def log_surface(self, square: FloatArray, shape: FloatArray) -> FloatArray:
        """Log of the profile, not normalised.

        Parameters
        ----------
        square : squares of the distance from the centre
        shape : scale (and concentration)
        """
        x = square / shape[0] ** 2
        if self.kind == "gaussian":
            return np.asarray(-0.5 * x)
        if self.kind == "plummer":
            return np.asarray(-2 * np.log(1 + x))
        with np.errstate(divide="ignore"):
            return np.asarray(2 * np.log(_above_edge(x, shape[1])))

    def slopes(self, square: FloatArray, shape: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Derivatives of `log_surface` by the square, (...), and by the shape, (nshape, ...).

        They are zero where the profile is zero.
        """
        a = shape[0]
        x = square / a**2
        if self.kind == "gaussian":
            by_x = np.full_like(x, -0.5)
        elif self.kind == "plummer":
            by_x = -2 / (1 + x)
        else:
            above = _above_edge(x, shape[1])
            inverse = np.divide(1, above, out=np.zeros_like(above), where=above > 0)
            by_x = -((1 + x) ** -1.5) * inverse
            by_c = 2 * shape[1] * (1 + shape[1] ** 2) ** -1.5 * inverse
            return by_x / a**2, np.stack([-2 * x / a * by_x, by_c])
        return by_x / a**2, (-2 * x / a * by_x)[None]


def _above_edge(x: FloatArray, concentration: float) -> FloatArray:
    """Root of King's profile at x = R^2 / a^2."""
    edge = concentration**2
    return np.asarray(1 / np.sqrt(1 + np.minimum(x, edge)) - 1 / np.sqrt(1 + edge))


@dataclass(frozen=True, eq=False)
class ProfileOnSky:
    """A profile at some stars as a function of its parameters.

    Parameters
    ----------
    profile : the profile
    sky : (2, nstar) offsets of the stars from the centre of the region, deg
    radii : of the region, deg
    """

    profile: Profile
    sky: FloatArray
    radii: tuple[float, float]

    def __call__(self, theta: FloatArray) -> FloatArray:
        """Log density of each star, (nstar,)."""
        shape = theta[2:]
        r, measure = self._circles(theta)
        norm = float(np.exp(self.profile.log_surface(r * r, shape)) @ measure)
        if norm <= 0:  # a profile with an edge, all of it outside the region
            return np.full(self.sky.shape[1], -np.inf)
        square = (self.sky[0] - theta[0]) ** 2 + (self.sky[1] - theta[1]) ** 2
        return self.profile.log_surface(square, shape) - math.log(norm)

    def gradient(self, theta: FloatArray) -> FloatArray:
        """Its derivative, (nparameter, nstar)."""
        shape = theta[2:]
        offset = self.sky - theta[:2, None]
        by_square, by_shape = self.profile.slopes(offset[0] ** 2 + offset[1] ** 2, shape)
        r, measure = self._circles(theta)
        mass = np.exp(self.profile.log_surface(r * r, shape)) * measure
        norm = float(mass.sum())
        if norm <= 0:
            return np.zeros((theta.size, self.sky.shape[1]))
        by_shape = by_shape - (self.profile.slopes(r * r, shape)[1] @ mass / norm)[:, None]
        by_centre = -2 * by_square * offset - self._norm_by_centre(theta)[:, None] / norm
        return np.concatenate([by_centre, by_shape])

    def _circles(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Radii about the profile's centre, and the area of the annulus that each stands for."""
        d, shape = float(np.hypot(*theta[:2])), theta[2:]
        inner, outer = self.radii
        # The angles have kinks where circles touch, the profile changes at its scale.
        kinks = {0.0, *(abs(d - r) for r in self.radii), *(d + r for r in self.radii)}
        kinks |= {float(shape[0]) * x for x in (0.5, 1, 2, 4, 8, 16)}
        if self.profile.kind == "king":
            kinks.add(float(shape.prod()))
        edges = np.array(sorted(k for k in kinks if k <= d + outer))
        # Near a kink the angle goes as a square root: cosines bring the nodes close to it.
        fine = 0.5 - 0.5 * np.cos(np.pi * np.linspace(0, 1, _PANELS + 1))
        low = (edges[:-1, None] + np.diff(edges)[:, None] * fine[:-1]).ravel()
        width = (np.diff(edges)[:, None] * np.diff(fine)).ravel()
        r = low[:, None] + width[:, None] * (0.5 + 0.5 * _NODES)
        angle = _half_angle(r, d, outer) - _half_angle(r, d, inner)
        return r.ravel(), (2 * r * angle * _WEIGHTS * (0.5 * width[:, None])).ravel()

    def _norm_by_centre(self, theta: FloatArray) -> FloatArray:
        """Derivative of the integral over the region by the profile's centre, (2,)."""
        d = float(np.hypot(*theta[:2]))
        if d == 0:
            return np.zeros(2)
        inner, outer = (
            r * float(np.exp(self.profile.log_surface(r * r + d * d - 2 * r * d * _COSINES,
                                                      theta[2:])) @ _COSINES)
            for r in self.radii
        )  # fmt: skip
        return np.asarray((inner - outer) * 2 * np.pi / _COSINES.size * theta[:2] / d)


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
