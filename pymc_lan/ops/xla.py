"""The log likelihood of trials in JAX: on a CPU the compiled kernel; elsewhere, and for curvature, the formulas.

XLA takes up to half a minute to compile what the formulas say, and its code is slower than the kernel. So a primitive
of JAX stands for the likelihood and its derivatives. What it becomes is decided when it is lowered for a platform: on a
CPU a call of the kernel through XLA's foreign function interface; anywhere else, in single precision and where jaxlib
has a version of the interface that has not been tested, the formulas around the Flax module of
`pymc_lan.networks.flax`. (`jax.lax.platform_dependent` would trace the formulas on every platform.) A second primitive,
linear in a direction, is the derivative of the first one's derivatives: always the formulas, lowered where it is used.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from pymc_lan.models.model import Model
from pymc_lan.networks.flax import JAX, likelihood_in_jax
from pymc_lan.networks.kernel.kernel import compile_kernel
from pymc_lan.networks.kernel.layout import CODES
from pymc_lan.networks.kernel.xla import VERSION, handler_name
from pymc_lan.networks.mlp import MLP


@dataclass(frozen=True, slots=True)
class Trials:
    """What the likelihood of some trials needs to know beside their numbers.

    Parameters
    ----------
    model : Model
    lan : MLP
    choice : MLP, optional
        Without it, no response has log likelihood -inf.
    responded : tuple of bool, optional
        Which trials have a response, where that is known, so that formulas compute what each trial needs.
    """

    model: Model
    lan: MLP
    choice: MLP | None
    responded: tuple[bool, ...] | None = None


def value_and_partials(trials: Trials, arguments: Sequence[Any]) -> tuple[Any, Any]:
    """Log likelihoods and their derivatives.

    Parameters
    ----------
    trials : Trials
    arguments : sequence of array, shape (n,) or (1,)
        rt, response, deadline and the model's parameters.

    Returns
    -------
    value : array, shape (n,)
    partials : array, shape (2 + number of parameters, n)
        Rows by rt, deadline and the parameters.
    """
    dtype = jnp.result_type(float)
    value, partials = _likelihood.bind(*(jnp.asarray(x, dtype) for x in arguments), trials=trials)
    return value, partials


def _smooth(things: Sequence[Any]) -> list[Any]:
    """Those of the arguments that there are derivatives by."""
    return [x for i, x in enumerate(things) if i not in CODES]


def _shapes(arguments: Sequence[Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of the values and of their derivatives."""
    *sets, _ = arguments[0].shape
    n = next((x.shape[-1] for x in arguments if x.shape[-1] != 1), 1)
    return (*sets, n), (*sets, len(_smooth(arguments)), n)


# The formulas


def _value(trials: Trials, rt: Any, response: Any, deadline: Any, *parameters: Any) -> Any:
    """The log likelihoods by the formulas."""
    likelihood = likelihood_in_jax(trials.model, trials.lan, trials.choice)
    theta = dict(zip(trials.model.names, parameters, strict=True))
    if trials.responded is None or trials.choice is None:
        return likelihood.log_trial(JAX, rt, response, None if trials.choice is None else deadline, theta)
    order = np.argsort(~np.array(trials.responded), kind="stable")
    seen, silent = np.split(order, [sum(trials.responded)])

    def of(x: Any, rows: Any) -> Any:
        return x if x.shape[-1] == 1 else x[..., rows]

    first, rest = ({name: of(x, rows) for name, x in theta.items()} for rows in (seen, silent))
    log_density = likelihood.log_density(JAX, of(rt, seen), of(response, seen), first)
    log_none = likelihood.log_go(JAX, of(deadline, silent), rest)[1]
    sets = rt.shape[:-1]
    parts = [jnp.broadcast_to(x, (*sets, rows.size)) for x, rows in ((log_density, seen), (log_none, silent))]
    return jnp.concatenate(parts, axis=-1)[..., np.argsort(order)]


def _by_formulas(*arguments: Any, trials: Trials) -> tuple[Any, Any]:
    value, pullback = jax.vjp(partial(_value, trials), *jnp.broadcast_arrays(*arguments))
    return value, jnp.stack(_smooth(pullback(jnp.ones_like(value))), axis=-2)


def _curvature_by_formulas(*arguments: Any, trials: Trials) -> Any:
    """How the derivatives change in a direction, which comes last: rows as theirs."""
    *given, direction = arguments
    wide = tuple(jnp.broadcast_arrays(*given))
    rows = iter(jnp.moveaxis(direction, -2, 0))
    tangents = tuple(jnp.zeros_like(x) if i in CODES else next(rows) for i, x in enumerate(wide))
    return jax.jvp(lambda *x: _by_formulas(*x, trials=trials)[1], wide, tangents)[1]


# The kernel


