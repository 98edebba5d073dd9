"""Functions written in JAX inside PyMC models, by one call each: `pl.jax_function`.

Three cases: the exponential function; the concentration of what decays, whose differential equation Diffrax solves; and
a drift rate that follows a differential equation of the history of rewards. Each prints how far log density and
gradient in the default mode are from those in JAX mode, and what was found of the truth.

    python examples/jax_function.py [exp decay history] [--draws 1000] [--tune 1000] [--chains 4] [--seed 1]

The differential equations need Diffrax: pip install 'pymc-lan[diffrax]'.
"""

import argparse

import arviz as az
import diffrax
import jax.numpy as jnp
import numpy as np
import pymc as pm

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


CASES = {"exp": (exp, {}), "decay": (decay, {"y0": 1.0}), "history": (history, HISTORY)}


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
        build, truth = CASES[case]
        model = build()
        print(f"{case}: default and JAX mode differ by at most {difference(model):.1e}")
        idata = pm.sample(
            args.draws, tune=args.tune, chains=args.chains, random_seed=args.seed, model=model, progressbar=False
        )
        table = az.summary(idata, ci_prob=0.9, ci_kind="eti", round_to="none")
        table.insert(0, "truth", [truth.get(name, np.nan) for name in table.index])
        print(table[["truth", "mean", "sd", "eti90_lb", "eti90_ub", "r_hat"]].round(4).to_string(), end="\n\n")


if __name__ == "__main__":
    main()
