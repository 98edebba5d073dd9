"""Are parameters recovered: simulated subjects, each fitted with the model that made its trials.

    python benchmarks/recovery.py [--models ddm_sdv angle weibull] [--fits FOLDER] [--out FILE] [--quick]

Each subject's parameters are uniform over the middle 80 % of the bounds, the priors uniform over all of them. Draws are
by adaptive importance sampling (`_importance`), which takes seconds where chains need minutes to follow the ridges of
such posteriors. Models of conflict tasks are fitted to congruent and incongruent trials, half of each, with what the
experiment sets as given: see `DESIGNS`. With ``--fits`` a run that was stopped goes on after its last subject.

``covered`` is the share of subjects whose 90 % interval holds the truth, with the exact binomial interval of that share
at 95 % (Clopper & Pearson 1934, Biometrika 26, 404-413): with 30 subjects it is wider than the bar. ``matched`` is the
same share with the posterior cut to where truths were drawn, so that prior and truths have one distribution and 90 % is
exactly what is expected. ``contraction`` is one less the posterior variance over that of the prior (median), ``r`` the
correlation of truth and posterior mean. What has a contraction below 0.5 is called not identifiable: the trials leave
open more than half of the prior's variance. The bar is for the others. Where parameters enter a density in sums only,
these are judged in their place.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pymc as pm
from _common import Json, add_registry_option, argument_parser, print_table, report, trained
from _importance import ENOUGH, TRUSTED, Posterior, sample
from numpy.typing import NDArray
from scipy.special import erf, expit
from scipy.stats import binomtest

import pymc_lan as pl
from pymc_lan.models.model import Model
from pymc_lan.models.parameters import Parameter
from pymc_lan.models.proposals import LONGEST
from pymc_lan.networks.network import Network

Float = NDArray[np.float64]

# What subjects' parameters leave free of the bounds on either side.
MARGIN = 0.1
COVERAGE = 0.9
# Coverage of identifiable parameters, and the median contraction that makes one identifiable.
BAR = (0.80, 0.97)
IDENTIFIABLE = 0.5
# Draws of equal weight that stand for a posterior.
DRAWS = 4000
# A posterior that is cut is represented by so many draws at least.
LEAST_DRAWS = 100
SEED = 11


class Design(NamedTuple):
    """An experiment without which trials cannot tell the parameters of a model.

    Parameters
    ----------
    reason : str
    given : mapping of str to tuple of float
        What is known and not estimated: in congruent and in incongruent trials.
    turned : tuple of str
        Parameters whose sign changes in incongruent trials.
    combined : tuple of str
        Those that enter the density in sums only; they are not judged.
    sums : mapping of str to callable
        Functions of the parameters that are judged instead.
    """

    reason: str
    given: Mapping[str, tuple[float, float]] = {}
    turned: tuple[str, ...] = ()
    combined: tuple[str, ...] = ()
    sums: Mapping[str, Callable[[Any], Any]] = {}


def spotlight_drift(p: Any, sign: float) -> Any:
    """Drift of shrink_spot at first, with flankers of that sign."""
    inner, outer = (erf(edge / (np.sqrt(2) * p["sda"])) for edge in (0.5, 1.5))
    return p["ptarget"] * inner + sign * (p["pinner"] * (outer - inner) + p["pouter"] * (1 - outer))


# Response -1 is an error; flankers of incongruent trials speak for it.
CONGRUENT, INCONGRUENT = 1.0, -1.0
DESIGNS = {
    "conflict_ds": Design(
        "v is given as 0, the coherence of the target as 1, that of the distractor as 1 and, in incongruent trials, as "
        "-1; otherwise only sums and products of these with the others enter the density",
        given={"v": (0.0, 0.0), "tcoh": (1.0, 1.0), "dcoh": (CONGRUENT, INCONGRUENT)},
    ),
    "shrink_spot": Design(
        "v is given as 0, and the flankers' evidence changes sign in incongruent trials. Within the bounds the "
        "spotlight hardly narrows in the time of a trial, so the drift stays nearly what it is at first: two numbers, "
        "of congruent and of incongruent trials, for four parameters and a rate",
        given={"v": (0.0, 0.0)},
        turned=("pouter", "pinner"),
        combined=("ptarget", "pouter", "pinner", "sda", "r"),
        sums={
            "drift, congruent": lambda p: spotlight_drift(p, CONGRUENT),
            "drift, incongruent": lambda p: spotlight_drift(p, INCONGRUENT),
        },
    ),
}
# Other models are fitted to trials of one condition, and all of their parameters are estimated.
ONE_CONDITION = Design("")


def design(model: str) -> Design:
    """What the experiment for a model fixes."""
    return DESIGNS.get(model, ONE_CONDITION)


def estimated(spec: Model) -> list[Parameter]:
    """The parameters that are not given."""
    return [p for p in spec.parameters if p.name not in design(spec.name).given]


def of_trials(spec: Model, values: Mapping[str, Any], trials: int) -> dict[str, Any]:
    """Every parameter in every trial, every other of which is incongruent, from those that are estimated."""
    found, plan = dict(values), design(spec.name)
    incongruent = np.arange(trials) % 2 == 1
    for name in plan.turned:
        found[name] = values[name] * np.where(incongruent, INCONGRUENT, CONGRUENT)
    for name, (first, second) in plan.given.items():
        found[name] = np.where(incongruent, second, first)
    return {name: found[name] for name in spec.names}


def quantities(spec: Model, parameters: Any) -> dict[str, Any]:
    """Every parameter that is estimated, and sums of them, from a mapping by parameter."""
    found = {p.name: parameters[p.name] for p in estimated(spec)}
    return found | {name: f(parameters) for name, f in design(spec.name).sums.items()}


def draw_uniform(spec: Model, rng: np.random.Generator, margin: float, n: int) -> dict[str, Float]:
    """Draw parameters uniformly from between the bounds, less a share of them on either side."""
    return {
        p.name: p.bounds[0] + (p.bounds[1] - p.bounds[0]) * rng.uniform(margin, 1 - margin, n) for p in estimated(spec)
    }


def prior_variances(spec: Model) -> dict[str, float]:
    """The variance of each quantity before there are data."""
    drawn = draw_uniform(spec, np.random.default_rng(SEED), 0.0, 100_000)
    return {name: float(x.var()) for name, x in quantities(spec, drawn).items()}


def draw_subject(spec: Model, rng: np.random.Generator, trials: int) -> tuple[dict[str, float], Float]:
    """Draw parameters and trials, rows of rt and response; anew where a trial takes more than 20 s."""
    while True:
        truth = {name: float(x[0]) for name, x in draw_uniform(spec, rng, MARGIN, 1).items()}
        df = pl.simulate(spec, of_trials(spec, truth, trials), n=trials, seed=int(rng.integers(2**31)))
        if df["rt"].max() < LONGEST:
            return truth, df[["rt", "response"]].to_numpy(float)


def build_model(network: Network, observed: Float) -> pm.Model:
    """Return the model with uniform priors over the bounds, and data that can be replaced."""
    with pm.Model() as model:
        data = pm.Data("data", observed)
        free = {p.name: pm.Uniform(p.name, *p.bounds) for p in estimated(network.spec)}
        pl.LANDist("obs", network, *of_trials(network.spec, free, len(observed)).values(), observed=data)
    return model


class Sampler:
    """The posterior of one subject after the other, compiled once."""

    def __init__(self, network: Network, observed: Float) -> None:
        self.model = build_model(network, observed)
        self.spec = network.spec
        self.logp = self.model.logp_dlogp_function(ravel_inputs=True, mode="NUMBA")
        self.logp.set_extra_values({})
        self.density = self.model.compile_logp(mode="NUMBA")
        self.values = [variable.name for variable in self.model.value_vars]

    def draw(self, observed: Float, rng: np.random.Generator) -> tuple[dict[str, Float], Posterior]:
        """Draws of every parameter that is estimated, and what they are made of."""
        self.model.set_data("data", observed)

        def density(x: Float) -> float:
            return float(self.density(dict(zip(self.values, map(np.asarray, x), strict=True))))

        parameters = estimated(self.spec)
        found = sample(density, self.logp, len(parameters), rng)
        rows = rng.choice(len(found.x), DRAWS, p=found.weights)
        share = expit(found.x[rows]).T
        drawn = {p.name: p.bounds[0] + (p.bounds[1] - p.bounds[0]) * x for p, x in zip(parameters, share, strict=True)}
        return drawn, found


def fit(sampler: Sampler, truth: Mapping[str, float], observed: Float, rng: np.random.Generator) -> Json:
    """Draw from one subject's posterior; return a row of figures for each quantity."""
    started, spec = time.perf_counter(), sampler.spec
    posterior, found = sampler.draw(observed, rng)
    inside = np.ones(DRAWS, bool)
    for p in estimated(spec):
        x, free = posterior[p.name], MARGIN * (p.bounds[1] - p.bounds[0])
        inside &= (x > p.bounds[0] + free) & (x < p.bounds[1] - free)
    rows, true = {}, quantities(spec, truth)
    for name, x in quantities(spec, posterior).items():
        rows[name] = {
            "truth": float(true[name]),
            "mean": float(x.mean()),
            "variance": float(x.var()),
            "covered": covers(x, true[name]),
            "matched": covers(x[inside], true[name]) if inside.sum() >= LEAST_DRAWS else None,
        }
    quality = {"k": found.k, "effective": found.effective, "settled": found.settled, "evaluations": len(found.x)}
    return {"quantities": rows, "seconds": time.perf_counter() - started, **quality}


