"""A straight line with outliers, and its 32 points."""

import numpy as np
import pymc as pm


def points():
    """x, y and errors of y, (32,) each; eight points at most do not follow the line."""
    rng = np.random.default_rng(42)
    x = np.sort(rng.uniform(0, 10, 32))
    y = 3.17 * x - 11.9
    outliers = rng.choice(32, size=8)
    y[outliers] = rng.normal(0, 15, size=8)
    errors = rng.uniform(0.5, 3, size=32)
    return x, rng.normal(y, errors), errors


def model(outliers):
    """A line, mixed with a broad normal about zero if there are outliers."""
    x, y, errors = points()
    with pm.Model() as line:
        m = pm.Uniform("m", 0, 10)
        b = pm.Normal("b", 0, 25)
        if not outliers:
            pm.Normal("y", m * x + b, errors, observed=y)
            return line
        lns = pm.Uniform("lns", -3, 4)
        w = pm.Dirichlet("w", np.ones(2))
        follows = pm.Normal.dist(m * x + b, errors)
        strays = pm.Normal.dist(0, pm.math.sqrt(errors**2 + pm.math.exp(2 * lns)))
        pm.Mixture("y", w=w, comp_dists=[follows, strays], observed=y)
    return line
