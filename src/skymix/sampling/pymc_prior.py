"""Priors of a PyMC model as transforms of the unit cube, as PyTensor graphs.

A variable of one dimension takes its inverse cumulative distribution. A Dirichlet of K fractions
breaks a stick with K - 1 betas (Connor and Mosimann 1969, JASA 64, 194), a multivariate normal
goes through its Cholesky factor, an ordered vector of equal priors through its order statistics
(the largest of K uniforms is distributed as u^(1/K)).
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skymix.errors import SkymixError

# What the groups of a posterior file hold besides the variables.
_COLUMNS = (
    "chain", "draw", "dead_point", "log_likelihood", "log_likelihood_birth", "log_prior_volume",
    "log_weight", "insertion_rank", "insertion_run",
)  # fmt: skip
_LONGEST_NAME = 200  # bytes; the files hold 255 with the numbers of an entry
_LONGEST_SHOWN = 40


@dataclass(frozen=True)
class Block:
    """Columns of the parameters that belong to one variable of a model.

    Parameters
    ----------
    name : of the variable
    shape : of its value
    simplex : whether the last axis adds up to 1, so that its last entry is no parameter
    """

    name: str
    shape: tuple[int, ...]
    simplex: bool

    @property
    def free_shape(self) -> tuple[int, ...]:
        """Shape of the free entries."""
        return (*self.shape[:-1], self.shape[-1] - 1) if self.simplex else self.shape

    @property
    def size(self) -> int:
        """Number of columns."""
        return math.prod(self.free_shape)

    def value(self, columns: Any) -> Any:
        """Value of the variable, from a graph of its columns."""
        import pytensor.tensor as pt

        free = columns.reshape(self.free_shape)
        if not self.simplex:
            return free
        return pt.concatenate([free, 1 - free.sum(axis=-1, keepdims=True)], axis=-1)

    def columns(self, value: Any) -> Any:
        """Its columns, from a graph of the value."""
        return (value[..., :-1] if self.simplex else value).reshape((self.size,))


def element_names(name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Name of each entry of a variable: ``x``, ``x[0]``, ``x[0,1]``."""
    if not shape:
        return (name,)
    return tuple(f"{name}[{','.join(map(str, index))}]" for index in np.ndindex(*shape))


def check_names(names: Sequence[str]) -> None:
    """Refuse names of variables that a posterior file cannot hold.

    Raises
    ------
    SkymixError
        If a name is empty, a dot or long, or has a slash or a character that cannot be printed.
    """
    for name in names:
        # A surrogate is not printable either, so the name can be encoded.
        fits = name.isprintable() and len(name.encode()) <= _LONGEST_NAME
        if not fits or name in ("", ".") or "/" in name:
            raise SkymixError(
                f"the variable {_quoted(name)} cannot be written to a file; rename it, with"
                f" printable characters other than '/', at most {_LONGEST_NAME}"
            )


def check_entries(names: Sequence[str]) -> None:
    """Refuse names of entries that a posterior file has already, or that two variables have.

    Raises
    ------
    SkymixError
        If an entry is called as a column of the file, or as another entry.
    """
    for name, count in Counter(names).items():
        if name in _COLUMNS:
            raise SkymixError(
                f"the variable '{name}' is called as a column of the posterior file; rename it"
            )
        if count > 1:
            raise SkymixError(f"two variables are called '{name}'; rename one")


def _quoted(name: str) -> str:
    text = ascii(name)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}...'"


def block_of(model: Any, variable: Any, shape: tuple[int, ...]) -> Block:
    """Block of a free variable; refuses what has no transform from the unit cube.

    Raises
    ------
    SkymixError
        If the variable is discrete, flat without bounds, has nothing that is free, or its
        transform cuts its prior.
    """
    from pymc.distributions.continuous import FlatRV, HalfFlatRV

    name, operation = variable.name, variable.owner.op
    if variable.dtype not in ("float64", "float32"):
        raise SkymixError(
            f"the free variable '{name}' is discrete ({_kind(variable)}); the samplers need"
            " continuous variables: sum it out of the likelihood, for example with pm.Mixture"
        )
    if isinstance(operation, FlatRV | HalfFlatRV):
        raise SkymixError(
            f"the prior of '{name}' is improper ({_kind(variable)}), so the evidence does not"
            " exist; give it bounds, for example with pm.Uniform"
        )
    transform = model.rvs_to_transforms.get(variable)
    if not (_is_default(variable, transform) or _is_ordered(transform)):
        raise SkymixError(
            f"the prior of '{name}' has the transform '{transform.name}', which may cut the prior;"
            " leave the default, or use pm.Truncated, pm.Dirichlet or transforms.ordered"
        )
    block = Block(name, shape, _kind(variable) == "Dirichlet")
    if not block.size:
        raise SkymixError(
            f"the free variable '{name}' of shape {shape} has no entry that is free; remove it or"
            " give it more entries"
        )
    return block


def from_cube(variable: Any, transform: Any, block: Block, u: Any) -> Any:
    """Graph of a variable's value, from a graph of its coordinates in the unit cube.

    Parameters
    ----------
    variable : with a distribution
    transform : PyMC's transform of it, or None
    block : its columns
    u : graph of (block.size,) coordinates

    Raises
    ------
    SkymixError
        If its distribution has no inverse cumulative function, or an ordered one is not of equals.
    """
    u = u.reshape(block.free_shape)
    parameters = _parameters(variable)
    if _is_ordered(transform):
        return _ordered(variable, parameters, block, u, _last(transform))
    if block.simplex:
        return _stick_breaking(parameters[0], block, u)
    if _kind(variable) == "MultivariateNormal":
        mean, covariance = parameters
        return _correlated_normal(mean, covariance, u)
    return _inverse_cumulative(variable, block.name, parameters, u)


