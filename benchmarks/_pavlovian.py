"""The model of `examples/pavlovian_gonogo.py` written by hand, as one did before formulas: members of groups, links.

Unlike the formulas it has z in place of the distance to a press, a t between two ends, and fast presses among its
guesses. Where the data come from is said in the example.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm

import pymc_lan as pl

DEADLINE = 1.55  # s
# s, of the non-decision time: nobody sees a cue and presses sooner; the median press comes at 0.55 s.
T_MIN, T_MAX = 0.1, 0.5
CONDITIONS = ["win, go", "win, no-go", "lose, go", "lose, no-go"]
VALENCES = ["win", "lose"]


def read(path: Path, n_subjects: int) -> pd.DataFrame:
    """The first `n_subjects` subjects, without the four presses at rt = 0 s, which cannot be responses."""
    df = pd.read_csv(path)
    df = df[df["subject"].isin(df["subject"].unique()[:n_subjects]) & ~(df["rt"] == 0)]
    return df.assign(condition=df["valence"] + ", " + df["action"]).reset_index(drop=True)


def members(name: str, mean: Any, sd: Any, dims: str | tuple[str, ...], *, centring: float) -> Any:
    """A value for every subject, normal around the group's mean.

    Drawn directly (a centring of 1), as an offset in deviations (0), or as something between the two, for when data and
    group say about as much of a subject (Papaspiliopoulos, Roberts & Skoeld 2007, Statistical Science 22, 59-73).
    """
    if centring == 1:
        return pm.Normal(f"{name}_raw", mean, sd, dims=dims)
    part = pm.Normal(f"{name}_offset", centring * mean, sd**centring, dims=dims)
    return pm.Deterministic(f"{name}_raw", mean + sd ** (1 - centring) * (part - centring * mean), dims=dims)


def build_model(df: pd.DataFrame, *, centred: bool = True) -> pm.Model:
    """Every parameter varies over subjects, on a scale without bounds.

    Subjects are drawn around their group directly ("centred"): with 240 trials each, the data say more about a
    subject than the group does, but of the bias about as much. A mode needs offsets instead, because a group without
    spread has infinite density.
    """
    subject, subjects = pd.factorize(df["subject"])
    condition = pd.Categorical(df["condition"], CONDITIONS).codes
    valence = pd.Categorical(df["valence"], VALENCES).codes
    coords = {"subject": subjects, "condition": CONDITIONS, "valence": VALENCES}
    each = partial(members, centring=1.0 if centred else 0.0)
    with pm.Model(coords=coords) as model:
        v_mean = pm.Normal("v_mean", 0, 2, dims="condition")
        v_sd = pm.HalfNormal("v_sd", 1, dims="condition")
        v_raw = each("v", v_mean[:, None], v_sd[:, None], dims=("condition", "subject"))
        # 6 tanh(x / 6) is nearly x for ordinary drifts and stays within the trained bounds of -6 to 6. Who learned
        # "win, go" drifts at 3 to 5, which is beyond the bounds of GoNoGoDDM.
        v = pm.Deterministic("v", 6 * pm.math.tanh(v_raw / 6), dims=("condition", "subject"))
        # The bias: above 0 is a start nearer to a press. The Pavlovian part is the shift from winning to losing.
        z_win, z_shift = pm.Normal("z_logit_win", 0, 0.5), pm.Normal("z_logit_lose_minus_win", 0, 0.5)
        z_raw = members("z", z_win, pm.HalfNormal("z_sd", 0.5), dims="subject", centring=0.5 if centred else 0.0)
        z_both = pm.math.stack([z_raw, z_raw + z_shift])
        z = pm.Deterministic("z", pm.math.invlogit(z_both), dims=("valence", "subject"))
        a_raw = each("a", pm.Normal("a_log", np.log(0.8), 0.3), pm.HalfNormal("a_sd", 0.2), dims="subject")
        a = pm.Deterministic("a", pm.math.exp(a_raw), dims="subject")
        # Bounded above, because otherwise a chain may settle where a subject's t is past all rts and every press a
        # lapse; and below, because whoever guesses often has a second mode with a t before the guesses.
        t_raw = each("t", pm.Normal("t_logit", -0.5, 0.5), pm.HalfNormal("t_sd", 0.5), dims="subject")
        t = pm.Deterministic("t", T_MIN + (T_MAX - T_MIN) * pm.math.invlogit(t_raw), dims="subject")
        p_lapse = pm.Beta("p_lapse", 2, 38)
        trials = v[condition, subject], a[subject], z[valence, subject], t[subject]
        pl.GoNoGoDDM("obs", *trials, deadline=DEADLINE, p_lapse=p_lapse, observed=df[["rt"]])
    return model
