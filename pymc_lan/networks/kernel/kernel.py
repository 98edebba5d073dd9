"""A compiled log likelihood: what it is, and how it comes about or from the cache.

A kernel is two pieces of object code. The closed-form parts depend on the model alone and take seconds to trace and to
compile; what joins them with networks, whose weights are constants of it, takes a fraction of one. Both are kept on
disk (`pymc_lan.networks.kernel.cache`), so a second process does neither.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from typing import Any

import numpy as np

from pymc_lan.errors import explain
from pymc_lan.models.model import Model, require_views
from pymc_lan.networks.kernel.cache import kept
from pymc_lan.networks.kernel.fingerprint import fingerprint, versions
from pymc_lan.networks.kernel.layout import LEADING
from pymc_lan.networks.kernel.llvm import compile_module, load_objects, make_known, this_machine
from pymc_lan.networks.kernel.tracing import object_code
from pymc_lan.networks.kernel.trials import ALONE, build_trials, scratch_length
from pymc_lan.networks.kernel.xla import handler_name
from pymc_lan.networks.mlp import MLP


@dataclass(frozen=True, slots=True)
class Kernel:
    """A compiled log likelihood.

    Parameters
    ----------
    name : str
        A symbol that LLVM knows it by, the same in every process.
    address : int
        Of a C function ``(int64 sets, int64 n, double **rows, int64 *strides, double *value, double *partials, double
        *scratch)``. The rows are rt, response, deadline and the parameters; each has two strides, in numbers: from one
        set of trials to the next, and from one trial to the next, which are 0 for what is shared. It fills `value`
        (sets, n) and `partials` (sets, 2 + number of parameters, n), rows rt, deadline and the parameters.
    alone : int
        Of a function of the same arguments that fills `value` only.
    handler : int
        Address of the same as XLA calls it.
    scratch : int
        Length of the last argument, which the kernel writes over.
    rows : int
        How many rows there are.
    """

    name: str
    address: int
    alone: int
    handler: int
    scratch: int
    rows: int

    def __call__(self, x: Any) -> tuple[Any, Any]:
        """Value and derivatives of the trials in the columns of `x`."""
        x = np.ascontiguousarray(x, np.float64)
        if x.ndim != 2 or len(x) != self.rows:
            found, remedy = f"shape {x.shape}", "give rt, response, deadline and every parameter a row"
            raise ValueError(explain(f"a matrix of {self.rows} rows", found, remedy))
        value, partials = self.of_sets(x[:, None])
        return value[0], partials[0]

    def of_sets(self, rows: Sequence[Any]) -> tuple[Any, Any]:
        """Value (sets, n) and derivatives (sets, rows - 1, n) of sets of trials.

        The rows are float64 matrices of as many sets and trials, or of 1 where all share a number.
        """
        sets, n = np.broadcast_shapes(*(x.shape for x in rows))
        value, partials = np.empty((sets, n)), np.empty((sets, self.rows - 1, n))
        self._call(self.address, rows, value, partials)
        return value, partials

    def values(self, rows: Sequence[Any]) -> Any:
        """The values alone, in half the time."""
        value = np.empty(np.broadcast_shapes(*(x.shape for x in rows)))
        self._call(self.alone, rows, value, np.empty(0))
        return value

    def _call(self, address: int, rows: Sequence[Any], value: Any, partials: Any) -> None:
        places = np.array([x.ctypes.data for x in rows])
        strides = np.array([[0 if k == 1 else by // 8 for k, by in zip(x.shape, x.strides, strict=True)] for x in rows])
        arrays = (places, strides, value, partials, np.empty(self.scratch))
        function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 2, *[ctypes.c_void_p] * 5)(address)
        function(*value.shape, *(array.ctypes.data for array in arrays))


@cache
def compile_kernel(model: Model, lan: MLP, choice: MLP | None) -> Kernel:
    """Make the log likelihood of a model with its networks ready to be called, once in a process.

    Parameters
    ----------
    model : Model
    lan : MLP
        Its weights become constants of the code, as do those of `choice`.
    choice : MLP, optional
        Without it, the log likelihood of a trial without response is -inf.

    Returns
    -------
    Kernel

    Raises
    ------
    ValueError
        For a network of another number of inputs than the model's: it would be read and written beyond its end.
    """
    takes = require_views(model).n_inputs
    for key, mlp in (("lan", lan), ("choice", choice)):
        if mlp is not None and mlp.sizes[0] != takes[key]:
            expected = f"a network {key!r} of {takes[key]} inputs for {model.name!r}"
            raise ValueError(explain(expected, f"one of {mlp.sizes[0]}", "load the model's own weights"))
    networks, n = {"density": lan, "nogo": choice}, len(model.names)
    of_model = fingerprint(model)
    if of_model is None:
        formulas = object_code(model)
        of_model = sha256(formulas).hexdigest()
    else:
        formulas = kept(f"formulas {of_model} {this_machine()}", partial(object_code, model))
    weights = " ".join(mlp.digest if mlp is not None else "none" for mlp in networks.values())
    name = f"lan_{sha256(f'{of_model} {versions()} {weights}'.encode()).hexdigest()}"
    trials = kept(f"trials {name} {this_machine()}", lambda: compile_module(build_trials(name, n, networks)))
    engine = load_objects(formulas, trials)
    symbols = (name, f"{name}{ALONE}", handler_name(name))
    address, alone, handler = (engine.get_function_address(symbol) for symbol in symbols)
    make_known(name, address)
    return Kernel(name, address, alone, handler, scratch_length(n, networks), len(LEADING) + n)
