"""The process that calls JAX functions for a forked one: ``python -m pymc_lan.ops.jax_function.server DESCRIPTOR``."""

from __future__ import annotations

import pickle
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

from pymc_lan.ops.jax_function.flat import Flat, unpacked
from pymc_lan.ops.jax_function.running import Here


def serve(connection: Connection) -> None:
    """Answer what the other process asks, until it has gone.

    Parameters
    ----------
    connection : Connection
        Receives ``("learn", content, None)``, a function for which there is no answer until it is asked for, and
        ``("call" or "outputs", number, inputs)``; sends ``(answer, error)``.
    """
    here, functions = Here(), list[Flat | Exception]()
    while True:
        try:
            what, function, given = connection.recv()
        except (EOFError, OSError):
            return
        if what == "learn":
            functions.append(_learnt(function))
            continue
        try:
            connection.send((_answer(here, what, functions[function], given), None))
        except (EOFError, OSError):
            return
        except Exception as error:
            connection.send((None, _copied(error)))


def _learnt(content: bytes) -> Flat | Exception:
    try:
        return unpacked(content)
    except Exception as error:
        return error


def _answer(here: Here, what: str, function: Flat | Exception, given: Any) -> Any:
    if isinstance(function, Exception):
        raise function
    return getattr(here, what)(function, given)


def _copied(error: Exception) -> Exception:
    """The error, or what it says where it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


if __name__ == "__main__":
    # What interrupts the other process, from the keyboard, is for that one to answer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(Connection(int(sys.argv[1])))
