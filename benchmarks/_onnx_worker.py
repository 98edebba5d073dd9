"""The peer's side of peers.py, run by it in HSSM's environment: evaluates a published network.

Requests come one JSON object a line: ``{"network": "x.onnx", "inputs": "x.npy", "outputs": "y.npy"}``, inputs of shape
(n, inputs). The answer is ``{}`` once the log densities, shape (n,), are written.
"""

from __future__ import annotations

import json
import sys

import numpy as np


def evaluate(network: str, inputs: str, outputs: str) -> None:
    """Run a network, in its own precision, on inputs that it lists as one row at a time."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    model = onnx.load(network)
    rows = np.load(inputs).astype(np.float32)
    (found,) = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: rows})
    np.save(outputs, found[:, 0].astype(np.float64))


if __name__ == "__main__":
    for line in sys.stdin:
        evaluate(**json.loads(line))
        print("{}", flush=True)
