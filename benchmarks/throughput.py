"""How fast trials of the drift diffusion model are simulated, and how far off they are, beside ssm-simulators.

    python benchmarks/throughput.py [--sets 20] [--trials 50000] [--json FILE]

Parameters are uniform over our bounds. Both simulate each set in turn, on one core, timed by their own CPU seconds.
ssm-simulators walks in steps of 1 ms; ours draws from the exact distribution
(`pymc_lan.numerics.samplers.wiener.ddm_draws`), whose only error is chance. The bias is that of the mean decision time
and of the share of upper responses, against their closed forms (Wald's identity: the mean is the mean position at the
end, less the start, over the drift), in milliseconds and percent; ``chance`` is what it would be by chance alone.
ssm-simulators runs in HSSM's environment.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
from _common import BENCHMARKS, Json, Worker, add_peer_options, argument_parser, hssm_python, print_table, report

import pymc_lan as pl
from pymc_lan.models.proposals import draw_theta
from pymc_lan.numerics.samplers.wiener import ddm_draws

# Times as fast as ssm-simulators, at a smaller bias.
BAR = 5.0
STEP, LONGEST = 1e-3, 20.0
SEED = 7
# Columns: what is told of which.
WHAT, OF = ("bias", "chance"), ("mean", "upper")
# Trials of which the first call compiles.
WARM = 10


def exact(v: float, a: float, z: float) -> tuple[float, float]:
    """Mean decision time [s] and share of upper responses."""
    upper = math.expm1(-4 * v * a * z) / math.expm1(-4 * v * a)
    return 2 * a * (upper - z) / v, upper


def ours(theta: dict[str, float], trials: int, seed: int) -> Json:
    """Simulate one set with the exact simulator."""
    rng = np.random.default_rng(seed)
    v, a, z = (np.full(trials, theta[name]) for name in ("v", "a", "z"))
    started = time.process_time()
    decision, response = ddm_draws(rng, v, a, z)
    cpu = time.process_time() - started
    upper = float((response > 0).mean())
    return {"cpu": cpu, "mean": float(decision.mean()), "sd": float(decision.std()), "upper": upper}


def summarise(found: list[Json], truth: list[tuple[float, float]], trials: int) -> Json:
    """Trials a CPU second, and root mean squares of what is off, over sets."""
    mean, upper = np.array(truth).T
    off = {"mean": 1e3 * (np.array([each["mean"] for each in found]) - mean)}
    off["upper"] = 100 * (np.array([each["upper"] for each in found]) - upper)
    chance = {"mean": 1e3 * np.array([each["sd"] for each in found]), "upper": 100 * np.sqrt(upper * (1 - upper))}
    return {
        "trials_per_s": trials / float(np.median([each["cpu"] for each in found])),
        **{f"bias_{name}": float(np.sqrt((x**2).mean())) for name, x in off.items()},
        **{f"chance_{name}": float(np.sqrt((x**2).mean() / trials)) for name, x in chance.items()},
    }


def main() -> None:
    parser = argument_parser(__doc__)
    add_peer_options(parser, networks=False)
    parser.add_argument("--sets", type=int, default=20, help="parameter sets")
    parser.add_argument("--trials", type=int, default=50_000, help="trials of each parameter set")
    arguments = parser.parse_args()
    drawn = draw_theta(pl.get_model("ddm"), np.random.default_rng(SEED), arguments.sets, with_t=True)
    sets = [{name: float(x[i]) for name, x in drawn.items()} for i in range(arguments.sets)]
    ours(sets[0], WARM, 0)
    rows: dict[str, list[Any]] = {"pymc_lan": [], "ssm-simulators": []}
    with Worker(hssm_python(arguments.hssm_env), [str(BENCHMARKS / "_ssms_worker.py")], {}) as worker:
        options = {"do": "clock", "model": "ddm", "delta_t": STEP, "max_t": LONGEST}
        worker.ask(**options, theta=sets[0], trials=WARM, seed=0)
        for seed, theta in enumerate(sets):
            rows["pymc_lan"].append(ours(theta, arguments.trials, seed))
            rows["ssm-simulators"].append(worker.ask(**options, theta=theta, trials=arguments.trials, seed=seed))
    truth = [exact(*(theta[name] for name in ("v", "a", "z"))) for theta in sets]
    found = {name: summarise(each, truth, arguments.trials) for name, each in rows.items()}
    print_table(
        f"DDM, {arguments.sets} sets of {arguments.trials:,} trials, steps of {1e3 * STEP:g} ms in ssm-simulators",
        ("", "trials / s / core", "bias of mean [ms]", "chance [ms]", "bias of upper [%]", "chance [%]"),
        [
            (name, f"{each['trials_per_s']:,.0f}", *(f"{each[f'{what}_{of}']:.3g}" for of in OF for what in WHAT))
            for name, each in found.items()
        ],
    )
    ratios = [theirs["cpu"] / mine["cpu"] for mine, theirs in zip(*rows.values(), strict=True)]
    smaller = found["pymc_lan"]["bias_mean"] < found["ssm-simulators"]["bias_mean"]
    met = "met" if np.median(ratios) >= BAR and smaller else "MISSED"
    print(f"times as fast, median over sets (bar {BAR:g}, at a smaller bias): {np.median(ratios):.1f}, {met}")
    report({"throughput": found, "ratios": ratios}, arguments.json)


if __name__ == "__main__":
    main()
