"""Tables and parameters that nobody thought of: a sentence, or the log density that a closed form has of the raw cells.

Examples are made by hypothesis, the same in every run. Two thirds of them or more are meant to be valid, in one of many
forms; the others have one flaw each. What is valid has to have the value of `oracle`, which knows nothing of the
package; what is flawed has to be refused by the package itself, not by a library below it.
"""

import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import oracle
import pandas as pd
import polars
import pyarrow as pa
import pymc as pm
import pytensor.tensor as pt
import pytest
from backends import perform
from hypothesis import HealthCheck, given, settings

import pymc_lan as pl

PACKAGE = Path(pl.__file__).parent
SETTINGS: dict[str, Any] = {
    "derandomize": True,
    "database": None,
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
}
# Of the network; the closed form is right to rounding.
ERROR = {"lan": 5e-3, "exact": 1e-8}


def log_density(cls, arguments):
    with pm.Model() as model:
        observed = arguments["observed"]
        variable = cls("obs", **{**arguments, "observed": observed() if callable(observed) else observed})
    return perform(pm.logp(variable, model.rvs_to_values[variable]))


# ---- valid tables, in many forms

NOTHING = [None, float("nan"), "", "  ", float("inf")]
TYPES = [("go", "no-go"), ("Go", "NOGO"), (1, 0), (1, -1), (True, False), (1.0, 0.0), (" go ", "no_go")]
PRESSED = [(1, 0), (1, -1), (True, False), (1.0, 0.0), (1, None)]


@st.composite
def cells(draw):
    """Raw columns of a valid task, and the arguments that belong to it."""
    n = draw(st.integers(1, 9))
    task = {"go_nogo": draw(st.booleans()), "n": n}
    times = [draw(st.integers(2, 240)) / 100 for _ in range(n)]
    upper = [draw(st.booleans()) for _ in range(n)]
    # Without any press there is no longest time that a lapse window could be.
    task["silent"] = not any(upper)
    if not task["go_nogo"]:
        table = {"rt": times, "response": [1 if up else -1 for up in upper]}
        return task, table
    code = draw(st.sampled_from(PRESSED))
    table = {
        "rt": [rt if up else draw(st.sampled_from(NOTHING)) for rt, up in zip(times, upper, strict=True)],
        "response": [code[0] if up else code[1] for up in upper],
    }
    if draw(st.booleans()):
        del table["response"]
    if draw(st.booleans()):
        kinds = draw(st.sampled_from(TYPES))
        table["trial_type"] = [kinds[draw(st.integers(0, 1))] for _ in range(n)]
    if draw(st.booleans()):
        table["deadline"] = [2.5 + draw(st.integers(0, 3)) / 2 for _ in range(n)]
    return task, table


def as_pandas(task, table, draw):
    df = pd.DataFrame({name: pd.Series(column, dtype=object) for name, column in table.items()})
    if draw(st.booleans()):
        df = df.infer_objects()
    if draw(st.booleans()):
        df.index = draw(st.sampled_from([list("abcdefghi")[: len(df)], [7] * len(df), range(len(df), 0, -1)]))
    if draw(st.booleans()):
        df = df[df.columns[::-1]]
    if draw(st.booleans()):
        df["subject"] = "anna"
    return df


def columns(table):
    """Columns of one type each, for libraries that have no others: numbers or text, None where nothing is."""
    found = {}
    for name, column in table.items():
        empty = [cell is None or (isinstance(cell, str) and not cell.strip()) for cell in column]
        text = any(isinstance(cell, str) and cell.strip() for cell in column)
        found[name] = [None if e else cell if text else float(cell) for cell, e in zip(column, empty, strict=True)]
    return found


def as_nullable(task, table, draw):
    return pd.DataFrame(columns(table)).convert_dtypes()


def as_polars(task, table, draw):
    return polars.DataFrame(columns(table))


def as_lazy(task, table, draw):
    return polars.LazyFrame(columns(table))


