"""Draws go on until they are decided: against closed forms of what is left after any time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pymc as pm
import pytest
from functions import by_functions
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import hyp1f1
from scipy.stats import chisquare, kstest

import pymc_lan as pl
from pymc_lan.data.observation import PressOrNot
from pymc_lan.models.diffusion import path_draws as passages
from pymc_lan.models.diffusion.path_draws import draw_passages
from pymc_lan.models.simulate import draw_trials
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.numerics.samplers.exits import draw_exits
from pymc_lan.numerics.samplers.processes import lca_draws
from pymc_lan.numerics.samplers.reflected import draw_reflected
from pymc_lan.numerics.wiener import ddm_log_choice, ddm_log_go

P_VALUE, Z_SCORE = 1e-4, 4.0
HELD = {"v": 0.0, "a": 3.0, "z": 0.5, "g": 1.0}


def slowest_rate(v: float, a: float, g: float) -> float:
    """At which a leaky process that has been held for long leaves (-a, a): the least k with a solution that is 0 there.

    Solutions of f'' / 2 + (v - g x) f' = -k f are Kummer's functions of the distance from v / g.
    """
    y = np.array([-a, a]) - v / g

    def at_ends(k: float) -> float:
        even = hyp1f1(-k / (2 * g), 0.5, g * y * y)
        odd = y * hyp1f1(0.5 - k / (2 * g), 1.5, g * y * y)
        return float(even[0] * odd[1] - even[1] * odd[0])

    rates = np.geomspace(1e-8, 5, 2000)
    signs = np.sign([at_ends(k) for k in rates])
    first = np.flatnonzero(signs[1:] != signs[:-1])[0]
    return float(brentq(at_ends, rates[first], rates[first + 1], xtol=1e-14))


def exponential_bins(waits: np.ndarray, rate: float, bins: int = 50) -> float:
    """The p-value of waits that should be exponential, in bins of equal probability."""
    edges = -np.log1p(-np.arange(bins) / bins) / rate
    return float(chisquare(np.histogram(waits, [*edges, np.inf])[0]).pvalue)


@pytest.mark.parametrize(("v", "a", "g"), [(0.0, 3.0, 1.0), (0.5, 3.0, 1.0), (0.0, 3.0, 0.2), (-1.0, 2.0, 0.5)])
def test_what_is_held_leaves_at_the_slowest_rate(v: float, a: float, g: float) -> None:
    time, side = draw_exits(np.random.default_rng(1), lambda x: v - g * x, a, np.full(50_000, 0.2))
    wait, rate = 6.0, slowest_rate(v, a, g)  # by then every other rate has passed
    assert exponential_bins(time[time > wait] - wait, rate) > P_VALUE
    assert exponential_bins(time[time > wait] - wait, 1.2 * rate) < P_VALUE

    def scale(y: float) -> float:
        return math.exp(g * y * y - 2 * v * y)

    p = quad(scale, -a, 0.2)[0] / quad(scale, -a, a)[0]
    assert abs((side > 0).mean() - p) < Z_SCORE * math.sqrt(p * (1 - p) / side.size)


@pytest.mark.parametrize(("v", "z"), [(0.0, 0.5), (0.7, 0.3), (2.0, 0.2)])
def test_a_constant_drift_leaves_as_the_closed_form_says(v: float, z: float) -> None:
    a = 1.5
    time, side = draw_exits(np.random.default_rng(2), lambda x: v + 0 * x, a, np.full(30_000, a * (2 * z - 1)))
    for code, drift, start in ((1, v, z), (-1, -v, 1 - z)):
        log_p = ddm_log_go(NUMPY, time[side == code], drift, a, start)[0] - ddm_log_choice(NUMPY, drift, a, start)[0]
        assert kstest(np.exp(log_p), "uniform").pvalue > P_VALUE


def test_times_beyond_any_clock_are_drawn_and_never_is_said() -> None:
    time, _ = draw_exits(np.random.default_rng(3), lambda x: -x, 8.0, np.zeros(4000))
    # The mean time of leaving, by the speed measure: far from the middle only exp(64) counts.
    mean = 2 * quad(lambda y: math.exp(y * y - 64), 0, 8)[0] * math.exp(64) * math.sqrt(math.pi) / 2
    assert time.mean() == pytest.approx(mean, rel=Z_SCORE / math.sqrt(time.size))
    assert np.isinf(draw_exits(np.random.default_rng(3), lambda x: -x, 30.0, np.zeros(5))[0]).all()


def test_draws_of_a_leaky_process_go_on_after_20_s() -> None:
    with jax.enable_x64(True):  # as it is once PyMC's JAX samplers are imported; other tests have single precision
        df = pl.simulate("ornstein", HELD | {"t": 0.25}, n=6000, seed=1)
    rt, response = df["rt"].to_numpy(), df["response"].to_numpy()
    assert np.isfinite(rt).all()
    assert set(response) == {-1, 1}
    late = rt > 20.25
    rate = slowest_rate(0.0, 3.0, 1.0)
    share = math.exp(-20 * rate)
    assert abs(late.mean() - share) < Z_SCORE * math.sqrt(share * (1 - share) / rt.size)
    assert exponential_bins(rt[late] - 20.25, rate) > P_VALUE
    assert abs((response > 0).mean() - 0.5) < Z_SCORE * 0.5 / math.sqrt(rt.size)
    theta = {name: np.full(rt.size, x) for name, x in (HELD | {"t": 0.25}).items()}
    found = pl.load_network("ornstein").logpdf(rt, response, **theta)
    assert np.isfinite(found).all()


def steady(t: Any, x: Any, row: Any) -> Any:
    return row["v"] + 0.0 * t


def straight(t: Any, row: Any) -> Any:
    return row["a"] + 0.0 * t


def leaky(t: Any, x: Any, row: Any) -> Any:
    return -row["g"] * x + 0.0 * t


STEADY = pl.ModelSpec("steady", pl.get_model("ddm").parameters, steady, straight, "", "")


def test_blocks_of_longer_steps_draw_what_one_block_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handed over after 0.64 s, 1.28 s and so on, at steps of 0.01 s, 0.02 s, ...; exact for a constant drift."""
    monkeypatch.setattr(passages, "FIRST", 0.64)
    n, v, a, z = 30_000, 0.4, 1.2, 0.4
    theta = {"v": np.full(n, v), "a": np.full(n, a), "z": np.full(n, z), "t": np.zeros(n)}
    time, response = draw_passages(STEADY, np.random.default_rng(1), theta)
    assert (time > 5.12).sum() > 100
    for code, drift, start in ((1, v, z), (-1, -v, 1 - z)):
        seen = time[response == code]
        log_p = ddm_log_go(NUMPY, seen, drift, a, start)[0] - ddm_log_choice(NUMPY, drift, a, start)[0]
        assert kstest(np.exp(log_p), "uniform").pvalue > P_VALUE
        p = math.exp(ddm_log_choice(NUMPY, drift, a, start)[0])
        assert abs(seen.size - n * p) < Z_SCORE * math.sqrt(n * p * (1 - p))


