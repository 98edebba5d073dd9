"""What people pass in, as a table: a form of data or of parameters has the value of the plain one, or a sentence.

The table serves other tests, too: `TAKEN` holds what makes a model (`model_of`), `REFUSED` what makes none. Libraries
are those of the dev group; values are those of `oracle`, which knows nothing of the package.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import oracle
import pandas as pd
import polars
import pyarrow as pa
import pymc as pm
import pytensor.tensor as pt
import pytest
import xarray as xr
from backends import perform
from tables import one_of_a_kind

import pymc_lan as pl
from pymc_lan.data.tables import table_columns
from pymc_lan.plots.trials import read_trials

NAN, INF = np.nan, np.inf
PACKAGE = Path(pl.__file__).parent

# What all the forms below stand for, in the cells and numbers that `oracle` reads.
CHOICES: dict[str, list[Any]] = {"rt": [0.5, 0.7, 0.9, 0.6], "response": [1, -1, 1, 1]}
PRESSES: dict[str, list[Any]] = {"rt": [0.5, None, 0.9, None], "response": [1, 0, 1, 0]}
TYPES, ENDS = ["go", "no-go", "go", "go"], [1.0, 1.5, 1.25, 2.0]
THETA: dict[str, Any] = {"v": 0.6, "a": 1.0, "z": 0.5, "t": 0.3}
DRIFTS, SHARES = [0.5, -0.25, 1.0, 0.75], [0.5, 0.0, 0.125, 0.25]

ROWS = np.array([[0.5, 1.0], [0.7, -1.0], [0.9, 1.0], [0.6, 1.0]])
PRESS_ROWS = np.array([[0.5, 1.0], [INF, 0.0], [0.9, 1.0], [INF, 0.0]])
CHOSEN = pd.DataFrame(CHOICES)
PRESSED = pd.DataFrame(PRESSES)
COLUMN = {"a": [[0.5], [0.7], [0.9], [0.6]], "d": [{"k": 1}] * 4}


@dataclass(frozen=True)
class Form:
    """Arguments of a distribution, in a form that somebody may give them.

    Parameters
    ----------
    make : callable
        Makes those that are not the plain ones, within the model.
    go_nogo : bool
    plain : mapping
        What they stand for, as `oracle` takes it.
    """

    make: Callable[[], dict[str, Any]]
    go_nogo: bool = False
    plain: Mapping[str, Any] = field(default_factory=dict)

    @property
    def value(self) -> Any:
        """Log density of each trial."""
        if self.go_nogo:
            return oracle.presses(PRESSES, **{**THETA, **self.plain})
        return oracle.choices(CHOICES, **{**THETA, **self.plain})


def add(form: Form, **more: Any) -> None:
    """Add an observed variable `obs` with these arguments to the model at hand; `more` replaces plain ones."""
    given = {**THETA, "likelihood": "exact", "observed": PRESSED if form.go_nogo else CHOSEN, **form.make(), **more}
    (pl.GoNoGoDDM if form.go_nogo else pl.DDM)("obs", **given)


def model_of(form: Form, **more: Any) -> pm.Model:
    """A model of nothing but an observed variable `obs` with these arguments."""
    with pm.Model() as model:
        add(form, **more)
    return model


def observed(make: Callable[[], Any], **more: Any) -> Form:
    """Two-choice trials."""
    return Form(lambda: {"observed": make()} | more)


def presses(make: Callable[[], Any], types: Any = None, ends: Any = INF, **more: Any) -> Form:
    """Go/no-go trials, with what types and deadlines they stand for."""
    return Form(lambda: {"observed": make()} | more, True, {"trial_type": types, "deadline": ends})


def values(argument: str, plain: Any, make: Callable[[Any], Any]) -> Form:
    """An argument in a form that is made of plain numbers."""
    more = {"lapse_window": 2.0} if argument == "p_lapse" else {}
    if argument == "lapse_window":
        more = {"p_lapse": 0.25}
    go_nogo = argument in ("deadline", "v_nogo")
    if argument == "v_nogo":
        return Form(lambda: {argument: make(plain), "trial_type": TYPES}, True, {argument: plain, "trial_type": TYPES})
    return Form(lambda: {argument: make(plain)} | more, go_nogo, {argument: plain} | more)


def labelled(rows: Any, columns: list[str]) -> xr.DataArray:
    return xr.DataArray(rows, dims=["trial", "column"], coords={"column": columns})


# ---- observed data

TAKEN: dict[str, Form] = {
    "pandas": observed(lambda: CHOSEN),
    "pandas, labelled": observed(lambda: CHOSEN.set_index(pd.Index(list("abcd")))),
    "pandas, rows by subject and trial": observed(
        lambda: CHOSEN.set_index(pd.MultiIndex.from_product([[0, 1], [0, 1]], names=["subject", "trial"]))
    ),
    "pandas, nullable": observed(lambda: CHOSEN.convert_dtypes()),
    "pandas, arrow": observed(lambda: CHOSEN.convert_dtypes(dtype_backend="pyarrow")),
    "pandas, objects": observed(lambda: CHOSEN.astype(object)),
    "pandas, sparse": observed(lambda: CHOSEN.astype({"rt": pd.SparseDtype(float)})),
    "pandas, categories": observed(lambda: CHOSEN.astype({"response": "category"})),
    "pandas, single precision": observed(lambda: CHOSEN.assign(response=np.int8([1, -1, 1, 1]))),
    "pandas, nothing but two columns": observed(lambda: pd.DataFrame(ROWS)),
    "pandas, more columns with numbers for names": observed(lambda: CHOSEN.assign(x=1).rename(columns={"x": 3})),
    "pandas, a column without a name": observed(lambda: CHOSEN.assign(x=1).rename(columns={"x": None})),
    "pandas, a column of arrays": observed(lambda: CHOSEN.assign(gaze=COLUMN["a"])),
    "pandas, a column of intervals": observed(lambda: CHOSEN.assign(bin=pd.IntervalIndex.from_breaks(range(5)))),
    "polars": observed(lambda: polars.DataFrame(CHOICES)),
    "polars, lazy": observed(lambda: polars.LazyFrame(CHOICES)),
    "polars, a column of structs": observed(lambda: polars.DataFrame(CHOICES | {"more": COLUMN["d"]})),
    "polars, a column of lists": observed(lambda: polars.DataFrame(CHOICES | {"more": COLUMN["a"]})),
    "polars, a column of objects": observed(
        lambda: polars.DataFrame(CHOSEN).with_columns(polars.Series("more", [Path()] * 4, dtype=polars.Object))
    ),
    "pyarrow": observed(lambda: pa.table(CHOICES)),
    "pyarrow, a batch": observed(lambda: pa.record_batch(CHOICES)),
    "pyarrow, a batch in another order": observed(
        lambda: pa.record_batch({name: CHOICES[name] for name in ("response", "rt")})
    ),
    "pyarrow, a dictionary": observed(
        lambda: pa.table({"rt": CHOICES["rt"], "response": pa.array(CHOICES["response"]).dictionary_encode()})
    ),
    "pyarrow, decimals": observed(
        lambda: pa.table({"rt": [Decimal(str(x)) for x in CHOICES["rt"]], "response": CHOICES["response"]})
    ),
    "narwhals": observed(lambda: nw.from_native(CHOSEN)),
    "xarray, a Dataset": observed(lambda: xr.Dataset({name: ("trial", x) for name, x in CHOICES.items()})),
    "xarray, a Dataset by subject and trial": observed(
        lambda: xr.Dataset({name: (("subject", "trial"), np.reshape(x, (2, 2))) for name, x in CHOICES.items()})
    ),
    "xarray, a DataArray": observed(lambda: xr.DataArray(ROWS, dims=["trial", "column"])),
    "xarray, columns by their labels": observed(lambda: labelled(ROWS[:, ::-1], ["response", "rt"])),
    "xarray, columns by their labels, as rows": observed(lambda: labelled(ROWS, ["rt", "response"]).T),
    "xarray, columns of several subjects": observed(
        lambda: xr.DataArray(
            ROWS[:, ::-1].reshape(2, 2, 2), dims=["s", "k", "column"], coords={"column": ["response", "rt"]}
        )
    ),
    "array": observed(lambda: ROWS),
    "array of objects": observed(lambda: ROWS.astype(object)),
    "array that is masked nowhere": observed(lambda: np.ma.masked_array(ROWS, np.zeros(ROWS.shape))),
    "lists": observed(lambda: ROWS.tolist()),
    "tuples": observed(lambda: tuple(map(tuple, ROWS.tolist()))),
    "a list of arrays": observed(lambda: list(ROWS)),
    "a matrix of as_observed": observed(lambda: pl.as_observed(CHOSEN)),
    "pm.Data": observed(lambda: pm.Data("data", ROWS)),
    "a constant": observed(lambda: pt.constant(ROWS)),
    "(subject, trial, 2)": observed(lambda: ROWS.reshape(2, 2, 2)),
    "(subject, trial, 2) of as_observed": observed(lambda: pl.as_observed(ROWS.reshape(2, 2, 2))),
    "(subject, trial, 2) in pm.Data": observed(lambda: pm.Data("data", ROWS.reshape(2, 2, 2))),
    "(group, subject, trial, 2)": observed(lambda: ROWS.reshape(1, 2, 2, 2)),
    "responses 0 and 1": observed(lambda: CHOSEN.assign(response=[1, 0, 1, 1])),
    "responses 0 and 1 of an array": observed(lambda: np.where(ROWS == -1, 0, ROWS)),
    "responses True and False": observed(lambda: CHOSEN.assign(response=[True, False, True, True])),
    "responses True and False, nullable": observed(
        lambda: CHOSEN.assign(response=pd.array([True, False, True, True], dtype="boolean"))
    ),
    "responses True and False of rows": observed(
        lambda: [[rt, response == 1] for rt, response in ROWS.tolist()],
    ),
    "responses True and False as objects": observed(
        lambda: CHOSEN.assign(response=pd.Series([True, False, True, True], dtype=object))
    ),
    "responses in words": observed(
        lambda: CHOSEN.assign(response=["right", "left", "right", "right"]), response={"left": -1, "right": 1}
    ),
    "responses in words, polars": observed(
        lambda: polars.DataFrame(CHOICES | {"response": ["a", "b", "a", "a"]}), response={"a": 1, "b": -1}
    ),
    "responses 1 and 2": observed(lambda: CHOSEN.assign(response=[2, 1, 2, 2]), response={1: -1, 2: 1}),
    "responses by another name": observed(lambda: CHOSEN.rename(columns={"response": "key"}), response="key"),
    # Go/no-go
    "presses, pandas": presses(lambda: PRESSED),
    "presses without responses": presses(lambda: PRESSED[["rt"]]),
    "presses, polars": presses(lambda: polars.DataFrame(PRESSES)),
    "presses, pyarrow": presses(lambda: pa.table(PRESSES)),
    "presses, nullable": presses(lambda: PRESSED.convert_dtypes()),
    "presses, rows with empty text": presses(lambda: [[0.5, 1], ["", 0], [0.9, 1], [" ", ""]]),
    "presses, rows with None": presses(lambda: [[0.5, 1], [None, 0], [0.9, 1], [None, None]]),
    "presses, masked": presses(
        lambda: np.ma.masked_array(np.where(PRESS_ROWS < INF, PRESS_ROWS, 0.1), PRESS_ROWS == INF)
    ),
    "presses, (subject, trial, 2)": presses(lambda: PRESS_ROWS.reshape(2, 2, 2)),
    "presses as go and nogo": presses(
        lambda: PRESSED.assign(response=["go", "nogo", "go", "nogo"]), response={"go": 1, "nogo": 0}
    ),
    "presses True and False": presses(lambda: PRESSED.assign(response=[True, False, True, False])),
    "types, a column": presses(lambda: PRESSED.assign(trial_type=TYPES), TYPES),
    "types by another name": presses(lambda: PRESSED.assign(cue=TYPES), TYPES, trial_type="cue"),
    "types as target and notarget": presses(
        lambda: PRESSED.assign(trial_type=["target", "notarget", "target", "target"]),
        TYPES,
        trial_type={"target": "go", "notarget": "no-go"},
    ),
    "types as target and notarget, polars": presses(
        lambda: polars.DataFrame(PRESSES | {"trial_type": ["target", "notarget", "target", "target"]}),
        TYPES,
        trial_type={"target": 1, "notarget": 0},
    ),
    "types, a batch": presses(lambda: pa.record_batch(PRESSES | {"trial_type": TYPES}), TYPES),
    "types, more columns of xarray": presses(
        lambda: labelled(
            np.column_stack([np.where(PRESS_ROWS < INF, PRESS_ROWS, NAN), [1, 0, 1, 1]]),
            ["rt", "response", "trial_type"],
        ),
        TYPES,
    ),
    "types, what is missing is listed as None": presses(
        lambda: PRESSED.assign(trial_type=["a", None, "a", "a"]), TYPES, trial_type={None: "no-go", "a": "go"}
    ),
    "types, what is missing is listed as NaN": presses(
        lambda: PRESSED.assign(trial_type=[1.0, NAN, 1.0, 1.0]), TYPES, trial_type={float("nan"): "no-go", 1: "go"}
    ),
    "types, polars": presses(lambda: PRESSED, TYPES, trial_type=polars.Series(TYPES)),
    "types, pyarrow": presses(lambda: PRESSED, TYPES, trial_type=pa.array(TYPES)),
    "types, xarray": presses(lambda: PRESSED, TYPES, trial_type=xr.DataArray(TYPES, dims="trial")),
    "types, booleans": presses(lambda: PRESSED, TYPES, trial_type=[True, False, True, True]),
    "types, (subject, trial)": presses(
        lambda: PRESS_ROWS.reshape(2, 2, 2), TYPES, trial_type=np.reshape(TYPES, (2, 2))
    ),
    "ends, a column": presses(lambda: PRESSED.assign(deadline=ENDS), None, ENDS),
    "ends, a column of objects": presses(lambda: PRESSED.assign(deadline=pd.Series(ENDS, dtype=object)), None, ENDS),
    "ends, a column of decimals": presses(
        lambda: pa.table(PRESSES | {"deadline": [Decimal(x) for x in ENDS]}), None, ENDS
    ),
    "ends by another name": presses(lambda: PRESSED.assign(limit=ENDS), None, ENDS, deadline="limit"),
    "ends in words": presses(
        lambda: PRESSED.assign(deadline=["short", "long", "short", "long"]),
        None,
        [1.0, 2.0, 1.0, 2.0],
        deadline={"short": 1.0, "long": 2.0},
    ),
    "ends, (subject, 1)": presses(
        lambda: PRESS_ROWS.reshape(2, 2, 2), None, [1.0, 1.0, 2.0, 2.0], deadline=np.array([[1.0], [2.0]])
    ),
    "ends, by their labels": presses(
        lambda: PRESSED.set_index(pd.Index(list("abcd"))),
        None,
        ENDS,
        deadline=xr.DataArray(ENDS[::-1], dims="trial", coords={"trial": list("dcba")}),
    ),
    "drifts, by the labels of a Dataset": Form(
        lambda: {
            "observed": xr.Dataset({k: ("trial", x) for k, x in CHOICES.items()}, coords={"trial": [3, 2, 1, 0]}),
            "v": xr.DataArray(DRIFTS[::-1], dims="trial", coords={"trial": [0, 1, 2, 3]}),
        },
        plain={"v": DRIFTS},
    ),
    "drifts, by one of the dimensions of a Dataset": Form(
        lambda: {
            "observed": xr.Dataset({k: (("s", "k"), np.reshape(x, (2, 2))) for k, x in CHOICES.items()}),
            "v": xr.DataArray([0.5, -0.25], dims="s"),
        },
        plain={"v": [0.5, 0.5, -0.25, -0.25]},
    ),
    "drifts, (subject, 1) in pm.Data": Form(
        lambda: {"observed": ROWS.reshape(2, 2, 2), "v": pm.Data("given", np.array([[0.5], [-0.25]]))},
        plain={"v": [0.5, 0.5, -0.25, -0.25]},
    ),
    "drifts, (subject, 1) in pm.Data, and trials, too": Form(
        lambda: {
            "observed": pm.Data("data", ROWS.reshape(2, 2, 2)),
            "v": pm.Data("given", np.array([[0.5], [-0.25]])),
        },
        plain={"v": [0.5, 0.5, -0.25, -0.25]},
    ),
    "drifts, (subject, 1)": Form(
        lambda: {"observed": ROWS.reshape(2, 2, 2), "v": np.array([[0.5], [-0.25]])},
        plain={"v": [0.5, 0.5, -0.25, -0.25]},
    ),
    "drifts, (subject, 1), and lists of lists": Form(
        lambda: {"observed": ROWS.reshape(2, 2, 2).tolist(), "v": [[0.5], [-0.25]]},
        plain={"v": [0.5, 0.5, -0.25, -0.25]},
    ),
    "drifts, (trial,) of each subject": Form(
        lambda: {"observed": ROWS.reshape(2, 2, 2), "v": [0.5, -0.25]}, plain={"v": [0.5, -0.25, 0.5, -0.25]}
    ),
}

# ---- parameters, deadlines and shares, as one value for each trial

PER_TRIAL: dict[str, Callable[[Any], Any]] = {
    "a list": list,
    "a tuple": tuple,
    "an array": np.array,
    "single precision": np.float32,
    "a memoryview": lambda x: memoryview(np.array(x)),
    "pandas": pd.Series,
    "pandas, nullable": lambda x: pd.Series(x, dtype="Float64"),
    "pandas, arrow": lambda x: pd.Series(x, dtype="float64[pyarrow]"),
    "pandas, objects": lambda x: pd.Series(x, dtype=object),
    "pandas, categories": lambda x: pd.Series(x, dtype="category"),
    "pandas, an Index": pd.Index,
    "pandas, an array": lambda x: pd.array(x, dtype="Float64"),
    "polars": polars.Series,
    "polars, decimals": lambda x: polars.Series([Decimal(str(each)) for each in x]),
    "pyarrow": pa.array,
    "pyarrow, in chunks": lambda x: pa.chunked_array([x[:1], x[1:]]),
    "xarray": lambda x: xr.DataArray(x, dims="trial"),
    "xarray, with coordinates": lambda x: xr.DataArray(x, dims="trial", coords={"trial": [7, 5, 3, 1]}),
    "narwhals": lambda x: nw.from_native(polars.Series(x), series_only=True),
    "masked nowhere": lambda x: np.ma.masked_array(x, [False] * len(x)),
    "a constant": pt.constant,
    "pm.Data": lambda x: pm.Data("given", x),
}
TAKEN |= {f"v, {name}": values("v", DRIFTS, make) for name, make in PER_TRIAL.items()}
TAKEN |= {
    f"{argument}, {name}": values(argument, plain, PER_TRIAL[name])
    for argument, plain in {"v_nogo": DRIFTS, "deadline": ENDS, "p_lapse": SHARES, "lapse_window": ENDS}.items()
    for name in ("pandas, objects", "polars", "polars, decimals", "pyarrow", "xarray", "pm.Data")
}
TAKEN |= {
    "v, a whole number": values("v", 1, int),
    "v, an array of no dimension": values("v", 0.5, np.array),
    "v, xarray of no dimension": values("v", 0.5, xr.DataArray),
    "v, one in a list": values("v", 0.5, lambda x: [x]),
    "deadline, infinite": values("deadline", INF, float),
}

# ---- what has a sentence

NUMBERS = r"Expected numbers, or a PyTensor variable, as v\. Found {}.* Remedy: give v as a number"
TABLE = r"Expected a DataFrame, or an array of shape .* Found an object of type {}.* Remedy: pass a DataFrame"


def column(**cells: Any) -> Callable[[], dict[str, Any]]:
    """A table of two choices of which some column is another."""
    return lambda: {"observed": pd.DataFrame({**CHOICES, **{k: pd.Series(x, dtype=object) for k, x in cells.items()}})}


def given(**arguments: Any) -> Callable[[], dict[str, Any]]:
    return lambda: {name: x() if callable(x) and not isinstance(x, type) else x for name, x in arguments.items()}


REFUSED: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "three columns with numbers for names": (
        given(observed=pd.DataFrame(np.column_stack([ROWS, [1, 2, 3, 4]]))),
        r"no column 'rt' and no column 'response' among 0, 1, 2\. Remedy: rename the columns, by text",
    ),
    "two levels of column names": (
        given(observed=pd.DataFrame(ROWS, columns=pd.MultiIndex.from_tuples([("a", "rt"), ("a", "response")]))),
        r"among \('a', 'rt'\), \('a', 'response'\)\. Remedy: rename the columns, by text",
    ),
    "the name of a column as a number": (given(response=1), r"Expected the name of a column as response.* Found 1\."),
    "times in arrays": (column(rt=COLUMN["a"]), r"Expected numbers of seconds.*row 0 \(rt = \[0\.5\]\)"),
    "times in structs": (
        given(observed=polars.DataFrame({"rt": COLUMN["d"], "response": CHOICES["response"]})),
        r"Expected numbers of seconds.*row 0 \(rt = \{'k': 1\}\)",
    ),
    "times as text": (given(observed=ROWS.astype(str)), r"Expected numbers of seconds.*rt = '0\.5'"),
    "times of 400 digits": (
        column(rt=[10**400, 1, 1, 1]),
        r"numbers of seconds.* 1 of 4 rows: row 0 \(rt = 10{60,}\.\.\.",
    ),
    "durations": (column(rt=pd.to_timedelta([1, 2, 3, 4], unit="s")), "Expected numbers of seconds.*total_seconds"),
    "complex times": (given(observed=ROWS.astype(complex)), "Expected numbers of seconds"),
    "responses in arrays": (column(response=[np.ones(2)] * 4), r"unknown response codes array\(\[1\., 1\.\]\)"),
    "responses -1, 0 and 1": (column(response=[1, 0, -1, 1]), "unknown response codes 0 in 1 of 4 rows: row 1"),
    "responses in unknown words": (
        lambda: column(response=["left", "right", "none", "right"])() | {"response": {"left": -1, "right": 1}},
        r"Expected nothing but 'left', 'right' where response=.* Found others, 'none', in 1 of 4 rows: row 2",
    ),
    "responses 0 and 1 in pm.Data": (
        given(observed=lambda: pm.Data("data", np.where(ROWS == -1, 0, ROWS))),
        r"rows \[rt, response\] as pl\.as_observed makes them.* 1 of 4 rows: row 1 \(rt = 0\.7, response = 0\.0\)",
    ),
    "times True among numbers": (given(observed=[[0.5, 1], [True, -1]]), r"numbers of seconds.*row 1 \(rt = True\)"),
    "a list for a response": (
        given(response={1: [1, 2], -1: -1}),
        r"cells and the number or the text that each stands for, as response=\{cell: .* Found \{1: \[1, 2\], -1: -1\}",
    ),
    "nothing for responses": (
        given(response={}),
        r"as response=\{cell: \.\.\.\}\. Found \{\}\. Remedy: list every cell",
    ),
    "responses in words, of pm.Data": (
        given(observed=lambda: pm.Data("data", ROWS), response={"left": -1}),
        r"a table beside response=.* Found response=\{'left': -1\} and observed data in a variable",
    ),
    "responses by a name, of nothing": (
        given(observed=None, response="key"),
        r"observed trials beside response=.* none",
    ),
    "rows of a minibatch": (
        given(observed=lambda: pm.Minibatch(np.where(ROWS == 0.9, -0.2, ROWS), batch_size=2), total_size=4),
        r"'rt' above 0 s.* 1 of 4 rows: row 2",
    ),
    "responses of a minibatch": (
        given(observed=lambda: pm.Minibatch(pm.Data("data", np.where(ROWS == -1, 2, ROWS)), batch_size=2)),
        r"unknown response codes 2\.0 in 1 of 4 rows: row 1",
    ),
    "v, other labels": (
        given(
            observed=CHOSEN.set_index(pd.Index(list("abcd"))),
            v=xr.DataArray(DRIFTS, dims="trial", coords={"trial": list("abce")}),
        ),
        r"a DataArray as v .* Found the labels 'a', 'b', 'c', 'e' of 'trial', where the observed data have 'a', ",
    ),
    "v, another dimension beside that of the trials": (
        given(
            observed=xr.Dataset({name: ("trial", x) for name, x in CHOICES.items()}),
            v=xr.DataArray([DRIFTS], dims=["x", "trial"]),
        ),
        r"Found \('x', 'trial'\), where the observed data have \('trial',\)",
    ),
    "total size as text": (given(total_size="40"), "total_size as a whole number, 1 or more. Found total_size='40'"),
    "total size below 0": (
        given(total_size=(-1, None)),
        "total_size as a whole number, 1 or more. Found total_size=-1",
    ),
    "dimensions that are no names": (given(dims=5), "dims as the name of the trials' dimension. Found 5"),
    "a dimension that nobody knows": (given(dims="trial"), r"dims that the model knows: \(none\)\. Found 'trial'"),
    "more dimensions than axes": (given(dims=("a", "b", "c")), "1 names as dims, one for each axis.* Found 3"),
    "subjects in arrays": (column(subject=COLUMN["a"]), r"Expected labels in 'subject', texts or numbers\."),
    "subjects in structs": (
        given(observed=polars.DataFrame({**CHOICES, "subject": COLUMN["d"]})),
        r"Expected labels in 'subject'.*row 0 \(subject = \{'k': 1\}\)",
    ),
    "whether responses are right": (
        given(observed=CHOSEN.rename(columns={"response": "correct"})),
        r"no column 'response' among 'rt', 'correct'\. Remedy: .*'correct' seems to say whether a response was right",
    ),
    "which response is right": (
        given(observed=CHOSEN.rename(columns={"response": "correct_response"})),
        r"no column 'response' among 'rt', 'correct_response'\. Remedy: ",
    ),
    "an empty Dataset": (
        given(observed=xr.Dataset()),
        "Expected a Dataset whose variables all have.* Found no variables",
    ),
    "a Dataset of several things": (
        given(observed=xr.Dataset({"rt": ("trial", CHOICES["rt"]), "response": ("time", [1, -1])})),
        r"Expected a Dataset whose variables all have.* Found rt of \('trial',\), response of \('time',\)",
    ),
    "a Dataset of numbers": (given(observed=xr.Dataset({"rt": 0.5, "response": 1})), "Expected a Dataset whose var"),
    "a Series": (given(observed=CHOSEN["rt"]), TABLE.format("Series, shape")),
    "a dict": (given(observed=CHOICES), TABLE.format("dict")),
    "a list of dicts": (given(observed=CHOSEN.to_dict("records")), TABLE.format("list")),
    "records": (given(observed=CHOSEN.to_records(index=False)), TABLE.format("recarray")),
    "groups": (given(observed=lambda: CHOSEN.groupby("response")), TABLE.format("DataFrameGroupBy")),
    "a generator": (given(observed=lambda: (row for row in ROWS.tolist())), TABLE.format("generator")),
    "a path": (given(observed=Path("trials.csv")), TABLE.format("PosixPath|WindowsPath")),
    "the name of a file": (given(observed="trials.csv"), TABLE.format("str")),
    "a number": (given(observed=0.5), TABLE.format("float")),
    "rows of different lengths": (
        given(observed=[[0.5, 1], [0.7]]),
        TABLE.format("list, shape with rows of different"),
    ),
    "columns as rows": (given(observed=ROWS.T), TABLE.format(r"ndarray, shape \(2, 4\)")),
    "(subject, trial, 3)": (given(observed=np.ones((2, 2, 3))), TABLE.format(r"ndarray, shape \(2, 2, 3\)")),
    "one bad time of several subjects": (
        given(observed=np.where(ROWS == 0.9, -0.2, ROWS).reshape(2, 2, 2)),
        r"'rt' above 0 s.*1 of 4 rows: row 2",
    ),
    "one drift too many for several subjects": (
        given(observed=ROWS.reshape(2, 2, 2), v=np.ones(3)),
        r"v to be a scalar or one value for each of the trials, of shape \(2, 2\)\. Found length 3.* v\[:, None\]",
    ),
    "responses by a name, of rows": (
        given(observed=ROWS, response="key"),
        r"Expected a table, because response='key' names a column\. Found rows .* pl\.as_observed\(df, response=",
    ),
    "responses by a name, of as_observed": (
        given(observed=pl.as_observed(CHOSEN.assign(key=[1, 1, -1, 1])), response="key"),
        r"Expected a table, because response='key' names a column\.",
    ),
    "v, labels that are no numbers": (
        given(observed=ROWS, v=pd.Series(DRIFTS, index=pd.MultiIndex.from_product([[0, 1], [0, 1]]))),
        r"Found the labels .* observed data without row labels",
    ),
    "v, an index from the end, of subjects and trials": (
        given(observed=ROWS.reshape(2, 2, 2), v=lambda: pt.constant(DRIFTS)[np.array([[0], [-1]])]),
        r"numbers from 0 on as the index of each trial in v.* Found negative ones",
    ),
    "v True": (given(v=True), NUMBERS.format("True, of type bool")),
    "v, booleans": (given(v=[True, False, True, True]), NUMBERS.format("True, False, of type bool")),
    "v, booleans of polars": (given(v=polars.Series([True] * 4)), NUMBERS.format("True, of type bool")),
    "v, text": (given(v="1.0"), NUMBERS.format(r"'1\.0'")),
    "v, texts": (given(v=["1.0", "2", "3", "4"]), NUMBERS.format(r"'1\.0', '2', '3', '4'")),
    "v, texts of polars": (given(v=polars.Series(["1"] * 4)), NUMBERS.format("'1'")),
    "v, True beside numbers": (given(v=[True, 0.5, 0.5, 0.5]), NUMBERS.format(r"True, 0\.5, of type object")),
    "v, text beside numbers": (given(v=[1.0, "2", 0.5, 0.5]), NUMBERS.format(r"1\.0, '2', 0\.5, of type object")),
    "v, a Decimal": (given(v=Decimal("1.0")), NUMBERS.format(r"Decimal\('1\.0'\)")),
    "v, a Fraction": (given(v=Fraction(1, 2)), NUMBERS.format(r"Fraction\(1, 2\)")),
    "v, objects": (given(v=np.array(DRIFTS, dtype=object)), NUMBERS.format(".*of type object")),
    "v, None among numbers": (given(v=[1.0, None, 0.5, 0.5]), NUMBERS.format(r"1\.0, missing, 0\.5, of type object")),
    "v, missing in a column": (given(v=polars.Series([1.0, None, 0.5, 0.5])), "a number for v on every trial.*row 1"),
    "v, masked": (given(v=np.ma.masked_array(DRIFTS, [0, 1, 0, 0])), "a number for v on every trial.*row 1"),
    "v, missing in an array of pandas": (given(v=pd.array([1, None, 0, 0])), "a number for v on every trial.*row 1"),
    "v, structs": (given(v=polars.Series(COLUMN["d"])), NUMBERS.format(r"\{'k': 1\}")),
    "v, lists in a column": (given(v=polars.Series(COLUMN["a"])), NUMBERS.format("array")),
    "v, lists of different lengths": (given(v=[[1.0], [1.0, 2.0]]), NUMBERS.format("an object of type list")),
    "v, an expression of polars": (given(v=polars.col("v")), NUMBERS.format("<Expr")),
    "v, a Dataset": (given(v=xr.Dataset({"v": ("trial", DRIFTS)})), NUMBERS.format("an object of type Dataset")),
    "v, a scalar of pyarrow": (given(v=pa.scalar(1.0)), NUMBERS.format("<pyarrow.DoubleScalar")),
    "v, a dict": (given(v={"a": 1.0}), NUMBERS.format(r"\{'a': 1\.0\}")),
    "v, a set": (given(v={1.0}), NUMBERS.format(r"\{1\.0\}")),
    "v, a generator": (given(v=lambda: (x for x in DRIFTS)), NUMBERS.format("<generator")),
    "v, a type": (given(v=float), NUMBERS.format("<class 'float'>")),
    "v, a complex number": (given(v=1j), NUMBERS.format("1j")),
    "v, a complex variable": (given(v=lambda: pt.constant(1j)), NUMBERS.format("a variable of type .*complex128")),
    "v, bytes": (given(v=b"1"), NUMBERS.format("b'1'")),
    "v, a date": (given(v=pd.Timestamp(0)), NUMBERS.format("Timestamp")),
    "v, a duration": (given(v=np.timedelta64(1, "s")), NUMBERS.format("1 seconds")),
    "v, 400 digits": (given(v=10**400), NUMBERS.format(r"10{60,}\.\.\.")),
    "v, a list of variables": (
        given(v=lambda: [pt.scalar(), 1.0, 1.0, 1.0]),
        NUMBERS.format("<Scalar") + r".*pt\.stack",
    ),
    "v, a table": (given(v=pd.DataFrame({"v": DRIFTS})), r"v to be a scalar or one value .*Found shape \(4, 1\) for v"),
    "v, a row": (given(v=[DRIFTS]), r"v to be a scalar or one value .*Found shape \(1, 4\) for v"),
    "v, nothing in it": (given(v=[]), "v to be a scalar or one value .*Found length 0 for v"),
    "p_lapse True": (given(p_lapse=True), "Expected numbers, or a PyTensor variable, as p_lapse. Found True"),
    "p_lapse, a Decimal": (given(p_lapse=Decimal("0.1")), "as p_lapse. Found Decimal"),
    "lapse_window, text": (given(p_lapse=0.1, lapse_window="2.0"), "as lapse_window. Found '2.0'"),
    "lapse_window, booleans": (given(p_lapse=0.1, lapse_window=[True] * 4), "as lapse_window. Found True"),
    "an argument of another name": (given(lapse=0.1), r"Unknown parameter .*'lapse'.* Did you mean 'p_lapse'\?"),
}
REFUSED_PRESSES: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "deadline True": (given(deadline=True), r"Expected a deadline above 0 s.* row 0 \(deadline = True\)"),
    "deadline, a Decimal": (given(deadline=Decimal("1.5")), r"a deadline above 0 s.* row 0 \(deadline = Decimal"),
    "deadline, objects": (given(deadline=np.array(ENDS, dtype=object)), r"a deadline above 0 s.* 4 of 4 rows: row 0"),
    "deadline, the name of no column": (given(deadline="1.5"), r"Unknown column '1\.5'"),
    "deadline, missing in a column": (
        given(deadline=polars.Series([1.0, None, 1.0, 1.0])),
        "a deadline above 0 s.* row 1",
    ),
    "deadline True, of a word": (
        given(observed=PRESSED.assign(deadline=list("abab")), deadline={"a": True, "b": 1.5}),
        r"a deadline above 0 s.* row 0 \(deadline = True\)",
    ),
    "deadline, a Decimal, of a word": (
        given(observed=PRESSED.assign(deadline=list("abab")), deadline={"a": Decimal("1.5"), "b": 1.5}),
        r"a deadline above 0 s.* row 0 \(deadline = Decimal",
    ),
    "types in words, of pm.Data": (
        given(observed=lambda: pm.Data("data", PRESS_ROWS), trial_type={"a": 1}),
        r"trial_type=\{\.\.\.\} says what the cells .* Found no table; data in a variable, such as pm\.Data",
    ),
    "deadline by a name, of nothing": (
        given(observed=None, deadline="limit"),
        "deadline='limit' names .* Found no table",
    ),
    "types in unknown words": (
        given(observed=PRESSED.assign(trial_type=["target", "foil", "target", "foil"])),
        r"unknown trial-type codes 'target', 'foil' .* trial_type=\{'target': 'go'",
    ),
    "types in words that are not listed": (
        given(
            observed=PRESSED.assign(trial_type=["target", "foil", "target", "x"]), trial_type={"target": 1, "foil": 0}
        ),
        r"nothing but 'target', 'foil' where trial_type=.* others, 'x', in 1 of 4 rows: row 3",
    ),
    "types in words, without a table": (
        given(observed=PRESS_ROWS, trial_type={"a": 1}),
        "Expected a DataFrame as observed",
    ),
    "presses in words": (
        given(observed=PRESSED.assign(response=["go", "nogo", "go", "nogo"])),
        r"unknown response codes 'go', 'nogo' .* response=\{'go': 1, 'nogo': 0\}",
    ),
    "the drift on no-go trials by another name": (
        given(vnogo=0.1),
        r"Unknown parameter .*'vnogo'.* Did you mean 'v_nogo'\?",
    ),
}


def test_the_table_is_long_enough() -> None:
    assert len(TAKEN) + len(REFUSED) + len(REFUSED_PRESSES) >= 60


# One of each kind: what was a traceback, or false, before.
TYPICAL = (
    *("pandas, nothing but two columns", "polars, a column of structs", "xarray, a Dataset", "(subject, trial, 2)"),
    *("responses True and False as objects", "responses in words", "presses, rows with empty text"),
    *("types as target and notarget", "ends, (subject, 1)", "v, polars, decimals", "deadline, xarray"),
    *("pyarrow, a batch in another order", "xarray, columns by their labels, as rows", "ends, by their labels"),
    *("types, what is missing is listed as NaN", "drifts, (subject, 1) in pm.Data, and trials, too"),
)


@pytest.mark.parametrize("name", one_of_a_kind(TAKEN, *TYPICAL))
def test_a_form_has_the_value_of_the_plain_one(name: str) -> None:
    form = TAKEN[name]
    model = model_of(form)
    found = perform(pm.logp(model["obs"], model.rvs_to_values[model["obs"]]))
    # Single precision, and the series of two closed forms.
    np.testing.assert_allclose(np.ravel(found), form.value, rtol=1e-6)


@pytest.mark.parametrize(
    ("go_nogo", "make", "message"),
    [(False, *each) for each in REFUSED.values()] + [(True, *each) for each in REFUSED_PRESSES.values()],
    ids=[*REFUSED, *REFUSED_PRESSES],
)
def test_another_form_has_a_sentence(go_nogo: bool, make: Callable[[], dict[str, Any]], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        model_of(Form(make, go_nogo))
    assert PACKAGE in Path(traceback.extract_tb(caught.value.__traceback__)[-1].filename).parents


# ---- what else is done with these forms


def test_zeros_for_the_lower_boundary_are_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="pymc_lan")
    pl.as_observed(CHOSEN.assign(response=[True, False, True, True]))
    pl.as_observed(CHOSEN)
    pl.as_observed(CHOSEN.assign(response=1))
    [record] = caplog.records
    assert record.getMessage() == (
        "response: 0 and 1 (False and True) are taken for the lower and the upper boundary, -1 and 1."
    )


def test_several_subjects_as_one_array_keep_its_shape() -> None:
    grid = PRESS_ROWS.reshape(2, 2, 2)
    checked = pl.as_observed(np.where(grid == INF, NAN, grid), go_nogo=True, deadline=[[1.0], [1.5]])
    np.testing.assert_array_equal(checked, grid)
    with pytest.raises(
        ValueError, match=r"no 'rt' beyond the deadline.* 1 of 4 rows: row 2 \(rt = 0\.9, deadline = 0\.8\)"
    ):
        pl.as_observed(grid, go_nogo=True, deadline=[[1.0], [0.8]])
    # What an array of more than two axes cannot carry along has to be given again.
    with pytest.raises(ValueError, match="observed trials together with their column 'deadline'"):
        model_of(Form(lambda: {"observed": checked}, True))
    with pytest.warns(UserWarning, match="999"):
        doubtful = pl.as_observed(np.where(ROWS == 0.9, 999.0, ROWS).reshape(2, 2, 2), strict=False)
    model_of(observed(lambda: doubtful))


def test_several_subjects_as_one_array_have_dimensions() -> None:
    with pm.Model(coords={"subject": ["a", "b"], "trial": [0, 1]}) as model:
        v = pm.Normal("v", dims="subject")
        pl.DDM(
            "obs",
            v[:, None],
            1.0,
            0.5,
            0.3,
            likelihood="exact",
            observed=ROWS.reshape(2, 2, 2),
            dims=("subject", "trial"),
        )
    assert model.named_vars_to_dims["obs"][:2] == ("subject", "trial")
    assert len(model.named_vars_to_dims["obs"]) == 3
    assert model["obs"].type.ndim == 3


@pytest.mark.table
def test_several_subjects_as_one_array_start_where_rows_do() -> None:
    starts, df = [], pl.simulate("ddm", {"v": np.repeat([0.5, 1.5], 60), "a": 1.0, "z": 0.5, "t": 0.3}, seed=3)
    df["subject"] = np.repeat([0, 1], 60)
    for rows, index in ((df, df["subject"].to_numpy()), (pl.as_observed(df).reshape(2, 60, 2), np.array([[0], [1]]))):
        with pm.Model() as model:
            v, t = pm.Normal("v", 0, 2, shape=2), pm.Uniform("t", 0.05, 0.6)
            pl.DDM("obs", v[index], 1.0, 0.5, t, observed=rows)
        starts.append(pl.initvals(model, df))
    np.testing.assert_allclose(starts[0]["v"], starts[1]["v"], rtol=1e-6)
    np.testing.assert_allclose(starts[0]["t"], starts[1]["t"], rtol=1e-6)


def test_dimensions_are_those_of_the_model() -> None:
    """The drift of each trial by the names and labels of its dimensions, in any order."""
    grid = np.reshape(DRIFTS, (2, 2))
    given = xr.DataArray(grid, dims=["subject", "trial"], coords={"subject": ["a", "b"]})
    with pm.Model(coords={"subject": ["a", "b"], "trial": [7, 9], "other": [0, 1]}) as model:
        for name, v in {"turned": given.T, "reversed": given[::-1]}.items():
            rows = ROWS.reshape(2, 2, 2)
            pl.DDM(name, v, 1.0, 0.5, 0.3, likelihood="exact", observed=rows, dims=("subject", "trial"))
            found = perform(pm.logp(model[name], rows))
            np.testing.assert_allclose(found.ravel(), oracle.choices(CHOICES, **THETA | {"v": DRIFTS}), rtol=1e-6)
        with pytest.raises(ValueError, match=r"Found \('other',\), where the model's dims have \('subject', 'trial'\)"):
            pl.DDM("obs", given[0].rename(trial="other"), 1.0, 0.5, 0.3, observed=rows, dims=("subject", "trial"))
        with pytest.raises(ValueError, match=r"the labels 8, 9 of 'trial', where the model's dims have 7, 9"):
            pl.DDM("obs", given[0].assign_coords(trial=[8, 9]), 1.0, 0.5, 0.3, shape=(2, 2), dims="trial")


@pytest.mark.parametrize("rows", [ROWS, pt.constant(ROWS)], ids=["table", "variable"])
def test_a_dimension_has_a_label_for_each_trial(rows: Any) -> None:
    with (
        pm.Model(coords={"trial": list("abcde")}),
        pytest.raises(ValueError, match=r"Expected 4 labels of 'trial', .* Found 5\. Remedy"),
    ):
        pl.DDM("obs", **THETA, observed=rows, dims="trial")


BARE: dict[str, Any] = {
    "two columns without names": pd.DataFrame(ROWS),
    "more columns with numbers for names": CHOSEN.assign(x=1).rename(columns={"x": 3}),
    "a Dataset": xr.Dataset({name: ("trial", x) for name, x in CHOICES.items()}),
    "lazy": polars.LazyFrame(CHOICES),
}


@pytest.mark.parametrize("table", BARE.values(), ids=BARE)
def test_plots_take_what_distributions_take(table: Any) -> None:
    trials = read_trials(None, table, var_name="obs", n_draws=1)
    np.testing.assert_array_equal(trials.rt, ROWS[:, 0])
    np.testing.assert_array_equal(trials.response, ROWS[:, 1])
    if "response" in (table_columns(table) or ()):
        assert [level.label for level in trials.levels("response")] == ["-1", "1"]


def test_plots_want_labels_for_panels() -> None:
    trials = read_trials(None, CHOSEN.assign(gaze=COLUMN["a"]), var_name="obs", n_draws=1)
    with pytest.raises(ValueError, match=r"Expected labels in 'gaze', texts or numbers\..* row 0 \(gaze = \[0\.5\]\)"):
        trials.levels("gaze")


def test_networks_hand_on_nan_without_a_warning() -> None:
    network = pl.load_network("levy")
    theta = {p.name: sum(p.bounds) / 2 for p in network.spec.parameters}
    assert np.isnan(network.logpdf(0.9, 1, **theta | {"v": NAN}))
