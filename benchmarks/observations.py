"""What is seen of a trial: mass, probabilities of what was not seen, stop signals, and what omissions cost.

    python benchmarks/observations.py [MODEL ...] [--part mass probabilities stop speed] [--sets 1000]

``mass``: a row for each model, kind of observation and share of guesses: quantiles, over random sets of parameters
uniform on the bounds, of how far the mass of everything that can be seen is from one. It is summed over choices without
times, over times on a grid, and over what lies between limits by a rule of its own, which has Gauss nodes in panels
that lie geometrically from the onset. With a deadline the omission is part of it.

``probabilities``: errors of log P(no response by a deadline) and of log P(choice, time lost), with a deadline and
without, against solutions of the model's equations or, of races in closed form, the sum of their densities; of sets as
in ``corners.py``: uniform, with half of the parameters near an end of their bounds, and with all. P above 1e-4 counts.

``stop``: log P(no response) on a signal, of Wald processes, against SciPy's adaptive quadrature.

``speed``: microseconds of a log density and its gradient at 1,000 trials of ten subjects and two conditions, 40 % of
them omissions, beside the same without a deadline.
"""

from __future__ import annotations

import argparse
import math
import time
import timeit
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import corners
import numpy as np
from corners import DEADLINES, SMALLEST, Truth
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import log_ndtr, ndtr

import pymc_lan as pl
from pymc_lan.data.observation import Observation, Silence, of_choices
from pymc_lan.data.partly_seen import SHORT, Parts
from pymc_lan.distributions.nodes import trial_node
from pymc_lan.models.diffusion.solved_labels import SolvedLabels
from pymc_lan.models.likelihood import Likelihood, mix_lapses
from pymc_lan.models.model import Model
from pymc_lan.numerics.passage import NUMPY

Float = NDArray[np.float64]
KINDS = {
    "choices alone": Parts(alone=True),
    "to 100 ms": Parts(rounded=True, short=True),
    "limits": Parts(truncated=True),
}
LAPSES = (0.0, 0.05)
TURN = 2 * math.pi
# First and last decision time [s] of sums of densities in closed form, and the ends of panels between them.
SPAN = (1e-8, 1e4, 241)
# Nobody's deadline is sooner after the onset than this [s].
EARLIEST = 0.01
PARTS = ("mass", "probabilities", "stop", "speed")
WIDTH, N_SHORT, LIMITS = 0.1, 50, (0.4, 3.0)
NODES, WEIGHTS = np.polynomial.legendre.leggauss(12)


def draw_sets(spec: Any, rng: np.random.Generator, n: int) -> dict[str, Float]:
    """Parameters uniform on their bounds, in their order; starts from 0.01 to 0.99."""
    theta = {p.name: rng.uniform(*p.bounds, n) for p in spec.parameters}
    if "z" in theta:
        theta["z"] = theta["z"].clip(0.01, 0.99)
    if spec.order is not None:
        less, more = spec.order
        theta[more] = np.maximum(theta[more], theta[less])
    return theta


def extras_of(seen: Observation, theta: Mapping[str, Float]) -> dict[str, Float]:
    """What is known of every trial beside the parameters."""
    n = len(next(iter(theta.values())))
    t = theta.get("t", np.zeros(n))
    known = {
        "p_lapse": np.zeros(n),
        "lapse_window": np.full(n, 5.0),
        "deadline": t + 1.0,
        "rt_interval": np.full(n, WIDTH),
        "truncation_low": np.full(n, LIMITS[0]),
        "truncation_high": np.full(n, LIMITS[1]),
    }
    return {name: known[name] for name in seen.extras}


def trials_of(
    kind: str, seen: Observation, extras: Mapping[str, Float], t: Float
) -> Iterator[tuple[Float, Float, Float, Float]]:
    """Times, a response, weights and intervals, (k, sets), over which the density of what can be seen is summed."""
    for code in seen.responses:
        if kind == "choices alone":
            yield np.full((1, t.size), -1.0), code, np.ones((1, t.size)), np.ones((1, t.size))
        elif kind == "to 100 ms":
            rt, width = (np.repeat(x[:, None], t.size, axis=1) for x in _clock())
            yield rt, code, np.ones(rt.shape), width
        else:
            end = np.minimum(LIMITS[1], extras.get("deadline", np.inf))
            inside = np.clip(t + np.geomspace(1e-7, 40, 60)[:, None], LIMITS[0], end)
            edges = np.sort(np.vstack([np.full_like(t, LIMITS[0]), inside, end + 0 * t]), axis=0)
            half = 0.5 * np.diff(edges, axis=0)[:, None]
            rt = (edges[:-1, None] + half * (1 + NODES[:, None])).reshape(-1, t.size)
            yield rt, code, (half * WEIGHTS[:, None]).reshape(-1, t.size), np.ones(rt.shape)
    if seen.silent:
        yield np.full((1, t.size), np.inf), 0.0, np.ones((1, t.size)), np.ones((1, t.size))


