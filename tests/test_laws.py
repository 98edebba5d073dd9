"""Laws that every distribution obeys: mass one, gradients, agreement with exact. Draws: `test_draw_laws.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from backends import AS_WRITTEN
from numpy.typing import NDArray

import pymc_lan as pl
from pymc_lan.numerics.passage import NUMPY

INF = np.inf
Float = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A distribution over K trials, each with its own parameters where they vary.

    `theta` are differentiable arguments, scalar or one per trial; `fixed` is passed as it is.
    """

    cls: Any
    theta: dict[str, Any]
    fixed: dict[str, Any] = field(default_factory=dict)
    model: tuple[Any, ...] = ()

    @property
    def go_nogo(self) -> bool:
        return issubclass(self.cls, pl.GoNoGo)

    @property
    def n(self) -> int:
        values = (*self.theta.values(), *(x for k, x in self.fixed.items() if k != "weights"))
        return max(np.size(x) for x in values)

    @property
    def spec(self) -> pl.ModelSpec:
        return pl.load_network(self.cls.model or self.model[0]).spec

    @property
    def likelihoods(self) -> tuple[str, ...]:
        """The closed form first, where there is one."""
        exact = self.spec.exact
        known = exact is not None and (not self.go_nogo or exact.log_split is not None)
        return ("exact", "lan") if known else ("lan",)

    def dist(self, likelihood: str, theta: dict[str, Any] | None = None, *lead: int) -> Any:
        arguments = {**self.theta, **self.fixed, **(theta or {}), "likelihood": likelihood}
        for p in self.spec.parameters:
            if p.name in arguments:
                arguments[p.keyword] = arguments.pop(p.name)
        return self.cls.dist(*self.model, **arguments, shape=(*lead, self.n, 2))

    def each(self, name: str, default: float) -> Float:
        """One value per trial of an argument."""
        return np.broadcast_to(np.asarray(self.theta.get(name, self.fixed.get(name, default)), float), self.n)


PLAIN = {"v": 1.0, "a": 1.2, "z": 0.4, "t": 0.3}
VARIED = {
    "v": np.array([-2.0, 0.0, 0.7, 2.5]),
    "a": np.array([0.6, 1.0, 1.4, 2.0]),
    "z": np.array([0.2, 0.5, 0.7, 0.9]),
    "t": np.array([0.0, 0.2, 0.3, 1.0]),
}
TYPES = ["go", "no-go", "go", "no-go"]
RACER = {"v": 1.0, "a": 1.5, "t": 0.5}

CASES = {
    "DDM": Case(pl.DDM, PLAIN),
    "DDM, per trial": Case(pl.DDM, VARIED),
    "DDM, lapses": Case(pl.DDM, {**PLAIN, "p_lapse": 0.1}, {"lapse_window": 2.0}),
    "LANDist": Case(pl.LANDist, {"v": -1.5, "a": 0.8, "t": 0.2}, model=("ddm",)),
    "LANDist, per trial, lapses": Case(
        pl.LANDist, {**VARIED, "p_lapse": np.array([0.0, 0.05, 0.2, 1.0])}, {"lapse_window": 3.0}, ("ddm@1.0",)
    ),
    "GoNoGoDDM": Case(pl.GoNoGoDDM, PLAIN),
    "GoNoGoDDM, deadline": Case(pl.GoNoGoDDM, VARIED, {"deadline": 1.5}),
    "GoNoGoDDM, deadline per trial": Case(pl.GoNoGoDDM, PLAIN, {"deadline": np.array([0.2, 0.6, 1.5, INF])}),
    "GoNoGoDDM, trial types": Case(pl.GoNoGoDDM, RACER, {"trial_type": TYPES}),
    "GoNoGoDDM, v_nogo": Case(pl.GoNoGoDDM, {**RACER, "v_nogo": -0.4}, {"trial_type": TYPES, "deadline": 2.0}),
    "GoNoGoDDM, lapses": Case(
        pl.GoNoGoDDM,
        {**PLAIN, "p_lapse": 0.1, "lapse_go": 0.7},
        {"trial_type": TYPES, "deadline": 1.2},
    ),
    "GoNoGoDDM, all of it, per trial": Case(
        pl.GoNoGoDDM,
        {**VARIED, "v_nogo": -1.0, "p_lapse": np.array([0.01, 0.05, 0.3, 0.9]), "lapse_go": 0.2},
        {"trial_type": TYPES, "deadline": np.array([0.9, 1.1, 1.5, 2.0]), "lapse_window": 0.8},
    ),
    "GoNoGo of a model by name": Case(pl.GoNoGo, PLAIN, {"deadline": 1.5}, ("ddm",)),
}

