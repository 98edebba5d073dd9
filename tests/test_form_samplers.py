"""Every form of `test_forms` in one model, under each sampler and start method with two processes: it finishes."""

from __future__ import annotations

import pytest
from sampler_ways import WAYS, draws_of


# About a minute each.
@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=", ".join)
def test_sampling_finishes(way: tuple[str, ...]) -> None:
    draws = draws_of("sample_forms.py", way, limit=800)
    assert draws.shape == (2, 20)
    assert len({*draws.ravel().tolist()}) > 5
