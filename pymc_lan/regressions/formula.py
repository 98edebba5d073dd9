"""Formulas: design matrices of a table of trials, and of new tables in the same columns. `formulae` parses them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain, refuse, unknown

if TYPE_CHECKING:
    import pandas as pd

Float = NDArray[np.float64]

INTERCEPT = "Intercept"
# Parentheses without others in them.
_INNERMOST = re.compile(r"\([^()]*\)")
# What formulae does not parse: (x || g), the effects of g without correlations.
_UNCORRELATED = re.compile(r"\|\|\s*([^()|]+)\)")


@dataclass(frozen=True, slots=True)
class Columns:
    """Some columns of a design.

    Parameters
    ----------
    labels : tuple of str
    matrix : ndarray, shape (n_trials, n_columns)
    levels : tuple of bool
        Which of them are the parameter itself in some trials, an intercept or one of conditions that are each given
        a value, and not a difference or a slope.
    """

    labels: tuple[str, ...]
    matrix: Float
    levels: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Design:
    """What a formula makes of a table.

    Parameters
    ----------
    common : Columns
    groups : mapping of str to Columns
        By the name of the grouping factor.
    offset : ndarray, shape (n_trials,)
    """

    common: Columns
    groups: Mapping[str, Columns]
    offset: Float


@dataclass(frozen=True, eq=False)
class Formula:
    """A formula of one parameter, fitted to a table: it remembers levels, knots, means and scales.

    Parameters
    ----------
    parameter : str
        For messages.
    text : str
    table : DataFrame
    """

    parameter: str
    text: str
    table: pd.DataFrame
    design: Design = field(init=False)
    _parts: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Parse and evaluate."""
        from formulae.environment import Environment
        from formulae.matrices import DesignMatrices

        description = _description(self.parameter, self.text)
        _complete(self.parameter, self.table, self.variables)
        try:
            parts = DesignMatrices(description, self.table, Environment([{"np": np}]))
        except KeyError as error:
            raise ValueError(_unknown(self.parameter, self.text, str(error.args[0]), self.table)) from error
        except Exception as error:
            raise ValueError(_sentence(self.parameter, self.text, error)) from error
        object.__setattr__(self, "_parts", parts)
        object.__setattr__(self, "design", self._read(parts.common, parts.group, None))
        self._finite(self.design)

    @property
    def factors(self) -> dict[str, tuple[str, ...]]:
        """The columns of each grouping factor, by its name."""
        group = self._parts.group
        found = {} if group is None else {term.factor.name: term.factor for term in group.terms.values()}
        return {name: tuple(self._column(each, name) for each in found[name].components) for name in found}

    @property
    def uncorrelated(self) -> set[str]:
        """The grouping factors that stand right of ``||``."""
        found = set()
        for factor in _UNCORRELATED.findall(self.text):
            terms = _description(self.parameter, f"0 + (1 | {factor})").group_terms
            found |= {term.factor.name for term in terms}
        return found

    @property
    def conditions(self) -> set[str]:
        """The columns of the table whose values are levels: those that are no numbers, and numbers in ``C(...)``."""
        found = {name for x in self._components if x.kind == "categoric" for name in x.var_names}
        return {name for name in self.variables if name in found or self.table[name].dtype.kind not in "biuf"}

    @property
    def _components(self) -> list[Any]:
        """The factors of all terms, those of group effects too."""
        terms = [x for part in (self._parts.common, self._parts.group) if part is not None for x in part.terms.values()]
        return [x for term in terms for x in getattr(getattr(term, "expr", term), "components", ())]

    @property
    def variables(self) -> set[str]:
        """The columns of the table that it uses."""
        return self.variables_of(self.parameter, self.text, self.table)

    @staticmethod
    def variables_of(parameter: str, text: str, table: pd.DataFrame) -> set[str]:
        """The columns of a table that a formula uses."""
        description = _description(parameter, text)
        for term in (*description.common_terms, *description.group_terms):
            for part in (getattr(term, "expr", term), getattr(term, "factor", None)):
                for component in getattr(part, "components", ()):
                    if type(component).__name__ == "Variable" and component.name not in table.columns:
                        raise ValueError(_unknown(parameter, text, component.name, table))
        return {name for name in description.var_names if name in table.columns}

    def evaluate(self, table: pd.DataFrame) -> Design:
        """The design of another table, by what was learned from the first.

        Parameters
        ----------
        table : DataFrame
            Of members that were not there before, too.

        Raises
        ------
        ValueError
            For columns that are missing, cells without a value, and levels of conditions that were not there before.
        """
        factors = {each for columns in self.factors.values() for each in columns}
        for name in sorted(self.variables - factors):
            if name not in table.columns:
                raise ValueError(_unknown(self.parameter, self.text, name, table))
        _complete(self.parameter, table, self.variables - factors)
        self._within_splines(table)
        for name in sorted(self.variables - factors):
            known = self.table[name]
            if name in self.conditions:
                cells = table[name].to_numpy(dtype=object)
                refuse(
                    ~table[name].isin(known.unique()).to_numpy(),
                    {name: cells},
                    expected=f"levels of {name!r} that the model was made with: {', '.join(map(str, known.unique()))}",
                    found="others",
                    remedy="leave these rows out, or make the model of a table that has them",
                )
        try:
            common = None if self._parts.common is None else self._parts.common.evaluate_new_data(table)
            design = self._read(common, self._parts.group, table)
        except Exception as error:
            raise ValueError(_sentence(self.parameter, self.text, error)) from error
        self._finite(design)
        return design

    def _within_splines(self, table: pd.DataFrame) -> None:
        """Warn of values past the ends of a spline, where its last polynomial goes on by itself."""
        for name in sorted({x for c in self._components if _is_spline(c) for x in c.var_names} & self.variables):
            low, high = self.table[name].min(), self.table[name].max()
            beyond = np.flatnonzero(~table[name].between(low, high))
            if beyond.size:
                expected = f"values of {name!r} from {low:.6g} to {high:.6g}, between the ends of its spline"
                found = f"{table[name].iloc[beyond[0]]:.6g} in row {beyond[0]}, {beyond.size} such rows in all"
                remedy = "read nothing into the predictions of these rows: the data say nothing there"
                warnings.warn(explain(expected, found, remedy), stacklevel=2)

    def _column(self, component: Any, factor: str) -> str:
        if component.name not in self.table.columns:
            expected = f"columns as what trials are grouped by, in the formula {self.text!r} of {self.parameter}"
            raise ValueError(explain(expected, factor, "make a column of it, and write its name right of |"))
        return str(component.name)

    def _read(self, common: Any, group: Any, new: pd.DataFrame | None) -> Design:
        n = len(self.table if new is None else new)
        terms = {} if common is None else dict(common.terms)
        offset = np.zeros(n)
        parts = []
        for name, term in terms.items():
            matrix = np.asarray(common[name], np.float64).reshape(n, -1)
            if term.kind == "offset":
                offset = offset + matrix.sum(1)
            else:
                parts.append(_columns(term, matrix, self._parts.common[name]))
        found: dict[str, list[Columns]] = {}
        for term in [] if group is None else group.terms.values():
            fitted = np.asarray(term.expr.data, np.float64)
            values = fitted if new is None else np.asarray(term.expr.eval_new_data(new), np.float64)
            found.setdefault(term.factor.name, []).append(_columns(term.expr, values.reshape(n, -1), fitted))
        groups = {name: _joined(each, n) for name, each in found.items()}
        return Design(_joined(parts, n), groups, offset)

    def _finite(self, design: Design) -> None:
        for part in (design.common, *design.groups.values()):
            for label, values in zip(part.labels, part.matrix.T, strict=True):
                refuse(
                    ~np.isfinite(values),
                    {label: values},
                    expected=f"finite values of {label!r} in the formula {self.text!r} of {self.parameter}",
                    found="others",
                    remedy="change the formula, or leave these rows out",
                )


