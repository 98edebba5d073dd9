"""A model's trained networks together with what their config says of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pymc_lan.data.observation import Silence
from pymc_lan.errors import RegistryError, explain, refuse, unknown
from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.density import DeadlineView, Views
from pymc_lan.models.imported import TAGS, imported_model, within
from pymc_lan.models.likelihood import Likelihood, of_choices
from pymc_lan.models.model import Model, check_model, require_views
from pymc_lan.models.simulator.stored import KINDS, stored_model
from pymc_lan.networks.config import CONFIG_FORMAT, REMEDY_ANEW, check_agreement, check_config
from pymc_lan.networks.mlp import MLP
from pymc_lan.networks.program import AnyNetwork, Program
from pymc_lan.numerics.passage import NUMPY, Namespace, Theta

if TYPE_CHECKING:
    from pymc_lan.networks.jax_density import JaxDensity


def nan_handed_on() -> np.errstate:
    """A context in which NumPy formulas hand on NaN in silence; of their functions `numpy.logaddexp` alone warns."""
    return np.errstate(invalid="ignore")


@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """The likelihood network of a model and its choice/deadline network.

    Two are equal when their model and weights are.

    Parameters
    ----------
    spec : Model
    lan : MLP or Program
        Residual log density of (rt, response) or, of a model of responses alone, logits of the choices.
    choice : MLP or Program, optional
        Probability of a go response under a deadline; go/no-go distributions need it.
    version : str
        ``"unpublished"`` for a network just trained.
    config : mapping
        The content of ``config.json``.
    sha256 : str
        Of the weights file.
    origin : str
        The registry it was loaded from: ``"embedded"``, a folder, or a repository and its commit; empty without one.
    survivor : MLP or Program, optional
        Probability that nothing is decided by a deadline, which omissions need; of models without a closed form of it.
    """

    spec: Model
    lan: AnyNetwork
    choice: AnyNetwork | None = None
    version: str = "unpublished"
    config: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""
    origin: str = ""
    survivor: AnyNetwork | None = None

    def __repr__(self) -> str:
        networks = ", ".join(f"{key}={mlp}" for key, mlp in self.networks.items())
        return f"Network({self.name}, {networks}, origin={self.origin!r})"

    @property
    def networks(self) -> dict[str, AnyNetwork]:
        """Those that there are, by their names in a config."""
        each = {"lan": self.lan, "choice": self.choice, "survivor": self.survivor}
        return {key: mlp for key, mlp in each.items() if mlp is not None}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[Any, ...]:
        return self.spec, self.lan, self.choice, self.survivor

    @property
    def name(self) -> str:
        """``"model@version"``."""
        return f"{self.spec.name}@{self.version}"

    @property
    def likelihood(self) -> Likelihood:
        """The likelihood in NumPy."""
        return Likelihood(self.spec, self.lan, self.choice)

    def logpdf(self, rt: ArrayLike, response: ArrayLike, **theta: ArrayLike) -> NDArray[np.float64]:
        """Log density of response times and responses, in NumPy or, where an argument is an array of JAX, in JAX.

        Parameters
        ----------
        rt : array_like
            Seconds, finite.
        response : array_like
            A code of the model's choices: +1 or -1. Another one has the density 0, and its log is minus infinity.
        **theta : array_like
            Every parameter of the model by name; all broadcast.

        Returns
        -------
        ndarray or jax.Array

        Raises
        ------
        ValueError
            For a parameter name that the model does not have, or one that is missing.

        Examples
        --------
        >>> import pymc_lan as pl
        >>> network = pl.load_network("ddm")
        >>> round(float(network.logpdf(0.8, 1, v=1.0, a=1.0, z=0.5, t=0.3)), 1)
        -0.1
        """
        self._check_names(theta)
        given = (rt, response, *(theta[name] for name in self.spec.names))
        xp, likelihood = self._in_jax() if any(map(_of_jax, given)) else (NUMPY, self.likelihood)
        rt_, response_, *values = xp.broadcast_arrays(*(xp.asarray(x, float) for x in given))
        named = dict(zip(self.spec.names, values, strict=True))
        with nan_handed_on():
            density = likelihood.log_density(xp, rt_, response_, named)
        found: NDArray[np.float64] = of_choices(xp, density, response_, self.spec.choices)
        return found

    def _in_jax(self) -> tuple[Namespace, Likelihood]:
        from pymc_lan.networks.flax import JAX, likelihood_in_jax

        return JAX, likelihood_in_jax(self.spec, self.lan, self.choice)

    def as_jax(self) -> JaxDensity:
        """The log density as a function of JAX, which `jax.jit`, `jax.grad` and `jax.vmap` take.

        Returns
        -------
        callable
            ``f(rt, response, *parameters, deadline=None)``, or ``f(response, *parameters)`` of a model of responses
            alone; all broadcast. Parameters are given by position, in the model's order, or by name; those with a
            default may be left out. With a deadline, trials whose rt is inf have the log probability of no response by
            then, and responses that are none of the model's choices that of density 0, minus infinity. The precision is
            the one that JAX is set to, that of the weights float32. Outside the bounds it is
            that of distributions: at the nearest point inside, minus a penalty.

        Raises
        ------
        ValueError
            When called, for parameters that are unknown or missing, or a deadline that the network does not know.

        Examples
        --------
        >>> import jax, pymc_lan as pl
        >>> f = pl.load_network("ddm").as_jax()
        >>> by_drift = jax.jit(jax.grad(f, argnums=2))
        >>> round(float(by_drift(0.8, 1, 1.0, 1.0, 0.5, 0.3)), 1)
        0.5
        """
        from pymc_lan.networks.jax_density import JaxDensity

        return JaxDensity(self.spec, self.lan, self.choice)

    def probabilities(self, *, deadline: ArrayLike | None = None, **theta: ArrayLike) -> NDArray[np.float64]:
        """Probability of each choice, of a model of responses alone; else of no response and of one, in NumPy.

        Parameters
        ----------
        deadline : array_like, optional
            Seconds; None or inf for none. Of a model of response times whose networks know one.
        **theta : array_like
            Every parameter of the model by name; all broadcast, the deadline too. Outside the bounds they are those at
            the nearest point inside.

        Returns
        -------
        ndarray
            Of the broadcast shape, and one more axis. Of a model of responses alone that of the choices, in the order
            of ``spec.choices``. Of one of response times it has two places: nothing is seen by the deadline, and a
            response is. For a go/no-go network they are no press (the lower boundary, or too late) and a press (the
            upper one in time); without a deadline that is the choice itself.

        Raises
        ------
        ValueError
            For a network that does not know how likely a response is, or knows no deadline where one is given;
            deadlines that are not positive; a parameter name that the model does not have, or one that is missing.

        Examples
        --------
        >>> import pymc_lan as pl
        >>> ddm = pl.load_network("ddm")
        >>> ddm.probabilities(v=[0.0, 1.0], a=1.0, z=0.5, t=0.3).round(3)
        array([[0.5  , 0.5  ],
               [0.119, 0.881]])
        >>> ddm.probabilities(v=1.0, a=1.0, z=0.5, t=0.3, deadline=[0.8, 1.6]).shape
        (2, 2)
        """
        if "deadline" in self.spec.names and deadline is not None:
            theta, deadline = {**theta, "deadline": deadline}, None
        self._check_names(theta)
        *values, ends = np.broadcast_arrays(
            *(np.asarray(theta[name], np.float64) for name in self.spec.names),
            np.asarray(np.inf if deadline is None else deadline, np.float64),
        )
        named = dict(zip(self.spec.names, values, strict=True))
        log_p = self._log_splits(ends, named) if self.spec.times else self._log_choices(ends, named)
        return np.stack(np.broadcast_arrays(*np.exp(log_p)), axis=-1)

    def _log_choices(self, deadline: NDArray[np.float64], theta: Theta) -> list[Any]:
        """Log probability of each choice of a model of responses alone."""
        if np.any(np.isfinite(deadline)):
            found = f"{self.spec.name!r}, a model of responses alone"
            raise ValueError(explain("a model of response times, for a deadline", found, "leave the deadline out"))
        likelihood = Likelihood(self.spec, partial(self.lan.outputs, NUMPY))
        return likelihood.log_probabilities(NUMPY, theta)[0]

    def _log_splits(self, deadline: NDArray[np.float64], theta: Theta) -> list[Any]:
        """Log probability that nothing is seen by the deadline, and that a response is."""
        self._check_deadline(deadline)
        with nan_handed_on():
            seen, silent = self.likelihood.log_go(NUMPY, deadline, theta)
            # Both less the penalty of what lies outside the bounds.
            total = np.logaddexp(seen, silent)
            return [silent - total, seen - total]

    def _check_deadline(self, deadline: NDArray[np.float64]) -> None:
        view: DeadlineView | None = None if self.choice is None else require_views(self.spec).choice
        expected = f"a network that knows how likely a response is, for {self.spec.name!r}"
        if view is None:
            raise ValueError(explain(expected, "none", "simulate trials with pl.simulate, and count"))
        refuse(
            ~(deadline.ravel() > 0),
            {"deadline": deadline.ravel()},
            expected="deadlines above 0 s",
            found="others",
            remedy="give seconds after the onset of the stimulus, inf for none",
        )
        finite = np.isfinite(deadline)
        if not view.deadlines and finite.any():
            raise ValueError(explain(f"{expected} with a deadline", "one that knows none", "leave the deadline out"))
        if view.deadlines and view.silence is Silence.OMISSION and not finite.all():
            raise ValueError(explain("finite deadlines, because the OPN knows no others", "none", "give deadline=..."))

    def _check_names(self, theta: Mapping[str, ArrayLike]) -> None:
        """Refuse names that the model does not have, and the lack of one."""
        for name in theta:
            self.spec.parameter(name)
        if missing := [name for name in self.spec.names if name not in theta]:
            raise ValueError(
                explain(f"the parameters {', '.join(self.spec.names)}", f"no {missing[0]}", "give it by name")
            )


def check_network(network: Any) -> None:
    """Refuse what is no network, such as a name, with a ValueError."""
    if not isinstance(network, Network):
        remedy = "give what pl.load_network or pl.train returns"
        raise ValueError(explain("a Network", f"a {type(network).__name__}", remedy))


def _of_jax(value: Any) -> bool:
    """Whether a value is an array of JAX, or stands for one while JAX traces a function."""
    # Under "jax" alone a stand-in may lie, ArviZ's for instance, which would import it when asked for an array.
    return "jaxlib" in sys.modules and isinstance(value, sys.modules["jax"].Array)


def networks_config(network: Network) -> dict[str, Any]:
    """The part of a config that rebuilds the networks: sizes, activation, transform."""
    views = require_views(network.spec)
    config: dict[str, Any] = {name: x.stored() | {"transform": views.tag} for name, x in network.networks.items()}
    return config | {"lan": config["lan"] | views.stored()}


def version_config(network: Network, outcome: str) -> dict[str, Any]:
    """The part of a config that says what a version is, whoever trained it."""
    spec = network.spec
    return {
        "format": CONFIG_FORMAT,
        "model": spec.name,
        "version": network.version,
        "description": spec.description,
        "reference": spec.reference,
        "parameters": [
            {"name": p.name, "bounds": list(p.bounds), "unit": p.unit, "meaning": p.meaning, "default": p.default}
            for p in spec.parameters
        ],
        "choices": list(spec.choices),
        "outcome": outcome,
        "networks": networks_config(network),
    }


def network_tensors(network: Network) -> dict[str, NDArray[np.float32]]:
    """Every weight by path, as the weights file stores it."""
    return {path: x for name, mlp in network.networks.items() for path, x in mlp.tensors(name).items()}


def build_network(
    config: Mapping[str, Any],
    tensors: Mapping[str, NDArray[np.float32]],
    sha256: str,
    spec: Model | None = None,
) -> Network:
    """Rebuild a network from its config and weights, of a model known by name or of the given one.

    Raises
    ------
    RegistryError
        If the config is of a newer format or lacks an entry, names an unknown model, or disagrees with the weights.
    ValueError
        If the spec is no model.
    """
    if spec is not None:
        check_model(spec)
    check_config(config)
    name, version, networks = config["model"], config["version"], config["networks"]
    if (known := spec or MODELS.get(name)) is not None:
        check_agreement(config, known, released=spec is None)
    try:
        tags = {entry["transform"] for entry in networks.values()}
        if tags <= {*TAGS}:
            spec = imported_model(spec or name, _bounds(config), config["choices"], *tags)
        elif len(tags) == 1 and tags <= KINDS.keys():
            spec = stored_model(known, config)
        elif known is not None:
            spec = within(known, _bounds(config)).as_seen(min(tags))
        if spec is None:
            raise RegistryError(
                f"{unknown('model', name, MODELS)} Remedy: upgrade pymc-lan, or register a model of your own first."
            )
        views = require_views(spec)
        _check_ends(spec, views, networks)
        mlps = {key: _rebuilt(entry, tensors, key) for key, entry in networks.items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RegistryError(explain("a complete config.json", f"no usable entry {error}", REMEDY_ANEW)) from error
    if tags != {views.tag}:
        raise RegistryError(
            explain(f"the transform {views.tag!r} of model {name!r}", f"{sorted(tags)}", "upgrade pymc-lan")
        )
    network = Network(spec, mlps["lan"], mlps.get("choice"), version, config, sha256, survivor=mlps.get("survivor"))
    if unused := sorted(tensors.keys() - network_tensors(network).keys()):
        raise RegistryError(explain("no tensors but those of the networks", f"{unused[0]!r}", REMEDY_ANEW))
    return network


def _rebuilt(entry: Mapping[str, Any], tensors: Mapping[str, NDArray[np.float32]], key: str) -> AnyNetwork:
    if "program" in entry:
        return Program.from_stored(entry, tensors, key)
    return MLP.from_tensors(tensors, key, entry["sizes"], entry["activation"])


def _bounds(config: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    return {p["name"]: (float(p["bounds"][0]), float(p["bounds"][1])) for p in config["parameters"]}


def _check_ends(spec: Model, views: Views, networks: Mapping[str, Any]) -> None:
    """Refuse networks that do not take the model's inputs or do not give its outputs."""
    inputs, n_out = views.n_inputs, views.n_outputs
    for key, entry in networks.items():
        # A program has one output.
        sizes = [entry["inputs"], 1] if "program" in entry else entry["sizes"]
        if key in inputs and (len(sizes) < 2 or [sizes[0], sizes[-1]] != [inputs[key], n_out]):
            ends = f"{inputs[key]} inputs and {n_out} output{'s' * (n_out > 1)}"
            expected = f"a {key} network of model {spec.name!r} with {ends}"
            raise RegistryError(explain(expected, f"layers of {sizes}", REMEDY_ANEW))
