"""Time what it takes to load a network, from the package and from the hub's cache, and to learn that there is no hub.

    python benchmarks/weights.py [--rounds 50] [--json FILE]

The hub is the one of the tests, on the loopback address, with the shipped registry; loads verify every hash, in a warm
process that forgets what it has loaded.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable

from _common import BENCHMARKS, Json, argument_parser, median, print_table, report

sys.path.insert(0, str(BENCHMARKS.parent / "tests"))
from hub_server import Hub, Repository

# Seconds: of a load from the package, of one from the cache, and until an error without a hub.
BARS = {"embedded": 0.010, "cached": 0.020, "unreachable": 5.0}


def timed(rounds: int, prepare: Callable[[], object], call: Callable[[], object]) -> list[Json]:
    """Seconds of each call; the first only warms up."""
    seconds = []
    for _ in range(rounds + 1):
        prepare()
        start = time.perf_counter()
        call()
        seconds.append({"s": time.perf_counter() - start})
    return seconds[1:]


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    arguments = parser.parse_args()
    hub = Hub()
    hub.repositories["lab/nets"] = Repository()
    silent = socket.create_server(("127.0.0.1", 0), backlog=5)
    with tempfile.TemporaryDirectory() as home:
        # The client reads both when it is imported.
        os.environ |= {"HF_ENDPOINT": hub.endpoint, "HF_HOME": home, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        from huggingface_hub import constants

        import pymc_lan as pl
        from pymc_lan.registry import load as registry

        hub.repositories["lab/nets"].commit_folder(registry.embedded_root())
        forget = registry._load_named.cache_clear

        def fail() -> None:
            try:
                pl.load_network("lab/others:ddm")
            except pl.RegistryError:
                return
            raise AssertionError("Expected an error. Found a network. Remedy: stop the hub first.")

        runs = {}
        runs["fresh pull of one version"] = timed(5, forget, lambda: pl.pull("lab/nets:ddm"))
        pl.pull("lab/nets")
        for model in ("ddm", "gamma_drift_angle"):
            runs[f"embedded {model}"] = timed(arguments.rounds, forget, lambda m=model: pl.load_network(m))
            runs[f"cached {model}"] = timed(arguments.rounds, forget, lambda m=model: pl.load_network(f"lab/nets:{m}"))
        hub.stop()
        runs["unreachable: refused"] = timed(3, forget, fail)
        template = "http://127.0.0.1:{}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        constants.HUGGINGFACE_CO_URL_TEMPLATE = template.format(silent.getsockname()[1])
        runs["unreachable: accepts and says nothing"] = timed(1, forget, fail)
    rows = []
    for name, seconds in runs.items():
        bar = BARS.get(name.split()[0].strip(":"))
        found = median(seconds, "s")
        verdict = "" if bar is None else "met" if found < bar else "MISSED"
        rows.append((name, 1000 * found, "" if bar is None else 1000 * bar, verdict))
    print_table("loading a network, milliseconds (medians)", ["what", "measured", "bar", ""], rows)
    report({"weights": runs}, arguments.json)


if __name__ == "__main__":
    main()
