"""From posteriors of subjects to that of their group, against integrals in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy import stats

import pymc_lan as pl
from pymc_lan.inference.subjects.ends import ends_of
from pymc_lan.inference.subjects.scales import SCALES, scales_of

# Subjects' estimates on the scale of the group, and how sure they are.
ESTIMATES = np.array([-0.9, -0.1, 0.4, 0.2, 1.3, 0.9, 0.1, 0.7, -0.4, 0.5])
ERRORS = np.array([0.3, 0.4, 0.2, 0.3, 0.5, 0.3, 0.2, 0.4, 0.3, 0.25])
WIDE = 2.0
N = 2000


def prior(name: str, link: str) -> Any:
    made = {"identity": pm.Normal, "log": pm.LogNormal, "logit": pm.LogitNormal}[link]
    return made(name, 0.0, WIDE)


def alone(link: str, n: int = N, short: int = 0) -> Any:
    """Subjects' posteriors under a wide prior, exact; the last one lacks the last draws."""
    backward = {"identity": np.asarray, "log": np.exp, "logit": lambda x: 1 / (1 + np.exp(-x))}[link]
    precision = 1 / ERRORS**2 + 1 / WIDE**2
    rng = np.random.default_rng(1)
    x = (ESTIMATES / ERRORS**2) / precision + rng.standard_normal((n, len(ERRORS))) / np.sqrt(precision)
    x, log_weight = backward(x), np.full((n, len(ERRORS)), -np.log(n))
    if short:
        x[-short:, -1], log_weight[-short:, -1] = np.nan, -np.inf
    dims, subject = ("chain", "draw", "subject"), [f"s{i}" for i in range(len(ERRORS))]
    weighted = xr.Dataset(
        {"v": (dims, x[None]), "log_weight": (dims, log_weight[None])},
        {"chain": [0], "draw": np.arange(n), "subject": subject},
    )
    verdicts = xr.Dataset({"right": (("subject",), np.ones(len(ERRORS), bool))}, {"subject": subject})
    return xr.DataTree.from_dict({"weighted_posterior": weighted, "verdicts": verdicts})


def by_sums() -> dict[str, float]:
    """Moments of the group under mu ~ N(0, 1) and sd ~ HalfNormal(1), and the first subject's mean, on a grid."""
    mu, sd = np.meshgrid(np.linspace(-2, 3, 600), np.linspace(0.005, 3, 600), indexing="ij")
    log_p = stats.norm.logpdf(mu) + stats.norm.logpdf(sd)
    for estimate, error in zip(ESTIMATES, ERRORS, strict=True):
        log_p += stats.norm.logpdf(estimate, mu, np.hypot(sd, error))
    w = np.exp(log_p - log_p.max())
    w /= w.sum()
    first = (ESTIMATES[0] / ERRORS[0] ** 2 + mu / sd**2) / (1 / ERRORS[0] ** 2 + 1 / sd**2)
    moments = {name: (w * x).sum() for name, x in (("mu", mu), ("sd", sd), ("first", first))}
    spread = {f"{name} sd": np.sqrt((w * (x - moments[name]) ** 2).sum()) for name, x in (("mu", mu), ("sd", sd))}
    return moments | spread


@pytest.mark.parametrize("link", ["identity", "log", pytest.param("logit", marks=pytest.mark.table)])
def test_a_group_is_that_of_the_integral(link: str) -> None:
    with pm.Model() as model:
        prior("v", link)
    priors = {"v": (pm.Normal.dist(0, 1), pm.HalfNormal.dist(1))}
    found = pl.group_posterior(alone(link, short=500), model, links={"v": link}, priors=priors, draws=1000, seed=1)
    x, exact = found["posterior"], by_sums()
    assert bool(found["verdicts"]["right"])
    assert float(found["verdicts"]["effective_draws"].min()) > 100
    assert abs(float(x["v_mu"].mean()) - exact["mu"]) < 0.06 * exact["mu sd"]
    assert abs(float(x["v_sd"].mean()) - exact["sd"]) < 0.06 * exact["sd sd"]
    assert abs(float(x["v_mu"].std()) / exact["mu sd"] - 1) < 0.05
    assert abs(float(x["v_sd"].std()) / exact["sd sd"] - 1) < 0.08
    forward = {"identity": np.asarray, "log": np.log, "logit": lambda p: np.log(p / (1 - p))}[link]
    assert abs(forward(x["v"].sel(subject="s0").to_numpy()).mean() - exact["first"]) < 0.03


