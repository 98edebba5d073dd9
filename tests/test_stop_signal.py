"""Stop-signal trials: densities and successful stops against SciPy's distributions and adaptive quadrature."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from backends import AS_WRITTEN, MODES
from scipy import stats
from scipy.integrate import quad

import pymc_lan as pl

INF = np.inf
NONE = [np.inf, 0.0]


def log_p(dist: Any, rows: Any) -> Any:
    return pm.logp(dist, np.asarray(rows)).eval(mode=AS_WRITTEN)


def wald(v: float, a: float) -> Any:
    return stats.invgauss(mu=1 / (v * a), scale=a * a)


def log_normal(m: float, s: float) -> Any:
    return stats.lognorm(s, scale=np.exp(m))


# A distribution, the laws of its accumulators, the code of a response, and the non-decision time.
GO: dict[str, tuple[Any, list[Any], float, float]] = {
    "simple": (pl.ShiftedWald.dist(3.0, 1.2, 0.2), [wald(3.0, 1.2)], 1.0, 0.2),
    "choice": (pl.LNR.dist([-0.7, -0.5], [0.06, 0.3], 0.1), [log_normal(-0.7, 0.06), log_normal(-0.5, 0.3)], 0.0, 0.1),
    "diffusions": (pl.RDM.dist(0.0, 1.5, [2.0, 3.0], 0.2), [wald(2.0, 1.5), wald(3.0, 1.5)], 0.0, 0.2),
}
STOP: dict[str, tuple[Any, Any, float]] = {
    "wald": (pl.ShiftedWald.dist(6.0, 1.0, 0.05), wald(6.0, 1.0), 0.05),
    "slow wald": (pl.ShiftedWald.dist(1.2, 0.4, 0.0), wald(1.2, 0.4), 0.0),
    "log-normal": (pl.LNR.dist([-1.6], 0.08, 0.1), log_normal(-1.6, 0.08), 0.1),
}


def expected(go: str, stop: str, ssd: float, failure: float, last: float) -> tuple[float, float]:
    """Log of the density at 0.7 s, and of the probability of no response."""
    (_, each, _, t), (_, law, begin) = GO[go], STOP[stop]
    late = last - ssd - begin

    def survivor(x: float) -> float:
        return float(np.exp(sum(f.logsf(x - t) for f in each)))

    shares = [1e-10, 0.01, 0.3, 0.7, 0.99, 1 - 1e-10]
    places = [law.ppf(q) for q in shares] + [t + f.ppf(q) - ssd - begin for f in each for q in shares]
    ends = np.unique(np.clip(places, 0, max(late, 0.0)))
    stopped = 0.0
    for pair in pairwise(ends):
        stopped += quad(lambda u: law.pdf(u) * survivor(ssd + begin + u), *pair, epsabs=1e-14, epsrel=1e-10)[0]
    none = failure * survivor(last) + (1 - failure) * (survivor(last) * law.sf(late) + stopped)
    first, *others = each
    density = first.logpdf(0.7 - t) + sum(f.logsf(0.7 - t) for f in others)
    return density + np.log(failure + (1 - failure) * law.sf(0.7 - ssd - begin)), np.log(none)


@pytest.mark.parametrize("stop", STOP)
@pytest.mark.parametrize("go", GO)
def test_responses_and_stops_are_the_integrals(go: str, stop: str) -> None:
    ssd, failure, last = np.array([0.05, 0.2, 0.45]), np.array([0.0, 0.1, 0.3]), np.array([INF, 0.9, 2.0])
    dist = pl.StopSignal.dist(
        go=GO[go][0], stop=STOP[stop][0], ssd=np.repeat(ssd, 2), trigger_failure=np.repeat(failure, 2),
        deadline=np.repeat(last, 2),
    )  # fmt: skip
    found = log_p(dist, [[0.7, GO[go][2]], NONE] * 3).reshape(3, 2)
    for row, given in zip(found, zip(ssd, failure, last, strict=True), strict=True):
        np.testing.assert_allclose(row, expected(go, stop, *given), atol=1e-6)


def test_without_a_signal_there_is_the_go_process_alone() -> None:
    ssd = [np.nan, INF, np.nan]
    dist = pl.StopSignal.dist(go=GO["simple"][0], stop=STOP["wald"][0], ssd=ssd, trigger_failure=0.1, deadline=1.0)
    law = wald(3.0, 1.2)
    np.testing.assert_allclose(
        log_p(dist, [[0.6, 1.0], [0.8, 1.0], NONE]), [law.logpdf(0.4), law.logpdf(0.6), law.logsf(0.8)], rtol=1e-9
    )


def test_draws_are_of_that_law_and_tables_say_what_there_was() -> None:
    n, go, stop = 4000, GO["choice"], STOP["wald"]
    dist = pl.StopSignal.dist(go=go[0], stop=stop[0], ssd=0.2, trigger_failure=0.1, shape=(n, 2))
    drawn = pm.draw(dist, random_seed=1, mode=AS_WRITTEN)
    p = np.exp(expected("choice", "wald", 0.2, 0.1, INF)[1])
    assert np.isinf(drawn[:, 0]).mean() == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / n))
    df = pl.as_dataframe(drawn[:40]).assign(ssd=0.2)
    df.loc[df["rt"].notna().idxmax(), "ssd"] = np.nan
    with pm.Model() as model:
        v = pm.HalfNormal("v", 5)
        pl.StopSignal("obs", go=go[0], stop=pl.ShiftedWald.dist(v, 1.0, 0.05), trigger_failure=0.1, observed=df)
    assert np.isfinite(model.compile_dlogp(mode=AS_WRITTEN)(model.initial_point())).all()


# The compiler of C takes most of a minute over it.
@pytest.mark.parametrize(
    "mode", [pytest.param(mode, marks=pytest.mark.slow if mode == "c" else pytest.mark.table) for mode in MODES]
)
def test_backends_and_gradients(mode: str) -> None:
    with pm.Model() as model:
        v, w, failure = pm.HalfNormal("v", 5), pm.HalfNormal("w", 5), pm.Uniform("failure")
        pl.StopSignal(
            "obs", go=pl.ShiftedWald.dist(v, 1.2, 0.2), stop=pl.ShiftedWald.dist(w, 1.0, 0.05), ssd=[np.nan, 0.2, 0.2],
            trigger_failure=failure, observed=[[0.6, 1.0], NONE, [0.7, 1.0]],
        )  # fmt: skip
    point = model.initial_point()
    value, slope = model.compile_logp(mode=AS_WRITTEN), model.compile_dlogp(mode=MODES[mode])(point)
    for i, name in enumerate(point):
        ends = [value(point | {name: point[name] + h}) for h in (1e-5, -1e-5)]
        assert slope[i] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-6)


SIMPLE: dict[str, Any] = {"go": GO["simple"][0], "stop": STOP["wald"][0]}
TABLE = pd.DataFrame({"rt": [0.6, None], "response": [1, 0], "ssd": [0.2, None]})


def in_model(**kwargs: Any) -> None:
    with pm.Model():
        pl.StopSignal("obs", **SIMPLE | kwargs)


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "a go trial without anything": (lambda: in_model(observed=TABLE), "Expected a response on every trial without"),
    "no delays": (lambda: in_model(observed=TABLE.drop(columns="ssd")), "column 'ssd'"),
    "a delay below 0": (lambda: in_model(ssd=[0.1, -0.1], observed=TABLE), "0 s and more"),
    "delays in milliseconds": (lambda: in_model(ssd=[200.0, np.nan], observed=TABLE), "look like milliseconds"),
    "a code for no signal": (lambda: in_model(ssd=[0.2, 999.0], observed=TABLE), "row 1 (ssd = 999.0)"),
    "a number": (lambda: in_model(go=1.0, observed=TABLE), "go as the distribution of a race"),
    "a diffusion between two": (lambda: in_model(stop=pl.DDM.dist(1, 1, t=0.1), observed=TABLE), "stop as the distrib"),
    "two to stop": (lambda: in_model(stop=GO["choice"][0], observed=TABLE), "stop as a process of one accumulator"),
    "guesses": (
        lambda: in_model(go=pl.ShiftedWald.dist(3.0, 1.0, 0.2, p_lapse=0.1, lapse_window=1.0), observed=TABLE),
        "go without a deadline and lapses",
    ),
}


@pytest.mark.parametrize(("call", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_a_sentence(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"Expected|Unknown") as error:
        call()
    assert message in str(error.value)
