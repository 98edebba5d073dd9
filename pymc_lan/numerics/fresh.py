"""A fresh Python that finds the modules that this one finds, for what cannot be done in this process."""

from __future__ import annotations

import os
import sys


def fresh_python(module: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """How to run a module of this package in a process of its own, with JAX on the processor.

    Parameters
    ----------
    module : str
    *arguments : str

    Returns
    -------
    command : list of str
    environment : dict of str to str

    Examples
    --------
    >>> command, environment = fresh_python("pymc_lan.networks.kernel.tracing")
    >>> command[1:]
    ['-P', '-W', 'ignore', '-m', 'pymc_lan.networks.kernel.tracing']
    """
    # The path of this process, and not the folder that it happens to be in.
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    command = [sys.executable or "python", "-P", "-W", "ignore", "-m", module, *arguments]
    return command, os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu"}