# Named distributions of the other models: two choices, go/no-go, and what their parameters have beyond the DDM's.
WITHIN = {**VARIED, "z": np.array([0.25, 0.5, 0.6, 0.75]), "v": np.array([-1.5, 0.0, 0.7, 1.9])}
LATE = {"z": np.array([0.35, 0.5, 0.6, 0.65]), "t": np.array([0.3, 0.26, 0.5, 1.0])}
ANGLES, RATES = np.array([0.0, 0.1, 0.3, 0.5]), np.array([0.1, 0.5, 1.0, 2.0])
BUMP = {
    "shape": np.array([2.2, 4.0, 6.0, 9.0]),
    "scale": np.array([0.05, 0.1, 0.3, 0.9]),
    "c": np.array([-2.5, 1.0, 2.0, 0.5]),
}
OTHERS = {
    "ddm_extended": (pl.DDMExtended, pl.GoNoGoDDMExtended, {"v": np.array([-4.0, 0.0, 0.7, 5.0])}),
    "ddm_sdv": (pl.DDMSdv, pl.GoNoGoDDMSdv, {"sv": np.array([0.1, 0.5, 1.0, 2.0])}),
    "angle": (pl.Angle, pl.GoNoGoAngle, {"theta": ANGLES}),
    "ddm_st": (pl.DDMSt, pl.GoNoGoDDMSt, LATE | {"st": np.array([0.02, 0.1, 0.2, 0.23])}),
    "weibull": (
        pl.Weibull,
        pl.GoNoGoWeibull,
        {"alpha": np.array([0.6, 1.0, 2.0, 4.0]), "beta": np.array([2.0, 1.0, 3.0, 1.5])},
    ),
    "exponential_collapse": (pl.ExponentialCollapse, pl.GoNoGoExponentialCollapse, {"lam": RATES}),
    "hyperbolic_collapse": (pl.HyperbolicCollapse, pl.GoNoGoHyperbolicCollapse, {"lam": RATES}),
    "full_ddm": (
        pl.FullDDM,
        pl.GoNoGoFullDDM,
        LATE
        | {
            "sz": np.array([0.01, 0.05, 0.1, 0.19]),
            "sv": np.array([0.1, 0.5, 1.0, 1.9]),
            "st": np.array([0.02, 0.1, 0.2, 0.23]),
        },
    ),
    "ornstein": (pl.Ornstein, pl.GoNoGoOrnstein, {"g": np.array([-0.9, 0.2, 0.9, -0.4])}),
    "gamma_drift": (pl.GammaDrift, pl.GoNoGoGammaDrift, BUMP),
    "gamma_drift_angle": (pl.GammaDriftAngle, pl.GoNoGoGammaDriftAngle, BUMP | {"theta": ANGLES}),
    "shrink_spot": (
        pl.ShrinkSpot,
        pl.GoNoGoShrinkSpot,
        {
            "ptarget": np.array([2.2, 3.0, 4.0, 5.0]),
            "pouter": np.array([-3.0, 1.0, 3.0, -5.0]),
            "pinner": np.array([-4.0, 2.0, 3.0, -1.0]),
            "r": np.array([0.015, 0.02, 0.03, 0.045]),
            "sda": np.array([1.2, 1.8, 2.2, 2.8]),
        },
    ),
    "conflict_ds": (
        pl.ConflictDS,
        pl.GoNoGoConflictDS,
        {
            "tinit": np.array([0.5, 1.0, 2.0, 3.0]),
            "dinit": np.array([1.0, 2.0, 3.0, 4.0]),
            "tslope": np.array([0.5, 1.0, 2.0, 4.0]),
            "dslope": np.array([1.0, 2.0, 0.5, 4.0]),
            "tfixedp": np.array([1.0, 2.0, 3.0, 4.0]),
            "tcoh": np.array([0.5, 0.3, -0.2, 0.8]),
            "dcoh": np.array([-0.5, 0.2, 0.4, -0.3]),
        },
    ),
}
for _name, (_two, _go, _extra) in OTHERS.items():
    CASES[_name] = Case(_two, {**WITHIN, **_extra})
    CASES[f"{_name}, go/no-go"] = Case(_go, {**WITHIN, **_extra}, {"deadline": 1.5})

