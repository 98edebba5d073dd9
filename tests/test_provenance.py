"""What results say of the weights they rest on, whoever samples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pymc as pm
import pytest

import pymc_lan as pl
from pymc_lan.distributions.provenance import record, records

DATA = {"rt": [0.6, 0.9, 1.2, 0.8], "response": [1, -1, 1, 1]}


def model(**changes: Any) -> pm.Model:
    import pandas as pd

    with pm.Model() as model:
        v = pm.Normal("v")
        pl.DDM("obs", v, 1.0, 0.5, 0.3, observed=pd.DataFrame(DATA), **changes)
    return model


@pytest.mark.parametrize("sampler", ["pymc", "nutpie"])
def test_samplers_keep_the_record(sampler: str, capsys: pytest.CaptureFixture[str]) -> None:
    quiet = {"draws": 10, "tune": 10, "chains": 1, "cores": 1, "progressbar": False, "random_seed": 1}
    with model():
        idata = pm.sample(nuts_sampler=sampler, compute_convergence_checks=False, **quiet)
    network = pl.load_network("ddm")
    (found,) = records(idata).values()
    assert found == dict(line.split(": ", 1) for line in record(network))
    assert (found["network"], found["sha256"], found["registry"]) == ("ddm@2.0", network.sha256, "embedded")
    assert found["package"] == f"pymc-lan {pl.__version__}"
    capsys.readouterr()
    pl.cite(idata)
    printed = capsys.readouterr().out
    for text in ("obs\n", "ddm@2.0", network.sha256, pl.__version__, "Ratcliff (1978)", "Fengler"):
        assert text in printed


def test_each_distribution_has_its_own_record() -> None:
    with model() as two:
        pl.LANDist("other", "angle", 1.0, 1.0, 0.5, 0.3, 0.2, shape=(3, 2))
        pl.DDM("exact", 1.0, 1.0, 0.5, 0.3, likelihood="exact", shape=(3, 2))
        pl.GoNoGoDDM("gonogo", 1.0, 1.0, 0.5, 0.3, deadline=1.5, shape=(3, 2))
        found = records(pm.sample_prior_predictive(draws=2, random_seed=1))
    networks = {name: content["network"] for name, content in found.items()}
    assert networks == {
        "obs": "ddm@2.0",
        "other": "angle@2.0",
        "exact": "none, closed form",
        "gonogo": "ddm@2.0",
    }
    assert two.initial_point().keys() == {"v", "other", "exact", "gonogo"}


def test_what_surrounds_a_model_leaves_the_record() -> None:
    changed = pm.do(model(), {"v": 0.5})
    with pm.observe(model(), {"v": 0.5}), changed:
        found = records(pm.sample_prior_predictive(draws=2, random_seed=1))
    assert found["obs"]["network"] == "ddm@2.0"


def test_a_network_that_was_never_written() -> None:
    mine = replace(pl.load_network("ddm"), sha256="", origin="", version="unpublished")
    lines = record(mine)
    assert lines[:3] == ("network: ddm@unpublished", "sha256: none, never written", "registry: none")


def test_equal_distributions_stay_equal_whatever_their_record() -> None:
    network = pl.load_network("ddm")
    ops = [
        pl.LANDist.dist(each, 1.0, 1.0, 0.5, 0.3).owner.op for each in (network, replace(network, origin="elsewhere"))
    ]
    assert ops[0] == ops[1]
    assert ops[0].record != ops[1].record


def test_results_of_another_model() -> None:
    with pm.Model():
        pm.Normal("x")
        idata = pm.sample_prior_predictive(draws=2, random_seed=1)
    with pytest.raises(ValueError, match=r"Found the groups prior, .* and no record .*Remedy: keep the group"):
        pl.cite(idata)
