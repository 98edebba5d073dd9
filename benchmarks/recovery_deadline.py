"""Are parameters recovered where much of the time is not seen: 40 % of trials past a deadline, and stop signals.

    python benchmarks/recovery_deadline.py [CASE ...] [--sets 150] [--trials 250] [--folder FOLDER]

Truths are drawn from the prior, which lies within the model's bounds, and trials by its simulator. The deadline of a
data set is its own quantile of response times: the last response that is seen. (So what is seen has the likelihood that
is fitted, censored of the second type; a quantile of the model's would tell of the truth.) Posteriors are weighted
draws of `pl.posteriors`, by NUTS where nothing else is right.

``held`` is the share of central 90 % intervals that hold the truth, over all parameters and of each, with the standard
error of the share over data sets; ``off`` is the mean of (posterior mean - truth) over the posterior's standard
deviation. ``left out`` is the same where late trials are left out and no deadline is given. Of stop signals a quarter
of the trials has one, at one of five delays, and 1 s is the end of the response window; there the answer beside it is
that of trigger failures left out. With ``--folder`` there is a line of JSON for each data set, and a run that was
stopped goes on.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pymc as pm
from _common import Json, argument_parser, print_table, report
from numpy.typing import NDArray

import pymc_lan as pl

Float = NDArray[np.float64]
SEED = 26
# Of the trials of a data set that are seen, and the interval's share.
SEEN, COVERAGE = 0.6, 0.9
BAR = (0.86, 0.94)
BATCH, DRAWS = 75, 2000
DELAYS, SIGNALS, WINDOW = (0.1, 0.18, 0.26, 0.34, 0.42), 0.25, 1.0


def normal(mean: float, sd: float, low: float, high: float) -> Callable[[str], Any]:
    """A prior of a normal distribution between two ends."""
    return lambda name: pm.TruncatedNormal(name, mean, sd, lower=low, upper=high)


DRIFT, SHIFT = normal(0.8, 1.0, -2.4, 2.4), normal(0.3, 0.08, 0.1, 0.6)
START = normal(0.5, 0.08, 0.25, 0.75)
SMALL, RATE = normal(0.6, 0.2, 0.05, 1.05), normal(1.3, 0.5, 0.05, 2.4)


class Case(NamedTuple):
    """A model with a prior of each parameter, in the order of the model.

    Parameters
    ----------
    model : str
    priors : mapping of str to callable
    """

    model: str
    priors: Mapping[str, Callable[[str], Any]]

    def simulate(self, truth: Mapping[str, Float], trials: int, seed: int) -> list[pd.DataFrame]:
        """Trials of every data set, empty after its deadline, which is a column."""
        theta = {name: np.repeat(x, trials) for name, x in truth.items()}
        df = pl.simulate(self.model, theta, seed=seed)
        made = []
        for start in range(0, len(df), trials):
            one = df.iloc[start : start + trials].reset_index(drop=True)
            end = np.sort(one["rt"])[int(SEEN * trials) - 1]
            made.append(one.mask(one["rt"] > end).assign(deadline=end))
        return made

    def build(self, df: pd.DataFrame, *, whole: bool = True) -> pm.Model:
        """A model of one table; of the trials that have a response alone where it is not whole."""
        with pm.Model() as model:
            theta = {name: prior(name) for name, prior in self.priors.items()}
            seen = df if whole else df.dropna(subset="rt").drop(columns="deadline")
            pl.LANDist("obs", self.model, **theta, observed=seen)
        return model


class Stop(Case):
    """A race of two choices that a signal may stop."""

    def simulate(self, truth: Mapping[str, Float], trials: int, seed: int) -> list[pd.DataFrame]:
        """Trials of every data set, a quarter of them with a signal."""
        ssd = np.full(trials, np.nan)
        ssd[: int(SIGNALS * trials)] = np.resize(DELAYS, int(SIGNALS * trials))
        made = []
        for i in range(len(truth["b"])):
            drawn = self._trials({name: x[i] for name, x in truth.items()}, ssd)
            rt, response = pm.draw(drawn(pl.StopSignal.dist), random_seed=seed + i).T
            rt = np.where(np.isinf(rt), np.nan, rt)
            table = {"rt": rt, "response": np.where(np.isnan(rt), np.nan, response), "ssd": ssd}
            made.append(pd.DataFrame(table))
        return made

    def build(self, df: pd.DataFrame, *, whole: bool = True) -> pm.Model:
        """A model of one table; without trigger failures where it is not whole."""
        with pm.Model() as model:
            theta = {name: prior(name) for name, prior in self.priors.items() if whole or name != "failure"}
            self._trials({"failure": 0.0} | theta, "ssd")(partial(pl.StopSignal, "obs", observed=df))
        return model

    def _trials(self, theta: Mapping[str, Any], ssd: Any) -> Callable[[Any], Any]:
        go = pl.RDM.dist(0.0, theta["b"], [theta["v0"], theta["v1"]], theta["t"])
        stop = pl.ShiftedWald.dist(theta["stop_v"], 1.0, 0.05)
        return lambda make: make(go=go, stop=stop, ssd=ssd, trigger_failure=theta["failure"], deadline=WINDOW)


DIFFUSION = {"v": DRIFT, "a": normal(1.2, 0.3, 0.5, 2.4), "z": START, "t": SHIFT}
CASES: dict[str, Case] = {
    "ddm": Case("ddm", DIFFUSION),
    "angle": Case("angle", DIFFUSION | {"theta": normal(0.3, 0.25, 0.0, 1.2)}),
    "weibull": Case("weibull", DIFFUSION | {"alpha": normal(2.0, 1.0, 0.5, 4.8), "beta": normal(2.5, 1.2, 0.5, 6.8)}),
    "lba3": Case(
        "lba3",
        {"A": normal(0.25, 0.1, 0.02, 0.4), "b": normal(0.6, 0.12, 0.4, 1.0), "v0": SMALL, "v1": SMALL, "v2": SMALL}
        | {"t": SHIFT},
    ),
    "rdm3": Case(
        "rdm3",
        {"A": normal(0.3, 0.15, 0.02, 0.6), "b": normal(1.3, 0.4, 0.6, 2.9), "v0": RATE, "v1": RATE, "v2": RATE}
        | {"t": SHIFT},
    ),
    "stop signal": Stop(
        "stop_signal",
        {"b": normal(1.3, 0.3, 0.6, 2.5), "v0": normal(3.0, 1.0, 0.3, 6.0), "v1": normal(1.5, 0.7, 0.1, 4.0)}
        | {"t": normal(0.2, 0.04, 0.08, 0.35), "stop_v": normal(5.0, 1.0, 2.0, 9.0)}
        | {"failure": lambda name: pm.Beta(name, 1.5, 9)},
    ),
}


def truths(case: Case, sets: int) -> dict[str, Float]:
    """Draws of the prior."""
    with pm.Model():
        drawn = pm.draw([prior(name) for name, prior in case.priors.items()], draws=sets, random_seed=SEED)
    return dict(zip(case.priors, drawn, strict=True))


def fit(case: Case, tables: list[pd.DataFrame], numbers: list[int], *, whole: bool) -> list[Json]:
    """For each data set the moments and the central interval of every parameter."""
    df = pd.concat([table.assign(subject=i) for i, table in zip(numbers, tables, strict=True)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        build = partial(case.build, whole=whole)
        found = pl.posteriors(build, df, draws=DRAWS, seed=SEED, fallback="nuts" if whole else None, progressbar=False)
    weighted, verdicts = found["weighted_posterior"].to_dataset(), found["verdicts"].to_dataset()
    lines = []
    for i in numbers:
        one = weighted.sel(subject=i)
        weight = np.exp(one["log_weight"].to_numpy().ravel())
        line: Json = {"set": i, "right": bool(verdicts["right"].sel(subject=i))}
        line["step"] = str(verdicts["step"].sel(subject=i).to_numpy())
        for name in (each for each in case.priors if each in one):
            line[name] = _moments(one[name].to_numpy().ravel(), weight / weight.sum())
        lines.append(line)
    return lines


def _moments(x: Float, weight: Float) -> list[float]:
    order, mean = np.argsort(x), float(weight @ x)
    cumulated = np.cumsum(weight[order]) - weight[order] / 2
    low, high = np.interp([(1 - COVERAGE) / 2, (1 + COVERAGE) / 2], cumulated, x[order])
    return [mean, float(np.sqrt(weight @ (x - mean) ** 2)), float(low), float(high)]


def run(name: str, given: Any, *, whole: bool) -> list[Json]:
    """All data sets of a case, those in the folder among them."""
    case = CASES[name]
    truth = truths(case, given.sets)
    path = (
        given.folder and given.folder / f"{name.replace(' ', '_')}_{given.trials}_{'whole' if whole else 'part'}.jsonl"
    )
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path and path.exists() else []
    done = {line["set"] for line in lines}
    left = [i for i in range(given.sets) if i not in done]
    for start in range(0, len(left), BATCH):
        numbers = left[start : start + BATCH]
        cpu = time.process_time()
        tables = [
            case.simulate({k: x[i : i + 1] for k, x in truth.items()}, given.trials, SEED + 1000 * i)[0]
            for i in numbers
        ]
        made = fit(case, tables, numbers, whole=whole)
        each = (time.process_time() - cpu) / len(numbers)
        made = [line | {"cpu": each, "truth": {k: float(x[line["set"]]) for k, x in truth.items()}} for line in made]
        lines += made
        if path:
            with path.open("a") as file:
                file.writelines(json.dumps(line) + "\n" for line in made)
    return [line for line in lines if line["set"] < given.sets]


def summary(name: str, lines: list[Json]) -> Json:
    """Coverage of all parameters and of each, and how far means are off."""
    names = [each for each in CASES[name].priors if each in lines[0]]
    truth = np.array([[line["truth"][k] for k in names] for line in lines])
    mean, sd, low, high = np.moveaxis(np.array([[line[k] for k in names] for line in lines]), -1, 0)
    held = (low <= truth) & (truth <= high)
    return {
        "sets": len(lines),
        "right": float(np.mean([line["right"] for line in lines])),
        "nuts": int(sum(line["step"] == "NUTS" for line in lines)),
        "held": float(held.mean()),
        "error": float(held.mean(axis=1).std() / np.sqrt(len(lines))),
        "each": dict(zip(names, held.mean(axis=0).tolist(), strict=True)),
        "off": dict(zip(names, ((mean - truth) / sd).mean(axis=0).tolist(), strict=True)),
        "cpu": float(sum(line["cpu"] for line in lines)),
    }


def main() -> None:
    """Run and print."""
    parser = argument_parser(__doc__)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], default=[*CASES])
    parser.add_argument("--sets", type=int, default=150)
    parser.add_argument("--trials", type=int, default=250)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.folder:
        given.folder.mkdir(parents=True, exist_ok=True)
    figures, rows = {}, []
    for name in given.cases:
        for whole, what in ((True, "all"), (False, "left out")):
            x = figures[f"{name}, {what}"] = summary(name, run(name, given, whole=whole))
            each = ", ".join(f"{k} {v:.2f}" for k, v in x["each"].items())
            off = ", ".join(f"{k} {v:+.2f}" for k, v in x["off"].items())
            row = (name, what, x["sets"], f"{x['held']:.3f} +- {x['error']:.3f}", each, off)
            rows.append((*row, f"{x['right']:.2f}", x["nuts"], f"{x['cpu']:.0f}"))
            print(*rows[-1], flush=True)
    columns = ("case", "trials", "sets", "held", "of each", "off", "right", "NUTS", "CPU s")
    print_table(f"{given.trials} trials, 90 % intervals (bar {BAR[0]} to {BAR[1]})", columns, rows)
    report(figures, given.json)


if __name__ == "__main__":
    main()
