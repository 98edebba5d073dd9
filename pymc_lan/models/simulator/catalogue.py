"""Models that are known by their simulators alone, as data; their networks are trained on simulated trials."""

from __future__ import annotations

import math
from typing import Any

from pymc_lan.models.parameters import POSITIVE, Parameter, Simulator
from pymc_lan.models.simulator.kinds import SimulatedTimes
from pymc_lan.models.simulator.symmetry import Exchange, Mirror


def levy_trials(theta: Any, rng: Any) -> Any:
    """Draw response times and responses for rows v, a, z, alpha, t."""
    from pymc_lan.numerics.samplers.processes import levy_draws

    time, response = levy_draws(rng, theta[:, :4])
    return theta[:, 4] + time, response


def lca_trials(theta: Any, rng: Any) -> Any:
    """Draw response times and responses for rows v0, v1, ..., a, z0, z1, ..., g, b, t."""
    from pymc_lan.numerics.samplers.processes import lca_draws

    time, response = lca_draws(rng, theta[:, :-1])
    return theta[:, -1] + time, response


_T = Parameter("t", (0.0, 2.0), "s", "non-decision time", domain=POSITIVE)

LEVY_SPEC = SimulatedTimes(
    name="levy",
    parameters=(
        Parameter("v", (-3.0, 3.0), "evidence/s", "drift towards the upper boundary"),
        Parameter("a", (0.3, 3.0), "evidence", "half the separation of the boundaries, at -a and +a", domain=POSITIVE),
        Parameter("z", (0.1, 0.9), "1", "relative starting point, -a + 2 a z", default=0.5, domain=(0.0, 1.0)),
        Parameter(
            "alpha",
            (1.0, 2.0),
            "1",
            "tails of the jumps: 2 is a diffusion with noise of standard deviation 2^0.5, 1 has Cauchy's jumps",
            domain=(0.0, math.nextafter(2.0, 3.0)),
        ),
        _T,
    ),
    description="Levy flight: evidence moves by symmetric stable noise of unit scale, which jumps, and by a constant "
    "drift, between two constant boundaries.",
    reference="Voss, Lerche, Mertens & Voss (2019), Psychonomic Bulletin & Review 26, 813-832.",
    symmetry=Mirror(("v", "z")),
    simulator=Simulator(levy_trials),
)


def _start(i: int) -> Parameter:
    return Parameter(
        f"z{i}", (0.0, 0.9), "1", f"where accumulator {i} starts, at a z{i}", domain=(0.0, 1.0), closed=True
    )


def _lca(n: int) -> SimulatedTimes:
    return SimulatedTimes(
        name=f"lca_{n}",
        parameters=(
            *(Parameter(f"v{i}", (0.0, 2.5), "evidence/s", f"input of accumulator {i}") for i in range(n)),
            Parameter("a", (1.0, 3.0), "evidence", "threshold", domain=POSITIVE),
            *(_start(i) for i in range(n)),
            Parameter("g", (-1.0, 1.0), "1/s", "leak: how fast evidence is lost or, below 0, grows by itself"),
            Parameter("b", (-1.0, 1.0), "1/s", "inhibition by the evidence of the others; below 0 they help"),
            _T,
        ),
        description=f"Leaky competing accumulators, {n} choices: unit noise, inputs v_i - g x_i - b (sum of the "
        "others), and evidence that cannot fall below 0. The first to reach a decides.",
        reference="Usher & McClelland (2001), Psychological Review 108, 550-592.",
        choices=tuple(range(n)),
        symmetry=Exchange(tuple(tuple(f"{name}{i}" for i in range(n)) for name in "vz")),
        simulator=Simulator(lca_trials),
    )


SIMULATED_SPECS = (LEVY_SPEC, _lca(3))
"""The models of this release that are known by their simulators."""
