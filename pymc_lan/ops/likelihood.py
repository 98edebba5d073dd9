"""The bridge to PyTensor: one Op for the log likelihood of trials, and our formulas as PyTensor graphs.

`LANLogp` returns the log density of every trial and its derivatives in one pass, so a gradient is never a second
forward pass, and a model's graph stays small whatever the formulas are. It dispatches by backend:

* numba (PyTensor's default), C and Python to the kernel of `pymc_lan.networks.kernel`: float32 network, no threads, no
  JAX;
* JAX to `pymc_lan.ops.xla`: the same kernel on a CPU, the formulas elsewhere.

Only the JAX mode touches JAX, because a JAX call in a forked worker never returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, cast

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply, Constant
from pytensor.graph.op import Op
from pytensor.graph.replace import clone_replace
from pytensor.raise_op import CheckAndRaise
from pytensor.tensor.variable import TensorVariable

from pymc_lan.data.observation import Silence
from pymc_lan.errors import LengthError, explain
from pymc_lan.models.likelihood import Likelihood
from pymc_lan.models.model import Model, require_views
from pymc_lan.models.watched import watched
from pymc_lan.networks.kernel.kernel import Kernel, compile_kernel
from pymc_lan.networks.kernel.layout import LEADING
from pymc_lan.networks.mlp import MLP
from pymc_lan.networks.program import AnyNetwork, Program
from pymc_lan.numerics.passage import Namespace, Theta
from pymc_lan.ops.backends import register_with_backend
from pymc_lan.ops.same_rows import first_of_same
from pymc_lan.ops.undecided import log_undecided


class _PyTensor:
    """The functions of PyTensor, and Ops of ours where a formula has one."""

    log_undecided = staticmethod(log_undecided)

    def __getattr__(self, name: str) -> Any:
        return getattr(pt, name)


PYTENSOR = _PyTensor()


class LANLogp(Op):
    """Log likelihood of trials by a model's networks, and its derivatives, in one pass.

    Inputs: rt, response, deadline and the model's parameters, float64 vectors of one value per trial, or of static
    length 1; rt = inf is no response. Other lengths are a `LengthError` in every backend. Outputs: one log likelihood
    per trial, and a matrix of its derivatives, rows by rt, deadline and the parameters.

    Two Ops are equal when their model and weights are.

    Parameters
    ----------
    spec : Model
    lan : MLP
    choice : MLP, optional
        Without it, no response has log likelihood -inf.
    """

    __props__ = ("spec", "lan", "choice")

    def __init__(self, spec: Model, lan: MLP, choice: MLP | None):
        self.spec, self.lan, self.choice = spec, lan, choice

    def make_node(self, *inputs: Any) -> Apply:
        """Check the inputs and type the outputs."""
        vectors = [pt.cast(pt.as_tensor_variable(x), "float64") for x in inputs]
        names = self.names
        if len(vectors) != len(names) or any(x.type.ndim != 1 for x in vectors):
            found = ", ".join(str(x.type) for x in vectors)
            raise ValueError(explain(f"vectors {', '.join(names)}", found, "call log_likelihood() instead"))
        known = {x.type.shape[0] for x in vectors} - {1}
        n = 1 if not known else (known.pop() if len(known) == 1 else None)
        shape = (len(names) - 1, n)
        return Apply(self, vectors, [pt.tensor(dtype="float64", shape=s) for s in (shape[1:], shape)])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: list[list[Any]]) -> None:
        """Run the kernel, in C and Python modes."""
        self.check_lengths(node, inputs)
        kernel = compiled_kernel(self)
        # np.broadcast_arrays would try to make writable again what PyTensor has made read-only: views of constants.
        shape = np.broadcast_shapes(*(x.shape for x in inputs))
        output_storage[0][0], output_storage[1][0] = kernel(np.stack([np.broadcast_to(x, shape) for x in inputs]))

    @property
    def names(self) -> tuple[str, ...]:
        """What the inputs are."""
        return (*LEADING, *self.spec.names)

    def check_lengths(self, node: Apply, arrays: Sequence[Any]) -> None:
        """Refuse arrays of another length than the trials, as PyTensor's own Ops do."""
        n = arrays[_counting(node)].size
        for i, (x, array) in enumerate(zip(node.inputs, arrays, strict=True)):
            if array.size != (1 if x.type.shape[0] == 1 else n):
                raise LengthError(",".join(self.names), i, array.size, n)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        """The number of trials is that of any input that is not of static length 1."""
        n = shapes[_counting(node)][0]
        return [(n,), (pt.constant(len(shapes) - 1, dtype="int64"), n)]

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """The gradient from the derivatives at hand; that of the derivatives (for Hessians) from a plain graph."""
        of_value, of_partials = cotangents
        smooth = [i for i in range(len(inputs)) if i != RESPONSE]
        result: list[Any] = [pt.zeros_like(x) for x in inputs]
        if not isinstance(of_value.type, DisconnectedType):
            for row, i in enumerate(smooth):
                result[i] = _sum_to(inputs[i], of_value * outputs[1][row])
        if not isinstance(of_partials.type, DisconnectedType):
            second = self._pull_partials(inputs, smooth, of_partials)
            for i, term in zip(smooth, second, strict=True):
                result[i] = result[i] + term
        return result

    def _pull_partials(self, inputs: Sequence[Any], smooth: list[int], of_partials: Any) -> list[Any]:
        if not require_views(self.spec).symbolic:
            raise NotImplementedError(
                explain(
                    "a model whose formulas PyTensor knows, for second derivatives",
                    f"{self.spec.name!r}, which is given by functions written in jax.numpy",
                    "use the gradient only, or backend='jax'",
                )
            )
        copies: list[Any] = [x.type() for x in inputs]
        # Per argument and trial, before the sum that broadcasting implies.
        wide = pt.broadcast_arrays(*copies)
        rt, response, deadline, *parameters = wide
        given = [rt, response, None if self.choice is None else deadline, *parameters]
        value = formula(self.spec, self.lan, self.choice, given)
        rows: Any = pt.grad(value.sum(), [wide[i] for i in smooth], disconnected_inputs="ignore")
        weighted = (pt.stack(rows) * of_partials).sum()
        known = [of_partials, copies[RESPONSE]]
        second: Any = pt.grad(
            weighted, [copies[i] for i in smooth], consider_constant=known, disconnected_inputs="ignore"
        )
        return list(clone_replace(second, dict(zip(copies, inputs, strict=True))))


