"""A hierarchical go/no-go DDM of a Pavlovian learning task: what makes people press, a drift or a bias?

Subjects learn by feedback whether to press for each of several cues. A press is right for half of them ("go") and
wrong for the others ("no-go"), crossed with valence: some cues can win points, some can lose them. People press too
readily to win and too rarely to avoid a loss. Is that evidence (drift v) or readiness (a start z nearer to a press)?

The drift is estimated for each of the four conditions and each subject, positive towards a press. It is not v on go
trials and -v on no-go trials, as in `neuroracer.py`, because what is right has to be learned here: it cannot be seen,
and every condition ends at its own drift. Drift is an average over learning.

Data: Zorowitz et al., study 1, session 1, from the repository nivlab/RobotFactory at commit f5ca2c3. They are not
part of this package. Columns: subject, valence (win, lose), action (go, no-go: what would be right), choice (1
pressed, 0 not), rt in seconds. The response window is about 1.5 s, the latest press 1.545 s.

    python examples/pavlovian_gonogo.py [data.csv.gz] [--subjects 20] [--out figures]
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # figures go to files; no display is needed
import matplotlib.pyplot as plt
import pandas as pd
import pymc as pm

import pymc_lan as pl

DEADLINE = 1.55  # s
DATA = Path(__file__).resolve().parents[2] / "shared/data/pavlovian_gonogo.csv.gz"


def read(path: Path, n_subjects: int) -> pd.DataFrame:
    """The trials of the first `n_subjects` subjects, without presses that nobody can have decided on in 0.1 s."""
    raw = pd.read_csv(path)
    first = raw["subject"].unique()[:n_subjects]
    df, report = pl.read_trials(raw[raw["subject"].isin(first)], columns={"response": "choice"})
    print(report)
    return df


def describe(df: pd.DataFrame):
    """A regression in which every parameter varies over subjects: a and t, without a formula, do by themselves."""
    return pl.regression(
        "ddm",
        df,
        go_nogo=True,
        deadline=DEADLINE,
        v="0 + valence:action + (0 + valence:action | subject)",
        z="valence + (1 | subject)",  # above 0.5 people start nearer to a press
        p_lapse=pm.Beta.dist(2, 38),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", default=DATA)
    parser.add_argument("--subjects", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder of the figures")
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--tune", type=int, default=500)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    reg = describe(read(args.data, args.subjects))
    print(f"\n{reg}\n")
    idata = reg.sample(draws=args.draws, tune=args.tune, chains=args.chains, random_seed=args.seed)
    print(reg.table(idata).round(3).to_string())
    print("\nWhat is right, in v:", reg.contrast(idata, "v", "action", by="valence").round(3), sep="\n")
    for name in ("v", "z"):
        contrast = reg.contrast(idata, name, "valence", levels=("win", "lose"))
        print(f"\nThe chance to win, in {name}:", contrast.round(3), sep="\n")

    with pl.plots.paper("double"):
        pl.plots.predictive_cells(reg, idata, last=DEADLINE)
        plt.savefig(args.out / "pavlovian_predictive.png")
        pl.plots.effects(reg, idata, members="subject")
        plt.savefig(args.out / "pavlovian_effects.png")
    check = pl.check(idata, reg.model)
    print(f"\nFigures: {args.out}/pavlovian_*.png\n\n{check.table.to_string(index=False)}\n\n{check.verdict}")


if __name__ == "__main__":
    main()
