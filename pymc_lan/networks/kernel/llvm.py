"""Functions for LLVM: a builder in terms of loops and vectors, and their compilation to machine code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

F32, F64, I64, PTR = ir.FloatType(), ir.DoubleType(), ir.IntType(64), ir.PointerType()


class Code:
    """A function under construction, in terms of loops and vectors."""

    def __init__(self, module: ir.Module, name: str, kinds: Sequence[Any], *, internal: bool = True):
        self.module = module
        self.function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
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

    def splat(self, value: Any, kind: Any) -> Any:
        """A vector of one number."""
        one = self.ir.insert_element(ir.Constant(kind, ir.Undefined), value, I64(0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), None)
        return self.ir.shuffle_vector(one, ir.Constant(kind, ir.Undefined), lanes)

    def multiply_add(self, x: Any, y: Any, z: Any) -> Any:
        """``x y + z``, in one instruction where there is one."""
        return self.ir.fadd(self.ir.fmul(x, y, ("contract",)), z, ("contract",))

    def call(self, name: str, *arguments: Any, result: Any = None) -> Any:
        """Call a function of the module, or one that it will be linked with."""
        function = self.module.globals.get(name)
        if function is None:
            kinds = [x.type for x in arguments]
            function = ir.Function(self.module, ir.FunctionType(result or ir.VoidType(), kinds), name)
        return self.ir.call(function, arguments)

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
    return 4 if getattr(kind, "element", kind) == F32 else 8


def constant(module: ir.Module, array: Any) -> ir.GlobalVariable:
    """Weights as a constant of the module, row by row."""
    flat = np.ascontiguousarray(array, np.float32).ravel()
    kind = ir.ArrayType(F32, flat.size)
    variable = ir.GlobalVariable(module, kind, module.get_unique_name("weights"))
    variable.global_constant, variable.linkage = True, "internal"
    variable.initializer = kind([float(x) for x in flat])
    return variable


def compile_module(name: str, *sources: str) -> tuple[int, Any]:
    """Link modules and compile them for this machine.

    Parameters
    ----------
    name : str
        The function to call; whatever is compiled later knows it by this name too.
    sources : str
        LLVM code.

    Returns
    -------
    address : int
        Of the function.
    engine : object
        What owns the machine code: it must live as long as anything calls it.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module, *others = map(llvm.parse_assembly, sources)
    for other in others:
        module.link_in(other)
    module.verify()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2, jit=True
    )
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    passes.getModulePassManager().run(module, passes)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    address = engine.get_function_address(name)
    llvm.add_symbol(name, address)
    return address, engine
