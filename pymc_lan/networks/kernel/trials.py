"""The log likelihood of all trials: value and derivatives in one pass, without JAX, BLAS or threads.

Trials with a response take the density, trials without (rt = inf) the probability of none. They go through in tiles
that stay in the first-level cache: the closed-form part gives the network's inputs and their derivatives, the network
runs forward and back, and the chain rule joins the two. All arithmetic is on vectors of trials.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from pymc_lan.networks.kernel.layout import CODES, LANES, LEADING, TILE, smooth_rows
from pymc_lan.networks.kernel.llvm import F32, F64, I64, PTR, Code
from pymc_lan.networks.kernel.network import WIDE, build_network
from pymc_lan.networks.kernel.xla import build_handler
from pymc_lan.networks.mlp import MLP

# What the network takes from a closed-form part, and what that works on.
NARROW, DOUBLES = ir.VectorType(F32, LANES), ir.VectorType(F64, LANES)

# What ends the names of functions that find values without derivatives.
ALONE = "_alone"

# What a kernel is called with: sets, trials in each, addresses of the rows, their strides, results, scratch.
ARGUMENTS = (I64, I64, *[PTR] * 5)


class _Memory(NamedTuple):
    """Where the parts of a tile's memory start, in doubles, and where they end."""

    sets: int
    numbers: int
    x: int
    inputs: int
    found: int
    network_in: int
    network_out: int
    network: int
    end: int


