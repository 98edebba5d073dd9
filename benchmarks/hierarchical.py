"""Hierarchical models of real data: how fast they are sampled, where they start, their mode, whether chains converge.

    python benchmarks/hierarchical.py [--part forms large compile start map sample blackjax] [--subjects 148]
                                      [--seeds 3] [--json FILE] [--out FOLDER] [--chains 4]

``forms`` compares `pl.informed` with centred members and with offsets, by nutpie, on four sets of data: effective
draws of group and subject values per CPU second, compilation and preparation included, a process each; medians of
``--seeds`` runs, on a machine that has compiled each model before, as after its first use. ``large`` is
`pl.informed` on all subjects, four chains. ``compile`` is what nutpie takes to compile the informed model and the plain
one, where both have been compiled on the machine before.

What follows is the model of ``pl.initvals``, `pl.fit_map` and plain sampling.

The model is that of ``examples/pavlovian_gonogo.py`` written by hand (``_pavlovian.py``). The mode is that of the form
with offsets; ``--out`` gets a figure of its loss. Chains are those of ``pm.sample()`` with its defaults, from the start
that ``pl.initvals`` finds: as many as there are cores, two at least and four at most; ``--chains 4`` draws on two what
one has on four. ``blackjax`` takes the same draws with ``pl.sample_blackjax``. CPU seconds are told as well: a busy
machine leaves them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm
from _common import ROOT, Json, argument_parser, median, print_table, report
from _pavlovian import build_model, read
from pymc.initial_point import make_initial_point_fn

import pymc_lan as pl

if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds that the mode may take, share of divergences, and R-hat.
BARS = {"map": 60.0, "divergences": 1e-3, "r_hat": 1.01}
# Effective draws per CPU second, fewest of all values, against the better of the other two forms.
SHARE_OF_BEST = 0.8
FORMS = ("informed", "centred", "offsets")
FIGURES = ("cpu_s", "steps", "ess_least", "ess_median", "least_per_s", "median_per_s", "divergences")
SETS = {"cavanagh": 14, "cut_odd": 14, "cut_even": 14, "gonogo": 40}
# CPU seconds of `pl.informed` and of everything, effective draws of group values, shares and R-hats of members.
LARGE = {"prepare_s": 30.0, "cpu_s": 720.0, "group_ess": 400.0, "member_below": 0.99, "member_r_hat": 1.05}
COMPILE = 3.0


def worker(name: str, *arguments: object) -> Json:
    """Run a script beside this one in a process of its own."""
    command = [sys.executable, str(Path(__file__).parent / name), *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: Json = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def runs(data: str, form: str, subjects: int, seeds: int) -> Json:
    """Medians of several runs, after one short run that leaves compiled code on the machine."""
    worker("_form_worker.py", data, form, subjects, 1, 10, 0)
    found = [worker("_form_worker.py", data, form, subjects, 2, 500, seed) for seed in range(1, seeds + 1)]
    return {name: median(found, name) for name in FIGURES}


def forms(seeds: int) -> Json:
    """All forms of all sets, and for each set whether the informed one is as good as the better of the others."""
    rows, figures = [], {}
    for data, subjects in SETS.items():
        found = {form: runs(data, form, subjects, seeds) for form in FORMS}
        rows += [(data, form, *(f"{x[name]:.3g}" for name in FIGURES)) for form, x in found.items()]
        best = max(found[form]["least_per_s"] for form in FORMS[1:])
        figures[data] = ratio = found["informed"]["least_per_s"] / best
        met = "met" if ratio >= SHARE_OF_BEST else "MISSED"
        # At once: the whole takes the better part of an hour.
        print(f"{data}: {ratio:.2f} times the better of centred and offsets (bar {SHARE_OF_BEST}): {met}", flush=True)
    columns = ["data", "form", "CPU s", "steps", "fewest", "median", "fewest / CPU s", "median / CPU s", "divergences"]
    print_table(f"effective draws, two chains of 500 + 500, medians of {seeds} runs", columns, rows)
    return figures


def large(subjects: int) -> Json:
    """`pl.informed` on all subjects, four chains of 500 + 500."""
    found = worker("_form_worker.py", "gonogo", "informed", subjects, 4, 500, 1)
    for name, bar in LARGE.items():
        met = found[name] >= bar if name in ("group_ess", "member_below") else found[name] <= bar
        print(f"{name}: {found[name]:.4g} (bar {bar:g}): {'met' if met else 'MISSED'}")
    print(f"R-hat of group values: {found['group_r_hat']:.4f}: {'met' if found['group_r_hat'] < 1.01 else 'MISSED'}")
    print("members with R-hat of 1.01 and above:", found["above"] or "none")
    return found


def compiling() -> Json:
    """CPU seconds to compile a regression's model and the informed one, each once more than the machine needs."""
    found = {form: [worker("_compile_worker.py", form)["cpu_s"] for _ in range(2)][-1] for form in FORMS[:2]}
    more = found["informed"] - found["centred"]
    met = "met" if more <= COMPILE else "MISSED"
    print(f"compiling: {more:.1f} CPU s more than the plain model (bar {COMPILE:g}): {met}")
    return found