def test_a_drift_that_holds_for_ever_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passages, "FEWER_DOUBLINGS", 1)
    spec = by_functions("ornstein", name="held", drift=leaky)
    theta = HELD | {"g": 4.0, "t": 0.2}
    with pytest.raises(ValueError, match=r"trials of 'held' that are decided at some time\. Found .* in 3 of 3 rows"):
        pl.simulate(spec, theta, n=3, seed=1)
    values = {name: np.full(3, x) for name, x in theta.items()} | {"p_lapse": np.zeros(3), "deadline": np.full(3, 9.0)}
    # Not to press is an outcome.
    found = draw_trials(spec, np.random.default_rng(1), values, PressOrNot())
    np.testing.assert_array_equal(found, [[np.inf, 0.0]] * 3)


def test_boundaries_that_run_away() -> None:
    """abs(W) never reaches a + c t with probability sum (-1)^k exp(-2 a c k^2) (Doob 1949)."""
    n, a, angle = 20_000, 3.0, -0.1
    theta = {"v": 0.0, "a": a, "z": 0.5, "t": 0.3, "theta": angle}
    k = np.arange(-30, 31)
    never = float(np.sum((-1.0) ** k * np.exp(-2 * a * math.tan(-angle) * k**2)))
    assert 0.05 < never < 0.5
    pressed = pm.draw(pl.GoNoGoAngle.dist(**theta, shape=(n, 2)), random_seed=1)
    p = (1 - never) / 2
    assert abs((pressed[:, 1] == 1).mean() - p) < Z_SCORE * math.sqrt(p * (1 - p) / n)
    none = pressed[pressed[:, 1] != 1]
    np.testing.assert_array_equal(none, np.broadcast_to([np.inf, 0.0], none.shape))
    # Where no outcome stands for never, such trials are drawn again.
    both = pm.draw(pl.Angle.dist(**theta, shape=(n, 2)), random_seed=1)
    assert np.isfinite(both).all()
    assert set(both[:, 1]) == {-1.0, 1.0}


