"""Columns and labels of the user's table, and the matrix that remembers them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from pymc_lan.data.array import Observed
from pymc_lan.data.observed import as_observed, trial_type_is_go
from pymc_lan.data.tables import by_label, column, from_table, subjects, table_columns
from pymc_lan.errors import check_length

NAN = np.nan
TABLE = {
    "rt": [0.5, 0.7, 0.9, 0.6],
    "response": [1, -1, 1, -1],
    "trial_type": ["go", "go", "no-go", "go"],
    "deadline": [1.0, 2.0, 3.0, 4.0],
}


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.table])
def test_a_column_by_name_and_as_values(make):
    table = make({"rt": [0.5, 0.7], "subject": [3, 4]})
    assert table_columns(table) == ["rt", "subject"]
    found = column(table, "subject")
    assert found.dtype.kind == "i"
    assert found.tolist() == [3, 4]
    assert column(table, found) is found


@pytest.mark.parametrize("values", [[1, 0], pd.Series([1, 0]), pl.Series([1, 0]), pa.chunked_array([[1, 0]])])
def test_values_need_no_table(values):
    assert table_columns(values) is None
    assert column(np.zeros((2, 2)), values).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            pd.DataFrame({"rt": [0.5], "response": [1]}),
            r"Unknown column 'respons'\. .*: rt, response\. Did you mean 'response'\? .*trial_type",
        ),
        (np.zeros((2, 2)), r"Expected a DataFrame .*trial_type='respons' .*Found .*ndarray.*Remedy: pass"),
        (None, "Expected a DataFrame .*Found no table; data in a variable, such as pm.Data, have no .*Remedy: pass"),
    ],
)
def test_a_column_that_is_not_there(data, message):
    with pytest.raises(ValueError, match=message):
        column(data, "respons", argument="trial_type")


@pytest.mark.parametrize(
    "values",
    [
        ["go", "no-go"],
        ["GO", "NoGo"],
        np.array([" Go ", "no_go"]),
        [1, 0],
        [1.0, -1.0],
        [True, False],
        pd.Series([True, False], dtype="boolean"),
        pd.Series(["go", "nogo"], dtype="category"),
        pl.Series([1, 0]),
        pa.chunked_array([["go", "no-go"]]),
    ],
    ids=str,
)
def test_trial_type_codes(values):
    is_go = trial_type_is_go(values)
    assert is_go.dtype == bool
    assert is_go.tolist() == [True, False]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["go", "stop", "stop"], r"codes 'stop' in 2 of 3 rows: row 1 \(trial_type = 'stop'\), row 2"),
        ([1, 2], "codes 2 in 1 of 2 rows: row 1"),
        (["1", "0"], "codes '1', '0'"),
        ([1.0, NAN], "codes missing in 1 of 2 rows"),
        (pd.Series([1, None], dtype="Int64"), "codes missing in 1 of 2 rows"),
        (["go", None], "codes missing in 1 of 2 rows"),
        ([1, 0, -1], "three codes, 1, 0, -1"),
        (list("abcdefg"), "codes 'a', 'b', 'c', 'd', 'e' and 2 more in 7 of 7 rows"),
    ],
    ids=str,
)
def test_unknown_trial_type_codes(values, found):
    with pytest.raises(ValueError, match=rf"Expected trial types coded 'go' .*Found .*{found}.*Remedy: recode"):
        trial_type_is_go(values)


class Symbol:
    """Stands for a symbolic variable, of which only the static shape may be read."""

    def __init__(self, *shape: int | None):
        self.type = type("Type", (), {"shape": shape})()


@pytest.mark.parametrize("values", [0.5, [0.5], np.ones(3), pd.Series([1, 2, 3]), Symbol(), Symbol(3), Symbol(None)])
def test_lengths_that_match(values):
    check_length("v", values, 3)


@pytest.mark.parametrize(
    ("values", "scalar", "found"),
    [
        (np.ones(2), True, "length 2"),
        (Symbol(2), True, "length 2"),
        (np.ones((3, 1)), True, r"shape \(3, 1\)"),
        (1.0, False, r"shape \(\)"),
        ([1.0], False, "length 1"),
    ],
)
def test_lengths_that_do_not_match(values, scalar, found):
    with pytest.raises(ValueError, match=rf"Expected v to be .*3 trials.*Found {found} for v.*Remedy: .*v\[subject\]"):
        check_length("v", values, 3, scalar=scalar)


# -- one rule for arguments that may be a column -----------------------------------------------------------


RULE: dict[str, tuple[Any, Any, list[Any] | None]] = {
    "auto, where there is one": ("auto", pd.DataFrame(TABLE), TABLE["deadline"]),
    "auto, polars": ("auto", pl.DataFrame(TABLE), TABLE["deadline"]),
    "auto, where there is none": ("auto", pd.DataFrame({"rt": [0.5]}), None),
    "auto, of an array": ("auto", np.zeros((4, 2)), None),
    "auto, of nothing": ("auto", None, None),
    "none": (None, pd.DataFrame(TABLE), None),
    "a name": ("rt", pd.DataFrame(TABLE), TABLE["rt"]),
    "values": ([3.0, 4.0], pd.DataFrame(TABLE), [3.0, 4.0]),
    "what goes along with a matrix": ("auto", as_observed(pd.DataFrame(TABLE)), TABLE["deadline"]),
    "chosen rows of it": ("auto", as_observed(pd.DataFrame(TABLE))[[3, 1]], [4.0, 2.0]),
}


@pytest.mark.parametrize(("value", "data", "expected"), RULE.values(), ids=RULE.keys())
def test_what_an_argument_stands_for(value, data, expected):
    found = from_table(value, data, "deadline")
    assert (found if found is None else list(found)) == expected


def test_a_column_that_is_taken_is_named_once(caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO", logger="pymc_lan")
    from_table("auto", pd.DataFrame(TABLE), "deadline")
    from_table("auto", pd.DataFrame({"rt": [0.5]}), "deadline")
    from_table(None, pd.DataFrame(TABLE), "deadline")
    from_table("deadline", pd.DataFrame(TABLE), "deadline")
    [record] = caplog.records
    assert record.name == "pymc_lan"
    assert "deadline: taken from the column 'deadline'" in record.getMessage()


def test_the_wrong_name_of_what_goes_along_with_a_matrix():
    with pytest.raises(ValueError, match=r"Unknown column 'dedline'.*Did you mean 'deadline'\?"):
        from_table("dedline", as_observed(pd.DataFrame(TABLE)), "deadline")


# -- the matrix that remembers its columns ------------------------------------------------------------------


KEPT: dict[str, tuple[Callable[[Observed], Any], list[int]]] = {
    "slice": (lambda o: o[1:3], [1, 2]),
    "reversed": (lambda o: o[::-1], [3, 2, 1, 0]),
    "list": (lambda o: o[[2, 0]], [2, 0]),
    "mask": (lambda o: o[o[:, 0] > 0.55], [1, 2, 3]),
    "rows and all columns": (lambda o: o[1:, :], [1, 2, 3]),
    "rows and both columns": (lambda o: o[:, [0, 1]], [0, 1, 2, 3]),
    "copy": (lambda o: o.copy(), [0, 1, 2, 3]),
    "copy.copy": (copy.copy, [0, 1, 2, 3]),
    "copy.deepcopy": (copy.deepcopy, [0, 1, 2, 3]),
    "pickle": (lambda o: pickle.loads(pickle.dumps(o)), [0, 1, 2, 3]),
    "checked again": (as_observed, [0, 1, 2, 3]),
}


@pytest.mark.parametrize(("choose", "rows"), KEPT.values(), ids=KEPT.keys())
def test_rows_keep_their_columns(choose, rows):
    kept = choose(as_observed(pd.DataFrame(TABLE, index=list("abcd"))))
    table = pd.DataFrame(TABLE, index=list("abcd")).iloc[rows]
    assert isinstance(kept, Observed)
    np.testing.assert_array_equal(kept, table[["rt", "response"]])
    assert kept.columns["trial_type"].tolist() == table["trial_type"].tolist()
    assert kept.labels.tolist() == table.index.tolist()
    assert kept.lost == ()


PARTED: dict[str, Callable[[Observed], Any]] = {
    "concatenate": lambda o: np.concatenate([o, o]),
    "vstack": lambda o: np.vstack([o[:1], o]),
    "columns exchanged": lambda o: o[:, ::-1],
    "take": lambda o: np.take(o, [1, 2], axis=0),
    "arithmetic": lambda o: o * 1.0,
}


@pytest.mark.parametrize("compute", PARTED.values(), ids=PARTED.keys())
def test_columns_that_are_lost_are_missed(compute):
    parted = compute(as_observed(pd.DataFrame(TABLE)))
    with pytest.raises(ValueError, match=r"trials together with their column 'trial_type'.*choose rows before"):
        from_table("auto", parted, "trial_type")
    assert from_table(None, parted, "trial_type") is None
    assert from_table("auto", parted, "limit") is None


@pytest.mark.parametrize("choose", [lambda o: o, lambda o: o[::-1], lambda o: o[[1, 0]], copy.copy])
def test_rows_do_not_leave_their_columns_in_place(choose):
    with pytest.raises(ValueError, match="read-only"):
        np.random.default_rng(1).shuffle(choose(as_observed(pd.DataFrame(TABLE))))
    with pytest.raises(ValueError, match="read-only"):
        np.sort(choose(as_observed(pd.DataFrame(TABLE))), axis=0)


def test_a_single_row_and_a_single_column_are_plain_arrays():
    observed = as_observed(pd.DataFrame(TABLE))
    assert type(observed[0]) is np.ndarray
    assert type(observed[:, 0]) is np.ndarray
    assert observed.tolist() == [[0.5, 1.0], [0.7, -1.0], [0.9, 1.0], [0.6, -1.0]]


# -- labels of rows ----------------------------------------------------------------------------------------


LABELLED = pd.DataFrame(TABLE, index=[7, 3, 5, 1])
BY_LABEL: dict[str, tuple[Any, Any]] = {
    "the same order": (pd.Series([1.0, 2.0, 3.0, 4.0], index=[7, 3, 5, 1]), LABELLED),
    "another order": (pd.Series([4.0, 2.0, 1.0, 3.0], index=[1, 3, 7, 5]), LABELLED),
    "nullable": (pd.Series([4.0, 2.0, 1.0, 3.0], index=[1, 3, 7, 5], dtype="Float64"), LABELLED),
    "another order, of a matrix": (pd.Series([4.0, 2.0, 1.0, 3.0], index=[1, 3, 7, 5]), as_observed(LABELLED)),
    "repeated labels in the same order": (
        pd.Series([1.0, 2.0, 3.0, 4.0], index=[0, 0, 1, 1]),
        pd.DataFrame(TABLE, index=[0, 0, 1, 1]),
    ),
    "by position": (pd.Series([1.0, 2.0, 3.0, 4.0]), np.zeros((4, 2))),
    "by position, of nothing": (pd.Series([1.0, 2.0, 3.0, 4.0]), None),
    "polars, which has no labels": (pl.Series([1.0, 2.0, 3.0, 4.0]), LABELLED),
    "an array": (np.array([1.0, 2.0, 3.0, 4.0]), LABELLED),
}


@pytest.mark.parametrize(("value", "data"), BY_LABEL.values(), ids=BY_LABEL.keys())
def test_a_series_goes_by_its_labels(value, data):
    assert list(by_label(value, data, "v")) == [1.0, 2.0, 3.0, 4.0]


NOT_BY_LABEL: dict[str, tuple[Any, Any, str]] = {
    "other labels": (pd.Series([1.0] * 4), LABELLED, "the labels 0, 1, 2, 3, where the table has 7, 3, 5, 1"),
    "repeated in another order": (pd.Series([1.0] * 4, index=[7, 7, 3, 5]), LABELLED, "the labels 7, 3, 5, where"),
    "one for each subject": (pd.Series([1.0, 2.0], index=["a", "b"]), LABELLED, "the labels 'a', 'b', where"),
    "an array": (pd.Series([1.0] * 4, index=[7, 3, 5, 1]), np.zeros((4, 2)), "observed data without row labels"),
    "nothing": (pd.Series([1.0] * 4, index=[7, 3, 5, 1]), None, "no observed table"),
}


@pytest.mark.parametrize(("value", "data", "found"), NOT_BY_LABEL.values(), ids=NOT_BY_LABEL.keys())
def test_labels_that_do_not_match(value, data, found):
    with pytest.raises(ValueError, match=rf"Expected a Series as v .* Found .*{found}.* Remedy: give .to_numpy\(\)"):
        by_label(value, data, "v")


@pytest.mark.parametrize("name", ["subject", "Participant", "subj_idx", "Subject ID"])
def test_whose_trial_it_is(name):
    found = subjects(pd.DataFrame({"rt": [0.5], name: ["a"]}))
    assert found is not None
    assert found[0] == name
    assert subjects(pd.DataFrame({"rt": [0.5]})) is None
    assert subjects(np.zeros((1, 2))) is None