# One of a kind: a closed form with and without guesses, of parameters that vary or move the boundaries, mixtures,
# dynamics by functions.
TYPICAL = {
    *("DDM", "LANDist, per trial, lapses", "GoNoGoDDM, all of it, per trial", "ddm_sdv", "angle, go/no-go"),
    *("full_ddm", "weibull, go/no-go"),
}
MARKS = {name: () if name in TYPICAL else pytest.mark.table for name in CASES}
assert set(CASES) >= TYPICAL

EXACT = {name: case for name, case in CASES.items() if "exact" in case.likelihoods}
every_exact_case = pytest.mark.parametrize(
    "case", [pytest.param(case, id=name, marks=MARKS[name]) for name, case in EXACT.items()]
)
every_likelihood = pytest.mark.parametrize(
    ("case", "likelihood"),
    [
        pytest.param(case, likelihood, id=f"{name}-{likelihood}", marks=MARKS[name])
        for name, case in CASES.items()
        for likelihood in case.likelihoods
    ],
)

# Gauss-Legendre panels: where the density starts they lie densely, every jump of a lapse window is an edge.
NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)
ONSET = np.geomspace(1e-3, 80, 40)
LONGEST = 80.0


def panel_edges(case: Case) -> Float:
    t, st, deadline = case.each("t", 0.0), case.each("st", 0.0), case.each("deadline", INF)
    window = np.where(np.isfinite(deadline), deadline, 1.0)
    window = case.each("lapse_window", 0.0) if "lapse_window" in case.fixed else window
    # With a variable t the density begins at the earliest, and begins to end at the latest.
    corners = np.unique([t - st, t + st])
    edges = np.concatenate([[0.0], corners, (corners[:, None] + ONSET).ravel(), deadline, window])
    return np.unique(edges[(edges >= 0) & (edges <= LONGEST)])


def log_density(case: Case, likelihood: str, values: Float) -> Float:
    """The log density of values of shape (..., n, 2), one per trial."""
    x = pt.tensor("x", dtype="float64", shape=(None,) * values.ndim)
    logp = pm.logp(case.dist(likelihood, {}, *(1,) * (values.ndim - 2)), x)
    return pytensor.function([x], logp, mode=AS_WRITTEN)(values)


def total_mass(case: Case, likelihood: str) -> Float:
    """Probability of any response, by quadrature, plus that of none: one per trial."""
    edges = panel_edges(case)
    half = np.diff(edges) / 2
    rt = (edges[:-1] + half)[:, None] + half[:, None] * NODES
    responses = (1.0,) if case.go_nogo else (1.0, -1.0)
    values = np.empty((rt.size, len(responses), case.n, 2))
    values[..., 0] = rt.ravel()[:, None, None]
    values[..., 1] = np.array(responses)[None, :, None]
    density = np.exp(log_density(case, likelihood, values.reshape(-1, case.n, 2)))
    total = np.einsum("q,p,pqrk->k", WEIGHTS, half, density.reshape(*rt.shape, len(responses), case.n))
    if not case.go_nogo:
        return total
    return total + np.exp(log_density(case, likelihood, np.broadcast_to([[INF, 0.0]], (1, case.n, 2))))[0]


