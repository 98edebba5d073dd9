"""One representative of every kind of model, as a user has it: the model, its network if there is one, parameters."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from forms import given_network, random_mlp
from numpy.typing import NDArray
from onnx_files import Layer, layers, make_file
from toy_simulators import THREE

import pymc_lan as pl
from pymc_lan.networks.network import Network

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """A model in the hands of a user.

    Parameters
    ----------
    model : ModelSpec
    theta : mapping of str to float
    network : Network, optional
        What the user has beside the model.
    true : bool
        Whether the likelihood is that of the trials that are simulated.
    files : mapping of str to list of Layer
        Of an imported network: what its files hold.
    """

    model: pl.ModelSpec
    theta: Mapping[str, float]
    network: Network | None = None
    true: bool = True
    files: Mapping[str, list[Layer]] | None = None

    @property
    def source(self) -> Any:
        """What a distribution is given as its model."""
        return self.network or self.model

    @property
    def found(self) -> Network:
        """Its network: the one at hand, or whatever has the name."""
        return self.network or pl.load_network(self.model.name, spec=self.model)


def said_by(files: Sequence[Layer], row: Sequence[float]) -> float:
    """What the network of a file says of one row of inputs, by hand."""
    *inner, last = files
    h = np.asarray(row, np.float64)
    for layer in inner:
        h = np.tanh(h @ layer.kernel + layer.bias)
    return (h @ last.kernel + last.bias).item()


def open_for_ever(time: Any, theta: Any) -> Any:
    """A boundary that stays at more than half of its height."""
    return theta["a"] * (0.6 + 0.4 / (1 + time))


def constant(time: Any, position: Any, theta: Any) -> Any:
    """Drift v."""
    return theta["v"]


OWN = pl.ModelSpec(
    name="lasting",
    parameters=pl.get_model("ddm").parameters,
    drift=constant,
    boundary=open_for_ever,
    description="A diffusion whose boundaries fall, but not to nothing.",
    reference="none",
)

DDM = {"v": 0.8, "a": 1.0, "z": 0.5, "t": 0.3}
WEIBULL = {"v": 0.8, "a": 1.2, "z": 0.5, "t": 0.3, "alpha": 3.0, "beta": 1.5}
STRANGER = {"v": (-3.0, 3.0), "a": (0.3, 2.5), "t": (0.0, 2.0)}


def shipped(name: str, **theta: float) -> Kind:
    """A model of this release that has weights."""
    return Kind(pl.get_model(name), theta, pl.load_network(name))


def closed(name: str, **theta: float) -> Kind:
    """A model of this release that needs none."""
    return Kind(pl.get_model(name), theta)


def imported(name: str, theta: Mapping[str, float], beside: str = "", **known: Any) -> Kind:
    """Networks of random weights from ONNX files: of trials and, `beside` them, of trials without a response."""
    n = len(theta)
    files = {"lan": layers(n + 2, 8, 5, 1, seed=1)}
    if beside:
        files[beside] = layers(n + (beside == "opn"), 7, 1, seed=2)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* is imported as it is", UserWarning)
        paths = {
            key: make_file(Path(folder) / f"{key}.onnx", given, end="" if key == "lan" else "log of sigmoid")
            for key, given in files.items()
        }
        network = pl.import_onnx(paths.pop("lan"), name, **paths, **known)
    return Kind(network.spec, theta, network, true=False, files=files)


def responses() -> Kind:
    """A model of responses alone, with a network of random weights."""
    network = Network(THREE, random_mlp(3, len(THREE.names), 8, len(THREE.choices) - 1))
    return Kind(THREE, {"x": 0.5, "gain": 2.0}, network, true=False)


def omissions() -> Kind:
    """A user's simulator, some of whose trials have no response."""
    network = given_network("omissions")
    return Kind(network.spec, {"rate": 8.0, "limit": 0.8}, network, true=False)


THREE_RACERS = {"v0": 1.5, "v1": 1.0, "v2": 0.8, "a": 1.5, "z0": 0.2, "z1": 0.3, "z2": 0.4, "t": 0.3}
MAKERS: dict[str, Callable[[], Kind]] = {
    "ddm": lambda: shipped("ddm", **DDM),
    "ddm_sdv": lambda: shipped("ddm_sdv", **DDM, sv=0.7),
    "angle": lambda: shipped("angle", **DDM, theta=0.3),
    "weibull": lambda: shipped("weibull", **WEIBULL),
    "ornstein": lambda: shipped("ornstein", **DDM, g=0.8),
    "full_ddm": lambda: shipped("full_ddm", **DDM, sz=0.1, sv=0.7, st=0.1),
    "lba2": lambda: closed("lba2", A=0.5, b=0.9, v0=0.6, v1=0.9, t=0.2),
    "rdm3": lambda: closed("rdm3", A=0.5, b=1.0, v0=1.0, v1=1.5, v2=2.0, t=0.2),
    "poisson_race": lambda: closed("poisson_race", r1=3.0, r2=2.0, k1=4.0, k2=3.0, t=0.2),
    "race_3": lambda: shipped("race_3", **THREE_RACERS),
    "levy": lambda: shipped("levy", **DDM, alpha=1.6),
    "lca_3": lambda: shipped("lca_3", **THREE_RACERS, g=0.5, b=0.3),
    "oddity_2d": lambda: shipped("oddity_2d", d1=1.5, k1=1.4, d2=0.5, k2=0.6),
    "responses": responses,
    "own": lambda: Kind(OWN, DDM),
    "omissions": omissions,
    "imported": lambda: imported("weibull", WEIBULL),
    "with_cpn": lambda: imported("weibull", WEIBULL, "cpn"),
    "with_opn": lambda: imported("weibull", WEIBULL, "opn"),
    "stranger": lambda: imported("stranger", {"v": 0.8, "a": 1.0, "t": 0.3}, bounds=STRANGER, choices=(-1, 1)),
}


@cache
def kind(name: str) -> Kind:
    """The representative of that name."""
    return MAKERS[name]()
