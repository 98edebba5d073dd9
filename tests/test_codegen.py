"""The generated closed-form parts are those of today's formulas."""

from __future__ import annotations

import pytest

from pymc_lan.codegen import generate
from pymc_lan.kernels import shipped_parts
from pymc_lan.models import DIFFUSIONS, MODELS
from pymc_lan.registry import embedded_root, read_registry


@pytest.mark.parametrize("model", sorted({*read_registry(embedded_root())} & {*DIFFUSIONS}))
def test_generated_parts_are_current(model: str) -> None:
    assert shipped_parts(MODELS[model]) == generate(MODELS[model]), "formulas changed: run python -m pymc_lan.codegen"
