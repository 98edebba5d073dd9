"""What the compiled formulas of a model depend on, as a digest: the model, its functions and what these refer to.

A model of a user's own is given by functions. Their code is followed through what it closes over, the globals and the
modules that it names; an object is its class and what pickle would write of it; what comes from a library is known by
name and version, and this package by its source. Where something cannot be followed, such as code that reads a file or
looks names up while it runs, there is no digest, and what depends on it is not kept.
"""

from __future__ import annotations

import builtins
import dis
import functools
import importlib.util
import itertools
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
_IDLE |= {
    "__annotations_cache__",
    "__annotate_func__",
    "__conditional_annotations__",
    "__match_args__",
    "__slotnames__",
}
# With these, what code does depends on more than its text and what it names: on files, the environment, a clock, or
# on names that are made up while it runs.
_OUTSIDE = frozenset({"os", "posix", "sys", "io", "pathlib", "random", "time", "datetime", "importlib", "subprocess"})
_OUTSIDE |= {"socket", "sqlite3", "urllib", "json", "pickle", "csv", "shelve", "glob", "tempfile", "inspect"}
_LOOKS_UP = frozenset({"getattr", "eval", "exec", "globals", "locals", "vars", "open", "input", "__import__"})
_READS = frozenset({"load", "loadtxt", "genfromtxt", "fromfile", "memmap", "loadmat"})
# Values that are told by their type and how they are written.
_PLAIN = frozenset({type(None), type(...), bool, int, float, complex, str, bytes})


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
    >>> from pymc_lan.models.catalogue import MODELS
    >>> from pymc_lan.networks.kernel.fingerprint import fingerprint
    >>> fingerprint(MODELS["ddm"]) == fingerprint(MODELS["angle"])
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
        kind = type(x)
        if kind in _PLAIN:
            self.write(kind.__name__, repr(x))
        elif kind is np.ndarray or isinstance(x, np.generic):
            self._visit_array(np.asarray(x))
        elif kind in (tuple, list):
            self.write(kind.__name__, len(x))
            self._visit_all(x)
        elif kind in (set, frozenset):
            self._visit_set(x)
        elif kind in (dict, types.MappingProxyType):
            self.write("mapping", len(x))
            self._visit_all(itertools.chain.from_iterable(x.items()))
        elif kind is types.CodeType:
            self._visit_code(x)
        else:
            self._visit_once(x)

    def _visit_all(self, things: Iterable[Any]) -> None:
        for thing in things:
            self.visit(thing)

    def _visit_array(self, array: np.ndarray[Any, Any]) -> None:
        if array.dtype.hasobject:
            raise UnknownCodeError
        self.write("array", array.dtype, array.shape, array.tobytes())

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
            case types.MemberDescriptorType() | types.GetSetDescriptorType():
                self.write("slot", x.__name__)
            case types.MethodType():
                self.write("method")
                self._visit_all((x.__self__, x.__func__))
            case property() | classmethod() | staticmethod() | functools.cached_property():
                self.write(type(x).__name__)
                self._visit_all(getattr(x, name, None) for name in ("fget", "__func__", "func"))
            case _ if _of_a_library(x):
                if _package(x.__module__) in _OUTSIDE:
                    raise UnknownCodeError
                self.write("known", x.__module__, _name(x))
            case types.FunctionType():
                self._visit_function(x)
            case type():
                self._visit_class(x)
            case _:
                self._visit_object(x)

    def _visit_function(self, function: types.FunctionType) -> None:
        code, known = function.__code__, function.__globals__
        self.write("function")
        self._visit_all((code, function.__defaults__, function.__kwdefaults__, function.__dict__))
        wanted = _attributes(code)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self._visit_named(name, cell.cell_contents, wanted)
        # The source of the house and of libraries is known, and with it what their functions refer to. It is the home
        # of the globals that counts: a function that wraps another takes over the name of its module.
        if not _is_library(known.get("__name__")):
            self._visit_globals(code, known, wanted)

    def _visit_globals(self, code: types.CodeType, known: Mapping[str, Any], wanted: list[str]) -> None:
        """Add what code refers to by name; of modules only what it takes from them."""
        instructions = [i for i in dis.get_instructions(code) if i.opname != "EXTENDED_ARG"]
        for k, i in enumerate(instructions):
            if i.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                if i.argval in known:
                    self._visit_named(i.argval, known[i.argval], wanted)
                elif i.argval in _LOOKS_UP and hasattr(builtins, i.argval):
                    raise UnknownCodeError
            elif i.opname == "IMPORT_NAME":
                # Before it the level of a relative import and the names that are taken from the module are loaded.
                level, taken = (instructions[k - back].argval for back in (2, 1))
                self._visit_import(i.argval, level, taken or (), known, wanted)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._visit_globals(constant, known, wanted)

    def _visit_import(
        self, name: str, level: int, taken: tuple[str, ...], known: Mapping[str, Any], wanted: list[str]
    ) -> None:
        """Add what an import inside a function brings: of a dotted name every package on the way."""
        name = importlib.util.resolve_name("." * level + name, known.get("__package__")) if level else name
        for path in itertools.accumulate(name.split("."), "{}.{}".format):
            module = sys.modules.get(path)
            if module is None or (path == name and not {*taken} <= vars(module).keys()):
                raise UnknownCodeError
            self._visit_named(path, module, wanted)

    def _visit_named(self, name: str, x: Any, wanted: list[str]) -> None:
        self.write("name", name)
        if not isinstance(x, types.ModuleType):
            self.visit(x)
        elif not _is_library(x.__name__):
            for attribute in wanted:
                if attribute in vars(x):
                    self._visit_named(attribute, vars(x)[attribute], wanted)
        elif _package(x.__name__) in _OUTSIDE or not _READS.isdisjoint(wanted):
            raise UnknownCodeError
        else:
            self.write("library", x.__name__)

    def _visit_class(self, kind: type) -> None:
        self.write("class", kind.__module__, kind.__qualname__)
        if _package(kind.__module__) not in (HOUSE, "builtins"):
            self._visit_all((type(kind), *kind.__bases__))
            for name, member in sorted(vars(kind).items()):
                if name not in _IDLE:
                    self.write(name)
                    self.visit(member)

    def _visit_object(self, x: Any) -> None:
        """Add what pickle writes of an object: its class, what that is called with, its state and what it contains."""
        self.write("object")
        self.visit(type(x))
        # What jit and caches make of a function; pickle writes no more than its name.
        by_name = _package(type(x).__module__) == "jaxlib" or type(x) is functools._lru_cache_wrapper
        if by_name and hasattr(x, "__wrapped__"):
            self.visit(x.__wrapped__)
            return
        try:
            written = x.__reduce_ex__(4)
        except Exception as error:  # whatever objects raise that cannot be copied
            raise UnknownCodeError from error
        if isinstance(written, str):
            raise UnknownCodeError
        make, given, *rest = written
        state, *contents = rest or (None,)
        self._visit_all((make, given, state, *(None if each is None else [*each] for each in contents)))


_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM", "LOAD_SUPER_ATTR"})


def _attributes(code: types.CodeType) -> list[str]:
    """The names of all attributes that code takes, and the functions inside it."""
    found = {str(i.argval) for i in dis.get_instructions(code) if i.opname in _ATTRIBUTES}
    return sorted(found.union(*(_attributes(x) for x in code.co_consts if isinstance(x, types.CodeType))))


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
