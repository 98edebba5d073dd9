"""What distributions take from the observed data, and what of their arguments they refuse when a model is built."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from backends import AS_WRITTEN
from forms import given_network

import pymc_lan as pl

NAN, INF = np.nan, np.inf
A, Z, T = 1.0, 0.5, 0.3
# Nobody pressed, so that without a deadline every density is the chance to end at the lower boundary.
NOBODY = pd.DataFrame({"rt": [NAN, NAN, NAN], "response": [0, 0, 0], "trial_type": ["go", "no-go", "go"]})
CHOICES = pd.DataFrame({"rt": [0.5, 0.7, 0.9], "response": [1, -1, 1]})
SILENT = np.array([[INF, 0.0]] * 3)


def log_lower(v: float) -> float:
    """Log probability of a diffusion of drift v, from the middle, to end at -A: 1 / (1 + exp(2 v A))."""
    return -math.log1p(math.exp(2 * v * A))


def go_nogo_model(v: Any = 0.6, observed: Any = NOBODY, **kwargs: Any) -> pm.Model:
    with pm.Model() as model:
        data = observed() if callable(observed) else observed
        kwargs = {name: x() if callable(x) else x for name, x in kwargs.items()}
        pl.GoNoGoDDM("obs", v, A, Z, T, likelihood="exact", observed=data, **kwargs)
    return model


def go_nogo(*args: Any, **kwargs: Any) -> list[float]:
    """Return the log density of each trial in closed form."""
    return [float(x) for x in go_nogo_model(*args, **kwargs).compile_logp(sum=False, mode=AS_WRITTEN)({})[0]]


# -- trial types -------------------------------------------------------------------------------------------

MIXED = [log_lower(0.6), log_lower(-0.6), log_lower(0.6)]
ALL_GO = [log_lower(0.6)] * 3

TRIAL_TYPES: dict[str, tuple[dict[str, Any], list[float]]] = {
    "the column": ({}, MIXED),
    "none": ({"trial_type": None}, ALL_GO),
    "no column": ({"observed": NOBODY.drop(columns="trial_type")}, ALL_GO),
    "another column": ({"observed": NOBODY.rename(columns={"trial_type": "cue"}), "trial_type": "cue"}, MIXED),
    "the column of a matrix": ({"observed": pl.as_observed(NOBODY, go_nogo=True)}, MIXED),
    "renamed by as_observed": (
        {"observed": pl.as_observed(NOBODY.rename(columns={"rt": "latency"}), go_nogo=True, rt="latency")},
        MIXED,
    ),
    "chosen rows": (
        {"observed": pl.as_observed(pd.concat([NOBODY, NOBODY]), go_nogo=True)[[1, 3, 4]]},
        [MIXED[1], MIXED[0], MIXED[1]],
    ),
    "constant 1 and -1": ({"trial_type": pt.constant([1, -1, 1])}, MIXED),
    "constant 1 and 0": ({"trial_type": pt.constant([1.0, 0.0, 1.0])}, MIXED),
    "constant booleans": ({"trial_type": pt.constant([True, False, True])}, MIXED),
    "pm.Data 1 and -1": ({"trial_type": lambda: pm.Data("type", [1, -1, 1])}, MIXED),
    "pm.Data, computed": ({"trial_type": lambda: 2 * pm.Data("type", [1, 0, 1]) - 1}, MIXED),
    "with v_nogo": ({"v_nogo": -0.2}, [MIXED[0], log_lower(-0.2), MIXED[0]]),
    "variable with v_nogo": (
        {"trial_type": pt.constant([1, -1, 1]), "v_nogo": -0.2},
        [MIXED[0], log_lower(-0.2), MIXED[0]],
    ),
    "by label": (
        {"observed": NOBODY.set_index(pd.Index([5, 3, 4])), "trial_type": pd.Series([0, 1, 1], index=[3, 4, 5])},
        MIXED,
    ),
}


@pytest.mark.parametrize(("kwargs", "expected"), TRIAL_TYPES.values(), ids=TRIAL_TYPES.keys())
def test_trial_types_in_every_form(kwargs, expected):
    with_v = go_nogo_model(**kwargs)
    node = with_v["obs"].owner
    [v, *_] = node.op.dist_params(node)
    drift = np.broadcast_to(v.eval(mode="FAST_COMPILE"), 3)
    assert [log_lower(x) for x in drift] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["the column", "variable with v_nogo", "pm.Data 1 and -1"])
def test_trial_types_in_the_density(name):
    kwargs, expected = TRIAL_TYPES[name]
    assert go_nogo(**kwargs) == pytest.approx(expected, rel=1e-9)


def test_a_constant_minus_one_is_no_go_trial():
    """The case that was seen first: every trial with a code other than 0 was a go trial."""
    found = go_nogo(observed=SILENT, trial_type=pt.constant([-1, -1, -1]))
    assert found == pytest.approx([log_lower(-0.6)] * 3, rel=1e-9)


def test_codes_that_turn_up_at_run_time_have_no_density():
    trial_type = pt.vector("trial_type", dtype="float64")
    trials = pl.GoNoGoDDM.dist(0.6, A, Z, T, trial_type=trial_type, likelihood="exact", shape=(3, 2))
    density = pytensor.function([trial_type], pm.logp(trials, SILENT), mode=AS_WRITTEN)
    np.testing.assert_allclose(density([1.0, -1.0, 1.0]), MIXED, rtol=1e-9)
    with pytest.raises(ValueError, match="Expected trial types in a variable coded 1 and 0, 1 and -1"):
        density([1.0, 2.0, 0.0])


@pytest.mark.parametrize("mode", ["FAST_COMPILE", "NUMBA", "JAX"])
def test_codes_that_turn_up_at_run_time_in_every_backend(mode):
    trial_type = pt.vector("trial_type", dtype="float64")
    trials = pl.GoNoGoDDM.dist(0.6, A, Z, T, trial_type=trial_type, likelihood="exact", shape=(3, 2))
    [v, *_] = trials.owner.op.dist_params(trials.owner)
    drift = pytensor.function([trial_type], v, mode=mode)
    np.testing.assert_array_equal(drift(np.array([1.0, -1.0, 1.0])), [0.6, -0.6, 0.6])
    np.testing.assert_array_equal(drift(np.array([1.0, 0.0, 1.0])), [0.6, -0.6, 0.6])
    for codes, wrong in (([1, 2, 0], [0, 1, 0]), ([1, 0, -1], [0, 1, 0]), ([1, NAN, 0], [0, 1, 0])):
        if mode == "JAX":  # which cannot raise
            np.testing.assert_array_equal(np.isnan(drift(np.array(codes, float))), wrong)
            continue
        with pytest.raises(ValueError, match="Expected trial types in a variable coded 1 and 0, 1 and -1"):
            drift(np.array(codes, float))


# -- the deadline ------------------------------------------------------------------------------------------


def test_the_column_deadline_is_taken_and_can_be_left_out(caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO", logger="pymc_lan")
    # Nothing can have happened by a deadline before t, so that a trial without a press is certain.
    early = NOBODY.assign(deadline=[0.1, INF, 0.2])
    expected = [0.0, MIXED[1], 0.0]
    assert go_nogo(observed=early) == pytest.approx(expected, abs=1e-9)
    assert [record.getMessage()[:20] for record in caplog.records] == ["trial_type: taken fr", "deadline: taken from"]
    caplog.clear()
    limit = early.rename(columns={"deadline": "limit"})
    assert go_nogo(observed=limit, deadline="limit") == pytest.approx(expected, abs=1e-9)
    assert go_nogo(observed=pl.as_observed(limit, go_nogo=True, deadline="limit")) == pytest.approx(expected, abs=1e-9)
    assert go_nogo(observed=early, deadline=None, trial_type=None) == pytest.approx(ALL_GO, rel=1e-9)


def test_a_deadline_that_the_model_has_no_place_for_is_named(caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO", logger="pymc_lan")
    with pm.Model():
        pressed = CHOICES.assign(response=1, deadline=0.6)
        pl.LANDist("obs", given_network("omissions"), rate=8.0, limit=0.8, observed=pressed)
    [record] = caplog.records
    assert "the column 'deadline' of the observed data is not used" in record.getMessage()


def test_messages_are_seen_without_any_setup(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    from pymc_lan.data.messages import say

    logger = logging.getLogger("pymc_lan")
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "level", logging.NOTSET)
    logger.manager._clear_cache()  # type: ignore[attr-defined]
    say("A sentence.")
    say("Another.")
    logger.manager._clear_cache()  # type: ignore[attr-defined]
    assert capsys.readouterr().err == "A sentence.\nAnother.\n"
    assert logging.root.handlers == []


# -- data in a variable ------------------------------------------------------------------------------------


def test_data_in_a_variable_are_as_good_as_a_table():
    found = go_nogo(observed=lambda: pm.Data("data", pl.as_observed(NOBODY, go_nogo=True)), trial_type=[1, 0, 1])
    assert found == pytest.approx(MIXED, rel=1e-9)


def test_a_variable_has_no_columns_and_that_is_said(caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO", logger="pymc_lan")
    assert go_nogo(observed=lambda: pm.Data("data", SILENT)) == pytest.approx(ALL_GO, rel=1e-9)
    types, deadlines = (record.getMessage() for record in caplog.records)
    assert types.startswith("trial_type: the observed data have no columns")
    assert deadlines.startswith("deadline: the observed data have no columns")
    caplog.clear()
    assert go_nogo(observed=lambda: pm.Data("data", SILENT), trial_type=None, deadline=None) == pytest.approx(
        ALL_GO, rel=1e-9
    )
    assert not caplog.records


# -- Series ------------------------------------------------------------------------------------------------


def test_parameters_go_by_their_labels():
    table = NOBODY.set_index(pd.Index(["x", "y", "z"]))
    v = pd.Series([0.3, 0.1, 0.2], index=["z", "x", "y"])
    expected = [log_lower(0.1), log_lower(0.2), log_lower(0.3)]
    for observed in (table, pl.as_observed(table, go_nogo=True)):
        assert go_nogo(v, observed=observed, trial_type=None) == pytest.approx(expected, rel=1e-9)
    by_name = {"v": v, "a": A, "t": T, "likelihood": "exact", "trial_type": None, "observed": table}
    with pm.Model() as model:
        pl.GoNoGoDDM("obs", **by_name)
    assert model.compile_logp(sum=False, mode=AS_WRITTEN)({})[0] == pytest.approx(expected, rel=1e-9)
    of_polars = polars.Series([0.1, 0.2, 0.3])
    assert go_nogo(of_polars, observed=table, trial_type=None) == pytest.approx(expected, rel=1e-9)


# -- what is refused ---------------------------------------------------------------------------------------


def go(**kwargs: Any) -> Callable[[], Any]:
    return lambda: go_nogo(**kwargs)


def choose(v: Any = 1.0, observed: Any = CHOICES, **kwargs: Any) -> Callable[[], Any]:
    def build() -> Any:
        with pm.Model():
            data = observed() if callable(observed) else observed
            return pl.DDM("obs", v() if callable(v) else v, A, Z, T, observed=data, **kwargs)

    return build


def in_data(rows: Any) -> Callable[[], Any]:
    return lambda: pm.Data("data", np.array(rows, float))


def free(index: Any, n: int = 2) -> Callable[[], Any]:
    return lambda: pm.Normal("v", 0, 1, shape=n)[index() if callable(index) else index]


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "0 and 1 in pm.Data": (
        choose(observed=in_data([[0.5, 1], [0.7, 0]])),
        r"rows \[rt, response\] as pl.as_observed makes them.*row 1 .*Remedy: pass them through it",
    ),
    "0 and 1 in a constant": (
        choose(observed=pt.constant([[0.5, 1.0], [0.7, 0.0]])),
        "as pl.as_observed makes them.*row 1",
    ),
    "milliseconds in pm.Data": (choose(observed=in_data([[500, 1], [700, -1]])), "looks like milliseconds"),
    "999 in pm.Data": (go(observed=in_data([[0.5, 1], [0.7, 1], [999, 1]])), "999.0, which looks like a code .*row 2"),
    "late in pm.Data": (go(observed=in_data([[0.5, 1], [1.6, 1]]), deadline=1.5), "beyond the deadline.*row 1"),
    "late by a deadline in pm.Data": (
        go(observed=in_data([[0.5, 1], [1.6, 1]]), deadline=lambda: pm.Data("end", 1.5)),
        "beyond the deadline.*row 1",
    ),
    "not pressed with an rt in pm.Data": (go(observed=in_data([[0.5, 0]])), "no 'rt' .*row 0"),
    "three columns in pm.Data": (choose(observed=in_data(np.ones((4, 3)))), r"array of shape \(n_trials, 2\)"),
    "NaN for no press": (go(observed=pt.constant([[0.5, 1.0], [NAN, 0.0]])), r"\[inf, 0\] without.*row 1 \(rt = miss"),
    "unknown trial types in pm.Data": (go(trial_type=lambda: pm.Data("type", [1, 2, 1])), "unknown trial-type codes 2"),
    "three trial types in pm.Data": (go(trial_type=lambda: pm.Data("type", [1, 0, -1])), "three codes"),
    "unknown trial types, computed": (
        go(trial_type=lambda: 2 * pm.Data("type", [1, 1, 1])),
        "unknown trial-type codes 2",
    ),
    "v_nogo and v beyond the bounds": (
        lambda: pl.GoNoGoDDM.dist(7.0, A, Z, T, trial_type=["go", "no-go"], v_nogo=-1.0),
        r"v within the network's trained bounds, -6 to 6.*\[7.0\]",
    ),
    "v_nogo beyond the bounds": (
        lambda: pl.GoNoGoDDM.dist(1.0, A, Z, T, trial_type=["go", "no-go"], v_nogo=-7.0),
        r"v_nogo within the network's trained bounds.*\[-7.0\]",
    ),
    "v_nogo beyond the bounds, v free": (
        lambda: pl.GoNoGoDDM.dist(pt.scalar("v"), A, Z, T, trial_type=["go", "no-go"], v_nogo=-7.0),
        r"v_nogo within the network's trained bounds.*\[-7.0\]",
    ),
    "v beyond the bounds, types in a variable": (
        lambda: pl.GoNoGoDDM.dist(7.0, A, Z, T, trial_type=pt.vector("trial_type")),
        r"v within the network's trained bounds.*\[7.0\]",
    ),
    "v beyond the bounds in pm.Data": (choose(lambda: pm.Data("v", 7.0)), r"v within the network's .*\[7.0\]"),
    "as many v_nogo as subjects": (go(v_nogo=[0.1, 0.2]), "v_nogo to be .*3 trials.*length 2"),
    **{
        f"deadline {value}": (
            lambda value=value: pl.GoNoGoDDM.dist(1.0, A, Z, T, deadline=value),  # type: ignore[misc]
            "a deadline above 0 s",
        )
        for value in (0, -1, NAN, [1.0, NAN])
    },
    "deadline 0 in a constant": (lambda: pl.GoNoGoDDM.dist(1.0, A, Z, T, deadline=pt.constant(0.0)), "above 0 s"),
    "deadline 0, observed": (go(deadline=0), "a deadline above 0 s"),
    "deadline missing in its column": (go(observed=NOBODY.assign(deadline=[1.0, NAN, 1.0])), "above 0 s.*row 1"),
    "deadline in words": (
        lambda: pl.GoNoGoDDM.dist(1.0, A, Z, T, deadline=["soon"]),
        "numbers, or a PyTensor variable",
    ),
    "deadline, no such column": (go(observed=NOBODY.assign(limit=1.0), deadline="limt"), "Did you mean 'limit'"),
    "deadline, no table": (lambda: pl.GoNoGoDDM.dist(1.0, A, Z, T, deadline="deadline"), "deadline='deadline' names a"),
    "deadline in milliseconds": (go(observed=[[0.5, 1.0], [INF, 0.0]], deadline=1000), "look like milliseconds"),
    "p_lapse NaN": (choose(p_lapse=NAN, lapse_window=2.0), "p_lapse between 0 and 1"),
    "p_lapse None": (choose(p_lapse=None), "numbers, or a PyTensor variable, as p_lapse.*None"),
    "p_lapse in pm.Data": (lambda: pl.DDM.dist(1.0, A, Z, T, p_lapse=pt.constant(2.0), lapse_window=1.0), "between 0"),
    "lapse_go NaN": (go(lapse_go=NAN), "lapse_go between 0 and 1"),
    "lapse_window in words": (choose(p_lapse=0.1, lapse_window="long"), "as lapse_window.*'long'"),
    "v NaN": (lambda: pl.DDM.dist(NAN, A, Z, T), "a number for v .*row 0"),
    "v NaN, exact": (lambda: pl.DDM.dist(NAN, A, Z, T, likelihood="exact"), "a number for v .*row 0"),
    "v infinite, exact": (lambda: pl.DDM.dist(INF, A, Z, T, likelihood="exact"), r"v within .*\[inf\]"),
    "v masked": (lambda: pl.DDM.dist(np.ma.masked_array([1.0, 2.0], [0, 1]), A, Z, T), "a number for v .*row 1"),
    "v in words": (lambda: pl.DDM.dist("fast", A, Z, T), "numbers, or a PyTensor variable, as v.*'fast'"),
    "v in a column of words": (lambda: pl.DDM.dist(["a", "b"], A, Z, T), "as v.*'a', 'b', of type"),
    "v a list of variables": (lambda: pl.DDM.dist([pt.scalar(), pt.scalar()], A, Z, T), r"as v.*pt\.stack"),
    "v complex": (lambda: pl.DDM.dist(1j, A, Z, T), "numbers, or a PyTensor variable, as v"),
    "v by other labels": (choose(pd.Series([1.0, 1.0, 1.0], index=[1, 2, 3])), "where the table has 0, 1, 2"),
    "v by labels of nothing": (lambda: pl.DDM.dist(pd.Series([1.0], index=[4]), A, Z, T), "no observed table"),
    "a missing label's index": (
        choose(free(np.array([0, -1, 1]))),
        r"numbers from 0 on as the index of each trial in v.*row 1 \(index = -1\).*fillna\('unknown'\)",
    ),
    "a missing label's index in pm.Data": (
        choose(free(lambda: pm.Data("subject", [0, -1, 1]))),
        "the index of each trial in v.*row 1",
    ),
    "a missing label's index, in between": (
        choose(lambda: 0.5 * pm.Deterministic("w", free(np.array([0, -1, 1]))()) + 0.1),
        "the index of each trial in v.*row 1",
    ),
    "a subject without a name": (choose(observed=CHOICES.assign(subject=["a", None, "b"])), "pandas.factorize.*row 1"),
    "columns that were lost": (
        go(observed=np.concatenate([pl.as_observed(NOBODY, go_nogo=True)] * 2)),
        "together with their column 'trial_type'",
    ),
}


@pytest.mark.parametrize(("build", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_when_the_model_is_built(build, message):
    with pytest.raises(ValueError, match=rf"(?s){message}"):
        build()


def test_what_was_let_through_is_not_refused_again():
    table = CHOICES.assign(rt=[0.5, 0.7, 999.0])
    with pytest.warns(UserWarning, match="999"):
        observed = pl.as_observed(table, strict=False)
    with pm.Model() as model:
        pl.DDM("obs", 1.0, A, Z, T, observed=observed, likelihood="exact")
    np.testing.assert_array_equal(model.rvs_to_values[model["obs"]].data, table)


def test_indices_that_count_from_the_end_of_something_else_are_left_alone():
    with pm.Model():
        group = pm.Normal("group", 0, 1, shape=3)[np.array([0, -1])]
        v = pm.Normal("v", group, 1)
        pl.DDM("obs", v[np.array([0, 1, 1])], A, Z, T, observed=CHOICES)
