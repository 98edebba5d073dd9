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
