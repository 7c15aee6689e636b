"""Prior densities and their transforms from the unit cube, vectorised over points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from scipy import special

from skymix.axes import FloatArray


class Prior(Protocol):
    """Prior of one parameter."""

    def transform(self, u: FloatArray) -> FloatArray:
        """Inverse cumulative distribution."""

    def log_density(self, x: FloatArray) -> FloatArray:
        """Natural logarithm of the normalised density; -inf outside the bounds."""


def _check_bounds(lower: float, upper: float) -> None:
    if not lower < upper:
        raise ValueError(f"prior: lower bound {lower:g} must be below upper bound {upper:g}")


@dataclass(frozen=True)
class Uniform:
    """Uniform between two bounds."""

    lower: float
    upper: float

    def __post_init__(self) -> None:
        _check_bounds(self.lower, self.upper)

    def transform(self, u: FloatArray) -> FloatArray:
        """Inverse cumulative distribution."""
        return self.lower + (self.upper - self.lower) * u

    def log_density(self, x: FloatArray) -> FloatArray:
        """-ln(upper - lower) inside."""
        inside = (x >= self.lower) & (x <= self.upper)
        return np.where(inside, -np.log(self.upper - self.lower), -np.inf)


@dataclass(frozen=True)
class LogUniform:
    """Uniform in the logarithm between two positive bounds."""

    lower: float
    upper: float

    def __post_init__(self) -> None:
        _check_bounds(self.lower, self.upper)
        if self.lower <= 0:
            raise ValueError(f"prior: log_uniform needs positive bounds, not {self.lower:g}")

    def transform(self, u: FloatArray) -> FloatArray:
        """Inverse cumulative distribution."""
        value = self.lower * (self.upper / self.lower) ** u
        return np.clip(value, self.lower, self.upper)

    def log_density(self, x: FloatArray) -> FloatArray:
        """-ln(x ln(upper / lower)) inside."""
        inside = (x >= self.lower) & (x <= self.upper)
        safe = np.where(inside, x, 1.0)
        return np.where(inside, -np.log(safe * np.log(self.upper / self.lower)), -np.inf)


@dataclass(frozen=True)
class TruncatedNormal:
    """Normal, cut at two bounds and normalised between them."""

    mean: float
    sd: float
    lower: float
    upper: float

    def __post_init__(self) -> None:
        _check_bounds(self.lower, self.upper)
        if self.sd <= 0:
            raise ValueError(f"prior: standard deviation {self.sd:g} must be greater than zero")

    def _log_cumulative(self) -> tuple[float, float, float]:
        """Sign of z for which the bounds are in the lower tail, and ln of their cumulative.

        Logarithms, and the lower tail, because the bounds may be many sd from the mean.
        """
        z = (np.array([self.lower, self.upper]) - self.mean) / self.sd
        sign = -1.0 if z[0] > 0 else 1.0
        low, high = np.sort(special.log_ndtr(sign * z))
        return sign, float(low), float(high)

    def transform(self, u: FloatArray) -> FloatArray:
        """Inverse cumulative distribution."""
        sign, low, high = self._log_cumulative()
        with np.errstate(divide="ignore"):
            below, above = np.log(u), np.log1p(-u)
        if sign < 0:
            below, above = above, below
        z = sign * special.ndtri_exp(np.logaddexp(low + above, high + below))
        return np.asarray(np.clip(self.mean + self.sd * z, self.lower, self.upper))

    def log_density(self, x: FloatArray) -> FloatArray:
        """Normal density over the probability between the bounds."""
        _, low, high = self._log_cumulative()
        z = (x - self.mean) / self.sd
        norm = np.log(self.sd * np.sqrt(2 * np.pi)) + high + np.log(-np.expm1(low - high))
        return np.where((x >= self.lower) & (x <= self.upper), -0.5 * z * z - norm, -np.inf)


@dataclass(frozen=True)
class LogNormal:
    """Normal in the logarithm, cut at two bounds.

    Parameters
    ----------
    median : of the uncut distribution, positive
    dex : standard deviation of log10 x
    lower, upper : bounds, 0 <= lower < upper
    """

    median: float
    dex: float
    lower: float = 0.0
    upper: float = np.inf

    def __post_init__(self) -> None:
        _check_bounds(self.lower, self.upper)
        if self.median <= 0 or self.dex <= 0 or self.lower < 0:
            raise ValueError(
                f"prior: log_normal needs a positive median and dex and no negative bound, not"
                f" {self.median:g}, {self.dex:g} and {self.lower:g}"
            )

    @cached_property
    def logarithm(self) -> TruncatedNormal:
        """Prior of ln x."""
        low = np.log(self.lower) if self.lower > 0 else -np.inf
        width = self.dex * np.log(10)
        return TruncatedNormal(float(np.log(self.median)), width, low, np.log(self.upper))

    def transform(self, u: FloatArray) -> FloatArray:
        """Inverse cumulative distribution."""
        value = np.exp(self.logarithm.transform(u))
        return np.asarray(np.clip(value, self.lower, self.upper))

    def log_density(self, x: FloatArray) -> FloatArray:
        """Density of ln x over x."""
        inside = (x > 0) & (x >= self.lower) & (x <= self.upper)
        log_x = np.log(np.where(inside, x, self.median))
        return np.where(inside, self.logarithm.log_density(log_x) - log_x, -np.inf)


@dataclass(frozen=True)
class Correlation:
    """The beta density, stretched to (-1, 1), with both shapes `a`: prior of a partial correlation.

    With the right shapes correlation matrices are uniformly distributed (Lewandowski, Kurowicka
    and Joe 2009, J. Multivariate Analysis 100, 1989, with eta = 1).
    """

    a: float

    def transform(self, u: FloatArray) -> FloatArray:
        """Inverse cumulative distribution."""
        return np.asarray(2 * special.betaincinv(self.a, self.a, u) - 1)

    def log_density(self, x: FloatArray) -> FloatArray:
        """(a - 1) ln((1 - x^2) / 4) - ln(2 B(a, a)) inside."""
        inside = np.abs(x) <= 1
        rest = special.xlogy(self.a - 1, np.where(inside, 1 - x * x, 1) / 4)
        return np.where(inside, rest - special.betaln(self.a, self.a) - np.log(2), -np.inf)


def prior_from_mapping(settings: Mapping[str, Any]) -> Prior:
    """Prior from ``{"kind": ..., "lower": ..., "upper": ..., ["mean", "sd"], ["median", "dex"]}``.

    A normal and a log-normal prior need no upper bound, a log-normal one no lower bound.
    """
    lower, upper = float(settings.get("lower", 0.0)), float(settings.get("upper", np.inf))
    match settings["kind"]:
        case "uniform":
            return Uniform(lower, upper)
        case "log_uniform":
            return LogUniform(lower, upper)
        case "normal":
            mean, sd = float(settings["mean"]), float(settings["sd"])
            return TruncatedNormal(mean, sd, lower, upper)
        case "log_normal":
            return LogNormal(float(settings["median"]), float(settings["dex"]), lower, upper)
        case kind:
            raise ValueError(
                f"prior: '{kind}' is not one of uniform, log_uniform, normal, log_normal"
            )


@dataclass(frozen=True)
class Priors:
    """Independent priors of some parameters.

    Parameters
    ----------
    by_name : prior of each parameter, in their order
    """

    by_name: Mapping[str, Prior]

    @classmethod
    def of(cls, priors: Mapping[str, Prior], names: Sequence[str]) -> "Priors":
        """Priors of the parameters with these names; ValueError if one has none."""
        for name in names:
            if name not in priors:
                raise ValueError(f"parameter {name} has no prior")
        return cls({name: priors[name] for name in names})

    def transform(self, u: FloatArray) -> FloatArray:
        """Parameters, (n, nparameter), of unit-cube points of the same shape."""
        theta = np.empty_like(u)
        for j, prior in enumerate(self.by_name.values()):
            theta[:, j] = prior.transform(u[:, j])
        return theta

    def log_density(self, theta: FloatArray) -> FloatArray:
        """Log prior density, (n,), of parameters (n, nparameter)."""
        total = np.zeros(theta.shape[0])
        for j, prior in enumerate(self.by_name.values()):
            total = total + prior.log_density(theta[:, j])
        return total


@dataclass(frozen=True)
class SimplexPrior:
    """Dirichlet prior of K fractions by stick-breaking: K - 1 independent betas.

    The j-th piece takes a Beta(a_j, sum of later a) share of what is left (Connor and Mosimann
    1969, JASA 64, 194). For K = 2 this is the beta prior of the first fraction.
    """

    concentration: tuple[float, ...]

    @property
    def ndim(self) -> int:
        """Number of unit-cube dimensions."""
        return len(self.concentration) - 1

    def transform(self, u: FloatArray) -> FloatArray:
        """First K - 1 fractions, (n, K - 1), from (n, K - 1) unit-cube points."""
        later = np.cumsum(self.concentration[::-1])[::-1]
        left = np.ones(u.shape[0])
        fractions = np.empty_like(u)
        for j in range(self.ndim):
            share, rest = _beta_ppf(self.concentration[j], float(later[j + 1]), u[:, j])
            fractions[:, j] = left * share
            left = left * rest
        return fractions

    def log_density(self, fractions: FloatArray) -> FloatArray:
        """Dirichlet density of the first K - 1 fractions, (n,)."""
        a = np.array(self.concentration)
        last = 1 - fractions.sum(axis=1, keepdims=True)
        whole = np.concatenate([fractions, last], axis=1)
        norm = special.gammaln(a.sum()) - special.gammaln(a).sum()
        inside = (whole >= 0).all(axis=1)
        value = norm + special.xlogy(a - 1, np.clip(whole, 0, None)).sum(axis=1)
        return np.where(inside, value, -np.inf)


def _beta_ppf(a: float, b: float, u: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Inverse cumulative of a beta distribution and 1 minus it, neither by cancellation."""
    if a == 1:
        with np.errstate(divide="ignore"):
            log_rest = np.log1p(-u) / b
        return -np.expm1(log_rest), np.exp(log_rest)
    if b == 1:
        with np.errstate(divide="ignore"):
            log_share = np.log(u) / a
        return np.exp(log_share), -np.expm1(log_share)
    return special.betaincinv(a, b, u), special.betainccinv(b, a, u)
