"""The diffusions of this release, as data. Those that ship without weights can be trained by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from pymc_lan.models.diffusion.closed_deadline import straight_latest
from pymc_lan.models.diffusion.closed_forms import (
    CONSTANT_DRIFT,
    STRAIGHT_BOUNDARY,
    VARIABLE_DRIFT,
    constant_boundary,
    constant_drift,
    straight_boundary,
)
from pymc_lan.models.diffusion.kinds import CLOSES, ClosedDiffusion, Diffusion, MixtureDiffusion, ModelSpec
from pymc_lan.models.diffusion.structure import PATH, Structure
from pymc_lan.models.parameters import POSITIVE, Parameter, Variability
from pymc_lan.numerics.passage import CLOSED, Theta

# Easy conditions have drifts beyond 3, and cautious subjects boundaries beyond 2.5.
_DRIFT = (-6.0, 6.0)
_SEPARATION = (0.3, 4.0)
# As near an end as networks of a constant drift are right.
_START = (0.01, 0.99)


def _v(low: float, high: float) -> Parameter:
    return Parameter("v", (low, high), "evidence/s", "drift towards the upper boundary")


def _a(low: float, high: float) -> Parameter:
    meaning = "half the separation of the boundaries, at -a and +a when the decision starts"
    return Parameter("a", (low, high), "evidence", meaning, domain=POSITIVE)


def _z(low: float, high: float) -> Parameter:
    return Parameter("z", (low, high), "1", "relative starting point, -a + 2 a z", default=0.5, domain=(0.0, 1.0))


def _t(low: float, high: float) -> Parameter:
    return Parameter("t", (low, high), "s", "non-decision time", domain=POSITIVE)


def straight_closes(theta: Theta) -> Any:
    """When a falling straight boundary meets its mirror image; very late where it does not fall."""
    import jax.numpy as jnp

    return (1 - CLOSED) * theta["a"] / jnp.maximum(jnp.tan(theta["theta"]), _SLOWEST)


def weibull_boundary(time: Any, theta: Theta) -> Any:
    """A boundary that falls from a like one less a Weibull distribution function: shape alpha, scale beta."""
    import jax.numpy as jnp

    return theta["a"] * jnp.exp(-((time / theta["beta"]) ** theta["alpha"]))


def weibull_closes(theta: Theta) -> Any:
    """When a Weibull boundary has practically met its mirror image."""
    return theta["beta"] * _SHUT ** (1 / theta["alpha"])


def exponential_boundary(time: Any, theta: Theta) -> Any:
    """A boundary that falls from a at the constant rate lam."""
    import jax.numpy as jnp

    return theta["a"] * jnp.exp(-theta["lam"] * time)


def exponential_closes(theta: Theta) -> Any:
    """When an exponential boundary has practically met its mirror image."""
    return _SHUT / (theta["lam"] + _SLOWEST)


def hyperbolic_boundary(time: Any, theta: Theta) -> Any:
    """A boundary that falls from a to half of it in 1 / lam seconds, to a third in twice that."""
    return theta["a"] / (1 + theta["lam"] * time)


def leaky_drift(time: Any, position: Any, theta: Theta) -> Any:
    """Drift v that is lessened in proportion to the position."""
    return theta["v"] - theta["g"] * position


def gamma_drift(time: Any, position: Any, theta: Theta) -> Any:
    """Drift v plus a bump with the form of a gamma density and the height c."""
    import jax.numpy as jnp

    rise = theta["shape"] - 1
    x = time / (rise * theta["scale"])
    return theta["v"] + theta["c"] * jnp.exp(rise * (1 + jnp.log(x) - x))


@cache
def _erf() -> Callable[[Any], Any]:
    """The error function; JAX's own derivative of it works on bits, which compiled kernels do not know."""
    import jax

    erf = jax.custom_jvp(jax.lax.erf)
    erf.defjvps(lambda dx, _, x: 2 / math.sqrt(math.pi) * jax.numpy.exp(-(x**2)) * dx)
    return erf


def shrinking_spotlight(time: Any, position: Any, theta: Theta) -> Any:
    """Drift v plus evidence from target and flankers, weighted by a normal spotlight whose width falls."""
    import jax.numpy as jnp

    erf = _erf()
    width = math.sqrt(2) * jnp.maximum(theta["sda"] - theta["r"] * time, 0.001)
    target, both = erf(0.5 / width), erf(1.5 / width)
    return theta["v"] + theta["ptarget"] * target + theta["pinner"] * (both - target) + theta["pouter"] * (1 - both)


