"""The simulators of the package ssm-simulators as simulators of ours, as docs/simulators.md shows it."""

from __future__ import annotations

from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp
from toy_simulators import TINY

import pymc_lan as pl

# Its own choice [s].
STEP = 1e-3
# Where parameters lie between their bounds, so that no two of them are alike.
SHARES = (0.5, 0.4, 0.6, 0.2, 0.5, 0.3, 0.7, 0.6, 0.8, 0.1)


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


@pytest.mark.slow
@pytest.mark.parametrize("model", ["levy", "lca_3", "race_3", "race_4", "race_no_bias_angle_3", "race_no_bias_angle_4"])
def test_its_definition_of_a_process_is_ours(model: str) -> None:
    """Names, order and meaning of the parameters, and the process, at steps that hardly bias it."""
    pytest.importorskip("ssms")
    from ssms.basic_simulators.simulator import simulator
    from ssms.config import model_config

    spec, n = pl.get_model(model), 4_000
    assert list(spec.names) == model_config[model]["params"]
    low, high = np.array([p.bounds for p in spec.parameters]).T
    theta = dict(zip(spec.names, low + np.array(SHARES[: len(low)]) * (high - low), strict=True))
    drawn = simulator(list(theta.values()), model, n, delta_t=1e-4, max_t=60, random_state=1)
    rt, response = drawn["rts"].ravel(), drawn["choices"].ravel()
    ours = pl.simulate(spec, theta, n=n, seed=1)
    for code in spec.choices:
        mine = ours["rt"][ours["response"] == code]
        # Five standard errors of the difference of two shares.
        assert abs((response == code).mean() - len(mine) / n) < 5 * np.sqrt(2 * 0.25 / n)
        assert ks_2samp(rt[response == code], mine).pvalue > 1e-4
