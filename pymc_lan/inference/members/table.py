"""What was done with every variable of a model, and how much the data know of each member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain
from pymc_lan.inference.members.groups import Group, Part
from pymc_lan.inference.members.plug_in import PlugIn

if TYPE_CHECKING:
    import pandas as pd

Float = NDArray[np.float64]

# Where a model keeps what was found.
ATTRIBUTE = "_pymc_lan_informed"
COLUMNS = ["variable", "member", "effect", "known", "done"]


def informed_table(model: Any) -> pd.DataFrame:
    """What `pymc_lan.informed` did with every free variable, and how much the data know of each member.

    Parameters
    ----------
    model : pm.Model
        What `pymc_lan.informed` returned.

    Returns
    -------
    DataFrame
        A row for each effect of each member, and one for each other variable. ``variable`` is its name;
        ``member`` and ``effect`` say which of its values, by the model's coordinates (empty: there is one only).
        ``known`` is the share of what is known of the value that comes from its data, h sd^2 / (1 + h sd^2), where h is
        the precision of the likelihood and sd the group's standard deviation, both by empirical Bayes: near 1 members
        stand on their own, near 0 on their group. ``done`` says what was done, or why nothing was.

    Raises
    ------
    ValueError
        If the model is not one that `pymc_lan.informed` returned, or comes from one by `pm.do` or `pm.observe`.

    Examples
    --------
    >>> import numpy as np, pymc as pm, pymc_lan as pl
    >>> with pm.Model(coords={"school": list("abc")}) as model:
    ...     mean, sd = pm.Normal("mean", 0, 5), pm.HalfNormal("sd", 5)
    ...     effect = pm.Normal("effect", mean, sd, dims="school")
    ...     obs = pm.Normal("obs", effect, [1, 5, 100], observed=[3.0, 8.0, -2.0])
    >>> table = pl.informed_table(pl.informed(model))
    >>> table["variable"].tolist()
    ['effect', 'effect', 'effect', 'mean', 'sd']
    >>> bool(table["known"][0] > table["known"][1] > table["known"][2])
    True
    """
    found: pd.DataFrame = _report(model).table.copy()
    return found


def found_at(model: Any) -> dict[str, Float]:
    """The group's values by empirical Bayes, as ``pm.sample(initvals=...)`` takes them; members start at their modes.

    Parameters
    ----------
    model : pm.Model
        What `pymc_lan.informed` returned.

    Returns
    -------
    dict of str to ndarray
        Free variables that are no members by name, on their own scale.

    Raises
    ------
    ValueError
        As `informed_table`.
    """
    return dict(_report(model).start)


@dataclass(frozen=True, eq=False)
class Report:
    """What was done, and where.

    Parameters
    ----------
    table : DataFrame
    start : dict of str to ndarray
    """

    table: pd.DataFrame
    start: dict[str, Float]


def attach(
    copy: Any, model: Any, plug_ins: Sequence[PlugIn], others: Mapping[str, str], start: dict[str, Float]
) -> None:
    """Keep with a copy of a model what was done.

    Parameters
    ----------
    copy, model : pm.Model
    plug_ins : sequence of PlugIn
    others : mapping of str to str
        The variables that are no members, and what was done with them.
    start : dict of str to ndarray
    """
    setattr(copy, ATTRIBUTE, Report(_table(model, plug_ins, others), start))


def _report(model: Any) -> Report:
    report = getattr(model, ATTRIBUTE, None)
    if not isinstance(report, Report):
        remedy = "pass what pl.informed(model) returns"
        raise ValueError(explain("a model that pl.informed returned", "another one", remedy))
    return report


def _table(model: Any, plug_ins: Sequence[PlugIn], others: Mapping[str, str]) -> pd.DataFrame:
    import pandas as pd

    parts = [_rows(model, plug_in, part) for plug_in in plug_ins for part in plug_in.group.parts]
    parts.append(pd.DataFrame([(name, "", "", np.nan, done) for name, done in others.items()], columns=COLUMNS))
    return pd.concat([x for x in parts if len(x)], ignore_index=True)


def _rows(model: Any, plug_in: PlugIn, part: Part) -> pd.DataFrame:
    import pandas as pd

    known = plug_in.known()[:, plug_in.group.columns(part)]
    members, effects = _labels(model, part)
    return pd.DataFrame(
        {
            "variable": part.rv.name,
            "member": np.repeat(members, part.n_effects),
            "effect": np.tile(effects, part.n_members),
            "known": known.ravel(),
            "done": _done(plug_in, plug_in.group),
        }
    )[COLUMNS]


def _done(plug_in: PlugIn, group: Group) -> str:
    words = "informed"
    if group.n_effects > 1:
        others = len(group.parts) - 1
        words += f", {group.n_effects} correlated effects of a member" + f" with {others} other variables" * (
            others > 0
        )
    if plug_in.pulls:
        words += f", pulled by {', '.join(rv.name for rv in plug_in.pulls)}"
    return words


def _labels(model: Any, part: Part) -> tuple[list[str], list[str]]:
    """Of the members and of the effects, by the model's coordinates or by number."""
    dims = model.named_vars_to_dims.get(part.rv.name) or (None,) * len(part.shape)
    names = [
        [str(x) for x in (model.coords.get(dim) if dim is not None else None) or range(n)]
        for dim, n in zip(dims, part.shape, strict=True)
    ]
    others = [names[i] for i in range(len(names)) if i != part.axis]
    effects = [", ".join(row) for row in product(*others)]
    return ([""] if part.axis is None else names[part.axis]), effects