def as_arrow(task, table, draw):
    return pa.table(columns(table))


def as_category(task, table, draw):
    df = pd.DataFrame(columns(table))
    return df.assign(**{k: df[k].astype("category") for k in df.columns.intersection(["trial_type", "response"])})


def responses(task, table):
    """The cells of the response or, where only rt tells of presses, what follows from it."""
    return table.get("response", [int(oracle.is_press(rt, ...)) for rt in table["rt"]])


def as_renamed(task, table, draw):
    """Through `as_observed`, under other names, the other columns along, and cut out of a longer table."""
    df = as_pandas(task, {**table, "response": responses(task, table)}, draw)
    longer = pd.concat([df, df.iloc[:1]]).rename(columns={"rt": "RT", "response": "key"})
    return pl.as_observed(longer, rt="RT", response="key", go_nogo=task["go_nogo"])[: len(df)]


def rows(task, table):
    rt = np.array([oracle.seconds(cell) for cell in table["rt"]])
    upper = np.array([cell == 1 for cell in responses(task, table)])
    return np.column_stack([rt, np.where(upper, 1.0, np.where(np.isinf(rt), 0.0, -1.0))])


def as_matrix(task, table, draw):
    """Rows of rt and response, for tables that have nothing else; masked ones, and behind `pm.Data`."""
    if {"trial_type", "deadline"} & {*table}:
        return as_nullable(task, table, draw)
    form = draw(st.sampled_from(["array", "list", "masked", "data"]))
    matrix = rows(task, table)
    if form == "data":
        return lambda: pm.Data("data", matrix)
    if form == "masked":
        gone = np.isinf(matrix) | (matrix == 0)
        return np.ma.masked_array(np.where(gone, 0.7, matrix), gone)
    return matrix if form == "array" else matrix.tolist()


FORMS = [as_pandas, as_nullable, as_polars, as_lazy, as_arrow, as_category, as_renamed, as_matrix]

RANGES = {"v": (-2.5, 2.5), "a": (0.5, 2.0), "z": (0.2, 0.8), "t": (0.01, 0.4)}


@st.composite
def parameters(draw, n):
    """Values of the model's parameters, each in its form, with what the oracle is told."""
    given, plain = {}, {}
    for name, (low, high) in RANGES.items():
        one = low + (high - low) * draw(st.integers(0, 20)) / 20
        several = [low + (high - low) * draw(st.integers(0, 20)) / 20 for _ in range(n)]
        form = draw(st.sampled_from(["number", "array", "list", "tensor", "length one", "single", "polars", "shared"]))
        given[name], plain[name] = {
            "number": (one, one),
            "array": (np.array(several), several),
            "list": (several, several),
            "tensor": (pt.as_tensor_variable(np.array(several)) * 1.0, several),
            "length one": ([one], one),
            "single": (np.array(several, np.float32), [float(np.float32(x)) for x in several]),
            "polars": (polars.Series(several), several),
            "shared": (pt.as_tensor_variable(np.float64(one)), one),
        }[form]
    if draw(st.booleans()):
        del given["z"], plain["z"]
    return given, plain


@st.composite
def lapses(draw, task):
    """Guesses, in some tables."""
    if draw(st.booleans()):
        return {}
    found = {"p_lapse": draw(st.sampled_from([0.05, 0.3, 1.0]))}
    if task["silent"] or draw(st.booleans()):
        found["lapse_window"] = draw(st.sampled_from([3.0, 2.5, 7.0]))
    if task["go_nogo"] and draw(st.booleans()):
        found["lapse_go"] = draw(st.sampled_from([0.2, 0.9]))
    return found


# ---- flaws: what they do to columns or arguments


def put(table, name, value, rows=slice(0, 1)):
    column = list(table[name])
    column[rows] = [value] * len(column[rows])
    return {**table, name: column}


def scaled(table, of="rt", factor=1000):
    return {**table, of: [x * factor if isinstance(x, float) and x < 100 else x for x in table[of]]}


