"""A small study of stars, drawn from known components."""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

STARS = 400
SHARE = 0.4
TRUTH = {"cluster.mean.x": 1.0, "cluster.mean.y": -2.0, "cluster.sigma": 0.1}


def raw(**changes: Any) -> dict[str, Any]:
    """Study of `table`, a cluster over one broad component."""
    return {
        "domain": "stars",
        "name": "small",
        "seed": 3,
        "catalogue": {
            "path": "stars.csv",
            "coordinates": {
                "x": {"column": "x", "error": "ex", "unit": "mas/yr", "column_unit": "mas/yr"},
                "y": {"column": "y", "error": "ey", "unit": "mas/yr", "column_unit": "mas/yr"},
            },
            "correlations": [{"between": ["x", "y"], "column": "rho"}],
            "region": {
                "lon_column": "ra", "lat_column": "dec",
                "lon": "10 deg", "lat": "20 deg", "radius": "0.3 deg",
            },
            "labels": {
                "column": "label", "component": "cluster",
                "members": ["in"], "others": ["out"],
            },
        },
        "components": {
            "cluster": {
                "kind": "product",
                "factors": {
                    "motion": {
                        "kind": "normal", "shape": "isotropic",
                        "mean": {"x": {"min": -5, "max": 5}, "y": {"min": -5, "max": 5}},
                        "sigma": {"all": {"min": 0.01, "max": 0.5, "spacing": "log"}},
                    },
                    "place": {
                        "kind": "plummer", "centre": {"lon": "0 deg", "lat": "0 deg"},
                        "scale": {"min": "0.01 deg", "max": "0.3 deg"},
                    },
                },
            },
            "field": {
                "kind": "normal", "mean": {"x": 0.0, "y": 0.0}, "sigma": {"x": 3.0, "y": 3.0},
            },
        },
        "tree": {"children": {"cluster": None, "field": None}},
        "sampler": {"live_points": 60, "dlogz": 1.0, "sample": "rwalk"},
    } | changes  # fmt: skip


def table(seed: int = 0) -> Table:
    """Stars of that study: a Plummer sphere of 0.05 deg over a uniform field."""
    rng = np.random.default_rng(seed)
    member = rng.random(STARS) < SHARE
    ex, ey = rng.uniform(0.05, 0.3, (2, STARS))
    rho = rng.uniform(-0.8, 0.8, STARS)
    true = np.where(member[:, None], [1.0, -2.0] + 0.1 * rng.normal(size=(STARS, 2)),
                    3.0 * rng.normal(size=(STARS, 2)))  # fmt: skip
    a, b = rng.normal(size=(2, STARS))
    u = rng.random(STARS)
    most = 1 / (1 + (0.05 / 0.3) ** 2)  # of a Plummer profile within 0.3 deg
    distance = np.where(
        member, 0.05 / np.sqrt(1 / (u * most) - 1), 0.3 * np.sqrt(rng.random(STARS))
    )
    angle = rng.uniform(0, 2 * np.pi, STARS)
    dec = 20 + distance * np.cos(angle)
    return Table(
        {
            "star": np.arange(STARS),
            "x": true[:, 0] + ex * a,
            "y": true[:, 1] + ey * (rho * a + np.sqrt(1 - rho**2) * b),
            "ex": ex,
            "ey": ey,
            "rho": rho,
            "ra": 10 + distance * np.sin(angle) / np.cos(np.radians(dec)),
            "dec": dec,
            "label": np.where(member, "in", "out"),
        }
    )


def write(folder: Path, content: Table | None = None) -> None:
    """Write the table where the study looks for it."""
    (table() if content is None else content).write(folder / "stars.csv", overwrite=True)