def timed(call: Callable[[], Any]) -> tuple[Any, Json]:
    """Return what a call returns, with its seconds and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, {"s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def start(df: pd.DataFrame) -> Json:
    """The log density at PyMC's own start and at that of `pl.initvals`."""
    model = build_model(df)
    found, seconds = timed(lambda: pl.initvals(model, df))
    logp = model.compile_logp(mode="FAST_COMPILE")
    own, ours = (float(logp(make_initial_point_fn(model=model, overrides=x)(0))) for x in (None, found))
    return {**seconds, "logp_default": own, "logp_initvals": ours}


def mode(df: pd.DataFrame, out: Path) -> Json:
    """The mode by L-BFGS from `pl.initvals`, and a figure of its loss."""
    model = build_model(df, centred=False)
    fit, seconds = timed(lambda: pl.fit_map(model, "lbfgs", 1000, initvals=pl.initvals(model, df), log_every=50))
    plot_history(fit.history, out / "hierarchical_map.png")
    group = {name: np.round(fit.point[name], 3).tolist() for name in ("v_mean", "v_sd", "z_sd", "a_sd", "t_sd")}
    return {**seconds, "steps": len(fit.history), "converged": fit.converged, "logp": fit.logp, **group}


def plot_history(history: pd.DataFrame, path: Path) -> None:
    """Loss above the lowest, and the steepest derivative, at every step."""
    import matplotlib

    matplotlib.use("Agg")  # the figure goes to a file; no display is needed
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 2, figsize=(7.5, 3), layout="constrained")
    above = history["loss"] - history["loss"].min()
    axes[0].semilogy(history["step"], above.where(above > 0), color="#0072B2")
    axes[1].semilogy(history["step"], history["gradient"], color="#0072B2")
    axes[1].axhline(0.05, color="grey", ls="--", lw=1, label="tol")
    axes[0].set(xlabel="step of L-BFGS", ylabel="loss above the lowest [nats]")
    axes[1].set(xlabel="step of L-BFGS", ylabel="steepest derivative")
    axes[1].legend(frameon=False)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    fig.savefig(path, dpi=200)
    plt.close(fig)


def chains(df: pd.DataFrame, draw: Callable[..., Any]) -> Json:
    """Whether chains from the start that we find converge."""
    model = build_model(df)
    initvals = pl.initvals(model, df)
    idata, seconds = timed(lambda: draw(model, initvals))
    summary = az.summary(idata, round_to="none")
    diverging = idata.sample_stats["diverging"].values
    return {
        **seconds,
        "draws": diverging.size,
        "divergences": float(diverging.mean()),
        "quantities": len(summary),
        "r_hat": float(summary["r_hat"].max()),
        "r_hat_above": int((summary["r_hat"] >= BARS["r_hat"]).sum()),
        "ess_bulk": float(summary["ess_bulk"].min()),
        "ess_bulk_median": float(summary["ess_bulk"].median()),
        "n_steps": float(idata.sample_stats["n_steps"].mean()),
    }


def by_pymc(model: pm.Model, initvals: Json, *, chains: int | None) -> Any:
    with model:
        return pm.sample(initvals=initvals, chains=chains, random_seed=1, progressbar=False)


def by_blackjax(model: pm.Model, initvals: Json) -> Any:
    return pl.sample_blackjax(model, initvals=initvals, seed=1)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--part", nargs="+", default=["forms", "large", "compile", "start", "map", "sample"])
    parser.add_argument("--seeds", type=int, default=3, help="runs of each form")
    parser.add_argument("--subjects", type=int, default=148)
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data/pavlovian_gonogo.csv.gz")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder of the figure")
    parser.add_argument("--chains", type=int, help="of pm.sample; default: its own, by the number of cores")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    of_forms = {
        "forms": partial(forms, arguments.seeds),
        "large": partial(large, arguments.subjects),
        "compile": compiling,
    }
    df = read(arguments.data, arguments.subjects)
    parts = {
        "start": partial(start, df),
        "map": partial(mode, df, out=arguments.out),
        "sample": partial(chains, df, draw=partial(by_pymc, chains=arguments.chains)),
        "blackjax": partial(chains, df, draw=by_blackjax),
    }
    figures = {name: (of_forms | parts)[name]() for name in arguments.part}
    for name, row in ((name, figures[name]) for name in parts if name in figures):
        title = f"{name}: {arguments.subjects} subjects, {len(df)} trials"
        print_table(title, ["what", "measured"], row.items())
    if "map" in figures:
        print(f"mode within {BARS['map']:g} s:", "met" if figures["map"]["s"] <= BARS["map"] else "MISSED")
    for row in (figures[name] for name in ("sample", "blackjax") if name in figures):
        met = row["divergences"] <= BARS["divergences"] and row["r_hat"] < BARS["r_hat"]
        print("divergences at most 0.1 % and R-hat below 1.01:", "met" if met else "MISSED")
    report(figures, arguments.json)


if __name__ == "__main__":
    main()