def conflict_drift(time: Any, position: Any, theta: Theta) -> Any:
    """Drift v plus that of a target, which tends to its fixed point, and of a distractor, which fades."""
    import jax.numpy as jnp

    target = theta["tfixedp"] + (theta["tinit"] - theta["tfixedp"]) * jnp.exp(-theta["tslope"] * time)
    return theta["v"] + theta["tcoh"] * target + theta["dcoh"] * theta["dinit"] * jnp.exp(-theta["dslope"] * time)


# Boundaries have practically met when this share of their separation is left.
_SHUT = -math.log(CLOSED)
# A rate of collapse [1/s] so low that it is none.
_SLOWEST = 1e-6

CLOSES |= {
    straight_closes: straight_latest,
    weibull_closes: lambda xp, theta: weibull_closes(theta),
    exponential_closes: lambda xp, theta: exponential_closes(theta),
}

DDM_SPEC = ClosedDiffusion(
    name="ddm",
    parameters=(
        _v(*_DRIFT),
        Parameter("a", _SEPARATION, "evidence", "half the separation of the boundaries, at -a and +a", domain=POSITIVE),
        _z(*_START),
        _t(0.0, 2.0),
    ),
    form=CONSTANT_DRIFT,
    description="Drift diffusion model: constant drift between two constant boundaries.",
    reference="Ratcliff (1978), Psychological Review 85, 59-108; Ratcliff & McKoon (2008), Neural Computation 20,"
    " 873-922.",
)

DDM_EXTENDED_SPEC = replace(
    DDM_SPEC,
    name="ddm_extended",
    description="Drift diffusion model under the name it had when 'ddm' was trained within narrower bounds: constant "
    "drift between two constant boundaries.",
)

ANGLE_SPEC = ClosedDiffusion(
    name="angle",
    parameters=(
        _v(*_DRIFT),
        _a(*_SEPARATION),
        _z(0.1, 0.9),
        _t(0.0, 2.0),
        Parameter(
            "theta",
            (-0.1, 1.3),
            "rad",
            "angle at which the boundaries fall: they are at +-(a - d tan(theta)) after d seconds of decision",
            domain=(-math.pi / 2, math.pi / 2),
        ),
    ),
    form=STRAIGHT_BOUNDARY,
    description="Diffusion with boundaries that collapse in a straight line: constant drift between +-(a - d tan"
    "(theta)).",
    reference="Fengler, Govindarajan, Chen & Frank (2021), eLife 10, e65074.",
)

DDM_SDV_SPEC = replace(
    DDM_SPEC,
    name="ddm_sdv",
    parameters=(
        _v(*_DRIFT),
        DDM_SPEC.parameter("a"),
        _z(0.1, 0.9),
        _t(0.0, 2.0),
        Parameter(
            "sv", (0.0, 2.5), "evidence/s", "standard deviation of the drift across trials", domain=(0.0, math.inf)
        ),
    ),
    description="Drift diffusion model with a drift that is normal across trials: mean v, standard deviation sv.",
    reference="Ratcliff (1978), Psychological Review 85, 59-108.",
    form=VARIABLE_DRIFT,
)

WEIBULL_SPEC = ModelSpec(
    name="weibull",
    parameters=(
        _v(-2.5, 2.5),
        _a(0.3, 2.5),
        _z(0.2, 0.8),
        _t(0.0, 2.0),
        Parameter("alpha", (0.31, 4.99), "1", "shape of the collapse: above 1 it begins slowly", domain=POSITIVE),
        Parameter("beta", (0.31, 6.99), "s", "scale: when the boundaries have fallen to a / e", domain=POSITIVE),
    ),
    drift=constant_drift,
    boundary=weibull_boundary,
    description="Diffusion with boundaries that collapse like a Weibull survival function: constant drift between"
    " +-a exp(-(d / beta)^alpha).",
    reference="Hawkins, Forstmann, Wagenmakers, Ratcliff & Brown (2015), Journal of Neuroscience 35, 2476-2484.",
    closes=weibull_closes,
    structure=Structure(positional=False, varying=False, moving=True),
)

_ST = Parameter(
    "st", (0.001, 0.25), "s", "half the range of the non-decision time across trials, t - st to t + st", domain=POSITIVE
)
_T_LATE = Parameter("t", (0.25, 2.25), "s", "mean non-decision time", domain=POSITIVE)

