"""Mass of everything that can be seen of a trial: every model, kind of observation and share of guesses.

    python benchmarks/observations.py [MODEL ...] [--sets 1000]

A row for each: quantiles, over random sets of parameters uniform on the bounds, of how far the mass is from one. It is
summed over choices without times, over times on a grid, and over what lies between limits by a rule of its own, which
has Gauss nodes in panels that lie geometrically from the onset. With a deadline the omission is part of it, where the
model knows how likely that is.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pymc_lan as pl
from pymc_lan.data.observation import Observation, of_choices
from pymc_lan.data.partly_seen import Parts
from pymc_lan.models.likelihood import Likelihood, mix_lapses
from pymc_lan.numerics.passage import NUMPY

Float = NDArray[np.float64]
KINDS = {
    "choices alone": Parts(alone=True),
    "to 100 ms": Parts(rounded=True, short=True),
    "limits": Parts(truncated=True),
}
LAPSES = (0.0, 0.05)
WIDTH, N_GRID, LIMITS = 0.1, 500, (0.4, 3.0)
NODES, WEIGHTS = np.polynomial.legendre.leggauss(12)


def draw_sets(spec: Any, rng: np.random.Generator, n: int) -> dict[str, Float]:
    """Parameters uniform on their bounds, in their order; starts from 0.01 to 0.99."""
    theta = {p.name: rng.uniform(*p.bounds, n) for p in spec.parameters}
    if "z" in theta:
        theta["z"] = theta["z"].clip(0.01, 0.99)
    if spec.order is not None:
        less, more = spec.order
        theta[more] = np.maximum(theta[more], theta[less])
    return theta


def extras_of(seen: Observation, theta: Mapping[str, Float], p_lapse: float) -> dict[str, Float]:
    """What is known of every trial beside the parameters."""
    n = len(next(iter(theta.values())))
    t = theta.get("t", np.zeros(n))
    known = {
        "p_lapse": np.full(n, p_lapse),
        "lapse_window": np.full(n, 5.0),
        "deadline": t + 1.0,
        "rt_interval": np.full(n, WIDTH),
        "truncation_low": np.full(n, LIMITS[0]),
        "truncation_high": np.full(n, LIMITS[1]),
    }
    return {name: known[name] for name in seen.extras}


def trials_of(
    kind: str, seen: Observation, extras: Mapping[str, Float], t: Float
) -> Iterator[tuple[Float, float, Float]]:
    """Times, a response and weights, (k, sets), over which the density of what can be seen is summed."""
    for code in seen.responses:
        if kind == "choices alone":
            yield np.full((1, t.size), -1.0), code, np.ones((1, t.size))
        elif kind == "to 100 ms":
            rt = WIDTH * np.arange(1, N_GRID + 1)[:, None] + 0 * t
            yield rt, code, np.ones(rt.shape)
        else:
            end = np.minimum(LIMITS[1], extras.get("deadline", np.inf))
            inside = np.clip(t + np.geomspace(1e-7, 40, 60)[:, None], LIMITS[0], end)
            edges = np.sort(np.vstack([np.full_like(t, LIMITS[0]), inside, end + 0 * t]), axis=0)
            half = 0.5 * np.diff(edges, axis=0)[:, None]
            rt = edges[:-1, None] + half * (1 + NODES[:, None])
            yield rt.reshape(-1, t.size), code, (half * WEIGHTS[:, None]).reshape(-1, t.size)
    if seen.silent:
        yield np.full((1, t.size), np.inf), 0.0, np.ones((1, t.size))


def mass(likelihood: Likelihood, kind: str, seen: Observation, theta: Mapping[str, Float], p_lapse: float) -> Float:
    """Mass of all that can be seen, one for each set."""
    extras = extras_of(seen, theta, p_lapse)
    total: Any = 0.0
    recorded = seen.log_recorded(NUMPY, likelihood, extras, theta)
    scale = 0.0
    if recorded is not None:
        scale = mix_lapses(NUMPY, recorded, extras["p_lapse"], seen.log_recorded_guess(NUMPY, extras))
    for rt, code, weight in trials_of(kind, seen, extras, theta.get("t", np.zeros_like(extras["p_lapse"]))):
        response = np.full(rt.shape[-1], code)
        for times, share in zip(rt, weight, strict=True):
            own = seen.log_trial(NUMPY, likelihood, times, response, extras, theta)
            mixed = mix_lapses(NUMPY, own, extras["p_lapse"], seen.log_guess(NUMPY, times, extras, response))
            total = total + share * np.exp(np.where(seen.possible(times, response, extras), mixed - scale, -np.inf))
    return np.asarray(total)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--sets", type=int, default=1000)
    given = parser.parse_args()
    print(f"{'model':22s} {'seen':15s} {'deadline':9s} {'guesses':8s} {'median':9s} {'p99':9s} largest")
    for name in given.models or [spec.name for spec in pl.list_models().itertuples()]:
        spec = pl.get_model(name)
        if not spec.times:
            continue
        likelihood = Likelihood(spec) if spec.views is None else pl.load_network(name).likelihood
        theta = draw_sets(likelihood.spec, np.random.default_rng(1), given.sets)
        for late in (False, True):
            if late and (likelihood.log_survivor is None or spec.omissions):
                continue
            own = Likelihood(likelihood.spec, likelihood.lan, likelihood.choice, of_choices((), omissions=late).silence)
            for kind, parts in KINDS.items():
                seen = parts.around(of_choices(spec.choices, omissions=late))
                for p_lapse in LAPSES:
                    with np.errstate(all="ignore"):
                        error = np.abs(mass(own, kind, seen, theta, p_lapse) - 1)
                    a, b, c = np.quantile(error, (0.5, 0.99, 1.0))
                    print(f"{name:22s} {kind:15s} {late!s:9s} {p_lapse:<8g} {a:<9.1g} {b:<9.1g} {c:.1g}", flush=True)


if __name__ == "__main__":
    main()
