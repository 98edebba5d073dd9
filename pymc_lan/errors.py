"""The package's own exception and the wording that all its error messages share."""

from __future__ import annotations

import difflib
import keyword
import math
import numbers
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Rows, or codes, that a message shows before it says how many more there are.
MAX_SHOWN = 5
# Characters of the name of a model, a version or a parameter, and of any other text about them.
MAX_NAME, MAX_TEXT = 64, 2000


class RegistryError(Exception):
    """A network's files could not be found, verified or read.

    Raised for weights only; mistakes in data and parameters are a ``ValueError``.
    """


class UnknownNameError(RegistryError, ValueError):
    """A name that no model or version has: no registry knows it, and it is a mistake in an argument."""


def explain(expected: str, found: str, remedy: str) -> str:
    """Word an error as the three sentences that every message of this package has.

    Parameters
    ----------
    expected, found, remedy : str
        Each completes its sentence: "Expected ...", "Found ...", and a remedy in the imperative.

    Returns
    -------
    str

    Examples
    --------
    >>> explain("rt in seconds", "a median rt of 640", "divide rt by 1000")
    'Expected rt in seconds. Found a median rt of 640. Remedy: divide rt by 1000.'
    """
    return f"Expected {printable(expected)}. Found {printable(found)}. Remedy: {printable(remedy)}."


def printable(text: str) -> str:
    r"""The text with nothing in it that a terminal obeys or that cannot be seen, and not longer than `MAX_TEXT`.

    Parameters
    ----------
    text : str
        Some of it, perhaps, from a file that somebody else wrote.

    Returns
    -------
    str
        With escapes for characters that Python does not call printable, line breaks among them.

    Examples
    --------
    >>> print(printable("v\x1b[31m"))
    v\x1b[31m
    """
    short = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}..."
    return short if short.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in short)


def is_text(text: Any) -> bool:
    """Whether something is one line of printable text of at most `MAX_TEXT` characters."""
    return isinstance(text, str) and len(text) <= MAX_TEXT and text.isprintable()


def check_text(what: str, text: Any) -> None:
    """Refuse what is not one line of printable text of at most `MAX_TEXT` characters.

    Parameters
    ----------
    what : str
        What the text is, for the message.
    text : object

    Raises
    ------
    ValueError
    """
    if not is_text(text):
        expected = f"{what} as one line of at most {MAX_TEXT:,} printable characters"
        raise ValueError(explain(expected, f"{text!r:.80}", "write it so"))


def is_name(name: Any) -> bool:
    """Whether something can be the name of a model or a parameter: see `check_name`."""
    # Python normalises the keywords that it reads, so an argument of another form could not be given.
    plain = isinstance(name, str) and len(name) <= MAX_NAME and name.isidentifier() and not keyword.iskeyword(name)
    return plain and unicodedata.normalize("NFKC", name) == name


def check_name(kind: str, name: Any) -> None:
    """Refuse the name of a model or a parameter that is no Python identifier of at most `MAX_NAME` characters.

    Names become folders, keys of tables, columns of data and arguments of functions.

    Parameters
    ----------
    kind : str
        What it is the name of: "model", "parameter".
    name : object

    Raises
    ------
    ValueError

    Examples
    --------
    >>> check_name("parameter", "drift rate")
    Traceback (most recent call last):
    ValueError: Expected as the name of a parameter a Python identifier of at most 64 characters. Found 'drift rate'...
    """
    if not is_name(name):
        expected = f"as the name of a {kind} a Python identifier of at most {MAX_NAME} characters"
        raise ValueError(explain(expected, f"{name!r:.80}", _remedy_name(name)))


def _remedy_name(name: Any) -> str:
    if isinstance(name, str) and len(name) <= MAX_NAME and is_name(normal := unicodedata.normalize("NFKC", name)):
        return f"write it as Python reads it: {normal!r}"
    return "name it with letters, digits and underscores, like 'drift_rate', and as no word of Python's own"


def nearest(name: Any, known: Iterable[str]) -> str | None:
    """Return the known name that is spelled most like `name`, ignoring case, or None if none comes close.

    Parameters
    ----------
    name : object
        Nothing comes close to what is no text.
    known : iterable of str

    Returns
    -------
    str or None

    Examples
    --------
    >>> nearest("RT", ["subject", "rt"])
    'rt'
    """
    if not isinstance(name, str):
        return None
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), list(by_lower), n=1)
    return by_lower[close[0]] if close else None


