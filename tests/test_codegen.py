"""Compiled formulas are numbers only: the names of parameters are no part of the code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harm_checks import code_of_name

from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.imported import PLAIN_OMISSION, imported_model
from pymc_lan.models.model import Model
from pymc_lan.networks.kernel.formulas import build_formulas
from pymc_lan.networks.kernel.kernel import compile_kernel
from pymc_lan.networks.mlp import MLP

# What LLVM calls values and functions, what the arguments of a trial are called, and other alphabets.
AWKWARD = (*("t0", "entry", "x0", "tanhf", "density_inputs", "\u03b1"), *("rt", "response", "window", "output"))


def of_names(name: str, names: tuple[str, ...]) -> Model:
    bounds = dict.fromkeys(names, (-1.0, 1.0)) | {"t": (0.0, 1.0)}
    return imported_model(name, bounds, (-1, 1), PLAIN_OMISSION)


def test_names_are_no_part_of_the_code(tmp_path: Path) -> None:
    plain = of_names("plain", tuple(f"p{k}" for k in range(len(AWKWARD))))
    awkward = of_names("awkward", AWKWARD)
    crafty = of_names("awkward", AWKWARD)
    # Past the check of names, which is one line of defence; this is the other.
    object.__setattr__(crafty.known, "name", code_of_name(f"touch {tmp_path / 'executed'}"))
    object.__setattr__(crafty.parameters[0], "name", "v\n  ret void\n}\n\ndeclare i32 @system(ptr)\n;")
    assert str(build_formulas(plain)) == str(build_formulas(awkward)) == str(build_formulas(crafty))
    n = len(AWKWARD) + 1
    layers = ((n + 2, 8), (8, 1))
    lan = MLP(*(tuple(np.ones(x, "f4") for x in xs) for xs in (layers, [x[1:] for x in layers])), "tanh")
    value, _ = compile_kernel(crafty, lan, None)(np.array([1.5, 1.0, np.inf, *[0.0] * n])[:, None])
    assert value == pytest.approx(8 * np.tanh(3.5) + 1, rel=1e-6)
    assert not (tmp_path / "executed").exists()


def test_kernel_of_awkward_names() -> None:
    """A network that weighs its inputs, so that the log density and its derivatives are known."""
    spec, n = of_names("awkward", AWKWARD), len(AWKWARD) + 1
    weights = np.arange(1.0, n + 3).astype("f4")
    lan = MLP((weights[:, None],), (np.zeros(1, "f4"),), "tanh")
    row = np.linspace(0.1, 0.9, n)
    value, partials = compile_kernel(spec, lan, None)(np.array([1.5, 1.0, np.inf, *row])[:, None])
    assert value == pytest.approx(weights @ [*row, 1.5, 1.0], rel=1e-6)
    assert partials[:, 0] == pytest.approx([weights[n], 0.0, *weights[:n]], rel=1e-6)


def test_a_network_of_another_size_is_refused() -> None:
    """What the kernel leaves room for follows from the model, so it would write beyond it."""
    small = MLP((np.zeros((3, 1), np.float32),), (np.zeros(1, np.float32),), "tanh")
    with pytest.raises(ValueError, match=r"a network 'lan' of 4 inputs for 'ddm'\. Found one of 3\. Remedy"):
        compile_kernel(MODELS["ddm"], small, None)