def near(x: float) -> Any:
    """A value that is not known before it is drawn."""
    return pm.Normal.dist(x, 1e-9)


OUTSIDE: dict[str, tuple[Callable[[], Any], str]] = {
    "a start beyond the boundary": (
        lambda: pl.DDM.dist(1.0, 1.0, near(1.2), 0.3, shape=(9, 2)),
        r"a finite z from 0 to 1, .*'ddm'.* Remedy: give z a prior that ends there",
    ),
    "a boundary below 0": (
        lambda: pl.Ornstein.dist(1.0, near(-1.0), 0.5, 0.5, 0.3, shape=(9, 2)),
        r"a finite a from 0 to inf.*'ornstein'\. Found another one in 9 of 9 rows: row 0 \(a = -1\.",
    ),
    "racing diffusions that never arrive": (
        lambda: pl.RDM3.dist(0.5, 1.0, near(-1.0), 1.0, 1.0, 0.3, shape=(9, 2)),
        "a finite v0 from 0 to inf",
    ),
    "jumps that have no distribution": (
        lambda: pl.Levy.dist(0.0, 1.0, 0.5, near(2.5), 0.3, shape=(9, 2)),
        "a finite alpha from 0 to 2",
    ),
    "a threshold below the start": (
        lambda: pl.LBA3.dist(near(1.5), 1.0, 0.5, 0.5, 0.5, 0.3, shape=(9, 2)),
        r"b of 'lba3' to be at least A\. Found less in 9 of 9 rows: row 0 \(A = 1\.4999",
    ),
    "times before 0": (
        lambda: pl.Angle.dist(1.0, 1.0, 0.5, near(-9.0), 0.1, shape=(9, 2)),
        r"an rt of 0 or more of 'angle'\. Found a negative one",
    ),
}


@pytest.mark.parametrize(("build", "message"), OUTSIDE.values(), ids=OUTSIDE.keys())
def test_draws_outside_the_model_are_refused(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pm.draw(build(), random_seed=1)


def test_accumulators_that_are_held_are_refused() -> None:
    with pytest.raises(ValueError, match="accumulators of which one gets to its threshold within 1e\\+06 s"):
        lca_draws(np.random.default_rng(1), np.array([[0.0, 0.0, 12.0, 0.0, 0.0, 1.0, 0.5]]), 1.0)


def test_who_has_lost_a_race_need_not_finish() -> None:
    n = 200
    shared = {"a": np.full(n, 3.0), "z": np.zeros(n)}
    racers = [shared | {"v": np.full(n, v)} for v in (1.0, -1.5)]
    times = draw_reflected(np.random.default_rng(1), racers)
    assert np.isfinite(times[0]).all()
    assert np.isinf(times[1]).mean() > 0.9  # alone it would take minutes, but finish
    assert np.isfinite(draw_reflected(np.random.default_rng(1), racers[:1])).all()