# Positions among the inputs: of the response, a code, which nothing is differentiated by, and of the deadline.
RESPONSE, DEADLINE = 1, 2


def _counting(node: Apply) -> int:
    """Which input tells the number of trials: the first whose static length is not 1."""
    return next((i for i, x in enumerate(node.inputs) if x.type.shape[0] != 1), 0)


def _sum_to(x: TensorVariable, gradient: TensorVariable) -> TensorVariable:
    return gradient.sum(keepdims=True) if x.type.shape[0] == 1 else gradient


def formula(
    spec: Model,
    lan: AnyNetwork | None,
    choice: AnyNetwork | None,
    inputs: Sequence[TensorVariable | None],
    silence: Silence | None = None,
) -> TensorVariable:
    """The log likelihood as a plain PyTensor graph, for closed forms and Hessians; inputs as of `log_likelihood`."""
    rt, response, deadline, *parameters = inputs
    theta = dict(zip(spec.names, parameters, strict=True))
    likelihood = _likelihood(spec, lan, choice, silence)
    return cast("TensorVariable", likelihood.log_trial(PYTENSOR, rt, response, deadline, theta))


def _likelihood(spec: Model, lan: AnyNetwork | None, choice: AnyNetwork | None, silence: Silence | None) -> Likelihood:
    lan_graph, choice_graph = (None if mlp is None else partial(network_graph, mlp) for mlp in (lan, choice))
    return Likelihood(spec, lan_graph, choice_graph, silence)


def network_graph(mlp: AnyNetwork, inputs: Sequence[TensorVariable]) -> TensorVariable:
    """A network of one output as a plain PyTensor graph, in float64."""
    axes = max(x.type.ndim for x in inputs)
    lengths = {x.type.shape[0] for x in inputs if axes > 1 and x.type.ndim == axes}
    if axes < 2 or None in lengths:
        return mlp.outputs(PYTENSOR, tuple(inputs))[0]
    # Of a stack row after row: all at once would be reshaped to lengths that JAX has to know.
    rows = (
        [x if x.type.ndim < axes else x[0 if x.type.shape[0] == 1 else i] for x in inputs] for i in range(max(lengths))
    )
    return cast("TensorVariable", pt.stack([network_graph(mlp, row) for row in rows]))


