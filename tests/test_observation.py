"""What is seen of a trial: rows of each kind of observation, what it asks of a likelihood, and a kind of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from forms import given_network
from scipy.integrate import quad

import pymc_lan as pl
from pymc_lan.data.answers import Columns, chosen
from pymc_lan.data.observation import (
    GUESSES,
    EveryResponse,
    Observation,
    PressOrNot,
    ResponseOrOmission,
    Silence,
    TrialLikelihood,
)
from pymc_lan.distributions.base import apply_rv
from pymc_lan.distributions.trial_rv import TrialRV

INF, NAN = np.inf, np.nan
P = {"v": 1.0, "a": 1.0, "z": 0.5, "t": 0.3}
AS_WRITTEN = "FAST_COMPILE"

EVERY, OMISSION, PRESS = EveryResponse((-1, 1)), ResponseOrOmission((-1, 1)), PressOrNot()
# What happened in five trials with a deadline of 1 s: in time, at the lower boundary, late, too late and low, never.
HAPPENED = np.array([[0.5, 1], [0.6, -1], [1.5, 1], [1.5, -1], [INF, 0]])
EXTRAS = {"deadline": np.ones(5), "lapse_go": np.full(5, 0.4), "lapse_window": np.full(5, 4.0)}
SEEN = {
    EVERY: [[0.5, 1], [0.6, -1], [1.5, 1], [1.5, -1], [INF, 0]],
    OMISSION: [[0.5, 1], [0.6, -1], [INF, 0], [INF, 0], [INF, 0]],
    PRESS: [[0.5, 1], [INF, 0], [INF, 0], [INF, 0], [INF, 0]],
}


@pytest.mark.parametrize("seen", SEEN, ids=lambda x: type(x).__name__)
def test_what_nobody_sees_is_hidden(seen: Observation) -> None:
    before = HAPPENED.copy()
    np.testing.assert_array_equal(seen.hide(HAPPENED, EXTRAS), SEEN[seen])
    np.testing.assert_array_equal(HAPPENED, before)


# Rows, and for each kind whether it may see them, by a deadline of 1 s.
ROWS: list[tuple[float, float, bool, bool, bool]] = [
    # rt, response, every response, response or omission, press or not
    (0.5, 1, True, True, True),
    (0.5, -1, True, True, True),  # the response of a press is its rt
    (0.5, 2, False, False, True),
    (1.0, 1, True, True, True),
    (1.5, 1, True, False, False),
    (INF, 0, False, True, True),
    (INF, 1, False, True, True),
]


@pytest.mark.parametrize("kind", range(3))
def test_rows_that_may_be_seen(kind: int) -> None:
    rt, response = np.array([row[:2] for row in ROWS], float).T
    expected = [row[2 + kind] for row in ROWS]
    assert (EVERY, OMISSION, PRESS)[kind].possible(rt, response, {"deadline": 1.0}).tolist() == expected
    x = pt.dmatrix("x")
    graph = (EVERY, OMISSION, PRESS)[kind].possible(x[:, 0], x[:, 1], {"deadline": pt.constant(1.0)})
    assert graph.eval({x: np.column_stack([rt, response])}, mode=AS_WRITTEN).tolist() == expected


class Asked:
    """A likelihood that answers with what it was asked."""

    def log_trial(self, xp: Any, rt: Any, response: Any, deadline: Any, theta: Mapping[str, Any]) -> Any:
        return rt, response, deadline, theta


def test_what_a_likelihood_is_asked() -> None:
    """A press is the upper response whatever its row says, and only where there may be none is a deadline given."""
    asked = [x.log_trial(np, Asked(), 0.5, -1.0, {"deadline": 2.0}, P) for x in (EVERY, OMISSION, PRESS)]
    assert asked == [(0.5, -1.0, None, P), (0.5, -1.0, 2.0, P), (0.5, 1.0, 2.0, P)]


def test_a_deadline_says_nothing_to_whom_does_not_know_what_silence_means() -> None:
    known = frozenset({Silence.NO_PRESS})
    assert [x.deadline({"deadline": 2.0}, known) for x in (EVERY, OMISSION, PRESS)] == [None, None, 2.0]
    assert [x.is_known(known) for x in (EVERY, OMISSION, PRESS)] == [True, False, True]
    assert [x.is_known(frozenset()) for x in (EVERY, OMISSION, PRESS)] == [True, False, False]


@pytest.mark.parametrize(
    ("seen", "outcomes", "none"),
    [(EVERY, 2, 0.0), (OMISSION, 2, 0.75), (PRESS, 1, 0.9)],  # 1 s of 4 s, and 0.4 of that for presses
    ids=["every response", "omissions", "presses"],
)
def test_guesses_add_up_to_one_and_are_drawn_as_often(seen: Observation, outcomes: int, none: float) -> None:
    extras = {name: x[:1] for name, x in EXTRAS.items()}

    def density(rt: float) -> float:
        return float(np.exp(seen.log_guess(np, np.array([rt]), extras))[0])

    with np.errstate(divide="ignore"):
        last = 4.0 if seen is EVERY else 1.0
        pressed = outcomes * quad(density, 0, last)[0]
        assert density(INF) == pytest.approx(none, abs=1e-12)
    assert pressed == pytest.approx(1 - none, abs=1e-9)
    n = 20_000
    drawn = seen.draw_guesses(np.random.default_rng(2), {name: np.full(n, x[0]) for name, x in extras.items()})
    assert abs(np.isinf(drawn[:, 0]).mean() - none) <= 5 * np.sqrt(none * (1 - none) / n)
    assert {*drawn[np.isfinite(drawn[:, 0]), 1]} == {float(x) for x in seen.responses}


def test_a_network_with_an_opn_has_a_density_without_any_deadline() -> None:
    """What it knows of omissions is not asked where there are none."""
    network = given_network("opn")
    data = np.array([[0.8, 1.0], [0.7, -1.0], [INF, 0.0]])
    found = pm.logp(pl.LANDist.dist(network, **P, shape=(3, 2)), data).eval(mode=AS_WRITTEN)
    np.testing.assert_allclose(found[:2], network.logpdf([0.8, 0.7], [1, -1], **P), rtol=1e-5)
    assert found[2] == -INF


@dataclass(frozen=True)
class TimeAlone(Observation):
    """A kind that the package does not have: the time is seen, and the response is not."""

    hidden: tuple[float, ...]
    responses: tuple[float, ...] = (0,)
    extras = GUESSES
    silence = None

    def read(self, columns: Columns) -> tuple[Any, Any]:
        every = np.ones(columns.times.shape, bool)
        return every, chosen(columns, every, self.responses)

    def hide(self, trials: Any, extras: Mapping[str, Any]) -> Any:
        return trials * [1.0, 0.0]

    def possible(self, rt: Any, response: Any, extras: Mapping[str, Any]) -> Any:
        return (rt < INF) & self._listed(response)

    def log_trial(
        self, xp: Any, likelihood: TrialLikelihood, rt: Any, response: Any, extras: Any, theta: Mapping[str, Any]
    ) -> Any:
        each = [likelihood.log_trial(xp, rt, np.float64(code), None, theta) for code in self.hidden]
        return xp.logaddexp(*each)


@pytest.mark.parametrize("mode", [AS_WRITTEN, pytest.param("NUMBA", marks=pytest.mark.slow)])
def test_a_kind_of_observation_is_one_class(mode: str) -> None:
    """Its density, its draws and its lapses go through everything as they are; nothing else asks which kind it is."""
    network, rt = pl.load_network("ddm"), np.array([0.5, 0.8, 1.4])
    both = [network.logpdf(rt, code, **P) for code in (-1, 1)]
    share, window = 0.2, 4.0
    guess = np.log(1 / window)  # of one thing that can be seen of it
    expected = np.logaddexp(np.log1p(-share) + np.logaddexp(*both), np.log(share) + guess)
    op = TrialRV(network.spec, network.lan, network.choice, observation=TimeAlone((-1, 1)), lapses=True)
    trials = apply_rv(op, [pt.as_tensor_variable(x) for x in (*P.values(), share, window)], shape=(3, 2))
    data = np.column_stack([rt, np.zeros(3)])
    np.testing.assert_allclose(pm.logp(trials, data).eval(mode=mode), expected, rtol=1e-5)
    assert np.isneginf(pm.logp(trials, np.add(data, [0.0, 1.0])).eval(mode=mode)).all()
    drawn = pm.draw(trials, random_seed=1, mode=mode)
    assert np.isfinite(drawn[:, 0]).all()
    assert not drawn[:, 1].any()


def test_nothing_else_asks_what_is_seen() -> None:
    """Classes of the family are named where one is chosen, and nowhere is one told from another."""
    package = Path(pl.__file__).parent
    chosen_in = {
        "data/observed.py",
        "distributions/landist.py",
        "distributions/gonogo.py",
        "distributions/response_rv.py",
    }
    chosen_in |= {"plots/trials.py", "plots/predictive.py", "data/observation.py"}
    named = [x.__name__ for x in (EveryResponse, ResponseOrOmission, PressOrNot)]
    found = set()
    for path in package.rglob("*.py"):
        text = path.read_text()
        if any(name in text for name in named):
            found.add(path.relative_to(package).as_posix())
        assert not any(f"isinstance({x}" in text for x in ("observation", "op.observation", "self.observation")), path
    assert found <= chosen_in