def repeated(table, times=30):
    return {name: list(column) * times for name, column in table.items()}


def two_subjects(table):
    """A table of two, the second in milliseconds; first of all enough responses to tell."""
    one, two = repeated(table), scaled(repeated(table))
    n = len(one["rt"])
    return {name: one[name] + two[name] for name in one} | {"subject": ["anna"] * n + ["ben"] * n}


def numbers_only(arguments):
    """With parameters that fit a table of any length."""
    return {**arguments, "v": 1.0, "a": 1.2, "z": 0.5, "t": 0.01}


FLAWS = {
    "negative rt": lambda t, a: (put(t, "rt", -0.5), a),
    "zero rt": lambda t, a: (put(t, "rt", 0.0), a),
    "sentinel -999": lambda t, a: (put(t, "rt", -999.0), a),
    "sentinel 999": lambda t, a: (put(t, "rt", 999.0), a),
    "sentinel 9999": lambda t, a: (put(t, "rt", 9999.0), a),
    "a long rt": lambda t, a: (put(t, "rt", 150.0), a),
    "milliseconds": lambda t, a: (scaled(t), a),
    "milliseconds of one subject": lambda t, a: (two_subjects(t), numbers_only(a)),
    "a few sentinels of many": lambda t, a: (put(repeated(t), "rt", 999.0), numbers_only(a)),
    "no subject": lambda t, a: ({**t, "subject": ["anna"] * (len(t["rt"]) - 1) + [None]}, a),
    "text for rt": lambda t, a: (put(t, "rt", "fast"), a),
    "an unknown response": lambda t, a: (put(t, "response", 2), a),
    "no column rt": lambda t, a: ({k: x for k, x in t.items() if k != "rt"}, a),
    "no trials": lambda t, a: ({k: [] for k in t}, a),
    "a deadline before the rt": lambda t, a: (t, {**a, "deadline": 0.001}),
    "a deadline of nan": lambda t, a: (t, {**a, "deadline": np.nan}),
    "a deadline of 0": lambda t, a: (t, {**a, "deadline": 0.0}),
    "a deadline in milliseconds": lambda t, a: (t, {**a, "deadline": 2500.0}),
    "an unknown column": lambda t, a: (t, {**a, "trial_type": "kind"}),
    "an unknown trial type": lambda t, a: ({**t, "trial_type": ["maybe"] * len(t["rt"])}, a),
    "guesses above one": lambda t, a: (t, {**a, "p_lapse": 1.5}),
    "guesses of nan": lambda t, a: (t, {**a, "p_lapse": np.nan}),
    "a window of 0": lambda t, a: (t, {**a, "p_lapse": 0.1, "lapse_window": 0.0}),
    "a window of inf": lambda t, a: (t, {**a, "p_lapse": 0.1, "lapse_window": np.inf}),
    "presses below 0": lambda t, a: (t, {**a, "lapse_go": -0.2}),
    "a parameter too long": lambda t, a: (t, {**a, "v": np.zeros(len(t["rt"]) + 1)}),
    "a parameter too short": lambda t, a: (t, {**a, "v": np.zeros(len(t["rt"]) - 1)}),
    "a matrix": lambda t, a: (t, {**a, "v": np.zeros((2, len(t["rt"])))}),
    "v of nan": lambda t, a: (t, {**a, "v": np.nan}),
    "v of inf": lambda t, a: (t, {**a, "v": np.inf}),
    "v outside": lambda t, a: (t, {**a, "v": 9.0, "likelihood": "lan"}),
    "a below 0": lambda t, a: (t, {**a, "a": -1.0}),
    "text for a": lambda t, a: (t, {**a, "a": "wide"}),
    "nothing for a": lambda t, a: (t, {**a, "a": None}),
    "an unknown parameter": lambda t, a: (t, {**a, "vv": 1.0}),
}
GO_NOGO_ONLY = ("deadline", "trial type", "presses", "column")


