"""One vectorised log density for all models that are one graph with other numbers in it.

The numbers that differ become inputs before PyMC derives the log density, so nothing of one subject is built into what
another is computed with. Draws are rows of a matrix; `pytensor.graph.replace.vectorize_graph` sees to the rest, and
`pymc_lan.ops.sets` to the networks. Functions run in Python, node by node on whole arrays: they are compiled in a tenth
of a second, where numba would take longer than many subjects need.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.distributions.trial_rv import TrialRV
from pymc_lan.inference.subjects.arrays import python_mode
from pymc_lan.inference.subjects.trace import Leaf, roots, trace

Float = NDArray[np.float64]

# Numbers of trials times draws that are evaluated at once: some arrays of as many doubles stay in the caches.
AT_ONCE = 2**18


@contextmanager
def without_blas() -> Iterator[None]:
    """Compile functions that run in Python, where products are NumPy's: that PyTensor finds no BLAS does not matter."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PyTensor could not link to a BLAS", UserWarning)
        yield


@dataclass(frozen=True, slots=True)
class Functions:
    """What is computed of rows of unconstrained values, and of a subject's numbers.

    Parameters
    ----------
    value, slope, variables : callable
        Log density (n,); log density and gradient (n, n_values); and the variables on their own scale, each (n, ...).
    """

    value: Any
    slope: Any
    variables: Any

    @property
    def share_memory(self) -> bool:
        """Whether copies do: a function within a function, as of `scan`, is one for all of them."""
        from pytensor.graph.op import HasInnerGraph
        from pytensor.tensor.blockwise import Blockwise

        graphs = (f.maker.fgraph for f in (self.value, self.slope, self.variables))
        return any(isinstance(node.op, HasInnerGraph | Blockwise) for graph in graphs for node in graph.apply_nodes)

    def copy(self) -> Functions:
        """Another set, for another thread: a compiled function has memory."""
        return Functions(self.value.copy(), self.slope.copy(), self.variables.copy())


