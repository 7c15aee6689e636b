"""A tabulated mixture as a PyMC model, so that NUTS can sample it.

The densities are linear between the nodes of their parameters: the likelihood is continuous and
its gradient has jumps at the nodes, which NUTS bears, as its proposals are corrected for.
"""

import math
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from skymix.axes import FloatArray
from skymix.errors import SkymixError
from skymix.mixture import Prior, TabulatedMixture
from skymix.mixture.priors import LogUniform, SimplexPrior, TruncatedNormal, Uniform
from skymix.mixture.tree import Node
from skymix.sampling.pymc_import import import_pymc

Gradient = Callable[[FloatArray], tuple[FloatArray, FloatArray]]


def model_from_mixture(mixture: TabulatedMixture) -> Any:
    """PyMC model with the priors and the likelihood of a mixture, and its names.

    Raises
    ------
    SkymixError
        If nothing is free.
    """
    pm = import_pymc()
    if not mixture.names:
        raise SkymixError(
            "all parameters and fractions are fixed, there is nothing to sample; free a fraction"
            " or scan a parameter"
        )
    with pm.Model() as model:
        columns = []
        for node in mixture.tree.splits():
            columns += _fractions(pm, node)
        columns += [_parameter(pm, name, prior) for name, prior in mixture.priors.items()]
        theta = pm.math.stack(columns)

        def gradient(at: FloatArray) -> tuple[FloatArray, FloatArray]:
            return log_likelihood_gradient(mixture, at)

        pm.Potential("log_likelihood", log_likelihood_op(gradient)(theta)[0])
    return model


def _fractions(pm: Any, node: Node) -> list[Any]:
    if not isinstance(node.prior, SimplexPrior):
        return []
    shares = pm.Dirichlet(f"split.{node.name or 'root'}", np.array(node.prior.concentration))
    children = node.child_names()[:-1]
    return [pm.Deterministic(f"fraction.{child}", shares[j]) for j, child in enumerate(children)]


def _parameter(pm: Any, name: str, prior: Prior) -> Any:
    match prior:
        case Uniform():
            return pm.Uniform(name, prior.lower, prior.upper)
        case LogUniform():
            log = pm.Uniform(f"ln {name}", math.log(prior.lower), math.log(prior.upper))
            return pm.Deterministic(name, pm.math.exp(log))
        case TruncatedNormal():
            return pm.TruncatedNormal(
                name, prior.mean, prior.sd, lower=prior.lower, upper=prior.upper
            )
    raise SkymixError(f"the prior of '{name}' ({type(prior).__name__}) has no PyMC counterpart")


@cache
def _op_class() -> Any:
    """Class of the Op; made on demand, since its base needs PyTensor."""
    import pytensor.tensor as pt
    from pytensor.graph.basic import Apply
    from pytensor.graph.op import Op
    from pytensor.link.numba.dispatch.basic import generate_fallback_impl, numba_funcify

    class LogLikelihood(Op):  # type: ignore[misc]
        """Log likelihood and its gradient, from a vector of parameters."""

        def __init__(self, gradient: Gradient) -> None:
            self._gradient = gradient

        def make_node(self, theta: Any) -> Any:
            theta = pt.as_tensor(theta).astype("float64")
            return Apply(self, [theta], [pt.dscalar(), pt.dvector()])

        def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
            value, gradient = self._gradient(np.asarray(inputs[0])[None])
            output_storage[0][0], output_storage[1][0] = np.asarray(value[0]), gradient[0]

        def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
            return [cotangents[0] * outputs[1]]

        def L_op(self, inputs: Any, outputs: Any, output_grads: Any) -> list[Any]:
            return self.pullback(inputs, outputs, output_grads)

        def infer_shape(self, fgraph: Any, node: Any, shapes: Any) -> list[Any]:
            return [(), shapes[0]]

    @numba_funcify.register(LogLikelihood)  # type: ignore[untyped-decorator]
    def _in_object_mode(op: Any, node: Any, **settings: Any) -> Any:
        # The call of compiled code from the interpreter is meant; it costs microseconds.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Numba will use object mode")
            return generate_fallback_impl(op, node, **settings)

    return LogLikelihood


def log_likelihood_op(gradient: Gradient) -> Any:
    """PyTensor Op with a log likelihood and its gradient as outputs.

    Parameters
    ----------
    gradient : from parameters (n, ndim) to log likelihoods (n,) and their gradients (n, ndim)
    """
    return _op_class()(gradient)


def log_likelihood_gradient(
    mixture: TabulatedMixture, theta: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Log likelihood, (n,), and its gradient, (n, ndim), at parameters (n, ndim)."""
    rows, coefficients = mixture._terms(theta)
    value, by_term = mixture._table.log_sum_gradient(rows, coefficients)
    weights, n = mixture.weights(theta), mixture.tree.ndim
    gradient = np.zeros_like(theta)
    by_weight = np.empty_like(weights)
    start = 0
    for k, (leaf, (_, shares)) in enumerate(
        zip(mixture.leaves, mixture.leaf_rows(theta), strict=True)
    ):
        mine = by_term[:, start : start + shares.shape[1]]
        start += shares.shape[1]
        by_weight[:, k] = (mine * shares).sum(axis=1)
        located = [axis.locate(theta[:, mixture.names.index(axis.name)]) for axis in leaf.axes]
        for a, axis in enumerate(leaf.axes):
            slope = np.ones_like(mine)
            for b, (_, upper) in enumerate(located):
                high = (np.arange(mine.shape[1]) >> b & 1).astype(bool)
                # Of the axis itself the derivative of 1 - u and u, of the others the factor.
                low_factor = -np.ones_like(upper) if a == b else 1 - upper
                high_factor = np.ones_like(upper) if a == b else upper
                slope *= np.where(high, high_factor[:, None], low_factor[:, None])
            column = mixture.names.index(axis.name)
            node = located[a][0]
            width = axis.positions[node + 1] - axis.positions[node]
            scale = theta[:, column] if axis.spacing == "log" else 1.0
            gradient[:, column] += weights[:, k] * (mine * slope).sum(axis=1) / (width * scale)
    for j in range(n):
        # A weight is linear in each fraction, so that a finite step is exact.
        step = np.maximum(theta[:, j] / 2, 1e-9)
        there = theta[:, :n].copy()
        there[:, j] -= step
        slope = (weights - mixture.tree.weights(there)) / step[:, None]
        gradient[:, j] += (by_weight * slope).sum(axis=1)
    return value, gradient
