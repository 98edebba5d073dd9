"""HSSM's side of hssm_hierarchical.py, in HSSM's environment: ``_hssm_form_worker.py KIND DRAWS TABLE.CSV DDM.ONNX``.

KIND is ``default`` (what HSSM takes for a ddm by itself: in 0.5 the closed form by PyMC's sampler), ``network`` (its
LAN, by the sampler it takes for it) or ``exact`` (its closed form by numpyro).
"""

from __future__ import annotations

import json
import resource
import sys

FORMULAS = {
    "v": "v ~ 1 + stim + (1 | participant_id)",
    "a": "a ~ 1 + (1 | participant_id)",
    "t": "t ~ 1 + (1 | participant_id)",
}


def cpu() -> float:
    """CPU seconds of this process and of its children."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def main() -> None:
    import arviz as az
    import hssm
    import pandas as pd

    kind, draws, table, onnx = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
    # HSSM reads a path that exists from disk; anything else it would look for on the network.
    kinds = {
        "default": {},
        "network": {"loglik_kind": "approx_differentiable", "loglik": onnx},
        "exact": {"loglik_kind": "analytical"},
    }
    begin = cpu()
    model = hssm.HSSM(
        pd.read_csv(table),
        model="ddm",
        include=[{"name": name, "formula": formula} for name, formula in FORMULAS.items()],
        z=0.5,
        **kinds[kind],
    )
    sampler = {"sampler": "numpyro"} if kind == "exact" else {}
    idata = model.sample(**sampler, draws=draws, tune=draws, chains=2, cores=2, random_seed=1, progressbar=False)
    spent = cpu() - begin
    # Effects, group values and members' values, not the parameters of every trial.
    names = [name for name, x in idata.posterior.items() if x[0, 0].size <= 100 and not name.endswith("_offset")]
    ess = az.ess(idata.posterior.to_dataset()[names])
    values = [float(x) for name in names for x in ess[name].to_numpy().reshape(-1) if x == x]
    print(json.dumps({"cpu_s": spent, "values": len(values), "least": min(values), "names": names}))


if __name__ == "__main__":
    main()
