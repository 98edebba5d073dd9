"""A model's log density as a function of one flat vector, with what empirical Bayes asks of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.inference.posterior import compiled

Float = NDArray[np.float64]

# In place of a log density that is not finite, for a line search to step back from.
FAR = 1e30


def finite(function: Any, arguments: Sequence[Any]) -> tuple[float, Float] | None:
    """A value and its flat slope; None where one is not finite, or a parameter is none, as a spread that came to 0."""
    from pymc.logprob.utils import ParameterValueError

    try:
        value, *slopes = function(*arguments)
    except ParameterValueError:
        return None
    slope = np.concatenate([np.ravel(row) for row in slopes]).astype(np.float64)
    return (float(value), slope) if np.isfinite(value) and np.isfinite(slope).all() else None


class FlatDensity:
    """A model on the flat vector of all its unconstrained values.

    Parameters
    ----------
    model : pm.Model

    Attributes
    ----------
    begin : ndarray
        The model's initial point.
    where : dict
        Slice of the vector for each free variable.
    """

    def __init__(self, model: Any) -> None:
        import pytensor

        self.model = model
        point = model.initial_point(random_seed=0)
        parts = [np.asarray(point[v.name], np.float64) for v in model.value_vars]
        self.begin: Float = np.concatenate([x.ravel() for x in parts])
        ends = np.cumsum([x.size for x in parts])
        self._shapes = [x.shape for x in parts]
        self._slices = [slice(int(end - x.size), int(end)) for x, end in zip(parts, ends, strict=True)]
        by_value = dict(zip(model.value_vars, self._slices, strict=True))
        self.where = {rv: by_value[model.rvs_to_values[rv]] for rv in model.free_RVs}
        logp = model.logp()
        gradients: Any = pytensor.grad(logp, model.value_vars, disconnected_inputs="ignore")
        self._function = compiled(model, [logp, *gradients])

    def point(self, x: Float) -> dict[str, Float]:
        """The unconstrained values by name."""
        return dict(zip([v.name for v in self.model.value_vars], self.split(x), strict=True))

    def on_own_scale(self, x: Float) -> dict[str, Float]:
        """The free variables by name."""
        free = self.model.free_RVs
        values = compiled(self.model, self.model.replace_rvs_by_values(free))(*self.split(x))
        return {rv.name: np.asarray(value) for rv, value in zip(free, values, strict=True)}

    def places(self, rvs: Iterable[Any]) -> NDArray[np.intp]:
        """Where the values of some variables lie in the flat vector, one variable after another."""
        return np.array([i for rv in rvs for i in range(self.where[rv].start, self.where[rv].stop)], np.intp)

    def split(self, x: Float) -> list[Float]:
        """The unconstrained values, in the model's order."""
        return [x[s].reshape(shape) for s, shape in zip(self._slices, self._shapes, strict=True)]

    def value_and_slope(self, x: Float) -> tuple[float, Float]:
        """Log density and gradient; what is not finite is very low, and flat."""
        return finite(self._function, self.split(x)) or (-FAR, np.zeros_like(x))

    def slope(self, x: Float) -> Float:
        """Gradient of the log density."""
        return self.value_and_slope(x)[1]
