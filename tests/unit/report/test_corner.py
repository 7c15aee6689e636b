"""The corner plot of many parameters: labels that do not meet."""

from itertools import pairwise

import numpy as np
import pytest

from skymix.report.figures.corner import corner_figure
from skymix.report.quantities import Quantity
from skymix.report.style import journal_style


def quantity(name, j):
    draws = np.random.default_rng(j).normal(-2.8, 0.005, 400)
    return Quantity(f"{name}{j}", "mas / yr", draws, np.empty(0), None, False)


@pytest.mark.parametrize(
    ("name", "n"), [("cluster.mean.pmdec", 3), ("cluster.mean.pmdec", 8), ("a_long_name.of_", 10)]
)
def test_labels_of_neighbours_are_apart(name, n):
    with journal_style():
        figure = corner_figure([quantity(name, j) for j in range(n)])
        figure.draw_without_rendering()
        left = [axes for axes in figure.axes if axes.get_ylabel()]
        for upper, lower in pairwise(axes.yaxis.label.get_window_extent() for axes in left):
            assert lower.y1 < upper.y0
        below = [axes for axes in figure.axes if axes.get_visible()][-n:]
        for boxes in (
            [axes.xaxis.label.get_window_extent() for axes in below],
            [
                text.get_window_extent()
                for axes in below
                for text in axes.get_xticklabels()
                if text.get_text()
            ],
        ):
            assert len(boxes) >= n
            for left, right in pairwise(boxes):
                assert left.x1 < right.x0
