"""Accuracy in place of boundaries: which boundary an answer that was right, or wrong, came from, and back.

Three ways of coding the same trials:

* stimulus- or response-coded: the boundaries are the two responses, left and right. The drift changes its sign with the
  stimulus, and a start z beside 0.5 is a preference for one response.
* accuracy-coded: the boundaries are right and wrong. The drift is positive, and z has to be 0.5: what is right is not
  known before the stimulus is seen, so nobody can start nearer to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import describe_codes, explain, is_missing, refuse

if TYPE_CHECKING:
    import pandas as pd

Float = NDArray[np.float64]


def sides(labels: pd.Series) -> dict[object, float]:
    """Which boundary stands for each of two stimuli: the first in order is the lower one, -1.

    Raises
    ------
    ValueError
        If there are not exactly two.

    Examples
    --------
    >>> import pandas as pd
    >>> sides(pd.Series(["right", "left", "left"]))
    {'left': -1.0, 'right': 1.0}
    """
    known = sorted(labels.dropna().unique().tolist())
    if len(known) != 2:
        expected = f"two stimuli in {labels.name!r}, each of which makes one response right"
        remedy = "make a column that says which response would be right"
        raise ValueError(explain(expected, describe_codes(np.array(known, object)) or "none", remedy))
    return dict(zip(known, (-1.0, 1.0), strict=True))


def correct(accuracy: pd.Series) -> NDArray[np.bool_]:
    """Whether each answer was right: 1 or True, and 0, -1 or False where it was wrong; ValueError for anything else."""
    cells = accuracy.to_numpy(dtype=object)
    refuse(
        np.array([is_missing(cell) or cell not in (0, 1, -1) for cell in cells], bool),
        {str(accuracy.name): cells},
        expected=f"1 (right) or 0 (wrong) in every row of {accuracy.name!r}",
        found="others",
        remedy="recode them; trials without an answer are left out, or are omissions of a go/no-go model",
    )
    return np.array([cell == 1 for cell in cells], bool)


def boundaries(accuracy: pd.Series, stimulus: pd.Series | None) -> Float:
    """The boundary of each response: +1 where it was right, or the stimulus says which boundary is right.

    Examples
    --------
    >>> import pandas as pd
    >>> stimulus = pd.Series(["left", "left", "right"], name="stim")
    >>> boundaries(pd.Series([1, 0, 1], name="correct"), stimulus).tolist()
    [-1.0, 1.0, 1.0]
    """
    sign = np.where(correct(accuracy), 1.0, -1.0)
    if stimulus is None:
        return sign
    refuse(
        stimulus.isna().to_numpy(),
        {str(stimulus.name): stimulus.to_numpy(dtype=object)},
        expected=f"a stimulus in every row of {stimulus.name!r}",
        found="none",
        remedy="fill them in, or leave these rows out",
    )
    return sign * stimulus.map(sides(stimulus)).to_numpy(np.float64)


def accuracies(response: Float, stimulus: pd.Series | None, fitted: pd.Series | None) -> NDArray[np.bool_]:
    """Which responses, as boundaries, are right: the way back from `boundaries`.

    Parameters
    ----------
    response : ndarray, shape (..., n)
    stimulus, fitted : Series, optional
        Of these n trials, and of all those that boundaries were given for.

    Raises
    ------
    ValueError
        For another stimulus.

    Examples
    --------
    >>> import pandas as pd
    >>> fitted = pd.Series(["left", "right", "right"], name="stim")
    >>> accuracies(np.array([-1.0, -1.0]), fitted[:2], fitted).tolist()
    [True, False]
    """
    if stimulus is None or fitted is None:
        return np.asarray(response) == 1.0
    known = sides(fitted)
    side = stimulus.map(known)
    refuse(
        side.isna().to_numpy(),
        {str(fitted.name): stimulus.to_numpy(dtype=object)},
        expected=f"one of the stimuli {', '.join(map(str, known))} in every row of {fitted.name!r}",
        found="another, or none,",
        remedy="leave these rows out",
    )
    return np.asarray(response) == side.to_numpy(np.float64)
