"""Models as data: priors of PyMC's distributions by name, and one of our distributions of all trials.

That is how the model of a stored network travels: a function that builds it would have to be code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from pymc_lan.data.observation import of_choices
from pymc_lan.data.observed import read_observed
from pymc_lan.distributions.landist import LANDist
from pymc_lan.distributions.nodes import trial_node
from pymc_lan.distributions.trial_rv import TrialRV
from pymc_lan.errors import explain
from pymc_lan.inference.subjects.ends import of_numbers
from pymc_lan.inference.subjects.reading import Alike
from pymc_lan.registry.sources import get_model

# Of these PyMC has no random variable of their own: one is made of another, one is a function of another.
TRUNCATED, LOGIT_NORMAL = "Truncated", "LogitNormal"


@final
@dataclass(frozen=True, slots=True)
class Described:
    """A model of one subject's table.

    Parameters
    ----------
    priors : mapping of str to mapping
        By variable: ``distribution``, the name of a class of PyMC, and ``parameters``, numbers in the order of its
        random variable; or ``distribution`` as ``Truncated`` with ``of``, another such entry, ``lower`` and ``upper``.
    likelihood : str
        A model's name, as `pymc_lan.LANDist` takes it.
    arguments : mapping of str to (str or float)
        Its parameters: the name of a variable, or a number.

    Examples
    --------
    >>> import pandas as pd
    >>> prior = {"v": {"distribution": "Normal", "parameters": [0.0, 2.0]}}
    >>> build = Described(prior, "ddm", {"v": "v", "a": 1.0, "z": 0.5, "t": 0.3})
    >>> build(pd.DataFrame({"rt": [0.6, 0.7], "response": [1, -1]})).free_RVs
    [v]
    """

    priors: Mapping[str, Mapping[str, Any]]
    likelihood: str
    arguments: Mapping[str, Any]

    def __call__(self, df: Any) -> Any:
        """Build it."""
        return self._model(lambda: df)

    def reading(self, df: Any, by: str) -> Alike:
        """Of a table of many subjects, whose models are one that takes their trials."""
        import pymc as pm

        trials = np.asarray(read_observed(df, of_choices(get_model(self.likelihood).choices)))
        return Alike(self, lambda own: self._model(lambda: pm.Data("trials", own)), trials, df, by)

    def _model(self, observed: Callable[[], Any]) -> Any:
        import pymc as pm

        with pm.Model() as model:
            made = {name: _registered(model, name, prior) for name, prior in self.priors.items()}
            values = {k: made[x] if isinstance(x, str) else x for k, x in self.arguments.items()}
            LANDist("obs", self.likelihood, observed=observed(), deadline=None, **values)
        return model


def describe(model: Any) -> Described | None:
    """A model as data; None where it is another kind of model."""
    if len(model.observed_RVs) != 1 or model.deterministics or model.potentials:
        return None
    node = trial_node(model.observed_RVs[0])
    if node is None or not isinstance(node.op, TrialRV) or node.op.lapses or node.op.lan is None:
        return None
    if node.op.observation != of_choices(node.op.spec.choices):
        return None
    priors = {rv.name: _described(rv) for rv in model.free_RVs}
    arguments = {}
    for name, x in zip(node.op.parameters, node.inputs[2:], strict=True):
        if name in node.op.spec.names:
            arguments[name] = _argument(x, model)
    if any(x is None for x in (*priors.values(), *arguments.values())):
        return None
    return Described({k: x for k, x in priors.items() if x is not None}, node.op.spec.name, arguments)


def _argument(x: Any, model: Any) -> str | float | None:
    from pytensor.graph.basic import Constant
    from pytensor.tensor.elemwise import DimShuffle

    while x.owner is not None and isinstance(x.owner.op, DimShuffle):
        x = x.owner.inputs[0]
    if isinstance(x, Constant) and x.data.size == 1:
        return float(x.data.item())
    return x.name if x in model.free_RVs else None


def _described(rv: Any) -> dict[str, Any] | None:
    from pymc.distributions.truncated import TruncatedRV

    node = rv.owner
    if rv.ndim or not of_numbers(rv):
        return None
    numbers = [float(x.eval()) for x in node.inputs if getattr(x, "ndim", None) == 0]
    if isinstance(node.op, TruncatedRV):
        name = _name(node.op.base_rv_op)
        inner = {"distribution": name, "parameters": numbers[:-2]}
        found = {"distribution": TRUNCATED, "of": inner, "lower": numbers[-2], "upper": numbers[-1]}
    else:
        name = _name(node.op)
        found = {"distribution": name, "parameters": numbers}
    return None if name is None else found


def _name(op: Any) -> str | None:
    """Of the class of PyMC whose random variable this is."""
    import pymc as pm

    return next((name for name in pm.distributions.__all__ if type(op) is _kind(getattr(pm, name, None))), None)


def _kind(distribution: Any) -> Any:
    """The random variable of a class of PyMC, where it has one."""
    from pytensor.tensor.random.op import RandomVariable

    own = getattr(distribution, "rv_op", None)
    return type(own) if isinstance(own, RandomVariable) else None


def _registered(model: Any, name: str, prior: Mapping[str, Any]) -> Any:
    """A variable of a model."""
    from pymc.distributions.transforms import logodds

    own = {"transform": logodds} if prior["distribution"] == LOGIT_NORMAL else {}
    return model.register_rv(_prior(prior), name, **own)


def _prior(prior: Mapping[str, Any]) -> Any:
    """A random variable."""
    import pymc as pm
    import pytensor.tensor as pt

    if prior["distribution"] == TRUNCATED:
        return pm.Truncated.dist(_prior(prior["of"]), lower=prior["lower"], upper=prior["upper"])
    if prior["distribution"] == LOGIT_NORMAL:
        return pm.LogitNormal.dist(*prior["parameters"])
    found: Any = getattr(pm, prior["distribution"], None)
    if prior["distribution"] not in pm.distributions.__all__ or _kind(found) is None:
        remedy = "give build, or a newer version of PyMC"
        raise ValueError(explain("a distribution of PyMC", f"{prior['distribution']!r:.80}", remedy))
    numbers = [pt.constant(x, dtype="float64") for x in prior["parameters"]]
    _, made = found.rv_op(*numbers, rng=pt.random.shared_rng(seed=None), return_next_rng=True)
    return made
