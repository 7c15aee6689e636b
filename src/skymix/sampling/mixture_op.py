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

        pm.Potential("log_likelihood", log_likelihood_op(mixture.log_likelihood_gradient)(theta)[0])
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
