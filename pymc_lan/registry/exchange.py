"""Networks to and from other tools: ONNX files as HSSM publishes and loads them, and orbax checkpoints."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np

from pymc_lan.data.files import whole_folder, write_whole, writing
from pymc_lan.data.reading import LARGEST_TEXT, read_file
from pymc_lan.errors import RegistryError, explain, printable, unknown
from pymc_lan.models.imported import PLAIN, PLAIN_OMISSION, Bounds, imported_model
from pymc_lan.models.model import Model, require_views, shift
from pymc_lan.networks.accuracy.accuracy import accuracy
from pymc_lan.networks.config import CONFIG, CONFIG_FORMAT, read_config
from pymc_lan.networks.kernel.layout import PARTS
from pymc_lan.networks.mlp import MLP, tensor_shapes
from pymc_lan.networks.network import (
    Network,
    build_network,
    network_tensors,
    networks_config,
    version_config,
)
from pymc_lan.networks.onnx.read import read_onnx, require_onnx
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.registry.card import write_card
from pymc_lan.registry.load import load_folder, refuse_existing, write_version
from pymc_lan.registry.sources import AnyModel, find_network
from pymc_lan.registry.table import check_names, digest

FORMATS = ("onnx", "orbax")
# The arrays of an orbax checkpoint, beside its config.
ARRAYS = "arrays"
_REMEDY_ORBAX = "export the network anew"

# Trials and parameter sets on which an imported network is measured: enough for two digits, in ten seconds.
N_MEASURED, N_MASS = 10_000, 100
# Trials on which a written graph is compared with what it was written from; by how much they may differ [nats] and,
# for log densities that no trial of the model has, relatively.
N_CHECKED, TOLERANCE, RELATIVE = 1000, 1e-4, 1e-5
# Log likelihoods below this are those of trials that never happen; formulas for them may overflow.
IMPOSSIBLE = -200.0


def import_onnx(
    path: str | os.PathLike[str],
    model: str | Model,
    *,
    cpn: str | os.PathLike[str] | None = None,
    opn: str | os.PathLike[str] | None = None,
    bounds: Bounds | None = None,
    choices: Sequence[int] | None = None,
    out: str | os.PathLike[str] | None = None,
    version: str = "imported",
) -> Network:
    """Import networks that were published for HSSM, to use them like our own.

    Parameters
    ----------
    path : path
        An ONNX file with a likelihood network (LAN): from the parameters, rt and the response to the log density.
    model : str or Model
        The model, for the order of its parameters. For one that is not known here, any name, with `bounds` and
        `choices`; it can be fitted, but not simulated.
    cpn : path, optional
        Its choice probability network: from the parameters to the log probability of the lower boundary. Go/no-go
        distributions without a deadline need it.
    opn : path, optional
        Instead, its omission probability network: from the parameters and a deadline to the log probability that there
        is no decision by then. Two-choice distributions with a deadline need it.
    bounds : mapping of str to tuple of float, optional
        Where the network was trained, by parameter; by default the model's own bounds. Of a model that is not known
        here, all parameters in the order of the network's inputs.
    choices : sequence of int, optional
        The response codes of a model that is not known here.
    out : path, optional
        A registry's folder, to write the network to as ``out/model/version``, a folder that `pymc_lan.load_network`
        reads.
    version : str

    Returns
    -------
    Network

    Raises
    ------
    RegistryError
        If a file is not what it should be: see the message.
    ValueError
        For a model, bounds or choices that do not go together.
    ImportError
        Without the package onnx: ``pip install 'pymc-lan[onnx]'``.

    Warns
    -----
    UserWarning
        Always: with the measured accuracy where the model has a closed form, or that it is unknown.

    Notes
    -----
    The network's output is the log density where rt > t. Below, where HSSM has a floor of -66.1, it goes on in a
    straight line that loses a nat each millisecond, so that a sampler finds its way back; outside the bounds as in
    `LANDist`.

    Examples
    --------
    A network of one layer, whose log density is v - rt, of a model with two parameters:

    >>> import tempfile, warnings, numpy as np, onnx, pymc_lan as pl
    >>> from onnx import helper, numpy_helper
    >>> x, y = (helper.make_tensor_value_info(name, 1, [1, n]) for name, n in (("x", 4), ("y", 1)))
    >>> weights = numpy_helper.from_array(np.array([[1, 0, -1, 0]], "f4").T, "w")
    >>> layer = helper.make_node("MatMul", ["x", "w"], ["y"])
    >>> file = tempfile.mkdtemp() + "/toy.onnx"
    >>> onnx.save(helper.make_model(helper.make_graph([layer], "toy", [x], [y], [weights])), file)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")  # that its accuracy is unknown
    ...     toy = pl.import_onnx(file, "toy", bounds={"v": (-3, 3), "t": (0, 2)}, choices=(-1, 1))
    >>> float(toy.logpdf(0.5, 1, v=2.0, t=0.1))
    1.5
    """
    if cpn is not None and opn is not None:
        found = f"cpn={str(cpn)!r} and opn={str(opn)!r}"
        raise ValueError(explain("a CPN or an OPN", found, "import the LAN twice, once with each"))
    spec = imported_model(model, bounds or {}, choices, PLAIN if opn is None else PLAIN_OMISSION)
    if out is not None:
        refuse_existing(out, spec.name, version)
    files = {"lan": path} | ({} if cpn is None else {"choice": cpn}) | ({} if opn is None else {"choice": opn})
    mlps = {name: _read(spec, name, Path(file)) for name, file in files.items()}
    network = Network(spec, mlps["lan"], mlps.get("choice"), version)
    measured = accuracy(network, n=N_MEASURED, n_mass=N_MASS) if spec.exact else None
    network = replace(network, config=_config(network, files, measured), sha256=_weights_sha256(network))
    warnings.warn(_caution(Path(path), measured), stacklevel=2)
    if out is None:
        return network
    return load_folder(write_version(out, network, network.config, write_card), spec)


def _read(spec: Model, name: str, path: Path) -> MLP:
    mlp, log_sigmoid = read_onnx(path)
    takes = [*spec.names, *(("rt", "response") if name == "lan" else ())]
    takes += ["deadline"] if require_views(spec).n_inputs[name] > len(takes) else []
    if mlp.sizes[0] != len(takes):
        expected = f"a network of the {len(takes)} inputs {', '.join(takes)} in {path}"
        remedy = "check model, and which file is the LAN, the CPN and the OPN"
        raise RegistryError(explain(expected, f"{mlp.sizes[0]} inputs", remedy))
    if name == "lan" and log_sigmoid:
        expected, found = f"a LAN that ends in the last layer in {path}", "one that ends in a log-sigmoid"
        raise RegistryError(explain(expected, found, "give the LAN first"))
    if name == "choice" and not log_sigmoid:
        expected, found = f"a CPN or OPN that ends in a log-sigmoid in {path}", "one that ends in the last layer"
        raise RegistryError(explain(expected, found, "export it anew"))
    return mlp


def _config(network: Network, files: Mapping[str, Any], measured: dict[str, Any] | None) -> dict[str, Any]:
    """What ``config.json`` says of an imported network."""
    imported = {
        name: {"file": printable(Path(file).name), "sha256": digest(read_file(Path(file), "check the path"))}
        for name, file in files.items()
    }
    outcome = f"rt in seconds, response one of {', '.join(map(str, network.spec.choices))}"
    return version_config(network, outcome) | {
        "labels": "unknown",
        "training": {"imported": imported},
        "packages": {name: package_version(name) for name in ("pymc-lan", "onnx")},
        "accuracy": measured,
    }


def _weights_sha256(network: Network) -> str:
    """The sha256 that the weights file of a version has."""
    from safetensors.numpy import save

    return digest(save(network_tensors(network)))


def _caution(path: Path, measured: dict[str, Any] | None) -> str:
    name = printable(path.name)
    if measured is None:
        return f"{name} is imported as it is; its accuracy is unknown. Compare it with simulated trials before use."
    lan = measured["lan"]
    return (
        f"{name} is imported as it is. Against the closed form, on {measured['n']:,} trials over the bounds, its "
        f"log density is off by {lan['mean']:.2g} nats in the mean, {lan['p99']:.2g} in one trial of a hundred and "
        f"{lan['max']:.2g} at most."
    )


def export(
    network: AnyModel,
    out: str | os.PathLike[str],
    format: str = "onnx",
    *,
    part: str = "density",
) -> None:
    """Write a network for other tools.

    Parameters
    ----------
    network : Network, Model, str or path
        The network, its name, such as ``"ddm"`` or ``"ddm@1.0"``, a version's folder, or a model that has a network
        under its name.
    out : path
        The file or, of orbax, the folder. A file is replaced, a folder that exists is not.
    format : {"onnx", "orbax"}
        ``"onnx"``: the whole log likelihood of one trial, closed form and network, as HSSM loads it: one vector of the
        parameters in order, rt and the response, in double precision; not of races. ``"orbax"``: the weights as Flax
        has them and the config, for `import_orbax`.
    part : {"density", "nogo"}
        Of ONNX: the log density, or the log probability of no press by the deadline, whose inputs are the parameters
        and the deadline.

    Raises
    ------
    ValueError
        For an unknown format or part, or one that the network does not have.
    RegistryError
        If the network cannot be loaded, the folder exists, or the file does not say what the network does.
    ImportError
        For ONNX, without the package onnx: ``pip install 'pymc-lan[onnx]'``.

    Notes
    -----
    A written graph is run by onnx's reference implementation on 1,000 trials, and kept only if it agrees with the
    network. HSSM runs it with its backend ``"jax"``, which is its default; its backend ``"pytensor"`` knows ten
    operators only.

    Examples
    --------
    >>> import tempfile, pymc_lan as pl
    >>> pl.export("ddm", tempfile.mkdtemp() + "/ddm.onnx")
    """
    if format not in FORMATS:
        raise ValueError(unknown("format", format, FORMATS))
    if part not in PARTS:
        raise ValueError(unknown("part", part, PARTS))
    network = find_network(network)
    if format == "orbax":
        _export_orbax(network, Path(out))
    else:
        _export_onnx(network, Path(out), part)


def _export_onnx(network: Network, out: Path, part: str) -> None:
    require_onnx()
    if network.spec.times and require_views(network.spec).lan is None:
        found = f"{network.name}, a race composed of the networks of one accumulator"
        raise ValueError(explain("a model whose likelihood is one network", found, "use format='orbax'"))
    from pymc_lan.networks.onnx.write import write_graph

    mlp = network.lan if part == "density" else network.choice
    if mlp is None:
        raise ValueError(explain(f"a choice/deadline network in {network.name}", "none", "export part='density'"))
    about = {
        "model": network.name,
        "sha256": network.sha256,
        "pymc-lan": package_version("pymc-lan"),
        "bounds": json.dumps({p.name: list(p.bounds) for p in network.spec.parameters}),
        "choices": json.dumps(list(network.spec.choices)),
    }
    graph = write_graph(network.spec, mlp, part, about)
    _check_graph(network, graph, part)
    with writing(out, RegistryError):
        write_whole(out, graph.SerializeToString())


def _check_graph(network: Network, graph: Any, part: str) -> None:
    """Refuse a graph that does not say what the network does, on trials over the bounds."""
    from onnx.reference import ReferenceEvaluator

    rng, spec = np.random.default_rng(0), network.spec
    theta = {p.name: rng.uniform(*p.bounds, N_CHECKED) for p in spec.parameters}
    # Decisions from a tenth of a second to several.
    time = shift(spec, theta) + np.exp(rng.normal(-0.5, 1.0, N_CHECKED))
    response = rng.choice(np.asarray(spec.choices, np.float64), N_CHECKED)
    if part == "density":
        columns, expected = [time, response], network.likelihood.log_density(NUMPY, time, response, theta)
    else:
        columns, expected = [time], network.likelihood.log_go(NUMPY, time, theta)[1]
    with np.errstate(all="ignore"):
        results: Any = ReferenceEvaluator(graph).run(None, {"trial": np.column_stack([*theta.values(), *columns])})
        off = np.abs(results[0][:, 0] - expected) - RELATIVE * np.abs(expected)
    likely = np.asarray(expected) > IMPOSSIBLE
    # Not `off > TOLERANCE`, which a NaN would pass.
    if not np.all(off[likely] <= TOLERANCE):
        expected_text = f"a graph that agrees with {network.name} within {TOLERANCE:g} nats"
        found_text = f"one that is off by {off[likely].max():.2g}"
        raise RegistryError(explain(expected_text, found_text, "report this model; nothing was written"))


def _export_orbax(network: Network, out: Path) -> None:
    from pymc_lan.networks.orbax import write_arrays

    check_names(network.spec.name, network.version)
    if out.exists():
        raise RegistryError(explain("a new folder", f"{out}, which exists", "choose another, or remove it"))
    config = {
        **version_config(network, ""),
        **network.config,
        "format": CONFIG_FORMAT,
        "model": network.spec.name,
        "version": network.version,
        "networks": networks_config(network),
        "weights_sha256": _weights_sha256(network),
    }
    with writing(out, RegistryError):
        out.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(out) as folder:
            write_arrays(folder / ARRAYS, network_tensors(network))
            write_whole(folder / CONFIG, (json.dumps(config, indent=2) + "\n").encode())


def import_orbax(folder: str | os.PathLike[str], spec: Model | None = None) -> Network:
    """Read a network back that `export` wrote as an orbax checkpoint.

    Parameters
    ----------
    folder : path
    spec : Model, optional
        Its model, where that has no name here.

    Returns
    -------
    Network
        With the same weights, bit for bit.

    Raises
    ------
    RegistryError
        If the checkpoint cannot be read, or its weights are not those that its config was written with.

    Examples
    --------
    >>> import tempfile, pymc_lan as pl
    >>> folder = tempfile.mkdtemp() + "/ddm"
    >>> pl.export("ddm", folder, "orbax")
    >>> pl.import_orbax(folder) == pl.load_network("ddm")
    True
    """
    from pymc_lan.networks.orbax import read_arrays

    folder = Path(folder)
    config = read_config(read_file(folder / CONFIG, _REMEDY_ORBAX, LARGEST_TEXT), folder / CONFIG)
    sizes = {name: entry["sizes"] for name, entry in config["networks"].items()}
    try:
        tensors = read_arrays(folder / ARRAYS, tensor_shapes(sizes))
    except (OSError, ValueError, KeyError, TypeError) as error:
        expected = f"a checkpoint of pl.export in {folder}"
        raise RegistryError(explain(expected, f"{error}", _REMEDY_ORBAX)) from error
    network = build_network(config, tensors, "", spec)
    found = _weights_sha256(network)
    if found != config.get("weights_sha256"):
        expected = f"weights with sha256 {config.get('weights_sha256')} in {folder}"
        raise RegistryError(explain(expected, found, _REMEDY_ORBAX))
    return replace(network, sha256=found)