def _inverse_cumulative(variable: Any, name: str, parameters: list[Any], u: Any) -> Any:
    import pymc as pm
    import pytensor.tensor as pt
    from pymc.distributions.truncated import TruncatedRV

    if _kind(variable) == "TruncatedNormal":
        mu, sigma, lower, upper = parameters
        return _truncated_normal(mu, sigma, lower, upper, u)
    try:
        if isinstance(variable.owner.op, TruncatedRV):
            *inputs, lower, upper = variable.owner.inputs
            base = variable.owner.op.base_rv_op.make_node(*inputs).default_output()
            low, high = (pt.exp(pm.logcdf(base, bound)) for bound in (lower, upper))
            value = pm.icdf(base, low + u * (high - low), warn_rvs=False)
            return pt.switch(lower < upper, pt.clip(value, lower, upper), np.nan)
        return pm.icdf(variable, u, warn_rvs=False)
    except NotImplementedError:
        raise SkymixError(
            f"the prior of '{name}' ({_kind(variable)}) has no inverse cumulative"
            " function, so no transform from the unit cube; write it by standard normals or"
            " uniforms and a pm.Deterministic, or take another distribution"
        ) from None


def _truncated_normal(mu: Any, sigma: Any, lower: Any, upper: Any, u: Any) -> Any:
    """Done in the tail nearer to zero probability, so that bounds far from the mean work."""
    import pytensor.tensor as pt

    mirrored = lower > mu
    sign = pt.switch(mirrored, -1.0, 1.0)
    low = pt.switch(mirrored, mu - upper, lower - mu) / sigma
    high = pt.switch(mirrored, mu - lower, upper - mu) / sigma
    below, above = (pt.erfc(-z / np.sqrt(2)) / 2 for z in (low, high))
    share = pt.switch(mirrored, 1 - u, u)
    z = -np.sqrt(2) * pt.erfcinv(2 * (below + share * (above - below)))
    value = pt.clip(mu + sign * sigma * z, lower, upper)
    return pt.switch((sigma > 0) & (lower < upper), value, np.nan)


def _stick_breaking(concentration: Any, block: Block, u: Any) -> Any:
    import pytensor.tensor as pt

    a = pt.broadcast_to(concentration, block.shape)
    later = pt.cumsum(a[..., ::-1], axis=-1)[..., ::-1]
    share = pt.betaincinv(a[..., :-1], later[..., 1:], u)
    left = pt.cumprod(1 - share, axis=-1)
    whole = pt.ones((*block.shape[:-1], 1))
    before = pt.concatenate([whole, left[..., :-1]], axis=-1)
    return pt.concatenate([share * before, left[..., -1:]], axis=-1)


def _correlated_normal(mu: Any, covariance: Any, u: Any) -> Any:
    import pytensor.tensor as pt

    z = -np.sqrt(2) * pt.erfcinv(2 * u)
    factor = pt.linalg.cholesky(covariance)
    return mu + (factor * z[..., None, :]).sum(axis=-1)


def _ordered(variable: Any, parameters: list[Any], block: Block, u: Any, transform: Any) -> Any:
    import pytensor.tensor as pt

    if not all(map(_same_for_all, parameters)):
        raise SkymixError(
            f"the ordered prior of '{block.name}' has another distribution for each entry; give"
            " all entries the same prior, or order nothing"
        )
    count = block.shape[-1]
    power = u ** (1.0 / np.arange(1, count + 1))
    sorted_uniform = pt.cumprod(power[..., ::-1], axis=-1)[..., ::-1]
    value = _inverse_cumulative(variable, block.name, parameters, sorted_uniform)
    return value if transform.ascending else value[..., ::-1]


def _same_for_all(parameter: Any) -> bool:
    """Whether a parameter has one value along the last axis."""
    if parameter.type.ndim == 0 or parameter.type.shape[-1] == 1:
        return True
    data = getattr(parameter, "data", None)
    return data is not None and bool(np.all(data == data[..., :1]))


def _parameters(variable: Any) -> list[Any]:
    """Parameters of a distribution; all inputs with numbers where it does not say which."""
    operation, node = variable.owner.op, variable.owner
    if getattr(operation, "extended_signature", "known") is None:
        return [i for i in node.inputs if getattr(i.type, "numpy_dtype", None) is not None]
    return list(operation.dist_params(node))


def _kind(variable: Any) -> str:
    """Name of a variable's distribution, as in PyMC."""
    operation = variable.owner.op
    printed = getattr(operation, "_print_name", None)
    return str(printed[0] if printed else type(operation).__name__)


def _last(transform: Any) -> Any:
    """Transform, or the last one of a chain."""
    return getattr(transform, "transform_list", [transform])[-1]


def _is_ordered(transform: Any) -> bool:
    from pymc.distributions.transforms import Ordered

    return isinstance(_last(transform), Ordered)


def _is_default(variable: Any, transform: Any) -> bool:
    """Whether a transform is none, the default, or another with the same range."""
    from pymc.distributions.transforms import LogExpM1, _default_transform
    from pymc.logprob.transforms import LogTransform

    default = _default_transform(variable.owner.op, variable)
    if transform is None or type(transform) is type(default):
        return True
    return isinstance(default, LogTransform) and isinstance(transform, LogExpM1)