def _is_spline(component: Any) -> bool:
    return getattr(getattr(component, "call", None), "callee", None) == "bs"


def _description(parameter: str, text: str) -> Any:
    """What formulae reads in a formula."""
    from formulae.model_description import model_description
    from formulae.parser import Parser
    from formulae.scanner import Scanner

    if "~" in text:
        remedy = "leave out the ~ and what stands left of it; rt and response are columns of the data"
        raise ValueError(explain(f"a formula of {parameter} alone", f"{text!r}, which has a response", remedy))
    alone, bare = text.replace("||", "|"), ""
    try:
        parser = Parser(Scanner(alone).scan())
        parser.parse()
        description = model_description(alone)
    except Exception as error:
        raise ValueError(_sentence(parameter, text, error)) from error
    if not parser.at_end():
        # formulae leaves what follows unread: of 'x y' there would be x alone.
        unread = ValueError(f"nothing joins {parser.peek().lexeme!r} to what stands before it")
        raise ValueError(_sentence(parameter, text, unread))
    while bare != alone:
        bare, alone = alone, _INNERMOST.sub("", alone)
    if "|" in bare:
        raise ValueError(_sentence(parameter, text, ValueError("| stands outside parentheses")))
    return description


def _unknown(parameter: str, text: str, name: str, table: pd.DataFrame) -> str:
    message = unknown("column", name, [str(each) for each in table.columns])
    return f"{message} It is in the formula {text!r} of {parameter}."


def _sentence(parameter: str, text: str, error: Exception) -> str:
    said = str(error).strip().rstrip(".") or type(error).__name__
    remedy = "write it as in '1 + condition + (1 + condition | subject)'"
    return explain(f"a formula that can be read for {parameter}", f"{text!r}: {said}", remedy)


def _columns(term: Any, matrix: Float, fitted: Float) -> Columns:
    """The columns of one term; each row has one level of a condition whose columns were coded without a reference."""
    labels = tuple(str(label) for label in term.labels)
    fitted = np.asarray(fitted, np.float64).reshape(len(fitted), -1)
    level = bool(np.isin(fitted, (0.0, 1.0)).all() and (fitted.sum(1) == 1).all())
    return Columns(labels, matrix, (level,) * len(labels))


def _joined(parts: Sequence[Columns], n: int) -> Columns:
    """Columns of several terms as one; where there is an intercept, nothing else is a level."""
    labels = tuple(label for part in parts for label in part.labels)
    levels = tuple(level for part in parts for level in part.levels)
    if INTERCEPT in labels:
        levels = tuple(label == INTERCEPT for label in labels)
    return Columns(labels, np.hstack([np.empty((n, 0)), *(part.matrix for part in parts)]), levels)


def _complete(parameter: str, table: pd.DataFrame, variables: set[str]) -> None:
    """Refuse rows in which a covariate or a group is missing."""
    for name in sorted(variables):
        refuse(
            table[name].isna().to_numpy(),
            {name: table[name].to_numpy(dtype=object)},
            expected=f"a value of {name!r} in every row, which the formula of {parameter} uses",
            found="none",
            remedy="fill them in or leave these rows out, and say which in the paper",
        )
