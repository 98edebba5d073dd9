"""Models that are known by a function that draws trials: their spec, and the function run and checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain, refuse, unknown
from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.diffusion.kinds import unknown_dynamics
from pymc_lan.models.simulator.responses import RESPONSES
from pymc_lan.models.simulator.view import SIMULATED, is_symmetric
from pymc_lan.models.spec import POSITIVE, Model, Parameter, Simulator

Float = NDArray[np.float64]

LIBRARIES = ("numpy", "jax")
# How often a model that is symmetric is said not to be.
RARELY = 1e-4
# Where a p-value has no logarithm.
TINY = 1e-300
REMEDY = "leave shift and omissions out, and code a missing response as one more choice"

Ranges = Mapping[str, tuple[float, float]] | Sequence[Parameter]


def simulator_spec(
    name: str,
    function: Callable[[Any, Any], Any],
    parameters: Ranges,
    *,
    choices: Sequence[int] = (-1, 1),
    times: bool = True,
    shift: str | None = None,
    mirror: Sequence[str] = (),
    exchange: Sequence[Sequence[str]] = (),
    omissions: bool = False,
    context: Ranges | None = None,
    vectorised: bool = True,
    library: str = "numpy",
    description: str = "",
    reference: str = "unpublished",
) -> Model:
    """Describe a model by a function that draws trials: what `pymc_lan.train` makes a likelihood of.

    Parameters
    ----------
    name : str
    function : callable
        ``(theta, rng)`` to ``(rt, response)``: `theta` of shape (n, p) has a row for each trial and a column for each
        parameter, then each column of `context`, in their order; rt of shape (n,) is in seconds, inf where there was
        no response; response of shape (n,) holds `choices`, and anything where there was none. All randomness comes
        from `rng`.
    parameters : mapping of str to tuple of float, or sequence of Parameter
        Names and bounds, in the order of the columns.
    choices : sequence of int
        The response codes: -1 and 1, or 0 to n - 1.
    times : bool
        False for a function that returns the response alone, in any task: the network then learns the probability of
        each choice, for `pymc_lan.ChoiceDist`.
    shift : str, optional
        The parameter, if there is one, that does nothing but move every response time: the non-decision time. The
        network then need not learn it. `pymc_lan.train` checks that it is true.
    mirror : sequence of str
        Parameters that, turned about the middle of their bounds, do nothing but make the two choices change places: a
        drift of either sign, a bias. Every trial then teaches both. `pymc_lan.train` checks that it is true.
    exchange : sequence of sequence of str
        Groups of one parameter for each choice, in their order, such as the inputs of accumulators: when those of
        every group are moved on by one, so are the choices, and nothing else. Every trial then teaches all choices.
        `pymc_lan.train` checks that it is true.
    omissions : bool
        Whether trials may have no response, rt = inf. Their probability is then learned too.
    context : as `parameters`, optional
        What is known of each trial and not estimated: a deadline, the strength of a stimulus. Distributions take them
        as further parameters.
    vectorised : bool
        False for a function of one trial: `theta` of shape (p,) to two numbers. Training runs it in parallel processes.
    library : {"numpy", "jax"}
        Whether `rng` is a `numpy.random.Generator`, or a key of `jax.random` for a function that `jax.jit` can compile.
    description, reference : str
        For the model's card.

    Returns
    -------
    Model

    Raises
    ------
    ValueError
        For a name that a model of this release has, bounds that are none, names that repeat, an unknown `shift`,
        `mirror` or `library`, a mirror of other than two choices, groups to `exchange` that have not a parameter with
        the same bounds for each choice; without times, for a `shift`, a `mirror`, an `exchange`, `omissions` or a
        single choice.

    Examples
    --------
    Responses that may come after the end of the trial:

    >>> import numpy as np, pymc_lan as pl
    >>> def draw(theta, rng):
    ...     rate, limit = theta.T
    ...     rt = 0.2 + rng.gamma(3.0, 1 / rate)
    ...     return np.where(rt < limit, rt, np.inf), np.ones(len(rt))
    >>> spec = pl.simulator_spec(
    ...     "timed", draw, {"rate": (2.0, 20.0)}, choices=[1], omissions=True, context={"limit": (0.5, 2.0)}
    ... )
    >>> pl.simulate(spec, {"rate": 3.0, "limit": 0.8}, n=4, seed=1).columns.tolist()
    ['trial', 'rt', 'response']

    Responses alone:

    >>> def detect(theta, rng):
    ...     return rng.normal(theta[:, 0], 1.0) > theta[:, 1]
    >>> spec = pl.simulator_spec(
    ...     "yes_no", detect, {"d": (0.0, 4.0), "criterion": (-1.0, 5.0)}, choices=[0, 1], times=False
    ... )
    >>> pl.simulate(spec, {"d": 1.0, "criterion": 0.5}, n=4, seed=1).columns.tolist()
    ['trial', 'response']
    """
    if name in MODELS:
        raise ValueError(explain("a name that no model of this release has", f"{name!r}", "choose another"))
    every = (*_parameters(parameters, ""), *_parameters(context or {}, "context, known of each trial"))
    names = [p.name for p in every]
    if shift is not None and shift not in names:
        raise ValueError(unknown("parameter", shift, names))
    if taken := {"rt", "response"} & {*names}:
        raise ValueError(explain("names of parameters that no column of data has", f"{taken.pop()!r}", "rename it"))
    if library not in LIBRARIES:
        raise ValueError(unknown("library", library, LIBRARIES))
    if not choices or len(set(choices)) < len(choices) or any(code != int(code) for code in choices):
        raise ValueError(
            explain("whole numbers as choices, each once", f"{tuple(choices)}", "give (-1, 1), or 0 to n - 1")
        )
    decisive = {p.name: p for p in every if p.name != shift}
    _check_mirror(mirror, decisive, tuple(choices))
    _check_exchange(exchange, decisive, tuple(choices), mirror)
    if not times and (shift is not None or mirror or exchange or omissions or len(choices) < 2):
        given = {"choices": tuple(choices), "shift": shift, "mirror": mirror, "exchange": exchange}
        found = ", ".join(f"{k}={x!r}" for k, x in given.items()) + f" and omissions={omissions}"
        expected = "two choices or more, and neither shift, mirror, exchange nor omissions, without times"
        raise ValueError(explain(expected, found, REMEDY))
    return Model(
        name=name,
        parameters=every,
        drift=unknown_dynamics,
        boundary=unknown_dynamics,
        description=description or f"A model known by its simulator, {name}.",
        reference=reference,
        choices=tuple(int(code) for code in choices),
        transform=SIMULATED if times else RESPONSES,
        shift=shift,
        omissions=omissions,
        mirror=tuple(mirror),
        exchange=tuple(map(tuple, exchange)),
        simulator=Simulator(function, vectorised, library),
    )


def _check_mirror(mirror: Sequence[str], known: Mapping[str, Parameter], choices: tuple[int, ...]) -> None:
    if isinstance(mirror, str):
        raise ValueError(explain("names of parameters for mirror", f"{mirror!r}", f"give mirror=[{mirror!r}]"))
    for name in mirror:
        if name not in known:
            raise ValueError(unknown("parameter", name, [*known]))
    if mirror and len(choices) != 2:
        raise ValueError(explain("two choices that can change places", f"{choices}", "leave out mirror"))


def _check_exchange(
    groups: Sequence[Sequence[str]], known: Mapping[str, Parameter], choices: tuple[int, ...], mirror: Sequence[str]
) -> None:
    if not groups:
        return
    if any(isinstance(group, str) for group in (groups, *groups)):
        remedy = "give exchange=[['v0', 'v1', 'v2']]"
        raise ValueError(explain("groups of names of parameters for exchange", f"{groups!r}", remedy))
    named = [name for group in groups for name in group]
    for name in named:
        if name not in known:
            raise ValueError(unknown("parameter", name, [*known]))
    wanted = "groups of exchange with one parameter for each choice, all with the same bounds, each in one group"
    alike = all(len(group) == len(choices) and len({known[name].bounds for name in group}) == 1 for group in groups)
    if mirror or len(choices) < 2 or not alike or len(set(named)) < len(named):
        told = ", ".join("(" + ", ".join(f"{name} {known[name].bounds}" for name in group) + ")" for group in groups)
        found = f"{told} for choices {choices}" + (" and a mirror" if mirror else "")
        raise ValueError(explain(wanted, found, "correct the groups, or leave out exchange"))


def _parameters(given: Ranges, meaning: str) -> list[Parameter]:
    if not isinstance(given, Mapping):
        return list(given)
    result = []
    for name, bounds in given.items():
        low, high = (float(x) for x in bounds)
        # Non-decision times have this name wherever one looks.
        domain = POSITIVE if name == "t" else (-math.inf, math.inf)
        result.append(Parameter(name, (low, high), "s" if name == "t" else "", meaning, domain=domain))
    return result


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
    assert spec.simulator is not None  # callers look at it first
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
        found = rows if spec.transform == RESPONSES else list(zip(*rows, strict=True))
    if spec.transform == RESPONSES:
        return np.zeros(len(theta)), check_responses(spec, theta, found)
    return check_trials(spec, theta, found)


@cache
def _compiled(function: Callable[..., Any], vectorised: bool) -> Callable[..., Any]:
    """A JAX function compiled; one of a single trial is mapped over trials, each with a key of its own."""
    import jax

    if vectorised:
        return jax.jit(function)
    return jax.jit(lambda theta, key: jax.vmap(function)(theta, jax.random.split(key, theta.shape[0])))


def check_responses(spec: Model, theta: Float, found: Any) -> Float:
    """Return the responses of a simulator without times as numbers, or say what is wrong with them."""
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


def check_shift(spec: Model, seed: int = 0, n: int = 200) -> None:
    """Check that `shift` does nothing but move response times: the same random numbers at two values of it.

    Raises
    ------
    ValueError
        If decision times or responses differ.
    """
    if spec.shift is None:
        return
    rng, column = np.random.default_rng(seed), spec.names.index(spec.shift)
    low, high = np.array([p.bounds for p in spec.parameters]).T
    theta = low + (high - low) * (0.05 + 0.9 * rng.random((n, len(low))))
    ends = []
    for value in (low[column], high[column]):
        theta[:, column] = value
        rt, response = run_simulator(spec, theta, np.random.default_rng(seed))
        ends.append((rt - value, response))
    (first, one), (second, other) = ends
    same = (one == other) & (np.isclose(first, second, rtol=1e-3, atol=1e-4) | (first == second))
    refuse(
        ~same,
        {f"decision time at {spec.shift} = {low[column]:g}": first, f"at {high[column]:g}": second},
        expected=f"the same decisions from the same random numbers whatever {spec.shift} is, because it is said to be "
        "a pure shift",
        found="others",
        remedy=f"leave out shift={spec.shift!r}: the network then learns what it does",
    )


def check_symmetry(spec: Model, seed: int = 0, sets: int = 20) -> None:
    """Check that what `mirror` or `exchange` says of parameters does nothing but make the choices change places.

    Decision times, ordered by choice first, are compared for some parameter sets by Kolmogorov's and Smirnov's test,
    each alone and all together (Fisher's method).

    Raises
    ------
    ValueError
        If they are distributed in another way.
    """
    if not is_symmetric(spec):
        return
    # Not above: importing it changes the filters of warnings.
    from scipy.stats import combine_pvalues, ks_2samp

    assert spec.simulator is not None  # only such models are symmetric
    n = 2_000 if spec.simulator.serial else 20_000
    rng, choices = np.random.default_rng(seed), np.array(spec.choices)
    low, high = np.array([p.bounds for p in spec.parameters]).T
    first = low + (high - low) * rng.random((sets, len(low)))
    ordered = []
    for theta, moved in ((first, 0), (_moved_on(spec, first), 1)):
        rt, response = run_simulator(spec, np.repeat(theta, n, axis=0), rng)
        place = (np.argmax(response[:, None] == choices, axis=1) - moved) % len(choices)
        # Trials without a response are on no side.
        ordered.append(np.where(np.isfinite(rt), place - np.exp(-rt), -2.0).reshape(sets, n))
    p = np.array([ks_2samp(*pair).pvalue for pair in zip(*ordered, strict=True)])
    word = "mirror" if spec.mirror else "exchange"
    done = f"when {' and '.join(spec.mirror)} are turned about the middle of their bounds"
    if spec.exchange:
        done = f"when each of {' and of '.join(', '.join(group) for group in spec.exchange)} is moved on by one"
    refuse(
        (p < RARELY / sets) | (combine_pvalues(np.maximum(p, TINY)).pvalue < RARELY),
        {"p": p} | dict(zip(spec.names, first.T, strict=True)),
        expected=f"the same trials {done} and the choices change places, as {word} says",
        found="others",
        remedy=f"leave out {word}, or name all that has to change, with bounds that allow it",
    )


def _moved_on(spec: Model, theta: Float) -> Float:
    """Parameters with which every choice should be what the one before it was."""
    if spec.mirror:
        low, high = np.array([p.bounds for p in spec.parameters]).T
        return np.where(np.isin(spec.names, spec.mirror), low + high - theta, theta)
    moved = theta.copy()
    for group in spec.exchange:
        columns = [spec.names.index(name) for name in group]
        moved[:, columns] = theta[:, np.roll(columns, 1)]
    return moved