DDM_ST_SPEC = MixtureDiffusion(
    name="ddm_st",
    parameters=(_v(*_DRIFT), DDM_SPEC.parameter("a"), _z(0.3, 0.7), _T_LATE, _ST),
    description="Drift diffusion model with a non-decision time that is uniform across trials, t - st to t + st.",
    reference="Ratcliff & Tuerlinckx (2002), Psychonomic Bulletin & Review 9, 438-481.",
    variability=(Variability("t", "uniform", "st"),),
)

FULL_DDM_SPEC = replace(
    DDM_ST_SPEC,
    name="full_ddm",
    parameters=(
        _v(-3.0, 3.0),
        replace(DDM_SPEC.parameter("a"), bounds=(0.3, 2.5)),
        *DDM_ST_SPEC.parameters[2:4],
        Parameter(
            "sz",
            (0.001, 0.2),
            "1",
            "half the range of the relative starting point across trials, z - sz to z + sz",
            domain=(0.0, 0.5),
        ),
        replace(DDM_SDV_SPEC.parameter("sv"), bounds=(0.001, 2.0)),
        _ST,
    ),
    description="Full drift diffusion model: a drift that is normal across trials, a starting point and a non-decision "
    "time that are uniform. The starting point's range is relative to the separation, as z is.",
    variability=(
        Variability("z", "uniform", "sz"),
        Variability("v", "normal", "sv"),
        Variability("t", "uniform", "st"),
    ),
)

EXPONENTIAL_SPEC = ModelSpec(
    name="exponential_collapse",
    parameters=(
        _v(-3.0, 3.0),
        _a(0.3, 3.0),
        _z(0.1, 0.9),
        _t(0.0, 2.0),
        Parameter("lam", (0.0, 3.0), "1/s", "rate of the collapse", domain=(0.0, math.inf)),
    ),
    drift=constant_drift,
    boundary=exponential_boundary,
    description="Diffusion with boundaries that collapse exponentially: constant drift between +-a exp(-lam d).",
    reference="Hawkins, Forstmann, Wagenmakers, Ratcliff & Brown (2015), Journal of Neuroscience 35, 2476-2484; "
    "Shinn, Lam & Murray (2020), eLife 9, e56938.",
    closes=exponential_closes,
    structure=Structure(positional=False, varying=False, moving=True),
)

HYPERBOLIC_SPEC = replace(
    EXPONENTIAL_SPEC,
    name="hyperbolic_collapse",
    parameters=(
        *EXPONENTIAL_SPEC.parameters[:4],
        Parameter("lam", (0.0, 3.0), "1/s", "rate at which the collapse begins", domain=(0.0, math.inf)),
    ),
    boundary=hyperbolic_boundary,
    description="Diffusion with boundaries that collapse hyperbolically: constant drift between +-a / (1 + lam d).",
    reference="Voskuilen, Ratcliff & Smith (2016), Journal of Mathematical Psychology 73, 59-79.",
    closes=None,
)

ORNSTEIN_SPEC = ModelSpec(
    name="ornstein",
    parameters=(
        _v(-2.0, 2.0),
        _a(0.3, 3.0),
        _z(0.1, 0.9),
        Parameter("g", (-1.0, 1.0), "1/s", "leak: how fast evidence is lost or, below 0, grows by itself"),
        _t(0.0, 2.0),
    ),
    drift=leaky_drift,
    boundary=constant_boundary,
    description="Ornstein-Uhlenbeck process: drift v - g x at position x, between two constant boundaries.",
    structure=Structure(positional=True, varying=False, moving=False),
    reference="Busemeyer & Townsend (1993), Psychological Review 100, 432-459.",
)

GAMMA_DRIFT_SPEC = ModelSpec(
    name="gamma_drift",
    parameters=(
        _v(-3.0, 3.0),
        _a(0.3, 3.0),
        _z(0.1, 0.9),
        _t(0.0, 2.0),
        Parameter("shape", (2.0, 10.0), "1", "shape of the bump", domain=(1.0, math.inf)),
        Parameter("scale", (0.01, 1.0), "s", "scale of the bump, which peaks after (shape - 1) scale", domain=POSITIVE),
        Parameter("c", (-3.0, 3.0), "evidence/s", "height of the bump"),
    ),
    drift=gamma_drift,
    boundary=constant_boundary,
    structure=Structure(positional=False, varying=True, moving=False),
    description="Diffusion with a bump of drift in the form of a gamma density, between two constant boundaries.",
    reference="White, Servant & Logan (2018), Attention, Perception & Psychophysics 80, 110-129; Ulrich, Schroter, "
    "Leuthold & Birngruber (2015), Cognitive Psychology 78, 148-174.",
)