def log_likelihood(
    spec: Model,
    lan: AnyNetwork | None,
    choice: AnyNetwork | None,
    inputs: Sequence[TensorVariable | None],
    silence: Silence | None = None,
) -> TensorVariable:
    """Build the log likelihood of trials.

    Parameters
    ----------
    spec : Model
    lan, choice : MLP or Program, optional
        None for the closed form.
    inputs : sequence of TensorVariable
        rt, response, deadline and the model's parameters in order; they broadcast. Without a deadline (None) rt = inf
        has no probability.
    silence : Silence or None
        What rt = inf says of a trial; None where the networks or the closed form know one thing only.

    Returns
    -------
    TensorVariable
        float64, of the broadcast shape.
    """
    spec = watched(spec, choice, silence)
    if lan is not None and silence is Silence.OMISSION and choice is None and inputs[DEADLINE] is not None:
        return _with_survivor(spec, lan, inputs)
    # Races are graphs of elementwise functions and two small networks, which every backend knows as they are; and so
    # are networks of other forms.
    if lan is None or require_views(spec).choice is None or isinstance(lan, Program) or isinstance(choice, Program):
        return formula(spec, lan, choice, inputs, silence)
    op: Any = LANLogp(spec, lan, None if inputs[DEADLINE] is None else choice)
    given = [pt.constant(np.inf, dtype="float64") if x is None else x for x in inputs]
    if all(x.type.ndim <= 1 for x in given):
        value = op(*(x if x.type.ndim else pt.expand_dims(x, 0) for x in given))[0]
        return value if any(x.type.ndim for x in given) else value[0]
    wide = pt.broadcast_arrays(*given)
    return op(*(x.reshape((-1,)) for x in wide))[0].reshape(wide[0].shape)


def _with_survivor(spec: Model, lan: AnyNetwork, inputs: Sequence[TensorVariable | None]) -> TensorVariable:
    """The density by a network, and the probability of no decision by the model's own formula."""
    rt, response, deadline, *parameters = inputs
    assert rt is not None
    responded = rt < np.inf
    theta = dict(zip(spec.names, parameters, strict=True))
    likelihood = _likelihood(spec, lan, None, Silence.OMISSION)
    graph = LikelihoodGraph(spec, lan, None, Silence.OMISSION)

    def of_trials(trials: Theta, own: Theta) -> TensorVariable:
        return log_likelihood(spec, lan, None, [trials["rt"], trials["response"], None, *own.values()])

    rows = np.isfinite(rt.data) if isinstance(rt, Constant) else np.bool_(True)
    trials = {"rt": pt.where(responded, rt, 1.0), "response": response}
    seen = graph.at(rows, of_trials, trials, theta)
    if likelihood.log_survivor is None:
        return cast("TensorVariable", pt.where(responded, seen, _of_silent(graph, rt, deadline, theta, graph.log_left)))
    if not isinstance(rt, Constant) and any(
        x.type.ndim and x.type.shape[-1] != 1 for x in (deadline, *parameters) if x is not None
    ):
        # Where there is a response nothing is asked, which takes no time; what all trials share is found once.
        deadline = pt.where(responded, np.inf, deadline)
    none = _of_silent(graph, rt, deadline, theta, lambda end, own: likelihood.log_none(PYTENSOR, end, own))
    return cast("TensorVariable", pt.where(responded, seen, none))


def _of_silent(
    graph: LikelihoodGraph, rt: Any, deadline: Any, theta: Theta, function: Callable[[Any, Theta], Any]
) -> Any:
    """Log probability of no decision by the deadline, of the trials without a response where they are known."""
    rows = np.isinf(rt.data) if isinstance(rt, Constant) else np.bool_(True)
    if isinstance(deadline, Constant) and np.unique(deadline.data).size == 1:
        deadline = pt.constant(deadline.data.ravel()[0])
    return graph.at(rows, lambda end, own: function(end["deadline"], own), {"deadline": deadline}, theta)


