"""Trials in and out: what is accepted, what comes of it, and what each error says."""

from __future__ import annotations

import doctest
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr

from pymc_lan import errors as errors_module
from pymc_lan.data import observed as data_module
from pymc_lan.data import tables as tables_module
from pymc_lan.data.observed import as_dataframe, as_observed
from pymc_lan.errors import RegistryError, nearest, unknown

INF, NAN = np.inf, np.nan

# The two data sets that every kind of table below holds, and the matrices they stand for.
CHOSEN = [[0.5, 1.0], [0.7, -1.0], [0.25, 1.0]]
PRESSED = [[0.5, 1.0], [INF, 0.0], [0.25, 1.0]]
TWO_CHOICE: dict[str, list[Any]] = {"rt": [0.5, 0.7, 0.25], "response": [1, -1, 1]}
GO_NOGO: dict[str, list[Any]] = {"rt": [0.5, None, 0.25], "response": [1, 0, 1]}

TABLES = {
    "pandas": pd.DataFrame,
    "pandas, labelled index": lambda c: pd.DataFrame(c, index=["x", "y", "z"]),
    "pandas, nullable": lambda c: pd.DataFrame(c).convert_dtypes(),
    "pandas, arrow": lambda c: pd.DataFrame(c).convert_dtypes(dtype_backend="pyarrow"),
    "pandas, object": lambda c: pd.DataFrame(c, dtype=object),
    "pandas, categorical response": lambda c: pd.DataFrame(c).astype({"response": "category"}),
    "polars": pl.DataFrame,
    "polars, lazy": pl.LazyFrame,
    "pyarrow": pa.table,
}


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES.keys())
@pytest.mark.parametrize(
    ("columns", "go_nogo", "expected"),
    [
        pytest.param(TWO_CHOICE, False, CHOSEN, id="two choices"),
        pytest.param(GO_NOGO, True, PRESSED, id="go/no-go"),
        pytest.param({**GO_NOGO, "response": [True, False, True]}, True, PRESSED, id="booleans"),
        pytest.param({**GO_NOGO, "response": [1, None, 1]}, True, PRESSED, id="response missing too"),
    ],
)
def test_every_kind_of_table_gives_the_same_matrix(make, columns, go_nogo, expected):
    observed = as_observed(make(columns), go_nogo=go_nogo)
    assert observed.dtype == np.float64
    np.testing.assert_array_equal(observed, expected)


GOOD: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "array": (np.array(CHOSEN), {}, CHOSEN),
    "integers": ([[1, 1], [2, -1]], {}, [[1.0, 1.0], [2.0, -1.0]]),
    "float32": (np.array(CHOSEN, np.float32)[:1], {}, CHOSEN[:1]),
    "DataArray": (xr.DataArray(CHOSEN), {}, CHOSEN),
    "array, go/no-go, inf": (PRESSED, {"go_nogo": True}, PRESSED),
    "array, go/no-go, NaN and -1": ([[0.5, 1], [NAN, -1]], {"go_nogo": True}, PRESSED[:2]),
    "array, go/no-go, None": ([[0.5, 1], [None, 0]], {"go_nogo": True}, PRESSED[:2]),
    "array of nullable columns": (
        pd.DataFrame(GO_NOGO).convert_dtypes().to_numpy(dtype=object),
        {"go_nogo": True},
        PRESSED,
    ),
    "masked array": (
        np.ma.masked_array([[0.5, 1], [0.1, 0]], [[0, 0], [1, 0]]),
        {"go_nogo": True},
        PRESSED[:2],
    ),
    "a list of masked arrays": (
        [np.ma.masked_array([0.5, 1], [0, 0]), np.ma.masked_array([0.1, 0], [1, 0])],
        {"go_nogo": True},
        PRESSED[:2],
    ),
    "no response column": (pd.DataFrame({"rt": [0.5, NAN]}), {"go_nogo": True}, PRESSED[:2]),
    "blank text as missing": (pd.DataFrame({"rt": [0.5, " "]}, dtype=object), {"go_nogo": True}, PRESSED[:2]),
    "nobody pressed": (pl.DataFrame({"rt": [None, None]}), {"go_nogo": True}, [PRESSED[1]] * 2),
    "decimals": (pa.table({"rt": [Decimal("0.50")], "response": [1]}), {}, CHOSEN[:1]),
    "every way to leave out a response, with omissions": (
        [[0.5, 1], [NAN, 0], [INF, NAN], [None, None], ["", " "], [0.7, -1]],
        {"omissions": True},
        [PRESSED[0], *[PRESSED[1]] * 4, CHOSEN[1]],
    ),
    "a word for no response, with omissions": (
        pd.DataFrame({"rt": [0.5, NAN, 0.7], "response": ["left", "none", "right"]}),
        {"omissions": True, "response": {"left": 1, "right": -1, "none": 0}},
        [PRESSED[0], PRESSED[1], CHOSEN[1]],
    ),
    "other names": (
        pd.DataFrame({"latency": [0.5, 0.7], "key": [1, -1]}),
        {"rt": "latency", "response": "key"},
        CHOSEN[:2],
    ),
    "more columns, whose names are numbers and tuples": (
        pd.DataFrame({"rt": [0.5], "response": [1], 3: [2], ("a", "b"): [1]}),
        {},
        CHOSEN[:1],
    ),
    "accumulators": ([[0.5, 0], [0.7, 2]], {"choices": (0, 1, 2)}, [[0.5, 0.0], [0.7, 2.0]]),
    "deadline met exactly": (CHOSEN, {"deadline": 0.7}, CHOSEN),
    "deadline per trial": (PRESSED, {"go_nogo": True, "deadline": [0.6, 0.1, INF]}, PRESSED),
    "slow, but in seconds": ([[10.0, 1]], {}, [[10.0, 1.0]]),
}


