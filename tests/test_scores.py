"""`benchmarks/scores.py`: scores agree where trials come from the likelihood, and tell where they do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pymc_lan as pl


@pytest.fixture
def scores(script: Callable[[str], Any]) -> Any:
    return script("benchmarks/scores")


def test_trials_of_the_model_agree_and_late_ones_do_not(scores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    network, draw = pl.load_network("ddm"), scores.draw_subject
    for each in scores.deviations(network, 100, 300).T:
        # 90 of 100 within four standard deviations of that count, and the mean of 100 around 0.
        assert 0.78 <= np.mean(np.abs(each) < scores.WITHIN) <= 0.99
        assert abs(each.mean()) < 0.4

    def late(*arguments: Any) -> Any:
        truth, trials = draw(*arguments)
        return truth, np.add(trials, [0.1, 0.0])

    monkeypatch.setattr(scores, "draw_subject", late)
    found = scores.deviations(network, 100, 300)
    assert (np.mean(np.abs(found) < scores.WITHIN, axis=0) < 0.78).any()
