"""The compiled log likelihood: value and derivatives of all trials in one pass, without JAX, BLAS or threads.

A kernel is one LLVM module: the closed-form parts of `pymc_lan.networks.kernel.generated`, printed ahead of time, and
what this file builds around them. Trials with a response take the density, trials without (rt = inf) the probability of
none. They go through in tiles that stay in the first-level cache: the closed-form part gives the network's inputs and
their derivatives, the network runs forward and back, and the chain rule joins the two. All arithmetic is on vectors of
trials. LLVM compiles it in a fraction of a second, where numba's own front end needs many.
"""

from __future__ import annotations

import ctypes
import lzma
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from pymc_lan.errors import explain
from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.spec import Model
from pymc_lan.networks.kernel.llvm import F32, F64, I64, PTR, Code, compile_module, constant
from pymc_lan.networks.mlp import MLP

# Trials per tile: activations, slopes and derivatives of a network of two layers of 24 fit in 32 kB.
TILE = 64
# Trials per call of a closed-form part.
LANES = 8
# What comes before the parameters among the arguments of a trial, and in the rows of an Op's input.
LEADING = ("rt", "response", "deadline")
# The closed-form parts, and what they take before the parameters.
PARTS = {"density": ("rt", "response"), "nogo": ("deadline",)}
# Rows of codes, which nothing is differentiated by.
CODES = frozenset({LEADING.index("response")})

# What the network computes on, and what a closed-form part does.
WIDE, NARROW, DOUBLES = ir.VectorType(F32, TILE), ir.VectorType(F32, LANES), ir.VectorType(F64, LANES)


@dataclass(frozen=True, slots=True)
class Kernel:
    """A compiled log likelihood.

    Parameters
    ----------
    name : str
        A symbol that LLVM knows it by, the same in every process.
    address : int
        Of a C function ``(int64 n, double *x, double *value, double *partials, double *scratch)``: `x` is (3 + number
        of parameters, n), rows rt, response, deadline and the parameters; it fills `value` (n,) and `partials` (2 +
        number of parameters, n), rows rt, deadline and the parameters.
    scratch : int
        Length of the last argument, which the kernel writes over.
    rows : int
        How many rows `x` has.
    engine : object
        Owns the code.
    """

    name: str
    address: int
    scratch: int
    rows: int
    engine: Any

    def __call__(self, x: Any) -> tuple[Any, Any]:
        """Value and derivatives of the trials in the columns of `x`."""
        x = np.ascontiguousarray(x, np.float64)
        if x.ndim != 2 or len(x) != self.rows:
            found, remedy = f"shape {x.shape}", "give rt, response, deadline and every parameter a row"
            raise ValueError(explain(f"a matrix of {self.rows} rows", found, remedy))
        value, partials = np.empty(x.shape[1]), np.empty((x.shape[0] - 1, x.shape[1]))
        arrays = (x, value, partials, np.empty(self.scratch))
        function = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * 4)(self.address)
        function(x.shape[1], *(array.ctypes.data for array in arrays))
        return value, partials


def shipped_parts(spec: Model) -> str | None:
    """The closed-form parts that ship for a model; None for a model that is not this release's own."""
    if MODELS.get(spec.name) != spec:
        return None
    file = files("pymc_lan.networks.kernel.generated").joinpath(shipped_name(spec.name))
    return lzma.decompress(file.read_bytes()).decode() if file.is_file() else None


def shipped_name(model: str) -> str:
    """The file of a model's closed-form parts; megabytes of text, hence packed."""
    return f"{model}.ll.xz"


def compile_kernel(spec: Model, parts: str, lan: MLP, choice: MLP | None) -> Kernel:
    """Compile the log likelihood of a model with its networks.

    Parameters
    ----------
    spec : Model
    parts : str
        Its closed-form parts, from `pymc_lan.networks.kernel.formulas.generate`.
    lan : MLP
        Its weights become constants of the code, as do those of `choice`.
    choice : MLP, optional
        Without it, the log likelihood of a trial without response is -inf.

    Returns
    -------
    Kernel
    """
    name = _kernel_name(parts, lan, choice)
    module, scratch = _build(name, spec, {"density": lan, "nogo": choice})
    address, engine = compile_module(name, str(module), parts)
    return Kernel(name, address, scratch, len(LEADING) + len(spec.names), engine)


