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


def fit(reg, draws: int, tune: int, seed: int):
    """Sample the posterior, check it, and predict as many data sets as plots use."""
    idata = reg.sample(draws=draws, tune=tune, chains=2, random_seed=seed)
    every = max(1, draws // 100)
    with reg.model:
        predicted = pm.sample_posterior_predictive(idata.isel(draw=slice(None, None, every)), random_seed=seed)
    print(pl.check(idata, reg.model).verdict, flush=True)
    idata["posterior_predictive"] = predicted.posterior_predictive
    return idata


def two_choices(df: pd.DataFrame, idata, out: Path) -> None:
    with figure(out / "predictive.png", "double"):
        pl.plots.predictive(idata, df, condition="stim", choices=CHOICES)
    with figure(out / "subjects.png", "double"):
        pl.plots.predictive(idata, df, col="subject", choices=CHOICES, n_bins=15)
    with figure(out / "quantiles.png", "single"):
        pl.plots.quantile_probability(idata, df, condition="stim", subject="subject", choices=CHOICES)
    with figure(out / "functions.png", "double"):
        _, (left, right) = plt.subplots(1, 2, figsize=(7.1, 2.6), layout="constrained")
        pl.plots.conditional_accuracy(idata, df, condition="conf", subject="subject", ax=left)
        pl.plots.delta(idata, df, condition="conf", compare=("HC", "LC"), subject="subject", ax=right)


def process(reg, idata, out: Path) -> None:
    df = reg.description.table
    who, cue = df["subject"].iloc[0], "WL"
    params = reg.predict(idata, pd.DataFrame({"subject": [who], "stim": cue, "theta": 0.0, "conf": "LC", "dbs": "off"}))
    params = {name: params[name].isel(row=0) for name in ("v", "a", "t")}
    trials = df[(df["subject"] == who) & (df["stim"] == cue)]
    with figure(out / "cartoon.png", "single"):
        pl.plots.cartoon("ddm", params, trials=trials, choices=CHOICES)

    fixed = {name: float(params[name].mean()) for name in ("a", "t")}
    drifts = np.sort(reg.means(idata, "v", by="stim")["mean"].round(2))
    with figure(out / "network.png", "double"):
        pl.plots.network("ddm", fixed, "v", drifts)


def go_nogo(df: pd.DataFrame, idata, out: Path) -> None:
    df = df.assign(condition=df["valence"] + ", " + df["action"])
    with figure(out / "gonogo.png", "double"):
        pl.plots.predictive_gonogo(idata, df, condition="condition", last=pavlovian.DEADLINE)


def recovery(df: pd.DataFrame, reg, idata, out: Path, draws: int, tune: int, seed: int) -> None:
    predicted = idata.posterior_predictive["obs"].isel(chain=0, draw=-1)
    truth = idata.sel(chain=[predicted["chain"].item()], draw=[predicted["draw"].item()])
    again = cavanagh.describe(df.assign(rt=predicted.values[:, 0], response=predicted.values[:, 1]))
    fit(again, draws, tune, seed)
    rows = []
    for name, by in {"v": ["stim", "subject"], "a": ["subject"], "t": ["subject"]}.items():
        found = again.means(None, name, by=by).rename(columns={"5%": "low", "95%": "high"})
        rows.append(found.assign(truth=reg.means(truth, name, by=by)["mean"], parameter=name))
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
    reg = cavanagh.describe(df)
    idata = fit(reg, *length)
    two_choices(df, idata, args.out)
    process(reg, idata, args.out)
    recovery(df, reg, idata, args.out, *length)

    df = pavlovian.read(args.data / pavlovian.DATA.name, args.subjects)
    go_nogo(df, fit(pavlovian.describe(df), *length), args.out)


if __name__ == "__main__":
    main()
