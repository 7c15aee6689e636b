"""Sources built from the study, and the examples of the documentation."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from pydantic import TypeAdapter

from skymix.axes import EnergyAxis, Grid, SkyGrid
from skymix.domains.gamma.components import build_source
from skymix.domains.gamma.geometry import RegionFrame
from skymix.study.components import AnyComponent, CosmicRays, Position

ROOT = Path(__file__).resolve().parents[5]
COMPONENT = TypeAdapter(AnyComponent)
PAGE = (ROOT / "docs" / "components.md").read_text(encoding="utf-8")
EXAMPLES = [
    (name, settings)
    for block in re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    for name, settings in yaml.safe_load(block)["components"].items()
]


def test_the_page_shows_every_kind():
    kinds = {settings["kind"] for _, settings in EXAMPLES}
    assert kinds == {
        "dark_matter",
        "point_source",
        "gaussian_source",
        "catalogue",
        "diffuse_template",
        "galactic_ridge",
        "cosmic_rays",
    }


@pytest.mark.data
@pytest.mark.parametrize(("name", "settings"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_examples_of_the_page_give_finite_flux(name, settings, data_folder):
    component = COMPONENT.validate_python(settings)
    if isinstance(component, CosmicRays):
        return
    source = build_source(name, component, data_folder)
    centre = Position(frame="galactic", lon="0 deg", lat="0 deg")
    frame = RegionFrame(getattr(component, "position", centre))
    grid = Grid(EnergyAxis.logarithmic(0.05, 100, 5), SkyGrid.centred(4, 4, 0.1))
    sky = {p.name: float(p.nodes[0]) for p in source.parameters if p.shapes_sky}
    rows = {p.name: p.nodes[-1:] for p in source.parameters if not p.shapes_sky}
    for term in source.terms(grid, frame, sky, rows):
        assert term.spectrum.shape == (1, grid.energy.size)
        assert np.all(np.isfinite(term.spectrum) & (term.spectrum >= 0))
        assert term.spectrum.sum() > 0


def test_gammapy_is_not_imported():
    code = (
        "import sys, skymix.domains.gamma.components;"
        "sys.exit('gammapy' in sys.modules or 'matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