def _clock() -> tuple[Float, Float]:
    """Middles and widths of intervals of `WIDTH`, and after some seconds of ever longer ones."""
    edges = np.concatenate([WIDTH * np.arange(N_SHORT + 1), WIDTH * N_SHORT * np.geomspace(1.25, 1e4, 40)])
    return (edges[1:] + edges[:-1]) / 2, np.diff(edges)


def masses(
    likelihood: Likelihood, kind: str, late: bool, theta: Mapping[str, Float], p_lapses: tuple[float, ...]
) -> list[Float]:
    """Mass of all that can be seen, one for each set, with each share of guesses."""
    around = of_choices(likelihood.spec.choices, omissions=late or likelihood.spec.omissions)
    seen = KINDS[kind].around(around)
    extras = extras_of(seen, theta)
    totals: list[Any] = [0.0 for _ in p_lapses]
    recorded = seen.log_recorded(NUMPY, likelihood, extras, theta)
    scales = [0.0 for _ in p_lapses]
    if recorded is not None:
        guess = seen.log_recorded_guess(NUMPY, extras)
        scales = [mix_lapses(NUMPY, recorded, np.full(recorded.shape, p), guess) for p in p_lapses]
    for rt, code, weight, width in trials_of(kind, seen, extras, theta.get("t", np.zeros_like(extras["p_lapse"]))):
        response = np.full(rt.shape[-1], code)
        for times, share, interval in zip(rt, weight, width, strict=True):
            if "rt_interval" in extras:
                short = bool(interval[0] < SHORT * (1 + 1e-9))
                seen = replace(KINDS[kind], short=short).around(around)
                extras["rt_interval"] = interval
            own = seen.log_trial(NUMPY, likelihood, times, response, extras, theta)
            guess = seen.log_guess(NUMPY, times, extras, response)
            possible = seen.possible(times, response, extras)
            for i, p in enumerate(p_lapses):
                mixed = mix_lapses(NUMPY, own, np.full(own.shape, p), guess) - scales[i]
                totals[i] = totals[i] + share * np.exp(np.where(possible, mixed, -np.inf))
    return totals


def models(names: list[str]) -> Iterator[Likelihood]:
    """Likelihoods of all models whose trials have times, or of those that are named."""
    table = pl.list_models()
    for name in names or [each for each, default in zip(table["model"], table["default"], strict=True) if default]:
        spec = pl.get_model(name)
        if spec.times:
            yield Likelihood(spec) if spec.views is None else pl.load_network(name).likelihood


def report_mass(names: list[str], sets: int) -> None:
    """Print the table of masses."""
    print(f"{'model':22s} {'seen':15s} {'deadline':9s} {'guesses':8s} {'median':9s} {'p99':9s} largest")
    for likelihood in models(names):
        theta = draw_sets(likelihood.spec, np.random.default_rng(1), sets)
        for late in (False, True):
            if late and likelihood.spec.omissions:
                continue
            own = replace(likelihood, silence=of_choices((), omissions=late).silence)
            for kind in KINDS:
                with np.errstate(all="ignore"):
                    found = masses(own, kind, late, theta, LAPSES)
                for p_lapse, mass in zip(LAPSES, found, strict=True):
                    a, b, c = np.quantile(np.abs(mass - 1), (0.5, 0.99, 1.0))
                    row = f"{likelihood.spec.name:22s} {kind:15s} {late!s:9s} {p_lapse:<8g} {a:<9.1g} {b:<9.1g} {c:.1g}"
                    print(row, flush=True)


