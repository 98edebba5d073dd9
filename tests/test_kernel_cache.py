"""The cache of compiled kernels: whatever lies in its folder, values are right and nobody else's code is run."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import operator
import os
import pickle
import pwd
import signal
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import jax
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

import pymc_lan as pl
from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.imported import PLAIN_OMISSION, imported_model
from pymc_lan.networks.kernel import cache, kernel, tracing
from pymc_lan.networks.kernel.cache import kept
from pymc_lan.networks.kernel.fingerprint import fingerprint
from pymc_lan.networks.mlp import MLP

KEY, CONTENT = "a key", bytes(range(256)) * 40


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty cache's folder, which does not exist yet."""
    monkeypatch.setenv(cache.ENVIRONMENT, str(tmp_path / "cache"))
    cache._warn.cache_clear()
    yield tmp_path / "cache" / "kernels"
    cache._warn.cache_clear()


def asked(key: str = KEY, content: bytes = CONTENT) -> bool:
    """Ask for a key, see that its content is right, and return whether it had to be made."""
    made = []
    assert kept(key, lambda: made.append(key) or content) == content
    return bool(made)


def stored(folder: Path) -> Path:
    """Keep the key; return its file."""
    asked()
    (file,) = folder.iterdir()
    return file


def test_what_was_made_is_kept_for_this_user_alone(folder: Path) -> None:
    assert asked()
    assert not asked()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert asked("another key", b"another content")
    assert not asked()


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda x: b"",
    "cut in its head": lambda x: x[:30],
    "cut in its content": lambda x: x[:-1],
    "longer": lambda x: x + b"\0",
    "first bit": lambda x: bytes([x[0] ^ 1]) + x[1:],
    "a bit of its digest": lambda x: x[:25] + bytes([x[25] ^ 16]) + x[26:],
    "last bit": lambda x: x[:-1] + bytes([x[-1] ^ 128]),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_files_are_made_anew(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    file = stored(folder)
    file.write_bytes(damage(file.read_bytes()))
    assert asked()
    assert not asked()


def test_a_whole_file_of_another_key_is_not_taken(folder: Path) -> None:
    file = stored(folder)
    assert asked("another key", b"another content")
    (other,) = {*folder.iterdir()} - {file}
    file.write_bytes(other.read_bytes())
    assert asked()


def others_may_write(folder: Path) -> None:
    folder.chmod(0o777)


def others_may_read(folder: Path) -> None:
    folder.chmod(0o750)


def a_link(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


def a_file(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.write_bytes(b"")


@pytest.mark.parametrize("spoil", [others_may_write, others_may_read, a_link, a_file])
def test_folders_that_are_not_private_are_not_used_and_said_so_once(
    folder: Path, spoil: Callable[[Path], None]
) -> None:
    stored(folder)
    spoil(folder)
    with pytest.warns(UserWarning, match=r"Expected a folder of compiled kernels.*mode 0700.* PYMC_LAN_CACHE to"):
        assert asked()
    assert asked()


def test_folders_of_others_are_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(folder)
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.warns(UserWarning, match="one of another user"):
        assert asked()


def group_may_write(file: Path) -> None:
    file.chmod(0o664)


def linked(file: Path) -> None:
    file.rename(file.parents[1] / "elsewhere")
    file.symlink_to(file.parents[1] / "elsewhere")


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("spoil", [group_may_write, linked, pipe])
def test_files_that_others_can_change_are_replaced(folder: Path, spoil: Callable[[Path], None]) -> None:
    spoil(stored(folder))
    assert asked()
    assert not asked()


def test_without_a_folder_everything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv(cache.ENVIRONMENT, str(tmp_path / "file"))
    assert asked()
    assert asked()


def too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.ENVIRONMENT, str(tmp_path / (300 * "a")))


def no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for the users of containers, whom no list of users knows."""
    for name in (cache.ENVIRONMENT, "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)


def no_longer_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.ENVIRONMENT, "relative")
    (tmp_path / "removed").mkdir()
    monkeypatch.chdir(tmp_path / "removed")
    (tmp_path / "removed").rmdir()


def out_of_sight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the home of another user."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    for name in ("open", "stat", "lstat", "mkdir"):
        monkeypatch.setattr(os, name, refuse)
    monkeypatch.setattr(os, "supports_dir_fd", {refuse})
    monkeypatch.setenv(cache.ENVIRONMENT, "/home/of/another")


@pytest.mark.parametrize("spoil", [too_long, no_home, no_longer_there, out_of_sight])
def test_nor_where_there_is_no_place_for_one(
    spoil: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as here:
        spoil(tmp_path, here)
        assert asked()


def test_a_full_disk_is_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "write_whole", full)
    assert asked()
    assert asked()


def test_places_in_the_order_of_the_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    for name in (cache.ENVIRONMENT, "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    assert cache.folder() == home / ".cache" / "pymc_lan" / "kernels"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache.folder() == home / ".cache" / "pymc_lan" / "kernels"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.folder() == tmp_path / "xdg" / "pymc_lan" / "kernels"
    monkeypatch.setenv(cache.ENVIRONMENT, str(tmp_path / "ours"))
    assert cache.folder() == tmp_path / "ours" / "kernels"


def test_the_oldest_make_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_FILES", 3)
    for age, key in enumerate("abcd"):
        before = {*folder.iterdir()} if folder.exists() else set()
        assert asked(key)
        (new,) = {*folder.iterdir()} - before
        os.utime(new, (age, age))
    assert len([*folder.iterdir()]) == 3
    assert not asked("b")
    assert asked("a")


# Other processes

HURRY = f"""
import sys
from pymc_lan.networks.kernel.cache import kept
content = {CONTENT!r}
for k in range(60):
    assert kept({KEY!r}, lambda: content) == content
    assert kept(f"own {{k}}", lambda: content[k:]) == content[k:]
    for file in sorted(__import__("pathlib").Path(sys.argv[1]).glob("*.kernel"))[k % 3 :: 7]:
        file.unlink(missing_ok=True)
"""


def test_two_processes_at_once(folder: Path) -> None:
    """Each removes what the other has just written; all that either reads is whole."""
    both = [subprocess.Popen([sys.executable, "-c", HURRY, str(folder)], stderr=subprocess.PIPE) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()


KILLED = f"""
import os, sys
from pymc_lan.networks.kernel.cache import kept
def wait(descriptor):
    print("writing", flush=True)
    sys.stdin.read()
os.fsync = wait
kept({KEY!r}, lambda: {CONTENT!r})
"""


def test_a_process_that_is_killed_while_writing_leaves_nothing_to_read(folder: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert len([*folder.iterdir()]) == 1
    assert asked()
    assert not asked()


# Kernels

WEIGHTS = np.arange(1.0, 5.0).astype("f4")
WEIGHED = MLP((WEIGHTS[:, None],), (np.zeros(1, "f4"),), "tanh")
"""A network that weighs its inputs: those of a model of two parameters, rt and the response."""


def model(name: str = "mine") -> Any:
    return imported_model(name, {"p": (-1.0, 1.0), "t": (0.0, 1.0)}, (-1, 1), PLAIN_OMISSION)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record what is traced and compiled; tracing is done here, where JAX has been loaded."""
    done: list[str] = []
    compile_module = kernel.compile_module
    monkeypatch.setattr(kernel, "compile_kernel", kernel.compile_kernel.__wrapped__)
    monkeypatch.setattr(kernel, "object_code", lambda x: done.append("traced") or tracing.trace(x))
    monkeypatch.setattr(kernel, "compile_module", lambda x: done.append("compiled") or compile_module(x))
    return done


def check_values() -> None:
    x = np.array([[1.5, 0.7], [1.0, -1.0], [np.inf, np.inf], [0.1, -0.2], [0.3, 0.4]])
    value, partials = kernel.compile_kernel(model(), WEIGHED, None)(x)
    np.testing.assert_allclose(value, WEIGHTS @ x[[3, 4, 0, 1]], rtol=1e-6)
    np.testing.assert_allclose(partials, np.outer(WEIGHTS[[2, 0, 0, 1]] * [1, 0, 1, 1], [1, 1]), rtol=1e-6)


def test_a_kernel_is_traced_and_compiled_once(folder: Path, work: list[str]) -> None:
    for _ in range(3):
        check_values()
    assert work == ["traced", "compiled"]


@pytest.mark.parametrize("damage", [DAMAGE["cut in its content"], DAMAGE["last bit"]])
def test_damaged_code_is_not_run(folder: Path, work: list[str], damage: Callable[[bytes], bytes]) -> None:
    check_values()
    for file in folder.iterdir():
        file.write_bytes(damage(file.read_bytes()))
    check_values()
    assert work == ["traced", "compiled"] * 2


@pytest.mark.parametrize("what", ["this_machine", "versions", "fingerprint"])
def test_code_of_another_machine_version_or_model_is_not_run(
    folder: Path, work: list[str], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_values()
    monkeypatch.setattr(kernel, what, lambda *_: "another")
    check_values()
    # What depends on the model alone is traced again only where that is another or for another machine.
    assert work == ["traced", "compiled"] + ["traced"] * (what != "versions") + ["compiled"]


def test_other_weights_are_compiled_but_not_traced(folder: Path, work: list[str]) -> None:
    check_values()
    kernel.compile_kernel(model(), MLP((2 * WEIGHTS[:, None],), WEIGHED.biases, "tanh"), None)
    assert work == ["traced", "compiled", "compiled"]


def test_a_model_whose_code_is_unknown_is_traced_every_time(
    folder: Path, work: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "fingerprint", lambda _: None)
    check_values()
    check_values()
    assert work == ["traced", "compiled", "traced"]


OWN = """
import subprocess, sys
import jax.numpy as jnp
import numpy as np
from pymc_lan.models.diffusion.kinds import ModelSpec
from pymc_lan.models.parameters import Parameter
from pymc_lan.networks.kernel import kernel
from pymc_lan.networks.mlp import MLP

SLOPE = 0.3

def drift(t, x, theta):
    return theta["v"] - SLOPE * jnp.tanh(t)

parameters = (
    *(Parameter(name, (0.1, 2.0), "", "", domain=(0.0, np.inf)) for name in ("v", "a")),
    Parameter("z", (0.1, 0.9), "", "", domain=(0.0, 1.0)),
    Parameter("t", (0.0, 1.0), "s", "", domain=(0.0, np.inf)),
)
spec = ModelSpec("mine", parameters, drift, lambda t, theta: theta["a"], "", "")
silent = MLP((np.zeros((spec.views.n_inputs["lan"], 1), "f4"),), (np.zeros(1, "f4"),), "tanh")
done = []
run, compile_module = subprocess.run, kernel.compile_module
subprocess.run = lambda *args, **kwargs: done.append("traced") or run(*args, **kwargs)
kernel.compile_module = lambda *args: done.append("compiled") or compile_module(*args)
value, _ = kernel.compile_kernel(spec, silent, None)(np.array([[0.8], [1.0], [np.inf], [1.0], [1.2], [0.5], [0.2]]))
print(*done, *(["formulas here"] * ("pymc_lan.networks.kernel.formulas" in sys.modules)), value[0])
"""


def test_a_second_process_neither_traces_nor_compiles_a_users_own_model(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "own.py"
    script.write_text(OWN)
    said = []
    for seed in ("1", "2"):
        command = [sys.executable, str(script)]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.split())
    assert said[0] == ["traced", "compiled", *said[1]]
    assert len(said[1]) == 1


# What a model depends on

BASIS = """
import jax.numpy as jnp
from functools import partial
import helper
from helper import half

RATE, LIST = 1.0, [1, 2]

def inner(x):
    return jnp.sin(x) * RATE

def outer(y):
    def drift(t, x, theta, power=2):
        return inner(t) + y * theta["v"] ** power + helper.double(t) + half(x) + sum(LIST)
    return drift

class Shape:
    def __init__(self, slope):
        self.slope = slope
    def __call__(self, t):
        return self.slope * t

made = (outer(0.5), partial(inner, 2.0), Shape(0.1), lambda t: jnp.where(t > 0, t, 0.0))
"""
HELPER = """
def half(x):
    return x / 2
def double(x):
    return 2 * half(x)
def other(x):
    return x
"""
CHANGES = {
    "a constant": ("0.5", "0.6"),
    "a default": ("power=2", "power=3"),
    "a global": ("RATE, LIST = 1.0", "RATE, LIST = 1.1"),
    "a list": ("[1, 2]", "[1, 3]"),
    "a function of the library": ("jnp.sin", "jnp.cos"),
    "a key": ('"v"', '"w"'),
    "an operator": ("+ half(x)", "- half(x)"),
    "an attribute": ("Shape(0.1)", "Shape(0.2)"),
    "a method": ("self.slope * t", "self.slope + t"),
    "what is bound": ("partial(inner, 2.0)", "partial(inner, 3.0)"),
    "a function of a function of a module": ("x / 2", "x / 3"),
    "a function of a module": ("2 * half", "3 * half"),
}
SAME = {
    "nothing": ("", ""),
    "a comment": ("RATE, LIST", "# remark\n\nRATE, LIST"),
    "what nobody calls": ("    return x\n", "    return -x\n"),
}


def digest(change: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the sources after a change, as a user's module and script."""
    assert change[0] in BASIS + HELPER
    helper, script = types.ModuleType("helper"), types.ModuleType("script")
    monkeypatch.setitem(sys.modules, "helper", helper)
    monkeypatch.setitem(sys.modules, "script", script)
    for module, source in ((helper, HELPER), (script, BASIS)):
        exec(textwrap.dedent(source).replace(*change) if change[0] else source, vars(module))
    found = fingerprint(script.made)
    assert found is not None
    return found


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_changes_the_formulas_changes_their_fingerprint(
    change: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert digest(change, monkeypatch) != digest(("", ""), monkeypatch)


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_nothing_else_does(change: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert digest(change, monkeypatch) == digest(("", ""), monkeypatch)


class Wrapper:
    """A function in the clothes of another."""

    def __init__(self, function: Any, gain: float):
        self.function, self.gain = function, gain
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any) -> Any:
        return self.gain * self.function(*args)


class Slotted:
    __slots__ = ("gain",)

    def __init__(self, gain: float):
        self.gain = gain


@dataclasses.dataclass
class Beside:
    """A record with something beside its fields."""

    name: str

    def holding(self, gain: float) -> Beside:
        self.gain = gain
        return self


class Number(float):
    pass


def remark(x: Any, gain: float) -> Any:
    x.gain = gain
    return x


def with_rule(gain: float) -> Any:
    @jax.custom_jvp
    def square(x: Any) -> Any:
        return x * x

    square.defjvp(lambda x, change: (x[0] ** 2, gain * x[0] * change[0]))
    return square


def wraps_a_formula(gain: float) -> Any:
    """A user's function with the name and module of one of the house."""
    known = {"formula": pl.get_model("angle").boundary, "GAIN": gain, "wraps": functools.wraps}
    exec("@wraps(formula)\ndef boundary(t, theta):\n    return GAIN * formula(t, theta)", known)
    return known["boundary"]


def called_tuple(gain: float) -> Any:
    """A tuple with a method: the same numbers do something else."""

    def call(self: Any, t: float) -> float:
        return gain * t

    return type("Tuple", (tuple,), {"__call__": call})((1.0,))


def closed_module(gain: float) -> Any:
    """A function whose inner function looks into a module that it is given."""
    helper = types.ModuleType("given")
    helper.gain = gain  # type: ignore[attr-defined]
    return lambda t: sum(helper.gain * k for k in range(3))


# What differs in one number, which is in a place of its own.
TOLD_APART: dict[str, Callable[[float], Any]] = {
    "a wrapper's state": lambda gain: Wrapper(len, gain),
    "a slot": Slotted,
    "beside the fields": lambda gain: Beside("x").holding(gain),
    "an attribute of a number": lambda gain: remark(Number(1.0), gain),
    "an attribute of a function": lambda gain: remark(lambda x: x, gain),
    "a rule for derivatives": with_rule,
    "a global of a function that wraps one of the house": wraps_a_formula,
    "a method of a tuple": called_tuple,
    "a closed-over module": closed_module,
    "a mapped function": lambda gain: jax.vmap(lambda x: gain * x),
    "an item's name": lambda gain: operator.itemgetter(str(gain)),
    "a spline": lambda gain: CubicSpline([0.0, 1.0, 2.0], [0.0, gain, 1.0]),
    "a mask": lambda gain: np.ma.array([1.0, 2.0], mask=[False, gain == 1]),
    "a field's name": lambda gain: np.zeros(2, [(f"gain {gain}", float)]),
}


@pytest.mark.parametrize("make", TOLD_APART.values(), ids=TOLD_APART)
def test_what_differs_in_a_number_has_another_fingerprint(make: Callable[[float], Any]) -> None:
    assert None is not fingerprint(make(1.0)) == fingerprint(make(1.0)) != fingerprint(make(2.0))


PACKAGE = {
    "__init__": "RATE = {gain}",
    "random": "RATE = {gain}",
    "far": "",
    "use": """
def of_a_namesake(t):
    from .random import RATE
    return RATE * t
def of_the_package(t):
    from . import RATE
    return RATE * t
def of_the_package_by_name(t):
    import folder_of_rates.far
    return folder_of_rates.RATE * t
def in_an_inner_function(t):
    import folder_of_rates as rates
    return sum(rates.RATE * k for k in range(3))
""",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Any]:
    """Return what imports a package of a user's anew, as it is with another number in it."""

    def load(gain: float) -> Any:
        folder = tmp_path / str(gain) / "folder_of_rates"
        folder.mkdir(parents=True)
        for name, source in PACKAGE.items():
            (folder / f"{name}.py").write_text(source.format(gain=gain))
            monkeypatch.delitem(sys.modules, f"folder_of_rates.{name}".removesuffix(".__init__"), raising=False)
        monkeypatch.syspath_prepend(folder.parent)
        for name in ("random", "far"):
            importlib.import_module(f"folder_of_rates.{name}")
        return importlib.import_module("folder_of_rates.use")

    yield load
    for name in [name for name in sys.modules if name.startswith("folder_of_rates")]:
        del sys.modules[name]


def test_imports_inside_functions_are_followed(package: Callable[[float], Any]) -> None:
    digests = []
    for gain in (1.0, 2.0):
        module = package(gain)
        digests.append({name: fingerprint(x) for name, x in vars(module).items() if isinstance(x, types.FunctionType)})
    assert len(digests[0]) == 4
    for name, found in digests[0].items():
        assert None is not found != digests[1][name], name


def reads(source: str) -> Any:
    known: dict[str, Any] = {"np": np, "os": os, "GAIN": 1.0}
    exec(f"def drift(t):\n    return {source} * t", known)
    return known["drift"]


UNKNOWN = {
    "a generator": (x for x in ()),
    "an object in an array": np.array([object()]),
    "a ufunc of a user's": np.frompyfunc(lambda x: x, 1, 1),
    "a file": reads("float(open('rate').read())"),
    "a table": reads("np.loadtxt('rate')"),
    "the environment": reads("float(os.environ['RATE'])"),
    "a name made up": reads("globals()['GA' + 'IN']"),
    "code made up": reads("eval('GAIN')"),
}


@pytest.mark.parametrize("thing", UNKNOWN.values(), ids=UNKNOWN)
def test_what_cannot_be_followed_has_no_fingerprint(thing: Any) -> None:
    assert fingerprint(thing) is None


@pytest.mark.parametrize("in_the_file", [1.0, 2.0])
def test_code_of_what_lies_in_the_file_of_a_module_is_not_taken_for_that_of_the_session(
    in_the_file: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module goes to the tracing process by its name; here its global is 2."""
    module = types.ModuleType("of_a_user")
    exec("def drift(t):\n    return RATE * t", vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    vars(module)["RATE"] = 2.0

    def another_process(command: Any, *, input: bytes, **kwargs: Any) -> Any:
        with monkeypatch.context() as there:
            there.setitem(vars(module), "RATE", in_the_file)
            answer = str(fingerprint(pickle.loads(input))).encode() + b"code"
        return types.SimpleNamespace(returncode=0, stdout=answer)

    monkeypatch.setattr(tracing.subprocess, "run", another_process)
    monkeypatch.setattr(tracing, "trace", lambda model: b"code of this process")
    assert tracing.object_code(vars(module)["drift"]) == (b"code" if in_the_file == 2 else b"code of this process")


def test_models_of_this_release_can_be_kept() -> None:
    """Here and where they are traced they are the same."""
    digests = {name: fingerprint(model) for name, model in MODELS.items()}
    assert None not in digests.values()
    assert len({*digests.values()}) == len(digests)
    assert {name: fingerprint(pickle.loads(cloudpickle.dumps(model))) for name, model in MODELS.items()} == digests
