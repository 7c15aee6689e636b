"""Readable names of parameters and components, with their units."""

from collections.abc import Sequence
from functools import cache

from skymix.study.components import Position

_MOST_NAMED = 5


def readable(name: str) -> str:
    """Name without underscores and dots: "dark_matter.mass" becomes "dark matter: mass"."""
    return ": ".join(part.replace("_", " ") for part in name.split(".", 1))


def shortened(names: Sequence[str]) -> str:
    """A list of names for running text, the first few of many."""
    shown = [readable(name) for name in names[:_MOST_NAMED]]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


@cache
def unit_text(unit: str) -> str:
    """Unit in print, "cm³ s⁻¹" for "cm3 s-1"; text that is no unit is kept."""
    from astropy import units as u

    if not unit:
        return ""
    try:
        return str(u.Unit(unit).to_string("unicode"))
    except ValueError:
        return unit


def figure_text(text: str) -> str:
    """Text for a figure; a dollar sign in it starts no formula."""
    return text.replace("$", r"\$")


def parameter_label(name: str, unit: str, exponent: int = 0) -> str:
    """Label of a parameter in a figure: its owner on one line, itself and its unit on the next.

    Parameters
    ----------
    exponent : power of ten that the plotted numbers were divided by
    """
    scale = f"$10^{{{exponent}}}$" if exponent else ""
    unit = " ".join(part for part in (scale, unit_text(unit)) if part)
    *owner, own = (figure_text(part.replace("_", " ")) for part in name.split(".", 1))
    return "\n".join([*owner, f"{own} [{unit}]" if unit else own])


def sky_labels(centre: Position) -> tuple[str, str]:
    """Labels of longitude and latitude offsets in the frame of the region's centre."""
    if centre.frame == "galactic":
        return "Galactic longitude offset [deg]", "Galactic latitude offset [deg]"
    return "Right ascension offset [deg]", "Declination offset [deg]"