def truth_of(spec: Model, rows: list[dict[str, float]]) -> Truth | None:
    """By set, choice and time the probabilities of what happened; None where they are not known.

    Densities in closed form are summed by Gauss rules in panels of equal ratio, whose ends are the times.
    """
    if spec.exact is None:
        return corners.solved(spec, rows) if isinstance(spec.labels, SolvedLabels) else None
    if spec.order is not None:
        less, more = spec.order
        rows = [row | {more: max(row[more], row[less])} for row in rows]
    sets, ends = corners.together(rows), np.geomspace(*SPAN)
    half = np.diff(np.log(ends))[:, None] / 2
    d = np.exp(np.log(ends[:-1, None]) + half * (1 + NODES))
    log_f = np.stack([log_densities(spec, sets, d.ravel(), code).reshape(-1, *d.shape) for code in spec.choices])
    steps = (np.exp(log_f) * d * half * WEIGHTS).sum(axis=-1)
    # What is left is summed from the end, so that it is right where it is small; what never ends is left as well.
    never = 1 - steps.sum(axis=(0, 2))
    left = np.cumsum(steps.sum(axis=0)[:, ::-1], axis=1)[:, ::-1] - steps.sum(axis=0)
    left = left + np.where(never > 1e-8, never, 0.0)[:, None]
    times = np.broadcast_to(ends[1:], left.shape)
    return Truth(sets, times, np.ones(times.shape), left, np.zeros(steps.shape), np.cumsum(steps, axis=2))


def log_densities(spec: Model, sets: Mapping[str, Float], d: Float, code: float) -> Float:
    """Log densities in closed form, of shape (sets, times); from labels, which know the first millisecond, too."""
    n = len(next(iter(sets.values())))
    if spec.labels is None:
        every = {name: x[:, None] for name, x in sets.items()} | {"t": np.zeros((n, 1))}
        return np.asarray(Likelihood(spec).log_density(NUMPY, d + np.zeros((n, 1)), 0.0 * d + code, every))
    which, times = np.repeat(np.arange(n), d.size), np.tile(d, n)
    found = spec.labels.at(dict(sets), which, times, np.full(times.size, float(code))).reshape(n, d.size)
    return np.where(np.isnan(found), -np.inf, found)


