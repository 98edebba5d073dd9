"""A drift rate that a small convolutional network reads off the stimulus: which half of an image has more contrast.

The images are noise, of a contrast of its own in either half, and the drift is the difference of what is seen of it,
which no linear function of the pixels is. Drifts of new images are predicted with their uncertainty:

    python examples/image_drift.py
"""

import argparse

import numpy as np
import pymc as pm
from flax import nnx

import pymc_lan as pl

TRUTH = {"a": 1.0, "t": 0.3}
SIZE = 8


class Eye(nnx.Module):
    """A filter, its energy in either half of the image, and a weighted sum of these."""

    def __init__(self, rngs):
        self.filter = nnx.Conv(1, 1, (3, 3), use_bias=False, rngs=rngs)
        self.drift = nnx.Linear(2, 1, rngs=rngs)

    def __call__(self, images):
        energy = self.filter(images) ** 2
        return self.drift(energy.reshape(-1, SIZE, 2, SIZE // 2).mean(axis=(1, 3)))[:, 0]


def stimuli(n, rng):
    """Images of shape (n, 8, 8, 1) and the drifts that they cause."""
    contrast = np.repeat(rng.uniform(0.2, 1, (n, 1, 2, 1)), SIZE // 2, axis=2)
    images = contrast * rng.normal(size=(n, SIZE, SIZE, 1))
    left, right = np.split(images**2, 2, axis=2)
    return images, 2.5 * (right - left).mean(axis=(1, 2, 3))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in {"trials": 400, "draws": 500, "tune": 500, "chains": 4}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    images, drift = stimuli(args.trials, rng)
    new, expected = stimuli(200, rng)
    df = pl.simulate("ddm", {"v": drift, "z": 0.5, **TRUTH}, seed=1)
    eye = Eye(nnx.Rngs(1))
    with pm.Model() as model:
        v = pl.flax_module(eye, images, name="eye")
        a = pm.TruncatedNormal("a", 1.2, 0.5, lower=0.3, upper=2.5)
        t = pm.Uniform("t", 0.05, 0.6)
        pl.DDM("obs", v, a, 0.5, t, observed=df)
    # Filters of either sign do the same, and larger ones with smaller weights: longer ways are not worth their time.
    options = {"initvals": {"t": 0.2}, "kernel_parameters": {"max_num_doublings": 6}, "seed": 1}
    idata = pl.sample_blackjax(model, args.draws, args.tune, args.chains, **options)
    with pm.Model():
        pm.Deterministic("v", pl.flax_module(eye, new, name="eye"))
        quick = {"mode": "FAST_COMPILE"}  # 400 calls are fewer than would pay for more
        few = idata.sel(draw=slice(None, None, 5))
        found = pm.sample_posterior_predictive(few, var_names=["v"], progressbar=False, compile_kwargs=quick)
    draws = found.posterior_predictive["v"].stack(sample=("chain", "draw")).values
    low, high = np.quantile(draws, [0.05, 0.95], axis=1)
    print(f"{'':4s}{'truth':>7s}{'mean':>7s}{'sd':>7s}")
    for name, truth in TRUTH.items():
        x = idata.posterior[name]
        print(f"{name:4s}{truth:7.2f}{float(x.mean()):7.3f}{float(x.std()):7.3f}")
    print(f"drifts of {len(new)} new images, from {expected.min():.2f} to {expected.max():.2f}:")
    print(f"correlation with the truth: {np.corrcoef(draws.mean(axis=1), expected)[0, 1]:.3f}")
    print(f"root mean square error: {np.sqrt(np.mean((draws.mean(axis=1) - expected) ** 2)):.3f}")
    print(f"truth in the 90 % interval: {np.mean((low < expected) & (expected < high)):.2f}")


if __name__ == "__main__":
    main()
