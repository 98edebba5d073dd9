"""Tables and arguments as labs have them, that were taken for something else: each is named for what it is."""

import logging

import numpy as np
import pandas as pd
import pymc as pm
import pytest

import pymc_lan as pl

P = {"v": 1.0, "a": 1.0, "z": 0.5, "t": 0.3}
TIMES = np.random.default_rng(0).gamma(3, 0.2, 60) + 0.35


def presses(**columns):
    return pd.DataFrame({"rt": TIMES} | columns)


def put(value, rows):
    rt = TIMES.copy()
    rt[rows] = value
    return pd.DataFrame({"rt": rt})


@pytest.mark.parametrize("value", [10_000.0, 60_000.0, 1000.0])
def test_the_same_time_again_and_again_is_no_block_in_milliseconds(value):
    with pytest.raises(ValueError, match="make 'rt' missing where there was no response"):
        pl.as_observed(put(value, slice(20, 24)), go_nogo=True)


def test_a_block_in_milliseconds_is_one():
    with pytest.raises(ValueError, match="rows 20 to 23, which look like milliseconds"):
        pl.as_observed(put(TIMES[20:24] * 1000, slice(20, 24)), go_nogo=True)


def test_a_slow_task_is_not_in_milliseconds_and_may_pass():
    slow = pd.DataFrame({"rt": TIMES * 12})
    with pytest.raises(ValueError, match=r"too long for a decision of this kind.*strict=False"):
        pl.as_observed(slow, go_nogo=True)
    with pytest.warns(UserWarning, match="too long for a decision"):
        observed = pl.as_observed(slow, go_nogo=True, strict=False)
    np.testing.assert_array_equal(observed[:, 0], slow["rt"])


def test_a_slow_subject_is_not_in_milliseconds():
    df = pd.DataFrame({"rt": [0.4, 0.42, 0.39, 0.45, 0.4, 30.0, 35.0, 40.0], "subject": list("aaaaabbb")})
    np.testing.assert_array_equal(pl.as_observed(df, go_nogo=True)[:, 0], df["rt"])


def test_times_with_a_sign_are_not_codes():
    signed = TIMES * np.where(np.arange(60) % 2, 1, -1)
    signed[0], signed[2] = -0.777, -0.999
    with pytest.raises(ValueError, match=r"zero or negative 'rt' in 30 of 60 rows.*abs\(\)"):
        pl.as_observed(pd.DataFrame({"rt": signed}), go_nogo=True)


def test_times_at_the_deadline_are_those_of_a_timer():
    with pytest.raises(ValueError, match="exactly the deadline in 20 of 60 rows"):
        pl.as_observed(put(5.0, slice(0, 20)), go_nogo=True, deadline=5.0)
    few = put(5.0, slice(0, 2))
    np.testing.assert_array_equal(pl.as_observed(few, go_nogo=True, deadline=5.0)[:, 0], few["rt"])


@pytest.mark.parametrize("dims", [None, "subject"])
def test_subjects_are_counted_from_0(dims):
    subject = np.array([1, 2, 3, 1])
    with pm.Model(coords={"subject": [1, 2, 3]}):
        v = pm.Normal("v", 0, 1, dims=dims) if dims else pm.Normal("v", 0, 1, shape=3)
        with pytest.raises(ValueError, match=r"numbers below 3.*row 2 \(index = 3\)"):
            pl.DDM("obs", v[subject], 1.0, 0.5, 0.3, observed=[[0.5, 1]] * 4)
        pl.DDM("obs", v[subject - 1], 1.0, 0.5, 0.3, observed=[[0.5, 1]] * 4)


def test_a_covariate_with_holes_is_seen():
    x = np.array([0.1, np.nan, 0.3])
    with pm.Model():
        b = pm.Normal("b", 0, 1)
        with pytest.raises(ValueError, match=r"a number on every trial in what v is computed from.*row 1"):
            pl.DDM("obs", 1.0 + b * x, 1.0, 0.5, 0.3, observed=[[0.5, 1]] * 3)


def test_a_missing_parameter_is_called_missing():
    with pytest.raises(ValueError, match=r"Expected a number for v on every trial.*row 1"):
        pl.DDM.dist(np.array([0.1, np.nan]), 1.0, 0.5, 0.3)


@pytest.mark.parametrize("name", ["p_lapse", "lapse_go", "lapse_window", "deadline"])
def test_parts_of_the_task_are_no_parameters(name):
    with pytest.raises(ValueError, match="another name of a parameter"):
        pl.simulator_spec("mine", lambda theta, rng: None, {name: (0.0, 1.0)})


def test_guesses_need_a_window_where_data_and_deadlines_may_change():
    with pm.Model():
        data, ends = pm.Data("data", [[0.5, 1.0], [np.inf, 0.0]]), pm.Data("ends", [1.0, np.inf])
        with pytest.raises(ValueError, match=r"Expected a lapse_window.*pm\.Data may change"):
            pl.GoNoGoDDM("obs", **P, p_lapse=0.1, deadline=ends, trial_type=None, observed=data)


@pytest.mark.parametrize("form", ["variable", "array"])
def test_columns_that_are_not_there_are_told(form, caplog):
    df = presses(trial_type=["go", "no-go"] * 30, deadline=3.0)
    observed = np.array(pl.as_observed(df, go_nogo=True))
    with caplog.at_level(logging.INFO, "pymc_lan"), pm.Model():
        pl.GoNoGoDDM("obs", **P, observed=pm.Data("data", observed) if form == "variable" else observed)
    assert "v is the drift of every trial" in caplog.text
    assert "deadline: the observed data have no columns" in caplog.text