class Template:
    """The log density of models that are the same graph.

    Parameters
    ----------
    model : pm.Model
        One of them.
    numbers : sequence of list of ndarray
        Of each of them, the numbers in its leaves, in the order of `pymc_lan.inference.subjects.trace`.

    Attributes
    ----------
    begin : ndarray
        The model's initial point, flat.
    """

    def __init__(self, model: Any, numbers: Sequence[list[Leaf]]) -> None:
        import pytensor.tensor as pt

        import pymc_lan.ops.sets  # noqa: F401 - tells PyTensor how the likelihood is vectorised

        self.model = model
        self._differ = [i for i, first in enumerate(numbers[0]) if not all(_same(first, x[i]) for x in numbers)]
        with without_blas():
            point = model.initial_point(random_seed=0)
        self._values = [(v, np.shape(point[v.name])) for v in model.value_vars]
        self.begin: Float = np.concatenate([np.ravel(point[v.name]).astype(np.float64) for v in model.value_vars])
        self._flat: Any = pt.vector("flat", shape=(self.begin.size,), dtype="float64")
        self._generic(numbers)

    def given(self, numbers: list[Leaf]) -> list[Leaf]:
        """Of a model's numbers those that are inputs."""
        return [numbers[i] for i in self._differ]

    def _generic(self, numbers: Sequence[list[Leaf]]) -> None:
        """The model's variables, made of inputs where models differ."""
        leaves = trace(self.model).variables
        self._inputs = [_input(leaves[i], [x[i] for x in numbers]) for i in self._differ]
        self._new = _rebuilt(roots(self.model), {leaves[i]: x for i, x in zip(self._differ, self._inputs, strict=True)})

    def _terms(self) -> list[Any]:
        """Terms of the log density in terms of the unconstrained values."""
        from pymc.logprob.basic import transformed_conditional_logp

        model, new = self.model, self._new
        values = {new[rv]: model.rvs_to_values[rv] for rv in model.free_RVs}
        values |= {new[rv]: new[model.rvs_to_values[rv]] for rv in model.observed_RVs}
        transforms = {new[rv]: x for rv, x in model.rvs_to_transforms.items()}
        rvs = [new[rv] for rv in model.basic_RVs]
        found = transformed_conditional_logp(rvs, rvs_to_values=values, rvs_to_transforms=transforms)
        return [*found, *self._by_values([new[x] for x in model.potentials])]

    def _by_values(self, variables: Sequence[Any]) -> list[Any]:
        from pymc.logprob.utils import replace_rvs_by_values

        model, new = self.model, self._new
        values = {new[rv]: model.rvs_to_values[rv] for rv in model.free_RVs}
        transforms = {new[rv]: model.rvs_to_transforms[rv] for rv in model.free_RVs}
        return list(replace_rvs_by_values(variables, rvs_to_values=values, rvs_to_transforms=transforms))

    def functions(self, names: Sequence[str]) -> Functions:
        """Compile; `names` are the variables that are wanted."""
        import pytensor

        value = self._density()
        slope: Any = pytensor.grad(value, self._flat)
        return Functions(self._compiled([value]), self._compiled([value, slope]), self.variables(names))

    def value(self) -> Any:
        """A function from rows of unconstrained values to log densities alone."""
        return self._compiled([self._density()])

    def _density(self) -> Any:
        [value] = self._of_flat([sum(_without_checks(self._terms()), start=0.0)])
        return value

    def variables(self, names: Sequence[str]) -> Any:
        """A function from rows of unconstrained values to variables."""
        return self._compiled(self._of_flat(self._by_values([self._new[self.model[name]] for name in names])))

    def shapes(self) -> Any:
        """A function from a model's numbers to the shapes of its free variables."""
        import pytensor

        # Of what they are told when they are made: nothing is drawn.
        shapes = [self._new[rv].shape for rv in self.model.free_RVs]
        with without_blas():
            return pytensor.function(self._inputs, shapes, mode="FAST_COMPILE", on_unused_input="ignore")

    def draws(self, n: int) -> Callable[[int, list[Leaf]], list[NDArray[Any]]]:
        """A function that draws n times from prior and likelihood.

        Parameters
        ----------
        n : int

        Returns
        -------
        callable
            From a seed and the numbers that are `given` to rows of unconstrained values (n, n_values), and to what is
            drawn of each observed variable (n, ...).
        """
        import pytensor.tensor as pt
        from pymc.distributions.shape_utils import change_dist_size
        from pymc.pytensorf import compile as compiled
        from pymc.pytensorf import find_rng_nodes, reseed_rngs
        from pytensor.graph.replace import vectorize_graph
        from pytensor.graph.traversal import ancestors

        free = [self._new[rv] for rv in self.model.free_RVs]
        above = {rv: {*ancestors([rv])} - {rv} for rv in free}
        first = {rv: change_dist_size(rv, (n,), expand=True) for rv in free if not above[rv].intersection(free)}
        later = [*(rv for rv in free if rv not in first), *(self._new[rv] for rv in self.model.observed_RVs)]
        drawn = first | dict(zip(later, vectorize_graph(later, replace=first), strict=True))
        parts = []
        for rv, own in zip(free, self.model.free_RVs, strict=True):
            change, x = self.model.rvs_to_transforms[own], drawn[rv]
            parts.append((x if change is None else change.forward(x, *x.owner.inputs)).reshape((n, -1)))
        outputs = [
            pt.concatenate(parts, axis=1).astype("float64"),
            *(drawn[rv] for rv in later[len(free) - len(first) :]),
        ]
        rngs = find_rng_nodes(outputs)
        function = compiled(self._inputs, outputs, mode="FAST_COMPILE", on_unused_input="ignore")

        def draw(seed: int, given: list[Leaf]) -> list[NDArray[Any]]:
            reseed_rngs(rngs, seed)
            found: list[NDArray[Any]] = function(*given)
            return found

        return draw

    def _of_flat(self, outputs: Sequence[Any]) -> list[Any]:
        """Functions of the unconstrained values as functions of the flat vector of them."""
        from pytensor.graph.replace import clone_replace

        parts, first = {}, 0
        for value, shape in self._values:
            n = int(np.prod(shape))
            parts[value] = self._flat[first : first + n].reshape(shape).astype(value.dtype)
            first += n
        return list(clone_replace(list(outputs), parts))

    def _compiled(self, outputs: Sequence[Any]) -> Any:
        import pytensor
        import pytensor.tensor as pt
        from pytensor.graph.replace import vectorize_graph

        rows = pt.matrix("rows", shape=(None, self.begin.size), dtype="float64")
        # What depends on no value has to have a row for each draw, too.
        every = [x + (0 * self._flat.sum()).astype(x.dtype) for x in outputs]
        options: Any = {"mode": python_mode(), "on_unused_input": "ignore", "allow_input_downcast": True}
        with without_blas():
            return pytensor.function([rows, *self._inputs], vectorize_graph(every, {self._flat: rows}), **options)


def _same(x: Leaf, y: Leaf) -> bool:
    return x is y or (x.shape == y.shape and x.tobytes() == y.tobytes())


def _input(leaf: Any, numbers: Sequence[Leaf]) -> Any:
    """An input in the place of a leaf, of a length that is known where all models have it."""
    import pytensor.tensor as pt

    lengths = [{*n} for n in zip(*(x.shape for x in numbers), strict=True)]
    return pt.tensor(leaf.name, dtype=leaf.type.dtype, shape=tuple(n.pop() if len(n) == 1 else None for n in lengths))


def _rebuilt(outputs: Sequence[Any], new: dict[Any, Any]) -> dict[Any, Any]:
    """All variables of a graph, made anew where something that they are made of is."""
    from pytensor.graph.traversal import toposort

    for node in toposort(outputs):
        inputs = [new.get(x, x) for x in node.inputs]
        if inputs != node.inputs:
            found = _freed(node.op).make_node(*inputs).outputs
            for old, made in zip(node.outputs, found, strict=True):
                made.name = old.name
                new[old] = made
    return {**{x: x for x in outputs}, **new}


def _freed(op: Any) -> Any:
    """An op that does not remember how many trials there were when it was made."""
    if isinstance(op, TrialRV) and op.lengths:
        op = copy(op)
        op.lengths = ()
    return op


def _without_checks(terms: Sequence[Any]) -> list[Any]:
    """Sums of terms that are -inf, for its draw alone, where a parameter is none."""
    from pymc.logprob.utils import local_check_parameter_to_ninf_switch
    from pytensor.graph.fg import FunctionGraph
    from pytensor.graph.rewriting.basic import in2out

    graph = FunctionGraph(outputs=[x.sum() for x in terms], clone=False)
    in2out(local_check_parameter_to_ninf_switch).rewrite(graph)
    return list(graph.outputs)