def unknown(kind: str, name: Any, known: Iterable[str], *, also: Iterable[str] = (), of: str = "") -> str:
    """Word the error for a name that is not known, with the names that are and the nearest of them.

    Parameters
    ----------
    kind : str
        What the name stands for, in the singular: "model", "parameter of model 'ddm'", "column".
    name : object
        The name that was asked for.
    known : iterable of str
        The names there are, in the order in which they are to be listed, each once.
    also : iterable of str
        Names of another kind that may be meant, too.
    of : str
        What has such names, where that needs saying: "model 'ddm'".

    Returns
    -------
    str

    Examples
    --------
    >>> unknown("model", "dmd", ["ddm", "weibull"])
    "Unknown model 'dmd'. Known models: ddm, weibull. Did you mean 'ddm'?"
    >>> unknown("parameter", "w", ["v", "a"], of="model 'ddm'")
    "Unknown parameter 'w' of model 'ddm'. Known parameters: v, a."
    """
    names = list(dict.fromkeys(known))
    guess = nearest(name, [*names, *also])
    kinds = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    whose = f" of {of}" if of else ""
    sentences = [f"Unknown {kind} {name!r}{whose}.", f"Known {kinds}: {', '.join(names) or '(none)'}."]
    if guess is not None:
        sentences.append(f"Did you mean {guess!r}?")
    return " ".join(sentences)


