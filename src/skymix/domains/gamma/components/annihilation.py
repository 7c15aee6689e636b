"""Photons of an annihilation, integrated over energy cells: the protocol and the closed formula."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import erfc

from skymix.axes import FloatArray
from skymix.domains.gamma.components.parameters import Values

CLOSED_FORM: Mapping[str, tuple[float, float]] = {
    "W": (0.73, 7.76),
    "Z": (0.73, 7.76),
    "b": (1.0, 10.7),
    "t": (1.1, 15.1),
    "u": (0.95, 6.5),
}
"""(a, b) of dN/dx = a x^-1.5 exp(-b x) by channel.

Bergstrom, Edsjo and Ullio 2001, PRL 87, 251301.
"""


class AnnihilationSpectrum(Protocol):
    """Number of photons that an annihilation makes in each energy cell."""

    def photons(self, edges: FloatArray, mass: FloatArray, values: Values) -> FloatArray:
        """Integral of dN/dE over each cell, no photon above the mass.

        Parameters
        ----------
        edges : (nenergy + 1,) TeV
        mass : (nrow,) TeV
        values : values of the spectrum's own scanned parameters

        Returns
        -------
        (nrow, nenergy) photons an annihilation
        """


@dataclass(frozen=True, eq=False)
class ClosedForm:
    """dN/dx = a x^-1.5 exp(-b x) for x = E/m up to 1, integrated exactly.

    Parameters
    ----------
    channels : branching fraction by channel of `CLOSED_FORM`
    """

    channels: Mapping[str, float]

    def photons(self, edges: FloatArray, mass: FloatArray, values: Values) -> FloatArray:
        """As the protocol says."""
        x = np.minimum(edges / mass[:, None], 1.0)
        total = np.zeros((mass.size, edges.size - 1))
        for channel, fraction in self.channels.items():
            a, b = CLOSED_FORM[channel]
            total -= fraction * a * np.diff(_photons_above(x, b), axis=1)
        # Above the mass the cells are empty, and their difference exactly zero.
        return np.maximum(total, 0.0)


def _photons_above(x: FloatArray, b: float) -> FloatArray:
    """Integral of t^-1.5 exp(-b t) from x to infinity."""
    return np.asarray(
        2 * np.exp(-b * x) / np.sqrt(x) - 2 * np.sqrt(np.pi * b) * erfc(np.sqrt(b * x))
    )
