"""Agreement with ssm-simulators: our probability of each bin of choice and response time, and its simulated trials.

    python benchmarks/simulators.py [--models ddm ...] [--trials 250000] [--registry FOLDER] [--quick] [--json FILE]
    python benchmarks/simulators.py --labels [--models ornstein ...]

Parameters are uniform over our bounds. The bins of a response have equal probability under our network. What is decided
at the very end is the rest, where a network also shows by how much its density misses an integral of one.
ssm-simulators runs in HSSM's environment. ``--labels`` compares what the networks learn from instead, so it needs no
weights.

Euler steps miss what happens between them. To leading order, a walk that is looked at every h seconds leaves at time
k h as a continuous one does between boundaries that are 0.5826 sqrt(h) further out (Broadie, Glasserman & Kou 1997,
Mathematical Finance 7, 325-349). The response times are spread over half a step to either side of k h, so they are
late by half a step, too. ``corrected`` adds to our probabilities by how much both change the labels. That holds where
the start is many sqrt(h) away from the boundaries, so each parameter set has a step of its own, at most 1 ms, that puts
ten of them in between. Errors of the order of h remain; the labels, corrected, show them without the network's.

Ours and HSSM's `full_ddm` have a starting point of z +- sz relative to the separation. ssm-simulators has two models:
`full_ddm_rv`, which is that one and is compared, and `full_ddm`, whose +- sz is evidence.

A step takes about 14 nanoseconds. 20 parameter sets of 250,000 trials take one to two minutes a model.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from _common import (
    BENCHMARKS,
    Json,
    Worker,
    add_peer_options,
    add_registry_option,
    argument_parser,
    hssm_python,
    print_table,
    report,
    trained,
)
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline

import pymc_lan as pl
from pymc_lan.models.diffusion.catalogue import DIFFUSIONS
from pymc_lan.models.diffusion.closed_labels import log_densities
from pymc_lan.models.model import Model, spread
from pymc_lan.models.parameters import Parameter
from pymc_lan.models.proposals import draw_theta
from pymc_lan.networks.network import Network
from pymc_lan.numerics.passage import NUMPY

Float = NDArray[np.float64]
Theta = Mapping[str, Float]

# zeta(1/2) / sqrt(2 pi): how much further out boundaries seem to be, in square roots of the step.
FURTHER_OUT = 0.5826

BINS = 20
# A bin is expected to hold at least so many trials, or rare responses get fewer bins.
LEAST_COUNT = 100
# How long a trial may last [s]; the simulators answer by the sign of the position then, so we look a little before.
LONGEST, HORIZON = 20.0, 0.995
# Smaller probabilities have no meaningful log ratio.
SMALLEST_P = 1e-3
SIGMAS = 3.0
# How many square roots of a step lie between start and boundary, and the steps [s]. They are powers of two, because
# the simulators sum them up in single precision.
AWAY, STEPS = 10.0, (2.0**-19, 2.0**-10)
# The largest estimated error in log f of a solved label: training asks for a hundredth of it.
TOLERANCE = 1e-2

PANELS, NODES = 400, 8
SEED = 7


class Curve(NamedTuple):
    """Distribution functions of rt - t, by response, in a variable that is even in the logit of a share of the end."""

    onset: float
    last: float
    mass: dict[int, CubicHermiteSpline]

    def at(self, response: int, time: Float) -> Float:
        """The probability of a response by a time [s]."""
        spline = self.mass[response]
        share = np.clip((time - self.onset) / self.last, 1e-300, 1 - 1e-16)
        even = np.log(share / (1 - share))
        return np.where(even < spline.x[0], 0.0, spline(np.clip(even, spline.x[0], spline.x[-1])))

    def inverse(self, response: int, chances: Float) -> Float:
        """The times [s] by which a response has given probabilities."""
        spline = self.mass[response]
        fine = np.linspace(spline.x[0], spline.x[-1], 20 * PANELS)
        even = np.interp(chances, np.maximum.accumulate(spline(fine)), fine)
        return self.onset + self.last / (1 + np.exp(-even))


def integrate(log_density: Callable[[int, Float], Float], onset: float, last: float) -> Curve:
    """Integrate log densities of rt - t, of shape (k,), from `onset` for `last` seconds."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    ends = np.linspace(np.log(1e-8 / last), np.log(1e7), PANELS + 1)
    half = (ends[1] - ends[0]) / 2
    inner = ends[:-1, None] + half * (1 + nodes)

    def density(response: int, even: Float) -> Float:
        share = 1 / (1 + np.exp(-even))
        log_f = log_density(response, onset + last * share.ravel())
        return np.exp(log_f).reshape(even.shape) * last * share * (1 - share)

    mass = {}
    for response in (1, -1):
        pieces = half * density(response, inner) @ weights
        total = np.concatenate([[0.0], np.cumsum(pieces)])
        mass[response] = CubicHermiteSpline(ends, total, density(response, ends))
    return Curve(onset, last, mass)