@dataclass(frozen=True, slots=True)
class LikelihoodGraph:
    """The `pymc_lan.data.observation.TrialLikelihood` of a model in PyTensor.

    Parameters
    ----------
    spec : Model
    lan, choice : MLP or Program, optional
        None for the closed form.
    silence : Silence or None
        What rt = inf says of a trial.
    """

    spec: Model
    lan: AnyNetwork | None
    choice: AnyNetwork | None
    silence: Silence | None

    def log_trial(self, xp: Namespace, rt: Any, response: Any, deadline: Any, theta: Theta) -> TensorVariable:
        """Log density of trials as a graph; the namespace is always PyTensor's."""
        given = (rt, response, deadline, *(theta[name] for name in self.spec.names))
        inputs = [None if x is None else pt.as_tensor_variable(x) for x in given]
        return log_likelihood(self.spec, self.lan, self.choice, inputs, self.silence)

    def log_mass(
        self, xp: Namespace, low: Any, high: Any, response: Any, theta: Theta, *, short: bool = False
    ) -> TensorVariable:
        """Log probability of a response between two times, as a graph."""
        own, values = _likelihood(self.spec, self.lan, self.choice, self.silence), _as_tensors(theta)
        low, high, response = (pt.as_tensor_variable(x) for x in (low, high, response))
        found = own.log_mass(xp, low, high, response, values, short=short, log_density=self._log_density)
        return cast("TensorVariable", found)

    def log_left(self, deadline: Any, theta: Theta) -> TensorVariable:
        """Log of the share of the density beyond a deadline, as a graph."""
        own, values = _likelihood(self.spec, self.lan, self.choice, self.silence), _as_tensors(theta)
        found = own.log_left(PYTENSOR, pt.as_tensor_variable(deadline), values, self._log_density)
        return cast("TensorVariable", found)

    def _log_density(self, rt: Any, response: Any, theta: Theta) -> TensorVariable:
        """Log density of several times of each trial."""
        given = [rt, response, *(theta[name] for name in self.spec.names)]
        rt, response, *parameters = inputs = [pt.as_tensor_variable(x) for x in given]
        if not isinstance(self.lan, Program):
            return log_likelihood(self.spec, self.lan, self.choice, [rt, response, None, *parameters])
        # One long row, because its graph repeats itself for each.
        wide = pt.broadcast_arrays(*inputs)
        rt, response, *parameters = (x.ravel() for x in wide)
        found = log_likelihood(self.spec, self.lan, self.choice, [rt, response, None, *parameters])
        return found.reshape(wide[0].shape, ndim=wide[0].ndim)

    def at(self, rows: Any, function: Callable[..., Any], *groups: Mapping[str, Any]) -> Any:
        """Value of a function of arrays by name in some rows, and 0 elsewhere.

        Only there where the data are part of the graph; of data that may be exchanged it is looked at everywhere. Rows
        that are the same are looked at once.
        """
        tensors = [_as_tensors(group) for group in groups]
        axes = max(x.type.ndim for group in tensors for x in group.values())
        if not isinstance(rows, np.ndarray) or rows.ndim == 0 or axes > rows.ndim:
            return function(*tensors)
        if not rows.any():
            return 0.0

        def some(x: TensorVariable) -> TensorVariable:
            if x.type.ndim == 0 or (x.type.ndim == 1 and x.type.shape == (1,)):
                return x
            return pt.broadcast_to(x, rows.shape)[np.nonzero(rows)]

        found = self.once(function, *({name: some(x) for name, x in group.items()} for group in tensors))
        zeros: Any = pt.zeros(rows.shape, dtype="float64")
        return zeros[np.nonzero(rows)].set(found)

    def once(self, function: Callable[..., Any], *groups: Mapping[str, Any]) -> Any:
        """Value of a function of arrays by name, looked at once for rows that are known to be the same."""
        tensors = [_as_tensors(group) for group in groups]
        every = [x for group in tensors for x in group.values()]
        lengths = {x.type.shape[0] for x in every if x.type.ndim} - {1}
        plain = max((x.type.ndim for x in every), default=0) == 1 and len(lengths) == 1 and None not in lengths
        same = first_of_same(every, lengths.pop()) if plain else None
        if same is None:
            return function(*tensors)
        first, which = same
        some = [{k: x[first] if x.type.ndim and x.type.shape != (1,) else x for k, x in g.items()} for g in tensors]
        found = function(*some)
        return found[which] if found.type.ndim else found


def _as_tensors(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: pt.as_tensor_variable(x) for name, x in values.items()}


