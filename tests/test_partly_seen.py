"""Trials of which something is not seen: lost times and responses, times within intervals, limits, choices alone.

What is expected of two boundaries comes from the series of `oracle`, of races from distributions of SciPy.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import oracle
import pandas as pd
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from backends import AS_WRITTEN, EVERY_MODE
from scipy import stats
from tables import some_of_a_kind

import pymc_lan as pl
from pymc_lan.models.likelihood import Likelihood
from pymc_lan.numerics.mass import Panel, log_integral
from pymc_lan.numerics.passage import NUMPY

INF, NAN = np.inf, np.nan
P = {"v": 0.8, "a": 1.1, "z": 0.4, "t": 0.3}
T = 1.0


def upper_by(end: float, code: float, theta: Mapping[str, float] = P) -> float:
    """Probability of a response by a time, by the oracle's series."""
    v, z = (theta["v"], theta["z"]) if code > 0 else (-theta["v"], 1 - theta["z"])
    return oracle.upper_by(end - theta["t"], v, theta["a"], z)


def density(rt: float, code: float, theta: Mapping[str, float] = P) -> float:
    return oracle.density(rt - theta["t"], code > 0, theta["v"], theta["a"], theta["z"])


def between(low: float, high: float, code: float, theta: Mapping[str, float] = P) -> float:
    return upper_by(high, code, theta) - upper_by(low, code, theta)


def none_by(end: float) -> float:
    return 1 - upper_by(end, 1) - upper_by(end, -1)


def seen(dist: Any, rows: Any, mode: str = AS_WRITTEN) -> Any:
    return np.exp(pm.logp(dist, np.array(rows, float)).eval(mode=mode))