@every_likelihood
def test_integrates_to_one(case, likelihood):
    total = total_mass(case, likelihood)
    # The networks of solved densities have more mass to miss; the card tells how much, but for one in a hundred. Where
    # nothing was pressed, the probability is another network's. No card may miss more than 0.01 and, there, 0.003.
    card = pl.load_network(case.spec.name).config["accuracy"]
    told = card["mass"]["p99"] + case.go_nogo * card["choice"]["nogo_deadline"]["p99"]
    missing = 0.002 if case.spec.exact else min(told, 0.013)
    assert np.abs(total - 1).max() < {"exact": 1e-6, "lan": missing}[likelihood]


def typical_values(case: Case) -> Float:
    """Eight rows for every trial: times from early to late within the deadline, both outcomes; shape (8, n, 2)."""
    t, deadline = case.each("t", 0.0), case.each("deadline", INF)
    # Collapsing boundaries have no density once they have met.
    latest = case.spec.labels.latest({k: case.each(k, 0.5) for k in case.spec.names})
    scale = np.minimum(4 * case.each("a", 1.0) ** 2, latest / 2)
    u = np.array([0.03, 0.06, 0.1, 0.2, 0.3, 0.5, 0.8, 1.5])[:, None]
    rt = t + u * scale
    rt = np.where(rt < deadline, rt, INF if case.go_nogo else rt)
    other = np.zeros_like(rt)
    responded = np.where(np.arange(8)[:, None] % 2, 1.0, 1.0 if case.go_nogo else -1.0)
    return np.stack([rt, np.where(np.isinf(rt), other, responded)], axis=-1)


def gradient_function(case: Case, likelihood: str, values: Float, counts: Any = np.True_) -> tuple[Any, Any]:
    """Functions of theta, as one vector per argument, to each trial's sum of what counts, and its gradient."""
    x = {name: pt.vector(name, dtype="float64", shape=(case.n,)) for name in case.theta}
    logp = pm.logp(case.dist(likelihood, x, 1), pt.constant(values))
    logp = pt.switch(counts, logp, 0.0)
    inputs = list(x.values())
    total = pytensor.function(inputs, logp.sum(0), mode=AS_WRITTEN, on_unused_input="ignore")
    slopes = pt.grad(logp.sum(), inputs)
    return total, pytensor.function(inputs, slopes, mode=AS_WRITTEN, on_unused_input="ignore")


# Relative to 1 + |gradient|: noise and truncation of the differences; for the network, float32 noise over the step.
STEPS = {"exact": (1e-5, 2e-6), "lan": (3e-3, 5e-3)}
# No network is trained on, and no difference taken, where a trial has a density of exp(-50): it never happens.
NEVER = {"exact": -INF, "lan": -50.0}
# The card's accuracy of one trial's derivatives is 2 % at p99, of 1 + |derivative|; these are sums of eight trials.
GRADIENT_OF_LAN = 0.02


@every_likelihood
def test_gradient_is_that_of_finite_differences(case, likelihood):
    point, values = interior(case), typical_values(case)
    happens = log_density(case, likelihood, values) > NEVER[likelihood]
    total, gradient = gradient_function(case, likelihood, values, happens)
    for i, (name, slope) in enumerate(zip(point, gradient(*point.values()), strict=True)):
        # Rounding differs from step to step, and so some of its noise averages out.
        steps = STEPS[likelihood][0] * narrow(case, name) * np.linspace(0.8, 1.0, 7)
        expected = np.mean([slope_of(total, point, i, step) for step in steps], axis=0)
        error = np.abs(slope - expected) / (1 + np.abs(expected))
        assert error.max() < STEPS[likelihood][1], f"{name}: {slope} and {expected}"


def slope_of(total, point, i, step):
    """Central difference of fourth order in the step, by the i-th of the parameters."""
    one, two = (
        total(*(x + k * step * (j == i) for j, x in enumerate(point.values())))
        - total(*(x - k * step * (j == i) for j, x in enumerate(point.values())))
        for k in (1, 2)
    )
    return (8 * one - two) / (12 * step)


