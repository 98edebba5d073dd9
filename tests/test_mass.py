"""The mass of all that can be seen of a trial, guesses among them, is what the mixture says it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from backends import AS_WRITTEN
from forms import FORMS, INF, Float, Form, guesses, in_box
from tables import one_of_a_kind

N_SETS = 1000
BAR = 1e-4


def log_density(form: Form, arguments: dict[str, Any], values: Float) -> Float:
    """Log density of values of shape (many, n, 2), one argument a trial."""
    x = pt.tensor3("x", dtype="float64")
    log_p = pm.logp(form.dist(arguments, shape=(1, values.shape[1], 2)), x)
    return pytensor.function([x], log_p, mode=AS_WRITTEN)(values)


def rows(rt: Float, code: float) -> Float:
    return np.stack([rt, np.full(rt.shape, float(code))], axis=-1)


def gauss(edges: Float, n_nodes: int) -> tuple[Float, Float]:
    """Nodes and weights of panels whose edges lie along the first axis, one column a trial."""
    nodes, weights = (0.5 * x for x in np.polynomial.legendre.leggauss(n_nodes))
    width = np.diff(edges, axis=0)[:, None]
    rt = edges[:-1, None] + (nodes[:, None] + 0.5) * width
    return rt.reshape(-1, edges.shape[1]), (weights[:, None] * width).reshape(-1, edges.shape[1])


def guessed_mass(form: Form, theta: dict[str, Float], extras: dict[str, Float]) -> Float:
    """Mass of the mixture, less that of the trials in it that are no guesses: one for each set of parameters.

    The integral of a difference, which jumps at the ends of the windows and is constant between: panels end there.
    """
    p = extras["p_lapse"]
    pure = theta | {name: x for name, x in extras.items() if name == "deadline"}
    jumps = [np.zeros_like(p), extras["lapse_window"], np.minimum(extras.get("deadline", 0 * p), 50.0)]
    rt, weight = gauss(np.sort(np.vstack([*jumps, np.full_like(p, 60.0)]), axis=0), 3)
    parts = [(rows(rt, code), weight) for code in form.responses]
    if form.silent:
        parts.append((rows(np.full((1, len(p)), INF), 0.0), np.ones((1, len(p)))))
    values, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    mixed, own = (np.exp(log_density(form, arguments, values)) for arguments in (theta | extras, pure))
    return ((mixed - (1 - p) * own) * weights).sum(axis=0)


TYPICAL = (
    "GoNoGoDDM-exact",
    "GoNoGoAngle-lan",
    "ExponentialCollapse-lan",
    "DDM-lan, omissions",
    "LBA3-exact",
    "Race3-lan",
    "LANDist, imported OPN",
    "LANDist, simulator with omissions",
)


@pytest.mark.parametrize("name", one_of_a_kind(FORMS, *TYPICAL))
def test_no_guess_is_lost(name: str) -> None:
    """A guess is a press in time or it is not, whatever its window, its deadline and how often it is a press."""
    form, rng = FORMS[name], np.random.default_rng(12)
    theta = in_box(form, rng, N_SETS)
    extras = guesses(form, theta, rng)
    error = np.abs(guessed_mass(form, theta, extras) - extras["p_lapse"])
    print(f"guesses {name}: {error.max():.2g}")
    assert error.max() < BAR


@pytest.mark.parametrize("name", ["GoNoGoDDM-exact", "GoNoGoAngle-lan", "LANDist, imported OPN", "LBA3-exact"])
def test_guesses_are_split_as_said(name: str) -> None:
    """Of guesses alone: uniform on the window, seen up to the deadline, and no press with the rest of probability."""
    form, rng = FORMS[name], np.random.default_rng(13)
    theta = in_box(form, rng, N_SETS)
    extras = guesses(form, theta, rng) | {"p_lapse": np.ones(N_SETS)}
    window, deadline = extras["lapse_window"], extras.get("deadline", np.full(N_SETS, INF))
    press = extras["lapse_go"] if form.go_nogo else 1 / len(form.responses)
    rt = np.concatenate([[0.5, 0.999, 1.001] * window[:, None], deadline[:, None] * [0.999, 1.001]], axis=1).T
    rt = np.where(np.isfinite(rt), rt, 1.0)
    expected = np.where((rt <= window) & (rt <= deadline), press / window, 0.0)
    for code in form.responses:
        found = np.exp(log_density(form, theta | extras, rows(rt, code)))
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    if form.ends:
        none = np.exp(log_density(form, theta | extras, rows(np.full((1, N_SETS), INF), 0.0)))[0]
        seen = (press if form.go_nogo else 1.0) * np.minimum(1, deadline / window)
        np.testing.assert_allclose(none, 1 - seen, rtol=1e-9, atol=1e-12)


def may_never_decide(theta: dict[str, Float]) -> Float:
    """Boundaries that move apart are missed by some paths."""
    n = len(next(iter(theta.values())))
    return np.broadcast_to(theta.get("theta", np.zeros(1)) < 0, n)


# A start nearer to a boundary has decided within some millionths of a second, before which log densities are straight
# lines: see `pymc_lan.models.diffusion.closed_view.ONSET_MIN`. One set in five hundred.
NEAREST = 0.0045


def decides_at_once(theta: dict[str, Float]) -> Float:
    """Diffusions that start all but on a boundary."""
    if "z" in theta:
        return 2 * theta["a"] * np.minimum(theta["z"], 1 - theta["z"]) < NEAREST
    return theta["b"] - theta["A"] < NEAREST if "b" in theta else np.zeros(len(theta["t"]), bool)


def meeting(theta: dict[str, Float]) -> Float:
    """Seconds by which straight boundaries have practically met, and have met: there densities end."""
    fall = np.tan(np.maximum(theta.get("theta", 0 * theta["t"]), 0.0))
    apart = theta.get("a", 1 + 0 * fall)
    return np.divide([0.995 * apart, apart], fall, out=np.zeros((2, len(fall))), where=fall > 0)


def own_mass(form: Form, theta: dict[str, Float], deadline: Float) -> Float:
    """Mass of a closed form without guesses: dense panels where it starts, and late ones that double.

    Ballistic accumulators whose drifts are next to 0 take for ever.
    """
    ladder = np.geomspace(1e-6, 1e7, 70)[:, None]
    t = theta["t"]
    edges = np.vstack([np.zeros_like(t), t, t + ladder, t + meeting(theta)])
    rt, weight = gauss(np.sort(np.minimum(edges, deadline), axis=0), 12)
    arguments = theta | ({"deadline": deadline} if form.ends else {})
    total = np.zeros_like(t)
    for code in form.responses:
        total += (np.exp(log_density(form, arguments, rows(rt, code))) * weight).sum(axis=0)
    if form.silent:
        total += np.exp(log_density(form, arguments, rows(np.full((1, len(t)), INF), 0.0)))[0]
    return total


@pytest.mark.parametrize(
    ("name", "n_sets"),
    [("GoNoGoDDM-exact", 50), ("DDM-exact, omissions", 50)]
    + [
        pytest.param(name, N_SETS, marks=pytest.mark.slow) for name, form in FORMS.items() if form.likelihood == "exact"
    ],
)
def test_closed_forms_integrate_to_one(name: str, n_sets: int) -> None:
    form, rng = FORMS[name], np.random.default_rng(14)
    theta = in_box(form, rng, n_sets)
    deadline = guesses(form, theta, rng).get("deadline", np.full(n_sets, INF))
    error = np.abs(own_mass(form, theta, deadline) - 1)[~may_never_decide(theta) & ~decides_at_once(theta)]
    print(f"mass {name}: {error.max():.2g}")
    assert error.max() < BAR
