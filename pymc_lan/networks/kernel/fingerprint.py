"""What the compiled formulas of a model depend on, as a digest: the model, its functions and what these refer to.

A model of a user's own is given by functions. Their code is followed through what it closes over, the globals and the
modules that it names; what comes from a library is known by name and version, and this package by its source. Where
something cannot be followed there is no digest, and what depends on it is not kept.
"""

from __future__ import annotations

import dataclasses
import dis
import functools
import sys
import types
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

# What tracing and compiling depend on, and what formulas are written with.
LIBRARIES = ("jax", "jaxlib", "llvmlite", "numpy", "scipy")
HOUSE = "pymc_lan"
# The packages of the house whose code ends up in a kernel.
_BUILDERS = ("models", "numerics", "networks/kernel")
# What a class has that says nothing of what it does.
_IDLE = frozenset({"__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "__abstractmethods__"})
_IDLE |= {"_abc_impl", "__dataclass_fields__", "__dataclass_params__", "__firstlineno__", "__static_attributes__"}
_IDLE |= {"__annotations_cache__", "__annotate_func__", "__conditional_annotations__", "__match_args__"}


class UnknownCodeError(Exception):
    """Something has no digest: what it does is not in code that can be followed."""


@cache
def versions() -> str:
    """The versions and the source that all compiled code depends on."""
    root = Path(__file__).parents[2]
    digest = sha256(f"{sys.implementation.cache_tag} {_version(HOUSE)}".encode())
    for library in LIBRARIES:
        digest.update(f" {library} {_version(library)}".encode())
    for source in sorted(path for part in _BUILDERS for path in (root / part).rglob("*.py")):
        digest.update(f" {source.relative_to(root)} {sha256(source.read_bytes()).hexdigest()}".encode())
    return digest.hexdigest()


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "unknown"


def fingerprint(model: Any) -> str | None:
    """A digest of a model and of everything that its functions refer to; None where that cannot be followed.

    Parameters
    ----------
    model : Model

    Returns
    -------
    str or None
        The same in every process in which the model is the same.

    Examples
    --------
    >>> from pymc_lan.models.catalogue import get_model
    >>> from pymc_lan.networks.kernel.fingerprint import fingerprint
    >>> fingerprint(get_model("ddm")) == fingerprint(get_model("angle"))
    False
    """
    walk = _Walk()
    try:
        walk.visit(model)
    except (UnknownCodeError, RecursionError, ValueError):  # a cell that is still empty is a ValueError
        return None
    return walk.digest.hexdigest()


class _Walk:
    """One way through everything that something refers to, written into a digest."""

    def __init__(self) -> None:
        self.digest = sha256(versions().encode())
        # By identity, and kept alive, so that no other thing gets the identity of one that has been seen.
        self._seen: dict[int, tuple[int, Any]] = {}

    def write(self, *words: Any) -> None:
        """Add words; their lengths keep them apart."""
        for word in words:
            content = word if isinstance(word, bytes) else str(word).encode()
            self.digest.update(f"{len(content)}:".encode() + content)

    def visit(self, x: Any) -> None:
        """Add a thing."""
        match x:
            case None | bool() | int() | float() | complex() | str() | bytes():
                self.write(type(x).__name__, repr(x))
            case np.ndarray() | np.generic():
                self._visit_array(np.asarray(x))
            case tuple() | list():
                self.write(type(x).__name__, len(x))
                self._visit_all(x)
            case set() | frozenset():
                self._visit_set(x)
            case Mapping():
                self.write("mapping", len(x))
                self._visit_all(part for item in x.items() for part in item)
            case types.CodeType():
                self._visit_code(x)
            case _:
                self._visit_once(x)

    def _visit_all(self, things: Iterable[Any]) -> None:
        for thing in things:
            self.visit(thing)

    def _visit_array(self, array: np.ndarray[Any, Any]) -> None:
        if array.dtype.hasobject:
            raise UnknownCodeError
        self.write("array", array.dtype.str, array.shape, array.tobytes())

    def _visit_set(self, members: Iterable[Any]) -> None:
        digests = []
        for member in members:
            walk = _Walk()
            walk.visit(member)
            digests.append(walk.digest.hexdigest())
        self.write("set", *sorted(digests))

    def _visit_code(self, code: types.CodeType) -> None:
        self.write("code", code.co_code, code.co_exceptiontable, code.co_flags)
        self._visit_all((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_consts))

    def _visit_once(self, x: Any) -> None:
        """Add what has an identity: at its second time, as a reference to the first."""
        if id(x) in self._seen:
            self.write("again", self._seen[id(x)][0])
            return
        self._seen[id(x)] = len(self._seen), x
        match x:
            case types.ModuleType():
                raise UnknownCodeError
            case functools.partial():
                self.write("partial")
                self._visit_all((x.func, x.args, x.keywords))
            case types.MethodType():
                self.write("method")
                self._visit_all((x.__self__, x.__func__))
            case property() | classmethod() | staticmethod() | functools.cached_property():
                self.write(type(x).__name__)
                self._visit_all(getattr(x, name, None) for name in ("fget", "__func__", "func"))
            case _ if _of_a_library(x):
                self.write("known", x.__module__, _name(x))
            case types.FunctionType():
                self._visit_function(x)
            case type():
                self._visit_class(x)
            case _ if hasattr(x, "__wrapped__"):
                self.write("wrapped", type(x).__module__, type(x).__qualname__)
                self.visit(x.__wrapped__)
            case _:
                self._visit_object(x)

    def _visit_function(self, function: types.FunctionType) -> None:
        self.write("function")
        self._visit_all((function.__code__, function.__defaults__, function.__kwdefaults__))
        self._visit_all(cell.cell_contents for cell in function.__closure__ or ())
        # The source of the house is known, and with it what its functions refer to.
        if _package(function.__module__) != HOUSE:
            self._visit_globals(function.__code__, function.__globals__)

    def _visit_globals(self, code: types.CodeType, known: Mapping[str, Any]) -> None:
        """Add what code refers to by name; of modules only what it takes from them."""
        instructions = [*dis.get_instructions(code)]
        wanted = sorted({str(i.argval) for i in instructions if i.opname in _ATTRIBUTES})
        for i in instructions:
            if i.opname in ("LOAD_GLOBAL", "LOAD_NAME") and i.argval in known:
                self._visit_named(i.argval, known[i.argval], wanted)
            elif i.opname == "IMPORT_NAME" and not _is_library(i.argval):
                if i.argval not in sys.modules:
                    raise UnknownCodeError
                self._visit_named(i.argval, sys.modules[i.argval], wanted)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._visit_globals(constant, known)

    def _visit_named(self, name: str, x: Any, wanted: list[str]) -> None:
        self.write("name", name)
        if not isinstance(x, types.ModuleType):
            self.visit(x)
        elif not _is_library(x.__name__):
            for attribute in wanted:
                if attribute in vars(x):
                    self._visit_named(attribute, vars(x)[attribute], wanted)

    def _visit_class(self, kind: type) -> None:
        self.write("class", kind.__module__, kind.__qualname__)
        if _package(kind.__module__) != HOUSE:
            self._visit_all(kind.__bases__)
            for name, member in vars(kind).items():
                if name not in _IDLE:
                    self.write(name)
                    self.visit(member)

    def _visit_object(self, x: Any) -> None:
        if hasattr(x, "__array__") and _package(type(x).__module__) in LIBRARIES:
            self._visit_array(np.asarray(x))
            return
        self.write("object")
        self.visit(type(x))
        if dataclasses.is_dataclass(x):
            state = {field.name: getattr(x, field.name) for field in dataclasses.fields(x)}
        elif hasattr(x, "__dict__"):
            state = vars(x)
        else:
            raise UnknownCodeError
        self.visit(state)


_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM", "LOAD_SUPER_ATTR"})


def _package(module: str | None) -> str:
    return (module or "").partition(".")[0]


def _is_library(module: str | None) -> bool:
    return _package(module) in (*LIBRARIES, HOUSE) or _package(module) in sys.stdlib_module_names - {"__main__"}


def _name(x: Any) -> str:
    return str(getattr(x, "__qualname__", None) or getattr(x, "__name__", ""))


def _of_a_library(x: Any) -> bool:
    """Whether a thing can be found by its name in a library, and so is known by that and the library's version."""
    module, found = getattr(x, "__module__", None), sys.modules.get(str(getattr(x, "__module__", "")))
    if not isinstance(module, str) or found is None or not _is_library(module):
        return False
    for part in _name(x).split("."):
        found = getattr(found, part, None)
    return found is x
