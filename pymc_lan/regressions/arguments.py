"""The arguments of `pymc_lan.regression`, read into a description."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.observed import RESPONSE
from pymc_lan.data.tables import AUTO, SUBJECTS, as_table, every_name, floats, spelled, subject_column
from pymc_lan.errors import explain, is_real, unknown
from pymc_lan.models.model import Model
from pymc_lan.registry.sources import get_model
from pymc_lan.regressions.coding import boundaries
from pymc_lan.regressions.description import Description, Given
from pymc_lan.regressions.formula import Formula
from pymc_lan.regressions.plan import D_PRESS
from pymc_lan.regressions.priors import Prior, as_prior

if TYPE_CHECKING:
    import pandas as pd

# Parameters of the task that may be estimated, by distribution.
OF_TASK = {"GoNoGo": ("v_nogo", "p_lapse", "lapse_go"), "LANDist": ("p_lapse",), "ChoiceDist": ("p_lapse",)}
# Arguments that name a column unless they are values.
OF_COLUMNS = ("trial_type", "deadline", "response", "lapse_window")
# Those that may be two of these.
OF_PARTS = ("rt_interval", "truncation")


def describe(
    model: Any,
    data: Any,
    given: Mapping[str, Any],
    formulas: Mapping[str, Any] | None,
    priors: Mapping[str, Any] | None,
    *,
    go_nogo: bool,
    task: Mapping[str, Any],
    accuracy: str | None,
    stimulus: str | None,
) -> Description:
    """Read the arguments of `pymc_lan.regression`; what is wrong with them is a ValueError."""
    table = as_pandas(data)
    spec = get_model(model)
    blank = Description(model, table, {}, go_nogo=go_nogo)
    parameters = _parameters(spec, blank.distribution, _once(given, formulas or {}), list(table.columns))
    task = {name: _task_argument(name, value, table) for name, value in task.items()}
    _refuse_outcomes(parameters, table, ("rt", RESPONSE, accuracy, task.get("response")))
    if accuracy is not None or stimulus is not None:
        table = _coded(table, spec, accuracy, stimulus, go_nogo=go_nogo, parameters=parameters, task=task)
    own = {name: _prior(name, value) for name, value in (priors or {}).items()}
    kept = _used(table, parameters, task, (accuracy, stimulus))
    found = Description(model, table[kept], parameters, own, go_nogo, task, accuracy, stimulus)
    if go_nogo and "trial_type" not in task:
        _refuse_two_meanings(found)
    return found


def as_pandas(data: Any) -> pd.DataFrame:
    """The table in pandas, its rows numbered from 0."""
    import pandas as pd

    every_name(data)
    if isinstance(data, pd.DataFrame):
        # A category that does not occur has no trials, and a column of nothing but zeros.
        categories = data.select_dtypes("category")
        occur = {name: categories[name].cat.remove_unused_categories() for name in categories}
        # Numbers in a column of objects, as a table read piece by piece has, are numbers.
        return data.assign(**occur).infer_objects().reset_index(drop=True)
    table = as_table(data, "data")
    return pd.DataFrame({name: table[name].to_list() for name in table.columns})


def _once(given: Mapping[str, Any], formulas: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by name and by formulas=, each once."""
    for name in formulas:
        if name in given:
            found = f"{name}=... and formulas={{{name!r}: ...}}"
            raise ValueError(explain(f"{name} once", found, "leave one of them out"))
    return {**given, **formulas}


