"""The oddity task in the plane: how near `pl.Oddity` is to simulated observers, and how fast beside Monte Carlo.

Tasks are drawn here, with positions, covariances whose axes have ratios up to 5, one up to twice as large as the other,
and distances d' of 0 to 5; percepts are drawn and judged here, too, without the package. The Monte-Carlo likelihood is
that of psyphy: for each trial 1,000 draws of three percepts, a logistic of the difference of squared distances over a
bandwidth of 0.01, its mean, the log of that, and the gradient by reverse mode, all compiled by JAX.

    python benchmarks/oddity.py
    python benchmarks/oddity.py --trials 100000 --tasks 20 --repeats 3
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from _common import argument_parser, print_table, report

import pymc_lan as pl

BARS = {"mean": 0.01, "max": 0.05, "ms": 5.0, "ratio": 100.0}
BAND = 0.02
CHUNK = 100_000
SAMPLES, BANDWIDTH = 1000, 1e-2


def draw_tasks(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
    """References, comparisons (n, 2), and covariances of their percepts (n, 2, 2)."""

    def covariances(scale: np.ndarray) -> np.ndarray:
        angle, ratio = rng.uniform(0, np.pi, n), rng.uniform(1, 5, n)
        turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=-1).reshape(n, 2, 2)
        axes = np.stack([scale * np.sqrt(ratio), scale / np.sqrt(ratio)], axis=-1)
        return np.einsum("nij,nj,nkj->nik", turn, axes**2, turn)

    size = 10 ** rng.uniform(-2, 2, n)
    s, c = covariances(size), covariances(size * 2 ** rng.uniform(-1, 1, n))
    angle, distance = rng.uniform(0, 2 * np.pi, n), rng.uniform(0, 5, n)
    way = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * distance[:, None]
    ref = rng.normal(size=(n, 2)) * size[:, None]
    return ref, ref + np.einsum("nij,nj->ni", np.linalg.cholesky((2 * s + c) / 3), way), s, c


def share_right(rng: np.random.Generator, ref: Any, comparison: Any, s: Any, c: Any, n: int) -> float:
    """The share of n simulated observers whose reference percepts are the closest pair."""
    metric, roots, right = np.linalg.inv((2 * s + c) / 3), [np.linalg.cholesky(x) for x in (s, s, c)], 0
    for start in range(0, n, CHUNK):
        shape = (2, min(CHUNK, n - start))
        one, other, odd = (root @ rng.standard_normal(shape) for root in roots)
        odd += (comparison - ref)[:, None]
        pairs = (one - other, one - odd, other - odd)
        alike, first, second = (np.sum(x * (metric @ x), axis=0) for x in pairs)
        right += int(np.count_nonzero(alike < np.minimum(first, second)))
    return right / n


def accuracy(n_tasks: int, n_trials: int, seed: int) -> dict[str, float]:
    """Errors of the log odds against simulations."""
    rng = np.random.default_rng([seed, 1])
    tasks = draw_tasks(rng, n_tasks)
    p = np.exp(pm.logp(pl.Oddity.dist(*tasks), 1).eval())
    truth = np.array([share_right(rng, *task, n_trials) for task in zip(*tasks, strict=True)])
    band = (truth > BAND) & (truth < 1 - BAND)
    p, truth = p[band], truth[band]
    error = np.abs(np.log(p / (1 - p)) - np.log(truth / (1 - truth)))
    chance = np.sqrt(2 / np.pi / (n_trials * truth * (1 - truth)))
    return {"mean": error.mean(), "max": error.max(), "chance": chance.mean(), "tasks": int(band.sum())}


def network_likelihood(tasks: tuple[np.ndarray, ...], answers: np.ndarray) -> Callable[[], Any]:
    """Log density and gradient by all covariances, compiled as PyMC does."""
    ref, comparison, s, c = tasks
    forms = [pt.tensor(name, shape=x.shape, dtype="float64") for name, x in (("s", s), ("c", c))]
    logp = pm.logp(pl.Oddity.dist(ref, comparison, *forms), answers).sum()
    function = pytensor.function(forms, [logp, *pt.grad(logp, forms)], trust_input=True)
    return lambda: function(s, c)


def simulated_likelihood(tasks: tuple[np.ndarray, ...], answers: np.ndarray, samples: int) -> Callable[[], Any]:
    """The same by Monte Carlo."""
    import jax
    import jax.numpy as jnp

    ref, comparison, s, c = (jnp.asarray(x, jnp.float32) for x in tasks)
    correct = jnp.asarray(answers)

    def probability(key: Any, ref: Any, comparison: Any, s: Any, c: Any) -> Any:
        z = jax.random.normal(key, (3, samples, 2))
        low, high = jnp.linalg.cholesky(s), jnp.linalg.cholesky(c)
        one, other, odd = ref + z[0] @ low.T, ref + z[1] @ low.T, comparison + z[2] @ high.T
        metric = jnp.linalg.inv((2 * s + c) / 3)

        def apart(x: Any) -> Any:
            return jnp.sum((x @ metric) * x, axis=-1)

        gap = jnp.minimum(apart(one - odd), apart(other - odd)) - apart(one - other)
        return jnp.clip(jax.nn.sigmoid(gap / BANDWIDTH).mean(), 1e-6, 1 - 1e-6)

    def total(s: Any, c: Any, key: Any) -> Any:
        keys = jax.random.split(key, len(correct))
        p = jax.vmap(probability)(keys, ref, comparison, s, c)
        return jnp.where(correct == 1, jnp.log(p), jnp.log(1 - p)).sum()

    function, key = jax.jit(jax.value_and_grad(total, argnums=(0, 1))), jax.random.key(0)
    return lambda: jax.block_until_ready(function(s, c, key))


def median_ms(call: Callable[[], Any], repeats: int) -> float:
    """Median wall time of a call [ms], after one that compiles."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--trials", type=int, default=10_000_000, help="simulated trials of each task")
    parser.add_argument("--timed", type=int, default=4000, help="trials whose likelihood is timed")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seed", type=int, default=20_261_130)
    args = parser.parse_args()
    tasks = draw_tasks(np.random.default_rng([args.seed, 2]), args.timed)
    answers = np.random.default_rng([args.seed, 3]).integers(0, 2, args.timed)
    ours = median_ms(network_likelihood(tasks, answers), 5 * args.repeats)
    theirs = median_ms(simulated_likelihood(tasks, answers, SAMPLES), max(args.repeats // 4, 1))
    speed = {"ms": ours, "simulated_ms": theirs, "ratio": theirs / ours}
    print_table(
        f"log density and gradient of {args.timed:,} trials",
        ("likelihood", "ms", "bar"),
        [
            ("pl.Oddity", ours, BARS["ms"]),
            (f"Monte Carlo, {SAMPLES:,} samples, as psyphy's", theirs, ""),
            ("times faster", theirs / ours, f"at least {BARS['ratio']:g}"),
        ],
    )
    errors = accuracy(args.tasks, args.trials, args.seed) if args.tasks else {}
    if errors:
        print_table(
            f"abs error of the log odds, {errors['tasks']} of {args.tasks} tasks with {BAND} < P < {1 - BAND}, against "
            f"{args.trials:,} simulated trials of each (chance alone: a mean of {errors['chance']:.2g})",
            ("quantity", "log odds", "at most"),
            [(name, errors[name], BARS[name]) for name in ("mean", "max")],
        )
    report({"speed": speed, "accuracy": errors}, args.json)


if __name__ == "__main__":
    main()
