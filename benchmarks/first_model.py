"""Does the README's first model converge, whatever the seed?

    python benchmarks/first_model.py [--seeds 20] [--json FILE]

The block of code is taken from the README as it stands there, and run on a simulated table of eight subjects with 120
trials each. A seed counts where R-hat is at most 1.01 everywhere, every parameter has 100 effective draws a chain, and
at most one draw in a thousand diverged: what `pl.check` asks for.
"""

from __future__ import annotations

import os
import re
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
from _common import Json, argument_parser, print_table, report

import pymc_lan as pl
from pymc_lan.diagnostics.convergence import convergence

if TYPE_CHECKING:
    import pandas as pd

README = Path(__file__).resolve().parents[1] / "README.md"
SUBJECTS, TRIALS = 8, 120


def table(seed: int = 1) -> pd.DataFrame:
    """Trials of subjects whose drifts differ; every other one is a no-go trial."""
    n = SUBJECTS * TRIALS
    drift = np.repeat(np.random.default_rng(seed).normal(1.2, 0.4, SUBJECTS), TRIALS)
    trial_type = np.tile(["go", "no-go"], n // 2)
    trials = pl.GoNoGoDDM.dist(drift, 1.2, 0.5, 0.3, deadline=1.5, trial_type=trial_type)
    subject = np.repeat([f"s{i + 1}" for i in range(SUBJECTS)], TRIALS)
    return pl.as_dataframe(pm.draw(trials, random_seed=seed)).assign(trial_type=trial_type, subject=subject)


def code() -> str:
    """The first block of Python of the README."""
    block = re.search(r"```python\n(.+?)```", README.read_text("utf-8"), re.DOTALL)
    assert block is not None
    return block[1]


def fit(seed: int, **how: Any) -> Json:
    """Run the README's block in a folder with such a table."""
    names: dict[str, Any] = {}
    sample, predict, folder = pm.sample, pm.sample_posterior_predictive, Path.cwd()
    pm.sample = partial(sample, random_seed=seed, progressbar=False, **how)
    pm.sample_posterior_predictive = partial(predict, progressbar=False)
    with tempfile.TemporaryDirectory() as place:
        table().to_csv(Path(place) / "trials.csv", index=False)
        try:
            os.chdir(place)
            exec(code(), names)
        finally:
            os.chdir(folder)
            pm.sample, pm.sample_posterior_predictive = sample, predict
    found = convergence(names["idata"], names["model"])
    return {
        "seed": seed,
        "r_hat": found.worst_r_hat[1],
        "ess": found.fewest[1],
        "diverging": int(found.diverging.sum()),
        "converged": not found.complaints,
    }


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--chains", type=int, default=4)
    args = parser.parse_args()
    rows: list[Json] = []
    for seed in range(1, args.seeds + 1):
        rows.append(fit(seed, chains=args.chains, cores=1))
        print(rows[-1], flush=True)
    print_table("the README's first model", list(rows[0]), [list(row.values()) for row in rows])
    print(f"{sum(row['converged'] for row in rows)} of {len(rows)} seeds converged")
    report({"rows": rows}, args.json)


if __name__ == "__main__":
    main()
