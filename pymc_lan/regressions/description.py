"""A regression as plain data: what a user asked for, and the table. All else is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pymc_lan.distributions.base import resolve_model
from pymc_lan.models.model import Model
from pymc_lan.networks.network import Network
from pymc_lan.registry.sources import AnyModel, get_model
from pymc_lan.regressions.priors import Prior

if TYPE_CHECKING:
    import pandas as pd

Given = str | float | Prior
"""How a parameter is given: a formula, a number, or a prior of one value for all trials."""


@dataclass(frozen=True, slots=True, eq=False)
class Description:
    """What `pymc_lan.regression` was asked for.

    Parameters
    ----------
    model : str, path, Model or Network
    table : DataFrame
        The columns that are used, and those of the response.
    parameters : mapping of str to str, float or Prior
        By name, in the order of the model.
    priors : mapping of str to Prior, float or None
        In place of default ones: by the name of a variable, or of one of its values, as in ``"v[Intercept]"``. Of
        correlations the parameter of the LKJ distribution; None for no correlations.
    go_nogo : bool
    task : mapping of str to object
        Arguments of the distribution that say what the trials are, as they were given.
    accuracy, stimulus : str, optional
        Columns that the responses were made of.
    """

    model: AnyModel
    table: pd.DataFrame
    parameters: Mapping[str, Given]
    priors: Mapping[str, Prior | float | None] = field(default_factory=dict)
    go_nogo: bool = False
    task: Mapping[str, Any] = field(default_factory=dict)
    accuracy: str | None = None
    stimulus: str | None = None

    @property
    def formulas(self) -> dict[str, str]:
        """The parameters that have one."""
        return {name: given for name, given in self.parameters.items() if isinstance(given, str)}

    @property
    def distribution(self) -> str:
        """The distribution of the trials, a name in `pymc_lan`."""
        if self.go_nogo:
            return "GoNoGo"
        return "LANDist" if get_model(self.model).times else "ChoiceDist"

    def resolve(self) -> tuple[Model, Network | None]:
        """The model and its network, None of a closed form."""
        return resolve_model(self.model, self.task.get("weights"), self.task.get("likelihood"))
