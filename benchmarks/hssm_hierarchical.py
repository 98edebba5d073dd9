"""A hierarchical ddm of the Cavanagh data by `pl.regression` and by HSSM: fewest effective draws per CPU second.

    python benchmarks/hssm_hierarchical.py [--hssm-env FOLDER] [--kinds default network exact] [--draws 500]

HSSM has an environment of its own (``hssm-requirements.txt``). Both have the formulas of ``_hssm_form_worker.py`` and
two chains; ours is measured first, by the same count of CPU seconds, compilation included. A run of HSSM that takes
longer than 30 CPU minutes is told with the rate it had in the end, which is what it had at 30.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from _common import ROOT, Json, add_peer_options, argument_parser, hssm_python, print_table
from _hssm_form_worker import FORMULAS, cpu

DATA = ROOT.parent / "shared"
BAR = 30.0  # times


def ours(table: Path, draws: int) -> Json:
    """The regression with the formulas of HSSM's side."""
    import arviz as az

    import pymc_lan as pl

    begin = cpu()
    formulas = {name: formula.partition("~")[2] for name, formula in FORMULAS.items()}
    reg = pl.regression("ddm", pd.read_csv(table), formulas=formulas, z=0.5, priors={"participant_id_corr": None})
    idata = reg.sample(draws=draws, tune=draws, chains=2, cores=2, random_seed=1, progressbar=False)
    spent = cpu() - begin
    ess = az.ess(idata.posterior.dataset)
    values = [float(x) for name in ess for x in ess[name].to_numpy().reshape(-1) if x == x]
    return {"cpu_s": spent, "values": len(values), "least": min(values), "names": list(ess)}


def theirs(python: str, kind: str, table: Path, draws: int) -> Json:
    """HSSM's run in its own environment."""
    command = [python, str(Path(__file__).with_name("_hssm_form_worker.py")), kind, str(draws), str(table)]
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTENSOR_FLAGS")}
    done = subprocess.run(
        [*command, str(DATA / "peers/ddm.onnx")], capture_output=True, text=True, env=clean, check=False
    )
    if done.returncode:
        sys.exit(f"HSSM ({kind}) failed: {done.stderr[-3000:]}")
    found: Json = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    parser = argument_parser(__doc__)
    add_peer_options(parser, networks=False)
    parser.add_argument("--kinds", nargs="*", default=["default", "network", "exact"])
    parser.add_argument("--draws", type=int, default=500)
    arguments = parser.parse_args()
    python = hssm_python(arguments.hssm_env)
    df = pd.read_csv(DATA / "data/cavanagh_theta_nn.csv")
    df = df.assign(response=df["response"].replace(0, -1))[["participant_id", "stim", "rt", "response"]]
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "trials.csv"
        df.to_csv(table, index=False)
        found = {"pl.regression": ours(table, arguments.draws)}
        print(json.dumps(found), flush=True)
        for kind in arguments.kinds:
            found[f"HSSM, {kind}"] = theirs(python, kind, table, arguments.draws)
            print(json.dumps({kind: found[f"HSSM, {kind}"]}), flush=True)
    rate = {name: x["least"] / x["cpu_s"] for name, x in found.items()}
    rows = [
        (
            name,
            f"{x['cpu_s']:.0f}",
            x["values"],
            f"{x['least']:.0f}",
            f"{rate[name]:.3g}",
            f"{rate['pl.regression'] / rate[name]:.1f}",
        )
        for name, x in found.items()
    ]
    print_table(
        f"14 patients, two chains of {arguments.draws} + {arguments.draws}",
        ["by", "CPU s", "values", "fewest effective draws", "per CPU s", "times"],
        rows,
    )
    for name in list(found)[1:]:
        times = rate["pl.regression"] / rate[name]
        print(f"{name}: {times:.1f} times (bar {BAR:g}): {'met' if times >= BAR else 'MISSED'}")


if __name__ == "__main__":
    main()
