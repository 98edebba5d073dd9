"""What the parts of a kernel agree on: the arguments of a trial, and how many trials go together."""

from __future__ import annotations

# Trials per tile: activations, slopes and derivatives of a network of two layers of 24 fit in 32 kB.
TILE = 64
# Trials per call of a closed-form part.
LANES = 8
# What comes before the parameters among the arguments of a trial, and in the rows of an Op's input.
LEADING = ("rt", "response", "deadline")
# The closed-form parts, and what they take before the parameters.
PARTS = {"density": ("rt", "response"), "nogo": ("deadline",)}
# Rows of codes, which nothing is differentiated by.
CODES = frozenset({LEADING.index("response")})


def part_rows(part: str, n_parameters: int) -> list[int]:
    """The rows of a tile that a closed-form part takes: a parameter is its position, whatever its name."""
    first = len(LEADING)
    return [*map(LEADING.index, PARTS[part]), *range(first, first + n_parameters)]


def smooth_rows(part: str, n_parameters: int) -> list[int]:
    """Those that its result is differentiated by."""
    return [row for row in part_rows(part, n_parameters) if row not in CODES]
