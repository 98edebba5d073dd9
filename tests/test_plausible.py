"""Codes for missing times, units and missing labels: refused with the rows, or a warning where strict=False."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pymc_lan.data.observed import as_observed

NAN = np.nan
GO = {"go_nogo": True}


def times(n: int, scale: float = 1.0) -> np.ndarray:
    """Return response times of 0.3 to 1.2 s in no particular order."""
    return scale * np.round(0.3 + 0.9 * np.modf(np.arange(1, n + 1) * 0.618)[0], 4)


def choices(rt: Any, **more: Any) -> pd.DataFrame:
    return pd.DataFrame({"rt": rt, "response": np.resize([1, -1], len(rt)), **more})


def presses(rt: Any, **more: Any) -> pd.DataFrame:
    return pd.DataFrame({"rt": rt, **more})


def put(rt: np.ndarray, rows: Any, value: float) -> np.ndarray:
    rt = rt.copy()
    rt[rows] = value
    return rt


FIVE = np.repeat(list("abcde"), 20)
THIRD = np.where(FIVE == "c", 1000.0, 1.0)

# Of each guess: data, arguments, and what must be found and be the remedy.
GUESSES: dict[str, tuple[Any, dict[str, Any], str, str]] = {
    "six of 999 among 3,000": (
        choices(put(times(3000), [5, 70, 800, 1500, 2000, 2999], 999.0)),
        {},
        r"999.0, which looks like a code .* in 6 of 3000 rows: row 5 \(rt = 999.0\), row 70 .* and 1 more",
        r"replace\(999, float\('nan'\)\)",
    ),
    "9999": (choices(put(times(40), 3, 9999.0)), {}, r"9999.0, which looks .*row 3", r"replace\(9999"),
    "two codes": (choices(put(put(times(40), 3, 99.0), 4, 888.0)), {}, "99.0, 888.0, which", r"replace\(\[99, 888\]"),
    "999 divided by 1000": (choices(put(times(40), [3, 8], 9.999)), {}, "9.999, which looks.* 2 of 40", r"9.999"),
    "999 of a go/no-go task": (presses(put(times(40), [3, 8], 999.0)), GO, "999.0, which .*row 3", "nothing was press"),
    "999 and a response that says so": (
        presses(put(times(40), [3, 8], 999.0), response=put(np.ones(40), [3, 8], 0)),
        GO,
        "999.0, which looks like a code .*row 3 .*row 8",
        r"replace\(999",
    ),
    "more codes than times": (
        presses(put(times(40), slice(0, 30), 999.0)),
        GO,
        "999.0, which looks like a code .*30 of 40 rows",
        r"replace\(999",
    ),
    "nothing but codes": (presses([999.0] * 4), GO, "999.0, which looks like a code .*4 of 4", r"replace\(999"),
    "one subject of five": (
        choices(times(100) * THIRD, subject=FIVE),
        {},
        r"times of subject 'c' that look like milliseconds .*20 of 100 rows: row 40 \(subject = 'c'",
        r"df.loc\[df\['subject'\].isin\(\[...\]\), 'rt'\] /= 1000",
    ),
    "all but one subject": (
        choices(times(100) * np.where(FIVE == "c", 1.0, 1000.0), participant=FIVE),
        {},
        r"times of participant 'a', 'b', 'd', 'e' that look like milliseconds .*80 of 100",
        "/= 1000",
    ),
    "a block": (
        choices(np.concatenate([times(60), times(20, 1000.0), times(60)])),
        {},
        r"rows 60 to 79, which look like milliseconds.*20 of 140 rows: row 60",
        "rows 60 to 79",
    ),
    "every other row": (
        choices(times(60) * np.resize([1.0, 1000.0, 1000.0], 60)),
        {},
        r"times below 10 beside a median of .*, which looks like milliseconds, in 20 of 60",
        "find out which rows",
    ),
    "one of 150 s": (
        choices(put(times(40), 3, 150.0)),
        {},
        r"longer ones in 1 of 40 rows: row 3 \(rt = 150",
        "missing",
    ),
    "a deadline in milliseconds": (choices(times(40)), {"deadline": 1000}, "look like milliseconds .*1000", "by 1000"),
    "deadlines in milliseconds": (
        presses(put(times(40), 3, NAN), limit=put(np.full(40, 2.0), [7], 1500.0)),
        {**GO, "deadline": "limit"},
        r"look like milliseconds in 1 of 40 rows: row 7 \(deadline = 1500.0\)",
        "by 1000",
    ),
    "a code for no deadline": (choices(times(40)), {"deadline": 9999.0}, "a code for none", r"float\('inf'\)"),
    "a missing subject": (
        choices(times(4), subject=["a", None, "b", NAN]),
        {},
        r"missing ones, which pandas.factorize turns into -1.* in 2 of 4 rows: row 1 .*row 3",
        r"df\['subject'\].fillna\('unknown'\)",
    ),
    "a missing subject's code": (choices(times(4), subj_idx=[0, 1, -1, 1]), {}, "1 of 4 rows: row 2", "fillna"),
}


@pytest.mark.parametrize(("data", "kwargs", "found", "remedy"), GUESSES.values(), ids=GUESSES.keys())
def test_what_is_hardly_meant_is_refused(data, kwargs, found, remedy):
    with pytest.raises(ValueError, match=rf"^Expected .*Found .*{found}.*Remedy: .*{remedy}.*strict=False\) itself\.$"):
        as_observed(data, **kwargs)


LET_THROUGH = {
    name: case
    for name, case in GUESSES.items()
    if name not in ("999 and a response that says so", "all but one subject", "every other row")
}


@pytest.mark.parametrize(("data", "kwargs", "found", "remedy"), LET_THROUGH.values(), ids=LET_THROUGH.keys())
def test_and_let_through_with_a_warning(data, kwargs, found, remedy):
    with pytest.warns(UserWarning, match=rf"^Expected .*Found .*{found}.*Remedy: .*{remedy}") as caught:
        observed = as_observed(data, **kwargs, strict=False)
    assert all(each.filename == __file__ for each in caught)
    rt = data["rt"].to_numpy()
    np.testing.assert_array_equal(observed[:, 0], np.where(np.isnan(rt), np.inf, rt))
    again = as_observed(observed[: len(rt) - 1], go_nogo=kwargs.get("go_nogo", False))  # neither refused nor warned of
    np.testing.assert_array_equal(again, observed[:-1])


# What is wrong for certain is refused whatever `strict` is, and says the right thing.
CERTAIN: dict[str, tuple[Any, dict[str, Any], str, str]] = {
    "signed by response": (
        pd.DataFrame({"rt": [0.5, -0.7, 0.9, -0.4], "response": [1, -1, 1, -1]}),
        {},
        "whose sign says once more what 'response' says, in 2 of 4 rows: row 1",
        r"df\['rt'\].abs\(\)\.$",
    ),
    "signed by response, coded 0 and 1": (
        pd.DataFrame({"rt": [0.5, -0.7], "response": [1, 0]}),
        {},
        "whose sign says once more",
        r"abs\(\)\.$",
    ),
    "signed, but not by response": (
        pd.DataFrame({"rt": [0.5, -0.7, 0.9, -0.4], "response": [1, -1, 1, 1]}),
        {},
        "zero or negative 'rt' in 2 of 4 rows",
        "correct these times",
    ),
    "-999 for missing, two choices": (
        pd.DataFrame({"rt": [0.5, -999.0, -999.0], "response": [1, -1, 0]}),
        {},
        "-999.0, which looks like a code for a missing time, in 2 of 3 rows: row 1",
        r"replace\(-999, float\('nan'\)\).*needs a distribution that knows trials without one",
    ),
    "-1 for missing, go/no-go": (
        pd.DataFrame({"rt": [0.5, -1.0], "response": [1, 0]}),
        GO,
        "-1.0, which looks like a code .*row 1",
        r"replace\(-1, float\('nan'\)\), which says that there was no response; where .* one, give missing='lost'\.$",
    ),
    "-999 for missing, omissions": (
        pd.DataFrame({"rt": [0.5, -999.0], "response": [1, NAN]}),
        {"omissions": True},
        "-999.0, which looks like a code",
        "says that there was no response",
    ),
    "milliseconds and -999": (
        choices(put(times(20, 1000.0), [3, 4], -999.0)),
        {},
        r"a median of .*which looks like milliseconds, and -999.0, which looks like a code .*2 of 20 rows: row 3",
        r"make the codes missing first, df\['rt'\].replace\(-999, .* and then divide by 1000",
    ),
    "milliseconds and 9999": (
        choices(put(times(20, 1000.0), [3, 4], 99999.0)),
        {},
        "looks like milliseconds, and 99999.0, which looks like a code",
        "codes missing first",
    ),
    "milliseconds and many 999": (
        choices(put(times(200, 1000.0), slice(10, 30), 999.0)),
        {},
        "looks like milliseconds, and 999.0, which looks like a code .*20 of 200",
        "codes missing first",
    ),
    "milliseconds, 999 among them": (
        choices(put(times(200, 1000.0), 10, 999.0)),
        {},
        r"a median of [0-9.]+, which looks like milliseconds\.",
        "divide by 1000",
    ),
}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(("data", "kwargs", "found", "remedy"), CERTAIN.values(), ids=CERTAIN.keys())
def test_what_is_wrong_for_certain(data, kwargs, found, remedy, strict):
    with pytest.raises(ValueError, match=rf"^Expected .*Found .*{found}.*Remedy: .*{remedy}"):
        as_observed(data, **kwargs, strict=strict)


FINE: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "slow ones": (lambda: choices(put(times(40), 3, 60.0)), {}),
    "one of 9.999 s": (lambda: choices(put(times(40), 3, 9.999)), {}),
    "a slow subject": (lambda: choices(np.concatenate([times(40), times(20, 15.0)]), subject=[1] * 40 + [2] * 20), {}),
    "long deadlines": (lambda: choices(times(40)), {"deadline": 60.0}),
    "no deadline": (lambda: presses(put(times(40), 3, NAN)), {**GO, "deadline": np.inf}),
    "a subject called -1 in words": (lambda: choices(times(2), subject=["-1", "0"]), {}),
    "a subject who never pressed": (lambda: presses([0.5, NAN, NAN], subject=["a", "b", "b"]), GO),
    "nobody pressed": (lambda: presses([NAN, NAN]), {**GO, "deadline": 2.0}),
}


@pytest.mark.parametrize(("make", "kwargs"), FINE.values(), ids=FINE.keys())
def test_what_may_be_is_let_through(make, kwargs):
    data = make()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        observed = as_observed(data, **kwargs)
    rt = data["rt"].to_numpy()
    np.testing.assert_array_equal(observed[:, 0], np.where(np.isnan(rt), np.inf, rt))


def test_omissions_keep_their_rows_and_masks():
    masked = np.ma.masked_array([[0.43, -1.0], [0.1, 0.0], [0.7, 1.0]], [[0, 0], [1, 0], [0, 0]])
    expected = [[0.43, -1.0], [np.inf, 0.0], [0.7, 1.0]]
    assert as_observed(masked, omissions=True).tolist() == expected
    table = pd.DataFrame({"time": [0.43, None, 0.7], "key": [-1, None, 1]})
    assert as_observed(table, omissions=True, rt="time", response="key").tolist() == expected
    with pytest.raises(ValueError, match="a response without an rt in 1 of 2 rows: row 1"):
        as_observed([[0.5, 1.0], [NAN, -1.0]], omissions=True)
    with pytest.raises(ValueError, match="an rt without a response in 1 of 2 rows: row 1"):
        as_observed([[0.5, 1.0], [0.4, NAN]], omissions=True)
