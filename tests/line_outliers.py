"""A straight line with outliers: the data and the model of a classic example."""

import numpy as np

SLOPE, INTERCEPT, OUTLIER_SD = 3.17, -11.9, 15.0
# Posterior means and standard deviations that were published for these data.
PUBLISHED = {
    "m": (3.137, 0.074),
    "b": (-11.979, 0.449),
    "lns": (2.324, 0.270),
    "w[0]": (0.734, 0.085),
}


def data():
    """x, y and errors of y, (32,) each; eight points at most do not follow the line."""
    rng = np.random.default_rng(42)
    x = np.sort(rng.uniform(0, 10, 32))
    y = SLOPE * x + INTERCEPT
    outliers = rng.choice(32, size=8)
    y[outliers] = rng.normal(0, OUTLIER_SD, size=8)
    errors = rng.uniform(0.5, 3.0, size=32)
    return x, rng.normal(y, errors), errors


def model(pm, x, y, errors):
    """Mixture of the line and a broad normal about zero."""
    with pm.Model() as line_or_not:
        m = pm.Uniform("m", 0, 10)
        b = pm.Normal("b", 0, 25)
        lns = pm.Uniform("lns", -3, 4)
        w = pm.Dirichlet("w", np.ones(2))
        parts = [
            pm.Normal.dist(m * x + b, errors),
            pm.Normal.dist(0.0, pm.math.sqrt(errors**2 + pm.math.exp(2 * lns))),
        ]
        pm.Mixture("y", w=w, comp_dists=parts, observed=y)
    return line_or_not


def line_only(pm, x, y, errors):
    """The same line without outliers."""
    with pm.Model() as line:
        m = pm.Uniform("m", 0, 10)
        b = pm.Normal("b", 0, 25)
        pm.Normal("y", m * x + b, errors, observed=y)
    return line
