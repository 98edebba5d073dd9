"""What dies in worker processes; light to import, because they do."""

from __future__ import annotations

import os
import signal
from pathlib import Path

# The file that a worker leaves before it dies, so that the next one lives.
FLAG = "PYMC_LAN_TEST_FLAG"
# Deadly to every process.
DEADLY = 7


def die() -> None:
    """End this process as the kernel would."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_once() -> None:
    """The same, if it is a worker and the first to come here."""
    flag = os.environ.get(FLAG)
    if flag is None:
        return
    try:
        Path(flag).touch(exist_ok=False)
    except FileExistsError:
        return
    die()


def square(x):
    """The fifth task kills, once."""
    if x == 5:
        die_once()
    return x * x


def deadly_square(x):
    """The same, of which every process dies."""
    if x == DEADLY:
        die()
    return x * x


def fits(job):
    """Stand-ins for the fits of a chunk: numbers that tell the simulation, and of which one process dies."""
    if 5 in job.index:
        die_once()
    x = job.index / 100
    stats = dict.fromkeys(("tarp", "diverging", "ess", "r_hat"), x)
    return {f"{kind}/{name}": x[:, None] * [1, 1] for kind in ("pit", "mean", "sd") for name in job.truth} | stats


def deadly_fits(job):
    """The same, of which every process dies that comes to one simulation."""
    if DEADLY in job.index:
        die()
    return fits(job)
