"""Where go/no-go subjects start: effective draws of z with a formula of z, and with one of d_press in its place.

    python benchmarks/gonogo_start.py [--subjects 24] [--draws 300]

The data are those of ``examples/pavlovian_gonogo.py``, presses before 0.1 s kept. Two chains; CPU seconds are those of
building, preparing, compiling and sampling.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
from arviz_stats.base import array_stats

import pymc_lan as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import pavlovian_gonogo as example

START = "1 + valence + (1 | subject)"
FORMS: dict[str, dict[str, Any]] = {
    "z": {"z": START},
    "z, not correlated": {"z": START, "priors": {"subject_corr": None}},
    "d_press": {"d_press": START},
    "d_press, not correlated": {"d_press": START, "priors": {"subject_corr": None}},
}


def fitted(df: pd.DataFrame, draws: int, form: dict[str, Any]) -> tuple[float, pd.DataFrame]:
    """CPU seconds; effective draws and R-hat of each parameter of each subject and condition."""
    before = time.process_time()
    each = "1 + (1 | subject)"
    v, guesses = "0 + condition + (0 + condition | subject)", pm.Beta.dist(2, 38)
    task = {"go_nogo": True, "deadline": example.DEADLINE}
    reg = pl.regression("ddm", df, **task, v=v, a=each, t=each, p_lapse=guesses, **form)
    idata = reg.sample(draws=draws, tune=draws, chains=2, cores=3, random_seed=1, progressbar=False)
    seconds = time.process_time() - before
    found = reg.predict(idata, df.drop_duplicates(["subject", "condition"]), n_draws=2 * draws)
    flat = {name: np.moveaxis(found[name].to_numpy(), 2, 0) for name in ("v", "a", "z", "t")}
    rows = [(name, float(array_stats.ess(x)), float(array_stats.rhat(x))) for name, xs in flat.items() for x in xs]
    return seconds, pd.DataFrame(rows, columns=["parameter", "ess", "r_hat"])


def main() -> None:
    """Print a table of all forms."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=24)
    parser.add_argument("--draws", type=int, default=300)
    args = parser.parse_args()
    df = example.read(example.DATA, args.subjects)
    for name, form in FORMS.items():
        seconds, found = fitted(df, args.draws, form)
        print(f"\n{name}: {seconds:.0f} CPU s")
        worst = found.groupby("parameter", sort=False).agg({"ess": "min", "r_hat": "max"})
        print(worst.assign(per_s=worst["ess"] / seconds).round(3).to_string(), flush=True)


if __name__ == "__main__":
    main()
