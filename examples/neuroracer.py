"""The NeuroRacer go/no-go task: simulate one subject, fit the model with plain ``pm.sample()``, look at the fit.

In NeuroRacer a player steers a car and presses a button when a sign is a target (go trial), and withholds when it is
not (no-go trial). Evidence drifts towards "press" at rate v on go trials and away from it, at -v, on no-go trials; a
trial without a press carries no time at all, only the fact that nothing was pressed.

    python examples/neuroracer.py [--out figures] [--seed 1]
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

TRUTH = {"v": 1.0, "a": 1.5, "t": 0.5}
Z = 0.5
UNITS = {"v": "evidence/s", "a": "evidence", "t": "s"}
TRIAL_TYPES = ("go", "no-go")
# Blue and vermilion of Okabe & Ito (2008), told apart with every kind of colour vision.
COLOURS = {"go": "#0072B2", "no-go": "#D55E00"}


def simulate_subject(n_per_type: int, seed: int) -> pd.DataFrame:
    """One row per trial: trial_type, rt in seconds (NaN without a press), response."""
    trial_type = np.repeat(TRIAL_TYPES, n_per_type)
    trials = pl.GoNoGoDDM.dist(TRUTH["v"], TRUTH["a"], Z, TRUTH["t"], trial_type=trial_type)
    return pl.as_dataframe(pm.draw(trials, random_seed=seed)).assign(trial_type=trial_type)


def build_model(df: pd.DataFrame) -> pm.Model:
    """The model of one subject; trial types come from the column of that name."""
    with pm.Model() as model:
        v = pm.Normal("v", 1, 1)
        a = pm.TruncatedNormal("a", 1.2, 0.5, lower=0.3, upper=2.5)
        t = pm.Uniform("t", 0.05, 1)
        pl.GoNoGoDDM("obs", v, a, Z, t, observed=df)
    return model


def summarise(idata) -> pd.DataFrame:
    """Posterior beside the truth, with convergence figures."""
    table = az.summary(idata, var_names=list(TRUTH), ci_prob=0.9, ci_kind="eti", round_to="none")
    low, high = table["eti90_lb"], table["eti90_ub"]
    truth = pd.Series(TRUTH)
    return pd.DataFrame(
        {
            "truth": truth,
            "mean": table["mean"],
            "sd": table["sd"],
            "5%": low,
            "95%": high,
            "covered": np.where((low <= truth) & (truth <= high), "yes", "no"),
            "r_hat": table["r_hat"],
            "ess": table["ess_bulk"].round(),
        }
    )


def plot_posterior(idata, path: Path) -> None:
    """One panel per parameter: posterior, 90 % interval and truth."""
    fig, axes = plt.subplots(1, len(TRUTH), figsize=(7.5, 2.6), layout="constrained")
    for ax, (name, truth) in zip(axes, TRUTH.items(), strict=True):
        draws = idata.posterior[name].values.ravel()
        ax.hist(draws, bins=40, density=True, color=COLOURS["go"], alpha=0.5, label="posterior")
        interval = np.quantile(draws, [0.05, 0.95])
        ax.plot(interval, [0, 0], color=COLOURS["go"], lw=5, solid_capstyle="butt", label="90 % interval")
        ax.axvline(truth, color="black", ls="--", lw=1.2, label="truth")
        ax.set(xlabel=f"{name} [{UNITS[name]}]", yticks=[])
        ax.spines[["top", "right", "left"]].set_visible(False)
    axes[0].set_ylabel("posterior density")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    fig.savefig(path, dpi=200)
    plt.close(fig)


def plot_predictive(df: pd.DataFrame, draws: np.ndarray, path: Path) -> None:
    """Presses over time, go trials upwards and no-go trials downwards, and the trials without a press.

    `draws` has shape (n_draws, n_trials, 2): rows rt, response. Bands are 90 % of the predicted data sets.
    """
    fig, (ax, bar) = plt.subplots(1, 2, figsize=(7.5, 3.6), layout="constrained", width_ratios=[3, 1])
    ax.use_sticky_edges = False  # so that the lower half keeps a margin
    bins = np.linspace(0, np.ceil(df["rt"].quantile(0.99)), 41)
    for sign, kind in zip((1, -1), TRIAL_TYPES, strict=True):
        mine = (df["trial_type"] == kind).to_numpy()
        to_percent = 100 / mine.sum() / (10 * np.diff(bins)[0])  # of trials, per 0.1 s
        observed = sign * to_percent * np.histogram(df["rt"][mine], bins)[0]
        counts = np.array([np.histogram(rt[np.isfinite(rt)], bins)[0] for rt in draws[:, mine, 0]])
        low, high = np.quantile(sign * to_percent * counts, [0.05, 0.95], axis=0)
        ax.stairs(high, bins, baseline=low, fill=True, color=COLOURS[kind], alpha=0.35, label=f"{kind}, predicted")
        ax.stairs(observed, bins, color=COLOURS[kind], lw=1.3, label=f"{kind}, data")
        withheld = 100 * np.isinf(draws[:, mine, 0]).mean(axis=1)
        centre = np.median(withheld)
        error = np.abs(np.quantile(withheld, [0.05, 0.95]) - centre)[:, None]
        bar.bar(kind, centre, 0.6, yerr=error, capsize=5, color=COLOURS[kind], alpha=0.45)
        bar.plot(kind, 100 * df["rt"][mine].isna().mean(), "D", color="black", ms=5, label="data")
    ax.axhline(0, color="black", lw=0.8)
    ax.set(xlabel="response time [s]", ylabel="presses [% of trials per 0.1 s]")
    ax.yaxis.set_major_formatter(lambda y, _: f"{abs(y):g}")
    ax.legend(frameon=False)
    bar.set(ylabel="no press [% of trials]", ylim=(0, 100), xlabel="trial type")
    bar.legend(*(x[:1] for x in bar.get_legend_handles_labels()), frameon=False, loc="upper left")
    for panel in (ax, bar):
        panel.spines[["top", "right"]].set_visible(False)
    fig.savefig(path, dpi=200)
    plt.close(fig)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder of the figures")
    parser.add_argument("--trials", type=int, default=500, help="trials of each type")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--tune", type=int, default=1000)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    df = simulate_subject(args.trials, args.seed)
    start = time.perf_counter()
    with build_model(df) as model:
        idata = pm.sample(draws=args.draws, tune=args.tune, chains=args.chains, random_seed=args.seed)
        took = time.perf_counter() - start
        thinned = idata.isel(draw=slice(None, None, max(1, args.draws * args.chains // 200)))
        predicted = pm.sample_posterior_predictive(thinned, random_seed=args.seed)
    print(f"\n{len(df)} trials, {args.chains} x {args.draws} draws in {took:.1f} s including compilation\n")
    print(summarise(idata).round(3).to_string())
    plot_posterior(idata, args.out / "neuroracer_posterior.png")
    draws = predicted.posterior_predictive["obs"].stack(sample=("chain", "draw")).transpose("sample", ...).values
    plot_predictive(df, draws, args.out / "neuroracer_predictive.png")
    print(f"\nFigures: {args.out / 'neuroracer_posterior.png'}, {args.out / 'neuroracer_predictive.png'}")
    print(f"\n{pl.check(idata, model).verdict}")


if __name__ == "__main__":
    main()