def errors_of(likelihood: Likelihood, truth: Truth) -> dict[str, Float]:
    """Errors of logs of probabilities above `SMALLEST`, by what was not seen."""
    spec, found = likelihood.spec, {}
    some = slice(None, None, max(1, truth.d.shape[1] // DEADLINES))
    d = truth.d[:, some]
    theta = {name: np.broadcast_to(x[:, None], d.shape) for name, x in truth.sets.items()} | {"t": np.ones(d.shape)}
    own = replace(likelihood, silence=Silence.OMISSION)

    def note(name: str, log_p: Float, p: Float) -> None:
        off = np.abs(log_p - np.log(np.maximum(p, 1e-300)))[(p > SMALLEST) & (d[:, -p.shape[1] :] > EARLIEST)]
        found[name] = np.concatenate([found.get(name, np.zeros(0)), off])

    if not spec.omissions:
        note("no response", own.log_none(NUMPY, 1 + d, theta), truth.left[:, some])
    for code, done in zip(spec.choices, truth.done, strict=True):
        response = np.full(d.shape, float(code))
        note("choice, in time", likelihood.log_mass(NUMPY, 0.0 * d, 1 + d, response, theta), done[:, some])
        first = {name: x[:, :1] for name, x in theta.items()}
        none, ends = np.zeros((len(d), 1)), np.full((len(d), 1), np.inf)
        note("choice", likelihood.log_mass(NUMPY, none, ends, response[:, :1], first), done[:, -1:])
    return found


def report_probabilities(names: list[str], sets: int) -> None:
    """Print the table of errors of logs."""
    print(f"{'model':22s} {'sets':9s} {'log P of':16s} {'mean':9s} {'p99':9s} {'largest':9s} n")
    for likelihood in models(names):
        for number, (kind, share) in enumerate(corners.KINDS.items()):
            rows = corners.draw_sets(likelihood.spec, np.random.default_rng([1, number]), sets, share)
            with np.errstate(all="ignore"):
                truth = truth_of(likelihood.spec, rows)
                found = {} if truth is None else errors_of(likelihood, truth)
            for what, off in found.items():
                shown = " ".join(f"{x:<9.1g}" for x in (off.mean(), np.quantile(off, 0.99), off.max()))
                print(f"{likelihood.spec.name:22s} {kind:9s} {what:16s} {shown} {off.size}", flush=True)


class Wald(NamedTuple):
    """A Wald process: drift, threshold, and when it begins [s]."""

    v: float
    a: float
    begins: float

    def density(self, time: float) -> float:
        """Of finishing at a time."""
        d = time - self.begins
        return 0.0 if d <= 0 else self.a * math.exp(-((self.a - self.v * d) ** 2) / (2 * d)) / math.sqrt(TURN * d**3)

    def survivor(self, time: float) -> float:
        """Probability of not having finished."""
        d = max(time - self.begins, 1e-12)
        ahead, behind = ((self.v * d - x) / math.sqrt(d) for x in (self.a, -self.a))
        return float(ndtr(-ahead) - math.exp(2 * self.v * self.a + log_ndtr(-behind)))


def stopped(go: Wald, stop: Wald) -> float:
    """Probability that the stop process finishes first."""
    mean, sd = stop.a / stop.v, math.sqrt(stop.a / stop.v**3)
    begin, *middle, end = (stop.begins + x for x in (0.0, mean / 4, mean, mean + 3 * sd, mean + 80 * sd))
    options: dict[str, Any] = {"points": middle, "limit": 400, "epsabs": 1e-14, "epsrel": 1e-11}
    return float(quad(lambda x: stop.density(x) * go.survivor(x), begin, end, **options)[0])


def report_stop(sets: int) -> None:
    """Print how far the log probability of a stop is from adaptive quadrature."""
    rng, off = np.random.default_rng(1), []
    for _ in range(sets):
        go = Wald(*rng.uniform([1, 0.5, 0.1], [5, 2, 0.4]))
        v, a, delay, ssd = rng.uniform([2, 0.5, 0.02, 0.05], [8, 1.5, 0.15, 0.5])
        first, second = pl.ShiftedWald.dist(*go), pl.ShiftedWald.dist(v, a, delay)
        node: Any = trial_node(pl.StopSignal.dist(go=first, stop=second, ssd=ssd, shape=(1, 2)))
        theta = {"v": go.v, "a": go.a, "t": go.begins, "stop_v": v, "stop_a": a, "stop_t": delay}
        theta |= {"ssd": ssd, "trigger_failure": 0.0}
        known = {name: np.array([theta[name]]) for name in node.op.spec.names}
        log_p = Likelihood(node.op.spec, silence=Silence.OMISSION).log_none(NUMPY, np.array([np.inf]), known)[0]
        off.append(abs(float(log_p) - math.log(stopped(go, Wald(v, a, ssd + delay)))))
    print(f"log P(stopped), {sets} sets: median {np.median(off):.1g}, largest {max(off):.1g}")


def report_speed() -> None:
    """Print what a log density and its gradient cost, with omissions and without."""
    import pymc as pm

    n, subject, cue = 1000, np.repeat(np.arange(10), 100), np.tile([0, 1], 500)
    df = pl.simulate("ddm", {"v": 0.5 + 0.5 * cue, "a": 1.0, "z": 0.5, "t": 0.3}, seed=1)
    end = float(df["rt"].quantile(0.6))
    late, regressor = df.mask(df["rt"] > end), np.linspace(-1, 1, n)
    cases: dict[str, tuple[Any, bool, dict[str, Any]]] = {
        "every response": (df, True, {"deadline": None}),
        "omissions": (late, True, {"deadline": end}),
        "omissions, a drift of its own": (late, False, {"deadline": end}),
        "truncation": (df, True, {"truncation": (0.2, None)}),
    }
    first = None
    for name, (data, shared, arguments) in cases.items():
        with pm.Model() as model, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            v, a = pm.Normal("v", 0, 2, shape=(10, 2)), pm.HalfNormal("a", 2, shape=10)
            drift = v[:, 0][subject] + v[:, 1][subject] * (cue if shared else regressor)
            pl.DDM("obs", drift, a[subject], 0.5, 0.3, observed=data, **arguments)
        function = model.logp_dlogp_function(ravel_inputs=True)
        function.set_extra_values({})
        x = np.concatenate([np.full(20, 0.5), np.full(10, 0.05)])
        function(x)
        taken = min(timeit.repeat(partial(function, x), number=5, repeat=15, timer=time.process_time)) / 5
        first = taken if first is None else first
        print(f"{name:30s} {1e6 * taken:8.0f} us, {taken / first:.2f} times", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument(
        "--sets", type=int, default=1000, help="of each kind; a tenth of them where they are solved for"
    )
    given = parser.parse_args()
    if "mass" in given.part:
        report_mass(given.models, given.sets)
    if "probabilities" in given.part:
        report_probabilities(given.models, max(1, given.sets // 10))
    if "stop" in given.part:
        report_stop(max(1, given.sets // 10))
    if "speed" in given.part:
        report_speed()


if __name__ == "__main__":
    main()
