"""Training targets: what a network is to reproduce, with an estimate of their own error."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pymc_lan.errors import explain
from pymc_lan.likelihood import CLOSED_FORMS, ClosedForm
from pymc_lan.spec import ModelSpec
from pymc_lan.transforms import NUMPY

Float = NDArray[np.float64]


def closed_form(spec: ModelSpec) -> ClosedForm:
    """The closed form that labels a model; ValueError where it has none."""
    if spec.exact is None:
        raise ValueError(
            explain(
                f"model {spec.name!r} to have a closed form to take labels from",
                "none in its spec",
                f"train one of {', '.join(CLOSED_FORMS)}",
            )
        )
    return CLOSED_FORMS[spec.exact]


def density_labels(spec: ModelSpec, theta: Mapping[str, Float], d: Float, response: Float) -> tuple[Float, Float]:
    """Log density of decision times.

    Parameters
    ----------
    spec : ModelSpec
    theta : mapping of str to ndarray, shape (n,)
        Every parameter but t.
    d : ndarray, shape (n,)
        Decision times in seconds, positive.
    response : ndarray, shape (n,)
        +1 or -1.

    Returns
    -------
    log_density, error : ndarray, shape (n,)
        The error estimate is that of the label itself: rounding, for a closed form.

    Examples
    --------
    >>> import numpy as np
    >>> from pymc_lan.labels import density_labels
    >>> from pymc_lan.spec import get_model
    >>> theta = {"v": np.array([1.0]), "a": np.array([1.0]), "z": np.array([0.5])}
    >>> label, error = density_labels(get_model("ddm"), theta, np.array([0.5]), np.array([1.0]))
    >>> bool(error[0] < 1e-12)
    True
    """
    label = closed_form(spec).log_density(NUMPY, d, response, **theta)
    return label, _rounding(label)


def go_labels(spec: ModelSpec, theta: Mapping[str, Float], horizon: Float) -> tuple[Float, Float, Float]:
    """Log probability of the upper boundary within `horizon` seconds of decision time, of the rest, and their error."""
    log_go, log_rest = closed_form(spec).log_go(NUMPY, horizon, **theta)
    return log_go, log_rest, _rounding(log_go)


def _rounding(label: Float) -> Float:
    # A few dozen operations, each rounded relative to the largest exponent met.
    return 50 * np.finfo(np.float64).eps * (1 + np.abs(label))
