"""Looks that all figures share: sizes, fonts, the style of each component, reproducible files."""

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

COLUMN = 3.5  # inches, one column of a journal page
PAGE = 7.1  # inches, two columns
DATA = "black"
MODEL = "0.35"
TRUTH = "#d01c8b"
POSTERIOR = "#1f4e79"
DPI = 200

RC: Any = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so every machine draws the same
    "mathtext.fontset": "dejavusans",
    "font.size": 7.5,
    "axes.labelsize": 7.5,
    "axes.titlesize": 7.5,
    "legend.fontsize": 6.8,
    "xtick.labelsize": 6.8,
    "ytick.labelsize": 6.8,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.1,
    "patch.linewidth": 0.8,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "legend.frameon": False,
    "legend.handlelength": 2.0,
    "axes.formatter.use_mathtext": True,
    "pdf.fonttype": 42,  # TrueType, which journals can edit and search
    "image.cmap": "viridis",
}

# Okabe and Ito's colours (black is the data's), told apart with any kind of colour vision; past
# seven components they come again with other lines.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d00")
_LINES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@dataclass(frozen=True)
class LeafStyle:
    """How a component is drawn in every figure."""

    colour: str
    line: str | tuple[int, tuple[float, ...]]
    marker: str


def leaf_styles(leaves: Sequence[str]) -> dict[str, LeafStyle]:
    """Style of each component, by its place in the tree."""
    n = len(_COLOURS)
    return {
        leaf: LeafStyle(
            _COLOURS[i % n], _LINES[(i + 2 * (i // n)) % len(_LINES)], _MARKERS[i % len(_MARKERS)]
        )
        for i, leaf in enumerate(leaves)
    }


@contextmanager
def journal_style() -> Iterator[None]:
    """Matplotlib settings of all figures, put back afterwards."""
    with mpl.rc_context(RC):
        yield


@dataclass(frozen=True)
class Picture:
    """A figure on disk and on the page.

    Parameters
    ----------
    png, pdf : paths relative to the page
    data : the PNG as a data URI
    width : width on the page, css px
    """

    png: str
    pdf: str
    data: str
    width: int
    alt: str
    caption: str


def save_picture(figure: Figure, page: Path, stem: str, alt: str, caption: str) -> Picture:
    """Write a figure as PNG (200 dpi) and PDF, the same bytes each time.

    Parameters
    ----------
    page : folder of the page
    stem : path of the files relative to it, without suffix
    """
    png, pdf = page / f"{stem}.png", page / f"{stem}.pdf"
    png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(png, dpi=DPI, metadata={"Software": None})
    # The second drawing needs no new layout.
    figure.set_layout_engine("none")
    figure.savefig(pdf, metadata={"CreationDate": None, "Creator": None, "Producer": None})
    data = base64.b64encode(png.read_bytes()).decode("ascii")
    width = round(figure.get_figwidth() * 120)
    return Picture(
        f"{stem}.png", f"{stem}.pdf", f"data:image/png;base64,{data}", width, alt, caption
    )
