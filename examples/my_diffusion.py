"""A diffusion nobody shipped: from a drift and a boundary to a fitted PyMC model, in one file.

An urgent decision: the boundary stays at a for a while, then falls to a fraction of it around tau seconds and stays
there. Nothing else is written down. The labels of the network are solved from the two functions, so there is no
simulation noise in them, and what comes out says how accurate it is.

    python examples/my_diffusion.py [--out figures] [--seed 1]
"""

import argparse
import tempfile
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

TRUTH = {"v": 1.0, "a": 1.3, "z": 0.5, "t": 0.3, "tau": 0.6}


def drift(time, position, theta):
    return theta["v"]


def boundary(time, theta):
    return theta["a"] * (0.4 + 0.6 / (1 + (time / theta["tau"]) ** 3))


SPEC = pl.ModelSpec(
    name="urgent",
    parameters=(
        pl.Parameter("v", (-3.0, 3.0), "evidence/s", "drift towards the upper boundary"),
        pl.Parameter("a", (0.5, 2.0), "evidence", "half the separation of the boundaries at the start"),
        pl.Parameter("z", (0.2, 0.8), "1", "relative starting point", default=0.5),
        pl.Parameter("t", (0.0, 1.0), "s", "non-decision time"),
        pl.Parameter("tau", (0.2, 2.0), "s", "when the boundaries have fallen half of their way"),
    ),
    drift=drift,
    boundary=boundary,
    description="Constant drift between boundaries that fall to 40 % of their height around tau.",
    reference="an example of pymc_lan",
)


def train(folder: Path) -> None:
    """Networks of a smaller recipe than the shipped models have: two or three minutes instead of ten."""
    recipe = pl.Recipe(hidden=(24, 24), steps=20_000, pool=256_000)
    network = pl.train(SPEC, folder, lan_recipe=recipe, choice_recipe=recipe, n_measured=8_000)
    measured = network.config["accuracy"]["lan"]
    print(f"error of log f: mean {measured['mean']:.4f}, p99 {measured['p99']:.4f} nats")
    pl.register(SPEC, network)


def fit(df: pd.DataFrame, seed: int):
    """A model like any other, and what the network did to its posterior."""
    with pm.Model() as model:
        v = pm.Normal("v", 0, 1.5)
        a = pm.Uniform("a", 0.5, 2.0)
        t = pm.Uniform("t", 0.05, 1.0)
        tau = pm.Uniform("tau", 0.2, 2.0)
        pl.LANDist("obs", "urgent", v, a, 0.5, t, tau, observed=df)
        idata = pm.sample(random_seed=seed)
    return idata, pl.check(idata, model)


def plot(df: pd.DataFrame, idata, path: Path) -> None:
    """The boundary as fitted, beside the truth, and the response times."""
    fig, (ax, hist) = plt.subplots(1, 2, figsize=(7.5, 2.9), layout="constrained")
    seconds = np.linspace(0, 2.5, 100)
    draws = az.extract(idata, num_samples=100)
    curves = zip(draws["a"].values, draws["tau"].values, strict=True)
    bands = [boundary(seconds, {"a": a, "tau": tau}) for a, tau in curves]
    ax.fill_between(seconds, *np.quantile(bands, [0.05, 0.95], axis=0), color="#0072B2", alpha=0.35, label="posterior")
    ax.plot(seconds, boundary(seconds, TRUTH), color="black", ls="--", lw=1.2, label="truth")
    ax.set(xlabel="decision time [s]", ylabel="boundary [evidence]", ylim=(0, None))
    ax.legend(frameon=False)
    for code, colour, label in ((1, "#0072B2", "upper"), (-1, "#D55E00", "lower")):
        hist.hist(df["rt"][df["response"] == code], bins=np.linspace(0, 3, 31), color=colour, alpha=0.6, label=label)
    hist.set(xlabel="response time [s]", ylabel="trials")
    hist.legend(frameon=False)
    for panel in (ax, hist):
        panel.spines[["top", "right"]].set_visible(False)
    fig.savefig(path, dpi=200)
    plt.close(fig)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder of the figure")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        train(Path(folder))
    print(f"trained in {time.perf_counter() - start:.0f} s")
    df = pl.simulate("urgent", TRUTH, n=1000, seed=args.seed)
    idata, result = fit(df, args.seed)
    table = az.summary(idata, ci_prob=0.9, ci_kind="eti", round_to="none")
    table.insert(0, "truth", [TRUTH[name] for name in table.index])
    print(table[["truth", "mean", "sd", "eti90_lb", "eti90_ub", "r_hat"]].round(3).to_string())
    plot(df, idata, args.out / "my_diffusion.png")
    print(f"{time.perf_counter() - start:.0f} s in all\n\nFigure: {args.out / 'my_diffusion.png'}\n\n{result.verdict}")


if __name__ == "__main__":
    main()