def is_real(value: Any) -> bool:
    """Whether something is a real number, from Python or NumPy; True is none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def check_count(name: str, value: Any, least: int = 1, most: float = math.inf) -> int:
    """A whole number, from Python or NumPy, from `least` to `most`; 1e3 is one, True is none.

    Parameters
    ----------
    name : str
        What it counts, for the message: the argument.
    value : object
    least : int
    most : int, optional

    Returns
    -------
    int

    Raises
    ------
    ValueError

    Examples
    --------
    >>> check_count("n", 1e3)
    1000
    """
    whole = is_real(value) and (isinstance(value, numbers.Integral) or float(value).is_integer())
    if not whole or not least <= value <= most:
        limits = f", {least} or more" if most == math.inf else f" from {least} to {most:,}"
        found = f"{name}={value!r:.80}"
        raise ValueError(explain(f"{name} as a whole number{limits}", found, f"give {name} so"))
    return int(value)


def check_path(name: str, value: Any) -> Path:
    """A path, from text or a path of any kind.

    Parameters
    ----------
    name : str
        What lies there, for the message: the argument.
    value : object

    Returns
    -------
    Path

    Raises
    ------
    ValueError

    Examples
    --------
    >>> check_path("folder", None)
    Traceback (most recent call last):
    ValueError: Expected a path as folder, in text without null characters or a pathlib.Path. Found None. Remedy: ...
    """
    try:
        path = Path(value)
    except TypeError:
        path = None
    if path is None or "\0" in str(path):
        expected = f"a path as {name}, in text without null characters or a pathlib.Path"
        raise ValueError(explain(expected, f"{value!r:.80}", f"give {name} so"))
    return path


def is_missing(value: Any) -> bool:
    """Say whether a cell of a table is empty: None, NaN, NaT, pandas.NA, masked or blank text.

    Parameters
    ----------
    value : object

    Returns
    -------
    bool

    Examples
    --------
    >>> [is_missing(value) for value in (None, float("nan"), " ", 0)]
    [True, True, True, False]
    """
    if value is None or value is np.ma.masked or (isinstance(value, str) and not value.strip()):
        return True
    if isinstance(value, np.ndarray):
        return False
    try:
        return bool(value != value)
    except TypeError:  # the comparison has no truth value; that of pandas.NA is pandas.NA again
        return (value != value) is value


def describe_codes(values: NDArray[Any]) -> str:
    """List the distinct values of an array in the order in which they occur, at most five.

    Parameters
    ----------
    values : ndarray of shape (n,)

    Returns
    -------
    str

    Examples
    --------
    >>> describe_codes(np.array([2, 2, 0]))
    '2, 0'
    """
    shown = list(dict.fromkeys(_show(value) for value in values))
    more = f" and {len(shown) - MAX_SHOWN} more" if len(shown) > MAX_SHOWN else ""
    return ", ".join(shown[:MAX_SHOWN]) + more


def describe_rows(bad: NDArray[np.bool_], columns: Mapping[str, NDArray[Any]]) -> str:
    """Describe the rows where `bad` holds, at most five of them, by number (from 0) and value.

    Parameters
    ----------
    bad : ndarray of bool, shape (n,)
    columns : mapping of str to ndarray of shape (n,)
        What to show of each row.

    Returns
    -------
    str

    Examples
    --------
    >>> rt = np.array([0.5, 0.0, -1.0])
    >>> describe_rows(rt <= 0, {"rt": rt})
    '2 of 3 rows: row 1 (rt = 0.0), row 2 (rt = -1.0)'
    """
    (where,) = np.nonzero(bad)
    rows = []
    for i in where[:MAX_SHOWN]:
        cells = ", ".join(f"{name} = {_show(values[i])}" for name, values in columns.items())
        rows.append(f"row {i} ({cells})")
    more = f" and {len(where) - MAX_SHOWN} more" if len(where) > MAX_SHOWN else ""
    return f"{len(where)} of {len(bad)} rows: {', '.join(rows)}{more}"


def refuse(
    bad: NDArray[np.bool_],
    columns: Mapping[str, NDArray[Any]],
    *,
    expected: str,
    found: str,
    remedy: str,
) -> None:
    """Raise a ValueError that shows the first offending rows, if there are any.

    Parameters
    ----------
    bad : ndarray of bool, shape (n,)
        The offending rows.
    columns : mapping of str to ndarray of shape (n,)
        What to show of them.
    expected, found, remedy : str
        As in `explain`; the rows are added to `found`.

    Raises
    ------
    ValueError
        If `bad` holds anywhere.

    Examples
    --------
    >>> rt = np.array([0.5, 0.0])
    >>> refuse(rt <= 0, {"rt": rt}, expected="rt above 0", found="another", remedy="mend it")
    Traceback (most recent call last):
    ValueError: Expected rt above 0. Found another in 1 of 2 rows: row 1 (rt = 0.0). Remedy: mend it.
    """
    if bad.any():
        raise ValueError(explain(expected, f"{found} in {describe_rows(bad, columns)}", remedy))


class LengthError(ValueError):
    """Inputs of compiled code that do not have one value for each trial.

    Compiled code raises it with nothing but names and numbers; the sentence is made here.

    Parameters
    ----------
    names : str
        What the inputs are called, joined by commas; or the whole message, as copies of an error are made of it.
    which : int
        The number of the input whose length is wrong.
    length, n_trials : int

    Examples
    --------
    >>> raise LengthError("rt,v", 1, 3, 8)
    Traceback (most recent call last):
    pymc_lan.errors.LengthError: Expected one value of v for each of 8 trials. Found 3. Remedy: ...
    """

    def __init__(self, names: str, which: int = -1, length: int = 0, n_trials: int = 0):
        if which < 0:
            super().__init__(names)
            return
        name = names.split(",")[which]
        expected, found = f"one value of {name} for each of {n_trials} trials", str(length)
        if length == 1:
            found = "a vector that happens to have one value"
        remedy = "set data and what is computed from them to the same length; what all trials share is a scalar"
        super().__init__(explain(expected, found, remedy))


def check_length(name: str, values: Any, n_trials: int | tuple[int, ...], *, scalar: bool = True) -> None:
    """Check that `values` are one per trial, or a scalar.

    Parameters
    ----------
    name : str
        What the values are, for the message.
    values : array_like or symbolic variable
        Of a symbolic variable the static shape (``values.type.shape``) is looked at; a length that is not
        known before the computation passes.
    n_trials : int or tuple of int
        The number of trials, or their shape: trials of several subjects, (subject, trial), as one array.
    scalar : bool
        Whether shapes () and (1,), which broadcast to all trials, will do as well; and, in a shape of several axes,
        any other that broadcasts.

    Raises
    ------
    ValueError
        If the shape is another one.

    Examples
    --------
    >>> check_length("v", np.zeros(240), 240)
    """
    static_shape = getattr(getattr(values, "type", None), "shape", None)
    shape = tuple(np.shape(values) if static_shape is None else static_shape)
    grid = n_trials if isinstance(n_trials, tuple) else (n_trials,)
    # Axes are counted from the last; one whose length nobody knows yet passes.
    fits = all(x in (None, n) or (scalar and x == 1) for x, n in zip(shape[::-1], grid[::-1], strict=False))
    if fits and (len(shape) == len(grid) or (scalar and len(shape) < len(grid))):
        return
    found = f"length {shape[0]}" if len(shape) == 1 else f"shape {shape}"
    remedy = f"give one value per trial, indexing values per subject by trial, as in {name}[subject]"
    trials = f"the {grid[0]} trials"
    if len(grid) > 1:
        remedy = f"give it a shape that broadcasts; values per subject need another axis, as in {name}[:, None]"
        trials = f"the trials, of shape {grid}"
    expected = f"{name} to be {'a scalar or ' if scalar else ''}one value for each of {trials}"
    raise ValueError(explain(expected, f"{found} for {name}", remedy))


def _show(value: Any) -> str:
    if is_missing(value):
        return "missing"
    if isinstance(value, np.timedelta64 | np.datetime64):  # their item() is a bare count of nanoseconds
        return str(value)
    shown = repr(value.item() if isinstance(value, np.generic) else value)
    return shown if len(shown) <= MAX_NAME else f"{shown[:MAX_NAME]}..."
