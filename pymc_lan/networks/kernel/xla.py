"""The way from XLA into a kernel: a handler of its typed foreign function interface, as code beside the kernel.

A handler is a C function ``XLA_FFI_Error *(XLA_FFI_CallFrame *)``; what it is called with is in
``xla/ffi/api/c_api.h``, which jaxlib brings along. It takes a buffer for each argument of a trial, of shape ``(...,
trials)`` or ``(..., 1)``, and fills the value of shape ``(..., trials)`` and the derivatives ``(..., rows, trials)``;
what comes before is flattened into sets of trials. Scratch memory is a third result, so that every call has its own:
XLA calls from several threads, whose stacks are short on some systems.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from pymc_lan.networks.kernel.llvm import I32, I64, PTR, Code

# The version of the interface that handlers are written for and tested with.
VERSION = (0, 5)

# Positions in words of 8 bytes. Of the frame of a call: the extension, the stage (32 bits), the addresses of the
# argument and of the result buffers.
_EXTENSION, _STAGE, _ARGUMENTS, _RESULTS = 1, 4, 9, 14
# Of a buffer: its numbers, how many dimensions it has, and how long they are.
_DATA, _RANK, _LENGTHS = 3, 4, 5
# Of an extension: its type (32 bits), and what asks for metadata: their address. Of these, the version: 32 bits each.
_TYPE, _METADATA, _MAJOR = 1, 3, 3
# The type of an extension that asks for metadata, and the stage at which the function is to run.
_ASKS_FOR_METADATA, _EXECUTION = 1, 3


def handler_name(kernel: str) -> str:
    """The function that XLA calls for a kernel."""
    return f"{kernel}_xla"


def build_handler(module: ir.Module, kernel: str, n_rows: int) -> None:
    """Build the handler of a kernel.

    Parameters
    ----------
    module : ir.Module
        In which the kernel has been built.
    kernel : str
        Its name.
    n_rows : int
        How many arguments a trial has.
    """
    code = Code(module, handler_name(kernel), [PTR], internal=False, result=PTR)
    (frame,) = code.arguments
    none = ir.Constant(PTR, None)
    extension = _word(code, frame, _EXTENSION, PTR)
    with code.ir.if_then(code.ir.icmp_unsigned("!=", extension, none)):
        asked = code.ir.icmp_signed("==", _word(code, extension, _TYPE, I32), I32(_ASKS_FOR_METADATA))
        with code.ir.if_then(asked):
            major = code.at(_word(code, extension, _METADATA, PTR), _MAJOR, I64)
            for k, number in enumerate(VERSION):
                code.ir.store(I32(number), code.at(major, k, I32))
            code.ir.ret(none)
    with code.ir.if_then(code.ir.icmp_signed("==", _word(code, frame, _STAGE, I32), I32(_EXECUTION))):
        _run(code, kernel, frame, n_rows)
    code.ir.ret(none)


def _run(code: Code, kernel: str, frame: Any, n_rows: int) -> None:
    arguments, results = (_word(code, frame, k, PTR) for k in (_ARGUMENTS, _RESULTS))
    value, partials, scratch = (code.load(PTR, code.at(results, k, PTR)) for k in range(3))
    addresses, strides = code.array(PTR, n_rows), code.array(I64, 2 * n_rows)
    n = _last(code, value)
    sets = code.variable(I64(1))
    lengths = _word(code, value, _LENGTHS, PTR)
    with code.loop(code.ir.sub(_word(code, value, _RANK, I64), I64(1))) as i:
        length = code.load(I64, code.at(lengths, i, I64))
        code.ir.store(code.ir.mul(code.ir.load(sets, typ=I64), length), sets)
    for row in range(n_rows):
        buffer = code.load(PTR, code.at(arguments, row, PTR))
        code.store(_word(code, buffer, _DATA, PTR), code.at(addresses, row, PTR))
        length = _last(code, buffer)
        one_each = code.ir.zext(code.ir.icmp_signed("!=", length, I64(1)), I64)
        code.store(length, code.at(strides, 2 * row, I64))
        code.store(one_each, code.at(strides, 2 * row + 1, I64))
    filled = (_word(code, x, _DATA, PTR) for x in (value, partials, scratch))
    code.call(kernel, code.ir.load(sets, typ=I64), n, addresses, strides, *filled)


def _word(code: Code, base: Any, position: int, kind: Any) -> Any:
    return code.load(kind, code.at(base, position, I64))


def _last(code: Code, buffer: Any) -> Any:
    """How long the last dimension of a buffer is."""
    last = code.ir.sub(_word(code, buffer, _RANK, I64), I64(1))
    return code.load(I64, code.at(_word(code, buffer, _LENGTHS, PTR), last, I64))
