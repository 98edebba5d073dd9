"""The shape of the package: who imports whom, how long things are, and what `import pymc_lan` costs.

A module belongs to a layer and imports from its own layer or below; modules of one layer may import each
other as long as that makes no circle. Imports inside functions count like any other, because loading late
hides a dependency but does not remove it.
"""

from __future__ import annotations

import ast
import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = "pymc_lan"

# A new module gets a line here. The first part of a dotted name decides, so a folder is one line.
LAYERS: Mapping[str, float] = {
    "disk": 0,
    "dynamics": 0,
    "errors": 0,
    "executors": 0,
    "spec": 0,
    "transforms": 0,
    "accumulators": 1,
    "bounds": 1,
    "choice": 1,
    "exact": 1,
    "generated": 1,
    "guesses": 1,
    "kernels": 1,
    "likelihood": 1,
    "llvm_code": 0,
    "fokker_planck": 1,
    "mlp": 1,
    "models": 0,
    "networks": 1,
    "simulators": 1,
    "bridges": 1,
    "exits": 1,
    "processes": 0,
    "races": 0,
    "reflected": 1,
    "reflected_labels": 2,
    "reflected_paths": 1,
    "simulated_models": 0,
    "channel": 1,
    "paths": 1,
    "path_choice": 1,
    "plain": 1,
    "spread": 1,
    "responses": 1,
    "simulated": 1,
    "simulating": 2,
    "affine": 1,
    "views": 1,
    "volterra": 1,
    "card": 2,
    "corners": 2,
    "checkpoint": 2,
    "configs": 2,
    "data": 2,
    "draws": 2,
    "passages": 2,
    "labels": 2,
    "mixtures": 2,
    "columns": 1,
    "messages": 0,
    "observed": 0,
    "plausible": 1,
    "reading": 2,
    "solutions": 2,
    "tables": 2,
    "network": 2,
    "onnx_reader": 2,
    "codegen": 3,
    "onnx_writer": 3,
    "ops": 3,
    "hub": 3,
    "provenance": 3,
    "registry": 3,
    "sources": 3,
    "training": 3,
    "distributions": 4,
    "listing": 4,
    "build": 5,
    "build_simulated": 5,
    "interop": 5,
    "diagnostics": 5,
    "inference": 5,
    "publishing": 5,
    "report": 5,
    "plots": 5,
    "cli": 6,
    "": math.inf,  # pymc_lan/__init__.py re-exports, so nothing may import from it
}

# Libraries that only these modules may import; what is not listed is free for all.
USES_PYMC = frozenset({"distributions", "diagnostics", "inference", "plots", "cli"})
USES_JAX = frozenset(
    {
        "dynamics",
        "models",
        "networks",
        "bridges",
        "passages",
        "simulating",
        "channel",
        "paths",
        "path_choice",
        "mixtures",
        "affine",
        "volterra",
        "fokker_planck",
        "solutions",
        "labels",
        "checkpoint",
        "draws",
        "training",
        "ops",
        "codegen",
        "onnx_writer",
        "diagnostics",
        "inference",
    }
)
IMPORTERS: Mapping[str, frozenset[str]] = {
    "pymc": USES_PYMC,
    "pytensor": USES_PYMC | {"ops"},
    "arviz": frozenset({"diagnostics", "plots", "cli"}),
    "jax": USES_JAX,
    "flax": USES_JAX,
    "optax": frozenset({"training", "inference"}),
    "blackjax": frozenset({"inference"}),
    "orbax": frozenset({"checkpoint"}),
    "matplotlib": frozenset({"plots"}),
    "huggingface_hub": frozenset({"hub", "publishing"}),
    "onnx": frozenset({"onnx_reader", "interop"}),
    "httpx2": frozenset({"hub", "publishing"}),
    "sklearn": frozenset({"diagnostics"}),
    "typer": frozenset({"cli"}),
}

# What nobody should wait for, or have installed, to import the package.
LOADED_LATE = (
    "jax",
    "flax",
    "optax",
    "blackjax",
    "orbax",
    "matplotlib",
    "huggingface_hub",
    "httpx2",
    "sklearn",
    "typer",
)

