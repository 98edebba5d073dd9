"""Sample one hierarchical model in one form, in a process of its own, and print what it took as JSON.

    python _form_worker.py DATA FORM SUBJECTS CHAINS DRAWS SEED

DATA is ``cavanagh`` (two choices, 14 patients), ``cut_odd`` or ``cut_even`` (the same, every other patient with 24
trials: the first, the third ... or the second, the fourth ...) or ``gonogo``.
FORM says how members are drawn: ``informed`` (written centred, then `pl.informed`), ``centred`` or ``offsets``.
"""

from __future__ import annotations

import json
import resource
import sys
from functools import partial
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm

import pymc_lan as pl

DATA = Path(__file__).resolve().parents[2] / "shared/data"
FEW_TRIALS = 24
DEADLINE = 1.55  # s
T_MIN, T_MAX = 0.1, 0.5  # s


def cpu() -> float:
    """CPU seconds of this process and of its children."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def members(form: str, name: str, mean: Any, sd: Any, dims: Any) -> Any:
    """Values that are normal around their group, drawn directly or as offsets."""
    if form == "offsets":
        return pm.Deterministic(name, mean + sd * pm.Normal(f"{name}_offset", dims=dims), dims=dims)
    return pm.Normal(name, mean, sd, dims=dims)


def cavanagh(form: str, n_subjects: int, *, cut: slice | None = None) -> pm.Model:
    """A drift for each stimulus, a boundary and a non-decision time: five effects of a patient."""
    df = pd.read_csv(DATA / "cavanagh_theta_nn.csv")
    df = df[df["participant_id"].isin(df["participant_id"].unique()[:n_subjects])]
    if cut is not None:
        few = df["participant_id"].unique()[cut]
        df = df[~df["participant_id"].isin(few) | (df.groupby("participant_id").cumcount() < FEW_TRIALS)]
    df = df.assign(response=df["response"].replace(0, -1)).reset_index(drop=True)
    s, names = pd.factorize(df["participant_id"])
    stim, stimuli = pd.factorize(df["stim"])
    with pm.Model(coords={"subject": names, "stimulus": stimuli}) as model:
        v_mean, v_sd = pm.Normal("v_mean", 0, 1, dims="stimulus"), pm.HalfNormal("v_sd", 0.5, dims="stimulus")
        v = members(form, "v", v_mean[:, None], v_sd[:, None], ("stimulus", "subject"))
        a = members(form, "a_log", pm.Normal("a_mean", 0.1, 0.3), pm.HalfNormal("a_sd", 0.3), "subject")
        t = members(form, "t_log", pm.Normal("t_mean", np.log(0.5), 0.3), pm.HalfNormal("t_sd", 0.3), "subject")
        theta = v[stim, s], pm.math.exp(a)[s], 0.5, pm.math.exp(t)[s]
        pl.DDM("obs", *theta, p_lapse=pm.Beta("p_lapse", 2, 38), observed=df[["rt", "response"]])
    return model


def gonogo(form: str, n_subjects: int) -> pm.Model:
    """Four drifts, a bias, a boundary and a non-decision time; a shift of the bias and lapses are shared."""
    df = pd.read_csv(DATA / "pavlovian_gonogo.csv.gz")
    df = df[df["subject"].isin(df["subject"].unique()[:n_subjects]) & (df["rt"] != 0)].reset_index(drop=True)
    condition = df["valence"] + ", " + df["action"]
    s, names = pd.factorize(df["subject"])
    c, conditions = pd.factorize(condition)
    lose = (df["valence"] == "lose").to_numpy(int)
    with pm.Model(coords={"subject": names, "condition": conditions}) as model:
        v_mean, v_sd = pm.Normal("v_mean", 0, 2, dims="condition"), pm.HalfNormal("v_sd", 1, dims="condition")
        v = members(form, "v", v_mean[:, None], v_sd[:, None], ("condition", "subject"))
        z = members(form, "z_logit", pm.Normal("z_mean", 0, 0.5), pm.HalfNormal("z_sd", 0.5), "subject")
        shift = pm.Normal("z_lose_minus_win", 0, 0.5)
        a = members(form, "a_log", pm.Normal("a_mean", np.log(0.8), 0.3), pm.HalfNormal("a_sd", 0.2), "subject")
        t = members(form, "t_logit", pm.Normal("t_mean", -0.5, 0.5), pm.HalfNormal("t_sd", 0.5), "subject")
        theta = (
            6 * pm.math.tanh(v / 6)[c, s],
            pm.math.exp(a)[s],
            pm.math.invlogit(z[s] + shift * lose),
            (T_MIN + (T_MAX - T_MIN) * pm.math.invlogit(t))[s],
        )
        lapse = pm.Beta("p_lapse", 2, 38)
        pl.GoNoGoDDM("obs", *theta, deadline=DEADLINE, p_lapse=lapse, observed=df[["rt"]])
    return model


BUILD = {
    "cavanagh": cavanagh,
    "cut_odd": partial(cavanagh, cut=slice(0, None, 2)),
    "cut_even": partial(cavanagh, cut=slice(1, None, 2)),
    "gonogo": gonogo,
}


def main() -> None:
    data, form, subjects, chains, draws, seed = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:7])
    begin = cpu()
    model = BUILD[data](form, subjects)
    if form == "informed":
        model = pl.informed(model)
    prepared = cpu()
    with model:
        idata = pm.sample(
            draws, tune=draws, chains=chains, cores=2, random_seed=seed, nuts_sampler="nutpie", progressbar=False
        )
    spent = cpu() - begin
    names = [v.name for v in [*model.free_RVs, *model.deterministics] if not v.name.endswith("_offset")]
    summary = az.summary(idata, var_names=names, round_to="none").astype(float, errors="ignore")
    ess, r_hat = summary["ess_bulk"].astype(float), summary["r_hat"].astype(float)
    member = summary.index.str.split("[").str[0].isin(["v", "a_log", "t_log", "z_logit", "t_logit"])
    result = {
        "cpu_s": spent,
        "prepare_s": prepared - begin,
        "ess_least": float(ess.min()),
        "ess_median": float(ess.median()),
        "least_per_s": float(ess.min() / spent),
        "median_per_s": float(ess.median() / spent),
        "steps": float(idata.sample_stats["n_steps"].mean()),
        "divergences": int(idata.sample_stats["diverging"].sum()),
        "values": len(ess),
        "group_r_hat": float(r_hat[~member].max()),
        "group_ess": float(ess[~member].min()),
        "member_r_hat": float(r_hat[member].max()),
        "member_below": float((r_hat[member] < 1.01).mean()),
        "above": {str(k): round(float(x), 4) for k, x in r_hat[r_hat >= 1.01].items()},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
