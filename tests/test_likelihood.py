"""Outside the range: wherever a sampler can go, log likelihoods are finite and their gradients lead it back."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from backends import AS_WRITTEN

import pymc_lan as pl
from pymc_lan.models.likelihood import mix_lapses

INF = np.inf
SPEC = pl.get_model("ddm")
PARAMETERS = (*SPEC.names, "p_lapse")
POINT = {"v": 0.8, "a": 1.1, "z": 0.45, "t": 0.3, "p_lapse": 0.02}
LIKELIHOODS = ("lan", "exact")

# Trials by distribution: late and early, both outcomes; no response for go/no-go.
TRIALS = {
    pl.DDM: [[0.5, 1.0], [0.9, -1.0], [2.5, 1.0]],
    pl.GoNoGoDDM: [[0.5, 1.0], [1.2, 1.0], [INF, 0.0]],
}
SETTINGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "DDM": (pl.DDM, {}),
    "DDM, lapses": (pl.DDM, {"lapse_window": 3.0}),
    "GoNoGoDDM": (pl.GoNoGoDDM, {}),
    "GoNoGoDDM, deadline, lapses": (pl.GoNoGoDDM, {"deadline": 1.5, "lapse_window": 1.5}),
}
# The networks in every setting; the closed form, whose graphs take longer, where everything is in it.
settings = pytest.mark.parametrize(
    ("cls", "kwargs", "likelihood"),
    [
        pytest.param(*setting, likelihood, id=f"{likelihood}-{name}", marks=pytest.mark.table if is_more else ())
        for name, setting in SETTINGS.items()
        for likelihood in LIKELIHOODS
        for is_more in [likelihood == "exact" and name != [*SETTINGS][-1]]
    ],
)
both_likelihoods = pytest.mark.parametrize("likelihood", LIKELIHOODS)


@cache
def compiled(cls: Any, likelihood: str, **kwargs: Any) -> Any:
    """From trials (n, 2) and a point to the log densities (n,) and their derivatives by name, (n,) each."""
    x = pt.matrix("x", dtype="float64")
    theta = {name: pt.vector(name, dtype="float64") for name in PARAMETERS}
    symbolic = {name: pt.vector(name, dtype="float64") for name in ("deadline",) if cls is pl.GoNoGoDDM}
    fixed = {"deadline": INF, **kwargs}
    used = [name for name in PARAMETERS if name != "p_lapse" or "lapse_window" in kwargs]
    options = {name: value for name, value in kwargs.items() if name != "deadline"} | symbolic
    trials = cls.dist(**{name: theta[name] for name in used}, **options, likelihood=likelihood)
    logp = pm.logp(trials, x)
    # A trial's own derivative: no trial depends on another's parameters.
    slopes = pt.grad(logp.sum(), [theta[name] for name in used])
    inputs = [x, *(theta[name] for name in used), *symbolic.values()]
    function = pytensor.function(inputs, [logp, *slopes], mode=AS_WRITTEN)

    def call(values: Any, point: dict[str, Any]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        n = len(values)
        given = [np.broadcast_to(np.asarray(point[name], float), n) for name in used]
        ends = [np.broadcast_to(np.asarray(point.get(name, fixed[name]), float), n) for name in symbolic]
        value, *gradient = function(np.asarray(values, float), *given, *ends)
        return value, dict(zip(used, gradient, strict=True))

    return call


@pytest.mark.parametrize("response", [1.0, -1.0])
@both_likelihoods
def test_a_response_before_t_is_led_back_to_a_smaller_t(likelihood, response):
    """Beyond the onset the log density falls in a straight line, from just before it on."""
    logp = compiled(pl.DDM, likelihood)
    t = 0.4 + np.geomspace(1e-9, 1.5, 40)
    value, gradient = logp(np.tile([0.4, response], (t.size, 1)), {**POINT, "t": t})
    assert np.isfinite(value).all()
    assert (gradient["t"] < -1).all()
    assert (np.diff(value) < 0).all()
    inside = logp([[0.4, response]], {**POINT, "t": 0.3})[0]
    assert (value < inside).all()
    line = np.polyval(np.polyfit(t, value, 1), t)
    np.testing.assert_allclose(value, line, rtol=1e-6)


@pytest.mark.parametrize("response", [1.0, -1.0])
@both_likelihoods
def test_the_way_out_of_the_range_is_continuous(likelihood, response):
    """Over the onset, value and slope in t change by no more than a fine step explains."""
    logp = compiled(pl.DDM, likelihood)
    d = np.linspace(-1e-4, 3e-3, 4001)
    value, gradient = logp(np.tile([0.4, response], (d.size, 1)), {**POINT, "t": 0.4 - d})
    step = np.abs(np.diff(value))
    assert step.max() < 1.2 * np.abs(gradient["t"]).max() * (d[1] - d[0])
    assert (gradient["t"] < 0).all()


def test_presses_before_t_are_guesses_where_there_are_lapses():
    """With lapses the gradient with respect to t vanishes there, and p_lapse is pulled up."""
    logp = compiled(pl.GoNoGoDDM, "lan", deadline=1.5, lapse_window=1.5)
    value, gradient = logp([[0.1, 1.0]], POINT)
    assert value[0] == pytest.approx(np.log(POINT["p_lapse"] / 2 / 1.5), abs=1e-6)
    assert gradient["p_lapse"][0] == pytest.approx(1 / POINT["p_lapse"], rel=1e-6)


def sides(likelihood: str) -> list[tuple[str, float, int, float]]:
    """Parameter, bound, outward direction, trained range."""
    result = []
    for p in SPEC.parameters:
        ends = p.bounds if likelihood == "lan" else p.domain
        width = p.bounds[1] - p.bounds[0]
        result += [(p.name, end, sign, width) for end, sign in zip(ends, (-1, 1), strict=True) if np.isfinite(end)]
    return result


# Trials that no parameter's bound contradicts: t up to 2 s and beyond.
LATE = {pl.DDM: [[2.6, 1.0], [4.0, -1.0]], pl.GoNoGoDDM: [[2.6, 1.0], [INF, 0.0]]}


@settings
def test_beyond_a_bound_the_gradient_points_inside(cls, kwargs, likelihood):
    if "lapse_window" in kwargs:
        kwargs = {**kwargs, "lapse_window": 6.0} | ({"deadline": 6.0} if "deadline" in kwargs else {})
    logp = compiled(cls, likelihood, **kwargs)
    # Also where a guess is the likelier explanation, whose density no parameter changes.
    distances = np.array([0.001, 0.01, 0.1, 1.0, 10.0])
    for (name, bound, outward, width), trial in itertools.product(sides(likelihood), LATE[cls]):
        x = bound + outward * distances * width
        value, gradient = logp([trial] * x.size, {**POINT, name: x})
        label = f"{name} beyond {bound}, trial {trial}"
        assert np.isfinite(value).all(), label
        assert (np.diff(value) < 0).all(), label
        assert (gradient[name] * outward < 0).all(), label
        assert all(np.isfinite(slope).all() for slope in gradient.values()), label


@settings
def test_nothing_is_nan_at_the_extremes(cls, kwargs, likelihood):
    """Corners of the bounds, times from 1 ms to 20 s, deadlines before t and none, lapses from none to all."""
    logp = compiled(cls, likelihood, **kwargs)
    small = 1e-12
    corners = {
        "v": [-3.0, 0.0, 1e-9, 3.0],
        "a": [0.3, 1.0, 2.5],
        "z": [0.0, 1e-9, 0.5, 1 - 1e-9, 1.0] if likelihood == "lan" else [1e-9, 0.5, 1 - 1e-9],
        "t": [0.0, 2.0],
        "p_lapse": [small, 0.5, 1 - small] if "lapse_window" in kwargs else [0.0],
        "deadline": [0.01, 1.5, 25.0, INF] if cls is pl.GoNoGoDDM else [INF],
    }
    grid = dict(zip(corners, (x.ravel() for x in np.meshgrid(*corners.values())), strict=True))
    outcomes = [0.001, 0.3, 3.0, 20.0]
    rows = [[rt, 1.0] for rt in outcomes] + ([[INF, 0.0]] if cls is pl.GoNoGoDDM else [[rt, -1.0] for rt in outcomes])
    for row in rows:
        value, gradient = logp([row] * grid["v"].size, grid)
        impossible = (row[0] < INF) & (row[0] > grid["deadline"])
        assert np.isfinite(value[~impossible]).all(), row
        assert (value[impossible] == -INF).all(), row
        for name, slope in gradient.items():
            assert np.isfinite(slope).all(), f"{name}: {row}"


LOGS = (-1e6, -700.0, -3.0, 1.0, -INF)


@pytest.mark.parametrize("space", ["numpy", "pytensor", "jax"])
def test_a_mixture_with_guesses_is_finite_at_its_ends(space):
    """No guesses, or nothing else: the other part has no share, and no nan comes of a log of 0, or of -inf twice."""
    grid = (x.ravel() for x in np.meshgrid(LOGS, [0.0, 1e-310, 1e-9, 0.3, 1 - 1e-16, 1.0], LOGS))
    log_p, p, guess = grid
    with np.errstate(divide="ignore"):
        terms = np.log1p(-p) + log_p, np.where(p < 1e-300, -INF, np.log(p) + guess)
        expected = np.logaddexp(*terms)
    share = np.exp(terms[0] - np.where(expected == -INF, 0.0, expected))
    if space == "numpy":
        with np.errstate(all="raise", under="ignore"):
            np.testing.assert_allclose(mix_lapses(np, log_p, p, guess), expected, rtol=1e-14)
        return
    seen = np.isfinite(expected)
    if space == "pytensor":
        args = [pt.vector(dtype="float64") for _ in range(3)]
        value = mix_lapses(pt, *args)
        outputs = [value, *pt.grad(pt.where(pt.isinf(value), 0.0, value).sum(), args[:2])]
        found, by_log_p, by_p = pytensor.function(args, outputs, mode=AS_WRITTEN)(log_p, p, guess)
    else:
        with jax.enable_x64(True):
            found = mix_lapses(jnp, *map(jnp.asarray, (log_p, p, guess)))
            by_log_p, by_p = jax.grad(lambda x, y: mix_lapses(jnp, x, y, guess)[seen].sum(), (0, 1))(log_p, p)
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    assert np.isfinite(by_log_p).all()
    assert np.isfinite(by_p).all()
    np.testing.assert_allclose(np.asarray(by_log_p)[seen], share[seen], rtol=1e-9, atol=1e-300)


def test_impossible_rows_have_density_zero():
    """What cannot be has log density -inf, not the density of something else."""
    two, go = compiled(pl.DDM, "lan"), compiled(pl.GoNoGoDDM, "lan", deadline=1.0)
    assert two([[INF, 0.0], [0.6, 0.0], [0.6, 2.0]], POINT)[0].tolist() == [-INF] * 3
    assert go([[1.2, 1.0]], POINT)[0].tolist() == [-INF]


OUTSIDE = {"v": (-6.1, 6.1), "a": (0.2, 4.1), "z": (-0.1, 1.1), "t": (-0.1, 2.1)}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in OUTSIDE.items() for value in values])
@pytest.mark.parametrize("per_trial", [False, True])
def test_constants_outside_the_bounds_are_refused(name, value, per_trial):
    inside = {k: POINT[k] for k in SPEC.names}
    constant = np.array([inside[name], value]) if per_trial else value
    low, high = SPEC.parameter(name).bounds
    with pytest.raises(ValueError, match=rf"{name} within .*bounds, {low:g} to {high:g}.*{value}"):
        pl.DDM.dist(**{**inside, name: constant})


@pytest.mark.parametrize(("name", "value"), [("a", -0.5), ("z", 1.2)])
def test_the_closed_form_refuses_constants_outside_its_domain_only(name, value):
    inside = {k: POINT[k] for k in SPEC.names}
    with pytest.raises(ValueError, match=rf"{name} within the model's domain.*{value}"):
        pl.DDM.dist(**{**inside, name: value}, likelihood="exact")
    pl.DDM.dist(**{**inside, "v": 5.0, "a": 4.0}, likelihood="exact")
