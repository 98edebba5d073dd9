"""A model's closed-form parts as object code, traced and compiled in a process of their own.

JAX is loaded there, and the process that samples stays free of it: PyMC forks, and a forked process in which JAX is
called never returns. The model, a user's own functions among it, goes there as PyMC sends its models to workers.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import Any

from pymc_lan.networks.kernel.llvm import compile_module


def object_code(model: Any) -> bytes:
    """Trace and compile a model's closed-form parts.

    Parameters
    ----------
    model : Model

    Returns
    -------
    bytes
        Object code of this machine.
    """
    # What cannot be done elsewhere is done here: where a mistake in a model's functions shows as what it is.
    return _elsewhere(model) or trace(model)


def trace(model: Any) -> bytes:
    """Trace and compile a model's closed-form parts in this process."""
    from pymc_lan.networks.kernel.formulas import build_formulas

    return compile_module(build_formulas(model))


def _elsewhere(model: Any) -> bytes | None:
    """Trace and compile a model's closed-form parts in another process; None where that fails."""
    import cloudpickle

    try:
        content = cloudpickle.dumps(model)
    except Exception:  # whatever a user's objects raise when they are copied
        return None
    # The path of this process, and not the folder that it happens to be in.
    command = [sys.executable or "python", "-P", "-W", "ignore", "-m", __name__]
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    environment = os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu"}
    try:
        done = subprocess.run(command, input=content, capture_output=True, env=environment, check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def _main() -> None:
    """Read a model from the standard input, which its own process has written, and write its object code."""
    reply = os.dup(1)
    # What a user's modules print when they are imported is no part of the answer.
    os.dup2(2, 1)
    content = trace(pickle.load(sys.stdin.buffer))
    with os.fdopen(reply, "wb") as file:
        file.write(content)


if __name__ == "__main__":
    _main()
