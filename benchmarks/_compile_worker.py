"""Compile a regression's model for nutpie, in a process of its own, and print the CPU seconds as JSON.

    python _compile_worker.py FORM

FORM is ``informed`` or ``centred``; the data are Cavanagh's, five effects of 14 patients.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nutpie
import pandas as pd
from _form_worker import DATA, cpu

import pymc_lan as pl


def main() -> None:
    df = pd.read_csv(Path(DATA) / "cavanagh_theta_nn.csv")
    df = df.assign(response=df["response"].replace(0, -1), subject=df["participant_id"])
    drift = "0 + stim + (0 + stim | subject)"
    reg = pl.regression("ddm", df, v=drift, a="1 + (1 | subject)", t="1 + (1 | subject)", p_lapse=0.03)
    model = pl.informed(reg.model) if sys.argv[1] == "informed" else reg.model
    begin = cpu()
    nutpie.compile_pymc_model(model)
    print(json.dumps({"cpu_s": cpu() - begin}))


if __name__ == "__main__":
    main()