@st.composite
def cases(draw):
    task, table = draw(cells())
    given, plain = draw(parameters(task["n"]))
    arguments = {**given, **draw(lapses(task)), "likelihood": draw(st.sampled_from(["lan", "exact"]))}
    flaw = draw(st.sampled_from([None] * len(FLAWS) + sorted(FLAWS)))
    if flaw is not None and any(word in flaw for word in GO_NOGO_ONLY) and not task["go_nogo"]:
        flaw = None
    if flaw == "an unknown response" and "response" not in table:
        flaw = None
    if flaw == "a parameter too short" and task["n"] == 2:
        flaw = None  # One value serves all.
    if flaw is not None:
        flawed, arguments = FLAWS[flaw](table, arguments)
        form = as_pandas
    else:
        flawed, form = table, draw(st.sampled_from(FORMS))
        if task["go_nogo"]:
            more, table = draw(column_arguments(table))
            arguments |= more
    if form is as_matrix and "p_lapse" in arguments:
        # What is behind `pm.Data` may change, so a window is not taken from it.
        arguments.setdefault("lapse_window", 2.5)
    return task, table, form(task, flawed, draw), arguments, plain, flaw


@st.composite
def column_arguments(draw, table):
    """What may be said of the columns ``trial_type`` and ``deadline``, and the table as it is then meant."""
    n, said, meant = len(table["rt"]), {}, dict(table)
    for name, values in (("trial_type", ["go", "no-go"]), ("deadline", [2.5, 3.0])):
        how = draw(st.sampled_from(["nothing", "auto", "named", "none", "values"]))
        if how == "auto":
            said[name] = "auto"
        elif how == "named" and name in table:
            said[name] = name
        elif how == "none":
            said[name] = None
            meant.pop(name, None)
        elif how == "values":
            said[name] = meant[name] = [values[draw(st.integers(0, 1))] for _ in range(n)]
    if "trial_type" in meant and draw(st.booleans()):
        said["v_nogo"] = draw(st.sampled_from([-1.3, 0.4]))
    return said, meant


def expected(task, table, arguments, plain):
    told = {k: arguments[k] for k in ("p_lapse", "lapse_window", "lapse_go", "v_nogo") if k in arguments}
    if not task["go_nogo"]:
        return oracle.choices(table, **plain, **told)
    more = {k: table[k] for k in ("trial_type", "deadline") if k in table}
    return oracle.presses(table, **plain, **told, **more)


def check(case, seen):
    task, table, data, arguments, plain, flaw = case
    cls = pl.GoNoGoDDM if task["go_nogo"] else pl.DDM
    refusal = None
    try:
        found = log_density(cls, {**arguments, "observed": data})
    except ValueError as error:
        refusal = error
    if refusal is not None:
        assert flaw is not None, f"refused although it is valid: {refusal}"
        assert str(refusal).startswith(("Expected ", "Unknown ")), refusal
        assert PACKAGE in Path(traceback.extract_tb(refusal.__traceback__)[-1].filename).parents
        seen["refused"] += 1
        return
    assert flaw is None, f"accepted, with {flaw}"
    seen["valid"] += 1
    right = expected(task, table, arguments, plain)
    happens = right > -30  # beyond, a trial never happens, and no network is held to it
    np.testing.assert_allclose(found[happens], right[happens], atol=ERROR[arguments["likelihood"]], rtol=1e-6)
    assert np.all(found[~happens] < -15)


@pytest.mark.parametrize("n", [40, pytest.param(250, marks=pytest.mark.table)])
def test_a_table_has_its_value_or_a_sentence(n):
    seen = Counter()
    settings(max_examples=n, **SETTINGS)(given(cases())(lambda case: check(case, seen)))()
    assert seen["valid"] >= sum(seen.values()) / 3, seen
    assert seen["refused"] >= sum(seen.values()) / 10, seen
