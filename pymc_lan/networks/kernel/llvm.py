"""Functions for LLVM: a builder in terms of loops and vectors, and their compilation to machine code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

F32, F64, PTR = ir.FloatType(), ir.DoubleType(), ir.PointerType()
I32, I64 = ir.IntType(32), ir.IntType(64)


class Code:
    """A function under construction, in terms of loops and vectors."""

    def __init__(
        self, module: ir.Module, name: str, kinds: Sequence[Any], *, internal: bool = True, result: Any = None
    ):
        self.module = module
        self.function = ir.Function(module, ir.FunctionType(result or ir.VoidType(), kinds), name)
        self.function.linkage = "internal" if internal else ""
        self.arguments = self.function.args
        for argument in self.arguments:
            if argument.type == PTR:
                argument.add_attribute("noalias")
        self.ir = ir.IRBuilder(self.function.append_basic_block())

    def at(self, base: Any, index: Any, kind: Any = F64) -> Any:
        """The address of an array's element."""
        return self.ir.gep(base, [_int(index)], source_etype=kind)

    def load(self, kind: Any, address: Any) -> Any:
        """Read a number or a vector, at any address of a number."""
        return self.ir.load(address, align=_size(kind), typ=kind)

    def store(self, value: Any, address: Any) -> None:
        """Write a number or a vector, at any address of a number."""
        self.ir.store(value, address, align=_size(value.type))

    def variable(self, value: Any) -> Any:
        """The address of a value that changes; LLVM makes it a register."""
        with self.ir.goto_entry_block():
            address = self.ir.alloca(value.type)
        self.ir.store(value, address)
        return address

    def array(self, kind: Any, length: int) -> Any:
        """The address of memory that is there until the function returns."""
        with self.ir.goto_entry_block():
            return self.ir.alloca(kind, I64(length))

    def splat(self, value: Any, kind: Any) -> Any:
        """A vector of one number."""
        one = self.ir.insert_element(ir.Constant(kind, ir.Undefined), value, I64(0))
        lanes = ir.Constant(ir.VectorType(I32, kind.count), None)
        return self.ir.shuffle_vector(one, ir.Constant(kind, ir.Undefined), lanes)

    def multiply_add(self, x: Any, y: Any, z: Any) -> Any:
        """``x y + z``, in one instruction where there is one."""
        return self.ir.fadd(self.ir.fmul(x, y, ("contract",)), z, ("contract",))

    def call(self, name: str, *arguments: Any, result: Any = None) -> Any:
        """Call a function of the module, or of the C library."""
        function = self.module.globals.get(name)
        if function is None:
            kinds = [x.type for x in arguments]
            function = ir.Function(self.module, ir.FunctionType(result or ir.VoidType(), kinds), name)
        return self.ir.call(function, arguments)

    def intrinsic(self, name: str, *arguments: Any) -> Any:
        """An operation on vectors of numbers that LLVM knows by name."""
        kind = arguments[0].type
        return self.call(f"llvm.{name}.v{kind.count}f64", *arguments, result=kind)

    def call_elsewhere(self, name: str, *arguments: Any) -> None:
        """Call a function of another object, however far away it is loaded.

        Its address is read from a variable: a direct call reaches two gigabytes only, and nobody checks.
        """
        kind = ir.FunctionType(ir.VoidType(), [x.type for x in arguments])
        slot = self.module.globals.get(f"address.{name}")
        if slot is None:
            # Visible from outside, or else the compiler would see that it never changes and call directly.
            slot = ir.GlobalVariable(self.module, kind.as_pointer(), f"address.{name}")
            slot.initializer = ir.Function(self.module, kind, name)
        self.ir.call(self.ir.load(slot, typ=kind.as_pointer()), arguments)

    @contextmanager
    def loop(self, count: Any, step: int = 1) -> Iterator[Any]:
        """Repeat what is built inside, for an index from 0 to below `count`."""
        counter = self.variable(I64(0))
        head, body, end = (self.function.append_basic_block() for _ in range(3))
        self.ir.branch(head)
        self.ir.position_at_end(head)
        index = self.ir.load(counter, typ=I64)
        self.ir.cbranch(self.ir.icmp_signed("<", index, _int(count)), body, end)
        self.ir.position_at_end(body)
        yield index
        self.ir.store(self.ir.add(index, I64(step)), counter)
        self.ir.branch(head)
        self.ir.position_at_end(end)


def _int(value: Any) -> Any:
    return I64(value) if isinstance(value, int) else value


def _size(kind: Any) -> int:
    return 4 if getattr(kind, "element", kind) in (F32, I32) else 8


def constant(module: ir.Module, array: Any) -> ir.GlobalVariable:
    """Weights as a constant of the module, row by row."""
    flat = np.ascontiguousarray(array, np.float32).ravel()
    kind = ir.ArrayType(F32, flat.size)
    variable = ir.GlobalVariable(module, kind, module.get_unique_name("weights"))
    variable.global_constant, variable.linkage = True, "internal"
    variable.initializer = kind([float(x) for x in flat])
    return variable


def target_machine() -> llvm.TargetMachine:
    """The machine that code is compiled for: the one that it runs on."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2, jit=True
    )


def this_machine() -> str:
    """What object code depends on beside what it was compiled from: the processor and what it can do."""
    return " ".join((llvm.get_default_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()))


def compile_module(module: ir.Module) -> bytes:
    """Compile a module for this machine; return its object code."""
    machine, parsed = target_machine(), llvm.parse_assembly(str(module))
    parsed.verify()
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    passes.getModulePassManager().run(parsed, passes)
    return bytes(machine.emit_object(parsed))


_loaded: list[Any] = []


def load_objects(*objects: bytes) -> Any:
    """Make object code ready to run.

    Parameters
    ----------
    objects : bytes
        From `compile_module`; they may call each other.

    Returns
    -------
    llvmlite.binding.ExecutionEngine
        Knows the address of every function, and owns the code. It is never dropped: what was compiled against an
        address, by numba or by XLA, calls it as long as the process lives.
    """
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())
    for content in objects:
        engine.add_object_file(llvm.ObjectFileRef.from_data(content))
    engine.finalize_object()
    _loaded.append(engine)
    return engine


def make_known(name: str, address: int) -> None:
    """Let whatever is compiled later call a function by its name."""
    llvm.add_symbol(name, address)
