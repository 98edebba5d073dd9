"""Posteriors of a thousand subjects by the network that ships with the package, each checked by its likelihood.

    python examples/amortized_ddm.py [--subjects 1000] [--trials 200] [--seed 1]

Parameters are drawn from the network's own prior, within its bounds, and trials from them.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

import pymc_lan as pl

# Normal on v, log a, logit z and log t: what pl.regression takes for an intercept, within the bounds of v and a.
PRIOR = {"v": (0.0, 2.0), "a": (np.log(0.7), 0.4), "z": (0.0, 0.5), "t": (np.log(0.4), 0.4)}


def drawn(subjects: int, rng: np.random.Generator) -> pd.DataFrame:
    """Parameters of subjects."""
    many = {name: rng.normal(mean, sd, 4 * subjects) for name, (mean, sd) in PRIOR.items()}
    many |= {"a": np.exp(many["a"]), "z": 1 / (1 + np.exp(-many["z"])), "t": np.exp(many["t"])}
    table = pd.DataFrame(many)
    inside = (table["v"].abs() < 3) & table["a"].between(0.3, 2.5)
    return table[inside].head(subjects).reset_index(drop=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    truth = drawn(arguments.subjects, np.random.default_rng(arguments.seed))
    rows = truth.loc[truth.index.repeat(arguments.trials)]
    df = pl.simulate("ddm", {name: rows[name].to_numpy() for name in truth}, seed=arguments.seed)
    df = df.assign(subject=rows.index.to_numpy())
    network = pl.load_amortized("ddm")
    begun, cpu = time.perf_counter(), time.process_time()
    found = network.sample(df, seed=arguments.seed)
    print(f"{time.perf_counter() - begun:.0f} s, {time.process_time() - cpu:.0f} CPU s")
    verdicts = found["verdicts"].to_dataset().to_dataframe()
    print(verdicts.groupby("step")["right"].agg(["size", "mean"]).rename(columns={"size": "subjects", "mean": "right"}))
    mean, sd = found.posterior.mean(("chain", "draw")), found.posterior.std(("chain", "draw"))
    for name in truth:
        z = (truth[name] - mean[name].to_numpy()) / sd[name].to_numpy()
        print(f"{name}: (truth - mean) / sd has mean {z.mean():.2f} and standard deviation {z.std():.2f}")


if __name__ == "__main__":
    main()