@pytest.mark.parametrize(("data", "kwargs", "expected"), GOOD.values(), ids=GOOD.keys())
def test_good_data(data, kwargs, expected):
    np.testing.assert_array_equal(as_observed(data, **kwargs), expected)


def frame(rt: Any = (0.5, 0.7), response: Any = (1, -1), **more: Any) -> pd.DataFrame:
    return pd.DataFrame({"rt": rt, "response": response, **more})


GO = {"go_nogo": True}
OM = {"omissions": True}

# For each mistake: data, arguments, and what the message must say was expected, found, and is to be done.
BAD: dict[str, tuple[Any, dict[str, Any], tuple[str, str, str]]] = {
    "missing columns": (
        pd.DataFrame({"RT": [0.5], "resp": [1]}),
        {},
        ("columns 'rt', 'response'", "no column 'rt' and no column 'response' among 'RT', 'resp'", "rename"),
    ),
    "missing column, nearest name": (
        pd.DataFrame({"RT": [0.5], "response": [1]}),
        {},
        ("columns 'rt'", r"did you mean 'RT' for 'rt'\?", r"rt=\.\.\."),
    ),
    "missing response, go/no-go, chosen name": (
        pd.DataFrame({"rt": [0.5]}),
        {**GO, "response": "key"},
        ("columns 'rt', 'key'", "no column 'key' among 'rt'", "rename"),
    ),
    "two columns of one name": (
        pd.DataFrame([[0.5, 1, 0.6]], columns=["rt", "response", "rt"]),
        {},
        ("columns have different names", "'rt' 2 times", "rename"),
    ),
    "names that are numbers": (
        pd.DataFrame({0: [0.5], 1: [1], 2: [3]}),
        {},
        ("columns 'rt', 'response'", "among 0, 1, 2", "rename the columns, by text"),
    ),
    "empty frame": (pd.DataFrame(), {}, ("at least one trial", "without rows", "check the file")),
    "empty polars frame": (pl.DataFrame({"rt": [], "response": []}), {}, ("one trial", "rows", "filters")),
    "empty array": (np.empty((0, 2)), {}, ("at least one trial", "without rows", "check the file")),
    "empty list": ([], {}, ("at least one trial", "without rows", "check the file")),
    "wrong number of columns": (np.ones((4, 3)), {}, ("array of shape", r"shape \(4, 3\)", "column_stack")),
    "one-dimensional": ([0.5, 0.7], {}, (r"shape \(n_trials, 2\)", r"list, shape \(2,\)", "column_stack")),
    "a series": (pd.Series([0.5]), {}, ("a DataFrame, or an array", r"Series, shape \(1,\)", "DataFrame")),
    "a dict": ({"rt": [0.5]}, {}, ("a DataFrame", "dict", "pass a DataFrame")),
    "ragged rows": ([[0.5, 1], [0.7]], {}, ("array of shape", "different lengths", "column_stack")),
    "text as rt": (
        frame(["0.5", "fast"]),
        {},
        ("numbers of seconds in 'rt'", r"2 of 2 rows: row 0 \(rt = '0.5'\)", r"to_numeric\(df\['rt'\]"),
    ),
    "durations as rt": (
        frame(pd.to_timedelta([0.5, 0.7], unit="s")),
        {},
        ("numbers of seconds", "rt = 500000000 nanoseconds", "total_seconds"),
    ),
    "booleans as rt": (frame([True, False]), GO, ("numbers of seconds", "rt = True", "to_numeric")),
    "milliseconds": (
        frame([520.0, 640.0]),
        {},
        ("'rt' in seconds", "median of 580, which looks like milliseconds", r"df\['rt'\] / 1000"),
    ),
    "milliseconds and codes for missing": (
        frame([-999.0, -999.0, 640.0], [0, 0, 1]),
        GO,
        ("in seconds", "median of 640", "1000"),
    ),
    "milliseconds before the deadline": (frame([520, 640]), {"deadline": 1.5}, ("seconds", "580", "1000")),
    "rt missing, two choices": (
        frame([0.5, NAN]),
        {},
        (
            "a finite 'rt'",
            r"1 of 2 rows: row 1 \(rt = missing, response = -1\)",
            "knows trials without a response.*go_nogo=True.*biased",
        ),
    ),
    "rt infinite, two choices": (
        PRESSED,
        {},
        ("finite 'rt'", r"row 1 \(rt = inf, response = 0.0\)", "go/no-go"),
    ),
    "response missing, two choices": (
        frame(response=[1, NAN]),
        {},
        (
            "codes -1, 1 in 'response'",
            r"an rt without a response .*row 1 \(rt = 0.7, response = missing",
            "fill in what was answered",
        ),
    ),
    "coded -1, 0 and 1": (
        frame([0.5, 0.6, 0.7], [1, -1, 0]),
        {},
        ("codes -1, 1", "codes 0 in", r"recode them, .*response=\{code: -1, .*a model with as many"),
    ),
    "coded 0 and 1, with omissions": (
        frame([0.5, NAN, 0.7], [1, 0, 0]),
        OM,
        ("codes -1, 1", "codes 0 in 1 of 3 rows: row 2", r"make 0 \(False\) -1 where there is an 'rt'"),
    ),
    "a word beside an omission": (
        frame([0.5, NAN, 0.7], [1, "left", -1]),
        OM,
        ("no response, or 0", "a response without an rt in 1 of 3 rows: row 1", "response=.'none': 0"),
    ),
    "a word among the rows of a list, with omissions": (
        [[0.5, 1], [NAN, ""], ["soon", -1]],
        OM,
        ("numbers of seconds", r"1 of 3 rows: row 2 \(rt = 'soon'\)", "to_numeric"),
    ),
    "several responses in a cell, with omissions": (
        frame([0.5, NAN, 0.7], [[1, 1], 0, -1]),
        OM,
        ("codes -1, 1", r"codes \[1, 1\] in 1 of 3 rows: row 0", "recode"),
    ),
    "coded by words": (
        pl.DataFrame({"rt": [0.5, 0.7], "response": ["left", "right"]}),
        {},
        ("codes -1, 1", "codes 'left', 'right' in 2 of 2 rows", r"response=\{code: -1"),
    ),
    "unknown accumulator": ([[0.5, 7]], {"choices": (0, 1, 2)}, ("codes 0, 1, 2", "codes 7.0 in", "recode")),
    "accumulators from 1": ([[0.5, 3]], {"choices": (0, 1, 2)}, ("codes 0, 1, 2", "codes 3.0 in", "count .* from 0")),
    "unknown go/no-go code": (
        frame(response=[1, 2]),
        GO,
        (r"1 \(pressed\) and 0 or -1 \(not pressed\)", "codes 2 in .*row 1", "recode the column, or leave it out"),
    ),
    "go/no-go code in words": (frame(response=["go", "no"]), GO, ("1 .pressed.", "'go', 'no' in", "recode")),
    "press without rt": (
        frame([0.5, NAN], [1, 1]),
        GO,
        (
            "an 'rt' on every trial",
            "a response without an rt in 1 of 2 rows: row 1",
            "to 0 where nothing was pressed, or fill in",
        ),
    ),
    "press without rt, True": (
        pl.DataFrame({"rt": [None, 0.5], "response": [True, True]}),
        GO,
        ("an 'rt' on every", "response without an rt in .*row 0", "to 0"),
    ),
    "rt without press": (
        frame([0.5, 0.7], [1, 0]),
        GO,
        ("no 'rt'", r"rt without a response in 1 of 2 rows: row 1 \(rt = 0.7", r"df\['rt'\].where"),
    ),
    "rt 0 for not pressed": (
        frame([0.5, 0.0], [1, -1]),
        GO,
        ("above 0 s", "0.0, which looks like a code .*row 1 .rt = 0.0", r"df\['rt'\].replace\(0, float"),
    ),
    "rt with a missing response": (frame(response=[1, NAN]), GO, ("no 'rt'", "response = missing", "NaN")),
    "zero rt": (frame([0.5, 0.0]), {}, ("above 0 s", r"looks like a code .*row 1 \(rt = 0.0", "needs a distribution")),
    "negative rt": (frame([-0.1, 0.5]), {}, ("above 0 s", r"negative 'rt' .*row 0 \(rt = -0.1", "correct these times")),
    "negative rt, go/no-go": (
        frame([-999, 0.5], [1, 1]),
        GO,
        ("above 0 s", "-999.0, which looks like a code", r"replace\(-999, float\('nan'\)\)"),
    ),
    "minus infinity": (frame([-INF, 0.5], [1, 1]), GO, ("above 0 s", "rt = -inf", "from stimulus onset")),
    "beyond the deadline": (
        frame([0.5, 1.6]),
        {"deadline": 1.5},
        (
            "no 'rt' beyond the deadline",
            r"row 1 \(rt = 1.6, deadline = 1.5\)",
            "give the deadline that held on these trials",
        ),
    ),
    "beyond its own deadline, go/no-go": (
        frame([0.5, 0.7], [1, 1]),
        {**GO, "deadline": [0.4, 2.0]},
        ("beyond the deadline", r"1 of 2 rows: row 0 \(rt = 0.5, deadline = 0.4\)", "NaN there to count"),
    ),
    "as many deadlines as subjects": (
        frame([0.5] * 3, [1] * 3),
        {"deadline": [1.0, 2.0]},
        ("one value for each of the 3 trials", "length 2 for deadline", r"deadline\[subject\]"),
    ),
    "deadline 0": (frame(), {"deadline": 0}, ("deadline above 0 s", "deadline = 0.0", "response window")),
    "deadline missing": (frame(), {"deadline": [1.0, NAN]}, ("above 0", "row 1 .deadline = missing", "give")),
}


