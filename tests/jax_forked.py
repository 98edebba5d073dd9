"""What a forked process meets that calls JAX functions, one thing after another; prints what it finds as JSON.

A script of its own, for a fork that goes wrong does not fail, but hangs.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.compile.mode import Mode

import pymc_lan as pl
from pymc_lan.ops.jax_function import running

FORK = multiprocessing.get_context("fork")
PYTHON = Mode("py", "fast_run")
X = np.array([1.0, 2.0, 3.0])
LOCK = threading.Lock()


def compiled(f: Callable[..., Any]) -> Any:
    x = pt.vector("x")
    y = pl.jax_function(f)(x)
    return pytensor.function([x], [y, pt.grad(y.sum(), x), y.shape[0]], mode=PYTHON)


def message(call: Callable[[], Any]) -> str:
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def locked(x: Any) -> Any:
    return x * (2 if LOCK.acquire(blocking=False) else 3)


def told(x: Any) -> Any:
    print("what a function prints is not an answer")
    # Large enough for JAX to use its threads, for which a forked process would wait for ever.
    large = jnp.exp(-jnp.ones((1000, 1000)) * x[0] ** 2)
    return x**2 + 0 * jnp.sum(large @ large)


def server() -> int:
    return running.runner()._pid


def found(known: Any, picky: Any, results: Any) -> None:
    """What happens in the forked process."""
    answers: dict[str, Any] = {"values": [np.asarray(y).tolist() for y in known(X)], "processes": [server()]}
    answers["mistake"] = message(lambda: picky(X))
    answers["after the mistake"] = picky(np.ones(5))[0].tolist()
    answers["cannot be sent"] = message(lambda: compiled(lambda x: locked(x) + 1))
    answers["after that"] = known(X)[0].tolist()
    os.kill(server(), signal.SIGKILL)
    answers["killed"] = message(lambda: known(X))
    answers["after the kill"] = known(X)[0].tolist()
    answers["processes"].append(server())
    further = FORK.Queue()
    grandchild = FORK.Process(target=lambda: further.put([known(X)[0].tolist(), server()]))
    grandchild.start()
    answers["a process forked from this one"], other = further.get(timeout=60)
    grandchild.join(60)
    answers["after that one"] = known(X)[0].tolist()
    answers["processes"].append(other)
    results.put(answers)


def main() -> None:
    known, picky = compiled(told), compiled(lambda x: x + jnp.ones(5))
    known(X)  # JAX starts here
    results = FORK.Queue()
    child = FORK.Process(target=found, args=(known, picky, results))
    child.start()
    answers = results.get(timeout=60)
    # They end with those that they work for.
    pidfds = [os.pidfd_open(pid) for pid in answers.pop("processes") if os.path.exists(f"/proc/{pid}")]
    child.join(60)
    answers["left"] = [fd for fd in pidfds if not select.select([fd], [], [], 60)[0]]
    print(json.dumps(answers), file=sys.stderr)


if __name__ == "__main__":
    main()