def _kernel_name(parts: str, *networks: MLP | None) -> str:
    """A name for what a compiled kernel depends on: its parts, the code that builds the rest, and the weights."""
    digest = sha256(parts.encode())
    for builder in ("build.py", "llvm.py"):
        digest.update(files("pymc_lan.networks.kernel").joinpath(builder).read_bytes())
    for mlp in networks:
        digest.update(mlp.digest.encode() if mlp is not None else b"none")
    return f"lan_{digest.hexdigest()}"


def _squareplus(code: Code, x: Any, value: Any, slope: Any) -> None:
    one, half = (code.splat(F32(c), WIDE) for c in (1.0, 0.5))
    root = code.call(f"llvm.sqrt.v{TILE}f32", code.multiply_add(x, x, one), result=WIDE)
    y = code.ir.fmul(code.ir.fadd(x, root), half)
    code.store(y, value)
    code.store(code.ir.fdiv(y, root), slope)


def _tanh(code: Code, x: Any, value: Any, slope: Any) -> None:
    code.store(x, value)
    with code.loop(TILE) as i:
        one = code.at(value, i, F32)
        code.store(code.call("tanhf", code.load(F32, one), result=F32), one)
    y = code.load(WIDE, value)
    code.store(code.ir.fsub(code.splat(F32(1.0), WIDE), code.ir.fmul(y, y)), slope)


def _relu(code: Code, x: Any, value: Any, slope: Any) -> None:
    zero, one = (code.splat(F32(c), WIDE) for c in (0.0, 1.0))
    positive = code.ir.fcmp_ordered(">", x, zero)
    code.store(code.ir.select(positive, x, zero), value)
    code.store(code.ir.select(positive, one, zero), slope)


def _sigmoid(code: Code, x: Any, value: Any, slope: Any) -> None:
    """``(1 + tanh(x / 2)) / 2``, and a quarter of the slope of that tanh."""
    half = code.splat(F32(0.5), WIDE)
    _tanh(code, code.ir.fmul(x, half), value, slope)
    code.store(code.multiply_add(code.load(WIDE, value), half, half), value)
    code.store(code.ir.fmul(code.load(WIDE, slope), code.splat(F32(0.25), WIDE)), slope)


# Builders of an activation: they store its value and its slope at the addresses.
ACTIVATION_CODE: dict[str, Callable[[Code, Any, Any, Any], None]] = {
    "squareplus": _squareplus,
    "tanh": _tanh,
    "relu": _relu,
    "sigmoid": _sigmoid,
}


def _affine(code: Code, weights: Any, bias: Any, x: Any, finish: Callable[[Any, Any], None]) -> None:
    """Hand ``bias[j] + sum_i weights[j, i] x[i]`` of a tile to ``finish(j, sum)``."""
    n_out, n_in = weights.shape
    weights, bias = constant(code.module, weights), constant(code.module, bias)
    with code.loop(n_out) as j:
        total = code.variable(code.splat(code.load(F32, code.at(bias, j, F32)), WIDE))
        row = code.at(weights, code.ir.mul(j, I64(n_in)), F32)
        with code.loop(n_in) as i:
            weight = code.splat(code.load(F32, code.at(row, i, F32)), WIDE)
            value = code.load(WIDE, code.at(x, i, WIDE))
            code.ir.store(code.multiply_add(weight, value, code.ir.load(total, typ=WIDE)), total)
        finish(j, code.ir.load(total, typ=WIDE))