def _lay_out(part: str, n_parameters: int, mlp: MLP) -> _Memory:
    n_inputs, n_smooth = mlp.sizes[0], len(smooth_rows(part, n_parameters))
    # The output of the network is a row after those of x, where the closed-form part expects it.
    doubles = (1, 1, len(LEADING) + n_parameters + 1, n_inputs * (1 + n_smooth), 2 + n_smooth)
    floats = (n_inputs, 1 + n_inputs, 3 * sum(mlp.sizes[1:-1]))
    rows = np.cumsum([0, *doubles, *((k + 1) // 2 for k in floats)])
    return _Memory(*(TILE * rows).tolist())


def scratch_length(n_parameters: int, networks: Mapping[str, MLP | None]) -> int:
    """How many doubles of scratch memory a kernel needs."""
    return max(_lay_out(part, n_parameters, mlp).end for part, mlp in networks.items() if mlp is not None)


def _gather(code: Code, row: int, sets: Any, numbers: Any, target: Any) -> None:
    """Collect a row's numbers of a tile's trials, wherever they lie."""
    _, _, _, x, strides, *_ = code.arguments
    source = code.load(PTR, code.at(x, row, PTR))
    by_set, by_trial = (code.load(I64, code.at(strides, 2 * row + k, I64)) for k in range(2))
    with code.loop(TILE) as i:
        of_set = code.ir.mul(by_set, code.load(I64, code.at(sets, i)))
        of_trial = code.ir.mul(by_trial, code.load(I64, code.at(numbers, i)))
        code.store(code.load(F64, code.at(source, code.ir.add(of_set, of_trial))), code.at(target, i))


def _run_parts(code: Code, part: str, ending: str, n_rows: int, smooth: int, n_inputs: int, memory: list[Any]) -> None:
    """Run a tile through the closed-form part and the network, and join their derivatives."""
    tile, inputs, found, network_in, network_out, network = memory
    with code.loop(TILE, LANES) as i:
        code.call_elsewhere(f"{part}_inputs{ending}", code.at(tile, i), code.at(inputs, i))
        for k in range(n_inputs):
            number = code.load(DOUBLES, code.at(code.at(inputs, k * TILE), i))
            code.store(code.ir.fptrunc(number, NARROW), code.at(code.at(network_in, k, WIDE), i, F32))
    code.call(f"{part}_network{ending}", network_in, network_out, network)
    with code.loop(TILE, LANES) as i:
        output, *slopes = (
            code.ir.fpext(code.load(NARROW, code.at(code.at(network_out, k, WIDE), i, F32)), DOUBLES)
            for k in range(1 + n_inputs if smooth else 1)
        )
        code.store(output, code.at(code.at(tile, n_rows * TILE), i))
        code.call_elsewhere(f"{part}_value{ending}", code.at(tile, i), code.at(found, i))
        for q in range(smooth):
            by_output = code.load(DOUBLES, code.at(code.at(found, TILE), i))
            total = code.at(code.at(found, (2 + q) * TILE), i)
            derivative = code.load(DOUBLES, total)
            for k, slope in enumerate(slopes):
                of_input = code.load(DOUBLES, code.at(code.at(inputs, (n_inputs + k * smooth + q) * TILE), i))
                derivative = code.multiply_add(code.ir.fmul(by_output, slope), of_input, derivative)
            code.store(derivative, total)


def _build_tile(module: ir.Module, part: str, ending: str, n_parameters: int, mlp: MLP) -> None:
    """Build ``(count, *arguments of the kernel)``: the trials whose numbers the scratch memory begins with."""
    rows = range(len(LEADING) + n_parameters)
    smooth = [] if ending == ALONE else smooth_rows(part, n_parameters)
    code = Code(module, f"{part}_tile{ending}", [I64, *ARGUMENTS])
    count, _, n, _, _, value, partials, scratch = code.arguments
    sets, numbers, tile, *memory = (code.at(scratch, start) for start in _lay_out(part, n_parameters, mlp)[:-1])
    for row in rows:
        _gather(code, row, sets, numbers, code.at(tile, row * TILE))
    _run_parts(code, part, ending, len(rows), len(smooth), mlp.sizes[0], [tile, *memory])
    found = memory[1]
    of_partials = [row for row in rows if row not in CODES]
    # Of each set of trials a row of the value, and as many of the derivatives as there are.
    results = {0: (value, 1, 0)} | {
        2 + q: (partials, len(of_partials), of_partials.index(row)) for q, row in enumerate(smooth)
    }
    for row, (target, n_rows, place) in results.items():
        with code.loop(count) as i:
            result = code.load(F64, code.at(code.at(found, row * TILE), i))
            row_of_set = code.ir.add(code.ir.mul(code.load(I64, code.at(sets, i)), I64(n_rows)), I64(place))
            number = code.ir.add(code.ir.mul(row_of_set, n), code.load(I64, code.at(numbers, i)))
            code.store(result, code.at(target, number))
    code.ir.ret_void()


def _build_scan(module: ir.Module, part: str, ending: str) -> None:
    """Build a part of the kernel: collect its trials and run them, a tile at a time."""
    code = Code(module, f"{part}{ending}", ARGUMENTS)
    n_sets, n, x, strides, _, _, scratch = code.arguments
    sets, numbers = (code.at(scratch, k * TILE) for k in range(2))
    rt, by_set, by_trial = code.load(PTR, x), code.load(I64, strides), code.load(I64, code.at(strides, 1, I64))
    count = code.variable(I64(0))
    responded, compare = ("<", code.ir.fcmp_ordered) if part == "density" else (">=", code.ir.fcmp_unordered)

    def run() -> None:
        # Unused places of a tile repeat a trial, so that they cost no special case.
        filled = code.ir.load(count, typ=I64)
        for places in (sets, numbers):
            first = code.load(I64, places)
            with code.loop(code.ir.sub(I64(TILE), filled)) as i:
                code.store(first, code.at(places, code.ir.add(filled, i)))
        code.call(f"{part}_tile{ending}", filled, *code.arguments)
        code.ir.store(I64(0), count)

    with code.loop(n_sets) as j, code.loop(n) as k:
        number = code.ir.add(code.ir.mul(by_set, j), code.ir.mul(by_trial, k))
        with code.ir.if_then(compare(responded, code.load(F64, code.at(rt, number)), F64(float("inf")))):
            filled = code.ir.load(count, typ=I64)
            code.store(j, code.at(sets, filled))
            code.store(k, code.at(numbers, filled))
            code.ir.store(code.ir.add(filled, I64(1)), count)
            with code.ir.if_then(code.ir.icmp_signed("==", code.ir.load(count, typ=I64), I64(TILE))):
                run()
    with code.ir.if_then(code.ir.icmp_signed(">", code.ir.load(count, typ=I64), I64(0))):
        run()
    code.ir.ret_void()


def _build_nothing(module: ir.Module, part: str) -> None:
    """Build the part of a model without its network: log likelihood -inf."""
    code = Code(module, part, ARGUMENTS)
    n_sets, n, x, strides, value, _, _ = code.arguments
    rt, by_set, by_trial = code.load(PTR, x), code.load(I64, strides), code.load(I64, code.at(strides, 1, I64))
    with code.loop(n_sets) as j, code.loop(n) as k:
        number = code.ir.add(code.ir.mul(by_set, j), code.ir.mul(by_trial, k))
        with code.ir.if_then(code.ir.fcmp_unordered(">=", code.load(F64, code.at(rt, number)), F64(float("inf")))):
            code.store(F64(float("-inf")), code.at(value, code.ir.add(code.ir.mul(j, n), k)))
    code.ir.ret_void()


def build_trials(name: str, n_parameters: int, networks: Mapping[str, MLP | None]) -> ir.Module:
    """Build what joins the closed-form parts of a model with its networks.

    Parameters
    ----------
    name : str
        Of the function that `pymc_lan.networks.kernel.kernel.Kernel` describes. One that ends in `ALONE` finds values
        without their derivatives, and leaves `partials` as they are.
    n_parameters : int
    networks : mapping of str to MLP or None
        By part; without its network a part gives -inf.

    Returns
    -------
    ir.Module
    """
    module = ir.Module(name)
    for part, mlp in networks.items():
        if mlp is None:
            _build_nothing(module, part)
    for ending in ("", ALONE):
        _build_whole(module, name, ending, n_parameters, networks)
    build_handler(module, name, len(LEADING) + n_parameters)
    return module


def _build_whole(
    module: ir.Module, name: str, ending: str, n_parameters: int, networks: Mapping[str, MLP | None]
) -> None:
    """Build a function of all trials from those of the parts."""
    code = Code(module, f"{name}{ending}", ARGUMENTS, internal=False)
    n_sets, n, _, _, _, partials, _ = code.arguments
    if ending != ALONE:
        n_smooth = len(LEADING) - len(CODES) + n_parameters
        with code.loop(code.ir.mul(code.ir.mul(n_sets, n), I64(n_smooth))) as i:
            code.store(F64(0.0), code.at(partials, i))
    for part, mlp in networks.items():
        if mlp is not None:
            build_network(module, f"{part}_network{ending}", mlp, back=ending != ALONE)
            _build_tile(module, part, ending, n_parameters, mlp)
            _build_scan(module, part, ending)
        code.call(part if mlp is None else f"{part}{ending}", *code.arguments)
    code.ir.ret_void()
