"""Quantiles of posterior draws, and numbers rounded to what their errors support."""

import math
from dataclasses import dataclass

import numpy as np

from skymix.axes import FloatArray

MINUS = "−"


@dataclass(frozen=True)
class Summary:
    """Equal-tailed intervals of one quantity, in its own unit."""

    median: float
    lower_68: float
    upper_68: float
    lower_95: float
    upper_95: float
    mean: float
    standard_deviation: float

    @property
    def plus(self) -> float:
        """Distance from the median to the upper end of the 68 % interval."""
        return self.upper_68 - self.median

    @property
    def minus(self) -> float:
        """Distance from the lower end of the 68 % interval to the median."""
        return self.median - self.lower_68


def summarise(draws: FloatArray) -> Summary:
    """Median, 68 and 95 % equal-tailed intervals of equal-weight draws.

    Parameters
    ----------
    draws : array of any shape, taken flat

    Raises
    ------
    ValueError
        If there is no draw, or one that is not finite.
    """
    flat = np.asarray(draws, dtype=np.float64).ravel()
    if flat.size == 0 or not np.isfinite(flat).all():
        raise ValueError("posterior draws must be finite, and at least one is needed")
    median, low, high, lowest, highest = np.quantile(flat, [0.5, 0.16, 0.84, 0.025, 0.975])
    return Summary(
        *(float(x) for x in (median, low, high, lowest, highest, flat.mean(), flat.std()))
    )


@dataclass(frozen=True)
class Rounded:
    """Texts of a value and of its errors, all to the same decimal place and power of ten.

    `plus` and `minus` are without sign, and empty where a value has no error.
    """

    value: str
    plus: str
    minus: str
    exponent: int

    @property
    def symmetric(self) -> bool:
        """Whether both errors read the same."""
        return self.plus == self.minus

    def text(self) -> str:
        """Plain text, such as "1.23 ± 0.12" or "(1.2 +0.3 −0.2)e-12"."""
        if not self.plus:
            body = self.value
        elif self.symmetric:
            body = f"{self.value} ± {self.plus}"
        else:
            body = f"{self.value} +{self.plus} {MINUS}{self.minus}"
        if not self.exponent:
            return body
        return f"({body})e{self.exponent}" if self.plus else f"{body}e{self.exponent}"

    def mathtext(self) -> str:
        """Text for a figure, in matplotlib's TeX."""
        body = self.value.replace(MINUS, "-")
        if self.plus and self.symmetric:
            body += rf" \pm {self.plus}"
        elif self.plus:
            body += f"^{{+{self.plus}}}_{{-{self.minus}}}"
        if self.exponent and self.plus:
            body = f"({body})"
        if self.exponent:
            body += rf" \times 10^{{{self.exponent}}}"
        return f"${body}$"


def round_to_error(value: float, plus: float = 0.0, minus: float | None = None) -> Rounded:
    """Round a value to two significant digits of its error.

    With two errors the smaller one sets the decimal place, but the larger one never gets more
    than three significant digits. A value whose errors are zero keeps six significant digits.

    Parameters
    ----------
    value, plus, minus : a number and its upper and lower error (the same one if `minus` is None)

    Raises
    ------
    ValueError
        If a number is not finite or an error is negative.
    """
    minus = plus if minus is None else minus
    if not all(math.isfinite(x) for x in (value, plus, minus)):
        raise ValueError(f"cannot round {value} +{plus} -{minus}: not finite")
    if plus < 0 or minus < 0:
        raise ValueError(f"cannot round {value} +{plus} -{minus}: negative error")
    if plus == minus == 0:
        text, exponent = _significant(value, 6)
        return Rounded(text, "", "", exponent)
    decimals = _decimals(plus, minus)
    exponent = _exponent(max(abs(value), plus, minus), decimals)
    body, upper, lower = (_fixed(x, decimals, exponent) for x in (value, plus, minus))
    return Rounded(body, upper, lower, exponent)


def round_interval(lower: float, upper: float) -> str:
    """Text of an interval, "0.12 to 0.34", to two significant digits of its half width.

    Ends of one sign that differ more than tenfold keep two significant digits each.
    """
    half = 0.5 * (upper - lower)
    if half == 0:
        return round_to_error(lower).text()
    decimals = _decimals(half, half)
    exponent = _exponent(max(abs(lower), abs(upper)), decimals)
    if lower * upper > 0 and not 0.1 < lower / upper < 10:
        low, high = (_two_digits(x / 10.0**exponent) for x in (lower, upper))
    else:
        low, high = (_fixed(x, decimals, exponent) for x in (lower, upper))
    return f"({low} to {high})e{exponent}" if exponent else f"{low} to {high}"


def round_number(value: float, digits: int = 3) -> str:
    """Text of a number without an error, to a number of significant digits."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else f"{MINUS if value < 0 else ''}∞"
    text, exponent = _significant(value, digits)
    return f"{text}e{exponent}" if exponent else text


def _power(value: float, digits: int) -> int:
    """Power of ten of a positive number after rounding it to `digits` digits."""
    return int(f"{value:.{digits - 1}e}".split("e")[1])


def _decimals(plus: float, minus: float) -> int:
    errors = [error for error in (plus, minus) if error > 0]
    small, large = (1 - _power(error, 2) for error in (min(errors), max(errors)))
    return min(small, large + 1)


def _exponent(magnitude: float, decimals: int) -> int:
    """Power of ten to write in front; none where plain digits are all significant and few."""
    power = _power(magnitude, 2)
    plain = power >= -3 and (power <= 4 or decimals >= -1)
    return 0 if plain else power


def _fixed(value: float, decimals: int, exponent: int) -> str:
    places = decimals + exponent
    scaled = round(value / 10.0**exponent, places)
    text = f"{scaled:.{max(places, 0)}f}"
    return text.replace("-", MINUS) if float(text) else text.removeprefix("-")


def _two_digits(value: float) -> str:
    return _fixed(value, 1 - _power(abs(value), 2), 0)


def _significant(value: float, digits: int) -> tuple[str, int]:
    if value == 0:
        return "0", 0
    power = _power(abs(value), digits)
    if -4 <= power <= 5:
        decimals = max(digits - 1 - power, 0)
        text = f"{value:.{decimals}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return text.replace("-", MINUS), 0
    text = f"{value / 10.0**power:.{digits - 1}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", MINUS), power
