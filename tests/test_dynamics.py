"""Kinds of likelihood: what one would pass over in silence is refused when a model is built, or solved."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from functions import by_functions

import pymc_lan as pl
from pymc_lan.models.diffusion import closed_forms
from pymc_lan.models.diffusion.solver import solve
from pymc_lan.models.diffusion.structure import Structure, structure
from pymc_lan.models.model import Model
from pymc_lan.models.parameters import Variability

DDM, WEIBULL, ST = (pl.get_model(name) for name in ("ddm", "weibull", "ddm_st"))


def threefold(time: Any, position: Any, theta: Any) -> Any:
    return 3 * theta["v"]


def leaky(time: Any, position: Any, theta: Any) -> Any:
    return theta["v"] - 0.5 * position


def lasting(time: Any, theta: Any) -> Any:
    """A boundary that stays at more than half of its height for ever."""
    return theta["a"] * (0.6 + 0.4 / (1 + time))


# By what is wrong: the spec, and what the sentence says was expected, was found and helps.
REFUSED: dict[str, tuple[Callable[[], Model], tuple[str, ...]]] = {
    "a drift that is never called": (
        lambda: replace(DDM, name="mine", drift=threefold),
        ("of a ClosedDiffusion only name, parameters, form", "Found drift", "pl.ModelSpec(name=..."),
    ),
    "a boundary that is never called": (
        lambda: replace(DDM, name="mine", boundary=lasting),
        ("ClosedDiffusion", "Found boundary", "pl.ModelSpec(name=..."),
    ),
    "a drift beside variability": (lambda: replace(ST, drift=leaky), ("MixtureDiffusion", "Found drift", "ModelSpec")),
    "of angle": (
        lambda: replace(pl.get_model("angle"), boundary=closed_forms.constant_boundary),
        ("ClosedDiffusion", "Found boundary", "ModelSpec"),
    ),
    "of a race": (lambda: replace(pl.get_model("lba2"), drift=threefold), ("of a Race only", "Found drift")),
    "of a simulator": (lambda: replace(pl.get_model("levy"), boundary=lasting), ("SimulatedTimes", "Found boundary")),
    "a drift that is none": (lambda: replace(WEIBULL, drift=None), ("a function as the drift", "NoneType", "give one")),
    "variability that labels ignore": (
        lambda: by_functions(DDM, variability=(Variability("v", "normal", "sv"),)),
        ("of a ModelSpec only", "Found variability", "ddm_sdv", "pl.simulator_spec"),
    ),
    "variability in a closed form": (
        lambda: replace(DDM, variability=(Variability("z", "uniform", "t"),)),
        ("ClosedDiffusion", "Found variability"),
    ),
    "no variability where there is": (
        lambda: replace(ST, variability=()),
        ("variability of z (uniform, by a parameter)", "Found none", "ddm_sdv"),
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
    "a transform": (
        lambda: by_functions(DDM, transform="constant drift"),
        ("of a ModelSpec only name, parameters, drift, boundary", "Found transform", "leave it out"),
    ),
    "a view": (lambda: by_functions(DDM, view="residul"), ("ModelSpec", "Found view")),
    "a shift": (lambda: by_functions(DDM, shift="tt"), ("ModelSpec", "Found shift")),
    "a misspelled shift": (
        lambda: replace(pl.get_model("levy"), shift="tt"),
        ("Unknown shift 'tt' of model 'levy'", "v, a", "'t'?"),
    ),
    "exact functions": (lambda: by_functions(WEIBULL, exact=True), ("ModelSpec", "Found exact")),
    "other choices": (lambda: by_functions(DDM, choices=(0, 1)), ("the choices (-1, 1)", "(0, 1)", "leave choices")),
    "no start and no shift": (
        lambda: by_functions(DDM, parameters=DDM.parameters[:2]),
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


@pytest.mark.table  # solutions by functions are test_paths's, draws test_simulators's
def test_the_remedy_calls_the_drift() -> None:
    """As `pymc_lan.registry.load.register` writes it; P(upper) = 1 / (1 + exp(-2 * 3 v a)) from the middle."""
    mine = by_functions(DDM, name="steep", drift=threefold)
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
