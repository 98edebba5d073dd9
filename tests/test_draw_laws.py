"""Draws follow the log density: every distribution in every form, guesses, deadlines and no responses among them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pymc as pm
import pytest
from forms import FORMS, INF, Float, Form, guesses, in_box, is_simulated
from scipy.stats import chisquare, gamma
from tables import one_of_a_kind
from test_mass import gauss, log_density, rows
from toy_simulators import SHAPE

# Trials of each set of parameters; networks that learned from simulated trials have more to be forgiven.
N_DRAWS, N_SIMULATED, N_SETS = 50_000, 5_000, 3
# Seconds after the onset up to which times are told apart; what comes later is one bin.
LATEST = 100.0
# How far from the ends of their bounds parameters are, as a share: networks are worst in corners.
MARGIN = 0.1
LEAST, BAR = 20.0, 1e-4


@cache
def sets(form: Form, seed: int = 31) -> tuple[dict[str, Float], dict[str, Float]]:
    """Parameters, and of guesses whatever may be said."""
    rng = np.random.default_rng(seed)
    theta = in_box(form, rng, N_SETS)
    for p in form.spec.parameters:
        inside = MARGIN * (p.bounds[1] - p.bounds[0])
        theta[p.name] = np.clip(theta[p.name], p.bounds[0] + inside, p.bounds[1] - inside)
    extras = guesses(form, theta, rng) | {"p_lapse": np.array([0.0, 0.1, 0.4])}
    if form.go_nogo:
        extras["lapse_go"] = np.array([0.5, 0.7, 0.3])
    if form.ends:
        deadline = theta["t"] + np.array([3.0, 1.0, 0.3])
        extras["lapse_window"] = deadline * [1.0, 2.0, 0.6]
        extras["deadline"] = np.where([form.go_nogo, False, False], INF, deadline)
    return theta, extras


def edges_of(form: Form) -> Float:
    """Edges of panels of rt for each set: dense where the density starts, and at every jump of guesses."""
    theta, extras = sets(form)
    zero = np.zeros(N_SETS)
    t = theta.get("t", zero)
    early = t - theta.get("st", zero)
    deadline = np.minimum(extras.get("deadline", INF), early + LATEST)
    corners = [zero, t, 2 * t - early, extras["lapse_window"], deadline, early]
    edges = np.vstack([*corners, early + np.geomspace(2e-3, LATEST, 45)[:, None]])
    return np.sort(np.clip(edges, 0.0, early + LATEST), axis=0)


@cache
def expected_shares(name: str, **moved: float) -> tuple[Float, Float]:
    """Shares of panels by response, and of no response; sets of parameters come last.

    By the closed form where there is one; `moved` is added to parameters.
    """
    form = FORMS[name]
    theta, extras = sets(form)
    theta = theta | {key: theta[key] + shift for key, shift in moved.items()}
    edges = edges_of(form)
    if form.network == "omissions":
        return given_up_shares(theta, extras, edges)
    own = FORMS.get(FAMILIAR.get(form.network) or name.replace("-lan", "-exact"), form)
    if form.network == "opn":
        extras = {key: x for key, x in extras.items() if key != "deadline"}
    rt, weight = gauss(edges, 10)
    parts = [np.exp(log_density(own, theta | extras, rows(rt, code))) * weight for code in form.responses]
    shares = np.stack([part.reshape(len(edges) - 1, -1, N_SETS).sum(axis=1) for part in parts], axis=1)
    if form.network == "opn":
        # Seen up to the deadline: the rest of what the closed form knows is an omission.
        late = edges[:-1] >= sets(form)[1]["deadline"]
        shares = np.where(late[:, None], 0.0, shares)
        return shares, 1 - shares.sum(axis=(0, 1))
    missing = rows(np.full((1, N_SETS), INF), 0.0)
    return shares, np.exp(log_density(own, theta | extras, missing))[0] if form.silent else np.zeros(N_SETS)


# Imported networks are random here, but draws are the model's: by the closed form that says what they are.
FAMILIAR = {"cpn": "GoNoGoDDM-exact", "opn": "DDM-exact"}


def given_up_shares(theta: dict[str, Float], extras: dict[str, Float], edges: Float) -> tuple[Float, Float]:
    """Of the simulator that gives trials up, whose networks are random here: a gamma distribution."""
    p, given_up = extras["p_lapse"], 1 / (1 + theta["limit"])
    own = gamma.cdf(edges - 0.2, SHAPE, scale=1 / theta["rate"])
    guess = np.minimum(edges / extras["lapse_window"], 1.0)
    return np.diff((1 - p) * (1 - given_up) * own + p * guess, axis=0)[:, None], (1 - p) * given_up


def joined(found: Float, expected: Float, least: float = LEAST) -> tuple[Float, Float]:
    """Join neighbouring bins until each is expected to hold `least`; scaled to the same total."""
    groups = np.floor(np.cumsum(expected) / least).astype(int)
    groups = np.minimum(groups, max(groups.max() - 1, 0))
    f, e = np.bincount(groups, found), np.bincount(groups, expected)
    f, e = f[e > 0], e[e > 0]
    return f, e * f.sum() / e.sum()


def p_values(name: str, mode: str, **moved: float) -> list[float]:
    """One for each set of parameters: chi-square over panels of rt, responses and no response.

    `moved` is added to parameters of the density, not of the draws.
    """
    form = FORMS[name]
    theta, extras = sets(form)
    n = N_SIMULATED if is_simulated(form) else N_DRAWS
    draws = pm.draw(form.dist(theta | extras, shape=(n, N_SETS, 2)), random_seed=11, mode=mode)
    assert draws.shape == (n, N_SETS, 2)
    edges, (shares, none) = edges_of(form), expected_shares(name, **moved)
    return [p_value(form, draws[:, k], edges[:, k], shares[..., k], none[k]) for k in range(N_SETS)]


def p_value(form: Form, draws: Float, edges: Float, shares: Float, none: float) -> float:
    (rt, response), n = draws.T, len(draws)
    silent = np.isinf(rt)
    assert (response[silent] == 0).all()
    found, expected = [silent.sum()], [none * n]
    for code, share in zip(form.responses, shares.T, strict=True):
        found += [*np.histogram(rt[(response == code) & ~silent], edges)[0]]
        expected += [*share * n]
    # What is later than the last panel: next to nothing, but for ballistic accumulators.
    found.append((~silent & (rt > edges[-1])).sum())
    expected.append(max(n - sum(expected), 0.0) if form.spec.views is None else 0.0)
    assert sum(found) == n
    bins = joined(np.array(found, float), np.array(expected))
    return float(chisquare(*bins).pvalue) if len(bins[0]) > 1 else 1.0


# One of a kind, and every way to draw: numba draws the model of constant drift only, and calls the other for the rest.
TYPICAL = {
    ("GoNoGoDDM-lan", "NUMBA"),
    ("DDM-exact", "NUMBA"),
    ("GoNoGoDDM-exact", "FAST_COMPILE"),
    ("GoNoGoAngle-lan", "NUMBA"),
    ("LBA3-exact, omissions", "FAST_COMPILE"),
    ("Ornstein-lan", "FAST_COMPILE"),
    ("LANDist, imported OPN", "FAST_COMPILE"),
    ("LANDist, simulator with omissions", "FAST_COMPILE"),
}


# Every form by the sampler that knows them all, and by numba's where it has one.
WAYS = [
    (name, mode)
    for name, form in FORMS.items()
    for mode in ("FAST_COMPILE", "NUMBA")
    if mode == "FAST_COMPILE" or form.spec.name in ("ddm", "ddm_extended") or (name, mode) in TYPICAL
]


@pytest.mark.parametrize("way", one_of_a_kind(WAYS, *TYPICAL), ids=" ".join)
def test_draws_follow_the_log_density(way: tuple[str, str]) -> None:
    name, mode = way
    p = p_values(name, mode)
    print(f"draws {name} {mode}: {min(p):.2g}")
    assert min(p) > BAR


@pytest.mark.parametrize("moved", [{"t": 0.02}, {"v": 0.15}])
def test_the_test_of_draws_has_power(moved: dict[str, float]) -> None:
    """A non-decision time 20 ms longer, or a drift 0.15 stronger, does not pass."""
    assert max(p_values("DDM-exact", "FAST_COMPILE", **moved)) < BAR
