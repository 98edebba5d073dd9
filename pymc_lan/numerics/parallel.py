"""Where many independent tasks run: here, in processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from queue import SimpleQueue
from typing import Any, final

from pymc_lan.errors import explain

# Seconds that a scheduler has to find its first worker.
WAIT = 60
# Processes that may die of a task.
DEATHS = 3


class WorkerDiedError(RuntimeError):
    """Every process that a task was given to has died."""


@final
class Processes(Executor):
    """Processes of this machine; when one dies, another repeats its task.

    When a pool of several processes breaks, nobody knows which task broke it, so each process is a pool of its own.

    Parameters
    ----------
    n : int, optional
        How many; by default one for each core.
    """

    def __init__(self, n: int | None = None):
        n = n or os.cpu_count() or 1
        self._threads = ThreadPoolExecutor(n)
        self._free: SimpleQueue[ProcessPoolExecutor] = SimpleQueue()
        for _ in range(n):
            self._free.put(_one_process())

    def submit[**P, R](self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Give a task to the next process that is free."""
        return self._threads.submit(self._run, partial(function, *args, **kwargs))

    def _run[R](self, task: Callable[[], R]) -> R:
        pool = self._free.get()
        try:
            for _ in range(DEATHS):
                try:
                    return pool.submit(task).result()
                except BrokenProcessPool as error:
                    died, pool = error, _one_process()
            expected, found = "processes that live until their tasks are done", f"{DEATHS} that died of one"
            remedy = "see what they printed, and whether memory is short; a script needs if __name__ == '__main__': too"
            raise WorkerDiedError(explain(expected, found, remedy)) from died
        finally:
            self._free.put(pool)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Close the processes; tasks that have not begun are done before, or cancelled."""
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        while not self._free.empty():
            self._free.get().shutdown(wait)


def _one_process() -> ProcessPoolExecutor:
    # Not forked: threads of numba and JAX do not survive it.
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def open_executor(
    stack: ExitStack, processes: int | None = 1, scheduler: str | None = None, client: Any = None
) -> Executor | None:
    """Open an executor until the stack closes; tasks that have not begun by then are cancelled.

    When a process or worker dies, another repeats its task.

    Parameters
    ----------
    stack : ExitStack
    processes : int, optional
        Processes, which are started unless there is to be one; by default one for each core.
    scheduler : str, optional
        The address of a Dask scheduler, ``"tcp://host:8786"``, whose workers are used instead; they need this package.
    client : distributed.Client, optional
        One that is connected already; it stays open.

    Returns
    -------
    Executor, optional
        None where tasks are to be done in this process.

    Raises
    ------
    ImportError
        Without the extra ``dask``.
    ConnectionError
        If there is no scheduler, or it has no worker.
    TypeError
        For a client that is none.

    Examples
    --------
    >>> from contextlib import ExitStack
    >>> with ExitStack() as stack:
    ...     open_executor(stack) is None
    True
    """
    if scheduler is not None:
        try:
            from distributed import Client
        except ImportError as error:
            raise ImportError(explain("the package distributed", "none", "pip install 'pymc-lan[dask]'")) from error
        try:
            client = stack.enter_context(Client(scheduler))
            client.wait_for_workers(1, timeout=WAIT)
        except (OSError, ValueError) as error:
            found = f"{scheduler!r} ({error})"
            raise ConnectionError(
                explain("a Dask scheduler with workers", found, "start them: dask scheduler")
            ) from error
    if client is not None:
        if not callable(getattr(client, "get_executor", None)):
            remedy = "make one: distributed.Client(...)"
            raise TypeError(explain("client= as a client of Dask", f"a {type(client).__name__}", remedy))
        cluster: Executor = client.get_executor()
        stack.callback(cluster.shutdown, wait=False)
        return cluster
    if processes == 1:
        return None
    pool = Processes(processes)
    stack.callback(pool.shutdown, cancel_futures=True)
    return pool
