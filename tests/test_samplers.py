"""Every sampler of PyMC, with its default options and two cores: finishes, and finds the posterior.

Each runs in a process of its own under a time limit, because a likelihood that touches JAX in a forked worker does not
fail but hangs. What they should find comes from importance sampling with the closed form in NumPy, which shares no code
with the samplers nor with the networks.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import multivariate_t

import pymc_lan as pl
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.numerics.wiener import ddm_log_choice, ddm_logpdf

# One NeuroRacer subject of 200 trials, no-go trials with the opposite drift; no deadline.
TRUTH = {"v": 1.0, "a": 1.5, "z": 0.5, "t": 0.5}
N_TRIALS = 200
# Flat priors, so that the closed form alone is the posterior.
PRIORS = {"v": (-2.5, 2.5), "a": (0.4, 2.4), "t": (0.05, 1.0)}
SECONDS = 240

SCRIPT = """
import json, sys
import numpy as np, pymc as pm, pymc_lan as pl

def main():
    given = json.load(open(sys.argv[1]))
    with pm.Model():
        theta = {name: pm.Uniform(name, *bounds) for name, bounds in given["priors"].items()}
        pl.GoNoGoDDM("obs", **theta, z=0.5, trial_type=given["types"], observed=np.array(given["observed"]))
        idata = pm.sample(300, tune=300, chains=2, cores=2, progressbar=False, random_seed=1,
                          compute_convergence_checks=False, **given["options"])
    print(json.dumps({name: idata["posterior"][name].values.tolist() for name in theta}))

if __name__ == "__main__":
    main()
"""

SAMPLERS = {
    "nutpie": {"nuts_sampler": "nutpie"},
    "pymc": {"nuts_sampler": "pymc"},
    "numpyro": {"nuts_sampler": "numpyro"},
    "blackjax": {"nuts_sampler": "blackjax"},
    "nutpie on JAX": {"nuts_sampler": "nutpie", "backend": "jax"},
}


@pytest.fixture(scope="module")
def trials() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rows of rt and response, and trial types, drawn by the exact simulator."""
    types = np.arange(N_TRIALS) % 2
    df = pl.simulate("ddm", {**TRUTH, "v": np.where(types, 1.0, -1.0)}, seed=5)
    rows = df[["rt", "response"]].to_numpy(float)
    rows[rows[:, 1] < 0] = np.inf, 0
    return rows, types


def log_posterior(
    theta: NDArray[np.float64], rows: NDArray[np.float64], types: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The closed form for each row (v, a, t) of theta; -inf outside the priors."""
    v, a, t = theta.T[:, :, None]
    drift, pressed = np.where(types, v, -v), np.isfinite(rows[:, 0])
    early = ~(np.where(pressed, rows[:, 0], np.inf) > t)
    d = np.where(early | ~pressed, 1.0, rows[:, 0] - t)
    log_p = np.where(pressed, ddm_logpdf(NUMPY, d, 1, drift, a, 0.5), ddm_log_choice(NUMPY, drift, a, 0.5)[1])
    bounds = np.array(list(PRIORS.values()))
    inside = ((theta > bounds[:, 0]) & (theta < bounds[:, 1])).all(axis=1)
    return np.where(inside & ~early.any(axis=1), log_p.sum(axis=1), -np.inf)


@pytest.fixture(scope="module")
def expected(trials) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Posterior means, standard deviations and effective sample size by importance sampling from a Student t."""
    start = np.array([TRUTH[name] for name in PRIORS])
    best = minimize(lambda x: min(-log_posterior(x[None], *trials)[0], 1e6), start, method="Nelder-Mead")
    proposal = multivariate_t(best.x, np.diag([0.06, 0.06, 0.05]) ** 2, df=5, seed=1)
    for _ in range(3):  # the second and third proposal have the posterior's own mean and covariance
        draws = proposal.rvs(6000)
        log_weight = log_posterior(draws, *trials) - proposal.logpdf(draws)
        weight = np.exp(log_weight - log_weight.max())
        weight /= weight.sum()
        mean, covariance = weight @ draws, np.cov(draws.T, aweights=weight)
        proposal = multivariate_t(mean, covariance, df=5, seed=2)
    return mean, np.sqrt(np.diag(covariance)), float(1 / (weight**2).sum())


# By default the example in test_examples, which takes what PyMC takes; these where a change is checked.
AT_NIGHT = {"nutpie on JAX"}


@pytest.mark.parametrize(
    "sampler", [pytest.param(x, marks=pytest.mark.slow if x in AT_NIGHT else pytest.mark.table) for x in SAMPLERS]
)
def test_sampler_finishes_and_finds_the_posterior(sampler, trials, expected, tmp_path: Path):
    options, (rows, types) = SAMPLERS[sampler], trials
    given = {"priors": PRIORS, "types": types.tolist(), "observed": rows.tolist(), "options": options}
    (tmp_path / "given.json").write_text(json.dumps(given))
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "given.json")],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    draws = {name: np.array(x) for name, x in json.loads(done.stdout.splitlines()[-1]).items()}
    import arviz as az

    mean, sd, effective = expected
    assert effective > 2000
    for name, m, s in zip(PRIORS, mean, sd, strict=True):
        ess = float(az.ess(draws[name], method="mean"))
        assert ess > 100, name
        assert abs(draws[name].mean() - m) < 4 * s * np.sqrt(1 / ess + 1 / effective), name
        # The relative error of a standard deviation from ess draws is about sqrt(1 / 2 ess).
        assert abs(draws[name].std() / s - 1) < 4 * np.sqrt(0.5 / ess) + 0.03, name
