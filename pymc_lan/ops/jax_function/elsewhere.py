"""A process of its own, in which JAX functions are called for a process that cannot call them.

It is started fresh at the first call, and ends with the process that it works for, which holds the only other end of
their connection.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from threading import Lock
from typing import Any, final

from pymc_lan.errors import explain
from pymc_lan.numerics.fresh import fresh_python
from pymc_lan.ops.jax_function.flat import Flat

SERVER = "pymc_lan.ops.jax_function.server"


class ElsewhereError(RuntimeError):
    """Another process was to call JAX and could not, whatever it was to call."""


@final
class Elsewhere:
    """What `pymc_lan.ops.jax_function.running.Here` does, in another process."""

    def __init__(self) -> None:
        self._pid = 0
        self._connection: Connection | None = None
        self._numbers: dict[Flat, int] = {}
        self._lock = Lock()

    def call(self, function: Flat, arrays: Sequence[Any]) -> Any:
        """Values of a function, as arrays that may be written to."""
        return self._ask("call", function, arrays)

    def outputs(self, function: Flat, inputs: Sequence[Any]) -> Any:
        """What a function would return for inputs of such types."""
        return self._ask("outputs", function, inputs)

    def leave(self) -> None:
        """Leave the other process to the one that this one was forked from."""
        if self._connection is not None:
            self._connection.close()

    def _ask(self, what: str, function: Flat, given: Sequence[Any]) -> Any:
        with self._lock:
            content = None if function in self._numbers else _content(function)
            try:
                connection = self._connected()
                if content is not None:
                    connection.send(("learn", content, None))
                    self._numbers[function] = len(self._numbers)
                connection.send((what, self._numbers[function], list(given)))
                answer, failure = connection.recv()
            except BaseException as error:
                # What has been asked may still be answered, and must not be taken for the answer to something else.
                self._end()
                if isinstance(error, EOFError | OSError):
                    raise ElsewhereError(_died()) from error
                raise
        if failure is not None:
            raise failure
        return answer

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection, there = Pipe()
            os.set_inheritable(there.fileno(), True)
            command, environment = fresh_python(SERVER, str(there.fileno()))
            self._pid = os.posix_spawnp(command[0], command, environment)
            there.close()
        return self._connection

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        self._connection, self._numbers = None, {}


def _content(function: Flat) -> bytes:
    try:
        return function.content
    except Exception as error:
        raise ElsewhereError(
            explain(
                "a JAX function that can be sent to another process, for this one was forked and cannot call JAX",
                f"{function.name!r}, of which cloudpickle says: {error}",
                "define it in a module without what cannot be copied, or sample with cores=1 or nuts_sampler='nutpie'",
            )
        ) from error


def _died() -> str:
    found = "one that ended before it answered"
    remedy = "see what it printed, and whether memory is short; pm.sample(mp_ctx='forkserver') calls JAX without it"
    return explain("a process that calls JAX for this forked one", found, remedy)