LONGEST_FILE = 500
LONGEST_BODY = 80


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Yield (line, full dotted name) of everything a source imports; a relative import begins with a dot."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield node.lineno, alias.name
            case ast.ImportFrom(module=module, names=names, level=level):
                for alias in names:
                    yield node.lineno, "." * level + ".".join(filter(None, (module, alias.name)))
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def own_module(name: str, modules: Mapping[str, str]) -> str:
    """Return the longest beginning of a dotted name that is a module; names of the package itself give ""."""
    parts = name.split(".")
    return next((m for n in range(len(parts), 0, -1) if (m := ".".join(parts[:n])) in modules), "")


def layer(module: str) -> float:
    """Return the layer of a module, by its first part."""
    return LAYERS[module.split(".")[0]]


def wrong_imports(modules: Mapping[str, str]) -> list[str]:
    """Return one sentence for each import that breaks the rules.

    Parameters
    ----------
    modules : mapping of str to str
        Source by module name without the package's own: ``"training.loop"``, ``""`` for ``__init__.py``.
    """
    unknown = [m for m in modules if m.split(".")[0] not in LAYERS]
    if unknown:
        return [f"{m} has no layer: add it to LAYERS in tests/test_layers.py" for m in unknown]
    found = []
    graph: dict[str, set[str]] = {module: set() for module in modules}
    for module, source in modules.items():
        for line, name in imports(source):
            where, (first, _, rest) = f"{module or '__init__'}:{line}", name.partition(".")
            if name.startswith("."):
                found.append(f"{where} imports {name} relatively: write the whole name")
            elif first != PACKAGE:
                if module.split(".")[0] not in IMPORTERS.get(first, LAYERS):
                    allowed = ", ".join(sorted(IMPORTERS[first]))
                    found.append(f"{where} imports {first}, which only {allowed} may")
            else:
                target = own_module(rest, modules)
                if layer(target) > layer(module):
                    found.append(f"{where} imports upwards, from {target or '__init__'}")
                else:
                    graph[module].add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append("these import each other in a circle: " + " <- ".join(error.args[1]))
    return found


def too_long(source: str) -> list[str]:
    """Return a sentence for a file over 500 lines and for each function body over 80, without docstring."""
    lines = source.count("\n")
    found = [f"{lines} lines, at most {LONGEST_FILE}"] if lines > LONGEST_FILE else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[ast.get_docstring(node, clean=False) is not None :]
            size = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            if size > LONGEST_BODY:
                found.append(f"line {node.lineno}: the body of {node.name} has {size} lines, at most {LONGEST_BODY}")
    return found


def package_sources() -> dict[str, str]:
    """Read the package: source by module name, as ``wrong_imports`` takes it."""
    root = REPOSITORY / PACKAGE
    names = {path: path.relative_to(root).with_suffix("").parts for path in sorted(root.rglob("*.py"))}
    return {".".join(p for p in parts if p != "__init__"): path.read_text() for path, parts in names.items()}


def test_imports_point_downwards() -> None:
    sources = package_sources()
    assert "" in sources, f"expected {PACKAGE}/__init__.py under {REPOSITORY}"
    assert wrong_imports(sources) == []


def test_files_and_functions_are_short() -> None:
    folders = (PACKAGE, "tests", "benchmarks", "examples", "scripts")
    files = [path for folder in folders for path in sorted((REPOSITORY / folder).rglob("*.py"))]
    found = {str(path.relative_to(REPOSITORY)): too_long(path.read_text()) for path in files}
    assert {name: messages for name, messages in found.items() if messages} == {}


FINE = {
    "": "from pymc_lan.spec import A",
    "spec": "import numpy as np",
    "networks": "def f():\n    import jax\n    from pymc_lan import spec",
    "training": "from pymc_lan.training.loop import fit",
    "training.loop": "import optax\nfrom pymc_lan.networks import Mlp\nimport pymc_lan.training.losses",
    "training.losses": "import jax.numpy as jnp",
    "ops": "import pytensor.tensor as pt",
    "distributions.lan": "import pymc as pm\nfrom pymc_lan.ops import Op",
}


def test_the_checker_accepts_what_is_allowed() -> None:
    assert wrong_imports(FINE) == []


