"""A network that answers with the posterior of a mean in four dimensions, against the posterior in closed form.

    python examples/amortized_gaussian.py

The example of Radev, Schmitt, Schumacher, Elsemueller, Pratz, Schaelte, Koethe & Buerkner (2023), BayesFlow: amortized
Bayesian workflows with neural networks, Journal of Open Source Software 8, 5702: 50 observations, ten epochs of 500
batches of 32. Nothing here is about decisions: any PyMC model whose data can be drawn will do.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
import pymc as pm

import pymc_lan as pl

D, N = 4, 50
COLUMNS = [f"x{i}" for i in range(D)]


def build(df: pd.DataFrame) -> pm.Model:
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 1, shape=D)
        pm.Normal("x", mu, 1, observed=df[COLUMNS].to_numpy())
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batches", type=int, default=500)
    parser.add_argument("--subjects", type=int, default=50)
    arguments = parser.parse_args()
    template = pd.DataFrame(0.0, index=range(N), columns=COLUMNS)
    begun, cpu = time.perf_counter(), time.process_time()
    network = pl.amortize(
        build, (N, N), design=template, epochs=arguments.epochs, batches=arguments.batches, batch_size=32, seed=1
    )
    print(f"training: {time.perf_counter() - begun:.0f} s, {time.process_time() - cpu:.0f} CPU s")
    rng = np.random.default_rng(2)
    truth = rng.normal(size=(arguments.subjects, D))
    x = truth[:, None] + rng.normal(size=(arguments.subjects, N, D))
    df = pd.DataFrame(x.reshape(-1, D), columns=COLUMNS).assign(subject=np.repeat(range(arguments.subjects), N))
    # Conjugate: prior and noise have variance 1.
    mean, sd = x.sum(axis=1) / (N + 1), 1 / np.sqrt(N + 1)
    for correct in (False, True):
        found = network.sample(df, draws=20_000, correct=correct, seed=3, progressbar=False).weighted_posterior
        weights = np.exp(found["log_weight"])
        average = (found["mu"] * weights).sum(("chain", "draw"))
        spread = np.sqrt((found["mu"] ** 2 * weights).sum(("chain", "draw")) - average**2)
        off, wide = np.abs(average.to_numpy() - mean) / sd, spread.to_numpy() / sd - 1
        print(
            f"{'corrected' if correct else 'as it is'}: means off by {off.mean():.3f} sd (largest {off.max():.3f}), "
            f"sds by {100 * np.abs(wide).mean():.1f} % (largest {100 * np.abs(wide).max():.1f} %)"
        )


if __name__ == "__main__":
    main()
