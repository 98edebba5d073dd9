"""Time ``import pymc_lan`` over ``import pymc``, in fresh processes that take turns.

    python benchmarks/imports.py [--rounds 9] [--json FILE]

Heavy modules of pymc_lan load on first use, so the distributions are also timed as a user's first line would
need them.
"""

from __future__ import annotations

import time

from _common import Json, argument_parser, median, print_table, report, run_json

STATEMENTS = {
    "import pymc": "import pymc",
    "import pymc, pymc_lan": "import pymc, pymc_lan",
    "the same, then DDM, GoNoGoDDM, LANDist": (
        "import pymc, pymc_lan; pymc_lan.DDM, pymc_lan.GoNoGoDDM, pymc_lan.LANDist"
    ),
}

# Seconds that importing pymc_lan may add to importing pymc.
BAR = 0.5


def timed_import(statement: str) -> Json:
    """Run one statement in a fresh process; time it inside, and the whole process."""
    code = f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    start = time.perf_counter()
    inside = run_json(["-P", "-c", code])  # -P: the installed package, not a folder lying here
    return {"inside_s": inside, "outside_s": time.perf_counter() - start}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    runs: dict[str, list[Json]] = {name: [] for name in STATEMENTS}
    # The first round only warms the disk cache.
    for number in range(arguments.rounds + 1):
        for name, statement in STATEMENTS.items():
            run = timed_import(statement)
            if number:
                runs[name].append(run)
    pymc = median(runs["import pymc"], "inside_s")
    rows: list[tuple[object, ...]] = []
    for name, row in runs.items():
        inside = median(row, "inside_s")
        verdict = "" if name == "import pymc" else "met" if inside - pymc <= BAR else "MISSED"
        rows.append((name, inside, median(row, "outside_s"), inside - pymc, verdict))
    columns = ["what", "import", "whole process", "over pymc", f"bar: {BAR:g} s"]
    print_table("import time in fresh processes, seconds (medians)", columns, rows)
    report({"imports": runs}, arguments.json)


if __name__ == "__main__":
    main()