@pytest.mark.parametrize(("data", "kwargs", "pieces"), BAD.values(), ids=BAD.keys())
def test_each_mistake_says_expected_found_and_remedy(data, kwargs, pieces):
    expected, found, remedy = pieces
    with pytest.raises(ValueError, match=rf"^Expected .*{expected}.* Found .*{found}.* Remedy: .*{remedy}.*\.$"):
        as_observed(data, **kwargs)


def test_a_message_shows_five_rows_and_counts_the_rest():
    with pytest.raises(ValueError, match=r"8 of 10 rows: row 2 .*row 6 \([^)]*\) and 3 more\. Remedy") as error:
        as_observed(frame([0.5, 0.5] + [-0.5] * 8, [1] * 10))
    assert "row 7" not in str(error.value)


def test_observed_data_are_a_copy():
    data = np.array(CHOSEN)
    observed = as_observed(data)
    data[:] = 0
    np.testing.assert_array_equal(observed, CHOSEN)


# -- the way back ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("matrix", "kwargs"), [(CHOSEN, {}), (PRESSED, GO)], ids=["two choices", "go/no-go"])
def test_round_trip(matrix, kwargs):
    table = as_dataframe(matrix)
    assert list(table.columns) == ["trial", "rt", "response"]
    np.testing.assert_array_equal(as_observed(table, **kwargs), matrix)


