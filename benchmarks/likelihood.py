"""Time logp + gradient of the DDM against HSSM, or show how time and memory grow with the data.

    python benchmarks/likelihood.py [--threads all] [--peers ../shared/peers] [--hssm-env DIR] [--json FILE]
    python benchmarks/likelihood.py --growth [--json FILE]

Both sides build a PyMC model of the same trials with the same uniform priors on v, a, z and t, and evaluate
its logp and gradient at the same unconstrained point. HSSM runs in an environment of its own, made when it is
missing from `hssm-requirements.txt`. The two sides take turns, so that both meet the same noise; a ratio is
taken within a round, and the median over the rounds is reported.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _common import (
    BENCHMARKS,
    Json,
    Worker,
    add_peer_options,
    argument_parser,
    ddm_trials,
    fresh_cache_env,
    hssm_python,
    median,
    one_thread_env,
    peer_network,
    print_table,
    report,
)

BACKENDS = ("default", "jax")
SIDES = ("pymc_lan", "hssm")
LIKELIHOODS = ("lan", "exact")
TRIALS = (1_000, 10_000)
GROWTH_TRIALS = (1_000, 10_000, 100_000, 1_000_000)

# What is compared, ours with HSSM's, and how many times faster ours has to be in which backend. The last pair
# is for information.
PAIRS = (("lan", "lan"), ("lan", "exact"), ("exact", "exact"))
BARS = {
    ("lan", "lan", "default"): 10.0,
    ("lan", "lan", "jax"): 4.0,
    ("lan", "exact", "default"): 1.0,
    ("lan", "exact", "jax"): 1.0,
}

# Two closed forms of one density differ by rounding and by where their series stop; more than this means that
# the two sides do not compute the same thing, and that comparing their speed would be meaningless.
AGREEMENT = 1e-4


class Case(NamedTuple):
    """One thing to time."""

    side: str
    likelihood: str
    backend: str
    trials: int

    def __str__(self) -> str:
        return " ".join(map(str, self))


def save_trials(folder: Path, n_trials: int) -> str:
    """Write the trials where both sides can read them, and return the path."""
    path = folder / f"{n_trials}.npy"
    if not path.exists():
        np.save(path, ddm_trials(n_trials))
    return str(path)


def prepare(worker: Worker, case: Case, folder: Path) -> Json:
    """Have a worker compile one case."""
    return worker.ask(
        do="prepare",
        case=str(case),
        likelihood=case.likelihood,
        backend=case.backend,
        data=save_trials(folder, case.trials),
    )


def check_agreement(prepared: dict[Case, Json]) -> float:
    """Return the largest difference per trial between the closed forms of both sides, gradient included."""
    largest = 0.0
    for backend, trials in itertools.product(BACKENDS, TRIALS):
        ours, theirs = (prepared[Case(side, "exact", backend, trials)] for side in SIDES)
        values = [(ours["logp"], theirs["logp"])]
        values += [(ours["gradient"][name], theirs["gradient"][name]) for name in ours["gradient"]]
        # Not relative differences: a component of the gradient may be near 0.
        largest = max(largest, *(abs(a - b) / trials for a, b in values))
    if not largest < AGREEMENT:
        raise SystemExit(
            f"Expected the closed forms of both sides to agree to {AGREEMENT:g} per trial in logp and "
            f"gradient, found {largest:.2g}. Find out which one is wrong before comparing their speed."
        )
    return largest


def compare(arguments: argparse.Namespace) -> Json:
    """Run both sides in turn and return all that was measured."""
    network = peer_network(arguments.peers, "ddm")
    threads = one_thread_env() if arguments.threads == "1" else {}
    scripts = {
        "pymc_lan": (Path(sys.executable), [str(BENCHMARKS / "_lan_worker.py")]),
        "hssm": (hssm_python(arguments.hssm_env), [str(BENCHMARKS / "_hssm_worker.py"), str(network)]),
    }
    cases = [Case(*case) for case in itertools.product(SIDES, LIKELIHOODS, BACKENDS, TRIALS)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workers = {}
        for side, (python, script) in scripts.items():
            env = {**threads, **fresh_cache_env(folder / side), "HF_HUB_OFFLINE": "1"}
            workers[side] = stack.enter_context(Worker(python, script, env))
        prepared = {case: prepare(workers[case.side], case, folder) for case in cases}
        agreement = check_agreement(prepared)
        rounds: dict[Case, list[Json]] = {case: [] for case in cases}
        # The innermost loop is over what is compared: the sides take turns within each likelihood.
        turns = itertools.product(range(arguments.rounds), BACKENDS, TRIALS, LIKELIHOODS, SIDES)
        for _, backend, trials, likelihood, side in turns:
            case = Case(side, likelihood, backend, trials)
            rounds[case].append(workers[side].ask(do="time", case=str(case), repeats=arguments.repeats))
    measured = [{**case._asdict(), **prepared[case], "rounds": rounds[case]} for case in cases]
    print_comparison(prepared, rounds, arguments.threads)
    print(f"closed forms of both sides: logp and gradient differ by at most {agreement:.1e} per trial")
    return {"threads": arguments.threads, "agreement": agreement, "cases": measured}


def print_comparison(prepared: dict[Case, Json], rounds: dict[Case, list[Json]], threads: str) -> None:
    """Print milliseconds, cores and seconds to compile of every case, then the ratios and their bars."""
    rows = [
        (str(case), median(times, "ms"), median(times, "cores"), prepared[case]["first_call_s"])
        for case, times in rounds.items()
    ]
    title = f"logp + gradient of all trials (threads: {threads}); compile caches empty at the start"
    print_table(title, ["case", "ms", "cores used", "first call [s]"], rows)

    rows = []
    for backend, trials, (ours, theirs) in itertools.product(BACKENDS, TRIALS, PAIRS):
        mine = rounds[Case("pymc_lan", ours, backend, trials)]
        hssm = rounds[Case("hssm", theirs, backend, trials)]
        ratios = [b["ms"] / a["ms"] for a, b in zip(mine, hssm, strict=True)]
        middle = statistics.median(ratios)
        bar = BARS.get((ours, theirs, backend))
        verdict = "" if bar is None else f"{bar:g} {'met' if middle >= bar else 'MISSED'}"
        what = f"{backend}, {trials:,} trials: our {ours}, HSSM's {theirs}"
        rows.append((what, middle, min(ratios), max(ratios), verdict))
    print_table("times faster than HSSM", ["what", "median", "least", "most", "bar"], rows)


def growth() -> Json:
    """Measure time and peak memory of growing data, each size in a fresh process, and print them."""
    measured = []
    one_thread = one_thread_env()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for backend, trials in itertools.product(BACKENDS, GROWTH_TRIALS):
            case = Case("pymc_lan", "lan", backend, trials)
            data = save_trials(folder, trials)
            env = {**one_thread, **fresh_cache_env(folder)}
            with Worker(sys.executable, [str(BENCHMARKS / "_lan_worker.py")], env) as worker:
                prepared = prepare(worker, case, folder)
                # A million trials take so long that a few calls have to do.
                times = worker.ask(do="time", case=str(case), repeats=max(5, min(30, 1_000_000 // trials)))
                peak = worker.ask(do="memory")["peak_gib"]
            measured.append({**case._asdict(), **prepared, **times, "peak_gib": peak})
            Path(data).unlink()
    rows = [
        (f"{backend}, {trials:,}", row["ms"], 1e6 * row["ms"] / trials, row["first_call_s"], row["peak_gib"])
        for row in measured
        for backend, trials in [(row["backend"], row["trials"])]
    ]
    columns = ["backend, trials", "ms", "ns per trial", "first call [s]", "peak GiB"]
    print_table("growth of logp + gradient, one thread, a fresh process each", columns, rows)
    return {"growth": measured}


def main() -> None:
    parser = argument_parser(__doc__)
    add_peer_options(parser, networks=True)
    parser.add_argument("--threads", choices=["1", "all"], default="1", help="threads of BLAS, numba and XLA")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side")
    parser.add_argument("--repeats", type=int, default=30, help="calls in each turn")
    parser.add_argument("--growth", action="store_true", help="1,000 to 1,000,000 trials, pymc_lan only")
    arguments = parser.parse_args()
    report(growth() if arguments.growth else compare(arguments), arguments.json)


if __name__ == "__main__":
    main()
