"""Faults that a model's many flags once let through; each is told by a value from elsewhere, or by a sentence.

Dynamics that would never be called, variability that labels ignore, misspelled kinds and a diffusion without z and t
are refused when a model is built: see `test_dynamics`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from backends import AS_WRITTEN
from kinds import DDM, WEIBULL, imported, said_by

import pymc_lan as pl
import pymc_lan.training.labelled.fit as fit_module
from pymc_lan.models.catalogue import MODELS

LEVY = {"v": 0.8, "a": 1.0, "z": 0.5, "alpha": 1.6, "t": 0.3}


def test_a_cpn_serves_a_model_that_is_known_by_its_simulator() -> None:
    levy = imported("levy", LEVY, "cpn")
    dist = pl.GoNoGo.dist(levy.network, **LEVY)
    found = np.exp(pm.logp(dist, np.array([[np.inf, 0.0]])).eval(mode=AS_WRITTEN))
    assert found == pytest.approx(1 / (1 + np.exp(-said_by(levy.files["cpn"], [*LEVY.values()]))), rel=1e-5)


HESSIANS = {"ddm": DDM, "weibull": WEIBULL}


@pytest.mark.parametrize("name", HESSIANS)
def test_an_imported_network_has_a_hessian(name: str) -> None:
    """That of the second differences of what its file says."""
    theta, (rt, response), step = HESSIANS[name], (0.9, 1.0), 1e-3
    kind = imported(name, theta)
    a = pt.dscalar("a")
    log_p = pm.logp(pl.LANDist.dist(kind.network, **theta | {"a": a}), np.array([[rt, response]])).sum()
    found = pytensor.function([a], pt.grad(pt.grad(log_p, a), a), mode=AS_WRITTEN)(theta["a"])
    names = kind.model.names
    low, at, high = (
        said_by(kind.files["lan"], [*(x + by * (each == "a") for each in names if (x := theta[each])), rt, response])
        for by in (-step, 0.0, step)
    )
    assert found == pytest.approx((low - 2 * at + high) / step**2, rel=1e-3)


def test_a_model_of_imported_networks_is_not_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "fit", lambda *_, **__: pytest.fail("the training began"))
    with pytest.raises(ValueError, match=r"^Expected .*imported.* Remedy: "):
        pl.train(imported("weibull", WEIBULL).network.spec, tmp_path / "out", progress=False)


# Loading is asked for what it needs of each model; a module that is None cannot be imported.
PROBE = """
import json, sys
sys.modules["jax"] = None
import pymc_lan as pl

found = {}
for name in json.loads(sys.argv[1]):
    try:
        found[name] = pl.load_network(name).spec.name
    except pl.RegistryError as error:
        found[name] = str(error).partition(".")[0]
    except ImportError as error:
        found[name] = str(error)
print(json.dumps(found))
"""
CLOSED = ("lba2", "lba3", "lba4", "rdm3", "poisson_race")
BY_FUNCTIONS = (
    *("weibull", "exponential_collapse", "hyperbolic_collapse", "ornstein"),
    *("gamma_drift", "gamma_drift_angle", "shrink_spot", "conflict_ds"),
)
TWENTY_FIVE = (
    *("ddm", "ddm_extended", "ddm_sdv", "ddm_st", "full_ddm", "angle", *BY_FUNCTIONS, *CLOSED),
    *("race_3", "race_4", "race_no_bias_angle_3", "race_no_bias_angle_4", "levy", "lca_3"),
)


@pytest.fixture(scope="module")
def loaded() -> dict[str, str]:
    """Return what a process without JAX says of each model."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(TWENTY_FIVE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_model_is_looked_at() -> None:
    """Tests may have registered more."""
    assert set(TWENTY_FIVE) <= set(MODELS)
    assert len(TWENTY_FIVE) == len(set(TWENTY_FIVE)) == 25


@pytest.mark.parametrize("name", TWENTY_FIVE)
def test_networks_load_without_jax(loaded: dict[str, str], name: str) -> None:
    assert loaded[name] == ("Expected a model with a network" if name in CLOSED else name)
