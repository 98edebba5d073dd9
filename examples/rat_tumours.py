"""Tumours of rats in 71 experiments: a log density written in PyTensor, compiled to JAX, sampled by BlackJAX.

Experiment j has a rate theta[j] ~ Beta(alpha, beta), and the prior of alpha and beta is improper, (alpha + beta)^(-5/2)
(Tarone, 1982; Gelman et al., Bayesian Data Analysis, third edition, section 5.3). The same density is sampled as a bare
graph and as a PyMC model, and compared with numerical integration over alpha and beta:

    python examples/rat_tumours.py
"""

import argparse

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from scipy.special import betaln

import pymc_lan as pl

# fmt: off
tumours = np.array([
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 5, 2, 5, 3, 2, 7,
    7, 3, 3, 2, 9, 10, 4, 4, 4, 4, 4, 4, 4, 10, 4, 4, 4, 5, 11, 12, 5, 5, 6, 5, 6, 6, 6, 6, 16, 15, 15, 9, 4,
])
rats = np.array([
    20, 20, 20, 20, 20, 20, 20, 19, 19, 19, 19, 18, 18, 17, 20, 20, 20, 20, 19, 19, 18, 18, 25, 24, 23, 20, 20, 20,
    20, 20, 20, 10, 49, 19, 46, 27, 17, 49, 47, 20, 20, 13, 48, 50, 20, 20, 20, 20, 20, 20, 20, 48, 19, 19, 19, 22,
    46, 49, 20, 20, 23, 19, 22, 20, 20, 20, 52, 46, 47, 24, 14,
])
# fmt: on


def graph():
    """The log density of log alpha, log beta and logit theta: each on the whole line, with log derivatives added."""
    log_alpha, log_beta, logit = pt.dscalar("log_alpha"), pt.dscalar("log_beta"), pt.dvector("logit_theta")
    alpha, beta, log_theta, log_rest = pt.exp(log_alpha), pt.exp(log_beta), -pt.softplus(-logit), -pt.softplus(logit)
    groups = -5 / 2 * pt.log(alpha + beta) + log_alpha + log_beta
    log_norm = pt.gammaln(alpha) + pt.gammaln(beta) - pt.gammaln(alpha + beta)
    return groups + ((tumours + alpha) * log_theta + (rats - tumours + beta) * log_rest - log_norm).sum()


def model():
    with pm.Model(coords={"experiment": range(len(rats))}) as rates:
        alpha, beta = pm.HalfFlat("alpha", initval=1.0), pm.HalfFlat("beta", initval=10.0)
        pm.Potential("groups", -5 / 2 * pt.log(alpha + beta))
        theta = pm.Beta("theta", alpha, beta, dims="experiment")
        pm.Binomial("tumours", rats, theta, observed=tumours)
    return rates


def exact(n=800):
    """Means by the trapezium rule over log(alpha / beta) and log(alpha + beta), with theta integrated out.

    The sum is cut off at alpha + beta = 10,000: beyond it lies a mass of less than 1e-7, but a density that falls only
    like its power of -3/2, so that the means of alpha and beta themselves are infinite, if barely.
    """
    ratio, total = np.meshgrid(np.linspace(-3.5, -0.5, n), np.linspace(-2, np.log(1e4), n), indexing="ij")
    alpha, beta = np.exp(total) / (1 + np.exp(-ratio)), np.exp(total) / (1 + np.exp(ratio))
    log_p = sum(betaln(alpha + y, beta + m - y) - betaln(alpha, beta) for y, m in zip(tumours, rats, strict=True))
    # Of alpha and beta, times their derivatives by ratio and total.
    log_p += -5 / 2 * total + np.log(alpha * beta)
    p = np.exp(log_p - log_p.max())
    last = (alpha + tumours[-1]) / (alpha + beta + rats[-1])
    values = {"log_alpha": np.log(alpha), "log_beta": np.log(beta), "alpha": alpha, "beta": beta, "theta[70]": last}
    return {name: (p * x).sum() / p.sum() for name, x in values.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--tune", type=int, default=1000)
    args = parser.parse_args()
    start = {"log_alpha": 0.0, "log_beta": 2.0, "logit_theta": np.full(len(rats), -2.0)}
    options = {"draws": args.draws, "tune": args.tune, "seed": 1, "target_accept": 0.9}
    bare = pl.sample_blackjax(graph(), initvals=start, **options).posterior
    whole = pl.sample_blackjax(model(), **options).posterior
    found = {
        "graph": {"log_alpha": bare["log_alpha"], "log_beta": bare["log_beta"]}
        | {"alpha": np.exp(bare["log_alpha"]), "beta": np.exp(bare["log_beta"])}
        | {"theta[70]": 1 / (1 + np.exp(-bare["logit_theta"][..., 70]))},
        "model": {"log_alpha": np.log(whole["alpha"]), "log_beta": np.log(whole["beta"])}
        | {"alpha": whole["alpha"], "beta": whole["beta"], "theta[70]": whole["theta"][..., 70]},
    }
    print(f"{'mean':10s} {'exact':>8s} {'graph':>8s} {'error':>7s} {'model':>8s} {'error':>7s}")
    for name, value in exact().items():
        columns = []
        for draws in (found["graph"][name], found["model"][name]):
            columns += [f"{float(draws.mean()):8.3f} {monte_carlo_error(draws):7.4f}"]
        print(f"{name:10s} {value:8.3f} {' '.join(columns)}")


def monte_carlo_error(draws):
    import arviz as az

    return float(az.mcse(draws.values, method="mean"))


if __name__ == "__main__":
    main()
