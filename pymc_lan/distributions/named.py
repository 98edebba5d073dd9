"""Named distributions: one class per model, diffusions in a two-choice and a go/no-go form.

A further one is one class here, of three lines. Its docstring comes from its model, and it is a public name at once.
"""

from __future__ import annotations

from pymc_lan.distributions.gonogo import GoNoGo
from pymc_lan.distributions.landist import LANDist
from pymc_lan.distributions.naming import named


@named
class DDM(LANDist):
    r"""Response times and choices of the drift diffusion model.

    Evidence starts at ``-a + 2 a z``, drifts with rate ``v`` and unit noise, and a response follows at ``+a`` (+1) or
    ``-a`` (-1), ``t`` seconds of non-decision time added. Stan's ``wiener`` has ``alpha = 2 a, tau = t, beta = z,
    delta = v``; HDDM's ``a`` is ``2 a`` here; PyDDM's ``B`` is ``a``.

    Parameters
    ----------
    name : str
        Left out in ``DDM.dist``.
    v : tensor_like
        Drift, evidence per second, -3 to 3.
    a : tensor_like
        Half the boundary separation, 0.3 to 2.5.
    z : tensor_like
        Relative start, 0 to 1; 0.5 where it is left out.
    t : tensor_like
        Non-decision time in seconds, 0 to 2.
    likelihood, weights, p_lapse, lapse_window, observed, dims
        As in `LANDist`.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> draws = pm.draw(pl.DDM.dist(1.0, 1.2, 0.5, 0.3, shape=(10, 2)), random_seed=1)
    >>> draws.shape
    (10, 2)
    """

    model = "ddm"


@named
class GoNoGoDDM(GoNoGo):
    r"""The drift diffusion model of go/no-go trials: ``GoNoGoDDM(name, v, a, z, t, ...)``.

    Parameters
    ----------
    name : str
        Left out in ``GoNoGoDDM.dist``.
    v : tensor_like
        Drift towards a press on go trials, evidence per second, -3 to 3.
    a : tensor_like
        Half the boundary separation, 0.3 to 2.5.
    z : tensor_like
        Relative start, 0 to 1; above 0.5 is a bias to press; 0.5 where it is left out.
    t : tensor_like
        Non-decision time in seconds, 0 to 2.
    v_nogo, trial_type, deadline, p_lapse, lapse_go, lapse_window, likelihood, weights, observed, dims
        As in `GoNoGo`.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> trials = pl.GoNoGoDDM.dist(1.0, 1.5, t=0.3, trial_type=["go", "no-go"], deadline=1.5)
    >>> pm.draw(trials, random_seed=1).shape
    (2, 2)
    """

    model = "ddm"


@named
class Angle(LANDist):
    model = "angle"


@named
class GoNoGoAngle(GoNoGo):
    model = "angle"


@named
class ConflictDS(LANDist):
    model = "conflict_ds"


@named
class GoNoGoConflictDS(GoNoGo):
    model = "conflict_ds"


@named
class DDMExtended(LANDist):
    model = "ddm_extended"


@named
class GoNoGoDDMExtended(GoNoGo):
    model = "ddm_extended"


@named
class DDMSdv(LANDist):
    model = "ddm_sdv"


@named
class GoNoGoDDMSdv(GoNoGo):
    model = "ddm_sdv"


@named
class DDMSt(LANDist):
    model = "ddm_st"


@named
class GoNoGoDDMSt(GoNoGo):
    model = "ddm_st"


@named
class ExponentialCollapse(LANDist):
    model = "exponential_collapse"


@named
class GoNoGoExponentialCollapse(GoNoGo):
    model = "exponential_collapse"


@named
class FullDDM(LANDist):
    model = "full_ddm"


@named
class GoNoGoFullDDM(GoNoGo):
    model = "full_ddm"


@named
class GammaDrift(LANDist):
    model = "gamma_drift"


@named
class GoNoGoGammaDrift(GoNoGo):
    model = "gamma_drift"


@named
class GammaDriftAngle(LANDist):
    model = "gamma_drift_angle"


@named
class GoNoGoGammaDriftAngle(GoNoGo):
    model = "gamma_drift_angle"


@named
class HyperbolicCollapse(LANDist):
    model = "hyperbolic_collapse"


@named
class GoNoGoHyperbolicCollapse(GoNoGo):
    model = "hyperbolic_collapse"


@named
class LBA2(LANDist):
    model = "lba2"


@named
class LBA3(LANDist):
    model = "lba3"


@named
class LBA4(LANDist):
    model = "lba4"


@named
class LCA3(LANDist):
    model = "lca_3"


@named
class Levy(LANDist):
    model = "levy"


@named
class Ornstein(LANDist):
    model = "ornstein"


@named
class GoNoGoOrnstein(GoNoGo):
    model = "ornstein"


@named
class PoissonRace(LANDist):
    model = "poisson_race"


@named
class Race3(LANDist):
    model = "race_3"


@named
class Race4(LANDist):
    model = "race_4"


@named
class RaceNoBiasAngle3(LANDist):
    model = "race_no_bias_angle_3"


@named
class RaceNoBiasAngle4(LANDist):
    model = "race_no_bias_angle_4"


@named
class RDM3(LANDist):
    model = "rdm3"


@named
class ShiftedWald(LANDist):
    model = "shifted_wald"


@named
class ShrinkSpot(LANDist):
    model = "shrink_spot"


@named
class GoNoGoShrinkSpot(GoNoGo):
    model = "shrink_spot"


@named
class Weibull(LANDist):
    model = "weibull"


@named
class GoNoGoWeibull(GoNoGo):
    model = "weibull"