@pytest.mark.parametrize(
    ("module", "source", "message"),
    [
        ("spec", "from pymc_lan.networks import Mlp", "spec:1 imports upwards, from networks"),
        ("spec", "from pymc_lan import networks", "spec:1 imports upwards, from networks"),
        ("spec", "import pymc_lan.training.loop", "spec:1 imports upwards, from training.loop"),
        ("spec", "def f():\n    from pymc_lan.ops import Op", "spec:2 imports upwards, from ops"),
        (
            "ops",
            "from importlib import import_module\nimport_module('pymc_lan.cli')",
            "upwards, from __init__",
        ),
        ("ops", "from pymc_lan import DDM", "ops:1 imports upwards, from __init__"),
        ("training.losses", "from . import loop", "imports .loop relatively"),
        (
            "training.losses",
            "from pymc_lan.training.loop import x",
            "these import each other in a circle: ",
        ),
        ("ops", "from pymc_lan.registry import r", "these import each other in a circle: "),
        (
            "affine",
            "import pymc as pm",
            "affine:1 imports pymc, which only cli, diagnostics, distributions, inference, plots may",
        ),
        ("ops", "from pymc.distributions import Normal", "ops:1 imports pymc,"),
        ("training.loop", "import pytensor.tensor as pt", "training.loop:1 imports pytensor,"),
        (
            "training.loop",
            "import orbax.checkpoint as ocp",
            "training.loop:1 imports orbax, which only checkpoint may",
        ),
        ("spec", "import importlib\nimportlib.import_module('jax.numpy')", "spec:2 imports jax,"),
        ("", "import matplotlib.pyplot as plt", "__init__:1 imports matplotlib,"),
        ("brand_new", "", "brand_new has no layer"),
    ],
)
def test_the_checker_rejects(module: str, source: str, message: str) -> None:
    registry = {"registry": "from pymc_lan.ops import Op"}
    found = wrong_imports({**FINE, **registry, module: source})
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("source", "messages"),
    [
        ("x = 1\n" * 500, 0),
        ("x = 1\n" * 501, 1),
        ("def f():\n" + "    x = 1\n" * 80, 0),
        ("def f():\n" + "    x = 1\n" * 81, 1),
        ('def f():\n    """Long.\n' + "\n" * 90 + '    """\n    return 1\n', 0),
        ("class A:\n    async def f(self):\n" + "        x = 1\n" * 81, 1),
    ],
)
def test_the_checker_measures(source: str, messages: int) -> None:
    assert len(too_long(source)) == messages


# pymc comes first, so that what is compared is what pymc_lan itself brings and changes. Public names load on
# first use; they may bring modules, but must leave global configuration alone just as well.
PROBE = """
import json, logging, multiprocessing, os, sys, warnings
import numpy as np, pymc, pytensor

def state():
    root = logging.getLogger()
    return {
        "pytensor.config": str(pytensor.config),
        "numpy errors": np.geterr(),
        "numpy printing": repr(np.get_printoptions()),
        "numpy random state": repr(np.random.get_state()),
        "warnings filters": [repr(f) for f in warnings.filters],
        "root logger": [root.level, [repr(h) for h in root.handlers]],
        "environment": dict(os.environ),
        "start method of processes": multiprocessing.get_start_method(allow_none=True),
    }

def changed(before, after):
    return {key: [before[key], after[key]] for key in before if before[key] != after[key]}

before, loaded = state(), set(sys.modules)
import pymc_lan
report = {"loaded by import": sorted(set(sys.modules) - loaded)}
report["changed by import"] = changed(before, state())
for name in getattr(pymc_lan, "__all__", ()):
    getattr(pymc_lan, name)
report["changed by public names"] = changed(before, state())
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def probe() -> dict[str, Any]:
    """Return what a fresh process says about `import pymc_lan`."""
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_import_loads_nothing_heavy(probe: dict[str, Any]) -> None:
    loaded = probe["loaded by import"]
    assert PACKAGE in loaded
    assert [name for name in loaded if name.split(".")[0] in LOADED_LATE] == []


@pytest.mark.parametrize("by", ["import", "public names"])
def test_global_configuration_is_left_alone(probe: dict[str, Any], by: str) -> None:
    assert probe[f"changed by {by}"] == {}
