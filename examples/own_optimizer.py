"""An optimiser of one's own: stochastic gradient descent with momentum, written for optax and given to `pl.fit_map`.

An optax transformation is two functions. ``init`` makes its state from the parameters; ``update`` turns a gradient and
the state into a step and the next state. `pl.fit_map` calls them in a loop: loss and gradient of minus the log
posterior, step, new point, until no derivative is left or the steps are used up.

    python examples/own_optimizer.py [--out FOLDER] [--steps 300]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import optax
import pymc as pm

import pymc_lan as pl


def heavy_ball(rate: float, momentum: float = 0.9, longest: float = 1.0) -> optax.GradientTransformation:
    """Gradient descent that keeps a share of its last step, on gradients cut to a length."""

    def init(params):
        return jax.tree.map(lambda x: 0.0 * x, params)  # a velocity for every parameter

    def update(gradient, velocity, params=None):
        length = optax.global_norm(gradient)
        share = longest / jax.numpy.maximum(length, longest)
        velocity = jax.tree.map(lambda v, g: momentum * v + share * g, velocity, gradient)
        return jax.tree.map(lambda v: -rate * v, velocity), velocity

    return optax.GradientTransformation(init, update)


def regression(seed: int) -> pm.Model:
    """Drift, boundary and non-decision time of 300 simulated trials."""
    df = pl.simulate("ddm", {"v": 1.0, "a": 1.2, "z": 0.5, "t": 0.3}, n=300, seed=seed)
    with pm.Model() as model:
        v, a, t = pm.Normal("v", 0, 2), pm.LogNormal("a", 0, 0.5), pm.LogNormal("t", -1.5, 0.5)
        pl.DDM("obs", v, a, t=t, observed=df)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder of the figure")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    model = regression(args.seed)
    # The average loss of a trial, so that the rate would do for 3,000 trials as well.
    optimizers = {"our own": heavy_ball(0.05), "adam": "adam", "lbfgs": "lbfgs"}
    fits = {name: pl.fit_map(model, each, args.steps, average=True) for name, each in optimizers.items()}
    args.out.mkdir(parents=True, exist_ok=True)
    with pl.plots.paper():
        _, ax = plt.subplots(layout="constrained")
        best = max(fit.logp for fit in fits.values())
        for name, fit in fits.items():
            print(f"{name:8} log posterior {fit.logp:.3f} after {len(fit.history)} steps, converged: {fit.converged}")
            ax.plot(fit.history["step"], 300 * fit.history["loss"] + best + 1e-6, label=name)
        ax.set(xlabel="step", ylabel="log posterior below the best", yscale="log")
        ax.legend(frameon=False)
        plt.savefig(args.out / "own_optimizer.png")


if __name__ == "__main__":
    main()
