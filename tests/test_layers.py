"""The shape of the package: who imports whom, how long things are, and what `import pymc_lan` costs.

A package stands on a floor and imports from itself and from the floors below; its modules may import each other as
long as that makes no circle. Imports inside functions count like any other, because loading late
hides a dependency but does not remove it.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = "pymc_lan"

# A package imports from itself and from the floors below it; what stands on one floor does not see its neighbours.
FLOORS = (
    *({"errors"}, {"data", "numerics"}, {"models"}, {"networks"}, {"registry"}, {"ops"}, {"distributions"}, {"plots"}),
    *({"inference", "diagnostics", "training"}, {"regressions", "amortized"}, {"cli"}),
    {""},  # pymc_lan/__init__.py re-exports, so nothing may import from it
)
FLOOR = {package: number for number, packages in enumerate(FLOORS) for package in packages}
# Packages and modules that lie directly in the package; later ones have their places among them.
MOST_ENTRIES = 16

# Libraries that only these modules may import; what is not listed is free for all.
USES_PYMC = frozenset({"amortized", "distributions", "diagnostics", "inference", "plots", "regressions", "cli"})
USES_JAX = frozenset({"amortized", "numerics", "models", "networks", "ops", "diagnostics", "inference", "training"})
IMPORTERS: Mapping[str, frozenset[str]] = {
    "pymc": USES_PYMC,
    "pytensor": USES_PYMC | {"ops"},
    "arviz": frozenset({"diagnostics", "plots", "regressions", "cli"}),
    "jax": USES_JAX,
    "flax": USES_JAX - {"amortized"},
    "optax": frozenset({"amortized", "inference", "training"}),
    "bayesflow": frozenset({"amortized"}),
    "keras": frozenset({"amortized"}),
    "blackjax": frozenset({"inference"}),
    "orbax": frozenset({"networks"}),
    "tensorstore": frozenset({"networks"}),
    "matplotlib": frozenset({"plots"}),
    "huggingface_hub": frozenset({"registry"}),
    "onnx": frozenset({"networks", "registry"}),
    "httpx2": frozenset({"registry"}),
    "sklearn": frozenset({"networks"}),
    "typer": frozenset({"cli"}),
    "formulae": frozenset({"regressions"}),
    "bambi": frozenset({"regressions"}),
}

# What nobody should wait for, or have installed, to import the package.
LOADED_LATE = (
    "bayesflow",
    "keras",
    "jax",
    "flax",
    "optax",
    "blackjax",
    "orbax",
    "tensorstore",
    "matplotlib",
    "huggingface_hub",
    "httpx2",
    "sklearn",
    "typer",
    "formulae",
    "bambi",
)

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


def package(module: str) -> str:
    """Return the package that a module lies in: its first part."""
    return module.split(".")[0]


def wrong_imports(modules: Mapping[str, str]) -> list[str]:
    """Return one sentence for each import that breaks the rules.

    Parameters
    ----------
    modules : mapping of str to str
        Source by module name without the package's own: ``"training.loop"``, ``""`` for ``__init__.py``.
    """
    if unknown := [m for m in modules if package(m) not in FLOOR]:
        return [f"{m} stands on no floor: add its package to FLOORS in tests/test_layers.py" for m in unknown]
    found = []
    graph: dict[str, set[str]] = {module: set() for module in modules}
    for module, source in modules.items():
        for line, name in imports(source):
            where, (first, _, rest) = f"{module or '__init__'}:{line}", name.partition(".")
            if name.startswith("."):
                found.append(f"{where} imports {name} relatively: write the whole name")
            elif first != PACKAGE:
                if package(module) not in IMPORTERS.get(first, FLOOR):
                    allowed = ", ".join(sorted(IMPORTERS[first]))
                    found.append(f"{where} imports {first}, which only {allowed} may")
            else:
                target = own_module(rest, modules)
                if package(target) != package(module) and FLOOR[package(target)] >= FLOOR[package(module)]:
                    found.append(f"{where} imports upwards, from {target or '__init__'}")
                else:
                    graph[module].add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append("these import each other in a circle: " + " <- ".join(error.args[1]))
    return found


def too_long(source: str) -> list[str]:
    """Return a sentence for each function body over 80 lines, without docstring."""
    found = []
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


def test_functions_are_short() -> None:
    folders = (PACKAGE, "tests", "benchmarks", "examples", "scripts")
    files = [path for folder in folders for path in sorted((REPOSITORY / folder).rglob("*.py"))]
    found = {str(path.relative_to(REPOSITORY)): too_long(path.read_text()) for path in files}
    assert {name: messages for name, messages in found.items() if messages} == {}


def test_few_packages_lie_at_the_top() -> None:
    entries = {package(module) for module in package_sources()} - {""}
    assert entries <= FLOOR.keys()
    assert len(entries) <= MOST_ENTRIES


FINE = {
    "": "from pymc_lan.models import A",
    "models": "import numpy as np",
    "numerics": "import scipy",
    "networks": "def f():\n    import jax\n    from pymc_lan import models",
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
        ("models", "from pymc_lan.networks import Mlp", "models:1 imports upwards, from networks"),
        ("models", "from pymc_lan import networks", "models:1 imports upwards, from networks"),
        ("models", "import pymc_lan.training.loop", "models:1 imports upwards, from training.loop"),
        ("models", "def f():\n    from pymc_lan.ops import Op", "models:2 imports upwards, from ops"),
        ("data", "from pymc_lan.numerics import x", "data:1 imports upwards, from numerics"),
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
        (
            "numerics",
            "import pymc as pm",
            "numerics:1 imports pymc, which only "
            "amortized, cli, diagnostics, distributions, inference, plots, regressions may",
        ),
        ("ops", "from pymc.distributions import Normal", "ops:1 imports pymc,"),
        ("training.loop", "import pytensor.tensor as pt", "training.loop:1 imports pytensor,"),
        (
            "training.loop",
            "import orbax.checkpoint as ocp",
            "training.loop:1 imports orbax, which only networks may",
        ),
        ("data", "import importlib\nimportlib.import_module('jax.numpy')", "data:2 imports jax,"),
        ("", "import matplotlib.pyplot as plt", "__init__:1 imports matplotlib,"),
        ("brand_new", "", "brand_new stands on no floor"),
    ],
)
def test_the_checker_rejects(module: str, source: str, message: str) -> None:
    found = wrong_imports({**FINE, module: source})
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("source", "messages"),
    [
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
