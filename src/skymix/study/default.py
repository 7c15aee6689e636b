"""The default study: a simulated observation of the Galactic Centre that needs no file."""

from typing import Any

GALACTIC_CENTRE = {"frame": "galactic", "lon": "0 deg", "lat": "0 deg"}

DEFAULT_STUDY: dict[str, Any] = {
    "name": "galactic_centre",
    "description": (
        "Simulated 5 h observation of the Galactic Centre: annihilating dark matter over cosmic"
        " rays, the central source (H.E.S.S. 2009, A&A 503, 817) and the ridge (H.E.S.S. 2006,"
        " Nature 439, 695)."
    ),
    "seed": 1,
    "region": {"centre": GALACTIC_CENTRE, "width": "6 deg", "height": "6 deg"},
    "grids": {
        "energy": {"min": "0.1 TeV", "max": "100 TeV", "per_decade": 15},
        "true_energy": {"min": "0.05 TeV", "max": "150 TeV", "per_decade": 25},
        "pixel": "0.2 deg",
        "subdivision": 4,
    },
    "selection": {"offset_max": "3.5 deg"},
    "observations": {
        "centre_5h": {
            "events": {
                "kind": "simulated",
                "pointing": {"frame": "galactic", "lon": "0 deg", "lat": "0.5 deg"},
                "livetime": "5 h",
                "counts": {
                    "dark_matter": 800,
                    "cosmic_rays": 2000,
                    "central_source": 600,
                    "diffuse": 500,
                },
                "parameters": {"dark_matter.mass": "1.5 TeV"},
            },
            "response": {"kind": "parametric"},
        },
    },
    "components": {
        "dark_matter": {
            "kind": "dark_matter",
            "profile": {"kind": "einasto"},
            "spectrum": {"kind": "closed_form", "channels": {"W": 0.5, "b": 0.5}},
            "mass": {"min": "0.2 TeV", "max": "20 TeV", "nodes": 61, "spacing": "log"},
        },
        "cosmic_rays": {"kind": "cosmic_rays"},
        # HESS J1745-290, Aharonian et al. 2009, A&A 503, 817; at the position of Sgr A*.
        "central_source": {
            "kind": "point_source",
            "position": {"frame": "galactic", "lon": "359.944 deg", "lat": "-0.046 deg"},
            "spectrum": {
                "kind": "cutoff_power_law",
                "index": 2.1,
                "cutoff": "15.7 TeV",
                "amplitude": "2.55e-12 TeV-1 cm-2 s-1",
            },
        },
        "diffuse": {"kind": "galactic_ridge"},
    },
    "tree": {
        "children": {
            "dark_matter": None,
            "background": {
                "children": {"cosmic_rays": None, "central_source": None, "diffuse": None},
            },
        },
    },
    "sampler": {"live_points": 500},
}
