"""The side of ssm-simulators in simulators.py and throughput.py, run in HSSM's environment, which has both.

Requests come one JSON object a line: ``{"do": "models"}`` lists what can be simulated, ``{"do": "count", ...}``
simulates and counts trials, ``{"do": "clock", ...}`` tells how long they take: see `count` and `clock`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

# Its name for a model of ours, where that differs. Its `full_ddm` takes sz in units of evidence, its `full_ddm_rv`
# relative to the separation, as ours does.
NAMES = {"ddm_extended": "ddm", "full_ddm": "full_ddm_rv"}


def exponential_collapse(t: Any, a: float, lam: float) -> Any:
    """Boundary of the model of that name."""
    return a * np.exp(-lam * t)


def hyperbolic_collapse(t: Any, a: float, lam: float) -> Any:
    """Boundary of the model of that name."""
    return a / (1 + lam * t)


# Models that it does not have; its engine for a constant drift takes any boundary.
BOUNDARIES = {f.__name__: f for f in (exponential_collapse, hyperbolic_collapse)}


def models() -> list[str]:
    """Return the models that can be simulated."""
    from ssms.config import model_config

    return sorted({*model_config, *NAMES, *BOUNDARIES})


def simulate(model: str, theta: Mapping[str, float], **options: Any) -> Any:
    """Return what the package's simulator returns for one parameter set."""
    if model not in BOUNDARIES:
        from ssms.basic_simulators.simulator import simulator

        return simulator(dict(theta), model=NAMES.get(model, model), **options)
    import cssm

    columns = {name: np.array([x], np.float32) for name, x in theta.items()}
    return cssm.ddm_flexbound(
        **{name: columns[name] for name in ("v", "a", "z", "t")},
        deadline=np.array([999.0], np.float32),
        s=np.ones(1, np.float32),
        boundary_fun=BOUNDARIES[model],
        boundary_params={name: columns[name] for name in ("a", "lam")},
        **options,
    )


def count(
    model: str,
    theta: Mapping[str, float],
    trials: int,
    delta_t: float,
    max_t: float,
    seed: int,
    edges: Mapping[str, list[float]],
) -> dict[str, list[int]]:
    """Simulate one parameter set and count the trials of each response between edges.

    Parameters
    ----------
    model : str
    theta : mapping of str to float
    trials, seed : int
    delta_t, max_t : float
        Step and end [s]. The simulators sum the steps in single precision: exact for a power of two.
    edges : mapping of str to list of float
        By response, "1" and "-1": ascending times [s] less the non-decision time.

    Returns
    -------
    dict
        Counts by response.
    """
    np.random.seed(seed)  # noqa: NPY002, what varies across trials is drawn from this generator
    options = {"delta_t": delta_t, "max_t": max_t, "n_samples": trials, "random_state": seed}
    found = simulate(model, theta, **options, smooth_unif=True)
    decision = found["rts"].ravel().astype(np.float64) - np.float32(theta["t"])
    response = found["choices"].ravel()
    return {name: np.histogram(decision[response == int(name)], ladder)[0].tolist() for name, ladder in edges.items()}


def clock(model: str, theta: Mapping[str, float], trials: int, delta_t: float, max_t: float, seed: int) -> Any:
    """Simulate one parameter set on one thread.

    Returns
    -------
    dict
        ``cpu`` [s], and of the trials ``mean`` and ``sd`` of the decision times [s] and the share ``upper``.
    """
    started = time.process_time()
    found = simulate(model, theta, delta_t=delta_t, max_t=max_t, n_samples=trials, random_state=seed)
    cpu = time.process_time() - started
    decision = found["rts"].ravel().astype(np.float64) - theta["t"]
    upper = float((found["choices"] > 0).mean())
    return {"cpu": cpu, "mean": float(decision.mean()), "sd": float(decision.std()), "upper": upper}


def answer(do: str, **request: Any) -> Any:
    """Do what a request says."""
    return {"models": lambda: {"models": models()}, "count": count, "clock": clock}[do](**request)


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the package prints must not come between the answers
    for line in sys.stdin:
        print(json.dumps(answer(**json.loads(line))), file=answers, flush=True)
