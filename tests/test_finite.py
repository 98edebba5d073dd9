"""Log densities and their gradients are finite over the whole box of parameters, its corners and edges among it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from backends import MODES
from forms import FORMS, INF, Float, Form, guesses, in_box

N_POINTS = 100_000
# Seconds from the onset within which trials fall.
EARLIEST, LATEST = -0.3, 60.0
# Shares of trials without a response where there may be one, and of parameters at an end of their bounds.
SILENT, AT_END = 0.2, 0.15
BACKENDS = ("numba", "jax")


def times_after_onset(rng: np.random.Generator, n: int) -> Float:
    """Times over the whole range and, half of them, near the onset; some exactly there."""
    near = rng.choice([-1.0, 1.0, 1.0], n) * np.exp(rng.uniform(np.log(1e-9), np.log(0.3), n))
    late = np.exp(rng.uniform(np.log(1e-4), np.log(LATEST), n))
    return np.choose(
        rng.integers(8, size=n), [0 * near, near, near, late, late, late, *rng.uniform(-0.3, LATEST, (2, n))]
    )


def points(form: Form, rng: np.random.Generator, n: int) -> tuple[Float, dict[str, Float], dict[str, Float]]:
    """Trials, parameters and what is said of guesses; no response comes after its deadline."""
    theta = in_box(form, rng, n, ends=AT_END)
    extras = guesses(form, theta, rng)
    rt = theta.get("t", np.zeros(n)) + times_after_onset(rng, n)
    values = np.column_stack([rt, rng.choice(np.asarray(form.responses, float), n)])
    if form.ends:
        extras["deadline"] = np.maximum(extras["deadline"], rt)
    if form.silent:
        silent = rng.random(n) < SILENT
        values[silent] = INF, 0.0
        if form.ends:
            early = guesses(form, theta, rng)["deadline"]
            extras["deadline"] = np.where(silent, early, extras["deadline"])
    return values, theta, extras


def compiled(form: Form, theta: dict[str, Float], extras: dict[str, Float], backend: str) -> Any:
    """Log density and gradient without guesses and with them, in one function of trials and of all arguments."""
    x = pt.matrix("x", dtype="float64", shape=(N_POINTS, 2))
    given = {name: pt.vector(name, dtype="float64", shape=(N_POINTS,)) for name in (*theta, *extras)}
    kept = {name: var for name, var in given.items() if name in theta or name == "deadline"}
    outputs = []
    for arguments in (kept, given):
        log_p = pm.logp(form.dist(arguments), x)
        smooth = [var for name, var in arguments.items() if name not in ("deadline", "lapse_window")]
        outputs += [log_p, *pt.grad(log_p.sum(), smooth)]
    return pytensor.function([x, *given.values()], outputs, mode=MODES[backend])


def impossible(form: Form, values: Float, extras: dict[str, Float]) -> Float:
    """Trials that are guesses for sure, but that no guess can be."""
    rt = values[:, 0]
    deadline = extras.get("deadline", np.full(len(rt), INF))
    seen = np.minimum(1, deadline / extras["lapse_window"])
    press = extras.get("lapse_go", 1.0)
    none_by_guess = 1 - press * seen if form.ends or form.go_nogo else np.zeros_like(rt)
    some_by_guess = np.where((rt > 0) & (rt <= extras["lapse_window"]), press, 0.0)
    return (extras["p_lapse"] == 1) & (np.where(np.isinf(rt), none_by_guess, some_by_guess) == 0)


def complaints(form: Form, backend: str, seed: int = 21) -> list[str]:
    """What is not finite, in words: with the share of the points, and the first of them."""
    values, theta, extras = points(form, np.random.default_rng(seed), N_POINTS)
    results = compiled(form, theta, extras, backend)(values, *theta.values(), *extras.values())
    never, p = impossible(form, values, extras), extras["p_lapse"]
    # The derivative by a share of 0 or 1 is a ratio of densities, and so may be infinite.
    inside = {"p_lapse": (p > 0) & (p < 1)}
    if form.go_nogo:
        inside["lapse_go"] = (extras["lapse_go"] > 0) & (extras["lapse_go"] < 1) & (p < 1)
    names = ["log density", *theta, "log density with guesses", *theta, *inside]
    found = []
    for i, (name, result) in enumerate(zip(names, results, strict=True)):
        wrong = ~np.isfinite(result)
        if name.endswith("guesses"):
            wrong = np.where(never, result != -INF, wrong)
        wrong &= inside.get(name, True)
        if wrong.any():
            k = int(np.flatnonzero(wrong)[0])
            point = {key: float(x[k]) for key, x in (theta | extras).items()}
            graph = "with guesses" if i > len(theta) else "without"
            found.append(f"{name} ({graph}): {wrong.mean():.2%}, {result[k]} at {values[k].tolist()}, {point}")
    return found


# One of a kind on one backend each, and the one of the most parameters where a change is checked.
MARKS: dict[tuple[str, str], Any] = {
    ("ExponentialCollapse-lan", "numba"): (),
    ("GoNoGoDDM-lan", "jax"): (),
    ("ConflictDS-lan", "numba"): pytest.mark.table,
}


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        pytest.param(name, backend, marks=MARKS.get((name, backend), pytest.mark.slow))
        for name in FORMS
        for backend in BACKENDS
    ],
)
def test_everything_is_finite(name: str, backend: str) -> None:
    assert complaints(FORMS[name], backend) == []
