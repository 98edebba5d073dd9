"""pl.regression: formulas to a PyMC model, compared with models and design matrices written by hand."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest

import pymc_lan as pl

N_SUBJECTS, N_TRIALS = 4, 12


@pytest.fixture(autouse=True)
def _interpreted() -> Iterator[None]:
    """Compile in no time, for few evaluations."""
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        yield


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    """Trials of four subjects under two conditions, with a covariate of trials and one of subjects."""
    rng = np.random.default_rng(1)
    n = N_SUBJECTS * N_TRIALS
    table = pl.simulate("ddm", {"v": 1.0, "a": 1.0, "z": 0.5, "t": 0.3}, n=n, seed=1)
    subject = np.repeat(np.arange(N_SUBJECTS), N_TRIALS)
    return table.assign(
        subject=np.array(["s4", "s1", "s3", "s2"])[subject],
        condition=np.tile(["fast", "slow"], n // 2),
        item=np.tile(["i1", "i2", "i3"], n // 3),
        x=rng.normal(size=n),
        age=np.array([20.0, 31.0, 45.0, 28.0])[subject],
    )


def same_density(left: pm.Model, right: pm.Model) -> None:
    """Compare log densities, term by term, at a point that is not symmetric."""
    rng = np.random.default_rng(2)
    point = {k: x + rng.normal(0, 0.2, x.shape) for k, x in left.initial_point().items()}
    assert {*point} == {*right.initial_point()}
    found, expected = (dict(m.point_logps(point, round_vals=12)) for m in (left, right))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-10, err_msg=name)


def inside(x: object, low: float, high: float, sharpness: float) -> object:
    """The identity between two ends that it does not pass, as the links are to have it."""
    return pt.log((1 + pt.exp(sharpness * (x - low))) / (1 + pt.exp(sharpness * (x - high)))) / sharpness + low


def test_the_model_is_the_one_written_by_hand(df: pd.DataFrame) -> None:
    reg = pl.regression(
        "ddm",
        df,
        v="condition + x + age + (condition | subject)",
        a="0 + condition + (0 + condition | subject) + (1 | item)",
        p_lapse=0.03,
    )
    names = ["s1", "s2", "s3", "s4"]
    subject = df["subject"].map(names.index).to_numpy()
    item = df["item"].str[1].astype(int).to_numpy() - 1
    slow = (df["condition"] == "slow").to_numpy().astype(float)
    age = df.groupby("subject")["age"].first()[names].to_numpy()
    sd_x, sd_age = df["x"].std(ddof=0), df["age"].std(ddof=0)
    with pm.Model(coords={"subject": names}) as model:
        v = pm.Normal("v", 0, [2, 1, 1 / sd_x, 1 / sd_age])
        a = pm.Normal("a", np.log(0.7), [0.4, 0.4])
        t = pm.Normal("t", np.log(0.4), [0.4])
        sd = pm.HalfNormal("subject_sd", [1, 0.5, 0.3, 0.3, 0.3])
        mean = pt.stack([v[0] + v[3] * age, *(x + np.zeros(4) for x in (v[1], a[0], a[1], t[0]))], axis=1)
        each = pm.Normal("subject_effects", mean, sd)
        item_effect = pm.Normal("item_effects", 0, pm.HalfNormal("item_sd", [0.3]), shape=(3, 1))
        eta_v = each[subject, 0] + each[subject, 1] * slow + v[2] * df["x"].to_numpy()
        eta_a = pt.where(slow == 1, each[subject, 3], each[subject, 2]) + item_effect[item, 0]
        pl.DDM(
            "obs",
            inside(eta_v, -3, 3, 4),
            pt.exp(inside(eta_a, np.log(0.3), np.log(2.5), 24 / np.log(2.5 / 0.3))),
            t=pt.exp(np.log(2) - pt.log1p(pt.exp(10 * (np.log(2) - each[subject, 4]))) / 10),
            p_lapse=0.03,
            observed=df,
        )
    same_density(reg.model, model)
