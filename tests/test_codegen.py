"""The generated closed-form parts are those of today's formulas, and the names of parameters are no part of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from harm_checks import code_of_name
from tables import one_of_a_kind

from pymc_lan.models.catalogue import DIFFUSIONS, MODELS
from pymc_lan.models.imported import PLAIN_OMISSION, plain_spec
from pymc_lan.models.spec import Model
from pymc_lan.networks.kernel.build import compile_kernel, shipped_parts
from pymc_lan.networks.kernel.formulas import generate
from pymc_lan.networks.mlp import MLP
from pymc_lan.registry.load import embedded_root
from pymc_lan.registry.table import read_registry

# What the text calls its own values, what the rows of a tile are called, and other alphabets.
AWKWARD = ("t0", "t50", "x0", "r3", "out0", "\u03b1", "rt", "response", "window", "output")


@pytest.mark.parametrize(
    "model",
    one_of_a_kind(sorted({*read_registry(embedded_root())} & {*DIFFUSIONS}), "ddm", "full_ddm", "weibull", "ornstein"),
)
def test_generated_parts_are_current(model: str) -> None:
    assert shipped_parts(MODELS[model]) == generate(MODELS[model]), "formulas changed: run scripts/formulas.py"


def of_names(name: str, names: tuple[str, ...]) -> Model:
    return plain_spec(name, dict.fromkeys((*names, "t"), (-1.0, 1.0)), (-1, 1), PLAIN_OMISSION)


def test_names_are_no_part_of_generated_text(tmp_path: Path) -> None:
    plain = of_names("plain", tuple(f"p{k}" for k in range(len(AWKWARD))))
    awkward = of_names("awkward", AWKWARD)
    crafty = of_names("awkward", AWKWARD)
    # Past the check of names, which is one line of defence; this is the other.
    object.__setattr__(crafty, "name", code_of_name(f"touch {tmp_path / 'executed'}"))
    object.__setattr__(crafty.parameters[0], "name", "v\n  ret void\n}\n\ndeclare i32 @system(ptr)\n;")
    assert generate(plain) == generate(awkward) == generate(crafty)
    n = len(AWKWARD) + 1
    layers = ((n + 2, 8), (8, 1))
    lan = MLP(*(tuple(np.ones(x, "f4") for x in xs) for xs in (layers, [x[1:] for x in layers])), "tanh")
    value, _ = compile_kernel(crafty, generate(crafty), lan, None)(np.array([1.5, 1.0, np.inf, *[0.0] * n])[:, None])
    assert value == pytest.approx(8 * np.tanh(3.5) + 1, rel=1e-6)
    assert not (tmp_path / "executed").exists()


def test_kernel_of_awkward_names() -> None:
    """A network that weighs its inputs, so that the log density and its derivatives are known."""
    spec, n = of_names("awkward", AWKWARD), len(AWKWARD) + 1
    weights = np.arange(1.0, n + 3).astype("f4")
    lan = MLP((weights[:, None],), (np.zeros(1, "f4"),), "tanh")
    row = np.linspace(0.1, 0.9, n)
    kernel = compile_kernel(spec, generate(spec), lan, None)
    value, partials = kernel(np.array([1.5, 1.0, np.inf, *row])[:, None])
    assert value == pytest.approx(weights @ [*row, 1.5, 1.0], rel=1e-6)
    assert partials[:, 0] == pytest.approx([weights[n], 0.0, *weights[:n]], rel=1e-6)


def test_a_renamed_diffusion_has_the_same_text() -> None:
    """Models of a release are checked one by one above; this is one of a user's own with drift and boundary."""
    ddm = MODELS["angle"]
    assert generate(replace(ddm, name="mine", description="; another")) == shipped_parts(ddm)
