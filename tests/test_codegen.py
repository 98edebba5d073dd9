"""The generated closed-form parts are those of today's formulas."""

from __future__ import annotations

from importlib.resources import files

import pytest

from pymc_lan.codegen import generate
from pymc_lan.kernels import has_kernels
from pymc_lan.spec import MODELS


@pytest.mark.parametrize("model", sorted(MODELS))
def test_generated_parts_are_current(model: str) -> None:
    assert has_kernels(model)
    written = files("pymc_lan.generated").joinpath(f"{model}.ll").read_text("utf-8")
    assert written == generate(MODELS[model]), "the formulas changed: run python -m pymc_lan.codegen"
