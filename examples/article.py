"""The article's way, from a simulator to a posterior: label trials, train a LAN and a CPN from nothing, judge, and fit.

    python examples/article.py [--seconds 60] [--rows 200000] [--draws 500] [--out article]

A likelihood approximation network (Fengler, Govindarajan, Chen and Frank 2021, eLife 10:e65074) is a plain multilayer
perceptron that learns the log density of a trial, the article's from kernel estimates (KDE) of simulated trials; a
choice probability network (CPN) learns how likely no press is. Both kinds of labels have the same time, their making
included.
"""

import argparse
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
import pymc as pm
from flax import nnx

import pymc_lan as pl

MODEL, SEED, BATCH, STEPS = "ddm", 1, 1024, 200
TRUTH = {"v": 1.0, "a": 1.2, "z": 0.5, "t": 0.3}


def train(features, labels, loss, end):
    """Train a plain multilayer perceptron until a time of the process, the rate falling to zero along half a cosine."""
    x, y, rngs = jnp.asarray(features, jnp.float32), jnp.asarray(labels, jnp.float32), nnx.Rngs(SEED)
    layers = [nnx.Linear(x.shape[1], 64, rngs=rngs), nnx.tanh, nnx.Linear(64, 64, rngs=rngs), nnx.tanh]
    graph, params = nnx.split(nnx.Sequential(*layers, nnx.Linear(64, 1, rngs=rngs)))
    adam, key = optax.adam(2e-3), jax.random.key(SEED)

    @jax.jit
    def some_steps(params, moments, first, rate):
        def step(state, k):
            rows = jax.random.randint(jax.random.fold_in(key, k), (BATCH,), 0, len(y))
            gradient = jax.grad(lambda p: loss(nnx.merge(graph, p)(x[rows])[:, 0], y[rows]).mean())(state[0])
            updates, moments = adam.update(gradient, state[1])
            return (optax.apply_updates(state[0], jax.tree.map(lambda u: rate * u, updates)), moments), None

        return jax.lax.scan(step, (params, moments), first + jnp.arange(STEPS))[0]

    moments, begun, done, spent = adam.init(params), time.process_time(), 0, 0.0
    while spent < 1:
        params, moments = some_steps(params, moments, done, (1 + np.cos(np.pi * spent)) / 2)
        jax.block_until_ready(params)
        done, spent = done + STEPS, (time.process_time() - begun) / max(end - begun, 1e-9)
    return nnx.merge(graph, params)


def choice_network(seconds, rows):
    """Train on the choices of simulated trials, one of each parameter set: the logit of the lower boundary."""
    end, rng = time.process_time() + seconds, np.random.default_rng(SEED)
    sets = {p.name: rng.uniform(*p.bounds, rows) for p in pl.get_model(MODEL).parameters}
    pressed = pl.simulate(MODEL, sets, seed=SEED)["response"].to_numpy() > 0
    return train(np.column_stack([*sets.values()]), ~pressed, optax.sigmoid_binary_cross_entropy, end)


def main(seconds, rows, draws, out):
    df, paths = pl.simulate(MODEL, TRUTH, n=300, seed=SEED, trajectories=8)
    networks, cpn = {}, choice_network(seconds, rows)
    for labels in ("kde", "exact"):
        end = time.process_time() + seconds
        features, y, _ = pl.training_data(MODEL, rows, labels, seed=SEED)
        lan = train(features, np.maximum(y, -16), optax.huber_loss, end)
        networks[labels] = pl.from_flax(lan, MODEL, cpn, choice_output="logit", out=out, version=f"{labels}-{SEED}")
    print((out / MODEL / f"exact-{SEED}" / "README.md").read_text())
    networks["shipped"] = pl.load_network(MODEL)
    print(f"{'network':<10}{'|error| of log f':>18}{'p99':>10}{'of log P(press)':>18}{'of log P(none)':>18}")
    for name, network in networks.items():
        lan, choice = (network.config["accuracy"][key] for key in ("lan", "choice"))
        row = (lan["mean"], lan["p99"], choice["go"]["mean"], choice["nogo"]["mean"])
        print(f"{name:<10}{row[0]:>18.2g}{row[1]:>10.2g}{row[2]:>18.2g}{row[3]:>18.2g}")
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    left.plot(paths["time"], paths.T)
    left.set(xlabel="time [s]", ylabel="evidence")
    pl.plots.choice_probabilities(networks["exact"], {"t": 0.3}, ax=right)
    figure.savefig(out / "article.png", dpi=150)
    df.loc[df["response"] < 0, "rt"] = np.nan  # nothing is pressed at the lower boundary
    for name, network in networks.items():
        with pm.Model():
            v, t = pm.Normal("v", 0, 1.5), pm.Uniform("t", 0.05, 1.5)
            a = pm.TruncatedNormal("a", 1.2, 0.5, lower=0.3, upper=2.5)
            pl.GoNoGo("obs", network, v, a, TRUTH["z"], t, trial_type=None, observed=df[["rt"]])
            posterior = pm.sample(draws, chains=2, cores=1, random_seed=SEED, progressbar=False).posterior
        print(name, {key: f"{float(x.mean()):.3f} +- {float(x.std()):.3f}" for key, x in posterior.items()})
    print("truth", TRUTH)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="of CPU time for each network, its labels included")
    parser.add_argument("--rows", type=int, default=200_000, help="labelled trials")
    parser.add_argument("--draws", type=int, default=500, help="of each of two chains")
    parser.add_argument("--out", type=Path, default=Path("article"), help="a new folder")
    main(**vars(parser.parse_args()))
