"""Cholesky factors of covariances by their rows, whose lengths are standard deviations.

PyMC's own transform takes logarithms of the diagonal and leaves the values beside it as they are. Where a standard
deviation may be near 0 the whole row goes there, so that a step that suits a long row is too long for a short one, and
chains stick. Here a row has a length, by its logarithm, and a direction that knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from pymc.logprob.transforms import Transform

# PyMC's name of the transform that this one stands for.
PACKED = "cholesky-cov-packed"
# What a table says of such a factor.
DONE = "by row: the logarithm of its length, a standard deviation, and its direction"


class ByRow(Transform):
    r"""A packed lower triangle from the logarithm of each row's length and the slopes of its direction.

    With k values w beside the diagonal and r = (1 + w'w)^(1/2), row k is exp(x) (w, 1) / r: `pymc.LKJCorr`'s rows at a
    length. The Jacobian of a row is :math:`L_{kk}^{k + 1}`, k counted from 0.

    Parameters
    ----------
    n : int
        Rows.
    """

    name = "by_row"
    ndim_supp = 1

    def __init__(self, n: int) -> None:
        sizes = np.arange(1, n + 1)
        self.sizes, self.diagonal, self.row = sizes, sizes.cumsum() - 1, np.repeat(sizes - 1, sizes)
        self.on_diagonal = np.isin(np.arange(len(self.row)), self.diagonal)
        self.in_row = (self.row[:, None] == sizes - 1).astype(float)

    def _log_lengths(self, value: Any) -> Any:
        import pytensor.tensor as pt

        # A sum, because a product of matrices would have C mode look for a BLAS.
        return 0.5 * pt.log(((value**2)[..., None] * self.in_row).sum(-2))

    def _directions(self, value: Any) -> tuple[Any, Any]:
        """Slopes with 1 on the diagonal, and logarithms of the diagonal of the factor."""
        import pytensor.tensor as pt

        slopes = pt.where(self.on_diagonal, 1.0, value)
        return slopes, value[..., self.diagonal] - self._log_lengths(slopes)

    def backward(self, value: Any, *inputs: Any) -> Any:
        """From lengths and directions to the factor."""
        import pytensor.tensor as pt

        slopes, log_diagonal = self._directions(value)
        return (slopes * pt.exp(log_diagonal)[..., self.row]).astype(value.dtype)

    def forward(self, value: Any, *inputs: Any) -> Any:
        """From the factor to lengths and directions."""
        import pytensor.tensor as pt

        slopes = value / value[..., self.diagonal][..., self.row]
        return pt.where(self.on_diagonal, self._log_lengths(value)[..., self.row], slopes).astype(value.dtype)

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        """Log of the product of the rows' Jacobians."""
        _, log_diagonal = self._directions(value)
        return (log_diagonal * self.sizes).sum(-1).astype(value.dtype)


def factors(model: Any) -> list[Any]:
    """The free variables of a model that are such factors, and have PyMC's own transform.

    Parameters
    ----------
    model : pm.Model

    Returns
    -------
    list of TensorVariable
    """
    own = {rv for rv, x in model.rvs_to_transforms.items() if x is not None and x.name == PACKED}
    return [rv for rv in model.free_RVs if rv in own and rv.type.shape[-1] is not None]


def by_row(model: Any, memo: dict[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """The factors of a model in a copy of it, and what they are replaced by.

    Parameters
    ----------
    model : pm.Model
    memo : dict
        From variables of the model to those of the copy.

    Yields
    ------
    tuple of Variable
    """
    from pymc.model.fgraph import model_free_rv

    for rv in factors(model):
        values = rv.type.shape[-1]  # n (n + 1) / 2 of them
        old, own = memo[rv], ByRow(int((2 * values) ** 0.5))
        variable, op = old.owner.inputs[0], old.owner.op
        value = variable.type(name=f"{rv.name}_{own.name}__")
        yield old, model_free_rv(variable, value, own, op.name, *op.dims)
