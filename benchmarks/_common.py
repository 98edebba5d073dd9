"""What the benchmarks share: data, parameters, fresh processes, workers and the report.

Imported on both sides of a comparison, so this file needs NumPy and the standard library only; rich, which
comes with PyMC, is imported where a table is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BENCHMARKS = Path(__file__).resolve().parent
ROOT = BENCHMARKS.parent

# The parameters every density is evaluated at, and the ranges of their uniform priors: the bounds that HSSM
# trained ddm.onnx for, so that both sides see the same unconstrained (logit) parameters.
TRUTH = {"v": 1.0, "a": 1.5, "z": 0.5, "t": 0.3}
BOUNDS = {"v": (-3.0, 3.0), "a": (0.3, 2.5), "z": (0.0, 1.0), "t": (0.0, 2.0)}

# Every pool of threads that NumPy, numba or XLA would open. NPROC is where XLA's CPU client looks for the
# number of cores. The workers report the cores they really used (CPU time over wall time).
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "NPROC": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}

Json = dict[str, Any]


def simulate_ddm(
    drift: NDArray[np.float64], a: float, z: float, t: float, seed: int, dt: float = 1e-3
) -> NDArray[np.float64]:
    """Simulate a drift diffusion model by Euler steps, which is close enough for timing.

    Parameters
    ----------
    drift : ndarray of shape (n_trials,)
        Drift of each trial, in evidence per second.
    a, z, t : float
        Half the boundary separation, relative starting point, and non-decision time in seconds.
    seed : int
        Seed of the random numbers.
    dt : float
        Step in seconds.

    Returns
    -------
    ndarray of shape (n_trials, 2)
        Rows ``[rt, response]``: seconds, and +1 (upper) or -1 (lower boundary).
    """
    rng = np.random.default_rng(seed)
    evidence = np.full(drift.shape, a * (2 * z - 1))
    trials = np.empty((drift.size, 2))
    running = np.arange(drift.size)
    step = 0
    while running.size:
        step += 1
        evidence[running] += drift[running] * dt + np.sqrt(dt) * rng.standard_normal(running.size)
        done = running[np.abs(evidence[running]) >= a]
        trials[done, 0] = t + step * dt
        trials[done, 1] = np.sign(evidence[done])
        running = running[np.abs(evidence[running]) < a]
    return trials


def ddm_trials(n_trials: int) -> NDArray[np.float64]:
    """Return `n_trials` rows ``[rt, response]`` of the DDM at `TRUTH`.

    At most 10,000 trials are simulated. More are those repeated, each rt moved within its Euler step, so that
    no two trials are alike and a million of them cost nothing.
    """
    dt = 1e-3
    distinct = min(n_trials, 10_000)
    trials = simulate_ddm(np.full(distinct, TRUTH["v"]), TRUTH["a"], TRUTH["z"], TRUTH["t"], seed=1, dt=dt)
    trials = trials[np.arange(n_trials) % distinct]
    trials[:, 0] -= dt * np.random.default_rng(2).uniform(size=n_trials)
    return trials


def go_nogo_trials(n_go: int = 500, n_nogo: int = 500) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Return the trials of one NeuroRacer subject (v = 1, a = 1.5, z = 0.5, t = 0.5) and their types.

    Returns
    -------
    trials : ndarray of shape (n_go + n_nogo, 2)
        Rows ``[rt, 1]`` where the button was pressed (upper boundary), ``[inf, 0]`` where it was not.
    trial_type : ndarray of shape (n_go + n_nogo,)
        ``"go"`` or ``"nogo"``.
    """
    trial_type = np.repeat(["go", "nogo"], [n_go, n_nogo])
    trials = simulate_ddm(np.where(trial_type == "go", 1.0, -1.0), a=1.5, z=0.5, t=0.5, seed=3)
    trials[trials[:, 1] < 0] = (np.inf, 0.0)
    return trials, trial_type


