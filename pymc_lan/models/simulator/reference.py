"""The density that networks of a simulator correct: fitted, and stored with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """A network of one hidden layer, from scaled parameters to location, log spread and logit of each choice.

    Of a symmetric model, to those of one choice; parameters as each other choice sees them give the rest.

    Parameters
    ----------
    inner : tuple of tuple of float
        For each hidden unit its weights and, last, its bias.
    outer : tuple of tuple of float
        The same for each output; outputs are ordered by choice, then location, log spread and logit.
    """

    inner: tuple[Row, ...]
    outer: tuple[Row, ...]

    def __call__(self, xp: Any, inputs: Sequence[Any]) -> list[Any]:
        """Evaluate all outputs, elementwise."""
        hidden = []
        for row in self.inner:
            x = _affine(row, inputs)
            hidden.append((x + xp.sqrt(x * x + 1)) / 2)
        return [_affine(row, hidden) for row in self.outer]

    def as_lists(self) -> dict[str, list[list[float]]]:
        """The weights as a config stores them."""
        return {"inner": [list(row) for row in self.inner], "outer": [list(row) for row in self.outer]}

    @classmethod
    def from_lists(cls, stored: Mapping[str, Sequence[Sequence[float]]]) -> Reference:
        """Rebuild it from a config."""
        return cls(*(tuple(tuple(float(x) for x in row) for row in stored[key]) for key in ("inner", "outer")))


def _affine(row: Row, inputs: Sequence[Any]) -> Any:
    return row[-1] + sum(w * x for w, x in zip(row[:-1], inputs, strict=True))
