"""Kinds of likelihood: what one would pass over in silence is refused when a model is built, or solved."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import pymc_lan as pl
from pymc_lan.models import imported as plain
from pymc_lan.models.diffusion import kinds as dynamics
from pymc_lan.models.diffusion.closed_view import TRANSFORMS
from pymc_lan.models.diffusion.kinds import KINDS, VIEWS
from pymc_lan.models.diffusion.path_view import structure
from pymc_lan.models.diffusion.solved_labels import solve
from pymc_lan.models.race.race import RACES
from pymc_lan.models.simulator.responses import RESPONSES
from pymc_lan.models.simulator.view import SIMULATED
from pymc_lan.models.spec import Model, Structure, Variability
from pymc_lan.models.views import PATH, SPREAD

DDM, WEIBULL, ST = (pl.get_model(name) for name in ("ddm", "weibull", "ddm_st"))
OWN = {"transform": PATH, "exact": False}


def threefold(time: Any, position: Any, theta: Any) -> Any:
    return 3 * theta["v"]


def leaky(time: Any, position: Any, theta: Any) -> Any:
    return theta["v"] - 0.5 * position


def lasting(time: Any, theta: Any) -> Any:
    """A boundary that stays at more than half of its height for ever."""
    return theta["a"] * (0.6 + 0.4 / (1 + time))


def test_kinds_are_those_that_likelihoods_know() -> None:
    assert set(KINDS) == {PATH, SPREAD, SIMULATED, RESPONSES, *TRANSFORMS, *RACES}
    assert VIEWS[1:] == plain.VIEWS
    for name, kind in KINDS.items():
        if name in RACES:
            assert kind.exact == (not RACES[name].learned,)


# By what is wrong: the spec, and what the sentence says was expected, was found and helps.
REFUSED: dict[str, tuple[Callable[[], Model], tuple[str, str, str]]] = {
    "a drift that is never called": (
        lambda: replace(DDM, name="mine", drift=threefold),
        ("constant_drift as the drift of model 'mine'", "threefold, which would never be called", "transform='path'"),
    ),
    "a boundary that is never called": (
        lambda: replace(DDM, name="mine", boundary=lasting),
        ("constant_boundary as the boundary", "lasting", "exact=False"),
    ),
    "a drift that is none": (lambda: replace(DDM, drift=None), ("constant_drift", "NoneType", "transform='path'")),
    "a drift beside variability": (lambda: replace(ST, drift=leaky), ("constant_drift", "leaky", "variability=()")),
    "of angle": (
        lambda: replace(pl.get_model("angle"), boundary=dynamics.constant_boundary),
        ("straight_boundary as the boundary", "constant_boundary", "transform='path'"),
    ),
    "of a race": (
        lambda: replace(pl.get_model("lba2"), drift=threefold),
        ("no_boundaries", "threefold", "transform='path'"),
    ),
    "of a simulator": (
        lambda: replace(pl.get_model("levy"), boundary=lasting),
        ("unknown_dynamics", "lasting", "transform='path'"),
    ),
    "variability that labels ignore": (
        lambda: replace(
            DDM,
            parameters=(*DDM.parameters, pl.get_model("ddm_sdv").parameter("sv")),
            variability=(Variability("v", "normal", "sv"),),
            **OWN,
        ),
        ("variability of nothing across trials", "v (normal, by sv)", "ddm_sdv"),
    ),
    "variability in a closed form": (
        lambda: replace(DDM, variability=(Variability("z", "uniform", "t"),)),
        ("variability of nothing", "z (uniform, by t)", "pl.simulator_spec"),
    ),
    "no variability where there is": (
        lambda: replace(pl.get_model("ddm_sdv"), variability=()),
        ("variability of v (normal, by sv)", "Found none", "ddm_sdv"),
    ),
    "another distribution": (
        lambda: replace(ST, variability=(Variability("t", "normal", "st"),)),
        ("t (uniform, by a parameter)", "t (normal, by st)", "ddm_st"),
    ),
    "another parameter": (
        lambda: replace(ST, variability=(Variability("a", "normal", "st"),)),
        ("v (normal, by a parameter)", "a (normal, by st)", "full_ddm"),
    ),
    "a spread that is no parameter": (
        lambda: replace(ST, variability=(Variability("t", "uniform", "width"),)),
        ("t (uniform, by a parameter)", "t (uniform, by width)", "full_ddm"),
    ),
    "one parameter twice": (
        lambda: replace(ST, variability=ST.variability * 2),
        ("which knows no other", "t (uniform, by st), t (uniform, by st)", "full_ddm"),
    ),
    "a misspelled transform": (
        lambda: replace(DDM, transform="constant drift"),
        ("Unknown transform 'constant drift'", "constant_drift", "Did you mean 'constant_drift'?"),
    ),
    "a misspelled view": (lambda: replace(DDM, view="residul"), ("Unknown view 'residul'", "Did", "'residual'?")),
    "a misspelled shift": (lambda: replace(DDM, shift="tt"), ("Unknown shift of model 'ddm' 'tt'", "v, a", "'t'?")),
    "a diffusion without a shift": (lambda: replace(DDM, shift=None), ("shift='t'", "shift=None", "call")),
    "exact functions": (
        lambda: replace(WEIBULL, exact=True),
        ("exact=False of model 'weibull'", "exact=True", "give exact=False"),
    ),
    "an approximate closed race": (
        lambda: replace(pl.get_model("lba2"), exact=False),
        ("exact=True of model 'lba2'", "exact=False", "give exact=True"),
    ),
    "no start and no shift": (
        lambda: replace(DDM, parameters=DDM.parameters[:2], shift=None, **OWN),
        ("the parameters z, t of", "no z and no t among v, a", "name them so"),
    ),
}


@pytest.mark.parametrize(("build", "words"), REFUSED.values(), ids=REFUSED)
def test_what_a_kind_would_pass_over_is_refused(build: Callable[[], Model], words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"^(Expected|Unknown)") as caught:
        build()
    assert all(each in str(caught.value) for each in words), caught.value


def test_copies_with_the_same_dynamics_are_models() -> None:
    for name in ("ddm", "ddm_sdv", "full_ddm", "angle", "weibull", "lba3", "race_3", "levy"):
        spec = pl.get_model(name)
        mine = replace(spec, name="mine")
        assert mine == replace(pickle.loads(pickle.dumps(spec)), name="mine")
    assert replace(DDM, exact=False).drift is dynamics.constant_drift


def test_the_remedy_calls_the_drift() -> None:
    """As `pymc_lan.registry.load.register` writes it; P(upper) = 1 / (1 + exp(-2 * 3 v a)) from the middle."""
    mine = replace(DDM, name="steep", drift=threefold, **OWN)
    theta, n = {"v": 0.3, "a": 0.8, "z": 0.5, "t": 0.2}, 4000
    p = 1 / (1 + np.exp(-2 * 3 * 0.3 * 0.8))
    drawn = (pl.simulate(mine, theta, n=n, seed=1)["response"] > 0).mean()
    assert abs(drawn - p) < 4 * np.sqrt(p * (1 - p) / n)
    solved = solve(mine, {name: np.array([x]) for name, x in theta.items()}, grids=(400,)).mass_upper[0, -1]
    assert abs(solved - p) < 1e-4


def test_a_structure_covers_what_the_functions_depend_on() -> None:
    """That of the model copied from says that nothing depends on the position."""
    with pytest.raises(ValueError, match=r"structure of 'mine' that covers .*positional=True.*leave structure"):
        structure(replace(WEIBULL, name="mine", drift=leaky))
    assert structure(replace(WEIBULL, drift=leaky, structure=None)).positional
    more = Structure(positional=True, varying=True, moving=True, linear=False)
    assert structure(replace(WEIBULL, structure=more)) is more


def test_a_time_of_closing_belongs_to_the_boundary() -> None:
    theta = {"v": [0.5, 1.0], "a": [0.9, 1.0], "z": [0.5, 0.4], "t": [0.3, 0.3], "lam": [2.0, 3.0]}
    theta = {name: np.array(x) for name, x in theta.items()}
    spec = pl.get_model("exponential_collapse")
    with pytest.raises(ValueError, match=r"have met by closes.*open then in 2 of 2 rows: row 0 \(closes.*closes=None"):
        solve(replace(spec, name="mine", boundary=lasting), theta)
    assert solve(spec, theta, grids=(400,)).report.dropped == 0
