"""Choices among any number of options by their utilities."""

from __future__ import annotations

from typing import ClassVar, final

from pymc_lan.distributions.choice import ChoiceDist
from pymc_lan.distributions.races import OfAnyNumber
from pymc_lan.models.softmax import softmax


@final
class Softmax(OfAnyNumber):
    """Choices without times: an option is chosen with probability proportional to ``exp(beta * utility)``.

    Parameters
    ----------
    name : str
        Left out in ``Softmax.dist``.
    utilities : tensor_like
        Of each option, of shape (n,) or (trials, n).
    beta : tensor_like
        How much they count, a number or one for each trial; 1 where it is left out.
    **kwargs
        As `ChoiceDist` has them: ``observed`` are choices 0 to n - 1, in a column ``response`` or an array.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> with pm.Model():
    ...     worth = pm.Normal("worth", 0, 1, shape=3)
    ...     obs = pl.Softmax("obs", worth, 1.0, observed=[0, 2, 2, 1])
    """

    family = ChoiceDist
    make = staticmethod(softmax)
    arguments = ("utilities", "beta")
    own = ("utilities",)
    defaults: ClassVar[dict[str, float]] = {"beta": 1.0}
