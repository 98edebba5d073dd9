"""On which scale a network answers: the unconstrained one, but for a time that ends before the first response."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.distributions.nodes import trial_node
from pymc_lan.distributions.trial_rv import TrialRV
from pymc_lan.inference.subjects.ends import ends_of

Float = NDArray[np.float64]

# Values of a scale that reach further are cut: such times are the fastest response itself, to ten digits.
FAR = 20.0


@final
@dataclass(frozen=True, slots=True)
class Scale:
    """From the unconstrained values to those that a network answers with, for each data set.

    Parameters
    ----------
    n : int
        Number of values.
    onset : int, optional
        Which of them is a non-decision time. It is seen as its share of the fastest response time: that is where its
        posterior ends.
    least, most : float
        The ends of the prior of that time.

    Examples
    --------
    >>> scale = Scale(2, 1, 0.0, np.inf)
    >>> u = np.array([[0.3, np.log(0.2)]])
    >>> x = scale.forward(u, np.array([0.4]))
    >>> x.round(3).tolist(), scale.backward(x, 0.4)[0].round(3).tolist()
    ([[0.3, 0.0]], [[0.3, -1.609]])
    """

    n: int
    onset: int | None = None
    least: float = 0.0
    most: float = np.inf

    def forward(self, rows: Float, fastest: Float) -> Float:
        """Values of a network, of rows of unconstrained ones (n, n_values)."""
        x = rows.copy()
        if self.onset is not None:
            end = np.minimum(fastest, self.most)
            share = (self._time(rows[:, self.onset]) - self.least) / np.maximum(end - self.least, 1e-12)
            share = np.clip(share, *logistic(np.array([-FAR, FAR])))
            x[:, self.onset] = np.log(share) - np.log1p(-share)
        return x

    def backward(self, x: Float, fastest: float) -> tuple[Float, Float]:
        """Unconstrained values of one data set, and the log of by how much they spread the network's."""
        if self.onset is None:
            return x, np.zeros(len(x))
        rows, y = x.copy(), x[:, self.onset]
        width = max(min(fastest, self.most) - self.least, 1e-12)
        if np.isinf(self.most):
            # The log of the time above its least value.
            rows[:, self.onset] = np.log(width) - np.logaddexp(0.0, -y)
            return rows, -np.logaddexp(0.0, y)
        share = width / (self.most - self.least)
        below = np.log(share) - np.logaddexp(0.0, -y)
        above = np.log1p(-share * logistic(y))
        rows[:, self.onset] = below - above
        return rows, -np.logaddexp(0.0, y) - above

    def _time(self, u: Float) -> Float:
        if np.isinf(self.most):
            return np.asarray(self.least + np.exp(u))
        return np.asarray(self.least + (self.most - self.least) * logistic(u))


def logistic(x: Float) -> Float:
    """From all numbers to those between 0 and 1."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x))


def scale(model: Any) -> Scale:
    """That of a model: with an onset where a free variable is the non-decision time of all trials, none a guess."""
    sizes = [int(np.size(x)) for x in (model.initial_point(random_seed=0)[v.name] for v in model.value_vars)]
    nodes = [node for rv in model.observed_RVs if (node := trial_node(rv)) is not None]
    plain = Scale(sum(sizes))
    if len(nodes) != 1 or not isinstance(nodes[0].op, TrialRV) or nodes[0].op.lapses or nodes[0].op.spec.shift is None:
        return plain
    [node] = nodes
    if any(each.parameter == node.op.spec.shift for each in node.op.spec.variability):
        return plain
    time = _bare(node.inputs[2 + node.op.parameters.index(node.op.spec.shift)])
    for i, rv in enumerate(model.free_RVs):
        if rv is time and sizes[i] == 1 and (ends := ends_of(model, rv)) is not None:
            return Scale(sum(sizes), sum(sizes[:i]), *ends)
    return plain


def _bare(x: Any) -> Any:
    """A variable without the axes that were added to it."""
    from pytensor.tensor.elemwise import DimShuffle

    while x.owner is not None and isinstance(x.owner.op, DimShuffle):
        x = x.owner.inputs[0]
    return x
