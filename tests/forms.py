"""Every distribution of the package in every form and likelihood, and random parameters over its whole box."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx_files import layers
from toy_simulators import GIVEN_UP

import pymc_lan as pl
from pymc_lan.models.imported import PLAIN, PLAIN_OMISSION, imported_model
from pymc_lan.models.simulator.reference import Reference
from pymc_lan.networks.mlp import MLP
from pymc_lan.networks.network import Network

INF = np.inf
Float = NDArray[np.float64]


@dataclass(frozen=True)
class Form:
    """A distribution with one of its likelihoods.

    Parameters
    ----------
    cls : type
        `pymc_lan.DDM` or the like.
    likelihood : {"lan", "exact"}
    network : str, optional
        What `given_network` makes, of a distribution that takes any model.
    late : bool
        Whether it is given deadlines that it may do without.
    """

    cls: Any
    likelihood: str
    network: str = ""
    late: bool = False

    @property
    def source(self) -> tuple[Any, ...]:
        return (given_network(self.network),) if self.network else ()

    @property
    def spec(self) -> pl.ModelSpec:
        if self.network:
            return given_network(self.network).spec
        spec = pl.get_model(self.cls.model)
        return spec if spec.views is None else pl.load_network(self.cls.model).spec

    @property
    def go_nogo(self) -> bool:
        return issubclass(self.cls, pl.GoNoGo)

    @property
    def omissions(self) -> bool:
        """Whether trials without a decision by the deadline are seen as such."""
        return self.late or self.network == "opn"

    @property
    def ends(self) -> bool:
        """Whether it takes a deadline."""
        return self.omissions or (self.go_nogo and self.network != "cpn")

    @property
    def silent(self) -> bool:
        """Whether there may be no response."""
        return self.go_nogo or self.omissions or self.spec.omissions

    @property
    def responses(self) -> tuple[int, ...]:
        return (1,) if self.go_nogo else tuple(self.spec.choices)

    def dist(self, arguments: Mapping[str, Any], **kwargs: Any) -> Any:
        """The distribution of trials with arguments by the model's names."""
        keywords = {p.name: p.keyword for p in self.spec.parameters}
        given = {keywords.get(name, name): x for name, x in arguments.items()}
        return self.cls.dist(*self.source, **given, likelihood=self.likelihood, **kwargs)


# A log-normal decision time of 0.1 to 0.4 s, which falls with the rate: the baseline that training fits first.
CLOCK = Reference(((1.0, 0.2, 0.0),), ((-0.8, -1.0), (0.1, -0.7), (0.0, 0.0)))


def random_mlp(seed: int, *sizes: int, activation: str = "squareplus") -> MLP:
    """A network of random weights."""
    kernels, biases = zip(*layers(*sizes, seed=seed), strict=True)
    return MLP(kernels, biases, activation)


@cache
def given_network(kind: str) -> Network:
    """A network that others trained, here with random weights: what it says of trials is no density of a model."""
    if kind == "omissions":
        sizes = GIVEN_UP.views.n_inputs
        spec = replace(GIVEN_UP, baseline=CLOCK)
        return Network(spec, random_mlp(1, sizes["lan"], 5, 1), random_mlp(2, sizes["choice"], 5, 1))
    spec = imported_model("ddm", {}, None, {"cpn": PLAIN, "opn": PLAIN_OMISSION}[kind])
    sizes = spec.views.n_inputs
    lan, choice = random_mlp(0, sizes["lan"], 8, 5, 1, activation="tanh"), random_mlp(4, sizes["choice"], 7, 1)
    return Network(spec, lan, choice)


def forms() -> dict[str, Form]:
    """All of them, by a name for the reader."""
    found = {}
    for name, cls in pl._distributions().items():
        spec = pl.get_model(cls.model)
        closed = spec.exact is not None and (not issubclass(cls, pl.GoNoGo) or spec.exact.log_split is not None)
        for likelihood in ("exact", "lan"):
            if (likelihood == "exact" and closed) or (likelihood == "lan" and spec.views is not None):
                found[f"{name}-{likelihood}"] = Form(cls, likelihood)
    for name in ("DDM-exact", "DDM-lan", "DDMSdv-exact", "Angle-exact", "LBA3-exact", "RDM3-exact", "Race3-lan"):
        found[f"{name}, omissions"] = replace(found[name], late=True)
    found["GoNoGo, imported CPN"] = Form(pl.GoNoGo, "lan", "cpn")
    found["LANDist, imported OPN"] = Form(pl.LANDist, "lan", "opn")
    found["LANDist, simulator with omissions"] = Form(pl.LANDist, "lan", "omissions")
    return found


FORMS = forms()


def in_box(form: Form, rng: np.random.Generator, n: int, ends: float = 0.0) -> dict[str, Float]:
    """Random parameters, each with probability `ends` at an end of its bounds.

    A share of the sets are whole corners where `ends` is not 0.
    """
    theta = {}
    share = np.where(rng.random(n) < 0.2, 1.0, ends) if ends else np.zeros(n)
    for p in form.spec.parameters:
        low, high = p.bounds
        # Domains are open but for the ends that are said to belong to them.
        low = np.nextafter(low, high) if low == p.domain[0] and not p.closed and p.unit != "s" else low
        high = np.nextafter(high, low) if high == p.domain[1] else high
        at_end = rng.random(n) < share
        theta[p.name] = np.where(at_end, rng.choice([low, high], n), rng.uniform(low, high, n))
    race = getattr(form.spec, "accumulator", None)
    if race is not None and race.order is not None:
        less, more = race.order
        theta[more] = np.maximum(theta[more], theta[less])
    return theta


def shares(rng: np.random.Generator, n: int) -> Float:
    """Probabilities from 0 to 1, both ends among them."""
    return np.choose(rng.integers(4, size=n), [rng.random(n), np.zeros(n), np.ones(n), 0.1 * rng.random(n)])


def guesses(form: Form, theta: Mapping[str, Float], rng: np.random.Generator) -> dict[str, Float]:
    """Lapses, windows and, where the form takes them, deadlines of every kind, one a set of parameters."""
    n = len(next(iter(theta.values())))
    found = {"p_lapse": shares(rng, n), "lapse_window": np.exp(rng.uniform(np.log(0.05), np.log(20), n))}
    if form.go_nogo:
        found["lapse_go"] = shares(rng, n)
    if form.ends:
        t = theta.get("t", np.zeros(n))
        ends = [t + np.exp(rng.uniform(np.log(0.02), np.log(20), n)), rng.uniform(0.05, 1, n), found["lapse_window"]]
        if form.go_nogo:
            ends.append(np.full(n, INF))
        found["deadline"] = np.choose(rng.integers(len(ends), size=n), ends)
    return found


def is_simulated(form: Form) -> bool:
    """Whether a network was trained from simulated trials."""
    return form.spec.labels is None and form.spec.exact is None
