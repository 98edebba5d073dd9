"""HSSM's side of exports.py, run by it in HSSM's environment: evaluates a file with HSSM's own loader.

Requests come one JSON object a line: ``{"network": "x.onnx", "inputs": "x.npy", "outputs": "y.npy"}``, inputs of shape
(n, parameters + 2). The answer is ``{}`` once the log densities and their derivatives by the parameters, shape
(n, 1 + parameters), are written.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from _serve import claim_stdout


def evaluate(network: str, inputs: str, outputs: str) -> None:
    """Run a file as HSSM does: a function of one trial, mapped over trials and compiled, with its own gradient."""
    import pytensor  # noqa: F401 - sets JAX to double precision as HSSM has it
    from hssm.distribution_utils.onnx import make_jax_logp_funcs_from_onnx

    rows = np.load(inputs)
    theta, trials = rows[:, :-2].T, rows[:, -2:]
    logp, pullback, _ = make_jax_logp_funcs_from_onnx(network, params_is_reg=[True] * len(theta))
    value = logp(trials, *theta)
    slopes = pullback(trials, *theta, gz=np.ones(len(rows)))
    np.save(outputs, np.column_stack([value, *slopes]).astype(np.float64))


if __name__ == "__main__":
    answers = claim_stdout()
    for line in sys.stdin:
        evaluate(**json.loads(line))
        print("{}", file=answers, flush=True)