def network_curves(network: Network, theta: Theta) -> list[Curve]:
    """Distribution functions of a network, one for each parameter set."""
    ends = latest(network.spec, theta)
    curves = []
    for i, end in enumerate(ends):
        row = {name: x[i] for name, x in theta.items()}
        onset = network.spec.earliest(row)

        def log_density(response: int, d: Float, row: dict[str, float] = row) -> Float:
            columns = {name: np.full_like(d, x) for name, x in row.items()}
            return network.likelihood.log_density(NUMPY, row["t"] + d, np.full_like(d, response), columns)

        curves.append(integrate(log_density, onset, end - onset))
    return curves


def label_curves(spec: Model, theta: Theta) -> list[Curve | None]:
    """Distribution functions that networks learn from; None for a parameter set that no solver is accurate for."""
    if not spec.exact:
        return solved_curves(spec, theta)
    curves: list[Curve | None] = []
    for i, end in enumerate(latest(spec, theta)):
        row = {name: x[i : i + 1] for name, x in without_t(theta).items()}

        def log_density(response: int, d: Float, row: dict[str, Float] = row) -> Float:
            upper, lower = log_densities(spec.form, row, d[None])
            return (upper if response > 0 else lower)[0]

        curves.append(integrate(log_density, 0.0, end))
    return curves


def solved_curves(spec: Model, theta: Theta) -> list[Curve | None]:
    """The same by the solver, on whose own grid the distribution functions are."""
    marked = without_t(theta) | {"number": np.arange(theta["a"].size, dtype=float)}
    found = spec.labels.solve(marked, tolerance=TOLERANCE)
    curves: list[Curve | None] = [None] * theta["a"].size
    for row, i in enumerate(found.theta["number"].astype(int)):
        onset = spec.earliest({name: x[i] for name, x in theta.items()})
        t = found.times[row] - onset
        last = t[-1] * (1 + 1e-9)
        even, stretch = np.log(t / (last - t)), t * (last - t) / last
        masses = {1: (found.mass_upper, found.log_upper), -1: (found.mass_lower, found.log_lower)}
        splines = {
            response: CubicHermiteSpline(even, mass[row], np.exp(log_f[row]) * stretch)
            for response, (mass, log_f) in masses.items()
        }
        curves[i] = Curve(onset, last, splines)
    return curves


def latest(spec: Model, theta: Theta) -> Float:
    """When practically everything is decided [s]."""
    return np.broadcast_to(spec.labels.latest(without_t(theta)), theta["a"].shape)


def without_t(theta: Theta) -> dict[str, Float]:
    """All parameters but the one that only shifts the response time."""
    return {name: x for name, x in theta.items() if name != "t"}


def further_out(spec: Model, theta: Theta, distance: Float) -> tuple[Model, dict[str, Float]]:
    """The same process between boundaries that are further out, from the same start."""
    ratio = theta["a"] / (theta["a"] + distance)
    moved = {**theta, "z": 0.5 + (theta["z"] - 0.5) * ratio}
    for each in spec.variability:
        if each.parameter == "z":
            moved[each.spread] = theta[each.spread] * ratio
    if spec.labels.pointwise:
        return spec, moved | {"a": theta["a"] + distance}
    boundary, extra = spec.boundary, Parameter("distance", (0.0, 1.0), "evidence", "how much further out")
    wider = replace(
        spec,
        parameters=(*spec.parameters, extra),
        boundary=lambda time, row: boundary(time, row) + row["distance"],
    )
    return wider, moved | {"distance": distance}


