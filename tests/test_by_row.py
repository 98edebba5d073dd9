"""Covariances of effects are sampled by row: the same density, on a scale that narrow rows share with wide ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from backends import AS_WRITTEN

import pymc_lan as pl
from pymc_lan.inference.members.by_row import DONE, ByRow


@pytest.mark.parametrize("n", [1, 3])
def test_a_row_has_its_length_and_comes_back(n: int) -> None:
    x = pt.vector("x", shape=(n * (n + 1) // 2,))
    own, rng = ByRow(n), np.random.default_rng(1)
    y = own.backward(x)
    run = pytensor.function([x], [y, own.forward(y), own.log_jac_det(x)], mode=AS_WRITTEN)
    value = rng.normal(0, 1, n * (n + 1) // 2)
    factor, back, found = run(value)
    np.testing.assert_allclose(back, value, rtol=1e-12)
    steps = 1e-5 * np.eye(len(value))
    slopes = [(run(value + h)[0] - run(value - h)[0]) / 2e-5 for h in steps]
    assert found == pytest.approx(np.linalg.slogdet(slopes)[1], abs=1e-7)
    packed = np.zeros((n, n))
    packed[np.tril_indices(n)] = factor
    np.testing.assert_allclose(np.log((packed @ packed.T).diagonal()) / 2, value[own.diagonal], rtol=1e-12)


@pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS:UserWarning")  # PyMC's initial point
def test_the_density_is_that_of_the_model() -> None:
    rng = np.random.default_rng(2)
    s, x = np.repeat(np.arange(6), 8), rng.normal(size=48)
    with pm.Model() as model:
        packed = pm.LKJCholeskyCov("chol", n=2, eta=2.0, sd_dist=pm.HalfNormal.dist(1.0), compute_corr=False)
        chol = pm.math.expand_packed_triangular(2, packed)
        theta = pm.MvNormal("theta", pm.Normal("mean", shape=2), chol=chol, shape=(6, 2))
        pm.Normal("obs", theta[s, 0] + theta[s, 1] * x, 1.0, observed=rng.normal(size=48))
    new = pl.informed(model)
    assert pl.informed_table(new).set_index("variable").loc["chol", "done"] == DONE
    assert {v.name for v in new.value_vars} == {"mean", "chol_by_row__", "theta_informed__"}
    names = ["mean", "chol", "theta"]
    natural = new.compile_fn(
        [next(v for v in new.unobserved_value_vars if v.name == n) for n in names], mode=AS_WRITTEN
    )
    ours, theirs = (m.compile_logp(jacobian=False, mode=AS_WRITTEN) for m in (new, model))
    begin = new.initial_point()
    for _ in range(3):
        point: dict[str, Any] = {k: v + rng.normal(0, 0.4, np.shape(v)) for k, v in begin.items()}
        mean, factor, members = natural(point)
        inner = factor.copy()
        inner[[0, 2]] = np.log(inner[[0, 2]])
        at = {"mean": mean, "chol_cholesky-cov-packed__": inner, "theta": members}
        assert ours(point) == pytest.approx(theirs(at), rel=1e-9)
