"""Functions written in JAX, and networks of Flax, inside PyMC models, by one call each: `pl.jax_function`.

Four cases: the exponential function; the concentration of what decays, whose differential equation Diffrax solves; a
drift rate that follows a differential equation of the history of rewards; and a convolutional network with priors on
its weights, which reads handwritten digits. Each prints how far log density and gradient in the default mode are from
those in JAX mode, and what was found of the truth.

    python examples/jax_function.py [exp decay history digits] [--draws 1000] [--tune 1000] [--chains 4] [--seed 1]

The differential equations need Diffrax, pip install 'pymc-lan[diffrax]', and the digits are scikit-learn's.
"""

import argparse
from collections.abc import Callable
from functools import partial

import arviz as az
import diffrax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
from flax import nnx
from sklearn.datasets import load_digits

import pymc_lan as pl

OBSERVED = (1.0, 0.367, 0.135, 0.049)  # at 0, 1, 2 and 3 seconds
HISTORY = {"v0": 0.6, "gain": 1.5, "tau": 4.0, "a": 1.0, "t": 0.3}
N_TRIALS = 150
# Trials begin every two seconds or so, and three of five are rewarded.
RNG = np.random.default_rng(7)
ONSETS = np.cumsum(RNG.uniform(1.5, 2.5, N_TRIALS))
REWARDS = (RNG.uniform(size=N_TRIALS) < 0.6).astype(float)


def exp() -> pm.Model:
    """A rate with a normal logarithm: `jnp.exp` is JAX's."""
    with pm.Model() as model:
        x = pm.Normal("x", 0, 1)
        rate = pm.Deterministic("rate", pl.jax_function(jnp.exp)(x))
        pm.Poisson("obs", rate, observed=[3, 1, 2, 4])
    return model


def concentration(y0, times):
    """The solution of dy/dt = -y, which begins with y0, at some times."""
    field = diffrax.ODETerm(lambda t, y, args: -y)
    controller = diffrax.PIDController(rtol=1e-8, atol=1e-8)
    saved = diffrax.SaveAt(ts=times)
    return diffrax.diffeqsolve(
        field, diffrax.Tsit5(), 0.0, times[-1], 0.1, y0, saveat=saved, stepsize_controller=controller
    ).ys


def decay() -> pm.Model:
    """What was there at the start, and how exact the measurements are."""
    with pm.Model() as model:
        y0 = pm.Normal("y0", 0, 1)
        noise = pm.HalfNormal("noise", 0.01)
        expected = pl.jax_function(concentration)(y0, np.arange(4.0))
        pm.Normal("obs", expected, noise, observed=OBSERVED)
    return model


def expectation(tau, onsets, rewards):
    """What is expected at the onset of each trial: it goes to the last reward within tau seconds or so."""

    def change(t, y, tau):
        last = jnp.searchsorted(onsets, t, side="right") - 1
        return (rewards[last] - y) / tau

    # Steps end where the reward changes. Where a sampler tries a tau of almost nothing, there is no solution: infinity.
    controller = diffrax.ClipStepSizeController(diffrax.PIDController(rtol=1e-6, atol=1e-6), jump_ts=onsets)
    return diffrax.diffeqsolve(
        diffrax.ODETerm(change),
        diffrax.Tsit5(),
        onsets[0],
        onsets[-1],
        None,
        jnp.zeros(()),
        args=tau,
        saveat=diffrax.SaveAt(ts=onsets),
        stepsize_controller=controller,
        throw=False,
    ).ys


def history() -> pm.Model:
    """The more reward is expected, the higher the drift."""
    expected = pl.jax_function(expectation)
    drift = HISTORY["v0"] + HISTORY["gain"] * expected(HISTORY["tau"], ONSETS, REWARDS).eval()
    df = pl.simulate("ddm", {"v": drift, "a": HISTORY["a"], "z": 0.5, "t": HISTORY["t"]}, seed=3)
    with pm.Model() as model:
        v0 = pm.Normal("v0", 0, 1)
        gain = pm.Normal("gain", 0, 1)
        tau = pm.LogNormal("tau", 1, 0.7)
        a = pm.Uniform("a", 0.4, 2.0)
        t = pm.Uniform("t", 0.05, 0.6)
        pl.DDM("obs", v0 + gain * expected(tau, ONSETS, REWARDS), a, 0.5, t, observed=df)
    return model


