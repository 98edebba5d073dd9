"""Members given their group: against dense linear algebra, differences and the other backends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from numpy.typing import NDArray

from pymc_lan.ops.members import Conditional, MemberEffects, MemberValues

Float = NDArray[np.float64]

N, EFFECTS, VALUES = 4, 3, 2
# x, earlier, mean, q, full and away; what follows is constant.
SMOOTH = 6


def arguments(first: int, n_effects: int, rows: int) -> list[Float]:
    rng = np.random.default_rng(first + 10 * n_effects + 100 * rows)
    return [
        rng.normal(size=(N, n_effects)),
        rng.normal(size=(N, first)),
        rng.normal(size=(rows, EFFECTS)),
        rng.uniform(0.5, 2, (rows, EFFECTS)),
        np.cov(rng.normal(size=(EFFECTS, 20))),
        rng.normal(size=VALUES),
        np.array([x @ x.T for x in rng.normal(size=(N, EFFECTS, EFFECTS))]),
        rng.normal(size=(N, EFFECTS)),
        rng.normal(size=(N, EFFECTS, VALUES)),
    ]


def by_linear_algebra(first: int, given: list[Float]) -> tuple[Float, Float]:
    """Mean and covariance member by member; then effects after one another by the covariance's own factor."""
    x, earlier, mean, q, full, away, hessian, pull, answer = given
    theta, log_scale = np.empty_like(x), np.empty_like(x)
    block = slice(first, first + x.shape[1])
    for s in range(N):
        prior = full + np.diag(np.broadcast_to(q, (N, EFFECTS))[s])
        covariance = np.linalg.inv(hessian[s] + prior)
        m = covariance @ (pull[s] + answer[s] @ away + prior @ np.broadcast_to(mean, (N, EFFECTS))[s])
        root = np.linalg.cholesky(covariance)
        before = np.linalg.solve(root[:first, :first], earlier[s] - m[:first])
        theta[s] = (m + root[:, : block.stop] @ np.concatenate([before, x[s]]))[block]
        log_scale[s] = np.log(np.diag(root)[block])
    return theta, log_scale


@pytest.mark.parametrize(
    ("first", "n_effects", "rows"),
    [(1, 2, N), *(pytest.param(*x, marks=pytest.mark.table) for x in [(0, 3, 1), (2, 1, 1), (0, 1, N)])],
)
def test_effects_are_those_of_the_joint_normal(first: int, n_effects: int, rows: int) -> None:
    given = arguments(first, n_effects, rows)
    inputs = [pt.tensor(dtype="float64", shape=x.shape) for x in given]
    given_group: Any = Conditional()(*inputs[2:])
    made: Any = MemberEffects(first)(*inputs[:2], *given_group)
    theta, log_scale = made
    weights = np.random.default_rng(1).normal(size=(2, *given[0].shape))
    cost = (theta * weights[0]).sum() + (log_scale * weights[1]).sum()
    slopes: Any = pytensor.grad(cost, inputs[:SMOOTH])
    back: Any = MemberValues(first)(theta, inputs[1], *given_group)
    results = {
        mode: pytensor.function(inputs, [theta, log_scale, back, *slopes], mode=mode)(*given)
        for mode in ("FAST_COMPILE", "NUMBA", "JAX")
    }
    for found in results.values():
        for x, expected in zip(found[:3], (*by_linear_algebra(first, given), given[0]), strict=True):
            np.testing.assert_allclose(x, expected, atol=1e-12)
        for x, expected in zip(found, results["NUMBA"], strict=True):
            np.testing.assert_allclose(x, expected, atol=1e-12)

    def value(changed: list[Float]) -> float:
        x, y = by_linear_algebra(first, changed)
        return float((x * weights[0]).sum() + (y * weights[1]).sum())

    for i, slope in enumerate(results["NUMBA"][3:]):
        for at in np.ndindex(given[i].shape):
            step = np.zeros(given[i].shape)
            step[at] = 1e-5
            # The matrix is symmetric.
            step = (step + step.T) / 2 if i == 4 else step
            up, down = ([*given[:i], given[i] + sign * step, *given[i + 1 :]] for sign in (1, -1))
            assert (slope * step).sum() == pytest.approx((value(up) - value(down)) / 2, abs=1e-9)
