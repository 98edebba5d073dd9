"""`from_flax`: networks that were trained elsewhere, as modules of Flax, become a `Network`."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version as package_version
from typing import Any, NamedTuple

import numpy as np

from pymc_lan.errors import check_count, check_path, explain, unknown
from pymc_lan.models.imported import PLAIN, imported_model
from pymc_lan.models.model import Model, require_views
from pymc_lan.networks.accuracy.accuracy import accuracy
from pymc_lan.networks.network import Network, version_config
from pymc_lan.networks.program import AnyNetwork, Program
from pymc_lan.registry.card import write_card
from pymc_lan.registry.import_onnx import N_MASS, N_MEASURED
from pymc_lan.registry.load import load_folder, refuse_existing, write_version
from pymc_lan.registry.orbax import weights_sha256

# Nearer to 0 or 1 no probability is known in single precision.
NEAREST = 1e-7


class Output(NamedTuple):
    """What a choice probability network gives.

    Parameters
    ----------
    low, high : float
        Between which it lies.
    to_logit : tuple
        The operations that make the logit of it; see `pymc_lan.networks.program.Program.then`.
    """

    low: float
    high: float
    to_logit: tuple[tuple[str, tuple[int | float, ...]], ...]


# How far outputs may be beyond their ends by rounding; what makes the logit of them does not pass the ends.
ROUNDED = 1e-6
OUTPUTS = {
    "log_probability": Output(
        -math.inf, 0.0, (("min", (0, -NEAREST)), ("expm1", (1,)), ("neg", (2,)), ("log", (3,)), ("sub", (1, 4)))
    ),
    "logit": Output(-math.inf, math.inf, ()),
    "probability": Output(
        *(0.0, 1.0),
        (("max", (0, NEAREST)), ("min", (1, 1 - NEAREST)), ("sub", (1.0, 2)), ("div", (2, 3)), ("log", (4,))),
    ),
}
"""By the name that users give."""

# Parameter sets at which outputs are looked at.
N_LOOKED_AT = 2000


def from_flax(
    module: Any,
    spec: str | Model | Network,
    choice: Any = None,
    *,
    choice_output: str = "log_probability",
    bounds: Mapping[str, tuple[float, float]] | None = None,
    choices: Sequence[int] | None = None,
    n_measured: int | None = None,
    out: str | os.PathLike[str] | None = None,
    version: str = "from_flax",
) -> Network:
    """Make a network of modules of Flax that were trained elsewhere, for `LANDist` and the go/no-go forms.

    Parameters
    ----------
    module : flax.nnx.Module, bound flax.linen.Module, tuple or callable
        The likelihood network (LAN): from rows of the parameters in the model's order, rt in seconds and the response,
        as `training_data` has them, to the log density of (rt, response) per second. A module of linen is given with
        its variables, as a pair or bound to them; any function of JAX will do. Modules of NNX are taken as they
        evaluate, without dropout.
    spec : str, Model or Network
        The model; for one that is not known here any name, with `bounds` and `choices`: it can be fitted, but not
        simulated.
    choice : as `module`, optional
        The choice probability network (CPN): from the parameters to the log probability of the lower boundary, which is
        that of no press. Go/no-go forms need it, and know no deadline with it.
    choice_output : {"log_probability", "logit", "probability"}
        What `choice` gives of that probability.
    bounds : mapping of str to tuple of float, optional
        Where the networks were trained, by parameter; by default the model's own bounds.
    choices : sequence of int, optional
        The response codes of a model that is not known here.
    n_measured : int, optional
        Trials on which the accuracy is measured, where the true density is known; by default 10,000.
    out : path, optional
        A registry's folder, to write the network to as ``out/model/version``, which `load_network` reads.
    version : str

    Returns
    -------
    Network
        With its accuracy in ``network.config["accuracy"]``, or None there where the true density is not known.

    Raises
    ------
    ValueError
        For a module that does not take these inputs, gives other than one number for each row, or does what cannot be
        run without JAX; a CPN whose outputs are not what `choice_output` says; a model, bounds or choices that do not
        go together.
    RegistryError
        If the version exists in `out`.

    Notes
    -----
    Modules are traced once, and evaluated without JAX in PyTensor's default mode. A plain multilayer perceptron with an
    activation of ``tanh``, ``relu``, ``sigmoid`` or ``squareplus`` is recognised and is as fast as a network trained
    here; other forms (norms, residual layers, other activations) become graphs of PyTensor, which take longer to
    compile. Below t the log density
    goes on in a straight line that loses a nat each millisecond.

    Examples
    --------
    A network of one layer that was never trained, of a model with two parameters:

    >>> import pymc_lan as pl
    >>> from flax import nnx
    >>> lan = nnx.Linear(4, 1, rngs=nnx.Rngs(0))
    >>> network = pl.from_flax(lan, "toy", bounds={"v": (-3, 3), "t": (0, 2)}, choices=(-1, 1))
    >>> network.logpdf(0.8, [1, -1], v=1.0, t=0.3).shape
    (2,)
    """
    if choice_output not in OUTPUTS:
        raise ValueError(unknown("choice_output", choice_output, OUTPUTS))
    n = N_MEASURED if n_measured is None else check_count("n_measured", n_measured)
    model = imported_model(spec.spec if isinstance(spec, Network) else spec, bounds or {}, choices, PLAIN)
    if not model.known.times:
        found = f"{model.name!r}, a model of responses alone"
        raise ValueError(explain("a model of response times", found, "train it with pl.train"))
    folder = None if out is None else check_path("out", out)
    if folder is not None:
        refuse_existing(folder, model.name, version)
    inputs = require_views(model).n_inputs
    lan = _network(module, inputs["lan"], "module")
    cpn = None if choice is None else _choice(model, choice, inputs["choice"], choice_output)
    network = Network(model, lan, cpn, version)
    measured = accuracy(network, n=n, n_mass=min(N_MASS, n)) if model.labels is not None else None
    config = version_config(network, f"rt in seconds, response one of {', '.join(map(str, model.choices))}") | {
        "labels": "unknown",
        "training": {"elsewhere": " and ".join(_named(each) for each in (module, choice) if each is not None)},
        "packages": {name: package_version(name) for name in ("pymc-lan", "jax", "flax")},
        "accuracy": measured,
    }
    network = replace(network, config=config, sha256=weights_sha256(network))
    return network if folder is None else load_folder(write_version(folder, network, config, write_card), model)


def _named(module: Any) -> str:
    kind = type(module[0] if isinstance(module, tuple) else module)
    return f"a module of the class {kind.__name__}"


def _network(module: Any, n_inputs: int, what: str) -> AnyNetwork:
    """A likelihood network; a plain one where it is that."""
    from pymc_lan.networks.traced import as_function, simplest, trace

    return simplest(trace(as_function(module, what), n_inputs, what))


def _choice(model: Model, module: Any, n_inputs: int, gives: str) -> AnyNetwork:
    """A network of the logit of no press, from one of what `gives` says."""
    from pymc_lan.networks.traced import as_function, as_mlp, same, trace

    program, to_logit = trace(as_function(module, "choice"), n_inputs, "choice"), OUTPUTS[gives].to_logit
    _check_outputs(model, program, gives)
    plain, tail = as_mlp(program), Program(1, (), ()).then(to_logit)
    if plain is not None and same(lambda x: tail([plain[1](x)]), lambda x: x):
        return plain[0]
    return program.then(to_logit)


def _check_outputs(model: Model, program: Program, gives: str) -> None:
    """Refuse outputs over the bounds that are not what they are said to be."""
    rng, output = np.random.default_rng(0), OUTPUTS[gives]
    found = program([rng.uniform(*p.bounds, N_LOOKED_AT) for p in model.parameters])
    wrong = ~((found >= output.low - ROUNDED) & (found <= output.high + ROUNDED))
    if wrong.any():
        expected = f"a CPN whose outputs are each a {gives.replace('_', ' ')}, from {output.low:g} to {output.high:g}"
        remedy = "say what they are, as in choice_output='logit', or end the network in log_sigmoid"
        raise ValueError(explain(expected, f"{float(found[wrong][0]):.3g} for parameters within the bounds", remedy))
