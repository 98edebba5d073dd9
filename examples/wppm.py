"""The covariance field of an observer who picks the odd one of three: a Wishart process, its mode and its posterior.

Hong et al. (2026, eLife 14, RP108943) fit such a field to colour discriminations by its mode, with a likelihood that is
simulated anew at every step. Here the probability of a right answer is a network, so that any optimiser finds the mode
and NUTS samples the posterior. Trials come from the task's own simulator, which draws percepts and compares them, with
comparisons at a Mahalanobis distance of 2.8 from 25 references.

    python examples/wppm.py [--out FOLDER] [--trials 4000] [--degree 5] [--draws 500] [--tune 500] [--chains 4]
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import optax
import pymc as pm

import pymc_lan as pl

RADIUS = 2.8
EDGE = 0.8  # of the grid of references
OPTIMIZERS = {
    "SGD with momentum": optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.02, momentum=0.9)),
    "Adam": optax.adam(0.02),
    "L-BFGS": "lbfgs",
}


def simulate(weights, field, n, seed, guess=None):
    """Draw trials of an observer whose field has these weights: references, comparisons, right (1) or wrong (0).

    Comparisons are placed by the observer's own field, as if it were known, or by a guess: weights of other fields,
    each for its share of the trials.
    """
    rng = np.random.default_rng(seed)
    grid = np.linspace(-EDGE, EDGE, 5)
    references = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    ref = np.resize(references, (n, 2))
    of_ref, angle = field.draws(weights, ref), rng.uniform(0, 2 * np.pi, n)
    placing, i = of_ref, np.arange(n)
    if guess is not None:
        placing = np.stack([field.draws(w, ref) for w in guess])[i % len(guess), i]
    away = RADIUS * np.linalg.cholesky(placing) @ np.stack([np.cos(angle), np.sin(angle)], axis=-1)[..., None]
    comparison = np.clip(ref + away[..., 0], -1, 1)
    correct = pl.Oddity.simulate(ref, comparison, of_ref, field.draws(weights, comparison), seed=seed)
    return ref, comparison, correct


def build(ref, comparison, correct, degree):
    """The model of one observer."""
    with pm.Model() as model:
        field = pl.wishart_field("W", degree)
        covariance = field.at(np.concatenate([ref, comparison]))  # once, for both
        n = len(ref)
        pl.Oddity("obs", ref, comparison, covariance[:n], covariance[n:], observed=correct)
    return model, field


def find_modes(model, steps):
    """The mode by each optimiser, from one start: the model's initial point."""
    fits = {}
    for name, optimizer in OPTIMIZERS.items():
        start = time.perf_counter()
        with warnings.catch_warnings():  # some have not converged after so many steps: the table says so
            warnings.simplefilter("ignore", UserWarning)
            fits[name] = fit = pl.fit_map(model, optimizer, steps)
        seconds = time.perf_counter() - start
        print(f"{name:18} log posterior {fit.logp:.2f}  {len(fit.history):5} steps  {seconds:6.1f} s")
    return fits


def draw_figures(fits, field, idata, truth, out):
    """Losses of the optimisers; ellipses of the mode and of the posterior against the truth."""
    out.mkdir(parents=True, exist_ok=True)
    with pl.plots.paper("double"):
        _, ax = plt.subplots(figsize=(3.5, 2.6), layout="constrained")
        best = max(fit.logp for fit in fits.values())
        for name, fit in fits.items():
            ax.plot(fit.history["step"], fit.history["loss"] + best + 1e-3, label=name)
        ax.set(xlabel="step", ylabel="log posterior below the best mode", yscale="log")
        ax.legend(frameon=False)
        plt.savefig(out / "wppm_loss.png")
        _, axes = plt.subplots(1, 2, figsize=(7.1, 3.7), layout="constrained", sharex=True, sharey=True)
        for ax, draws, title in zip(axes, (fits["L-BFGS"], idata), ("mode", "posterior, 90 % bands"), strict=True):
            pl.plots.ellipses(field, draws, truth=truth, ax=ax)
            ax.legend(ncols=3, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), title=title)
        plt.savefig(out / "wppm_ellipses.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder of the figures")
    parser.add_argument("--trials", type=int, default=4000)
    parser.add_argument("--degree", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1000, help="of each optimiser, at most")
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--tune", type=int, default=500)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with pm.Model():
        field = pl.wishart_field("W", args.degree)
        truth = pm.draw(field.weights, random_seed=args.seed)
    ref, comparison, correct = simulate(truth, field, args.trials, args.seed)
    print(f"{args.trials} trials, {correct.mean():.1%} right")
    model, field = build(ref, comparison, correct, args.degree)
    fits = find_modes(model, args.steps)
    with model:
        idata = pm.sample(
            args.draws, tune=args.tune, chains=args.chains, random_seed=args.seed, progressbar=False,
            initvals={"W": fits["L-BFGS"].point["W"]},
        )  # fmt: skip
    # At points between the references, because weights are not what is asked for.
    x = np.random.default_rng(args.seed).uniform(-EDGE, EDGE, (100, 2))
    draws, known = field.draws(idata, x), field.draws(truth, x)
    low, high = np.quantile(draws, [0.05, 0.95], axis=(0, 1))
    held = ((low < known) & (known < high))[:, [0, 0, 1], [0, 1, 1]].mean()
    r_hat = float(az.rhat(az.convert_to_datatree({"sigma": draws}))["sigma"].max())
    print(f"largest R-hat of Sigma(x) at 100 points {r_hat:.3f}; 90 % intervals of its elements hold {held:.0%}")
    draw_figures(fits, field, idata, truth, args.out)


if __name__ == "__main__":
    main()
