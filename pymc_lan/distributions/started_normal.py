"""A normal distribution whose variables start from values of their own.

PyMC copies no model with initial values of its own: `pm.do`, `pm.observe` and `pm.compute_log_likelihood` refuse it. A
start that belongs to the distribution goes with it.
"""

from __future__ import annotations

from typing import Any, final

import numpy as np
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.distributions.distribution import _support_point
from pytensor.tensor.random.basic import NormalRV


@final
class StartedNormalRV(NormalRV):
    """The draw of a normal distribution, which starts where it is told.

    Parameters
    ----------
    start : tuple of (shape, bytes)
        The values, in double precision.
    **props
        As of PyTensor's own.
    """

    __props__ = (*NormalRV.__props__, "start")  # type: ignore[assignment]

    def __init__(self, start: tuple[tuple[int, ...], bytes], **props: Any):
        super().__init__(**props)
        self.start = start


def started_normal(mean: Any, sd: Any, start: NDArray[Any]) -> Any:
    """Draws of a normal distribution, as many as there are starts.

    Parameters
    ----------
    mean, sd : float or TensorVariable
    start : array

    Returns
    -------
    TensorVariable

    Examples
    --------
    >>> from pymc.distributions.distribution import support_point
    >>> support_point(started_normal(0.0, 1.0, np.array([0.25, -2.0]))).eval()
    array([ 0.25, -2.  ])
    """
    values = np.ascontiguousarray(start, np.float64)
    op: Any = StartedNormalRV((values.shape, values.tobytes()))
    rng = pt.random.shared_rng(seed=None)
    return op(mean, sd, size=values.shape, rng=rng, return_next_rng=True)[1]


@_support_point.register(StartedNormalRV)
def _start(op: StartedNormalRV, rv: Any, *inputs: Any) -> Any:
    shape, values = op.start
    return pt.broadcast_to(pt.constant(np.frombuffer(values).reshape(shape).astype(rv.dtype)), rv.shape)
