"""BayesFlow's networks: made by name or taken as they are, learned, and turned into what runs without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final, override

import numpy as np
from numpy.typing import NDArray

from pymc_lan.amortized.backend import bayesflow
from pymc_lan.amortized.networks import Network, Stored
from pymc_lan.errors import explain, unknown

Float = NDArray[np.float64]

# Degrees of freedom of latent values: tails that no posterior exceeds.
DF = 10.0
# Widths of the network of a trial, and of those of the couplings; how many couplings.
TRIALS, COUPLING, DEPTH = (32, 32), (64, 64), 4
SUMMARY = ("mean_set", "deep_set", "set_transformer")
INFERENCE = ("coupling_flow", "flow_matching")


def mean_set(widths: tuple[int, ...]) -> Any:
    """A small network of each trial, and the mean of its outputs: 20 times as fast as BayesFlow's deep set."""
    import keras

    base: Any = bayesflow().networks.SummaryNetwork

    class MeanSet(base):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.dense = [keras.layers.Dense(width, activation="silu") for width in widths]

        def build(self, input_shape: Any) -> None:
            for layer in self.dense:
                layer.build(input_shape)
                input_shape = (*input_shape[:-1], layer.units)
            self.built = True

        def compute_output_shape(self, input_shape: Any) -> Any:
            return (input_shape[0], widths[-1])

        def call(self, x: Any, training: bool = False, **kwargs: Any) -> Any:
            for layer in self.dense:
                x = layer(x)
            return keras.ops.mean(x, axis=1)

    return MeanSet()


def networks(summary: Any, inference: Any) -> tuple[Any, Any]:
    """Networks of BayesFlow, by name or as they are.

    Raises
    ------
    ValueError
        For another name, or what is no such network.
    """
    bf = bayesflow()
    base: Any = bf.distributions.DiagonalStudentT(df=DF)
    made = {
        "mean_set": lambda: mean_set(TRIALS),
        "deep_set": lambda: bf.networks.DeepSet(dropout=0.0),
        "set_transformer": lambda: bf.networks.SetTransformer(dropout=0.0),
        "coupling_flow": lambda: bf.networks.CouplingFlow(
            depth=DEPTH,
            subnet_kwargs={"widths": COUPLING, "activation": "silu", "dropout": 0.0},
            base_distribution=base,
        ),
        "flow_matching": lambda: bf.networks.FlowMatching(base_distribution=base),
    }
    found = []
    for what, given, names, kind in (
        ("summary", summary, SUMMARY, bf.networks.SummaryNetwork),
        ("inference", inference, INFERENCE, bf.networks.InferenceNetwork),
    ):
        if isinstance(given, str) and given not in names:
            raise ValueError(unknown(f"{what} network", given, names))
        if not isinstance(given, str | kind):
            remedy = f"give a name, such as {names[0]!r}, or an object of bayesflow.networks"
            raise TypeError(explain(f"{what}= as a network", f"a {type(given).__name__}", remedy))
        found.append(made[given]() if isinstance(given, str) else given)
    return found[0], found[1]


def estimator(summary: Any, inference: Any, shapes: Mapping[str, tuple[int, ...]]) -> Any:
    """BayesFlow's estimator of these networks, built for data of these shapes."""
    made = bayesflow().estimators.BasicEstimator(summary_network=summary, inference_network=inference, standardize=None)
    made.build(dict(shapes))
    return made


@final
@dataclass(frozen=True, slots=True, eq=False)
class Held(Network):
    """Networks of BayesFlow as they are.

    Parameters
    ----------
    estimator : bayesflow.estimators.BasicEstimator
    """

    estimator: Any

    @property
    def df(self) -> float:  # type: ignore[override]
        """Of the base distribution."""
        return float(getattr(self.estimator.inference_network.base_distribution, "df", np.inf))

    @override
    def condition(self, trials: Float, whole: Float) -> Float:
        found = np.asarray(self.estimator.summary_network(trials[None].astype(np.float32), training=False))
        return np.concatenate([whole, found[0]])

    @override
    def invert(self, z: Float, condition: Float) -> tuple[Float, Float]:
        inner = self.estimator.inference_network
        given = np.broadcast_to(condition.astype(np.float32), (len(z), len(condition)))
        x, log_q = inner(z.astype(np.float32), conditions=given, inverse=True, density=True)
        return np.asarray(x, np.float64), self.base(z) - np.asarray(log_q, np.float64)

    @override
    def latent(self, x: Float, condition: Float) -> Float:
        given = np.broadcast_to(condition.astype(np.float32), (len(x), len(condition)))
        return np.asarray(self.estimator.inference_network(x.astype(np.float32), conditions=given), np.float64)


def stored(estimator: Any) -> Network:
    """What runs without BayesFlow, where these are the networks that do; else they as they are."""
    arrays = _trials(estimator.summary_network) | _flow(estimator.inference_network)
    if not any(name.startswith("trials/") for name in arrays) or not any(name.startswith("flow/") for name in arrays):
        return Held(estimator)
    return Stored({name: np.asarray(x) for name, x in arrays.items()}, Held(estimator).df)


def _layer(name: str, layer: Any) -> dict[str, Any]:
    return {f"{name}/kernel": layer.kernel.value, f"{name}/bias": layer.bias.value}


def _trials(network: Any) -> dict[str, Any]:
    if type(network).__name__ != "MeanSet":
        return {}
    return {k: x for i, layer in enumerate(network.dense) for k, x in _layer(f"trials/{i}", layer).items()}


def _flow(network: Any) -> dict[str, Any]:
    """Weights of a coupling flow of affine couplings whose networks are plain; none of another."""
    found: dict[str, Any] = {}
    layers = list(getattr(network, "invertible_layers", ()))
    if [type(x).__name__ for x in layers] != ["ActNorm", "RandomPermutation", "DualCoupling"] * (len(layers) // 3):
        return {}
    for i in range(len(layers) // 3):
        norm, order, both = layers[3 * i : 3 * i + 3]
        found[f"flow/{i}/norm/scale"], found[f"flow/{i}/norm/bias"] = norm.scale.value, norm.bias.value
        found[f"flow/{i}/order"] = np.asarray(order.forward_indices.value, np.int32)
        for name, one in (("first", both.coupling1), ("second", both.coupling2)):
            if one is None:
                continue
            blocks = getattr(one.subnet, "blocks", ())
            plain = blocks and not any(b.residual or b.norm_layer is not None for b in blocks)
            silu = all("silu" in str(getattr(b.activation, "activation", b.activation)) for b in blocks)
            if not (plain and silu and type(one.transform).__name__ == "AffineTransform" and one.transform.clamp):
                return {}
            for j, block in enumerate(blocks):
                found |= _layer(f"flow/{i}/{name}/{j}", block.dense)
            found |= _layer(f"flow/{i}/{name}/out", one.output_projector)
    return found
