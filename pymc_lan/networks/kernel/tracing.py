"""A model's closed-form parts as object code, traced and compiled in a process of their own.

JAX is loaded there, and the process that samples stays free of it: PyMC forks, and a forked process in which JAX is
called never returns. The model, a user's own functions among it, goes there as PyMC sends its models to workers: by
the name of their module, if that can be imported. What lies in its file may not be what this process has: a session
sets a global of it, or its author goes on writing. So the answer says what it is the code of.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import Any

from pymc_lan.networks.kernel.fingerprint import fingerprint
from pymc_lan.networks.kernel.llvm import compile_module
from pymc_lan.numerics.fresh import fresh_python


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
    """Trace and compile a model's closed-form parts in another process; None where that cannot be done or trusted."""
    import cloudpickle

    wanted = fingerprint(model)
    if wanted is None:
        return None
    try:
        content = cloudpickle.dumps(model)
    except Exception:  # whatever a user's objects raise when they are copied
        return None
    try:
        command, environment = fresh_python(__name__)
        done = subprocess.run(command, input=content, capture_output=True, env=environment, check=False)
    except OSError:
        return None
    found, code = done.stdout[: len(wanted)], done.stdout[len(wanted) :]
    return code if done.returncode == 0 and found == wanted.encode() else None


def _main() -> None:
    """Read a model from the standard input, as its own process wrote it; write its fingerprint and object code."""
    reply = os.dup(1)
    # What a user's modules print when they are imported is no part of the answer.
    os.dup2(2, 1)
    model = pickle.load(sys.stdin.buffer)
    code = trace(model)
    # Last: what functions import when they are called has been imported now, as where they came from.
    found = fingerprint(model) or ""
    with os.fdopen(reply, "wb") as file:
        file.write(found.encode() + code)


if __name__ == "__main__":
    _main()
