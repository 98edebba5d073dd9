"""Whether HSSM, loading what we export, computes what we compute.

    python benchmarks/exports.py [--models ddm angle ...] [--trials 1000] [--hssm-env DIR] [--json FILE]

Each network is exported with `pl.export` and loaded by HSSM's own loader, in HSSM's environment. Trials are simulated,
parameters uniform over the bounds, one trial each; log densities and their derivatives by the parameters are compared
trial by trial. Of the DDM, HSSM's whole PyMC model with that file is compared with ours, too.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from _common import (
    BENCHMARKS,
    ROOT,
    TRUTH,
    Json,
    Worker,
    argument_parser,
    ddm_trials,
    hssm_python,
    print_table,
    report,
)
from numpy.typing import NDArray

import pymc_lan as pl
from pymc_lan.models.diffusion.catalogue import DIFFUSIONS
from pymc_lan.ops.likelihood import LANLogp, compiled_kernel

SEED = 20_261_121
# The bar: in nats, on every trial.
AGREEMENT = 1e-4


def draw_inputs(model: str, n: int) -> NDArray[np.float64]:
    """Rows of the parameters, rt and response."""
    spec, rng = pl.get_model(model), np.random.default_rng(SEED)
    theta = {p.name: rng.uniform(*p.bounds, n) for p in spec.parameters}
    trials = pl.simulate(spec, theta, seed=SEED)
    return np.column_stack([*theta.values(), trials["rt"], trials["response"]])


def ours(model: str, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log densities and their derivatives by the parameters, as samplers get them."""
    network = pl.load_network(model)
    n, theta, (rt, response) = len(rows), rows[:, :-2].T, rows[:, -2:].T
    value, partials = compiled_kernel(LANLogp(network.spec, network.lan, None))(
        np.stack([rt, response, np.full(n, np.inf), *theta])
    )
    return np.column_stack([value, *partials[2:]])


def compare(worker: Worker, model: str, n: int, folder: Path) -> Json:
    """Measure one model."""
    file, inputs, outputs = (str(folder / f"{model}.{kind}") for kind in ("onnx", "in.npy", "out.npy"))
    pl.export(model, file)
    rows = draw_inputs(model, n)
    np.save(inputs, rows)
    worker.ask(network=file, inputs=inputs, outputs=outputs)
    found, expected = np.load(outputs), ours(model, rows)
    value, slopes = np.abs(found - expected)[:, 0], np.abs(found - expected)[:, 1:]
    relative = slopes / (1 + np.abs(expected[:, 1:]))
    return {
        "model": model,
        "n": len(rows),
        "max": float(value.max()),
        "mean": float(value.mean()),
        "gradient": float(relative.max()),
    }


def compare_models(python: Path, folder: Path) -> Json:
    """Compare HSSM's PyMC model of the DDM, with our file as its likelihood, with ours at one point."""
    data, file = folder / "trials.npy", folder / "ddm.onnx"
    np.save(data, ddm_trials(1000))
    pl.export("ddm", file)
    scripts = {"ours": (None, ["_lan_worker.py"]), "hssm": (python, ["_hssm_worker.py", str(file)])}
    found = {}
    for side, (interpreter, (script, *rest)) in scripts.items():
        command = [str(BENCHMARKS / script), *rest]
        with Worker(interpreter or Path(sys.executable), command, {"HF_HUB_OFFLINE": "1"}) as worker:
            request = {"case": side, "likelihood": "lan", "backend": "jax", "data": str(data)}
            found[side] = worker.ask(do="prepare", **request)
    off = abs(found["ours"]["logp"] - found["hssm"]["logp"])
    slopes = [abs(found["ours"]["gradient"][name] - found["hssm"]["gradient"][name]) for name in TRUTH]
    return {"n": 1000, "logp": found["ours"]["logp"], "off": off, "gradient_off": max(slopes)}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--hssm-env", type=Path, default=ROOT / ".bench/hssm", help="HSSM's environment")
    parser.add_argument("--models", nargs="+", default=["ddm"], help="models to compare; 'all' for every diffusion")
    parser.add_argument("--trials", type=int, default=1000)
    arguments = parser.parse_args()
    models = [*DIFFUSIONS] if arguments.models == ["all"] else arguments.models
    python = hssm_python(arguments.hssm_env)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        worker = stack.enter_context(Worker(python, [str(BENCHMARKS / "_loader_worker.py")], {}))
        measured = [compare(worker, model, arguments.trials, folder) for model in models]
        whole = compare_models(python, folder)
    rows = [
        (each["model"], each["mean"], each["max"], each["gradient"], "met" if each["max"] <= AGREEMENT else "MISSED")
        for each in measured
    ]
    title = f"HSSM's loader with our file, less ours: {arguments.trials:,} simulated trials each, seed {SEED}"
    columns = ["model", "mean abs, nats", "max", "gradient, max relative", f"bar {AGREEMENT:g}"]
    print_table(title, columns, rows)
    print(
        f"hssm.HSSM with our ddm file, {whole['n']:,} trials: log density of the model {whole['logp']:.6f}, off by "
        f"{whole['off']:.1e}; gradient off by at most {whole['gradient_off']:.1e}"
    )
    report({"exports": measured, "model": whole}, arguments.json)


if __name__ == "__main__":
    main()
