"""Tables of cases: one of each kind runs by default, all of them where a change is checked (`.ci/run`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def one_of_a_kind(cases: Iterable[Any], *typical: Any) -> list[Any]:
    """Cases for `pytest.mark.parametrize`, those that are not typical marked as `table`.

    A typical case that is none of them is an error: a table that was renamed would otherwise run nothing by default.
    """
    every = list(cases)
    assert set(typical) <= set(every), f"not in the table: {set(typical) - set(every)}"
    return [pytest.param(case, marks=() if case in typical else pytest.mark.table) for case in every]


def some_of_a_kind(cases: Iterable[tuple[Any, ...]], typical: set[Any], checked: set[Any]) -> list[Any]:
    """Cases of several parameters: typical ones, those that a change is checked with, and all others for a night."""
    every = list(cases)
    assert set(every) >= typical | checked, f"not in the table: {(typical | checked) - set(every)}"
    marks = dict.fromkeys(every, pytest.mark.slow) | dict.fromkeys(checked, pytest.mark.table)
    return [pytest.param(*case, marks=() if case in typical else marks[case]) for case in every]
