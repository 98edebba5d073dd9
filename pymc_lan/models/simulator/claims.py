"""What a user says of a simulator, tried on trials: that a parameter is a pure shift, that choices are symmetric."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import refuse
from pymc_lan.models.simulator.calls import run_simulator
from pymc_lan.models.simulator.simulated import Simulated

Float = NDArray[np.float64]

# How often a model that is symmetric is said not to be.
RARELY = 1e-4
# Where a p-value has no logarithm.
TINY = 1e-300


def check_shift(spec: Simulated, seed: int = 0, n: int = 200) -> None:
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
    if not same.all():
        _refuse_other_randomness(spec, theta, seed)
    refuse(
        ~same,
        {f"decision time at {spec.shift} = {low[column]:g}": first, f"at {high[column]:g}": second},
        expected=f"the same decisions from the same random numbers whatever {spec.shift} is, because it is said to be "
        "a pure shift",
        found="others",
        remedy=f"leave out shift={spec.shift!r}: the network then learns what it does",
    )


def _refuse_other_randomness(spec: Simulated, theta: Float, seed: int) -> None:
    """Refuse a function that draws other trials from the same generator: nothing can be said of it then."""
    (rt, response), (again, other) = (run_simulator(spec, theta, np.random.default_rng(seed)) for _ in range(2))
    refuse(
        (rt != again) | (response != other),
        {"rt": rt, "rt of the second call": again},
        expected=f"the same trials from the simulator of {spec.name!r} in two calls with the same random numbers",
        found="others",
        remedy="take all randomness from the second argument, as in rng.normal(), and none from np.random or random",
    )


def check_symmetry(spec: Simulated, seed: int = 0, sets: int = 20) -> None:
    """Check that what `mirror` or `exchange` says of parameters does nothing but make the choices change places.

    Decision times, ordered by choice first, are compared for some parameter sets by Kolmogorov's and Smirnov's test,
    each alone and all together (Fisher's method).

    Raises
    ------
    ValueError
        If they are distributed in another way.
    """
    symmetry = spec.symmetry
    if symmetry is None:
        return
    # Not above: importing it changes the filters of warnings.
    from scipy.stats import combine_pvalues, ks_2samp

    assert spec.simulator is not None  # only such models are symmetric
    n = 2_000 if spec.simulator.serial else 20_000
    rng, choices = np.random.default_rng(seed), np.array(spec.choices)
    low, high = np.array([p.bounds for p in spec.parameters]).T
    first = low + (high - low) * rng.random((sets, len(low)))
    ordered = []
    for theta, moved in ((first, 0), (symmetry.moved_on(spec.parameters, first), 1)):
        rt, response = run_simulator(spec, np.repeat(theta, n, axis=0), rng)
        place = (np.argmax(response[:, None] == choices, axis=1) - moved) % len(choices)
        # Trials without a response are on no side.
        ordered.append(np.where(np.isfinite(rt), place - np.exp(-rt), -2.0).reshape(sets, n))
    p = np.array([ks_2samp(*pair).pvalue for pair in zip(*ordered, strict=True)])
    refuse(
        (p < RARELY / sets) | (combine_pvalues(np.maximum(p, TINY)).pvalue < RARELY),
        {"p": p} | dict(zip(spec.names, first.T, strict=True)),
        expected=f"the same trials when {symmetry.change} and the choices change places, as {symmetry.word} says",
        found="others",
        remedy=f"leave out {symmetry.word}, or name all that has to change, with bounds that allow it",
    )
