"""The simulators of the package ssm-simulators as simulators of ours, as docs/simulators.md shows it."""

from __future__ import annotations

from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_simulators import TINY

import pymc_lan as pl

# Its own choice [s].
STEP = 1e-3


@pytest.mark.slow
def test_its_functions_are_simulators_by_one_line(tmp_path: Path) -> None:
    pytest.importorskip("ssms")
    from ssms.basic_simulators.simulator import simulator
    from ssms.config import model_config

    def draw(theta: Any, rng: np.random.Generator) -> Any:
        return map(
            np.ravel,
            itemgetter("rts", "choices")(simulator(theta, "ddm", 1, max_t=100, random_state=rng.integers(2**31))),
        )

    its = model_config["ddm"]
    bounds = dict(zip(its["params"], zip(*its["param_bounds"], strict=True), strict=True))
    spec = pl.simulator_spec("ssms_ddm", draw, bounds, choices=its["choices"], shift="t")
    assert spec.names == ("v", "a", "z", "t")
    n, v, a, t = 20_000, 1.0, 1.0, 0.3
    df = pl.simulate(spec, {"v": v, "a": a, "z": 0.5, "t": t}, n=n, seed=1)
    # Steps find a boundary late, as if it were 0.5826 of their standard deviation farther (Siegmund 1985); unbiased
    # times and shares are then those of the drift diffusion model, in closed form.
    far = a + 0.5826 * np.sqrt(STEP)
    upper, mean = 1 / (1 + np.exp(-2 * v * far)), far / v * np.tanh(v * far)
    assert (df["response"] == 1).mean() == pytest.approx(upper, abs=4 * np.sqrt(upper * (1 - upper) / n))
    assert (df["rt"] - t).mean() == pytest.approx(mean, abs=4 * df["rt"].std() / np.sqrt(n) + STEP)
    network = pl.train(spec, tmp_path, simulation_recipe=TINY, n_measured=5000, progress=False)
    assert np.isfinite(network.logpdf(df["rt"].to_numpy(), df["response"].to_numpy(), v=v, a=a, z=0.5, t=t)).all()
