"""The loop of the workers of likelihood.py and versions.py: build a PyMC model, compile logp and gradient, time them.

Requests come one JSON object a line. ``{"do": "prepare", "case", "likelihood", "backend", "data"}`` compiles,
``{"do": "time", "case", "repeats"}`` measures what was prepared, ``{"do": "memory"}`` tells the peak.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pymc as pm

Evaluate = Callable[[], tuple[float, list[float]]]
Truth = Mapping[str, float]
BuildModel = Callable[[NDArray[np.float64], str], "tuple[pm.Model, Truth]"]

WARM_UP = 3


def unconstrained(model: pm.Model, truth: Truth) -> dict[str, float]:
    """Return `truth` on the scale the samplers work on, by parameter, in the model's own order."""
    point = {}
    for value_var in model.continuous_value_vars:
        rv = model.values_to_rvs[value_var]
        transform = model.rvs_to_transforms[rv]
        point[rv.name] = float(transform.forward(truth[rv.name], *rv.owner.inputs).eval())
    return point


def compile_logp_and_gradient(model: pm.Model, backend: str, point: list[float]) -> Evaluate:
    """Return a function that computes the model's logp and gradient at `point`, as the samplers do.

    ``default`` is what ``pm.sample`` compiles (PyTensor's default mode), ``jax`` what numpyro, blackjax and
    nutpie's JAX backend compile: the model's graph in JAX, differentiated by JAX.
    """
    if backend == "default":
        function = model.logp_dlogp_function(ravel_inputs=True)
        inputs = np.array(point)
        return lambda: function(inputs)

    import jax
    from pymc.sampling.jax import get_jaxified_logp

    compiled = jax.jit(jax.value_and_grad(get_jaxified_logp(model)))
    arrays = [jax.numpy.asarray(value) for value in point]
    return lambda: jax.block_until_ready(compiled(arrays))


def clocks() -> tuple[float, float]:
    """Return the time by the clock and by the processor, this process's and its children's, in seconds."""
    spent = os.times()
    return time.perf_counter(), spent.user + spent.system + spent.children_user + spent.children_system


def prepare(build_model: BuildModel, request: dict[str, Any]) -> tuple[Evaluate, dict[str, Any]]:
    """Build and compile one case; return it, with the seconds that took and the values it computes."""
    start, _ = clocks()
    model, truth = build_model(np.load(request["data"]), request["likelihood"])
    point = unconstrained(model, truth)
    built, built_cpu = clocks()
    if request["backend"] == "jax":
        import pymc.sampling.jax  # noqa: F401, timed by itself
    _, imported_cpu = clocks()
    evaluate = compile_logp_and_gradient(model, request["backend"], list(point.values()))
    logp, gradient = evaluate()
    ended, ended_cpu = clocks()
    seconds = {"build_s": built - start, "first_call_s": ended - built}
    cpu = {"imports_cpu_s": imported_cpu - built_cpu, "first_call_cpu_s": ended_cpu - imported_cpu}
    values = {"logp": float(logp), "gradient": dict(zip(point, map(float, gradient), strict=True))}
    return evaluate, {**seconds, **cpu, **values}


def measure(evaluate: Evaluate, repeats: int) -> dict[str, float]:
    """Return the median milliseconds of a call, and the cores it kept busy."""
    for _ in range(WARM_UP):
        evaluate()
    seconds = []
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(repeats):
        start = time.perf_counter()
        evaluate()
        seconds.append(time.perf_counter() - start)
    cores = (time.process_time() - cpu) / (time.perf_counter() - wall)
    return {"ms": 1e3 * statistics.median(seconds), "cores": cores}


def peak_gib() -> float:
    """Return the largest resident size this process has had, in GiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts kibibytes, macOS bytes.
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


def claim_stdout() -> TextIO:
    """Keep standard output for the answers, and send what libraries print to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def serve(build_model: BuildModel) -> None:
    """Answer requests until standard input ends.

    `build_model` makes the model of a likelihood and trials, and says at which parameters it is evaluated. It should
    import its package itself, because what a package prints while it loads must not come between the answers.
    """
    answers = claim_stdout()
    cases: dict[str, Evaluate] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "prepare":
            cases[request["case"]], answer = prepare(build_model, request)
        elif request["do"] == "time":
            answer = measure(cases[request["case"]], request["repeats"])
        else:
            answer = {"peak_gib": peak_gib()}
        print(json.dumps(answer), file=answers, flush=True)