GAMMA_DRIFT_ANGLE_SPEC = replace(
    GAMMA_DRIFT_SPEC,
    name="gamma_drift_angle",
    parameters=(
        *GAMMA_DRIFT_SPEC.parameters[:4],
        ANGLE_SPEC.parameter("theta"),
        *GAMMA_DRIFT_SPEC.parameters[4:],
    ),
    boundary=straight_boundary,
    description="Diffusion with a bump of drift in the form of a gamma density, between straight falling boundaries.",
    seen=PATH,
    closes=straight_closes,
    structure=Structure(positional=False, varying=True, moving=True),
)


def _evidence(name: str, low: float, meaning: str) -> Parameter:
    return Parameter(name, (low, 5.5), "evidence/s", meaning)


SHRINK_SPOT_SPEC = ModelSpec(
    name="shrink_spot",
    parameters=(
        _v(-3.0, 3.0),
        _a(0.3, 3.0),
        _z(0.1, 0.9),
        _t(0.0, 2.0),
        _evidence("ptarget", 2.0, "evidence from the target"),
        _evidence("pouter", -5.5, "evidence from each outer flanker"),
        _evidence("pinner", -5.5, "evidence from each inner flanker"),
        Parameter("r", (0.01, 0.05), "1/s", "rate at which the spotlight narrows", domain=(0.0, math.inf)),
        Parameter("sda", (1.0, 3.0), "1", "standard deviation of the spotlight at first", domain=POSITIVE),
    ),
    drift=shrinking_spotlight,
    boundary=constant_boundary,
    structure=Structure(positional=False, varying=True, moving=False),
    description="Shrinking spotlight: attention narrows on the target of a flanker task, between constant boundaries. "
    "The weights of target and flankers sum to one, so v less a constant and the three inputs plus it are the same "
    "drift: fix v, usually at 0.",
    reference="White, Ratcliff & Starns (2011), Cognitive Psychology 63, 210-238.",
)


def _upto(name: str, low: float, high: float, unit: str, meaning: str) -> Parameter:
    return Parameter(name, (low, high), unit, meaning)


CONFLICT_DS_SPEC = ModelSpec(
    name="conflict_ds",
    parameters=(
        _v(-3.0, 3.0),
        _a(0.3, 3.0),
        _z(0.1, 0.9),
        _t(0.0, 2.0),
        _upto("tinit", 0.0, 5.0, "evidence/s", "drift of the target at first"),
        _upto("dinit", 0.0, 5.0, "evidence/s", "drift of the distractor at first"),
        _upto("tslope", 0.01, 5.0, "1/s", "rate at which the target's drift tends to its fixed point"),
        _upto("dslope", 0.01, 5.0, "1/s", "rate at which the distractor's drift fades"),
        _upto("tfixedp", 0.0, 5.0, "evidence/s", "fixed point of the target's drift"),
        _upto("tcoh", -1.0, 1.0, "1", "coherence of the target"),
        _upto("dcoh", -1.0, 1.0, "1", "coherence of the distractor"),
    ),
    drift=conflict_drift,
    boundary=constant_boundary,
    structure=Structure(positional=False, varying=True, moving=False),
    description="Conflict of target and distractor, as in flanker and Simon tasks: drifts that relax exponentially, "
    "between constant boundaries. Only the products tcoh tinit, tcoh tfixedp and dcoh dinit are "
    "identified: fix the coherences, usually at what the experiment sets.",
    reference="ssm-simulators (Fengler, Govindarajan, Chen & Frank 2021, eLife 10, e65074), model conflict_ds.",
)

DIFFUSIONS: dict[str, Diffusion] = {
    spec.name: spec
    for spec in (
        DDM_SPEC,
        DDM_EXTENDED_SPEC,
        DDM_SDV_SPEC,
        DDM_ST_SPEC,
        FULL_DDM_SPEC,
        ANGLE_SPEC,
        WEIBULL_SPEC,
        EXPONENTIAL_SPEC,
        HYPERBOLIC_SPEC,
        ORNSTEIN_SPEC,
        GAMMA_DRIFT_SPEC,
        GAMMA_DRIFT_ANGLE_SPEC,
        SHRINK_SPOT_SPEC,
        CONFLICT_DS_SPEC,
    )
}
"""Diffusions between two boundaries, by name."""
