"""Diffusions given by their functions, drawn until they are decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.models.diffusion.structure import Process, structure
from pymc_lan.numerics.samplers.bridges import diffuse
from pymc_lan.numerics.samplers.exits import draw_exits

Float = NDArray[np.float64]

# How long paths are simulated in steps of `STEP` [s], which nearly all need; what is left costs more.
FIRST, STEP = 20.0, 0.01
# After that time is doubled so often, and the step with it: a path that was undecided for so long has boundaries that
# are as far apart as before, and functions of time are smooth where they are late. Up to 82,000 s ...
DOUBLINGS = 12
# ... or, with a drift that depends on position and time, up to 10,000 s, because its step cannot grow.
FEWER_DOUBLINGS = 9


def draw_passages(process: Process, rng: np.random.Generator, theta: Mapping[str, Float]) -> tuple[Float, Float]:
    """Draw one decision time and response for each set of parameters.

    Parameters
    ----------
    process : Process
        Whose drift and boundary are functions.
    rng : numpy.random.Generator
    theta : mapping of str to ndarray, shape (n,)

    Returns
    -------
    time, response : ndarray of float64, shape (n,)
        Seconds; inf and 0 of a trial that is never decided, because boundaries run away or a drift holds it for ever:
        for more than 82,000 s, or 10,000 s where the drift depends on both position and time.

    Notes
    -----
    Where the drift depends on position alone, between constant boundaries, what is undecided after 20 s is drawn from
    the distribution of the time that is left.
    """
    import jax

    # First, because it refuses functions that cannot be followed.
    kind, key = structure(process), jax.random.key(int(rng.integers(2**63)))
    start = np.asarray(process.boundary(0.0, theta)) * (2 * theta["z"] - 1)
    size = start.size

    def follow(block: int, trials: Any, where: Any, begin: float, horizon: float, dt: float) -> list[Any]:
        inputs = {name: x[trials] for name, x in theta.items()}
        found = diffuse(
            key if block == 0 else jax.random.fold_in(key, block),
            *(process.drift, process.boundary, _as_floats(inputs), _as_floats(where)),
            begin=begin, horizon=horizon, dt=dt, room=size,
        )  # fmt: skip
        return [np.array(x, np.float64) for x in found]

    time, response, position = follow(0, slice(None), start, 0.0, FIRST, STEP)
    late = np.flatnonzero(np.isinf(time))
    if kind.positional and not (kind.varying or kind.moving):
        time[late], response[late] = _draw_rest(process, rng, {k: x[late] for k, x in theta.items()}, position[late])
        return time, response
    for block in range(FEWER_DOUBLINGS if kind.positional else DOUBLINGS):
        if not late.size:
            break
        begin, growth = FIRST * 2.0**block, 1.0 if kind.positional else 2.0**block
        passed, response[late], position[late] = follow(block + 1, late, position[late], begin, begin, STEP * growth)
        time[late] = begin + passed
        late = late[np.isinf(passed)]
    return time, response


def _as_floats(x: Any) -> Any:
    import jax
    import jax.numpy as jnp

    return jax.tree.map(lambda y: jnp.asarray(y, jnp.result_type(float)), x)


def _draw_rest(
    process: Process, rng: np.random.Generator, theta: Mapping[str, Float], position: Float
) -> tuple[Float, Float]:
    """Draw when and where trials end that are at `position` after `FIRST` seconds, one parameter set after another."""
    time, response = np.full(position.size, np.inf), np.zeros(position.size)
    names = [name for name in theta if name != "t"]
    sets, which = np.unique(np.column_stack([theta[name] for name in names]), axis=0, return_inverse=True)
    for k, row in enumerate(sets):
        one, mine = dict(zip(names, row, strict=True)), np.flatnonzero(which.ravel() == k)

        def drift(x: Float, one: Mapping[str, float] = one) -> Any:
            return process.drift(FIRST, x, one)

        rest, response[mine] = draw_exits(rng, drift, float(process.boundary(FIRST, one)), position[mine])
        time[mine] = FIRST + rest
    response[np.isinf(time)] = 0
    return time, response
