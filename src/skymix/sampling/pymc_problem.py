"""Any PyMC model as a problem for nested sampling."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skymix.axes import FloatArray
from skymix.errors import SkymixError
from skymix.sampling.pymc_import import MODE, import_pymc
from skymix.sampling.pymc_prior import (
    Block,
    block_of,
    check_entries,
    check_names,
    element_names,
    from_cube,
)

Batched = Callable[[FloatArray], FloatArray]
_Parts = dict[Any, tuple[Block, slice]]  # of each free variable its block and its columns

_SHAPE_POINTS = 16  # draws from the prior at which the deterministics must have equal shapes


@dataclass(frozen=True, eq=False)
class PymcProblem:
    """Prior and likelihood of a PyMC model, compiled; a `Problem`.

    Parameters
    ----------
    names : entries of the free variables; of K fractions that add up to 1 the first K - 1
    labels : the same, with the model's coordinates where it names them
    derived_names : the last of such fractions, and the entries of the deterministics
    remade : makes it again in another process, where compiled functions cannot go
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    derived_names: tuple[str, ...]
    _transform: Batched
    _likelihood: Batched
    _derive: Batched
    remade: "Callable[[], PymcProblem] | None" = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Be sent to another process as what it is made from."""
        if self.remade is None:
            raise SkymixError(
                "a PyMC model goes to other processes only as the study of a file; run one process,"
                " or write such a study"
            )
        return self.remade, ()

    @property
    def ndim(self) -> int:
        """Number of parameters."""
        return len(self.names)

    def prior_transform(self, u: FloatArray) -> FloatArray:
        """Parameters, (n, ndim), of unit-cube points (n, ndim)."""
        return self._transform(u)

    def log_likelihood(self, theta: FloatArray) -> FloatArray:
        """Log density of the observed variables and the potentials, (n,)."""
        return self._likelihood(theta)

    def derived(self, theta: FloatArray) -> dict[str, FloatArray]:
        """Further variables, (n,) each by name, at parameters (n, ndim)."""
        return dict(zip(self.derived_names, self._derive(theta).T, strict=True))


def problem_from_pymc(model: Any) -> PymcProblem:
    """Prior transform and batched likelihood of a PyMC model.

    The prior is that of the free variables, hierarchical ones included; observed variables and
    potentials are the likelihood. The prior of an ordered vector is normalised over the ordered
    region, so its evidence is that of the model whose entries have no order.

    Raises
    ------
    SkymixError
        If nothing is free or observed; if a variable has no transform from the unit cube: it is
        discrete, improper, or its distribution has no inverse cumulative function, or no value for
        these parameters; if data are missing, a density is random, or a name cannot be written.
    """
    import_pymc()
    from pytensor import tensor as pt

    variables = _in_order(model.free_RVs)
    if not variables:
        raise SkymixError("the model has no free variable, there is nothing to sample")
    if not (model.observed_RVs or model.potentials):
        raise SkymixError("the model has no likelihood; give it observed variables or potentials")
    check_names([v.name for v in (*variables, *model.deterministics)])
    shapes = model.eval_rv_shapes()
    _check_missing(model, shapes)
    blocks = [block_of(model, v, tuple(map(int, shapes[v.name]))) for v in variables]
    ndim = sum(block.size for block in blocks)
    u, theta = pt.vector("u", shape=(ndim,)), pt.vector("theta", shape=(ndim,))
    parts: _Parts = dict(zip(variables, zip(blocks, _slices(blocks), strict=True), strict=True))
    data = {v: v.type.filter_variable(_data(model, v).astype(v.dtype)) for v in model.observed_RVs}
    given = data | {v: block.value(theta[part]) for v, (block, part) in parts.items()}

    transform = _batched(u, _prior(model, parts, data, u))
    _check_middle(blocks, transform)
    last = [(given[v][..., -1], block) for v, (block, _) in parts.items() if block.simplex]
    further = _deterministics(model, given)
    points = transform(np.random.default_rng(0).random((_SHAPE_POINTS, ndim)))
    derived_names = [_last_names(block) for _, block in last] + [
        element_names(name, shape) for name, shape in _shapes(further, theta, points).items()
    ]
    problem = PymcProblem(
        names=tuple(name for b in blocks for name in _free_names(b)),
        labels=tuple(label for b in blocks for label in _labels(model, b)),
        derived_names=tuple(name for names in derived_names for name in names),
        _transform=transform,
        _likelihood=_batched(theta, _likelihood(model, given)),
        _derive=_batched(theta, _flat([*(graph for graph, _ in last), *further.values()])),
    )
    check_entries((*problem.names, *problem.derived_names))
    return problem


def _prior(model: Any, parts: _Parts, data: Mapping[Any, Any], u: Any) -> Any:
    """Graph of the parameters, from a graph of a point of the unit cube."""
    from pytensor import tensor as pt

    drawn = dict(data)
    columns = []
    for v, (block, part) in parts.items():
        # Before the inverse cumulative, for which PyMC may copy the variables it depends on.
        (prior,) = _replaced([v], drawn)
        value = from_cube(prior, model.rvs_to_transforms.get(v), block, u[part])
        drawn[v] = _determined(value, f"the prior of '{v.name}'").astype(v.dtype)
        columns.append(block.columns(drawn[v]))
    return pt.concatenate(columns)


def _likelihood(model: Any, given: Mapping[Any, Any]) -> Any:
    """Graph of the log density of the data and the potentials, at given values of all variables."""
    from pymc import logp
    from pytensor import tensor as pt

    terms = []
    for v in model.observed_RVs:
        (density,) = _replaced([v], {k: graph for k, graph in given.items() if k is not v})
        term = logp(density, _data(model, v), warn_rvs=False)
        terms.append(_determined(term, f"the density of the observed variable '{v.name}'"))
    for potential, term in zip(model.potentials, _replaced(model.potentials, given), strict=True):
        terms.append(_determined(term, f"the potential '{potential.name}'"))
    return pt.add(*[pt.sum(term) for term in terms], 0.0)


def _data(model: Any, observed: Any) -> Any:
    return model.rvs_to_values[observed]


def _deterministics(model: Any, given: Mapping[Any, Any]) -> dict[str, Any]:
    """Graphs of the deterministics, by name."""
    names = [d.name for d in model.deterministics]
    graphs = _replaced(model.deterministics, given)
    return {
        name: _determined(graph, f"the deterministic '{name}'")
        for name, graph in zip(names, graphs, strict=True)
    }


def _check_missing(model: Any, shapes: Mapping[str, Any]) -> None:
    """Refuse missing data that have no transform; PyMC makes others free variables of their own."""
    from pymc.distributions.distribution import PartialObservedRV

    for v in model.free_RVs:
        name = v.name.removesuffix("_unobserved")
        missing = name != v.name and f"{name}_observed" in model.named_vars
        if missing and (isinstance(v.owner.op, PartialObservedRV) or v.dtype.startswith("int")):
            raise SkymixError(
                f"the observed variable '{name}' has missing values (NaN or masked,"
                f" {int(np.prod(shapes[v.name]))}), which cannot be sampled; drop them"
            )


def _check_middle(blocks: Sequence[Block], transform: Batched) -> None:
    middle = transform(np.full((1, sum(block.size for block in blocks)), 0.5))[0]
    for block, part in zip(blocks, _slices(blocks), strict=True):
        if not np.isfinite(middle[part]).all():
            raise SkymixError(
                f"the prior of '{block.name}' has no value in its middle; check its parameters"
            )


def _slices(blocks: Sequence[Block]) -> list[slice]:
    ends = np.cumsum([block.size for block in blocks]).tolist()
    return [slice(end - block.size, end) for end, block in zip(ends, blocks, strict=True)]


def _in_order(variables: Sequence[Any]) -> list[Any]:
    """Variables, each after those that its prior depends on."""
    from pytensor.graph.traversal import ancestors

    needs = {v: set(variables).intersection(ancestors(v.owner.inputs)) for v in variables}
    ordered: list[Any] = []
    while len(ordered) < len(variables):
        ordered += [next(v for v in variables if v not in ordered and needs[v] <= set(ordered))]
    return ordered


def _replaced(graphs: Sequence[Any], values: Mapping[Any, Any]) -> list[Any]:
    from pytensor.graph.replace import clone_replace

    return list(clone_replace(list(graphs), dict(values)))


def _flat(graphs: Sequence[Any]) -> Any:
    from pytensor import tensor as pt

    parts = [pt.as_tensor(graph).astype("float64").flatten() for graph in graphs]
    return pt.concatenate(parts) if parts else pt.zeros((0,))


def _shapes(
    graphs: Mapping[str, Any], theta: Any, points: FloatArray
) -> dict[str, tuple[int, ...]]:
    """Shapes of graphs, by name; refuses one that differs between the points."""
    import pytensor

    if not graphs:
        return {}
    shape_of = pytensor.function(
        [theta], [g.shape for g in graphs.values()], mode=MODE, on_unused_input="ignore"
    )
    at_points = [[tuple(map(int, shape)) for shape in shape_of(point)] for point in points]
    for name, shapes in zip(graphs, zip(*at_points, strict=True), strict=True):
        if len(set(shapes)) > 1:
            raise SkymixError(
                f"the shape of the deterministic '{name}' depends on the parameters"
                f" ({min(shapes)}, {max(shapes)}); give it one shape, for example with pt.where"
            )
    return dict(zip(graphs, at_points[0], strict=True))


def _determined(graph: Any, what: str) -> Any:
    """Graph without the random generators that it does not need; refuses one that needs any.

    A mixture, for one, has draws of its components in the graph of its density, for their shape.
    """
    from pytensor.graph.fg import FunctionGraph
    from pytensor.graph.rewriting.utils import rewrite_graph

    if not _is_random(graph):
        return graph
    whole = FunctionGraph(outputs=[graph], clone=True, copy_inputs=False)
    rewrite_graph(whole, include=("ShapeOpt", "canonicalize"))
    if _is_random(whole.outputs[0]):
        raise SkymixError(
            f"{what} would be random: it depends on a distribution that is no variable of the"
            " model; make that a variable, with a name"
        )
    return whole.outputs[0]


def _is_random(graph: Any) -> bool:
    from pytensor.graph.traversal import graph_inputs
    from pytensor.tensor.random.type import RandomType

    return any(isinstance(v.type, RandomType) for v in graph_inputs([graph]))


def _batched(point: Any, result: Any) -> Batched:
    """Compiled function of many points, from a graph of one: a compiled loop over the points."""
    import pytensor
    from pytensor import tensor as pt
    from pytensor.compile.builders import OpFromGraph
    from pytensor.tensor.blockwise import Blockwise

    (ndim,) = point.type.shape
    points = pt.matrix(point.name, shape=(None, ndim))
    inner, shared = _constant(point, result)
    signature = "(d)->(k)" if result.type.ndim else "(d)->()"
    outcome = Blockwise(OpFromGraph([inner], [shared]), signature=signature)(points)
    # Code from PyTensor's cache is not inlined where fresh code is: with it, the last bits of a
    # value would depend on what was compiled before, here or in another process.
    with pytensor.config.change_flags(numba__cache=False):
        compiled = pytensor.function([points], outcome, mode=MODE, trust_input=True)

    def evaluate(at: FloatArray) -> FloatArray:
        return np.asarray(compiled(np.ascontiguousarray(at, dtype=np.float64)))

    return evaluate


def _constant(point: Any, result: Any) -> tuple[Any, Any]:
    """Graph with its shared data as constants, and -inf or NaN where a check fails."""
    from pymc.logprob.utils import local_check_parameter_to_ninf_switch
    from pytensor import tensor as pt
    from pytensor.compile.sharedvalue import SharedVariable
    from pytensor.graph.fg import FunctionGraph
    from pytensor.graph.replace import clone_replace
    from pytensor.graph.rewriting.basic import in2out
    from pytensor.graph.traversal import graph_inputs

    shared = {
        v: pt.constant(v.get_value())
        for v in graph_inputs([result])
        if isinstance(v, SharedVariable)
    }
    (whole,) = clone_replace([result], shared)
    graph = FunctionGraph([point], [whole], clone=True)
    in2out(local_check_parameter_to_ninf_switch, _check_to_nan()).rewrite(graph)
    return graph.inputs[0], graph.outputs[0]


def _check_to_nan() -> Any:
    """Rewrite of the checks of inverse cumulative functions, which may not become -inf."""
    from pymc.logprob.utils import CheckParameterValue
    from pytensor import tensor as pt
    from pytensor.graph.rewriting.basic import node_rewriter

    def to_nan(_: Any, node: Any) -> Any:
        value, *conditions = node.inputs
        if node.op.can_be_replaced_by_ninf or not value.dtype.startswith("float"):
            return None
        return [pt.switch(pt.all(conditions), value, np.nan).astype(value.dtype)]

    return node_rewriter([CheckParameterValue])(to_nan)


def _free_names(block: Block) -> tuple[str, ...]:
    names = np.array(element_names(block.name, block.shape)).reshape(block.shape)
    return tuple(names[..., :-1].ravel().tolist() if block.simplex else names.ravel().tolist())


def _last_names(block: Block) -> tuple[str, ...]:
    names = np.array(element_names(block.name, block.shape)).reshape(block.shape)
    return tuple(np.atleast_1d(names[..., -1]).ravel().tolist())


def _labels(model: Any, block: Block) -> tuple[str, ...]:
    """Names, with coordinates instead of numbers where all axes of a variable have them."""
    dims = model.named_vars_to_dims.get(block.name) or ()
    axes = [model.coords.get(dim) for dim in dims]
    if not axes or len(axes) != len(block.shape) or any(axis is None for axis in axes):
        return _free_names(block)
    return tuple(
        f"{block.name}[{','.join(str(axis[i]) for axis, i in zip(axes, index, strict=True))}]"
        for index in np.ndindex(*block.free_shape)
    )
