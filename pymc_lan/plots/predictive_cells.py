"""Response times of a regression's trials against predicted ones, in the cells of its design."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.observed import RESPONSE
from pymc_lan.data.tables import AUTO
from pymc_lan.distributions.nodes import observed_trials, trial_node
from pymc_lan.errors import explain, unknown
from pymc_lan.plots.predictive import predictive, predictive_gonogo
from pymc_lan.plots.trials import CHOICES

Float = NDArray[np.float64]

# Of answers that were right or wrong, in place of boundaries.
FOLDED = {1: "correct", -1: "error"}


def predictive_cells(
    reg: Any,
    idata: Any = None,
    *,
    by: str | Sequence[str] | None = None,
    n_bins: int = 30,
    last: float | None = None,
    prob: float = 0.9,
    n_draws: int = 200,
    seed: int | None = 0,
    ax: Any = None,
) -> Any:
    """Plot response times of a regression's data against predictions, a panel for each cell of the design.

    As `predictive`, or of go/no-go trials as `predictive_gonogo`. Where the regression was given whether answers were
    right, correct ones are drawn upwards and errors downwards, whichever response was which. Trials of which something
    was lost are left out, and predictions for them with them.

    Parameters
    ----------
    reg : Regression
        Of trials with times.
    idata : DataTree, optional
        By default the draws of its last `sample`.
    by : str or sequence of str, optional
        Columns whose combinations make the panels; by default the conditions in the formulas.
    n_bins, last, prob, ax
        As of `predictive`.
    n_draws : int
        Predicted data sets.
    seed : int, optional
        Of these.

    Returns
    -------
    Axes, or ndarray of Axes

    Raises
    ------
    ValueError
        For another model, or columns that the regression does not have.

    Examples
    --------
    >>> import arviz as az, numpy as np, pymc_lan as pl
    >>> df = pl.simulate("ddm", dict(v=1.0, a=1.0, z=0.5, t=0.3), n=60, seed=1)
    >>> df["speed"] = ["fast", "slow"] * 30
    >>> reg = pl.regression("ddm", df, v="speed", a=1.0, t=0.3)
    >>> idata = az.from_dict({"posterior": dict(v=np.tile([1.0, 0.2], (2, 50, 1)))})  # of reg.sample(), in earnest
    >>> [ax.get_title() for ax in pl.plots.predictive_cells(reg, idata)]
    ['fast', 'slow']
    """
    import pandas as pd

    d, spec = reg.description, reg.plan.spec
    if not spec.times:
        found, remedy = f"{spec.name!r}, without times", "plot some of reg.predict(idata, kind='trials') by hand"
        raise ValueError(explain("a regression of times and choices", found, remedy))
    names = [by] if isinstance(by, str) else _conditions(reg) if by is None else [*by]
    for name in names:
        if name not in d.table:
            raise ValueError(unknown("column", name, map(str, d.table.columns), of="the regression"))
    drawn = reg.predict(idata, kind="trials", n_draws=n_draws, seed=seed)
    predicted = np.stack([drawn[name].to_numpy().reshape(-1, len(d.table)) for name in ("rt", RESPONSE)], -1)
    observed, codes = observed_trials(reg.model, reg.model["obs"]).copy(), spec.choices
    choices: dict[int, str] = CHOICES if {*codes} == {*CHOICES} else {code: f"{code}" for code in codes}
    if d.accuracy is not None:
        for rows, up in ((observed, d.table[d.accuracy].to_numpy() == 1), (predicted, drawn[d.accuracy].to_numpy())):
            side = np.where(up.reshape(rows.shape[:-1]), 1.0, -1.0)
            rows[..., 1] = np.where(np.isinf(rows[..., 0]), 0.0, side)
        choices = FOLDED
    shown = pd.DataFrame({"rt": observed[:, 0], RESPONSE: observed[:, 1]})
    options: dict[str, Any] = {"n_bins": n_bins, "last": last, "prob": prob, "n_draws": len(predicted), "ax": ax}
    if names:
        shown["cell"], options["condition"] = _cells(d.table, names), "cell"
    if (limits := _deadlines(reg)) is not None:
        shown["deadline"] = limits
    whole = np.isinf(observed[:, 0]) | ((observed[:, 0] > 0) & np.isin(observed[:, 1], [*choices]))
    shown, predicted = shown[whole], predicted[:, whole]
    if d.go_nogo:
        return predictive_gonogo(predicted, shown, **options)
    return predictive(predicted, shown, choices=choices, **options)


def _deadlines(reg: Any) -> Any:
    """When response windows ended, a number or one for each trial; None where that is nothing to the model."""
    node, given = trial_node(reg.model["obs"]), reg.description.task.get("deadline", AUTO)
    assert node is not None
    if not node.op.observation.silent:
        return None
    name = "deadline" if given == AUTO else given
    return name if not isinstance(name, str) else reg.description.table.get(name)


def _conditions(reg: Any) -> list[str]:
    """The conditions in all formulas, in the order in which they come first."""
    grids = (reg.grid(name) for name in reg.description.formulas)
    return list(dict.fromkeys(name for cells in grids for name in cells if cells[name].nunique() > 1))


def _cells(table: Any, names: Sequence[str]) -> Any:
    """A name for the cell of each trial, as a category in the order of the columns."""
    import pandas as pd

    rows = table[[*names]].drop_duplicates().sort_values([*names])
    order = [", ".join(map(str, row)) for row in rows.itertuples(index=False)]
    return pd.Categorical([", ".join(map(str, row)) for row in table[[*names]].itertuples(index=False)], order)
