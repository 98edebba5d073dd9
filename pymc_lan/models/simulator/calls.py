"""The function of a simulator called, and what it returns checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain, refuse
from pymc_lan.models.model import Model

Float = NDArray[np.float64]


def run_simulator(spec: Model, theta: Float, rng: np.random.Generator) -> tuple[Float, Float]:
    """Draw one trial for each row of parameters, and check what comes back.

    Parameters
    ----------
    spec : Model
        With a simulator.
    theta : ndarray, shape (n, p)
    rng : numpy.random.Generator

    Returns
    -------
    rt, response : ndarray of float64, shape (n,)
        rt = inf where there was no response; the response is 0 there. Without times, rt is 0 everywhere.

    Raises
    ------
    ValueError
        For other shapes, rt that is NaN or not above 0 (or above the shift), responses that are no choice.
    """
    if spec.simulator is None:
        expected = f"a model whose simulator is known, to draw trials of {spec.name!r}"
        remedy = "load its network with spec=..., your own"
        raise ValueError(explain(expected, "one of which only a network was loaded", remedy))
    each = spec.simulator
    if each.library == "jax":
        import jax

        # Whatever precision the process has: the same seed is to give the same trials.
        with jax.enable_x64(False):
            key = jax.random.key(int(rng.integers(2**31)))
            # What the function sees is what its times are compared with.
            theta = np.asarray(theta, np.float32)
            found = _compiled(each.function, each.vectorised)(theta, key)
    elif each.vectorised:
        found = each.function(theta, rng)
    else:
        rows = [each.function(row, rng) for row in theta]
        found = _turned(rows) if spec.times else rows
    if not spec.times:
        return np.zeros(len(theta)), check_responses(spec, theta, found)
    return check_trials(spec, theta, found)


def _turned(rows: list[Any]) -> Any:
    """Times and responses from a pair for each trial; where these are no pairs, one of them, to be refused."""
    try:
        return list(zip(*rows, strict=True))
    except (TypeError, ValueError):
        return next((row for row in rows if not isinstance(row, Iterable)), rows[0])


@cache
def _compiled(function: Callable[..., Any], vectorised: bool) -> Callable[..., Any]:
    """A JAX function compiled; one of a single trial is mapped over trials, each with a key of its own."""
    import jax

    if vectorised:
        return jax.jit(function)
    return jax.jit(lambda theta, key: jax.vmap(function)(theta, jax.random.split(key, theta.shape[0])))


def check_responses(spec: Model, theta: Float, found: Any) -> Float:
    """Check what a simulator of responses alone returned; see `run_simulator`."""
    try:
        response = np.array(found, np.float64)
    except (TypeError, ValueError) as error:
        expected = f"{len(theta)} numbers from the simulator of {spec.name!r}"
        raise ValueError(
            explain(expected, f"{type(found).__name__} ({error})", "return one array of responses")
        ) from error
    if response.shape != (len(theta),):
        raise ValueError(
            explain(
                f"responses of shape ({len(theta)},), one for each row of theta, from the simulator of {spec.name!r}",
                f"shape {response.shape}",
                "return one array, or give times=True if the function returns response times too",
            )
        )
    _refuse_other_codes(spec, response, np.ones(len(theta), bool), {"response": response}, theta)
    return response


def _refuse_other_codes(
    spec: Model, response: Float, responded: NDArray[np.bool_], shown: Mapping[str, Float], theta: Float
) -> None:
    refuse(
        responded & ~np.isin(response, spec.choices),
        {**shown, **dict(zip(spec.names, theta.T, strict=True))},
        expected=f"the responses {', '.join(map(str, spec.choices))}",
        found=f"another one from the simulator of {spec.name!r}",
        remedy="give choices=... as the function returns them",
    )


def check_trials(spec: Model, theta: Float, found: Any) -> tuple[Float, Float]:
    """Check what a simulator returned, or a file of simulations holds; see `run_simulator`."""
    n = len(theta)
    try:
        rt, response = (np.array(x, np.float64) for x in found)
    except (TypeError, ValueError) as error:
        expected = f"a pair (rt, response) of {n} numbers each from the simulator of {spec.name!r}"
        raise ValueError(explain(expected, f"{type(found).__name__} ({error})", "return two arrays")) from error
    if rt.shape != (n,) or response.shape != (n,):
        raise ValueError(
            explain(
                f"rt and response of shape ({n},), one for each row of theta, from the simulator of {spec.name!r}",
                f"shapes {rt.shape} and {response.shape}",
                "return one number of each for every trial, or give vectorised=False for a function of one trial",
            )
        )
    by_name = dict(zip(spec.names, theta.T, strict=True))
    earliest = np.zeros(n) if spec.shift is None else by_name[spec.shift]
    after = "0" if spec.shift is None else f"{spec.shift}, which is said to be a pure shift,"
    # In single precision a short decision may vanish beside the shift.
    rounded = spec.shift is not None and spec.simulator is not None and spec.simulator.library == "jax"
    refuse(
        ~(rt >= earliest if rounded else rt > earliest),
        {"rt": rt, "response": response} | by_name,
        expected=f"rt above {after} or inf where there is no response",
        found=f"another rt from the simulator of {spec.name!r}",
        remedy="correct the function, or return rt = inf for trials without a response",
    )
    responded = np.isfinite(rt)
    if not spec.omissions:
        refuse(
            ~responded,
            by_name,
            expected="a response in every trial, as the spec says",
            found=f"rt = inf from the simulator of {spec.name!r}",
            remedy="give omissions=True if trials may be without a response",
        )
    _refuse_other_codes(spec, response, responded, {"rt": rt, "response": response}, theta)
    return rt, np.where(responded, response, 0.0)