def build_network(module: ir.Module, name: str, mlp: MLP) -> None:
    """Build ``(x, out, memory)``: a tile's inputs to the network's output and its derivatives by the inputs.

    `memory` holds three rows for each hidden unit: its activation, slope and derivative.
    """
    code, sizes, top = Code(module, name, [PTR] * 3), mlp.sizes, len(mlp.kernels) - 1
    x, out, memory = code.arguments
    hidden = sum(sizes[1:-1])
    starts = [sum(sizes[1:layer]) for layer in range(1, top + 1)]
    acts, slopes, backs = ([code.at(memory, k * hidden + start, WIDE) for start in starts] for k in range(3))
    derivatives = code.at(out, 1, WIDE)
    acts, slopes, backs = [x, *acts], [None, *slopes], [derivatives, *backs]
    activate = ACTIVATION_CODE[mlp.activation]

    def finish_forward(layer: int, j: Any, total: Any) -> None:
        if layer == top:
            code.store(total, out)
        else:
            activate(code, total, *(code.at(rows[layer + 1], j, WIDE) for rows in (acts, slopes)))

    def finish_back(layer: int, j: Any, total: Any) -> None:
        if layer:
            total = code.ir.fmul(total, code.load(WIDE, code.at(slopes[layer], j, WIDE)))
        code.store(total, code.at(backs[layer], j, WIDE))

    for layer, (kernel, bias) in enumerate(zip(mlp.kernels, mlp.biases, strict=True)):
        _affine(code, kernel.T, bias, acts[layer], partial(finish_forward, layer))
    # The last layer's way back is its weights: a product with nothing, and they as the bias.
    for layer in reversed(range(top + 1)):
        kernel = mlp.kernels[layer]
        if layer == top:
            _affine(code, kernel[:, :0], kernel[:, 0], x, partial(finish_back, layer))
        else:
            _affine(code, kernel, np.zeros(len(kernel)), backs[layer + 1], partial(finish_back, layer))
    code.ir.ret_void()


class _Memory(NamedTuple):
    """Where the parts of a tile's memory start, in doubles, and where they end."""

    numbers: int
    x: int
    inputs: int
    found: int
    network_in: int
    network_out: int
    network: int
    end: int


