"""BayesFlow on Keras's JAX backend: imported late, and beside a session that has its own Keras."""

from __future__ import annotations

import logging
import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pymc_lan.errors import explain

VARIABLE = "KERAS_BACKEND"


def bayesflow() -> Any:
    """The package, which runs on JAX.

    Raises
    ------
    ImportError
        Where it is not installed.
    RuntimeError
        Where Keras runs on another backend in this process: it reads which when it is imported, and keeps to it.
    """
    keras = sys.modules.get("keras")
    chosen = os.environ.get(VARIABLE, "jax") if keras is None else keras.backend.backend()
    if chosen != "jax":
        remedy = f"train in a process of its own, with {VARIABLE}=jax; stored networks need no Keras"
        raise RuntimeError(explain("Keras on JAX, or none yet", f"Keras on {chosen}", remedy))
    if "bayesflow" not in sys.modules:
        before, root = os.environ.get(VARIABLE), logging.getLogger()
        handlers, level = list(root.handlers), root.level
        os.environ[VARIABLE] = "jax"
        try:
            import bayesflow as found
        except ImportError as error:
            remedy = "pip install 'pymc-lan[amortized]'"
            raise ImportError(explain("the package bayesflow, which trains networks", "none", remedy)) from error
        finally:
            # It says how all loggers of a process write, and which backend it found.
            root.handlers[:], root.level = handlers, level
            if before is None:
                os.environ.pop(VARIABLE, None)
    import bayesflow as found

    return found


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A context in which Keras draws from a seed; what Python and NumPy draw afterwards does not depend on it."""
    bayesflow()
    import keras

    own, numpys = random.getstate(), np.random.get_state()  # noqa: NPY002 - Keras sets that generator
    try:
        keras.utils.set_random_seed(seed % 2**32)
        yield
    finally:
        random.setstate(own)
        np.random.set_state(numpys)  # noqa: NPY002