def one_thread_env() -> dict[str, str]:
    """Tie this process and its children to one core, and return the variables that keep them to one thread.

    With the variables alone, XLA was seen to keep 1.5 cores busy. Where the system has no affinities (macOS)
    they are all there is.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    return ONE_THREAD


def fresh_cache_env(folder: str | Path) -> dict[str, str]:
    """Return the variables that put the compile caches of PyTensor, numba and this package into `folder`.

    PyTensor keeps its C modules and its numba cache under ``base_compiledir`` alike; the second variable is
    for functions that other packages compile with ``numba.njit(cache=True)``.
    """
    return {
        "PYTENSOR_FLAGS": f"base_compiledir={folder}/pytensor",
        "NUMBA_CACHE_DIR": f"{folder}/numba",
        "PYMC_LAN_CACHE": f"{folder}/pymc_lan",
    }


class Worker:
    """A Python process that reads one JSON request a line and answers each with one line of JSON.

    Parameters
    ----------
    python : path
        The interpreter to run, which decides the environment.
    arguments : sequence of str
        The script and its arguments.
    env : mapping
        Environment variables added to this process's.
    """

    def __init__(self, python: str | Path, arguments: Sequence[str], env: Mapping[str, str]):
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed by __exit__
        self._process = subprocess.Popen(
            [str(python), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **env},
        )

    def ask(self, **request: Any) -> Json:
        """Send one request and wait for its answer."""
        assert self._process.stdin is not None  # both are pipes
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died: the missing answer below says so, with its traceback
        answer = self._process.stdout.readline()
        if not answer:
            self._errors.seek(0)
            raise SystemExit(f"{self._process.args} failed on {request}:\n{self._errors.read()[-4000:]}")
        return json.loads(answer)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
        self._errors.close()


def hssm_python(folder: Path) -> Path:
    """Return the interpreter of HSSM's environment, which is made if it is missing."""
    python = folder / "bin" / "python"
    finished = folder / "finished"
    if not finished.exists():
        print(f"making HSSM's environment in {folder} (about 1.3 GB, a minute)", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        requirements = BENCHMARKS / "hssm-requirements.txt"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
        finished.touch()  # an interrupted installation is started again
    return python


def peer_network(folder: Path, model: str) -> Path:
    """Return the path of the network that HSSM published for a model."""
    network = (folder / f"{model}.onnx").resolve()
    if not network.exists():
        raise SystemExit(f"Expected HSSM's network at {network}, found nothing there. Pass its folder as --peers.")
    return network


def run_json(arguments: Sequence[str], env: Mapping[str, str] | None = None) -> Json:
    """Run Python with `arguments` in a fresh process and return the JSON on the last line of its output."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env={**os.environ, **(env or {})}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def median(rows: Iterable[Mapping[str, float]], key: str) -> float:
    """Return the median of one entry of the rows."""
    return statistics.median(row[key] for row in rows)


def argument_parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with a script's docstring as help and the option that every benchmark has."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    return parser


def add_peer_options(parser: argparse.ArgumentParser, *, networks: bool) -> None:
    """Add where HSSM's environment is and, if `networks`, where its published networks are."""
    parser.add_argument("--hssm-env", type=Path, default=ROOT / ".bench/hssm", help="HSSM's environment")
    if networks:
        parser.add_argument("--peers", type=Path, default=ROOT / "../shared/peers", help="folder of ddm.onnx")


def add_registry_option(parser: argparse.ArgumentParser) -> None:
    """Add where weights are read."""
    parser.add_argument(
        "--registry", type=Path, help="folder of weights, as pl.train writes it; default: the package's"
    )


def trained(registry: Path | None) -> dict[str, Path]:
    """Return the folders of the default weights in a registry, by default the package's own, by model."""
    from pymc_lan.registry.load import embedded_root, read_registry

    root = registry or embedded_root()
    return {model: root / model / entry["default"] for model, entry in read_registry(root).items()}


def machine() -> Json:
    """Describe what the figures were measured on, load included: a busy machine spoils them."""
    packages = ("pymc", "pytensor", "jax", "numba", "numpy", "nutpie")
    load = f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"
    cores = f"{os.cpu_count()} cores, load {load}"
    versions = {name: metadata.version(name) for name in packages}
    return {"python": platform.python_version(), "system": f"{platform.platform()}, {cores}", **versions}


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table whose first column is text and whose other columns are figures."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row))
    print(title)
    # Piped into a file, rich would cut the table at 80 columns.
    Console(width=None if sys.stdout.isatty() else 130).print(table)


def report(figures: Json, path: Path | None) -> None:
    """Say what the figures were measured on, and write both to `path` if one is given."""
    measured_on = machine()
    print("; ".join(f"{name} {what}" for name, what in measured_on.items()))
    if path is not None:
        path.write_text(json.dumps({"machine": measured_on, **figures}, indent=1) + "\n")