BOTH = (-1.0, 1.0)
RECORDED = sum(between(0.5, T, code) for code in BOTH) + none_by(T)
# Arguments, a row, and its density or probability.
CASES: dict[str, tuple[dict[str, Any], list[float], float]] = {
    "time lost": ({"missing": "lost"}, [-1, 1], upper_by(INF, 1)),
    "time lost, below": ({"missing": "lost"}, [-1, -1], upper_by(INF, -1)),
    "time lost, in time": ({"missing": "lost", "deadline": T}, [-1, -1], upper_by(T, -1)),
    "time lost, and an omission": ({"missing": "lost", "deadline": T}, [INF, 0], none_by(T)),
    "response lost": ({"missing": "lost"}, [0.62, 0], density(0.62, 1) + density(0.62, -1)),
    "nothing lost": ({"missing": "lost"}, [0.62, -1], density(0.62, -1)),
    "to 50 ms": ({"rt_interval": 0.05}, [0.6, 1], between(0.575, 0.625, 1)),
    "over the onset": ({"rt_interval": 0.4}, [0.35, 1], between(0.15, 0.55, 1)),
    "wide": ({"rt_interval": 1.8}, [1.2, -1], between(0.3, 2.1, -1)),
    "to 50 ms, at the deadline": ({"rt_interval": 0.05, "deadline": T}, [0.99, 1], between(0.965, T, 1)),
    "to 50 ms, response lost": (
        {"rt_interval": 0.05, "missing": "lost"}, [0.6, 0], sum(between(0.575, 0.625, code) for code in BOTH),
    ),
    "recorded": ({"truncation": (0.5, 1.5)}, [0.62, 1], density(0.62, 1) / sum(between(0.5, 1.5, c) for c in BOTH)),
    "from a time on": ({"truncation": (0.5, None)}, [0.62, 1], density(0.62, 1) / none_by(0.5)),
    "recorded, in time": ({"truncation": (0.5, None), "deadline": T}, [0.62, 1], density(0.62, 1) / RECORDED),
    "recorded omission": ({"truncation": (0.5, 2.0), "deadline": T}, [INF, 0], none_by(T) / RECORDED),
    "recorded, time lost": (
        {"truncation": (0.5, None), "deadline": T, "missing": "lost"}, [-1, 1], between(0.5, T, 1) / RECORDED,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_seen_has_its_probability(case: str) -> None:
    """By the closed form to seven digits, by the network as well as it is."""
    arguments, row, expected = CASES[case]
    for likelihood, bar in (("exact", 2e-6), ("lan", 2e-4)):
        found = seen(pl.DDM.dist(**P, **arguments, likelihood=likelihood, shape=(1, 2)), [row])
        assert found == pytest.approx(expected, rel=bar)


def press(low: float, high: float) -> float:
    return between(low, high, 1)


NO_PRESS = 1 - upper_by(T, 1)
KEPT = press(0.5, T) + NO_PRESS
PRESSES: dict[str, tuple[dict[str, Any], list[float], float]] = {
    "time lost": ({"missing": "lost"}, [-1, 1], press(0, T)),
    "no press": ({"missing": "lost"}, [INF, 0], NO_PRESS),
    "to 50 ms": ({"rt_interval": 0.05}, [0.6, 1], press(0.575, 0.625)),
    "no press beside intervals": ({"rt_interval": 0.05}, [INF, 0], NO_PRESS),
    "recorded": ({"truncation": (0.5, None)}, [0.62, 1], density(0.62, 1) / KEPT),
    "recorded, no press": ({"truncation": (0.5, None)}, [INF, 0], NO_PRESS / KEPT),
    "recorded, time lost": ({"truncation": (0.5, None), "missing": "lost"}, [-1, 1], press(0.5, T) / KEPT),
}


FIRST = ("time lost", "to 50 ms", "recorded, time lost")


@pytest.mark.parametrize("case", [x if x in FIRST else pytest.param(x, marks=pytest.mark.table) for x in PRESSES])
def test_what_is_seen_of_presses(case: str) -> None:
    """Without guesses and with them: pressed in three of four, at times uniform on 2 s."""
    arguments, row, own = PRESSES[case]
    p, go, window = 0.2, 0.75, 2.0
    for likelihood, bar in (("exact", 2e-6), ("lan", 3e-4)):
        dist = pl.GoNoGo.dist("ddm", **P, **arguments, trial_type=None, deadline=T, likelihood=likelihood, shape=(1, 2))
        assert seen(dist, [row]) == pytest.approx(own, rel=bar)
    low = arguments.get("truncation", (0.0, None))[0]
    scale, kept = (KEPT, go * (T - low) / window + 1 - go * T / window) if low else (1.0, 1.0)
    guess = {INF: 1 - go * T / window, -1: go * (T - low) / window, 0.6: go * 0.05 / window, 0.62: go / window}[row[0]]
    expected = ((1 - p) * own * scale + p * guess) / ((1 - p) * scale + p * kept)
    shared = {"p_lapse": p, "lapse_go": go, "lapse_window": window, "likelihood": "exact", "shape": (1, 2)}
    dist = pl.GoNoGo.dist("ddm", **P, **arguments, trial_type=None, deadline=T, **shared)
    assert seen(dist, [row]) == pytest.approx(expected, rel=1e-5)


def test_tables_of_presses_of_which_something_was_lost() -> None:
    def rows(table: Any, **arguments: Any) -> Any:
        with pm.Model() as model:
            obs = pl.GoNoGo("obs", "ddm", **P, trial_type=None, deadline=2.0, observed=table, **arguments)
        return model.rvs_to_values[obs].data

    table = pd.DataFrame({"rt": [0.62, None, None, None], "response": [1, 1, 0, -1]})
    expected = [[0.62, 1], [-1, 1], [INF, 0], [INF, 0]]
    for data in (table, expected, pl.as_observed(table, go_nogo=True, missing="lost")):
        np.testing.assert_array_equal(rows(data, missing="lost"), expected)
    np.testing.assert_array_equal(rows(pd.DataFrame({"response": [1, 0, None]})), [[-1, 1], [INF, 0], [INF, 0]])
    with pytest.raises(ValueError, match="missing='lost' says that it was lost"):
        rows(table)
    with pm.Model() as model:
        pl.GoNoGo("obs", "ddm", **P, trial_type=None, p_lapse=0.1, observed=pd.DataFrame({"response": [True, False]}))
    share = 0.9 * upper_by(INF, 1) + 0.1 * 0.5
    found = np.exp(model.compile_logp(sum=False, mode=AS_WRITTEN)({})[0])
    np.testing.assert_allclose(found, [share, 1 - share], rtol=3e-4)


def test_guesses_among_choices_alone_need_no_window() -> None:
    with pm.Model() as model:
        pl.DDM("obs", **P, p_lapse=0.1, observed=pd.DataFrame({"response": [1, -1]}))
    found = np.exp(model.compile_logp(sum=False, mode=AS_WRITTEN)({})[0])
    np.testing.assert_allclose(found, [0.9 * upper_by(INF, code) + 0.05 for code in (1, -1)], rtol=3e-4)


@pytest.mark.parametrize("case", CASES)
def test_guesses_are_one_formula(case: str) -> None:
    """With a share of guesses: uniform on 2 s, and as likely to be either response."""
    arguments, row, own = CASES[case]
    (rt, code), p, window = row, 0.2, 2.0
    low, high = arguments.get("truncation", (0.0, None))
    high = min(INF if high is None else high, window, arguments.get("deadline", INF))
    share = (high - low) / window + (1 - T / window if "deadline" in arguments else 0.0)
    width = arguments.get("rt_interval")
    if np.isinf(rt):
        guess = 1 - T / window
    elif rt < 0:
        guess = 0.5 * (high - low) / window
    elif width is not None:
        guess = 0.5 * (min(rt + width / 2, high) - (rt - width / 2)) / window
    else:
        guess = 0.5 / window
    guess *= 2 if code == 0 and np.isfinite(rt) else 1
    mine = sum(between(low, high_of(arguments), c) for c in BOTH) + ("deadline" in arguments) * none_by(T)
    total = (1 - p) * mine + p * share if "truncation" in arguments else 1.0
    expected = ((1 - p) * own * (mine if "truncation" in arguments else 1.0) + p * guess) / total
    dist = pl.DDM.dist(**P, **arguments, p_lapse=p, lapse_window=window, likelihood="exact", shape=(1, 2))
    assert seen(dist, [row]) == pytest.approx(expected, rel=1e-5)


def high_of(arguments: Mapping[str, Any]) -> float:
    high = arguments.get("truncation", (0.0, None))[1]
    return min(INF if high is None else high, arguments.get("deadline", INF))


def test_all_that_may_be_seen_has_mass_one() -> None:
    """Of times on a grid, of choices with and without a deadline, of what is recorded."""
    grid = 0.1 * np.arange(1, 120)
    rows = [[x, code] for x in grid for code in BOTH]
    assert seen(pl.DDM.dist(**P, rt_interval=0.1, shape=(len(rows), 2)), rows).sum() == pytest.approx(1, abs=2e-5)
    late = pl.DDM.dist(**P, rt_interval=0.1, deadline=T, shape=(len(rows) + 1, 2))
    assert seen(late, [*rows, [INF, 0]]).sum() == pytest.approx(1, abs=2e-5)
    choices = [[-1.0, code] for code in range(3)]
    race = pl.LBA3.dist(0.3, 0.5, 0.6, 0.5, 0.2, 0.1, missing="lost", deadline=0.8, shape=(4, 2))
    assert seen(race, [*choices, [INF, 0]]).sum() == pytest.approx(1, abs=1e-6)
    points, weights = np.polynomial.legendre.leggauss(30)
    inside = [[0.7 + 0.2 * x, code] for code in range(3) for x in points]
    kept = pl.LBA3.dist(0.3, 0.5, 0.6, 0.5, 0.2, 0.1, truncation=(0.5, 0.9), shape=(len(inside) + 1, 2))
    found = seen(kept, [*inside, [0.49, 1.0]])
    assert found[:-1] @ np.tile(0.2 * weights, 3) == pytest.approx(1, abs=1e-6)
    assert found[-1] == 0


def test_choices_of_races() -> None:
    """Two log-normal times, of which one is very precise, and two gamma times."""
    for m, s in (((-0.5, 0.1), (0.4, 0.6)), ((-0.5, -0.4), (0.05, 1.5))):
        expected = stats.norm.cdf((m[1] - m[0]) / np.hypot(*s))
        found = seen(pl.LNR.dist(m, s, 0.2, missing="lost", shape=(2, 2)), [[-1, 0], [-1, 1]])
        np.testing.assert_allclose(found, [expected, 1 - expected], rtol=1e-5)
    share = stats.beta.cdf(2 / (2 + 3), 3, 5)  # the third event at rate 2 before the fifth at rate 3
    found = seen(pl.PoissonRace.dist(2.0, 3.0, 3.0, 5.0, 0.2, missing="lost", shape=(2, 2)), [[-1, -1], [-1, 1]])
    np.testing.assert_allclose(found, [share, 1 - share], rtol=1e-6)


def test_quadrature_holds_where_nothing_is() -> None:
    """An interval before the onset leads to it, one after the last panel is found, and an exponential is exact."""
    panels = [Panel(0.0, 0.01, 1.0), Panel(0.0, 1.0, 40.0)]
    assert log_integral(NUMPY, lambda x: -x, panels, 50.0, 51.0) == pytest.approx(np.log(np.exp(-50) - np.exp(-51)))
    early = [
        log_integral(NUMPY, lambda x: -1 / np.maximum(x, 0.01) + x, panels, end - 0.1, end) for end in (-1.0, -0.5)
    ]
    assert early[1] - early[0] == pytest.approx(0.5)
    model = pl.get_model("ddm")
    for low, high in ((0.1, 0.2), (0.29, 0.3000001)):
        x = [Likelihood(model).log_mass(NUMPY, low, high, 1.0, P | {"t": t}) for t in (0.3, 0.299)]
        assert np.isfinite(x).all()
        assert x[1] > x[0]


ROWS = np.array([[0.62, 1.0], [-1.0, 1.0], [0.7, 0.0], [-1.0, -1.0], [INF, 0.0]])


# Graphs differ by whether the data are known and the parameters shared, and backends by how they compile any graph.
CHECKED = {("as written", *case) for case in ((True, False), (False, True), (False, False))}
CHECKED |= {("numba", True, True), ("numba", False, False), ("python", True, True)}
CHECKED |= {("c", True, False), ("jax", False, True)}


@pytest.mark.parametrize(
    ("mode", "known", "shared"),
    some_of_a_kind(product(EVERY_MODE, (True, False), (True, False)), {("as written", True, True)}, CHECKED),
)
def test_values_and_gradients(mode: str, known: bool, shared: bool) -> None:
    """Whether or not the data may be exchanged; derivatives against differences of the oracle."""
    given = {name: pt.dvector(name) for name in P}
    values = {x: np.full(1 if shared else 5, P[name]) for name, x in given.items()}
    each = {name: x[0] if shared else x for name, x in given.items()}
    data: Any = ROWS if known else pt.as_tensor(pytensor.shared(ROWS))
    log_p = pm.logp(pl.DDM.dist(**each, missing="lost", deadline=T, shape=(5, 2)), data)
    outputs = [log_p, *pt.grad(log_p.sum(), [*given.values()])]
    found, *slopes = pytensor.function([*given.values()], outputs, mode=EVERY_MODE[mode])(*values.values())

    def expected(moved: dict[str, float]) -> Any:
        theta = P | moved
        parts = [
            density(0.62, 1, theta),
            upper_by(T, 1, theta),
            density(0.7, 1, theta) + density(0.7, -1, theta),
            upper_by(T, -1, theta),
            1 - upper_by(T, 1, theta) - upper_by(T, -1, theta),
        ]
        return np.log(parts)

    np.testing.assert_allclose(found, expected({}), atol=3e-4)
    for (name, x), slope in zip(P.items(), slopes, strict=True):
        difference = (expected({name: x + 1e-5}) - expected({name: x - 1e-5})).sum() / 2e-5
        assert np.sum(slope) == pytest.approx(difference, abs=5e-3, rel=1e-3)


def observed(table: Any, **arguments: Any) -> Any:
    with pm.Model() as model:
        obs = pl.DDM("obs", 1.0, 1.0, 0.5, 0.3, observed=table, **arguments)
    return model.rvs_to_values[obs].data


def test_a_table_and_rows_are_read_alike() -> None:
    table = pd.DataFrame({"rt": [0.62, None, 0.5, None], "response": [None, 1, -1, None]})
    rows = [[0.62, 0.0], [-1.0, 1.0], [0.5, -1.0], [INF, 0.0]]
    for data in (table, rows, pl.as_observed(table, omissions=True, missing="lost")):
        np.testing.assert_array_equal(observed(data, missing="lost", deadline=2.0), rows)
    coded = pd.DataFrame({"rt": [0.62, None, 0.5], "response": [None, 0, 1]})
    np.testing.assert_array_equal(observed(coded, missing="lost"), [[0.62, 0.0], [-1.0, -1.0], [0.5, 1.0]])
    ends = pd.DataFrame({"low": [0.5, None], "high": [0.6, None], "response": [1, None]})
    found = observed(ends, rt_interval=("low", "high"), deadline=2.0)
    np.testing.assert_allclose(found, [[0.55, 1.0], [INF, 0.0]])


def test_a_table_without_times_is_one_of_choices() -> None:
    for data in (pd.DataFrame({"response": [1, -1, 1]}), [[-1, 1], [-1, -1], [-1, 1]]):
        np.testing.assert_array_equal(observed(data), [[-1, 1], [-1, -1], [-1, 1]])
    late = pd.DataFrame({"response": [1, None]})
    np.testing.assert_array_equal(observed(late, deadline=T), [[-1, 1], [INF, 0]])
    with pm.Model() as model:
        obs = pl.DDM("obs", 0.8, 1.1, 0.4, 0.3, observed=pd.DataFrame({"response": [1, -1]}))
    found = np.exp(model.compile_logp(sum=False, mode=AS_WRITTEN)({})[0])
    np.testing.assert_allclose(found, [upper_by(INF, 1), upper_by(INF, -1)], rtol=2e-4)
    assert set(pm.draw(obs, random_seed=1)[:, 0]) == {-1.0}


REFUSED = {
    "a time that was lost": ([[0.5, 1], [-1, 1]], {}, "missing='lost'.*deadline"),
    "an empty time": (pd.DataFrame({"rt": [0.5, None], "response": [1, 1]}), {}, "deadline=.*missing='lost'"),
    "an empty time beside omissions": (
        pd.DataFrame({"rt": [0.5, None], "response": [1, 1]}), {"deadline": T}, "clear the response.*missing='lost'",
    ),
    "a response that was lost": ([[0.5, -1], [0.6, 0]], {}, "recode them.*missing='lost'"),
    "an empty response": (pd.DataFrame({"rt": [0.5, 0.6], "response": [1, None]}), {}, "missing='lost'"),
    "0 and 1 in rows": ([[0.5, 1], [0.6, 0]], {"missing": "lost"}, "0 beside 1"),
    "nothing known": (
        pd.DataFrame({"rt": [0.5, None], "response": [1, None]}), {"missing": "lost"}, "neither is known",
    ),
    "a word": ([[0.5, 1]], {"missing": "omitted"}, "missing='lost'"),
    "times by another name": (pd.DataFrame({"RT": [0.5], "response": [1]}), {}, "rename"),
    "no interval": ([[0.5, 1]], {"rt_interval": 0.0}, "rt_interval above 0"),
    "ends that are none": (
        pd.DataFrame({"low": [0.5], "high": [0.4], "response": [1]}), {"rt_interval": ("low", "high")}, "least and the",
    ),
    "limits that are none": ([[0.5, 1]], {"truncation": (2.0, 1.0)}, "low below high"),
    "a single limit": ([[0.5, 1]], {"truncation": 2.0}, r"truncation=\(low, high\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    data, arguments, words = REFUSED[case]
    with pytest.raises(ValueError, match=words):
        observed(data, **arguments)


def test_what_pymc_would_censor_has_arguments() -> None:
    with pytest.raises(NotImplementedError, match=r"deadline=.*truncation=\(low, high\)"):
        pm.logcdf(pl.DDM.dist(**P, shape=(1, 2)), [[0.5, 1.0]])


def test_a_regression_hands_them_on() -> None:
    df = pd.DataFrame({"low": [0.4, 0.5, 0.6], "high": [0.5, 0.6, 0.7], "response": [1, -1, 1]})
    reg = pl.regression("ddm", df, rt_interval=("low", "high"), truncation=(0.2, None), v="1", a=1.0, t=0.3)
    np.testing.assert_allclose(reg.model.rvs_to_values[reg.model["obs"]].data[:, 0], [0.45, 0.55, 0.65])


def test_zero_is_a_choice_of_races() -> None:
    """So a response that was lost is -1, and an empty time beside 0 has two meanings where there are omissions."""
    rows = [[-1, 0], [0.6, -1], [0.5, 2]]
    with pm.Model() as model:
        obs = pl.LBA3("obs", 0.3, 0.5, 0.6, 0.5, 0.2, 0.1, observed=rows, missing="lost")
        np.testing.assert_array_equal(model.rvs_to_values[obs].data, rows)
        table = pd.DataFrame({"rt": [0.5, None], "response": [1, 0]})
        with pytest.raises(ValueError, match="no response by the deadline"):
            pl.LBA3("two", 0.3, 0.5, 0.6, 0.5, 0.2, 0.1, observed=table, missing="lost", deadline=T)


def test_draws_and_simulations() -> None:
    """What is not seen is hidden from draws, and what would not be recorded is drawn again."""
    n = 4000
    kept = pm.draw(pl.DDM.dist(**P, truncation=(0.5, 1.5), shape=(n, 2)), random_seed=1, mode=AS_WRITTEN)
    share = between(0.5, 1.5, 1) / sum(between(0.5, 1.5, code) for code in BOTH)
    assert ((kept[:, 0] >= 0.5) & (kept[:, 0] <= 1.5)).all()
    assert abs((kept[:, 1] > 0).mean() - share) < 4 * np.sqrt(share * (1 - share) / n)
    rounded = pm.draw(pl.DDM.dist(**P, rt_interval=0.1, deadline=T, shape=(n, 2)), random_seed=2, mode=AS_WRITTEN)
    times = rounded[np.isfinite(rounded[:, 0]), 0]
    np.testing.assert_allclose(times, np.rint(times / 0.1) * 0.1, atol=1e-9)
    assert abs(np.isinf(rounded[:, 0]).mean() - none_by(T)) < 4 * np.sqrt(none_by(T) * (1 - none_by(T)) / n)
    df = pl.simulate("ddm", P, n=n, seed=3, deadline=T, truncation=(0.5, None))
    assert abs(df["rt"].isna().mean() - none_by(T) / RECORDED) < 4 * np.sqrt(0.25 / n)
    assert df["rt"].dropna().between(0.5, T).all()
    assert set(df["deadline"]) == {T}
    np.testing.assert_array_equal(pl.as_dataframe([[-1.0, 1.0]])["response"], [1])
    assert pl.as_dataframe([[-1.0, 1.0]])["rt"].isna().all()
    with pytest.raises(ValueError, match="recorded"):
        pl.simulate("ddm", P, n=2, seed=3, truncation=(0.0, 0.301))


def test_latest_responses_at_an_edge_are_doubted() -> None:
    df = pl.simulate("ddm", P, n=600, seed=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        observed(df)
        observed(df[df["rt"] < 0.9], truncation=(None, 0.9))
    with pytest.warns(UserWarning, match="truncation="):
        observed(df[df["rt"] < 0.9])
    # Boundaries that meet end every trial at an edge of their own.
    steep = P | {"theta": 0.9}
    late = pl.simulate("angle", steep, n=600, seed=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pl.Angle.dist(**steep)
        with pm.Model():
            pl.Angle("obs", **steep, observed=late[late["rt"] < np.quantile(late["rt"], 0.8)])


def test_numpy_says_the_same() -> None:
    """What `check` computes, draw by draw, is the model's own log density."""
    from pymc_lan.diagnostics.fitted_trials import find_trials, likelihood_of, log_likelihood

    with pm.Model() as model:
        v = pm.Normal("v")
        pl.DDM("obs", v, 1.1, 0.4, 0.3, observed=ROWS, missing="lost", deadline=T, truncation=(0.4, None), p_lapse=0.1)
    (trials,) = find_trials(model)
    extras = {"p_lapse": 0.1, "lapse_window": T, "deadline": T, "truncation_low": 0.4, "truncation_high": INF}
    parameters = {name: np.full((1, 5), x) for name, x in (P | extras).items()}
    found = log_likelihood(trials, likelihood_of(trials.op), parameters)[0]
    expected = model.compile_logp(vars=[model["obs"]], sum=False, mode=AS_WRITTEN)({"v": 0.8})[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.table
def test_starts_are_near_the_truth() -> None:
    """Of a table with lost times and responses, and of choices alone, whose density is climbed."""
    df = pl.simulate("ddm", P | {"z": 0.5}, n=400, seed=1).astype({"response": float})
    df.loc[:39, "rt"], df.loc[40:79, "response"] = NAN, NAN
    for table, arguments in ((df, {"missing": "lost"}), (df.dropna()[["response"]], {})):
        with pm.Model() as model:
            v = pm.Normal("v", 0, 2)
            pl.DDM("obs", v, 1.1, 0.5, pm.Uniform("t", 0.05, 0.6), observed=table, **arguments)
        assert pl.initvals(model, table)["v"] == pytest.approx(0.8, abs=0.3)