def _parameters(spec: Model, distribution: str, given: dict[str, Any], columns: list[Any]) -> dict[str, Given]:
    """Every parameter of the model in its order, then those of the task that are given."""
    keywords = {p.keyword: p.name for p in spec.parameters}
    given = {keywords.get(name, name): x for name, x in given.items()}
    others = OF_TASK[distribution] + ((D_PRESS,) if distribution == "GoNoGo" and {"a", "z"} <= {*spec.names} else ())
    for name in given:
        if name not in (*spec.names, *others):
            raise ValueError(unknown("parameter", name, [*spec.names, *others], of=f"model {spec.name!r}"))
    if D_PRESS in given and "z" in given:
        expected = f"{D_PRESS} in place of z, which follows from it and a"
        raise ValueError(explain(expected, "both", "leave one of them out"))
    default = _left_out(columns)
    found: dict[str, Given] = {}
    for p in spec.parameters:
        if p.name in given:
            found[p.name] = _parameter(p.name, given[p.name])
        elif p.name == "z" and D_PRESS in given:
            found[D_PRESS] = _formula(given[D_PRESS])
        else:
            found[p.name] = default if p.default is None else p.default
    return found | {name: _parameter(name, x) for name, x in given.items() if name in others and name != D_PRESS}


def _left_out(columns: list[Any]) -> str:
    """A parameter of which nothing is said: it varies over subjects, where a column says who they are."""
    whose = subject_column(name for name in columns if isinstance(name, str))
    if whose is None:
        return "1"
    return f"1 + (1 | {whose if whose.isidentifier() else f'`{whose}`'})"


def _formula(value: Any) -> str:
    if isinstance(value, str):
        return value
    remedy = f"write {D_PRESS}='1', or give z"
    raise ValueError(explain(f"a formula as {D_PRESS}", f"{value!r:.60}", remedy))


def _parameter(name: str, value: Any) -> Given:
    """A formula, a number, or a prior."""
    if isinstance(value, str):
        return value
    number = is_real(value)
    if number:
        return float(value)
    if isinstance(value, Prior) or hasattr(value, "owner"):
        return as_prior(name, value)
    expected = f"as {name} a formula, a number, or a prior of one value for all trials"
    remedy = f"write {name}='1 + condition', {name}=0.5 or {name}=pm.Normal.dist(0, 1); values of trials are a column"
    raise ValueError(explain(expected, f"an object of type {type(value).__name__}", remedy))


def _prior(name: str, value: Any) -> Prior | float | None:
    if name.endswith("_corr") and (value is None or isinstance(value, numbers.Real)):
        if value is not None and value <= 0:
            raise ValueError(explain(f"a number above 0, or None, as {name}", f"{value}", "2 is the default"))
        return None if value is None else float(value)
    return as_prior(name, value)


def _task_argument(name: str, value: Any, table: pd.DataFrame) -> Any:
    """What the distribution takes beside parameters: text, numbers and mappings, which can be written down."""
    plain = all(x is None or isinstance(x, str | Mapping | numbers.Real) for x in _each(name, value))
    if name in (*OF_COLUMNS, *OF_PARTS) and not plain:
        expected = f"as {name} the name of a column, a number, or what codes stand for"
        raise ValueError(explain(expected, f"an object of type {type(value).__name__}", "make a column of it"))
    if name in OF_COLUMNS and isinstance(value, str) and value != AUTO and value not in table.columns:
        raise ValueError(unknown("column", value, [str(each) for each in table.columns]))
    return float(value) if isinstance(value, numbers.Real) else value


def _each(name: str, value: Any) -> Sequence[Any]:
    """What an argument is made of."""
    return value if name in OF_PARTS and isinstance(value, tuple | list) else (value,)