def steps_for(spec: Model, theta: Theta) -> Float:
    """The simulators' steps [s]; NaN where the start is too close to a boundary for the smallest."""
    sz = spread(spec, "z", theta)
    nearest = 2 * theta["a"] * (np.minimum(theta["z"], 1 - theta["z"]) - (0.0 if sz is None else sz))
    step = np.minimum(2 ** np.floor(2 * np.log2(nearest / AWAY)), STEPS[1])
    return np.where(step >= STEPS[0], step, np.nan)


class Compared(NamedTuple):
    """One parameter set: our probabilities as they are and corrected, the labels' corrected, and counts, of all bins.

    The rest comes last.
    """

    raw: Float
    corrected: Float
    label: Float
    counts: Float


def lay_edges(curve: Curve, trials: int, step: float, max_t: float) -> dict[int, Float]:
    """Edges of bins of equal probability in between steps; the first is before everything."""
    edges = {}
    horizon = step * (np.floor(HORIZON * max_t / step) + 0.5)
    for response in (1, -1):
        total = float(curve.at(response, np.array(horizon)))
        n = int(np.clip(total * trials / LEAST_COUNT, 1, BINS))
        inner = curve.inverse(response, total * np.arange(1, n) / n)
        between = step * (np.floor(inner / step) + 0.5)
        edges[response] = np.unique([curve.onset - step, *between[between < horizon], horizon])
    return edges


def compare_set(worker: Worker, options: Json, theta: Json, curves: tuple[Curve, Curve, Curve]) -> Compared:
    """Simulate one parameter set and lay its counts beside the probabilities."""
    ours, label, moved = curves
    step = options["delta_t"]
    edges = lay_edges(ours, options["trials"], step, options["max_t"])
    lists = {str(response): ladder.tolist() for response, ladder in edges.items()}
    found = worker.ask(do="count", **options, theta=theta, edges=lists)
    counts = np.concatenate([found[str(response)] for response in edges]).astype(float)
    raw = np.concatenate([np.diff(ours.at(r, x)) for r, x in edges.items()])
    exact = np.concatenate([np.diff(label.at(r, x)) for r, x in edges.items()])
    target = np.concatenate([np.diff(moved.at(r, x - step / 2)) for r, x in edges.items()])
    expected = (np.clip(p, 1e-12, 1.0) for p in (raw, raw + target - exact, target))
    chances = (np.append(p, max(1 - p.sum(), 0.0)) for p in expected)
    return Compared(*chances, np.append(counts, options["trials"] - counts.sum()))


def figures(chances: list[Float], counts: list[Float], trials: int) -> dict[str, float]:
    """Share of bins within three standard errors, chi2 per bin, largest log ratio, and difference of the rests."""
    p, n = (np.concatenate([x[:-1] for x in each]) for each in (chances, counts))
    error = n - trials * p
    likely = p > SMALLEST_P
    ratio = np.log(np.maximum(n[likely], 0.5) / (trials * p[likely]))
    rest = [x[-1] - y[-1] / trials for x, y in zip(chances, counts, strict=True)]
    return {
        "within": float(np.mean(np.abs(error) <= SIGMAS * np.sqrt(trials * p * (1 - p)) + 0.5)),
        # Where next to nothing is expected, one trial is no more than one too many.
        "chi2": float(np.mean(error**2 / np.maximum(trials * p, 1.0))),
        "log_ratio": float(np.abs(ratio).max()),
        "rest": float(np.abs(rest).max()),
    }