def draws_with_everything_different() -> np.ndarray:
    """Return draws of shape (2, 3, 4, 2) in which the rt tells the place: chain.draw-trial as 1.23."""
    chain, draw, trial = np.indices((2, 3, 4))
    return np.stack([1 + chain + draw / 10 + trial / 100, np.where(trial % 2, 1, -1)], axis=-1)


@pytest.mark.parametrize(
    ("wrap", "names", "chains"),
    [
        pytest.param(lambda x: x, ["draw_0", "draw_1"], [0, 1], id="array"),
        pytest.param(
            lambda x: xr.DataArray(x, dims=["chain", "draw", "i", "j"], coords={"chain": [5, 9]}),
            ["chain", "draw"],
            [5, 9],
            id="DataArray",
        ),
    ],
)
def test_long_form_puts_every_draw_in_its_place(wrap, names, chains):
    draws = draws_with_everything_different()
    table = as_dataframe(wrap(draws))
    assert list(table.columns) == [*names, "trial", "rt", "response"]
    assert len(table) == 24
    for row in table.itertuples(index=False):
        chain, draw, trial, rt, response = row
        assert [rt, response] == draws[chains.index(chain), draw, trial].tolist()


LIKE = {"rt": [0.5, 0.6, 0.7, 0.8], "subject": ["a", "a", "b", "b"], "trial": [1, 2, 1, 2]}


