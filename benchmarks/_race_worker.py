"""The side of HSSM and ssm-simulators in accumulators.py, run by it in HSSM's environment.

Requests come one JSON object a line: ``{"do": "count", ...}`` counts simulated trials as `_ssms_worker.count` does,
``{"do": "logp", ...}`` evaluates and times a likelihood of HSSM: see `logp`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from _ssms_worker import count

# HSSM's likelihoods by our names, and whether they are written in JAX.
LIKELIHOODS = {
    "lba2": ("logp_lba2", False),
    "lba3": ("logp_lba3", False),
    "lba4": ("logp_lba4", True),
    "rdm3": ("logp_rdm3", True),
    "poisson_race": ("logp_poisson_race", False),
}


def jax_function(function: Callable[..., Any], trials: Any, names: tuple[str, ...]) -> Callable[..., Any]:
    """Value and gradient of the summed likelihood, compiled by JAX in double precision."""
    import jax

    jax.config.update("jax_enable_x64", True)

    def total(*values: Any) -> Any:
        return function(trials, **dict(zip(names, values, strict=True))).sum()

    return jax.jit(jax.value_and_grad(total, argnums=tuple(range(len(names)))))


def pytensor_function(function: Callable[..., Any], trials: Any, names: tuple[str, ...]) -> Callable[..., Any]:
    """The same, compiled by PyTensor's default backend."""
    import pytensor
    import pytensor.tensor as pt

    values = [pt.dscalar(name) for name in names]
    value = function(pt.constant(trials), **dict(zip(names, values, strict=True))).sum()
    compiled = pytensor.function(values, [value, *pytensor.grad(value, values)])

    def call(*values: Any) -> Any:
        value, *gradient = compiled(*values)
        return value, gradient

    return call


def logp(model: str, theta: Mapping[str, float], trials: str, repeats: int) -> dict[str, Any]:
    """Evaluate and time log likelihood and gradient of the trials in a file."""
    from hssm.likelihoods import analytical

    name, in_jax = LIKELIHOODS[model]
    start = time.perf_counter()
    compile_ = jax_function if in_jax else pytensor_function
    call = compile_(getattr(analytical, name), np.load(trials), tuple(theta))
    value, gradient = call(*theta.values())
    answer = {"logp": float(value), "gradient": [float(x) for x in gradient]}
    answer |= {"backend": "jax" if in_jax else "default", "first_call_s": time.perf_counter() - start}
    start = time.perf_counter()
    for _ in range(repeats):
        value, gradient = call(*theta.values())
        float(value), [float(x) for x in gradient]  # waits for JAX
    return answer | {"ms": 1e3 * (time.perf_counter() - start) / repeats}


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the packages print must not come between the answers
    for line in sys.stdin:
        request = json.loads(line)
        todo: Callable[..., Any] = {"count": count, "logp": logp}[request.pop("do")]
        print(json.dumps(todo(**request)), file=answers, flush=True)
