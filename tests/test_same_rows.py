"""Rows of graphs that are the same whatever the inputs are, and what is looked at once for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from backends import AS_WRITTEN
from pytensor.graph.traversal import ancestors

import pymc_lan as pl
from pymc_lan.ops.same_rows import first_of_same
from pymc_lan.ops.undecided import Undecided

N = 12
SUBJECT, CUE = np.repeat([0, 1, 2], 4), np.tile([0, 1], 6)
DESIGN = np.column_stack([np.ones(N), CUE])
EFFECTS, MATRIX, SCALAR = pt.dvector("effects"), pt.dmatrix("matrix"), pt.dscalar("scalar")
GIVEN = {EFFECTS: np.array([0.3, 0.7, -0.2]), MATRIX: np.arange(9.0).reshape(3, 3) ** 1.1, SCALAR: 1.3}
BOX = SCALAR * SUBJECT[:, None, None, None] * np.ones((N, 3, 1, 3))

# A vector of twelve rows, and how many of them differ; None where nothing is known.
GRAPHS: dict[str, tuple[Callable[[], Any], int | None]] = {
    "a number": (lambda: SCALAR, 1),
    "places": (lambda: EFFECTS[SUBJECT], 3),
    "functions of places": (lambda: pt.exp(EFFECTS)[SUBJECT] * SCALAR, 3),
    "sums": (lambda: EFFECTS[SUBJECT] + SCALAR * CUE, 6),
    "a matrix of conditions": (lambda: pt.dot(DESIGN, EFFECTS[:2]), 2),
    "a column of places": (lambda: MATRIX[SUBJECT][:, 1], 3),
    "places of a column": (lambda: MATRIX[:, 0][SUBJECT] + MATRIX[:, [2]][SUBJECT][:, 0] * CUE, 6),
    "rows times effects": (lambda: (DESIGN * MATRIX[:, :2][SUBJECT]).sum(-1), 6),
    "places of places": (lambda: EFFECTS[SUBJECT][np.arange(N)[::-1]], 3),
    "places from the end": (lambda: EFFECTS[np.where(CUE, -3, 0)], 2),
    "by a mask": (lambda: pt.concatenate([EFFECTS[SUBJECT]] * 2)[np.repeat([True, False], N)], None),
    "numbers of trials": (lambda: EFFECTS[SUBJECT] + np.arange(N), None),
    "what is given": (lambda: pt.dvector("other"), None),
    "running sums": (lambda: pt.cumsum(EFFECTS[SUBJECT]), None),
    "backwards": (lambda: EFFECTS[SUBJECT][::-1], None),
    "places of axes that are apart": (lambda: BOX[:, np.tile([0, 1, 2], 4), :, np.tile([0, 1, 2], 4)][:, 0, 0], None),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_what_is_called_the_same_is(case: str) -> None:
    make, n = GRAPHS[case]
    x = make()
    found = first_of_same([x], N)
    if n is None:
        assert found is None
        return
    assert found is not None
    first, which = found
    assert first.size == n
    inputs = list(GIVEN)
    values = pytensor.function(inputs, x, mode=AS_WRITTEN, on_unused_input="ignore")(*GIVEN.values())
    rows = np.broadcast_to(values, N)
    np.testing.assert_array_equal(rows[first][which], rows)


def density(theta: Any, rows: Any, **arguments: Any) -> Any:
    return pm.logp(pl.DDM.dist(**theta, z=0.5, t=0.3, shape=(N, 2), **arguments), rows)


SEEN: dict[str, tuple[dict[str, Any], list[float]]] = {
    "omissions": ({"deadline": 1.0}, [np.inf, 0.0]),
    "limits": ({"truncation": (0.2, 2.0), "likelihood": "exact"}, [0.6, -1.0]),
    "lost times": ({"missing": "lost"}, [-1.0, 1.0]),
}


@pytest.mark.parametrize("case", ["omissions", *(pytest.param(x, marks=pytest.mark.table) for x in [*SEEN][1:])])
def test_what_is_looked_at_once_is_what_each_has(case: str) -> None:
    """Against trials that are given their parameters one by one."""
    arguments, row = SEEN[case]
    data = np.array([[0.6, 1.0], [0.7, -1.0], [0.6, 1.0]] * 2 + [row] * 6)
    values = GIVEN[EFFECTS]
    one = density({"v": EFFECTS[SUBJECT] + 0.5 * CUE, "a": pt.exp(EFFECTS)[SUBJECT]}, data, **arguments)
    each = density({"v": (values[SUBJECT] + 0.5 * CUE), "a": np.exp(values)[SUBJECT]}, data, **arguments)
    slope = pt.grad(one.sum(), EFFECTS)
    found, gradient = pytensor.function([EFFECTS], [one, slope], mode=AS_WRITTEN)(values)
    np.testing.assert_allclose(found, each.eval(mode=AS_WRITTEN), rtol=1e-6)
    total = pytensor.function([EFFECTS], one.sum(), mode=AS_WRITTEN)
    step = 1e-4 * np.eye(3)
    np.testing.assert_allclose(
        gradient, [(total(values + x) - total(values - x)) / 2e-4 for x in step], rtol=2e-2, atol=1e-2
    )


def test_omissions_of_a_subject_and_a_condition_are_one() -> None:
    data = np.array([[0.6, 1.0], *[[np.inf, 0.0]] * 11])
    log_p = density({"v": EFFECTS[SUBJECT], "a": SCALAR}, data, deadline=np.where(CUE, 1.0, 1.2))
    (node,) = {x.owner for x in ancestors([log_p]) if x.owner is not None and isinstance(x.owner.op, Undecided)}
    assert node.inputs[0].type.shape == (6,)
