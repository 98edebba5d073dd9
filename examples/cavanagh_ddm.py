"""A hierarchical two-choice DDM with a regressor: does midfrontal theta raise the decision threshold?

Patients with a deep brain stimulator chose between cues that had won or lost before: two losers (LL), two winners
(WW), or one of each (WL). The first two are choices in conflict. Cavanagh et al. (2011), Nature Neuroscience 14,
1462-1467, report that with more theta power the threshold rises under conflict, and that stimulation reverses this.

The drift differs by stimulus, v[stimulus, subject]; the log of the threshold a has a slope on theta for low and high
conflict, stimulation off and on, plus a deviation for each subject. Responses are correct (+1) or wrong (-1), so the
start is unbiased: z = 0.5.

Data: 14 patients, 3,988 trials, as shipped by HSSM and HDDM (cavanagh_theta_nn.csv); not part of this package.
Columns: participant_id, stim, rt in seconds, response, theta, dbs (1 on), conf (LC, HC).

    python examples/cavanagh_ddm.py [data.csv] [--subjects 14] [--out figures]
"""

import argparse
import time
from pathlib import Path

import arviz as az
import matplotlib

matplotlib.use("Agg")  # figures go to files; no display is needed
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pymc as pm

import pymc_lan as pl

STIMULI = ["WL", "LL", "WW"]
CELLS = ["LC, off", "HC, off", "LC, on", "HC, on"]
DATA = Path(__file__).resolve().parents[2] / "shared/data/cavanagh_theta_nn.csv"
# Blue and vermilion of Okabe & Ito (2008), told apart with every kind of colour vision.
COLOURS = {1: "#0072B2", -1: "#D55E00"}


def read(path: Path, n_subjects: int) -> pd.DataFrame:
    """The first `n_subjects` patients: responses as -1 and +1, theta standardised within each."""
    df = pd.read_csv(path)
    df = df[df["participant_id"].isin(df["participant_id"].unique()[:n_subjects])].reset_index(drop=True)
    theta = df.groupby("participant_id")["theta"].transform(lambda x: (x - x.mean()) / x.std())
    cell = df["conf"] + ", " + df["dbs"].map({0: "off", 1: "on"})
    # Wrong responses are coded 0 in some copies of the file and -1 in others; pymc_lan wants -1.
    return df.assign(theta=theta, cell=cell, response=df["response"].replace(0, -1))


def build_model(df: pd.DataFrame) -> pm.Model:
    """Every parameter varies over subjects; group means and standard deviations are estimated."""
    subject, subjects = pd.factorize(df["participant_id"])
    stim = pd.Categorical(df["stim"], STIMULI).codes
    cell = pd.Categorical(df["cell"], CELLS).codes
    coords = {"subject": subjects, "stimulus": STIMULI, "cell": CELLS}
    with pm.Model(coords=coords) as model:
        v_mean = pm.Normal("v_mean", 0, 1, dims="stimulus")
        v_sd = pm.HalfNormal("v_sd", 0.5)
        # Centred: some 70 to 150 trials inform each subject's drift, so this form samples well.
        v = pm.Normal("v", v_mean[:, None], v_sd, dims=("stimulus", "subject"))
        a_log = pm.Normal("a_log", np.log(1.1), 0.3)
        a_subject = pm.Normal("a_subject", a_log, pm.HalfNormal("a_sd", 0.3), dims="subject")
        theta_mean = pm.Normal("a_theta", 0, 0.1, dims="cell")
        # The slopes are small against their noise, so these deviations are non-centred.
        theta_sd = pm.HalfNormal("a_theta_sd", 0.05)
        theta_slope = theta_mean[:, None] + theta_sd * pm.Normal("theta_raw", dims="subject")
        a = pm.math.exp(a_subject[subject] + theta_slope[cell, subject] * df["theta"].to_numpy())
        t_log = pm.Normal("t_log", np.log(0.5), 0.3)
        t = pm.LogNormal("t", t_log, pm.HalfNormal("t_sd", 0.3), dims="subject")
        p_lapse = pm.Beta("p_lapse", 2, 38)
        pl.DDM("obs", v[stim, subject], a, 0.5, t[subject], p_lapse=p_lapse, observed=df[["rt", "response"]])
    return model


def plot_predictive(df: pd.DataFrame, draws: np.ndarray, path: Path) -> None:
    """Correct responses upwards, wrong ones downwards, by stimulus; `draws` has shape (n_draws, n_trials, 2)."""
    fig, axes = plt.subplots(1, len(STIMULI), figsize=(7.5, 2.9), layout="constrained", sharey=True)
    bins = np.linspace(0, 4, 33)
    for ax, stim in zip(axes, STIMULI, strict=True):
        ax.use_sticky_edges = False  # so that the lower half keeps a margin
        mine = (df["stim"] == stim).to_numpy()
        scale = 100 / mine.sum() / (10 * np.diff(bins)[0])  # per cent of trials in 0.1 s
        for code, label in ((1, "correct"), (-1, "wrong")):
            chosen = draws[:, mine, 1] == code
            counts = np.array([np.histogram(x[y], bins)[0] for x, y in zip(draws[:, mine, 0], chosen, strict=True)])
            low, high = np.quantile(code * scale * counts, [0.05, 0.95], axis=0)
            data = code * scale * np.histogram(df["rt"][mine & (df["response"] == code)], bins)[0]
            ax.stairs(high, bins, baseline=low, fill=True, color=COLOURS[code], alpha=0.35, label=f"{label}, predicted")
            ax.stairs(data, bins, color=COLOURS[code], lw=1.2, label=f"{label}, data")
        ax.axhline(0, color="black", lw=0.8)
        ax.set(title=stim, xlabel="response time [s]")
        ax.yaxis.set_major_formatter(lambda y, _: f"{abs(y):g}")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("responses\n[% of trials per 0.1 s]")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    fig.savefig(path, dpi=200)
    plt.close(fig)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", default=DATA)
    parser.add_argument("--subjects", type=int, default=14)
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
        idata = pm.sample(draws=args.draws, tune=args.tune, chains=args.chains, random_seed=args.seed)
        took = time.perf_counter() - start
        thinned = idata.isel(draw=slice(None, None, max(1, args.draws * args.chains // 200)))
        predicted = pm.sample_posterior_predictive(thinned, random_seed=args.seed)

    group = ["v_mean", "v_sd", "a_theta", "a_theta_sd", "a_log", "a_sd", "t_log", "t_sd", "p_lapse"]
    print(f"\n{len(df)} trials of {args.subjects} subjects, {args.chains} x {args.draws} draws in {took:.0f} s")
    columns = ["mean", "sd", "eti90_lb", "eti90_ub", "ess_bulk", "r_hat"]
    print(az.summary(idata, var_names=group, ci_prob=0.9, ci_kind="eti", round_to="none")[columns].round(3).to_string())
    subject_level = az.summary(idata, var_names=["v", "a_subject", "t"], round_to="none")
    print(f"\ndivergences: {int(idata.sample_stats['diverging'].sum())}")
    print(f"largest r_hat of a subject's parameter: {subject_level['r_hat'].max():.3f}")
    draws = predicted.posterior_predictive["obs"].stack(sample=("chain", "draw")).transpose("sample", ...).values
    path = args.out / "cavanagh_predictive.png"
    plot_predictive(df, draws, path)
    print(f"\nFigure: {path}")
    result = pl.check(idata, model)
    print(f"\n{result.table.to_string(index=False)}\n\n{result.verdict}")


if __name__ == "__main__":
    main()