def _lay_out(part: str, spec: Model, mlp: MLP) -> _Memory:
    n_inputs, n_smooth = mlp.sizes[0], len(smooth_rows(part, spec))
    # The output of the network is a row after those of x, where the closed-form part expects it.
    doubles = (1, len(LEADING) + len(spec.names) + 1, n_inputs * (1 + n_smooth), 2 + n_smooth)
    floats = (n_inputs, 1 + n_inputs, 3 * sum(mlp.sizes[1:-1]))
    rows = np.cumsum([0, *doubles, *((k + 1) // 2 for k in floats)])
    return _Memory(*(TILE * rows).tolist())


def part_rows(part: str, spec: Model) -> list[int]:
    """The rows of a tile that a closed-form part takes: a parameter is its position, whatever its name."""
    first = len(LEADING)
    return [*map(LEADING.index, PARTS[part]), *range(first, first + len(spec.names))]


def smooth_rows(part: str, spec: Model) -> list[int]:
    """Those that its result is differentiated by."""
    return [row for row in part_rows(part, spec) if row not in CODES]


def _build_tile(module: ir.Module, part: str, spec: Model, mlp: MLP) -> None:
    """Build ``(n, count, x, value, partials, memory)``: the trials whose numbers `memory` begins with."""
    rows, smooth, n_inputs = range(len(LEADING) + len(spec.names)), smooth_rows(part, spec), mlp.sizes[0]
    code = Code(module, f"{part}_tile", [I64, I64, *[PTR] * 4])
    n, count, x, value, partials, memory = code.arguments
    numbers, tile, inputs, found, network_in, network_out, network = (
        code.at(memory, start) for start in _lay_out(part, spec, mlp)[:-1]
    )
    for row in rows:
        source, target = code.at(x, code.ir.mul(n, I64(row))), code.at(tile, row * TILE)
        with code.loop(TILE) as i:
            code.store(code.load(F64, code.at(source, code.load(I64, code.at(numbers, i)))), code.at(target, i))
    with code.loop(TILE, LANES) as i:
        code.call(f"{part}_inputs", code.at(tile, i), code.at(inputs, i))
        for k in range(n_inputs):
            number = code.load(DOUBLES, code.at(code.at(inputs, k * TILE), i))
            code.store(code.ir.fptrunc(number, NARROW), code.at(code.at(network_in, k, WIDE), i, F32))
    code.call(f"{part}_network", network_in, network_out, network)
    with code.loop(TILE, LANES) as i:
        output, *slopes = (
            code.ir.fpext(code.load(NARROW, code.at(code.at(network_out, k, WIDE), i, F32)), DOUBLES)
            for k in range(1 + n_inputs)
        )
        code.store(output, code.at(code.at(tile, len(rows) * TILE), i))
        code.call(f"{part}_value", code.at(tile, i), code.at(found, i))
        by_output = code.load(DOUBLES, code.at(code.at(found, TILE), i))
        for q in range(len(smooth)):
            total = code.at(code.at(found, (2 + q) * TILE), i)
            derivative = code.load(DOUBLES, total)
            for k, slope in enumerate(slopes):
                of_input = code.load(DOUBLES, code.at(code.at(inputs, (n_inputs + k * len(smooth) + q) * TILE), i))
                derivative = code.multiply_add(code.ir.fmul(by_output, slope), of_input, derivative)
            code.store(derivative, total)
    of_partials = [row for row in rows if row not in CODES]
    results = {0: value} | {
        2 + q: code.at(partials, code.ir.mul(n, I64(of_partials.index(row)))) for q, row in enumerate(smooth)
    }
    for row, target in results.items():
        with code.loop(count) as i:
            result = code.load(F64, code.at(code.at(found, row * TILE), i))
            code.store(result, code.at(target, code.load(I64, code.at(numbers, i))))
    code.ir.ret_void()


def _build_scan(module: ir.Module, part: str) -> None:
    """Build ``(n, x, value, partials, memory)``: collect the trials of a part and run them, a tile at a time."""
    code = Code(module, part, [I64, *[PTR] * 4])
    n, x, value, partials, memory = code.arguments
    count = code.variable(I64(0))
    responded = "<" if part == "density" else ">="
    compare = code.ir.fcmp_ordered if part == "density" else code.ir.fcmp_unordered
    # Unused places of a tile repeat a trial, so that they cost no special case.
    with code.loop(n) as j:
        mine = compare(responded, code.load(F64, code.at(x, j)), F64(float("inf")))
        with code.ir.if_then(mine):
            filled = code.ir.load(count, typ=I64)
            code.store(j, code.at(memory, filled))
            code.ir.store(code.ir.add(filled, I64(1)), count)
        filled = code.ir.load(count, typ=I64)
        last = code.ir.icmp_signed("==", j, code.ir.sub(n, I64(1)))
        some = code.ir.icmp_signed(">", filled, I64(0))
        full = code.ir.icmp_signed("==", filled, I64(TILE))
        with code.ir.if_then(code.ir.or_(full, code.ir.and_(last, some))):
            first = code.load(I64, memory)
            with code.loop(code.ir.sub(I64(TILE), filled)) as i:
                code.store(first, code.at(memory, code.ir.add(filled, i)))
            code.call(f"{part}_tile", n, filled, x, value, partials, memory)
            code.ir.store(I64(0), count)
    code.ir.ret_void()


def _build_nothing(module: ir.Module, part: str) -> None:
    """Build the part of a model without its network: log likelihood -inf."""
    code = Code(module, part, [I64, *[PTR] * 4])
    n, x, value, _, _ = code.arguments
    with code.loop(n) as j:
        mine = code.ir.fcmp_unordered(">=", code.load(F64, code.at(x, j)), F64(float("inf")))
        with code.ir.if_then(mine):
            code.store(F64(float("-inf")), code.at(value, j))
    code.ir.ret_void()


def _build(name: str, spec: Model, networks: Mapping[str, MLP | None]) -> tuple[ir.Module, int]:
    """Build the whole module; return it with the length of scratch memory."""
    module = ir.Module(name)
    code = Code(module, name, [I64, *[PTR] * 4], internal=False)
    n, _, _, partials, _ = code.arguments
    scratch = 0
    with code.loop(code.ir.mul(n, I64(len(LEADING) - len(CODES) + len(spec.names)))) as i:
        code.store(F64(0.0), code.at(partials, i))
    for part, mlp in networks.items():
        if mlp is None:
            _build_nothing(module, part)
        else:
            build_network(module, f"{part}_network", mlp)
            _build_tile(module, part, spec, mlp)
            _build_scan(module, part)
            scratch = max(scratch, _lay_out(part, spec, mlp).end)
        code.call(part, *code.arguments)
    code.ir.ret_void()
    return module, scratch
