"""Trials that a model has no data of: drawn, observed later and then checked, but not sampled like a parameter."""

from __future__ import annotations

from typing import Any

from pytensor.compile.ops import TypeCastingOp
from pytensor.graph.basic import Apply, Variable
from pytensor.tensor.variable import TensorVariable

from pymc_lan.errors import explain

# What the tag of a value says whose trials it would be.
_WHOSE = "pymc_lan_trials"


def require_data(name: str) -> None:
    """Refuse to sample trials.

    Raises
    ------
    ValueError
        Always.
    """
    found = "none, so its trials would be sampled as if they were parameters"
    remedy = f"give {name!r} its trials by observed=... or by pm.observe; to draw some, pm.sample_prior_predictive"
    raise ValueError(explain(f"data of {name!r}", found, remedy))


class _Unobserved(TypeCastingOp):
    """Trials as they are, which no sampler moves: there is no gradient by them.

    No ViewOp, because PyMC has those taken out of a log density before it derives that.
    """

    __props__ = ("of",)

    def __init__(self, of: str):
        self.of = of

    def make_node(self, *inputs: Variable) -> Apply:
        """Trials of the type that is given."""
        return Apply(self, list(inputs), [inputs[0].type()])

    def infer_shape(self, node: Apply, shapes: list[Any]) -> list[Any]:
        """As many trials as there are."""
        return shapes

    def pullback(self, *args: Any) -> list[Any]:
        """Say that data are missing: samplers, and nothing else, ask for this gradient of a model."""
        require_data(self.of)
        return []


def mark_unobserved(name: str, op: Any, value: TensorVariable) -> None:
    """Have gradients by the value of a variable without data be refused, in its name, and other values be checked."""
    setattr(value.tag, _WHOSE, name)
    op.unobserved = True


def seen_or_refused(value: TensorVariable) -> TensorVariable:
    """Hand on the value of a variable; one that was marked has no gradient."""
    whose = getattr(value.tag, _WHOSE, None)
    found: TensorVariable = value if whose is None else _Unobserved(whose)(value)  # type: ignore[assignment]
    return found