def test_variables_that_are_not_of_a_group_keep_their_prior() -> None:
    """Drawn independently of the others, they stay what they were; and several elements are several groups."""
    with pm.Model() as model:
        pm.Normal("v", 0.0, WIDE)
        pm.Normal("w", pm.Normal("u"), 1.0, shape=2)
    tree, rng = alone("identity", n=500), np.random.default_rng(2)
    dims, n = ("chain", "draw", "subject"), (1, 500, len(ERRORS))
    further = {"u": (dims, rng.normal(5, 1, n)), "w": ((*dims, "w_dim_0"), rng.normal([1, 3], 0.5, (*n, 2)))}
    tree["weighted_posterior"] = tree["weighted_posterior"].to_dataset().assign(further)
    one = pl.group_posterior(tree, model, var_names="v", seed=1)["posterior"]
    assert {*one} == {"v", "u", "w", "v_mu", "v_sd"}
    assert one["v"].dims == ("chain", "draw", "subject")
    assert one["draw"].to_numpy().tolist() == [*range(1000)]
    assert abs(float(one["u"].mean()) - 5) < 0.1
    both = pl.group_posterior(tree, model, var_names=["v", "w"], seed=1)["posterior"]
    assert both["w_mu"].dims == ("chain", "draw", "w_dim_0")
    # The prior of w was narrow, around u: taken out, w is where the likelihood alone has it, a little further out.
    assert both["w_mu"].mean(("chain", "draw")).to_numpy()[1] > 2.5


def test_scales_are_those_of_where_variables_end() -> None:
    with pm.Model() as model:
        pm.Normal("v"), pm.Gamma("t", 2, 2), pm.Beta("z", 2, 2), pm.Uniform("u", 0.2, 0.6), pm.Uniform("w", -1, 1)
    found = scales_of(model, ["v", "t", "z", "u", "w"], {"t": "identity"})
    expected = {"v": "identity", "t": "identity", "z": "logit", "u": "log", "w": "identity"}
    assert found == {name: SCALES[link] for name, link in expected.items()}


def test_ends_that_another_variable_sets_are_no_numbers() -> None:
    with pm.Model() as model:
        last = pm.Truncated("last", pm.LogNormal.dist(0, 1), lower=0.5, upper=2)
        pm.Uniform("t", 0, last)
        pm.Uniform("u", 0, 2)
    assert ends_of(model, model["t"]) is None
    assert ends_of(model, model["u"]) == (0.0, 2.0)


def test_too_few_draws_are_said_to_be(caplog: Any) -> None:
    with pm.Model() as model:
        pm.Normal("v", 0.0, WIDE)
    found = pl.group_posterior(alone("identity", n=60), model, seed=1)
    assert not found["verdicts"]["right"]
    assert "effective draws given the group" in str(found["verdicts"]["verdict"].item())
    assert "group: not right" in caplog.text


def test_what_has_no_group_is_refused() -> None:
    with pm.Model() as model:
        pm.Normal("v", 0.0, WIDE)
    with pm.Model() as flat:
        pm.Flat("v")
    with pm.Model() as other:
        pm.Normal("drift")
    tree, none = alone("identity"), alone("identity", short=N)
    for given, made, further, message in (
        (3, model, {}, "Expected posteriors of subjects"),
        (tree, other, {}, "Expected draws of 'drift'"),
        (tree, model, {"var_names": "w"}, "free variable"),
        (tree, model, {"links": {"v": "log"}}, "Expected values of 'v' that suit its link"),
        (tree, model, {"links": {"v": "probit"}}, "as a link"),
        (tree, model, {"links": {"w": "log"}}, "variable of links"),
        (tree, model, {"priors": {"w": (1, 2)}}, "variable of priors"),
        (none, model, {}, "Found none of 's9'"),
        (tree.isel(subject=[0]), model, {}, "Expected two subjects or more"),
        (tree, flat, {}, "Expected a prior of 'v' that can be drawn from"),
    ):
        with pytest.raises(ValueError, match=message):
            pl.group_posterior(given, made, **further)
