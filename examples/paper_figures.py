"""Every figure of docs/paper.md, from real data: fits two small sets, checks them, and draws.

Two choices: the first patients of Cavanagh et al. (2011), fitted by `cavanagh_ddm.py`. Go/no-go: the first subjects of
Zorowitz et al., fitted by `pavlovian_gonogo.py`. Where the data come from is said there; they are not part of this
package.

    python examples/paper_figures.py [folder of both data sets] [--out docs/paper]
"""

import argparse
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cavanagh_ddm as cavanagh
import matplotlib

matplotlib.use("Agg")  # figures go to files; no display is needed
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pavlovian_gonogo as pavlovian
import pymc as pm
from PIL import Image

import pymc_lan as pl

CHOICES = {1: "correct", -1: "wrong"}
# Dots per inch: enough for a page on a screen; leave dpi out for print (300).
DPI, N_COLOURS = 160, 128


@contextmanager
def figure(path: Path, width: str) -> Iterator[None]:
    """Draw at the width of a column, and save with a palette, which makes the file a third as large."""
    with pl.plots.paper(width):
        yield
        image = io.BytesIO()
        plt.savefig(image, dpi=DPI)
        plt.close()
    Image.open(image).convert("RGB").quantize(N_COLOURS).save(path, optimize=True)
    print(path, flush=True)


def fit(model: pm.Model, draws: int, tune: int, seed: int):
    """Sample the posterior, check it, and predict as many data sets as plots use."""
    with model:
        idata = pm.sample(draws=draws, tune=tune, chains=2, random_seed=seed)
        every = max(1, draws // 100)
        predicted = pm.sample_posterior_predictive(idata.isel(draw=slice(None, None, every)), random_seed=seed)
    print(pl.check(idata, model).verdict, flush=True)
    idata["posterior_predictive"] = predicted.posterior_predictive
    return idata


def two_choices(df: pd.DataFrame, idata, out: Path) -> None:
    with figure(out / "predictive.png", "double"):
        pl.plots.predictive(idata, df, condition="stim", choices=CHOICES)
    with figure(out / "subjects.png", "double"):
        pl.plots.predictive(idata, df, col="participant_id", choices=CHOICES, n_bins=15)
    with figure(out / "quantiles.png", "single"):
        pl.plots.quantile_probability(idata, df, condition="stim", subject="participant_id", choices=CHOICES)
    with figure(out / "functions.png", "double"):
        _, (left, right) = plt.subplots(1, 2, figsize=(7.1, 2.6), layout="constrained")
        pl.plots.conditional_accuracy(idata, df, condition="conf", subject="participant_id", ax=left)
        pl.plots.delta(idata, df, condition="conf", compare=("HC", "LC"), subject="participant_id", ax=right)


def process(df: pd.DataFrame, idata, out: Path) -> None:
    who, cue = df["participant_id"].iloc[0], "WL"
    posterior = idata.posterior.sel(subject=who, stimulus=cue)
    params = {"v": posterior["v"], "a": np.exp(posterior["a_subject"]), "t": posterior["t"]}
    trials = df[(df["participant_id"] == who) & (df["stim"] == cue)]
    with figure(out / "cartoon.png", "single"):
        pl.plots.cartoon("ddm", params, trials=trials, choices=CHOICES)

    fixed = {"a": float(params["a"].mean()), "t": float(params["t"].mean())}
    drifts = np.sort(idata.posterior["v_mean"].mean(("chain", "draw")).values.round(2))
    with figure(out / "network.png", "double"):
        pl.plots.network("ddm", fixed, "v", drifts)


def go_nogo(df: pd.DataFrame, idata, out: Path) -> None:
    with figure(out / "gonogo.png", "double"):
        pl.plots.predictive_gonogo(idata, df, condition="condition", last=pavlovian.DEADLINE)


def recovery(df: pd.DataFrame, idata, out: Path, draws: int, tune: int, seed: int) -> None:
    predicted = idata.posterior_predictive["obs"].isel(chain=0, draw=-1)
    truth = idata.posterior.sel(chain=predicted["chain"], draw=predicted["draw"])
    simulated = df.assign(rt=predicted.values[:, 0], response=predicted.values[:, 1])
    again = fit(cavanagh.build_model(simulated), draws, tune, seed).posterior
    rows = []
    for name, label in {"v": "v", "a_subject": "log a", "t": "t"}.items():
        low, high = again[name].quantile([0.05, 0.95], ("chain", "draw"))
        columns = {"truth": truth[name], "mean": again[name].mean(("chain", "draw")), "low": low, "high": high}
        rows.append(pd.DataFrame({key: x.values.ravel() for key, x in columns.items()}).assign(parameter=label))
    with figure(out / "recovery.png", "double"):
        pl.plots.recovery(pd.concat(rows), parameter="parameter")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", default=cavanagh.DATA.parent, help="folder of both data sets")
    parser.add_argument("--subjects", type=int, default=5, help="of each data set")
    parser.add_argument("--out", type=Path, default=Path("docs/paper"), help="folder of the figures")
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--tune", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    length = (args.draws, args.tune, args.seed)

    df = cavanagh.read(args.data / cavanagh.DATA.name, args.subjects)
    idata = fit(cavanagh.build_model(df), *length)
    two_choices(df, idata, args.out)
    process(df, idata, args.out)
    recovery(df, idata, args.out, *length)

    df = pavlovian.read(args.data / pavlovian.DATA.name, args.subjects)
    go_nogo(df, fit(pavlovian.build_model(df), *length), args.out)


if __name__ == "__main__":
    main()
