"""Simulated studies: do regressions converge, and do their intervals hold what they should?

    python benchmarks/studies.py FOLDER [--sets 20] [--cells 0 1 2 3 4 5 6 7] [--chains 4] [--draws 500]

Every data set has its truth from the priors: a study of 20 subjects is drawn by ``pm.sample_prior_predictive``, fitted
by `pl.regression` and compared with what it was drawn from. Eight cells: 40 or 400 trials a subject, or from 5 to 500;
with correlated effects or without; over ddm, angle and the go/no-go ddm. Each fit is a line of
``FOLDER/studies.jsonl``; what is there is not fitted again, so that a run of hours can be stopped. The last table is
made of all lines there are.
"""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm
from _common import argument_parser, print_table
from scipy.stats import binom

import pymc_lan as pl

SUBJECTS = 20
PROB = 0.9
# Shares of data sets with all R-hats of group values below 1.01, of divergences, and of intervals that hold the truth.
BARS = {"r_hat": 0.95, "divergences": 1e-3, "held": (0.87, 0.93)}
DEADLINE = 2.0  # s


class Cell(NamedTuple):
    """A kind of study: the model, whether go/no-go; least and most trials of a subject; whether effects correlate."""

    model: str
    go_nogo: bool
    trials: tuple[int, int]
    correlated: bool


CELLS = (
    Cell("ddm", False, (40, 40), False),
    Cell("ddm", False, (400, 400), True),
    Cell("ddm", False, (5, 500), False),
    Cell("angle", False, (40, 40), True),
    Cell("angle", False, (400, 400), False),
    Cell("ddm", True, (40, 40), True),
    Cell("ddm", True, (400, 400), False),
    Cell("ddm", True, (5, 500), True),
)


def design(cell: Cell, rng: np.random.Generator) -> pd.DataFrame:
    """Whose trials, and under which of two conditions."""
    low, high = cell.trials
    n = np.round(np.geomspace(low, high, SUBJECTS)).astype(int)
    subject = np.repeat(np.arange(SUBJECTS), n)
    df = pd.DataFrame({"subject": subject, "condition": rng.permutation(np.resize(["a", "b"], len(subject)))})
    return df.assign(rt=0.5, response=1) if not cell.go_nogo else df.assign(rt=0.5)


def regression(cell: Cell, df: pd.DataFrame) -> Any:
    """A drift for each condition and a boundary and a non-decision time for each subject."""
    priors = {} if cell.correlated else {"subject_corr": None}
    task = {"go_nogo": True, "deadline": DEADLINE} if cell.go_nogo else {}
    formulas = {"v": "0 + condition + (0 + condition | subject)", "a": "1 + (1 | subject)", "t": "1 + (1 | subject)"}
    return pl.regression(cell.model, df, formulas=formulas, priors=priors, p_lapse=0.03, **task)


def study(cell: Cell, seed: int, chains: int, draws: int) -> dict[str, Any]:
    """Draw one study and fit it."""
    rng = np.random.default_rng(seed)
    df = design(cell, rng)
    drawn = pm.sample_prior_predictive(1, model=regression(cell, df).model, random_seed=rng)
    trials = drawn.prior_predictive["obs"].to_numpy()[0, 0]
    df["rt"] = trials[:, 0]
    if cell.go_nogo:
        df["rt"] = df["rt"].where(np.isfinite(df["rt"]))
    else:
        df["response"] = trials[:, 1]
    reg = regression(cell, df)
    begin = time.process_time()
    idata = reg.sample(draws=draws, tune=draws, chains=chains, random_seed=seed, progressbar=False)
    group = [name for name in ("v", "a", "t", "subject_sd") if name in idata.posterior]
    summary = az.summary(idata, var_names=group, round_to="none")
    held, values = [], []
    for name in group:
        post = idata.posterior[name].to_numpy().reshape(chains * draws, -1)
        truth = drawn.prior[name].to_numpy().reshape(-1)
        low, high = np.quantile(post, [(1 - PROB) / 2, (1 + PROB) / 2], axis=0)
        held += ((low <= truth) & (truth <= high)).tolist()
        values += [name] * truth.size
    return {
        "r_hat": float(summary["r_hat"].astype(float).max()),
        "ess": float(summary["ess_bulk"].astype(float).min()),
        "divergences": float(idata.sample_stats["diverging"].mean()),
        "held": held,
        "values": values,
        "cpu_s": time.process_time() - begin,
    }


def report(lines: list[dict[str, Any]]) -> None:
    """A row for each cell, and whether the bars are met over all."""
    rows = []
    done = [x for x in lines if "held" in x]
    tested = len({x["cell"] for x in done}) or 1
    for number, cell in enumerate(CELLS):
        mine = [x for x in done if x["cell"] == number]
        if not mine:
            continue
        held = np.concatenate([x["held"] for x in mine])
        # A band that all cells keep to together with a probability of 95 %, as if values were independent.
        band = binom.ppf([0.025 / tested, 1 - 0.025 / tested], held.size, PROB) / held.size
        rows.append(
            (
                f"{'go/no-go ' * cell.go_nogo}{cell.model}, {cell.trials[0]} to {cell.trials[1]}"
                + ", correlated" * cell.correlated,
                len(mine),
                f"{np.mean([x['r_hat'] < 1.01 for x in mine]):.2f}",
                f"{max(x['r_hat'] for x in mine):.3f}",
                f"{np.mean([x['divergences'] for x in mine]):.5f}",
                f"{held.mean():.3f}",
                f"{band[0]:.3f} to {band[1]:.3f}",
            )
        )
    columns = ["cell", "sets", "R-hat < 1.01", "largest", "divergences", "held by 90 %", "band"]
    print_table("simulated studies", columns, rows)
    if done:
        held = float(np.concatenate([x["held"] for x in done]).mean())
        converged = float(np.mean([x["r_hat"] < 1.01 for x in done]))
        divergences = float(np.mean([x["divergences"] for x in done]))
        low, high = BARS["held"]
        print(f"{len(done)} studies. All R-hats below 1.01: {converged:.3f} (bar {BARS['r_hat']})")
        print(
            f"divergences: {divergences:.5f} (bar {BARS['divergences']}); intervals hold {held:.3f} ({low} to {high})"
        )
    for x in lines:
        if "error" in x:
            print("cell", x["cell"], "set", x["set"], "failed:", x["error"])


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", type=int, default=20)
    parser.add_argument("--cells", type=int, nargs="*", default=range(len(CELLS)))
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--draws", type=int, default=500)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    path = arguments.folder / "studies.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(x["cell"], x["set"]) for x in lines}
    warnings.simplefilter("ignore")
    for number in range(arguments.sets):
        for cell in arguments.cells:
            if (cell, number) in done:
                continue
            line: dict[str, Any] = {"cell": cell, "set": number}
            try:
                line |= study(CELLS[cell], 1000 * cell + number, arguments.chains, arguments.draws)
            except ValueError as error:
                line["error"] = str(error)
            lines.append(line)
            with path.open("a") as file:
                file.write(json.dumps(line) + "\n")
    report(lines)


if __name__ == "__main__":
    main()
