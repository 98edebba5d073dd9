"""Named distributions: one thin class per model, in its two-choice and its go/no-go form.

Parameters come in the model's order; ``pl.get_model(name).parameters`` says what they mean and where they were trained.
Everything else is as in `LANDist` and `GoNoGo`.
"""

from __future__ import annotations

from pymc_lan.distributions.gonogo import GoNoGo
from pymc_lan.distributions.lan import LANDist


class DDMExtended(LANDist):
    """The drift diffusion model with wider bounds, ``DDMExtended(name, v, a, z, t)``: v -6 to 6, a 0.3 to 4.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> pm.draw(pl.DDMExtended.dist(5.0, 3.0, 0.5, 0.3, shape=(10, 2)), random_seed=1).shape
    (10, 2)
    """

    model = "ddm_extended"


class DDMSdv(LANDist):
    """The drift diffusion model with a drift that is normal across trials, ``DDMSdv(name, v, a, z, t, sv)``.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> pm.draw(pl.DDMSdv.dist(1.0, 1.2, 0.5, 0.3, 0.8, shape=(10, 2)), random_seed=1).shape
    (10, 2)
    """

    model = "ddm_sdv"


class Angle(LANDist):
    """Boundaries that collapse in a straight line, ``Angle(name, v, a, z, t, theta)``: +-(a - d tan(theta)).

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> pm.draw(pl.Angle.dist(1.0, 1.2, 0.5, 0.3, 0.4, shape=(10, 2)), random_seed=1).shape
    (10, 2)
    """

    model = "angle"


class Weibull(LANDist):
    """Boundaries that collapse like a Weibull survival function, ``Weibull(name, v, a, z, t, alpha, beta)``.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> pm.draw(pl.Weibull.dist(1.0, 1.2, 0.5, 0.3, 2.0, 1.5, shape=(10, 2)), random_seed=1).shape
    (10, 2)
    """

    model = "weibull"


class GoNoGoDDMExtended(GoNoGo):
    """`DDMExtended` of go/no-go trials, ``GoNoGoDDMExtended(name, v, a, z, t, ...)``.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> pm.draw(pl.GoNoGoDDMExtended.dist(5.0, 3.0, 0.5, 0.3, deadline=1.5, shape=(10, 2)), random_seed=1).shape
    (10, 2)
    """

    model = "ddm_extended"


class GoNoGoDDMSdv(GoNoGo):
    """`DDMSdv` of go/no-go trials, ``GoNoGoDDMSdv(name, v, a, z, t, sv, ...)``.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> pm.draw(pl.GoNoGoDDMSdv.dist(1.0, 1.2, 0.5, 0.3, 0.8, deadline=1.5, shape=(10, 2)), random_seed=1).shape
    (10, 2)
    """

    model = "ddm_sdv"


class GoNoGoAngle(GoNoGo):
    """`Angle` of go/no-go trials, ``GoNoGoAngle(name, v, a, z, t, theta, ...)``.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> pm.draw(pl.GoNoGoAngle.dist(1.0, 1.2, 0.5, 0.3, 0.4, deadline=1.5, shape=(10, 2)), random_seed=1).shape
    (10, 2)
    """

    model = "angle"


class GoNoGoWeibull(GoNoGo):
    """`Weibull` of go/no-go trials, ``GoNoGoWeibull(name, ...)`` with the same parameters.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> pm.draw(pl.GoNoGoWeibull.dist(1.0, 1.2, 0.5, 0.3, 2.0, 1.5, deadline=1.5, shape=(10, 2)), random_seed=1).shape
    (10, 2)
    """

    model = "weibull"