def compiled_kernel(op: LANLogp) -> Kernel:
    """An Op's kernel."""
    return compile_kernel(op.spec, op.lan, op.choice)


def _register_numba() -> None:
    from pytensor.link.numba.dispatch.basic import numba_funcify_and_cache_key, register_funcify_and_cache_key

    if LANLogp in numba_funcify_and_cache_key.registry:
        return

    @register_funcify_and_cache_key(LANLogp)
    def numba_lan_logp(op: LANLogp, node: Apply, **kwargs: Any) -> tuple[Any, str]:
        from numba import literal_unroll, njit, types

        kernel = compiled_kernel(op)
        n_scratch, numbers = kernel.scratch, types.CPointer(types.float64)
        places = types.CPointer(types.int64)
        # By symbol and not by address, so that what PyTensor caches on disk is right in the next process.
        function: Any = types.ExternalFunction(
            kernel.name, types.void(types.int64, types.int64, places, places, numbers, numbers, numbers)
        )
        counting, n_inputs, names = _counting(node), len(node.inputs), ",".join(op.names)
        shared = tuple(x.type.shape[0] == 1 for x in node.inputs)

        @njit
        def lan_logp(*inputs: Any) -> Any:
            n = inputs[counting].size
            rows, strides = np.empty(n_inputs, np.int64), np.zeros((n_inputs, 2), np.int64)
            row, wrong, length = 0, -1, 0
            for given in literal_unroll(inputs):
                if given.size == (1 if shared[row] else n):
                    rows[row] = given.ctypes.data
                    if not shared[row]:
                        strides[row, 1] = given.strides[0] // 8
                else:
                    wrong, length = row, given.size
                row += 1  # noqa: SIM113 - literal_unroll takes no enumerate
            if wrong >= 0:
                raise LengthError(names, wrong, length, n)
            value, partials, scratch = np.empty(n), np.empty((n_inputs - 1, n)), np.empty(n_scratch)
            function(1, n, rows.ctypes, strides.ctypes, value.ctypes, partials.ctypes, scratch.ctypes)
            return value, partials

        # It is part of a file's name, so it must not grow with the names of parameters.
        return lan_logp, f"{kernel.name}-{sha256(f'{names}-{shared}'.encode()).hexdigest()[:16]}"


class Checked(CheckAndRaise):
    """Hands on a value, and raises a ValueError where a condition does not hold.

    JAX cannot raise: there, what is computed from an unknown code has to be NaN already.
    """


def checked(value: TensorVariable, condition: TensorVariable, message: str) -> TensorVariable:
    """Hand on a value where a condition holds; a ValueError else, and in JAX the value all the same."""
    found: Any = Checked(ValueError, message)(value, condition)
    return cast("TensorVariable", found)


def known_codes(value: TensorVariable, known: TensorVariable) -> TensorVariable:
    """Hand on drifts where every trial type, which a variable holds, is `known`; a ValueError, or NaN in JAX, else."""
    message = explain(
        "trial types in a variable coded 1 and 0, 1 and -1, or True and False",
        "other numbers when the model was evaluated",
        "correct what was given to pm.set_data",
    )
    return checked(cast("TensorVariable", pt.where(known, value, np.nan)), pt.all(known), message)


def _register_jax() -> None:
    from pytensor.link.jax.dispatch import jax_funcify

    if LANLogp in jax_funcify.registry:
        return
    jax_funcify.register(Checked)(lambda op, **kwargs: lambda value, *_: value)

    @jax_funcify.register(LANLogp)
    def jax_lan_logp(op: LANLogp, node: Apply, **kwargs: Any) -> Any:
        from pymc_lan.ops.xla import Trials, value_and_partials

        rt: Any = node.inputs[0]
        # Data that are part of the graph say which of the two networks a trial needs.
        known = op.choice is not None and isinstance(rt, Constant) and rt.data.size > 1
        trials = Trials(op.spec, op.lan, op.choice, tuple(np.isfinite(rt.data).tolist()) if known else None)

        def lan_logp(*inputs: Any) -> tuple[Any, Any]:
            op.check_lengths(node, inputs)
            return value_and_partials(trials, inputs)

        return lan_logp


register_with_backend("numba", "pymc_lan_numba", _register_numba)
register_with_backend("jax", "pymc_lan_jax", _register_jax)