def narrow(case: Case, name: str) -> float:
    """How much narrower than usual the bounds of a parameter are; 1 where they are not."""
    low, high = case.spec.parameter(name).bounds if name in case.spec.names else (0.0, 1.0)
    return min(1.0, 4 * (high - low))


def interior(case: Case) -> dict[str, Float]:
    """Theta, one per trial, moved off the edges 0 and 1 of probabilities and off t = 0."""
    point = {name: case.each(name, 0.0).copy() for name in case.theta}
    for name in point.keys() & {"p_lapse", "t"}:
        point[name] = np.clip(point[name], 0.05, 0.95 if name == "p_lapse" else INF)
    return point


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=MARKS[each]) for name in OTHERS for each in (name, f"{name}, go/no-go")]
)
def test_compiled_code_agrees_with_the_formula(name):
    """The one that samplers call, and the one that the card's accuracy was measured on."""
    case = CASES[name]
    values = typical_values(case)
    compiled = log_density(case, "lan", values)
    network = pl.load_network(case.spec.name)
    theta = {key: np.broadcast_to(case.each(key, 0.5), compiled.shape) for key in case.spec.names}
    deadline = np.broadcast_to(case.each("deadline", INF), compiled.shape) if case.go_nogo else None
    expected = network.likelihood.log_trial(NUMPY, *np.moveaxis(values, -1, 0), deadline, theta)
    np.testing.assert_allclose(compiled, expected, rtol=2e-5, atol=2e-5)


@every_exact_case
def test_network_agrees_with_the_closed_form_in_value_and_gradient(case):
    point, values = interior(case), typical_values(case)
    lan, exact = (log_density(case, likelihood, values) for likelihood in ("lan", "exact"))
    impossible = np.isneginf(exact)  # a guess after its window
    assert np.array_equal(impossible, np.isneginf(lan))
    e = np.abs(lan[~impossible] - exact[~impossible])
    card = pl.load_network(case.spec.name).config["accuracy"]
    # The card averages over parameters; eight trials of one set can be as bad as its worst hundredth, not worse.
    assert e.max() < max(card["lan"]["max"], card["choice"]["nogo"]["max"])
    assert e.mean() < max(card["lan"]["p99"], card["choice"]["nogo"]["p99"])
    slopes = (gradient_function(case, likelihood, values)[1](*point.values()) for likelihood in case.likelihoods)
    for name, exact, lan in zip(point, *slopes, strict=True):
        error = np.abs(lan - exact) / (8 + np.abs(exact))
        assert error.max() < GRADIENT_OF_LAN, f"{name}: {lan} and {exact}"


@every_likelihood
def test_support_point_is_finite_and_possible(case, likelihood):
    trials = case.dist(likelihood)
    point = pm.distributions.distribution.support_point(trials).eval(mode="FAST_COMPILE")
    assert point.shape == (case.n, 2)
    assert np.isfinite(point).all()
    possible = case.each("deadline", INF) > case.each("t", 0.0)
    logp = log_density(case, likelihood, point[None])[0]
    assert np.isfinite(logp).all()
    # A press is not to be had where the deadline comes before t; elsewhere it is to be a likely one.
    assert (logp[possible] > -8).all()


def test_lapse_window_follows_the_longest_response():
    df = pl.simulate("ddm", PLAIN, n=50, seed=2)
    with pm.Model() as model:
        pl.DDM("obs", **PLAIN, p_lapse=0.1, observed=df)
    explicit = Case(pl.DDM, {**PLAIN, "p_lapse": 0.1}, {"lapse_window": float(df["rt"].max())})
    values = df[["rt", "response"]].to_numpy(float)[:, None]
    expected = log_density(explicit, "lan", values).sum()
    assert model.compile_logp(mode="FAST_COMPILE")({}) == pytest.approx(expected, rel=1e-9)
