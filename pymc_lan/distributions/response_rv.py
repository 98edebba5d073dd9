"""The random variable behind `ChoiceDist`: one of a model's choices, without its time."""

from __future__ import annotations

from typing import Any

import numpy as np
from pytensor.graph.basic import Apply
from pytensor.tensor.random.op import RandomVariable

from pymc_lan.data.observation import EveryResponse
from pymc_lan.distributions.extent import Lengths
from pymc_lan.models.model import Model
from pymc_lan.networks.bounds import watch
from pymc_lan.networks.program import AnyNetwork
from pymc_lan.ops.backends import register_choices


class ResponseRV(RandomVariable):
    """One of a model's choices, of known log probabilities.

    Inputs: the log probabilities, and the parameters that they were computed from, for those who ask what these are.

    Parameters
    ----------
    spec : Model
    lan : MLP or Program, optional
        None for a closed form.
    record : tuple of str
        What `pymc_lan.distributions.provenance.record` says of the network; no part of what makes two of these equal.

    Attributes
    ----------
    unobserved, lengths
        As of `pymc_lan.distributions.trial_rv.TrialRV`.
    """

    unobserved = False
    lengths: Lengths = ()

    dtype = "int64"
    choice = None
    lapses = False
    observation = EveryResponse(())
    __props__ = ("name", "signature", "dtype", "inplace", "spec", "lan")  # type: ignore[assignment]

    def __init__(self, spec: Model, lan: AnyNetwork | None, *, record: tuple[str, ...] = (), **fixed: Any):
        self.spec, self.lan, self.record, self.parameters = spec, lan, record, spec.names
        label = spec.name.upper()
        self._print_name = (label, rf"\operatorname{{{label}}}")
        signature = f"(c){',()' * len(spec.names)}->()"
        super().__init__(**({"name": label, "signature": signature} | fixed))

    def perform(self, node: Apply, inputs: Any, outputs: Any) -> None:
        """Draw responses, one posterior draw at a time, and look whether it lies within the bounds."""
        watch(self, node, inputs)
        super().perform(node, inputs, outputs)

    def rng_fn(self, rng: np.random.Generator, *args: Any) -> Any:
        """Draw responses."""
        log_p, size = args[0], args[-1]
        shape = log_p.shape[:-1] if size is None else tuple(size)
        # Outside a network's bounds log probabilities carry a penalty, and so add up to less than one.
        upto = np.cumsum(np.exp(log_p - log_p.max(axis=-1, keepdims=True)), axis=-1)
        number = (rng.random(shape)[..., None] * upto[..., -1:] >= upto).sum(axis=-1)
        return np.asarray(self.spec.choices, np.int64)[np.minimum(number, len(self.spec.choices) - 1)]


register_choices(ResponseRV)
