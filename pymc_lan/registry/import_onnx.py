"""Networks from other tools: ONNX files as HSSM publishes them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

from pymc_lan.data.reading import read_file
from pymc_lan.errors import RegistryError, check_path, explain, printable
from pymc_lan.models.imported import PLAIN, PLAIN_OMISSION, Bounds, imported_model
from pymc_lan.models.model import Model, require_views
from pymc_lan.models.parameters import as_choices
from pymc_lan.networks.accuracy.accuracy import accuracy
from pymc_lan.networks.mlp import MLP
from pymc_lan.networks.network import (
    Network,
    version_config,
)
from pymc_lan.networks.onnx.read import read_onnx
from pymc_lan.registry.card import write_card
from pymc_lan.registry.load import load_folder, refuse_existing, write_version
from pymc_lan.registry.orbax import weights_sha256
from pymc_lan.registry.table import digest

# Trials and parameter sets on which an imported network is measured: enough for two digits, in ten seconds.
N_MEASURED, N_MASS = 10_000, 100


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
        The response codes of a model that is not known here, two or more.
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
    if choices is not None and len(as_choices(choices)) < 2:
        raise ValueError(explain("two response codes or more as choices", f"{choices}", "give (-1, 1), or 0 to n - 1"))
    given = {"lan": path, "choice": cpn if opn is None else opn}
    names = {"lan": "path", "choice": "cpn" if opn is None else "opn"}
    files = {name: check_path(names[name], file) for name, file in given.items() if name == "lan" or file is not None}
    spec = imported_model(model, bounds or {}, choices, PLAIN if opn is None else PLAIN_OMISSION)
    if out is not None:
        out = check_path("out", out)
        refuse_existing(out, spec.name, version)
    mlps = {name: _read(spec, name, file) for name, file in files.items()}
    network = Network(spec, mlps["lan"], mlps.get("choice"), version)
    measured = accuracy(network, n=N_MEASURED, n_mass=N_MASS) if spec.exact else None
    network = replace(network, config=_config(network, files, measured), sha256=weights_sha256(network))
    warnings.warn(_caution(files["lan"], measured), stacklevel=2)
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


def _config(network: Network, files: Mapping[str, Path], measured: dict[str, Any] | None) -> dict[str, Any]:
    """What ``config.json`` says of an imported network."""
    imported = {
        name: {"file": printable(file.name), "sha256": digest(read_file(file, "check the path"))}
        for name, file in files.items()
    }
    outcome = f"rt in seconds, response one of {', '.join(map(str, network.spec.choices))}"
    return version_config(network, outcome) | {
        "labels": "unknown",
        "training": {"imported": imported},
        "packages": {name: package_version(name) for name in ("pymc-lan", "onnx")},
        "accuracy": measured,
    }


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