def _coded(
    table: pd.DataFrame,
    spec: Model,
    accuracy: str | None,
    stimulus: str | None,
    *,
    go_nogo: bool,
    parameters: Mapping[str, Given],
    task: Mapping[str, Any],
) -> pd.DataFrame:
    """The table with a column of boundaries made of whether answers were right."""
    if accuracy is None:
        found = "stimulus=... alone"
        raise ValueError(
            explain("accuracy=..., the column that says what was right", found, "give it, or leave both out")
        )
    if go_nogo or len(spec.choices) != 2 or "response" in task:
        found = (
            "go/no-go trials" if go_nogo else "response=..." if "response" in task else f"{len(spec.choices)} of them"
        )
        remedy = "give the responses themselves, in a column 'response'"
        raise ValueError(explain("accuracy=... of trials with two choices and no other response", found, remedy))
    for name in filter(None, (accuracy, stimulus)):
        if name not in table.columns:
            raise ValueError(unknown("column", name, [str(each) for each in table.columns]))
    if stimulus is None and parameters.get("z", 0.5) != 0.5:
        expected = (
            "z = 0.5 where the boundaries are right and wrong, because nobody knows what is right before the start"
        )
        remedy = "give stimulus=..., and z is a preference for a response; or leave z out"
        raise ValueError(explain(expected, f"z={parameters['z']!r:.60}", remedy))
    silent = _silent(table, accuracy, lost=task.get("missing") == "lost")
    answers = table[accuracy].mask(silent, 0) if silent.any() else table[accuracy]
    found = _codes(spec, boundaries(answers, table[stimulus] if stimulus else None))
    return table.assign(**{RESPONSE: np.where(silent, np.nan, found) if silent.any() else found})


def _silent(table: pd.DataFrame, accuracy: str, *, lost: bool) -> NDArray[np.bool_]:
    """Trials without a response: of neither time nor answer or, where no times were lost, an answer that is wrong."""
    if "rt" not in table.columns:
        return np.zeros(len(table), bool)
    rt, answer = (floats(table[name].to_numpy(dtype=object))[0] for name in ("rt", accuracy))
    return ~np.isfinite(rt) & (np.isnan(answer) | ((answer <= 0) & (not lost)))


def _codes(spec: Model, side: Any) -> Any:
    """Boundaries as the codes of a model's choices."""
    return np.where(side > 0, max(spec.choices), min(spec.choices))


def _used(
    table: pd.DataFrame, parameters: Mapping[str, Given], task: Mapping[str, Any], more: tuple[str | None, ...]
) -> list[str]:
    """The columns that the formulas use, those of the trials, and who the subjects are."""
    names = {"rt", RESPONSE, "trial_type", "deadline", *filter(None, more)}
    names |= {x for name, x in task.items() if name in OF_COLUMNS and isinstance(x, str)}
    for given in (task.get("rt_interval"), task.get("truncation")):
        names |= {x for x in (given if isinstance(given, tuple | list) else (given,)) if isinstance(x, str)}
    for name, text in parameters.items():
        if isinstance(text, str):
            names |= Formula.variables_of(name, text, table)
    return [c for c in table.columns if isinstance(c, str) and (c in names or spelled(c) in SUBJECTS)]


def _refuse_outcomes(parameters: Mapping[str, Given], table: pd.DataFrame, names: tuple[Any, ...]) -> None:
    """Refuse formulas that have in them what is to be explained: no density of rt and response follows from these."""
    outcomes = {name for name in names if isinstance(name, str)}
    for name, text in parameters.items():
        if isinstance(text, str) and (found := sorted(outcomes & Formula.variables_of(name, text, table))):
            expected = f"what is known before the response, in the formula {text!r} of {name}"
            remedy = "leave it out; if the trial before is meant, make a column of it"
            raise ValueError(explain(expected, f"{found[0]!r} of the same trial", remedy))


def _refuse_two_meanings(description: Description) -> None:
    """Refuse a column that would turn the drift around and stands in its formula, too."""
    v = description.parameters.get("v")
    if not isinstance(v, str) or "trial_type" not in Formula.variables_of("v", v, description.table):
        return
    expected = "trial_type=..., because the column 'trial_type' is in the formula of v"
    found = "nothing; by default it makes v the drift on go trials and -v that on no-go trials"
    remedy = (
        "give trial_type=None where the formula has all drifts, or trial_type='trial_type' where v is turned around"
    )
    raise ValueError(explain(expected, found, remedy))