def covers(draws: Float, truth: float) -> bool:
    """Whether the interval of some draws holds the truth."""
    low, high = np.quantile(draws, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return bool(low <= truth <= high)


def share(held: list[bool]) -> Json:
    """A share of subjects and its exact 95 % interval."""
    found = binomtest(sum(held), len(held)).proportion_ci(0.95, "exact")
    return {"share": sum(held) / len(held), "n": len(held), "low": found.low, "high": found.high}


def summarise(fits: list[Json], prior: Mapping[str, float]) -> Json:
    """Summarise each quantity, whose prior variance is given, over subjects."""
    summary = {}
    for name, before in prior.items():
        rows = [each["quantities"][name] for each in fits]
        column = {key: np.array([row[key] for row in rows]) for key in ("truth", "mean", "variance")}
        matched = [row["matched"] for row in rows if row["matched"] is not None]
        summary[name] = {
            "covered": share([row["covered"] for row in rows]),
            "matched": share(matched) if matched else None,
            "r": float(np.corrcoef(column["truth"], column["mean"])[0, 1]),
            "contraction": float(1 - np.median(column["variance"]) / before),
        }
    return summary


def recover(network: Network, subjects: int, trials: int, folder: Path | None) -> Json:
    """Fit all subjects of a model and summarise them."""
    spec, rng = network.spec, np.random.default_rng(SEED)
    drawn = [draw_subject(spec, rng, trials) for _ in range(subjects)]
    file = None if folder is None else folder / f"{spec.name}-{network.version}-{trials}.jsonl"
    fits = [json.loads(line) for line in file.read_text().splitlines()] if file is not None and file.exists() else []
    sampler = Sampler(network, drawn[0][1]) if len(fits) < subjects else None
    for i in range(len(fits), subjects):
        fits.append(fit(sampler, *drawn[i], np.random.default_rng([SEED, i])))
        if file is not None:
            with file.open("a") as lines:
                lines.write(json.dumps(fits[-1]) + "\n")
    return {
        "model": spec.name,
        "version": network.version,
        "subjects": subjects,
        "trials": trials,
        "quantities": summarise(fits, prior_variances(spec)),
        "seconds": sum(each["seconds"] for each in fits),
        "fits": fits,
    }


def verdict(model: str, name: str, each: Json) -> str:
    """Where the coverage of a quantity lies."""
    if name in design(model).combined:
        return "in sums only"
    if each["contraction"] < IDENTIFIABLE:
        return "not identifiable"
    covered = each["covered"]["share"]
    return "below" if covered < BAR[0] else "above" if covered > BAR[1] else "met"


def print_recovery(measured: Json) -> None:
    """Print one line for each quantity of a model."""
    model, fits, rows = measured["model"], measured["fits"], []
    for name, each in measured["quantities"].items():
        covered, matched = each["covered"], each["matched"]
        held = f"{round(covered['share'] * covered['n'])}/{covered['n']}"
        interval = f"{covered['low']:.0%} to {covered['high']:.0%}"
        matched = "" if matched is None else f"{round(matched['share'] * matched['n'])}/{matched['n']}"
        rest = (each[key] for key in ("r", "contraction"))
        rows.append((name, held, interval, matched, *rest, verdict(model, name, each)))
    effective, k = ([each[key] for each in fits] for key in ("effective", "k"))
    open_ = sum(not each["settled"] for each in fits)
    title = (
        f"{model} {measured['version']}: {measured['subjects']} subjects of {measured['trials']:,} trials, "
        f"{measured['seconds']:.0f} s; effective draws {min(effective):.0f} to {max(effective):.0f}, "
        f"k up to {max(k):.2f}; fewer than {ENOUGH:.0f} draws, or k of {TRUSTED} and more: {open_} subjects"
    )
    bar = f"bar: {BAR[0]:.0%} to {BAR[1]:.0%}"
    columns = ["", "covered", "95 %", "matched", "r", "contraction", bar]
    print_table(title, columns, rows)
    if model in DESIGNS:
        print(f"{DESIGNS[model].reason}.")


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--out", dest="json", type=Path, help="the same as --json")
    add_registry_option(parser)
    parser.add_argument("--models", nargs="+", help="default: all with weights")
    parser.add_argument(
        "--fits", type=Path, help="a folder that keeps each fit, so that a run goes on where it stopped"
    )
    parser.add_argument("--subjects", type=int, default=30)
    parser.add_argument("--trials", type=int, default=1_000, help="trials of each subject")
    parser.add_argument("--quick", action="store_true", help="2 subjects of 200 trials: only to see that it runs")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.subjects, arguments.trials = 2, 200
    if arguments.fits is not None:
        arguments.fits.mkdir(parents=True, exist_ok=True)
    folders, measured = trained(arguments.registry), []
    for model in arguments.models or folders:
        if model not in folders:
            print(f"{model}: skipped, it has no weights")
            continue
        network = pl.load_network(folders[model])
        measured.append(recover(network, arguments.subjects, arguments.trials, arguments.fits))
        print_recovery(measured[-1])
    report({"recovery": measured}, arguments.json)


if __name__ == "__main__":
    main()