@pytest.mark.parametrize("order", [("trial", "side", "sample"), ("side", "sample", "trial")])
def test_draws_come_first_wherever_they_are(order):
    """As of az.extract, which puts them last."""
    draws = draws_with_everything_different()[0]
    array = xr.DataArray(draws[..., ::-1], dims=["sample", "trial", "side"], coords={"side": ["response", "rt"]})
    pd.testing.assert_frame_equal(
        as_dataframe(array.transpose(*order)), as_dataframe(draws).rename(columns={"draw_0": "sample"})
    )


@pytest.mark.parametrize(
    "make", [pd.DataFrame, lambda c: pd.DataFrame(c, index=[3, 1, 1, 0]), pl.DataFrame, pa.table, pa.record_batch]
)
def test_columns_of_like_are_joined_by_position(make):
    table = as_dataframe(draws_with_everything_different(), like=make(LIKE))
    assert list(table.columns)[-3:] == ["rt_observed", "subject", "trial_observed"]
    joined = zip(table["trial"], table["rt_observed"], table["subject"], table["trial_observed"], strict=True)
    for trial, rt, subject, number in joined:
        assert (rt, subject, number) == (LIKE["rt"][trial], LIKE["subject"][trial], LIKE["trial"][trial])


MASKED = np.ma.masked_array([[0.4, 1.0], [0.5, 1.0]], [[True, True], [False, False]])
SILENT: dict[str, Any] = {
    "infinite": np.array([[[INF, 0.0], [0.5, 1.0]]]),
    "missing": np.array([[[NAN, NAN], [0.5, 1.0]]]),
    "infinite and missing": np.array([[[INF, NAN], [0.5, 1.0]]]),
    "masked": MASKED[None],
    "masked in a list": [MASKED],
    "masked in a tuple": (MASKED,),
}


@pytest.mark.parametrize("draws", SILENT.values(), ids=SILENT)
def test_no_response_comes_back_as_nan_and_zero(draws):
    table = as_dataframe(draws)
    assert np.isnan(table["rt"][0])
    assert table["response"].tolist() == [0, 1]
    assert table["response"].dtype == np.int64


@pytest.mark.parametrize("rest", [[NAN, NAN], [INF, 0.0]], ids=["missing", "none"])
def test_the_remedy_for_zeros_beside_omissions_works(rest):
    """It makes of 0 the lower boundary where there is an rt, and nowhere else."""
    objects, nullable = pd.Series([True, None, False], dtype=object), pd.array([1, None, 0], dtype="Int64")
    for response in ([1, 0, 0], [True, False, False], objects, nullable):
        df = pd.DataFrame({"rt": [0.5, rest[0], 0.7], "response": response})
        with pytest.raises(ValueError, match="Found unknown response codes") as caught:
            as_observed(df, **OM)
        exec(str(caught.value).partition("for instance ")[2].removesuffix("."), {"df": df})
        np.testing.assert_array_equal(as_observed(df, **OM), [PRESSED[0], PRESSED[1], CHOSEN[1]])


