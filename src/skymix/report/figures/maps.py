"""Maps: counts, model, residual significance, and the expected counts of each component."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from skymix.axes import FloatArray, SkyGrid
from skymix.report.counts import disc_sum, significance
from skymix.report.labels import figure_text, readable
from skymix.report.style import PAGE

_WIDE = 2.0  # regions wider than this many heights are stacked
_LIMIT = 5.0  # sigma, end of the residual's colour scale


def residual_map(counts: FloatArray, model: FloatArray, radius: float) -> FloatArray:
    """Significance of counts within `radius` pixels of each pixel over the model, (lat, lon)."""
    return significance(disc_sum(counts, radius), disc_sum(model, radius))


def maps_figure(
    sky: SkyGrid,
    counts: FloatArray,
    model: FloatArray,
    radius: float,
    pointings: Sequence[tuple[float, float]],
    labels: tuple[str, str],
) -> Figure:
    """Counts, model on the same scale, and the significance of the residual.

    Parameters
    ----------
    counts, model : (lat, lon)
    radius : pixels, of the disc that the residual is summed over
    pointings : (lon, lat) deg of the telescope, drawn as crosses
    labels : labels of longitude and latitude
    """
    figure, panels = _panels(sky, 3)
    top = max(float(counts.max()), float(model.max()), 1.0)
    norm = PowerNorm(0.5, vmin=0, vmax=top)
    residual = residual_map(counts, model, radius)
    images: list[tuple[str, FloatArray, Normalize, str]] = [
        ("Observed counts per pixel", counts, norm, "viridis"),
        ("Expected counts per pixel", model, norm, "viridis"),
        ("Residual significance [σ]", residual, Normalize(-_LIMIT, _LIMIT), "RdBu_r"),
    ]
    for i, (axes, (title, image, scale, colours)) in enumerate(zip(panels, images, strict=True)):
        _image(figure, axes, sky, image, scale, colours, title, extend=i == 2)
        for lon, lat in pointings:
            axes.plot(
                lon, lat, marker="+", color="white" if i < 2 else "black", markersize=6,
                markeredgewidth=0.8, scalex=False, scaley=False,
            )  # fmt: skip
    _label(figure, labels)
    return figure


def component_maps_figure(
    sky: SkyGrid, leaves: Sequence[str], predicted: FloatArray, labels: tuple[str, str]
) -> Figure:
    """Expected counts of each component, each map on its own scale.

    Parameters
    ----------
    predicted : (leaf, lat, lon)
    """
    figure, panels = _panels(sky, len(leaves), most=4)
    for axes, leaf, image in zip(panels, leaves, predicted, strict=False):
        norm = PowerNorm(0.5, vmin=0, vmax=float(image.max()) or 1.0)
        title = f"{figure_text(readable(leaf))}\ncounts per pixel"
        _image(figure, axes, sky, image, norm, "viridis", title)
    for axes in panels[len(leaves) :]:
        axes.set_visible(False)
    _label(figure, labels)
    return figure


def _panels(sky: SkyGrid, n: int, most: int = 3) -> tuple[Figure, list[Axes]]:
    """Figure with room for n maps in the shape of the region, and the axes, row by row."""
    height_per_width = float(np.ptp(sky.lat_edges) / np.ptp(sky.lon_edges))
    columns = 1 if _is_wide(sky) else min(n, most)
    if columns == most and n > most:  # rows as equal as can be
        columns = -(-n // -(-n // most))
    rows = -(-n // columns)
    if _is_wide(sky):  # colour bars on the right
        height = rows * (0.86 * (PAGE - 0.5) * height_per_width + 0.12) + 0.4
    else:
        height = rows * (0.97 * (PAGE - 0.5) / columns * height_per_width + 0.55) + 0.25
    figure = Figure(figsize=(PAGE, min(height, 9.2)), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    return figure, list(grid.ravel())


def _image(
    figure: Figure,
    axes: Axes,
    sky: SkyGrid,
    image: FloatArray,
    norm: Normalize,
    colours: str,
    label: str,
    extend: bool = False,
) -> None:
    mesh = axes.pcolormesh(
        sky.lon_edges, sky.lat_edges, image, norm=norm, cmap=colours, rasterized=True
    )
    axes.set_aspect("equal")
    # Astronomers look at the sky from inside: longitude increases to the left.
    axes.set_xlim(sky.lon_edges[-1], sky.lon_edges[0])
    axes.set_ylim(sky.lat_edges[0], sky.lat_edges[-1])
    axes.tick_params(color="0.5")
    bar = figure.colorbar(
        mesh, ax=axes, location="right" if _is_wide(sky) else "top",
        extend="both" if extend else "neither", fraction=0.06, pad=0.02, aspect=20,
    )  # fmt: skip
    bar.set_label(label)
    bar.outline.set_linewidth(0.5)
    bar.ax.tick_params(which="both", length=2, direction="out")
    bar.ax.minorticks_off()
    # A square-root scale crowds its upper end.
    bar.locator = MaxNLocator(nbins=4)
    bar.update_ticks()


def _is_wide(sky: SkyGrid) -> bool:
    return bool(np.ptp(sky.lon_edges) > _WIDE * np.ptp(sky.lat_edges))


def _label(figure: Figure, labels: tuple[str, str]) -> None:
    size = figure.axes[0].xaxis.label.get_fontsize()
    figure.supxlabel(labels[0], fontsize=size)
    figure.supylabel(labels[1], fontsize=size)
