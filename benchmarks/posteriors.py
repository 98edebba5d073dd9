"""Posteriors of many subjects by `pl.posteriors`: which share needs no NUTS, how long it takes, and how right it is.

    python benchmarks/posteriors.py [--cases ddm angle ...] [--subjects 1000] [--trials 50 200 500] [--against 50]

Parameters of each subject are drawn from the prior within the network's bounds, and trials from them. CPU seconds are
those of the whole call, building the models and compiling among them. ``--against`` compares so many ddm subjects with
NUTS: differences of means in posterior standard deviations, and of standard deviations in per cent, root mean square
over subjects and parameters; and what `pm.sample` takes for a subject by a model that was compiled once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
from _common import Json, argument_parser, print_table, report

import pymc_lan as pl

SEED = 2026
DEADLINE = 1.5
# Draws of NUTS that weighted moments are compared with, by chain, and draws of those.
NUTS, CHAINS, WEIGHED = 5000, 4, 4000


def _plain(a: float = 1.1) -> dict[str, Any]:
    return {
        "v": pm.Normal("v", 0.8, 1),
        "a": pm.LogNormal("a", np.log(a), 0.3),
        "z": pm.Beta("z", 8, 8),
        "t": pm.Gamma("t", mu=0.3, sigma=0.1),
    }


def ddm(df: Any) -> pm.Model:
    """Four parameters."""
    with pm.Model() as model:
        pl.DDM("obs", **_plain(), observed=df)
    return model


def angle(df: Any) -> pm.Model:
    """Boundaries that close."""
    with pm.Model() as model:
        theta = pm.TruncatedNormal("theta", 0.3, 0.3, lower=-0.1, upper=1.3)
        pl.Angle("obs", **_plain(1.3), theta=theta, observed=df)
    return model


def full_ddm(df: Any) -> pm.Model:
    """All that varies across trials."""
    with pm.Model() as model:
        theta = {
            "v": pm.Normal("v", 0.8, 1),
            "a": pm.LogNormal("a", np.log(1.1), 0.3),
            "z": pm.TruncatedNormal("z", 0.5, 0.08, lower=0.3, upper=0.7),
            "t": pm.TruncatedNormal("t", 0.45, 0.1, lower=0.25, upper=2.25),
            "sz": pm.Uniform("sz", 0.001, 0.2),
            "sv": pm.TruncatedNormal("sv", 0, 0.7, lower=0.001, upper=2),
            "st": pm.Uniform("st", 0.001, 0.25),
        }
        pl.FullDDM("obs", **theta, observed=df)
    return model


def lba3(df: Any) -> pm.Model:
    """Three accumulators, in closed form; their scale is that of the noise."""
    with pm.Model() as model:
        drifts = {f"v{i}": pm.TruncatedNormal(f"v{i}", 0.5, 0.25, lower=0, upper=1.1) for i in range(3)}
        b = pm.TruncatedNormal("b", 0.5, 0.15, lower=0.2, upper=1)
        A = pm.Deterministic("A", b * pm.Beta("share", 2, 2))
        pl.LBA3("obs", A=A, b=b, **drifts, t=pm.Gamma("t", mu=0.3, sigma=0.1), observed=df)
    return model


def gonogo(df: Any) -> pm.Model:
    """Half no-go trials, a response window."""
    with pm.Model() as model:
        pl.GoNoGoDDM("obs", **_plain(), trial_type="trial_type", deadline=DEADLINE, observed=df)
    return model


# What builds a model, and the model of its parameters' bounds.
CASES: dict[str, tuple[Callable[[Any], pm.Model], str]] = {
    "ddm": (ddm, "ddm"),
    "angle": (angle, "angle"),
    "full_ddm": (full_ddm, "full_ddm"),
    "lba3": (lba3, "lba3"),
    "gonogo": (gonogo, "ddm"),
}


def template(name: str, trials: int) -> pd.DataFrame:
    """A table that a model can be built of."""
    df = pd.DataFrame({"rt": np.ones(trials), "response": np.ones(trials)})
    return df.assign(trial_type=np.resize(["go", "no-go"], trials)) if name == "gonogo" else df


def simulate(name: str, subjects: int, trials: int, seed: int = SEED) -> pd.DataFrame:
    """Trials of subjects from the prior, within the bounds."""
    build, model_name = CASES[name]
    table = template(name, trials)
    model, bounds = build(table), {p.name: p.bounds for p in pl.get_model(model_name).parameters}
    draw = dict(zip(bounds, pm.draw([model[k] for k in bounds], draws=8 * subjects, random_seed=seed), strict=True))
    inside = np.all([(x > bounds[k][0]) & (x < bounds[k][1]) for k, x in draw.items()], axis=0)
    theta = {k: np.repeat(x[inside][:subjects], trials) for k, x in draw.items()}
    if name == "gonogo":
        theta["v"] *= np.tile(np.where(table["trial_type"] == "go", 1, -1), subjects)
    tables = pl.simulate(model_name, theta, seed=seed).assign(subject=np.repeat(np.arange(subjects), trials))
    if name == "gonogo":
        tables["trial_type"] = np.tile(table["trial_type"], subjects)
        tables["rt"] = tables["rt"].where((tables["response"] > 0) & (tables["rt"] < DEADLINE))
        tables = tables.drop(columns="response")
    return tables


def share(name: str, subjects: int, trials: int) -> Json:
    """What `pl.posteriors` comes to without NUTS."""
    df = simulate(name, subjects, trials)
    cpu, wall = time.process_time(), time.perf_counter()
    found = pl.posteriors(CASES[name][0], df, seed=1, fallback=None)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    verdicts = found["verdicts"].to_dataset().to_dataframe()
    steps = verdicts[verdicts["right"]]["step"].value_counts() / subjects
    return {
        "case": name,
        "subjects": subjects,
        "trials": trials,
        "right": float(verdicts["right"].mean()),
        "laplace": float(steps.get("Laplace approximation", 0)),
        "effective": verdicts["effective"].quantile([0.5, 0.05]).tolist(),
        "cpu": cpu,
        "wall": wall,
    }


def against_nuts(subjects: int, trials: int) -> Json:
    """Weighted moments against NUTS, of the same ddm subjects."""
    import nutpie

    df = simulate("ddm", subjects, trials, SEED + 1)
    cpu = time.process_time()
    found = pl.posteriors(ddm, df, draws=WEIGHED, seed=1, fallback=None)
    cpu = time.process_time() - cpu
    weighted, right = found["weighted_posterior"], found["verdicts"]["right"].to_numpy()
    with pm.Model() as model:
        data = pm.Data("data", pl.as_observed(df[df["subject"] == 0]))
        pl.DDM("obs", **_plain(), observed=data)
    compiled = nutpie.compile_pymc_model(model)
    off, ratio, seconds = [], [], []
    for i in np.flatnonzero(right):
        one = compiled.with_data(data=np.asarray(pl.as_observed(df[df["subject"] == i])))
        start = time.process_time()
        nutpie.sample(one, draws=1000, tune=1000, chains=4, cores=1, seed=1, progress_bar=False)
        seconds.append(time.process_time() - start)
        chains = nutpie.sample(
            one, draws=NUTS, tune=1000, chains=CHAINS, cores=2, seed=2, target_accept=0.9, progress_bar=False
        )
        w = np.exp(weighted["log_weight"].to_numpy()[0, :, i])
        for name in ("v", "a", "z", "t"):
            x, y = weighted[name].to_numpy()[0, :, i], chains.posterior[name].to_numpy()
            mean = w @ x
            off.append((mean - y.mean()) / y.std())
            ratio.append(np.sqrt(w @ (x - mean) ** 2) / y.std() - 1)
    rms = [float(np.sqrt(np.mean(np.square(x)))) for x in (off, ratio)]
    each = cpu / subjects * 1000 / WEIGHED
    return {"subjects": int(right.sum()), "means": rms[0], "sds": rms[1], "nuts": float(np.mean(seconds)), "each": each}


def main() -> None:
    """Run and print."""
    parser = argument_parser(__doc__)
    parser.add_argument("--cases", nargs="*", choices=[*CASES], default=[*CASES])
    parser.add_argument("--subjects", type=int, default=1000)
    parser.add_argument("--trials", type=int, nargs="+", default=[50, 200, 500])
    parser.add_argument("--against", type=int, default=50)
    options = parser.parse_args()
    # The others at the middle one alone.
    middle = sorted(options.trials)[len(options.trials) // 2]
    cells = [(name, n) for name in options.cases for n in (options.trials if name == "ddm" else [middle])]
    shares = [share(name, options.subjects, n) for name, n in cells]
    columns = ("case", "trials", "right before NUTS", "by Laplace", "effective, median / 5 %", "CPU s", "s")
    rows = []
    for x in shares:
        effective = "{:.2f} / {:.2f}".format(*x["effective"])
        row = (x["case"], x["trials"], f"{x['right']:.4f}", f"{x['laplace']:.3f}", effective)
        rows.append((*row, f"{x['cpu']:.1f}", f"{x['wall']:.1f}"))
    print_table(f"{options.subjects} subjects, 1,000 draws each", columns, rows)
    figures: Json = {"shares": shares}
    if options.against:
        figures["nuts"] = x = against_nuts(options.against, middle)
        columns = ("subjects", "means [sd]", "sds", "CPU s of NUTS a subject", "of pl.posteriors, 1,000 draws")
        row = (x["subjects"], f"{x['means']:.3f}", f"{100 * x['sds']:.1f} %", f"{x['nuts']:.2f}", f"{x['each']:.3f}")
        print_table(f"Against NUTS, ddm of {middle} trials", columns, [row])
    report(figures, options.json)


if __name__ == "__main__":
    main()