@cache
def interface_version() -> tuple[int, int] | None:
    """The version of XLA's foreign function interface that jaxlib has, as its own header says."""
    header = Path(jax.ffi.include_dir()) / "xla" / "ffi" / "api" / "c_api.h"
    if not header.is_file():
        return None
    found = dict(re.findall(r"#define XLA_FFI_API_(MAJOR|MINOR) (\d+)", header.read_text("utf-8")))
    return (int(found["MAJOR"]), int(found["MINOR"])) if len(found) == 2 else None


@cache
def _registered(model: Model, lan: MLP, choice: MLP | None) -> tuple[str, int]:
    """Tell XLA about a kernel; return the name that it has there and the length of its scratch memory."""
    kernel = compile_kernel(model, lan, choice)
    new_capsule = ctypes.pythonapi.PyCapsule_New
    new_capsule.restype, new_capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    name = handler_name(kernel.name)
    jax.ffi.register_ffi_target(name, new_capsule(kernel.handler, None, None), platform="cpu", api_version=1)
    return name, kernel.scratch


def _on_a_cpu(*arguments: Any, trials: Trials) -> tuple[Any, Any]:
    of_value, of_partials = _shapes(arguments)
    if interface_version() != VERSION or any(x.dtype != np.float64 for x in arguments):
        return _by_formulas(*arguments, trials=trials)
    name, scratch = _registered(trials.model, trials.lan, trials.choice)
    results = [jax.ShapeDtypeStruct(shape, np.float64) for shape in (of_value, of_partials, (scratch,))]
    value, partials, _ = jax.ffi.ffi_call(name, results)(*arguments)
    return value, partials


# What JAX asks of primitives


def _primitive(name: str, formulas: Any, *, multiple: bool) -> Primitive:
    """A primitive that is lowered to formulas, and does to sets of trials what it does to one."""
    primitive = Primitive(name)
    primitive.multiple_results = multiple
    compiled = jax.jit(primitive.bind, static_argnames="trials")
    primitive.def_impl(lambda *arguments, trials: compiled(*arguments, trials=trials))
    mlir.register_lowering(primitive, mlir.lower_fun(formulas, multiple_results=multiple))

    def of_sets(arguments: Sequence[Any], axes: Sequence[Any], *, trials: Trials) -> tuple[Any, Any]:
        size = next(x.shape[axis] for x, axis in zip(arguments, axes, strict=True) if axis is not None)
        wide = [
            jnp.broadcast_to(x, (size, *x.shape)) if axis is None else jnp.moveaxis(x, axis, 0)
            for x, axis in zip(arguments, axes, strict=True)
        ]
        return primitive.bind(*wide, trials=trials), (0, 0) if multiple else 0

    batching.primitive_batchers[primitive] = of_sets
    return primitive


_likelihood = _primitive("lan_likelihood", _by_formulas, multiple=True)
_curvature = _primitive("lan_curvature", _curvature_by_formulas, multiple=False)
mlir.register_lowering(_likelihood, mlir.lower_fun(_on_a_cpu, multiple_results=True), platform="cpu")


@_likelihood.def_abstract_eval
def _likelihood_shapes(*arguments: Any, trials: Trials) -> list[ShapedArray]:
    return [ShapedArray(shape, arguments[0].dtype) for shape in _shapes(arguments)]


@_curvature.def_abstract_eval
def _curvature_shape(*arguments: Any, trials: Trials) -> ShapedArray:
    return ShapedArray(_shapes(arguments[:-1])[1], arguments[0].dtype)


def _likelihood_jvp(arguments: Any, tangents: Any, *, trials: Trials) -> tuple[Any, Any]:
    value, partials = _likelihood.bind(*arguments, trials=trials)
    directions = [
        jnp.zeros_like(value) if isinstance(t, ad.Zero) else jnp.broadcast_to(t, value.shape) for t in _smooth(tangents)
    ]
    moved = [i for i, t in enumerate(_smooth(tangents)) if not isinstance(t, ad.Zero)]
    change = sum((partials[..., i, :] * directions[i] for i in moved), start=jnp.zeros_like(value))
    curvature = _curvature.bind(*arguments, jnp.stack(directions, axis=-2), trials=trials)
    return (value, partials), (change, curvature)


def _curvature_jvp(arguments: Any, tangents: Any, *, trials: Trials) -> tuple[Any, Any]:
    directions = tuple(ad.instantiate_zeros(t) for t in tangents)
    return jax.jvp(partial(_curvature_by_formulas, trials=trials), tuple(arguments), directions)


def _curvature_transpose(cotangent: Any, *arguments: Any, trials: Trials) -> list[Any]:
    # Second derivatives are symmetric: what maps a direction to a change maps it back.
    *known, _ = arguments
    return [None] * len(known) + [_curvature.bind(*known, cotangent, trials=trials)]


ad.primitive_jvps[_likelihood] = _likelihood_jvp
ad.primitive_jvps[_curvature] = _curvature_jvp
ad.primitive_transposes[_curvature] = _curvature_transpose
