"""Where many independent tasks run: here, in processes of this machine, or on a Dask cluster."""

from __future__ import annotations

from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context

from pymc_lan.errors import explain

# Seconds that a scheduler has to find its first worker.
WAIT = 60


def open_executor(stack: ExitStack, processes: int | None = 1, scheduler: str | None = None) -> Executor | None:
    """Open what tasks are given to, until the stack closes; those that have not begun by then are not done.

    A task whose process or worker dies is done anew by a Dask cluster, not by processes.

    Parameters
    ----------
    stack : ExitStack
    processes : int, optional
        Processes, which are started unless there is to be one; by default one for each core.
    scheduler : str, optional
        The address of a Dask scheduler, ``"tcp://host:8786"``, whose workers are used instead; they need this package.

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
        cluster = client.get_executor()
        stack.callback(cluster.shutdown, wait=False)
        return cluster
    if processes == 1:
        return None
    # Not forked: threads of numba and JAX do not survive it.
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    stack.callback(pool.shutdown, cancel_futures=True)
    return pool
