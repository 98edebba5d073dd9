"""A hierarchical go/no-go DDM of a Pavlovian learning task: what makes people press, a drift or a bias?

Subjects learn by feedback whether to press for each of several cues. A press is right for half of them ("go") and
wrong for the others ("no-go"), crossed with valence: some cues can win points, some can lose them. People press too
readily to win and too rarely to avoid a loss. Is that evidence (drift v) or readiness (starting point z)?

The drift is estimated for each of the four conditions and each subject, v[condition, subject], positive towards a
press. It is not v on go trials and -v on no-go trials, as in `neuroracer.py`, because what is right has to be
learned here: it cannot be seen, and every condition ends at its own drift. Drift is an average over learning.

Data: Zorowitz et al., study 1, session 1, from the repository nivlab/RobotFactory at commit f5ca2c3. They are not
part of this package. Columns: subject, valence (win, lose), action (go, no-go: what would be right), choice (1
pressed, 0 not), rt in seconds. The response window is about 1.5 s, the latest press 1.545 s.

    python examples/pavlovian_gonogo.py [data.csv.gz] [--subjects 20] [--out figures]
"""

import argparse
import time
from functools import partial
from pathlib import Path

import arviz as az
import matplotlib

matplotlib.use("Agg")  # figures go to files; no display is needed
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pymc as pm

import pymc_lan as pl

DEADLINE = 1.55  # s
# s, of the non-decision time: nobody sees a cue and presses sooner; the median press comes at 0.55 s.
T_MIN, T_MAX = 0.1, 0.5
CONDITIONS = ["win, go", "win, no-go", "lose, go", "lose, no-go"]
VALENCES = ["win", "lose"]
QUANTILES = [0.1, 0.3, 0.5, 0.7, 0.9]
DATA = Path(__file__).resolve().parents[2] / "shared/data/pavlovian_gonogo.csv.gz"


def read(path: Path, n_subjects: int) -> pd.DataFrame:
    """The first `n_subjects` subjects, without the four presses at rt = 0 s, which cannot be responses."""
    df = pd.read_csv(path)
    df = df[df["subject"].isin(df["subject"].unique()[:n_subjects]) & ~(df["rt"] == 0)]
    return df.assign(condition=df["valence"] + ", " + df["action"]).reset_index(drop=True)


def members(name: str, mean, sd, dims, *, centring: float):
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
        pl.GoNoGoDDMExtended("obs", *trials, deadline=DEADLINE, p_lapse=p_lapse, observed=df[["rt"]])
    return model


def statistics(rt: np.ndarray, condition: np.ndarray) -> np.ndarray:
    """Per condition: share of presses [%], then rt quantiles of the presses [s]. Shape (condition, 1 + quantiles)."""
    rows = [rt[condition == name] for name in CONDITIONS]
    return np.array([[100 * np.isfinite(x).mean(), *np.quantile(x[np.isfinite(x)], QUANTILES)] for x in rows])


def plot_predictive(observed: np.ndarray, predicted: np.ndarray, path: Path) -> None:
    """Data as points, 90 % of the predicted data sets as bars."""
    low, high = np.quantile(predicted, [0.05, 0.95], axis=0)
    fig, (rates, times) = plt.subplots(1, 2, figsize=(7.5, 3.4), layout="constrained", width_ratios=[2, 3])
    # Okabe & Ito (2008), told apart with every kind of colour vision.
    for i, colour in enumerate(["#0072B2", "#56B4E9", "#D55E00", "#E69F00"]):
        rates.vlines(i, low[i, 0], high[i, 0], color=colour, lw=9, alpha=0.5)
        rates.plot(i, observed[i, 0], "o", color="black", ms=4)
        times.vlines([i] * len(QUANTILES), low[i, 1:], high[i, 1:], color=colour, lw=9, alpha=0.5)
        times.plot([i] * len(QUANTILES), observed[i, 1:], "o", color="black", ms=4)
    rates.plot([], [], "o", color="black", ms=4, label="data")
    rates.plot([], [], color="grey", lw=9, alpha=0.5, label="90 % of predictions")
    rates.set(ylabel="presses [% of trials]", ylim=(0, 100))
    times.set(ylabel=f"response time [s]\nquantiles {', '.join(map(str, QUANTILES))}", ylim=(0, DEADLINE))
    for ax in (rates, times):
        ax.set_xticks(range(len(CONDITIONS)), [name.replace(", ", "\n") for name in CONDITIONS])
        ax.set(xlim=(-0.5, len(CONDITIONS) - 0.5), xlabel="valence and right action")
        ax.spines[["top", "right"]].set_visible(False)
    fig.legend(loc="outside upper center", ncols=2, frameon=False)
    fig.savefig(path, dpi=200)
    plt.close(fig)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", default=DATA)
    parser.add_argument("--subjects", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder of the figure")
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--tune", type=int, default=500)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    df = read(args.data, args.subjects)
    start = time.perf_counter()
    with build_model(df) as model:
        start_at = pl.initvals(model, df)
        idata = pm.sample(args.draws, tune=args.tune, chains=args.chains, initvals=start_at, random_seed=args.seed)
        took = time.perf_counter() - start
        thinned = idata.isel(draw=slice(None, None, max(1, args.draws * args.chains // 200)))
        predicted = pm.sample_posterior_predictive(thinned, random_seed=args.seed)

    group = ["v_mean", "v_sd", "z_logit_win", "z_logit_lose_minus_win", "z_sd", "a_log", "a_sd"]
    group += ["t_logit", "t_sd", "p_lapse"]
    print(f"\n{len(df)} trials of {args.subjects} subjects, {args.chains} x {args.draws} draws in {took:.0f} s")
    columns = ["mean", "sd", "eti90_lb", "eti90_ub", "ess_bulk", "r_hat"]
    print(az.summary(idata, var_names=group, ci_prob=0.9, ci_kind="eti", round_to="none")[columns].round(3).to_string())
    r_hat = az.summary(idata, var_names=["v", "z", "a", "t"], round_to="none")["r_hat"].sort_values(ascending=False)
    print(f"\ndivergences: {int(idata.sample_stats['diverging'].sum())}")
    print(f"largest r_hat of a subject's parameter: {r_hat.iloc[0]:.3f} ({r_hat.index[0]})")

    draws = predicted.posterior_predictive["obs"].stack(sample=("chain", "draw")).transpose("sample", ...).values
    condition = df["condition"].to_numpy()
    path = args.out / "pavlovian_predictive.png"
    predictions = np.array([statistics(x[:, 0], condition) for x in draws])
    plot_predictive(statistics(df["rt"].to_numpy(), condition), predictions, path)
    print(f"\nFigure: {path}")
    result = pl.check(idata, model)
    print(f"\n{result.table.to_string(index=False)}\n\n{result.verdict}")


if __name__ == "__main__":
    main()
