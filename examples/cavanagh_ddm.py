"""A hierarchical two-choice DDM with a regressor: does midfrontal theta raise the decision threshold?

Patients with a deep brain stimulator chose between cues that had won or lost before: two losers (LL), two winners
(WW), or one of each (WL). The first two are choices in conflict. Cavanagh et al. (2011), Nature Neuroscience 14,
1462-1467, report that with more theta power the threshold rises under conflict, and that stimulation reverses this.

The drift differs by stimulus and patient. The threshold a of each patient has a slope on theta for low and high
conflict (LC, HC), stimulation off and on, plus a deviation of the patient. Answers are right or wrong, which nobody can
be biased towards before the cues are there: z is 0.5.

Data: 14 patients, 3,988 trials, as shipped by HSSM and HDDM (cavanagh_theta_nn.csv); not part of this package.
Columns: participant_id, stim, rt in seconds, response (1 right), theta, dbs (1 on), conf.

    python examples/cavanagh_ddm.py [data.csv] [--subjects 14] [--out figures]
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # figures go to files; no display is needed
import matplotlib.pyplot as plt
import pandas as pd
import pymc as pm

import pymc_lan as pl

DATA = Path(__file__).resolve().parents[2] / "shared/data/cavanagh_theta_nn.csv"


def read(path: Path, n_subjects: int) -> pd.DataFrame:
    """The trials of the first `n_subjects` patients, theta standardised within each."""
    df, report = pl.read_trials(path, columns={"subject": "participant_id"})
    print(report)
    df = df[df["subject"].isin(df["subject"].unique()[:n_subjects])].reset_index(drop=True)
    theta = df.groupby("subject")["theta"].transform(lambda x: (x - x.mean()) / x.std())
    return df.assign(theta=theta, dbs=df["dbs"].map({0: "off", 1: "on"}))


def describe(df: pd.DataFrame):
    """A regression in which every parameter varies over patients."""
    return pl.regression(
        "ddm",
        df,
        accuracy="response",  # the boundaries are right and wrong
        v="0 + stim + (0 + stim | subject)",
        a="theta:conf:dbs + (theta | subject)",
        t="1 + (1 | subject)",
        p_lapse=pm.Beta.dist(2, 38),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", default=DATA)
    parser.add_argument("--subjects", type=int, default=14)
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder of the figure")
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
    print("\nStimuli, in the drift:", reg.contrast(idata, "v", "stim").round(3), sep="\n")
    slopes = reg.contrast(idata, "a", "theta", by=["dbs", "conf"])
    print("\nThe threshold, by one standard deviation of theta:", slopes.round(3), sep="\n")

    with pl.plots.paper("double"):
        pl.plots.predictive_cells(reg, idata, by="stim", last=4.0)
        plt.savefig(args.out / "cavanagh_predictive.png")
    check = pl.check(idata, reg.model)
    print(f"\nFigure: {args.out}/cavanagh_predictive.png\n\n{check.table.to_string(index=False)}\n\n{check.verdict}")


if __name__ == "__main__":
    main()
