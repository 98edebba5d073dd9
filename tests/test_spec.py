"""Models by name, arguments matched to parameters, and `simulate`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from functions import by_functions

import pymc_lan as pl
from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.model import bind
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.numerics.wiener import ddm_log_choice, ddm_log_go

DDM = pl.get_model("ddm")
THETA = {"v": 0.8, "a": 1.1, "z": 0.4, "t": 0.3}
SPREADING = THETA | {"st": 0.1}


@pytest.mark.parametrize("name", MODELS)
def test_models_are_complete(name: str) -> None:
    spec = pl.get_model(name)
    assert spec.name == name
    assert len(set(spec.names)) == len(spec.names)
    assert ("t" in spec.names) == spec.times
    # What is not known by a simulator is known by its density, or by equations of it; a task of perception by percepts.
    assert (spec.simulator is None) == (spec.exact is not None or spec.labels is not None or not spec.times)
    assert spec.exact is not None or spec.views is not None
    assert spec.description
    assert spec.reference
    for p in spec.parameters:
        assert p.bounds[0] < p.bounds[1]
        assert p.domain[0] <= p.bounds[0]
        assert p.bounds[1] <= p.domain[1]
        assert p.unit
        assert p.meaning
        assert p.default is None or p.bounds[0] <= p.default <= p.bounds[1]


def test_the_ddm_follows_the_conventions() -> None:
    assert DDM.names == ("v", "a", "z", "t")
    assert DDM.choices == (-1, 1)
    assert DDM.parameter("z").default == 0.5
    # a is half the separation of the boundaries, as in HSSM: they lie at -a and +a.
    assert DDM.boundary(0.7, THETA) == THETA["a"]
    assert DDM.drift(0.7, 0.1, THETA) == THETA["v"]


UNKNOWN_MODELS = {
    "dmd": "Did you mean 'ddm'",
    "DDM": "Did you mean 'ddm'",
    "": "ddm",
}


@pytest.mark.parametrize(("name", "message"), UNKNOWN_MODELS.items())
def test_unknown_models_are_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"Unknown model {name!r}\. Known models: .*{message}"):
        pl.get_model(name)


COUNTS = {"1e3": (1e3, 1000), "float64": (np.float64(3), 3), "int64": (np.int64(3), 3), "left out": (None, 1)}


@pytest.mark.parametrize(("n", "rows"), COUNTS.values(), ids=COUNTS)
def test_simulate_counts_in_whole_numbers(n: Any, rows: int) -> None:
    assert len(pl.simulate("ddm", THETA, n=n, seed=1)) == rows


def test_unknown_parameters_are_refused_with_the_nearest() -> None:
    spec = replace(DDM, parameters=(*DDM.parameters, pl.Parameter("theta", (0.0, 1.0), "1", "collapse")))
    with pytest.raises(ValueError, match=r"Unknown parameter 'thetas' of model 'ddm'.*Did you mean 'theta'"):
        spec.parameter("thetas")


BOUND = [
    ((1, 2, 0.4, 0.3), {}, (1, 2, 0.4, 0.3)),
    ((1, 2), {"t": 0.3}, (1, 2, 0.5, 0.3)),
    ((), {"t": 0.3, "a": 2, "v": 1}, (1, 2, 0.5, 0.3)),
]


@pytest.mark.parametrize(("positional", "named", "expected"), BOUND)
def test_bind_matches_by_position_name_and_default(
    positional: tuple[Any, ...], named: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    bound = bind(DDM, positional, named)
    assert list(bound) == list(DDM.names)
    assert tuple(bound.values()) == expected


BIND_ERRORS = {
    "too many": (
        (1, 2, 3, 4, 5),
        {},
        "Expected at most the 4 parameters v, a, z, t.*Found 5 positional.*Remedy",
    ),
    "unknown name": ((1, 2), {"t": 1, "tt": 3}, "Unknown parameter 'tt' of model 'ddm'.*Did you mean 't'"),
    "given twice": ((1, 2), {"t": 1, "v": 3}, "Expected v once. Found v by position and by name. Remedy"),
    "missing": ((1,), {"t": 1}, "Expected the parameters v, a, z, t.*Found no a. Remedy: give a="),
    "nothing": ((), {}, "Found no v"),
    "None": ((1, None), {"t": 1}, "Found no a"),
}


@pytest.mark.parametrize(("positional", "named", "message"), BIND_ERRORS.values(), ids=BIND_ERRORS)
def test_bind_refuses(positional: tuple[Any, ...], named: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bind(DDM, positional, named)


def test_simulate_repeats_from_its_seed_alone() -> None:
    first, same, other = (pl.simulate("ddm", THETA, n=200, seed=seed) for seed in (3, 3, 4))
    assert first.equals(same)
    assert not first["rt"].equals(other["rt"])
    assert first["trial"].tolist() == list(range(200))
    assert set(first["response"]) == {-1, 1}
    assert (first["rt"] > THETA["t"]).all()


def test_simulate_draws_from_the_closed_form() -> None:
    n = 20_000
    df = pl.simulate("ddm", THETA, n=n, seed=5)
    core = {name: THETA[name] for name in "vaz"}
    upper, _ = np.exp(ddm_log_choice(NUMPY, *core.values()))
    early, _ = np.exp(ddm_log_go(NUMPY, 0.5, *core.values()))
    for found, p in (
        ((df["response"] == 1).mean(), upper),
        (((df["response"] == 1) & (df["rt"] <= THETA["t"] + 0.5)).mean(), early),
    ):
        assert abs(found - p) < 4 * math.sqrt(p * (1 - p) / n)


def test_simulate_takes_one_value_per_trial_and_defaults() -> None:
    v = np.repeat([-8.0, 8.0], 100)
    df = pl.simulate("ddm", {"v": v, "a": 1.5, "t": np.linspace(0, 0.5, 200)}, seed=1)
    assert len(df) == 200
    np.testing.assert_array_equal(df["response"], np.sign(v))
    assert (df["rt"] > np.linspace(0, 0.5, 200)).all()
    assert len(pl.simulate("ddm", {"v": [1.0], "a": 1, "t": 0.3}, n=7, seed=1)) == 7
    assert len(pl.simulate("ddm", THETA, seed=1)) == 1


def test_simulate_takes_a_spec_and_agrees_without_its_closed_form() -> None:
    # Without a closed form the JAX simulator draws: other trials, the same law.
    n = 4000
    unknown = by_functions(DDM, drift=lambda time, position, theta: theta["v"])
    exact, stepped = (pl.simulate(spec, THETA, n=n, seed=6) for spec in (DDM, unknown))
    assert not exact["rt"].equals(stepped["rt"])
    for found in (exact["response"] == 1, exact["rt"] - 0.3), (stepped["response"] == 1, stepped["rt"] - 0.3):
        assert len(found[1]) == n
    standard_error = math.sqrt((exact["rt"].var() + stepped["rt"].var()) / n)
    assert abs(exact["rt"].mean() - stepped["rt"].mean()) < 4 * standard_error
    assert abs((exact["response"] == 1).mean() - (stepped["response"] == 1).mean()) < 4 * math.sqrt(0.5 / n)


SIMULATE_ERRORS: dict[str, tuple[Any, Any, Any, str]] = {
    "unknown model": ("dmd", THETA, None, "Did you mean 'ddm'"),
    "unknown parameter": ("ddm", THETA | {"sz": 0.1}, None, "Unknown parameter 'sz' of model 'ddm'"),
    "missing parameter": ("ddm", {"v": 1, "a": 1}, None, "Found no t"),
    "two lengths": (
        "ddm",
        THETA | {"v": np.ones(3), "a": np.ones(2)},
        None,
        r"v of shape \(3,\), a of shape \(2,\)",
    ),
    "length against n": ("ddm", THETA | {"v": np.ones(3)}, 5, "one for each of 5 trials.*Remedy"),
    "a matrix": ("ddm", THETA | {"v": np.ones((2, 2))}, None, r"Found v of shape \(2, 2\)"),
    "a = 0": ("ddm", THETA | {"a": 0.0}, None, "Expected a strictly between 0 and inf. Found 0.0. Remedy"),
    "z = 1": ("ddm", THETA | {"z": 1.0}, None, "Expected z strictly between 0 and 1"),
    "z below 0 in one trial": (
        "ddm",
        THETA | {"z": [0.5, -0.1]},
        None,
        "Expected z strictly between 0 and 1",
    ),
    "v = nan": ("ddm", THETA | {"v": math.nan}, None, "Expected v strictly between -inf and inf. Found nan"),
    "sz reaches the boundary": (
        "full_ddm",
        SPREADING | {"sz": 0.1, "sv": 0.1, "z": 0.05},
        None,
        "Expected z less and plus sz between 0 and 1",
    ),
    "st before 0": ("ddm_st", SPREADING | {"t": 0.05}, None, "Expected t less and plus st between 0 and inf"),
    "t = inf": ("ddm", THETA | {"t": math.inf}, None, "Expected t strictly between"),
    **{
        f"n = {n!r}": (
            "ddm",
            THETA,
            n,
            f"n as a whole number from 1 to 1,000,000,000. Found n={re.escape(repr(n))}. Rem",
        )
        for n in (-1, 0, 2.5, True, math.inf, math.nan, "3", [3], 10**9 + 1, 10**30)
    },
    "no trial": ("ddm", THETA | {"v": []}, None, r"one for each of the trials. Found v of shape \(0,\)"),
    "no trial of three": ("ddm", THETA | {"v": []}, 3, r"one for each of 3 trials. Found v of shape \(0,\)"),
    "a list": ("ddm", [1.0, 1.0], None, "Expected parameters by name. Found a list"),
    "no model": (3, THETA, None, "Expected the name of a model, or the path"),
    **{
        f"v = {v!r}": (
            "ddm",
            THETA | {"v": v},
            None,
            rf"Expected numbers as v\. Found {found}.* Remedy: give v as",
        )
        for v, found in {
            "fast": "'fast'",
            "1.0": r"'1\.0'",
            True: "True, of type bool",
            Decimal(2): r"Decimal\('2'\), of type object",
            1j: "1j, of type complex",
            10**400: "1000000",
        }.items()
    },
    "lists of two lengths": ("ddm", THETA | {"v": [[1], [1, 2]]}, None, "numbers as v. Found an object of type list"),
    "a name that is none": ("ddm", {1: 2}, None, "Unknown parameter 1 of model 'ddm'. Known parameters: v, a, z, t."),
}


@pytest.mark.parametrize(("model", "params", "n", "message"), SIMULATE_ERRORS.values(), ids=SIMULATE_ERRORS)
def test_simulate_refuses(model: Any, params: Any, n: Any, message: str) -> None:
    with pytest.raises((ValueError, pl.RegistryError), match=message):
        pl.simulate(model, params, n=n)


def test_simulate_pairs_a_series_by_its_labels_as_distributions_do() -> None:
    table = pd.DataFrame({"v": [-8.0, 8.0], "a": [1.5, 1.0], "t": [0.25, 0.5]}, index=[7, 3])
    by_position = pl.simulate("ddm", {name: table[name].to_numpy() for name in table}, seed=1)
    # Of a table the rows are the trials, whatever they are called, as it is where labels are 0 and 1.
    for given in (table, dict(table.reset_index(drop=True))):
        assert pl.simulate("ddm", given, seed=1).equals(by_position)
    for draw in (lambda v: pl.simulate("ddm", THETA | {"v": v}), lambda v: pl.DDM.dist(v, 1.0, 0.5, 0.3)):
        with pytest.raises(ValueError, match=r"a Series as v that has the row labels.*Found the labels 7, 3, and no"):
            draw(table["v"])


def test_list_models_is_a_table_of_versions() -> None:
    table = pl.list_models()
    assert table.columns.tolist() == [
        "model",
        "version",
        "default",
        "parameters",
        "bounds",
        "choices",
        "mean_abs_error",
        "p99_abs_error",
        "mass_corners",
        "choice_corners",
        "sha256",
        "registry",
    ]
    row = table[(table["model"] == "ddm") & table["default"]].iloc[0]
    assert row["parameters"] == DDM.names
    assert row["bounds"] == {p.name: p.bounds for p in DDM.parameters}
    assert row["choices"] == DDM.choices
    assert row["sha256"] == pl.load_network("ddm").sha256
    assert 0 < row["mean_abs_error"] < row["p99_abs_error"]
    assert table.groupby("model")["default"].sum().eq(1).all()


@pytest.mark.parametrize("name", pl.__all__)
def test_public_names_resolve(name: str) -> None:
    if name != "plots":
        assert getattr(pl, name) is not None


def test_other_names_do_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'DMD'"):
        pl.DMD  # noqa: B018


def test_names_that_are_reserved_take_an_underscore() -> None:
    spec = pl.get_model("gamma_drift")
    assert [p.keyword for p in spec.parameters] == ["v", "a", "z", "t", "shape_", "scale", "c"]
    with pytest.raises(ValueError, match=r"Found no shape\. Remedy: give shape_=\.\.\."):
        bind(spec, (0.5, 1.0, 0.5, 0.3), {"scale": 0.1, "c": 1.0})


NAMES = {
    "a space": ("drift rate", "Found 'drift rate'. Remedy: name it with letters, digits and underscores"),
    "a dot": ("out.0", "Found 'out.0'"),
    "nothing": ("", "Found ''"),
    "no text": (3, "Found 3"),
    "a digit first": ("1v", "Found '1v'"),
    "a word of Python": ("lambda", "no word of Python's own"),
    "too long": ("v" * 65, "at most 64 characters"),
    "a path": ("../../v", "Found '../../v'"),
    "code": ('v"\n}\ndefine void @run()', r"\n}\ndefine void @run()"),
    "an escape": ("v\x1b[31m", r"Found 'v\x1b[31m'"),
    "another direction": ("v\u202e", r"Found 'v\u202e'"),
    "a ligature, which Python reads as two letters": ("\ufb01t", "write it as Python reads it: 'fit'"),
}


@pytest.mark.parametrize(("name", "sentence"), NAMES.values(), ids=NAMES)
def test_names_are_identifiers(name: Any, sentence: str) -> None:
    (v, *rest), ddm = pl.get_model("ddm").parameters, pl.get_model("ddm")
    for kind, build in {
        "parameter": lambda: replace(v, name=name),
        "model": lambda: replace(ddm, name=name),
    }.items():
        with pytest.raises(ValueError, match=f"as the name of a {kind} a Python identifier") as caught:
            build()
        assert sentence in str(caught.value)
        assert str(caught.value).isprintable()
    assert rest


@pytest.mark.parametrize("name", ["t0", "t50", "\u03b1", "v" * 64, "_v", "\u6f22"])
def test_identifiers_are_names(name: str) -> None:
    ddm = pl.get_model("ddm")
    assert replace(ddm.parameters[0], name=name).keyword == name
    assert replace(ddm, name=name).name == name


TEXTS = {"a line break": "a\nb", "an escape": "\x1b]0;x\x07", "too long": "x" * 2001, "none": None, "bidi": "\u202e"}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_texts_are_printable(text: Any) -> None:
    ddm = pl.get_model("ddm")
    sentence = "as one line of at most 2,000 printable characters"
    for name in ("description", "reference"):
        with pytest.raises(ValueError, match=f"the {name} of ddm {sentence}") as caught:
            replace(ddm, **{name: text})
        assert str(caught.value).isprintable()
    for name in ("unit", "meaning"):
        with pytest.raises(ValueError, match=f"the {name} of v {sentence}"):
            replace(ddm.parameters[0], **{name: text})


@pytest.mark.parametrize("bounds", [(1.0, 1.0), (3.0, -3.0), (0.0, np.inf), (np.nan, 1.0)])
def test_bounds_are_finite_and_in_order(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"Expected bounds of v as finite \(low, high\)"):
        replace(pl.get_model("ddm").parameters[0], bounds=bounds)


def test_a_parameter_has_one_name() -> None:
    ddm = pl.get_model("ddm")
    with pytest.raises(ValueError, match=r"Expected each name once\. Found v, a, z, t, v\."):
        replace(ddm, parameters=(*ddm.parameters, ddm.parameters[0]))


def steep(**changes: Any) -> pl.ModelSpec:
    given = {"drift": lambda t, x, theta: theta["v"], "boundary": lambda t, theta: theta["a"]} | changes
    own = {"name": "mine", "parameters": pl.get_model("ddm").parameters, "description": "", "reference": ""}
    return pl.ModelSpec(**own | given)


@dataclass
class Gain:
    """A function with a state, that says it is equal to another of the same state."""

    gain: float

    def __call__(self, t: Any, x: Any, theta: Any) -> Any:
        return self.gain * theta["v"]


UNFIT = {
    "parameters by name": ({"parameters": {"v": (-1.0, 1.0)}}, "Expected a tuple of Parameter in 'mine'"),
    "names of parameters": ({"parameters": ("v", "a", "z", "t")}, "Expected a tuple of Parameter in 'mine'"),
    "one parameter": ({"parameters": pl.get_model("ddm").parameters[0]}, "Expected a tuple of Parameter in 'mine'"),
    "no function that closes": ({"closes": 3.0}, "Expected a function as the closes of model 'mine'. Found float"),
    "a tuple as structure": ({"structure": (False, False, False)}, "Expected a Structure of model 'mine', or None"),
    "a function without a hash": ({"drift": Gain(2.0)}, "Found unhashable type: 'Gain'. Remedy: write tuples"),
}


@pytest.mark.parametrize(("changes", "sentence"), UNFIT.values(), ids=UNFIT)
def test_models_that_would_fail_later_are_refused_when_they_are_written(changes: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        steep(**changes)


def test_a_list_of_parameters_is_a_tuple() -> None:
    assert steep(parameters=[*pl.get_model("ddm").parameters]).parameters == pl.get_model("ddm").parameters
    assert hash(pl.Parameter("k", [0.0, 1.0], "", "")) == hash(pl.Parameter("k", (0.0, 1.0), "", ""))  # type: ignore[arg-type]


DRIFTS: dict[str, tuple[Any, str]] = {
    "nothing": (lambda t, x, theta: None, "Error: "),
    "text": (lambda t, x, theta: "a", "TypeError: Value 'a'"),
    "a list": (lambda t, x, theta: [theta["v"]], "an array of shape (1,)"),
    "a complex number": (lambda t, x, theta: 1j * theta["v"], "a complex number"),
    "another name": (lambda t, x, theta: theta["q"], "KeyError: 'q'"),
    "an attribute": (lambda t, x, theta: theta.v, "AttributeError: 'dict' object has no attribute 'v'"),
    "an error of its own": (lambda t, x, theta: 1 / 0, "ZeroDivisionError: division by zero"),
    "too few arguments": (lambda t, theta: theta["v"], "TypeError: <lambda>() takes 2 positional arguments"),
    "a branch": (lambda t, x, theta: theta["v"] if t > 1 else 0.0, "TracerBoolConversionError"),
    "a function of NumPy's": (lambda t, x, theta: np.sin(theta["v"]), "TracerArrayConversionError"),
}


@pytest.mark.parametrize(("drift", "found"), DRIFTS.values(), ids=DRIFTS)
def test_functions_that_cannot_be_followed_are_a_sentence(drift: Any, found: str) -> None:
    spec = steep(drift=drift)
    with pytest.raises(ValueError, match=rf"Expected a drift of model 'mine' that JAX can follow.*{re.escape(found)}"):
        pl.simulate(spec, THETA, n=2, seed=1)


def test_so_is_a_boundary_that_is_none() -> None:
    with pytest.raises(ValueError, match="Expected a boundary of model 'mine' that JAX can follow"):
        pl.simulate(steep(boundary=lambda t, theta: None), THETA, n=2, seed=1)


def draws(theta: Any, rng: Any) -> Any:
    return np.full(len(theta), 0.5), np.ones(len(theta))


SIMULATORS: dict[str, tuple[Mapping[str, Any], str]] = {
    "no function": ({"function": 3}, "Expected a function that draws trials of 'toy'. Found int"),
    "no parameters": ({"parameters": {}}, "Expected parameters of 'toy'. Found none"),
    "names": ({"parameters": ["k"]}, "Expected names and bounds of parameters"),
    "a number": ({"parameters": 3}, "Expected names and bounds of parameters"),
    "context of names": ({"context": ["k"]}, "Expected names and bounds of parameters"),
    "one bound": ({"parameters": {"k": 3.0}}, "Expected bounds of k as finite (low, high). Found 3.0."),
}


@pytest.mark.parametrize(("changes", "sentence"), SIMULATORS.values(), ids=SIMULATORS)
def test_simulators_that_are_none_are_refused(changes: Any, sentence: str) -> None:
    given = {"name": "toy", "function": draws, "parameters": {"k": (0.0, 1.0)}} | changes
    with pytest.raises(ValueError, match=re.escape(sentence)):
        pl.simulator_spec(**given)


def test_a_simulator_of_one_trial_that_returns_nothing_is_a_sentence() -> None:
    spec = pl.simulator_spec("toy", lambda theta, rng: None, {"k": (0.0, 1.0)}, vectorised=False)
    with pytest.raises(ValueError, match=r"Expected a pair \(rt, response\) of 2 numbers.*Found NoneType.*Remedy"):
        pl.simulate(spec, {"k": 0.5}, n=2)


@pytest.mark.parametrize("default", ["a", float("nan"), (1.0,)])
def test_a_default_is_a_number(default: Any) -> None:
    with pytest.raises(ValueError, match="Expected a number as the default of k"):
        pl.Parameter("k", (0.0, 1.0), "", "", default=default)
