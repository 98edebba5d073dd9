"""A simulator and no density: from a plain NumPy function to a fitted PyMC model, in one file.

Two options gather evidence, lose some of it again and hold each other back; the first to reach a threshold is chosen
(leaky competing accumulators, Usher & McClelland 2001). Nobody has its density. The network learns from its trials.

    python examples/my_simulator.py [seed]
"""

import sys
import tempfile
import time

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm

import pymc_lan as pl

TRUTH = {"rate": 1.2, "hold": 1.0, "a": 1.0, "t": 0.3}
BOUNDS = {"rate": (0.0, 2.0), "hold": (0.0, 2.0), "a": (0.5, 1.5), "t": (0.1, 0.5)}


def draw(theta, rng, step=0.02):
    """Draw a trial for each row of theta: response time in seconds, and which of the two was chosen."""
    rate, hold, a, t, strength = theta.T
    pull = 2 + np.stack([-rate * strength, rate * strength])
    x, rt, response, left = np.zeros_like(pull), t.copy(), np.zeros(len(t)), np.arange(len(t))
    while len(left):  # the trials that are not decided yet
        x = np.maximum(x + step * (pull - hold * (x + x[::-1])) + step**0.5 * rng.standard_normal(x.shape), 0)
        done = (x >= a).any(axis=0)
        rt[left] += step * np.where(done, rng.random(len(left)), 1)
        response[left] = x[1] > x[0]
        x, pull, hold, a, left = x[:, ~done], pull[:, ~done], hold[~done], a[~done], left[~done]
    return rt, response


def main() -> None:
    seed, start = int(sys.argv[1]) if len(sys.argv) > 1 else 1, time.perf_counter()
    spec = pl.simulator_spec("lca", draw, BOUNDS, choices=[0, 1], shift="t", context={"strength": (0.0, 1.0)})
    recipe = pl.SimulationRecipe(hidden=(32, 32), chunks=12, passes=4, learning_rate=1e-2)  # 12 million trials
    with tempfile.TemporaryDirectory() as folder:
        network = pl.train(spec, folder, simulation_recipe=recipe, n_measured=1_000_000)
    print(f"divergence from the simulator: {network.config['accuracy']['simulations']['median']:.4f} nats")
    strength = np.tile([0.1, 0.3, 0.6, 1.0], 250)
    df = pl.simulate(spec, TRUTH | {"strength": strength}, seed=seed)
    with pm.Model() as model:
        priors = (pm.Uniform(name, *bounds) for name, bounds in BOUNDS.items())
        pl.LANDist("obs", network, *priors, strength, observed=df)
        table = az.summary(idata := pm.sample(random_seed=seed), ci_prob=0.95, ci_kind="eti", round_to="none")
    table["truth"] = pd.Series(TRUTH)
    table["holds"] = (table["eti95_lb"] < table["truth"]) & (table["truth"] < table["eti95_ub"])
    print(table[["truth", "mean", "sd", "eti95_lb", "eti95_ub", "r_hat", "holds"]].round(3).to_string())
    print(f"{time.perf_counter() - start:.0f} s in all\n\n{pl.check(idata, model).verdict}")


if __name__ == "__main__":
    main()