def compare(worker: Worker, spec: Model, network: Network | None, arguments: argparse.Namespace) -> Json:
    """Compare all parameter sets of a model: a network or, without one, the labels."""
    started = time.perf_counter()
    rng = np.random.default_rng(SEED)
    theta = draw_theta(spec, rng, arguments.sets, with_t=True)
    step = steps_for(spec, theta)
    theta, step = {name: x[step > 0] for name, x in theta.items()}, step[step > 0]
    max_t = np.minimum(latest(spec, theta), LONGEST)
    label = label_curves(spec, theta)
    moved = label_curves(*further_out(spec, theta, FURTHER_OUT * np.sqrt(step)))
    ours: list[Curve] | list[Curve | None] = label if network is None else network_curves(network, theta)
    compared, rows = [], []
    for i, (one, two, three) in enumerate(zip(ours, label, moved, strict=True)):
        if one is None or two is None or three is None:
            continue
        row = {name: float(x[i]) for name, x in theta.items()}
        options = {"model": spec.name, "trials": arguments.trials, "seed": SEED + i, "delta_t": step[i]}
        each = compare_set(worker, options | {"max_t": max_t[i]}, row, (one, two, three))
        compared.append(each)
        rows.append({"theta": row, "step": step[i]} | figures([each.corrected], [each.counts], arguments.trials))
    raw, corrected, exact, counts = ([x[i] for x in compared] for i in range(4))
    noise = [rng.multinomial(arguments.trials, p / p.sum()).astype(float) for p in corrected]
    groups = {
        "as it stands": (raw, counts),
        "corrected": (corrected, counts),
        "labels, corrected": (exact, counts),
        "chance alone": (corrected, noise),
    }
    return {
        "model": spec.name,
        "version": "labels" if network is None else network.version,
        "sets": len(compared),
        "left_out": arguments.sets - len(compared),
        "bins": sum(x.counts.size - 1 for x in compared),
        "steps": [float(step.min()), float(np.median(step)), float(step.max())],
        "seconds": time.perf_counter() - started,
        "figures": {name: figures(*each, arguments.trials) for name, each in groups.items()},
        "by_set": rows,
    }


def print_agreement(each: Json, trials: int) -> None:
    """Print the figures of a model, its steps, and the parameter set that agrees least."""
    steps = ", ".join(f"{1e3 * step:.3g}" for step in each["steps"])
    title = (
        f"{each['model']} {each['version']} and ssm-simulators: {each['sets']} parameter sets of {trials:,} trials, "
        f"{each['bins']} bins, {each['seconds']:.0f} s\nsteps (least, median, largest): {steps} ms; left out, without "
        f"a label that is accurate enough or too close to a boundary: {each['left_out']}"
    )
    columns = ["", "bins in 3 sd", "chi2 per bin", f"max log ratio, p > {SMALLEST_P:g}", "max diff. of rest"]
    print_table(title, columns, [(name, *found.values()) for name, found in each["figures"].items()])
    worst = max(each["by_set"], key=lambda row: row["chi2"])
    values = ", ".join(f"{name} {x:.3g}" for name, x in worst["theta"].items())
    print(
        f"largest corrected chi2 per bin of a set: {worst['chi2']:.3g}, step {1e3 * worst['step']:.3g} ms, {values}\n"
    )


def main() -> None:
    parser = argument_parser(__doc__)
    add_peer_options(parser, networks=False)
    add_registry_option(parser)
    parser.add_argument("--models", nargs="+", help="diffusions; default: all")
    parser.add_argument("--labels", action="store_true", help="compare labels, not networks")
    parser.add_argument("--sets", type=int, default=20, help="parameter sets of each model")
    parser.add_argument("--trials", type=int, default=250_000, help="trials of each parameter set")
    parser.add_argument("--quick", action="store_true", help="2 sets of 10,000 trials: only to see that it runs")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.sets, arguments.trials = 2, 10_000
    folders = trained(arguments.registry)
    measured: list[Json] = []
    with Worker(hssm_python(arguments.hssm_env), [str(BENCHMARKS / "_ssms_worker.py")], {}) as worker:
        known: Any = worker.ask(do="models")["models"]
        for model in arguments.models or DIFFUSIONS:
            if model not in known:
                print(f"{model}: skipped, ssm-simulators does not have it")
            elif not arguments.labels and model not in folders:
                print(f"{model}: skipped, it has no weights; --labels compares its labels")
            else:
                network = None if arguments.labels else pl.load_network(folders[model])
                measured.append(compare(worker, pl.get_model(model), network, arguments))
                print_agreement(measured[-1], arguments.trials)
    report({"simulators": measured}, arguments.json)


if __name__ == "__main__":
    main()
