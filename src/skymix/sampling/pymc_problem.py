"""Any PyMC model as a problem for nested sampling."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skymix.axes import FloatArray
from skymix.errors import SkymixError
from skymix.sampling.pymc_import import MODE, import_pymc
from skymix.sampling.pymc_prior import Block, block_of, element_names, from_cube

Batched = Callable[[FloatArray], FloatArray]


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
        If nothing is free or observed, or a variable has no transform from the unit cube: it is
        discrete, improper, or its distribution has no inverse cumulative function.
    """
    pm = import_pymc()
    from pytensor import tensor as pt

    variables = _in_order(model.free_RVs)
    if not variables:
        raise SkymixError("the model has no free variable, there is nothing to sample")
    if not (model.observed_RVs or model.potentials):
        raise SkymixError("the model has no likelihood; give it observed variables or potentials")
    shapes = model.eval_rv_shapes()
    blocks = [block_of(model, v, tuple(map(int, shapes[v.name]))) for v in variables]
    ndim = sum(block.size for block in blocks)
    u, theta = pt.vector("u", shape=(ndim,)), pt.vector("theta", shape=(ndim,))

    drawn: dict[Any, Any] = {}
    for v, block, part in zip(variables, blocks, _parts(blocks), strict=True):
        (value,) = _replaced([from_cube(model, v, block, u[part])], drawn)
        drawn[v] = value.astype(v.dtype)
    columns = [b.columns(drawn[v]) for v, b in zip(variables, blocks, strict=True)]

    given = {
        v: b.value(theta[part])
        for v, b, part in zip(variables, blocks, _parts(blocks), strict=True)
    }
    data = {v: model.rvs_to_values[v] for v in model.observed_RVs}
    terms = [pm.logp(v, value, warn_rvs=False) for v, value in data.items()]
    terms = _replaced([*terms, *model.potentials], given | data)
    likelihood = pt.add(*[pt.sum(term) for term in terms], 0.0)

    last = [(v, b) for v, b in zip(variables, blocks, strict=True) if b.simplex]
    derived = [given[v][..., -1] for v, _ in last] + _replaced(list(model.deterministics), given)
    derived_names = [_last_names(block) for _, block in last] + [
        element_names(d.name, shape)
        for d, shape in zip(model.deterministics, _shapes(derived[len(last) :], theta), strict=True)
    ]
    return PymcProblem(
        names=tuple(name for b in blocks for name in _free_names(b)),
        labels=tuple(label for b in blocks for label in _labels(model, b)),
        derived_names=tuple(name for names in derived_names for name in names),
        _transform=_batched(u, pt.concatenate(columns)),
        _likelihood=_batched(theta, likelihood),
        _derive=_batched(theta, _flat(derived)),
    )


def _parts(blocks: Sequence[Block]) -> list[slice]:
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


def _replaced(graphs: list[Any], values: dict[Any, Any]) -> list[Any]:
    from pytensor.graph.replace import clone_replace

    return list(clone_replace(graphs, values))


def _flat(graphs: Sequence[Any]) -> Any:
    from pytensor import tensor as pt

    parts = [pt.as_tensor(graph).astype("float64").flatten() for graph in graphs]
    return pt.concatenate(parts) if parts else pt.zeros((0,))


def _shapes(graphs: Sequence[Any], theta: Any) -> list[tuple[int, ...]]:
    """Shapes of graphs, which do not depend on the parameters' values."""
    import pytensor

    if not graphs:
        return []
    shape_of = pytensor.function(
        [theta], [graph.shape for graph in graphs], mode=MODE, on_unused_input="ignore"
    )
    return [tuple(map(int, shape)) for shape in shape_of(np.full(theta.type.shape, 0.5))]


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
    """Graph with its shared data as constants, and -inf where a distribution has no parameters."""
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
    in2out(local_check_parameter_to_ninf_switch).rewrite(graph)
    return graph.inputs[0], graph.outputs[0]


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
