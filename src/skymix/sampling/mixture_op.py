"""A mixture with a gradient as a PyMC model, so that NUTS can sample it.

Tabulated densities are linear between the nodes of their parameters: the likelihood is continuous
and its gradient has jumps at the nodes, which NUTS bears, as its proposals are corrected for.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np

from skymix.axes import FloatArray
from skymix.errors import SkymixError
from skymix.mixture import Prior
from skymix.mixture.priors import (
    Correlation,
    LogNormal,
    LogUniform,
    SimplexPrior,
    TruncatedNormal,
    Uniform,
)
from skymix.mixture.tree import Node
from skymix.sampling.pymc_import import import_pymc

_CORRELATIONS = "correlations"
_Kind = tuple[str, bool, bool]  # of a prior, and whether it has bounds below and above
Gradient = Callable[[FloatArray], tuple[FloatArray, FloatArray]]


class DifferentiableMixture(Protocol):
    """Priors and likelihood of a mixture, with its gradient."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""

    @property
    def single_priors(self) -> Mapping[str, Prior]:
        """Prior of each parameter that is no fraction."""

    def splits(self) -> Iterator[Node]:
        """The splits whose fractions are parameters, and fixed ones among them."""

    def log_likelihood_gradient(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Log likelihood, (n,), and its derivative by the parameters, (n, ndim)."""


def model_from_mixture(mixture: DifferentiableMixture) -> Any:
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
        columns = _parameters(pm, mixture.single_priors)
        for node in mixture.splits():
            columns |= _fractions(pm, node)
        for name, column in columns.items():
            pm.Deterministic(name, column)
        theta = pm.math.stack([columns[name] for name in mixture.names])
        pm.Potential("log_likelihood", log_likelihood_op(mixture.log_likelihood_gradient)(theta)[0])
    return model


def start_at(mixture: DifferentiableMixture, point: FloatArray) -> dict[str, FloatArray]:
    """Value of each variable of `model_from_mixture` at a point (ndim,)."""
    at = dict(zip(mixture.names, point, strict=True))
    intervals, correlations = _groups(mixture.single_priors)
    start = {}
    for key, group in intervals.items():
        values = np.array([at[name] for name in group])
        start[_group_name(*key)] = np.log(values) if key[0].startswith("ln") else values
    if correlations:
        start[_CORRELATIONS] = 0.5 + 0.5 * np.array([at[name] for name in correlations])
    for node in mixture.splits():
        if isinstance(node.prior, SimplexPrior):
            shares = np.array([at[f"fraction.{child}"] for child in node.child_names()[:-1]])
            start[_split_name(node)] = np.append(shares, 1 - shares.sum())
    return start


def _fractions(pm: Any, node: Node) -> dict[str, Any]:
    if not isinstance(node.prior, SimplexPrior):
        return {}
    shares = pm.Dirichlet(_split_name(node), np.array(node.prior.concentration))
    return {f"fraction.{child}": shares[j] for j, child in enumerate(node.child_names()[:-1])}


def _split_name(node: Node) -> str:
    return f"split.{node.name or 'root'}"


def _parameters(pm: Any, priors: Mapping[str, Prior]) -> dict[str, Any]:
    """Parameters by name, from one variable for all whose priors are of one kind.

    The time that PyTensor takes to compile a model grows with its variables, not with their size.
    """
    intervals, correlations = _groups(priors)
    columns: dict[str, Any] = {}
    for key, group in intervals.items():
        values = _variable(pm, _group_name(*key), list(group.values()), *key[1:])
        columns |= {name: values[j] for j, name in enumerate(group)}
    if correlations:
        a = np.array(list(correlations.values()))
        values = 2 * pm.Beta(_CORRELATIONS, a, a) - 1
        columns |= {name: values[j] for j, name in enumerate(correlations)}
    return columns


def _groups(
    priors: Mapping[str, Prior],
) -> "tuple[dict[_Kind, dict[str, _Interval]], dict[str, float]]":
    """Parameters whose priors are of one kind, and the shapes of those that are correlations."""
    alike: dict[_Kind, dict[str, _Interval]] = {}
    correlations = {}
    for name, prior in priors.items():
        if isinstance(prior, Correlation):
            correlations[name] = prior.a
            continue
        interval = _interval(prior)
        below = interval.sd is None or math.isfinite(interval.lower)
        kind = ("ln " if interval.log else "") + ("flat" if interval.sd is None else "normal")
        alike.setdefault((kind, below, math.isfinite(interval.upper)), {})[name] = interval
    return alike, correlations


def _group_name(kind: str, below: bool, above: bool) -> str:
    return f"{kind} {'[' if below else '('}{']' if above else ')'}"


@dataclass(frozen=True)
class _Interval:
    """A prior that is flat, or normal, between two bounds in the parameter or its logarithm."""

    lower: float
    upper: float
    mean: float = 0.0
    sd: float | None = None
    log: bool = False


def _interval(prior: Prior) -> _Interval:
    match prior:
        case Uniform():
            return _Interval(prior.lower, prior.upper)
        case LogUniform():
            return _Interval(math.log(prior.lower), math.log(prior.upper), log=True)
        case TruncatedNormal():
            return _Interval(prior.lower, prior.upper, prior.mean, prior.sd)
        case LogNormal():
            within = prior.logarithm
            return _Interval(within.lower, within.upper, within.mean, within.sd, log=True)
    raise SkymixError(f"a prior of the kind {type(prior).__name__} has no PyMC counterpart")


def _variable(pm: Any, name: str, group: Sequence[_Interval], below: bool, above: bool) -> Any:
    """Values of the parameters of a group, whose bounds are all finite or all infinite."""
    lower, upper = np.array([i.lower for i in group]), np.array([i.upper for i in group])
    if group[0].sd is None:
        values = pm.Uniform(name, lower, upper)
    else:
        shape = {"mu": np.array([i.mean for i in group]), "sigma": np.array([i.sd for i in group])}
        bounds = {"lower": lower if below else None, "upper": upper if above else None}
        cut = below or above
        values = pm.TruncatedNormal(name, **shape, **bounds) if cut else pm.Normal(name, **shape)
    return pm.math.exp(values) if group[0].log else values


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