@pytest.mark.parametrize(
    ("draws", "like", "pieces"),
    [
        pytest.param(np.ones((2, 5)), None, (r"shape \(\.\.\., n_trials, 2\)", r"shape \(2, 5\)", "move"), id="axis"),
        pytest.param(xr.Dataset({"obs": ("x", [1.0])}), None, ("one variable", "Dataset", "choose"), id="all"),
        pytest.param(np.ones(2), None, ("last axis", r"shape \(2,\)", "transpose"), id="one axis"),
        pytest.param(CHOSEN, pd.DataFrame({"s": [1, 2]}), ("3 trials", "length 2 for like", "give"), id="short like"),
        pytest.param(CHOSEN, pd.DataFrame({"s": [1]}), ("3 trials", "length 1 for like", "give"), id="like of 1"),
        pytest.param(CHOSEN, [1, 2, 3], ("like to be a DataFrame", "type list", "convert"), id="like a list"),
        pytest.param(
            np.array([[0.5, NAN]]),
            None,
            ("code of a response", r"none in 1 of 1 rows: row 0 \(rt = 0.5, response = missing\)", "fill in"),
            id="no response",
        ),
        pytest.param(
            CHOSEN,
            pd.DataFrame({"rt": [0.1] * 3, "rt_observed": [0.2] * 3}),
            ("columns of like that stay apart", "'rt_observed' twice", "rename 'rt_observed' in like"),
            id="like of two columns that become one",
        ),
        pytest.param(np.array(CHOSEN) + 0j, None, ("draws as numbers", "type complex128", "give"), id="complex"),
        pytest.param("abc", None, ("draws as numbers", "type str that is no array", "give"), id="text"),
        pytest.param([[0.5, 1], [1]], None, ("draws as numbers", "type list that is no array", "give"), id="ragged"),
        pytest.param(
            CHOSEN,
            pd.DataFrame(np.ones((3, 2)), columns=["s", "s"]),
            ("columns have different names", "'s' 2 times", "rename"),
            id="like of two columns of one name",
        ),
        pytest.param(
            xr.DataArray(np.ones((2, 3, 2)), dims=["trial", "i", "j"]),
            None,
            ("not called trial", "dimension 'trial'", "rename"),
            id="name taken",
        ),
    ],
)
def test_mistakes_on_the_way_back(draws, like, pieces):
    expected, found, remedy = pieces
    with pytest.raises(ValueError, match=rf"^Expected .*{expected}.* Found .*{found}.* Remedy: .*{remedy}"):
        as_dataframe(draws, like=like)


# -- names, examples, imports ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "known", "message"),
    [
        ("dmd", ["ddm", "weibull"], "Unknown model 'dmd'. Known models: ddm, weibull. Did you mean 'ddm'?"),
        ("ANGLE", ["ddm", "angle"], "Unknown model 'ANGLE'. Known models: ddm, angle. Did you mean 'angle'?"),
        ("zzz", ["ddm"], "Unknown model 'zzz'. Known models: ddm."),
        ("ddm", [], "Unknown model 'ddm'. Known models: (none)."),
    ],
)
def test_unknown_names_the_nearest(name, known, message):
    assert unknown("model", name, known) == message


def test_nearest_keeps_the_spelling_of_what_is_known():
    assert nearest("trialtype", ["RT", "Trial_Type"]) == "Trial_Type"
    assert nearest("xyz", ["RT"]) is None


def test_registry_errors_are_not_value_errors():
    assert not issubclass(RegistryError, ValueError)


@pytest.mark.parametrize("module", [tables_module, data_module, errors_module], ids=["tables", "data", "errors"])
def test_examples_in_docstrings(module):
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0


def test_importing_loads_no_dataframe_library_and_no_pymc():
    # An empty package stands in for pymc_lan/__init__.py, whose own imports are not the matter here.
    package = Path(data_module.__file__).parents[1]
    code = f"""
import sys, types
sys.modules["pymc_lan"] = types.ModuleType("pymc_lan")
sys.modules["pymc_lan"].__path__ = [{str(package)!r}]
import pymc_lan.data.observed
print(sorted({{"pandas", "polars", "pymc", "pytensor", "jax"}} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