class Reader(nnx.Module):
    """Three filters and a linear layer: scores of the ten digits."""

    def __init__(self, rngs: nnx.Rngs):
        self.filters = nnx.Conv(1, 3, (3, 3), strides=2, rngs=rngs)
        self.scores = nnx.Linear(48, 10, rngs=rngs)

    def __call__(self, images):
        return self.scores(jnp.tanh(self.filters(images)).reshape(len(images), -1))


READER = Reader(nnx.Rngs(0))
N_IMAGES = 300


def images(first: int, last: int):
    """Some of the 1,797 images, in an order drawn once, and which digits they show."""
    every = load_digits()
    chosen = np.random.default_rng(1).permutation(len(every.target))[first:last]
    return every.images[chosen][..., None] / 16 - 0.3, every.target[chosen]


def digits() -> pm.Model:
    """Digits can be told apart with hardly a doubt, so the priors allow scores that differ by several units."""
    seen, shown = images(0, N_IMAGES)
    with pm.Model() as model:
        pm.Categorical("obs", logit_p=pl.flax_module(READER, seen, prior=1.0), observed=shown)
    return model


def calibration(idata) -> pd.DataFrame:
    """How sure the network is of other images, on average over the posterior, and how often it is right."""
    new, shown = images(N_IMAGES, N_IMAGES + 600)
    with pm.Model():
        pm.Deterministic("p", pt.special.softmax(pl.flax_module(READER, new, prior=1.0), axis=-1))
        few = idata.sel(draw=slice(None, None, 10))
        # These are too few evaluations for compiling to pay.
        quick = {"compile_kwargs": {"mode": "FAST_COMPILE"}, "progressbar": False}
        found = pm.sample_posterior_predictive(few, var_names=["p"], **quick)
    p = found.posterior_predictive["p"].mean(("chain", "draw")).values
    table = pd.DataFrame({"sure": p.max(axis=1), "right": p.argmax(axis=1) == shown})
    groups = table.groupby(pd.cut(table["sure"], [0, 0.5, 0.7, 0.9, 1]), observed=True)
    rows = groups.agg(images=("sure", "size"), sure=("sure", "mean"), right=("right", "mean"))
    rows.index = [f"sure {group}" for group in rows.index]
    rows.loc["all"] = [len(table), table["sure"].mean(), table["right"].mean()]
    return rows.astype({"images": int})


def recovery(idata, truth: dict[str, float]) -> pd.DataFrame:
    """What was found of the truth."""
    table = az.summary(idata, ci_prob=0.9, ci_kind="eti", round_to="none")
    table.insert(0, "truth", [truth.get(name, np.nan) for name in table.index])
    return table[["truth", "mean", "sd", "eti90_lb", "eti90_ub", "r_hat"]]


CASES: dict[str, tuple[Callable, Callable]] = {
    "exp": (exp, partial(recovery, truth={})),
    "decay": (decay, partial(recovery, truth={"y0": 1.0})),
    "history": (history, partial(recovery, truth=HISTORY)),
    "digits": (digits, calibration),
}


def difference(model: pm.Model) -> float:
    """The largest difference, relative to one, of log density and gradient in the default mode and in JAX mode."""
    point = {name: value + 0.1 for name, value in model.initial_point().items()}
    functions = [model.compile_fn([model.logp(), model.dlogp()], mode=mode) for mode in ("NUMBA", "JAX")]
    default, jax = (np.concatenate([np.ravel(x) for x in function(point)]) for function in functions)
    return float(np.max(np.abs(default - jax) / np.maximum(1, np.abs(jax))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=list(CASES), help=f"of {', '.join(CASES)}")
    for name, default in {"draws": 1000, "tune": 1000, "chains": 4, "seed": 1}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    for case in args.cases:
        build, report = CASES[case]
        model = build()
        print(f"{case}: default and JAX mode differ by at most {difference(model):.1e}")
        idata = pm.sample(
            args.draws, tune=args.tune, chains=args.chains, random_seed=args.seed, model=model, progressbar=False
        )
        print(report(idata).round(4).to_string(), end="\n\n")


if __name__ == "__main__":
    main()
