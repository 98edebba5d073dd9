"""The oracle of the tests of tables: against tables of 40 digits, and the package on a table of many spellings."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from backends import AS_WRITTEN
from oracle import choices, density, presses, upper_by

import pymc_lan as pl

DATA = Path(__file__).parent / "data"


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(DATA / name)


def test_densities_are_those_of_the_reference() -> None:
    for row in read("ddm_reference_logpdf.csv").itertuples():
        found = density(row.rt - row.t, row.response > 0, row.v, row.a, row.z)
        # The series cancel where almost nothing is left of a density.
        assert found == pytest.approx(math.exp(row.logpdf), rel=1e-9, abs=1e-13)


def test_probabilities_are_those_of_the_reference() -> None:
    for row in read("ddm_reference_choice.csv").itertuples():
        found = upper_by(row.deadline, row.v, row.a, row.z)
        assert found == pytest.approx(math.exp(row.log_p_go), rel=1e-9, abs=1e-13)
        assert 1 - found == pytest.approx(math.exp(row.log_p_nogo), rel=1e-9, abs=1e-13)


THETA = {"v": 0.8, "a": 1.1, "z": 0.45, "t": 0.2}
PRESSES = {
    "rt": [0.5, Decimal("0.9"), None, "", float("nan"), np.float32(1.25), float("inf"), 1.4],
    "response": [1, True, 0, -1, False, 1.0, None, 1],
}
TYPES = ["go", "No-Go", "GO", "nogo", " no_go ", "go", "go", "no-go"]
ENDS = [1.5, 1.5, 1.5, 0.9, 2.5, np.inf, np.inf, 1.5]
GUESSES = {"p_lapse": 0.1, "lapse_go": 0.3}


def test_presses_of_a_table_of_many_spellings() -> None:
    options = {"trial_type": TYPES, "deadline": ENDS, **GUESSES, "lapse_window": 2.0}
    with pm.Model() as model:
        pl.GoNoGoDDM("obs", **THETA, **options, likelihood="exact", observed=pd.DataFrame(PRESSES))
    (found,) = model.compile_fn(model.logp(sum=False), point_fn=False, mode=AS_WRITTEN)()
    np.testing.assert_allclose(found, presses(PRESSES, **THETA, **options), rtol=1e-9, atol=1e-9)


def test_choices_of_a_table_of_many_spellings() -> None:
    table = {"rt": [0.5, Decimal("0.9"), np.float32(1.25), 4], "response": [1, -1.0, True, np.int8(-1)]}
    with pm.Model() as model:
        pl.DDM("obs", **THETA, p_lapse=0.2, likelihood="exact", observed=pd.DataFrame(table))
    (found,) = model.compile_fn(model.logp(sum=False), point_fn=False, mode=AS_WRITTEN)()
    np.testing.assert_allclose(found, choices(table, **THETA, p_lapse=0.2), rtol=1e-9, atol=1e-9)


def test_windows_of_guesses_by_the_documented_rule() -> None:
    """As given, else each trial's own deadline where it has one, else the longest observed time."""
    ours = presses(PRESSES, **THETA, deadline=ENDS, **GUESSES)
    window = [1.5, 1.5, 1.5, 0.9, 2.5, 1.4, 1.4, 1.5]
    np.testing.assert_array_equal(ours, presses(PRESSES, **THETA, deadline=ENDS, **GUESSES, lapse_window=window))
