"""Networks as orbax checkpoints, read back bit for bit."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from pymc_lan.data.files import whole_folder, write_whole, writing
from pymc_lan.data.reading import LARGEST_TEXT, read_file
from pymc_lan.errors import RegistryError, check_path, explain
from pymc_lan.models.model import Model
from pymc_lan.networks.config import CONFIG, CONFIG_FORMAT, read_config
from pymc_lan.networks.mlp import tensor_shapes
from pymc_lan.networks.network import (
    Network,
    build_network,
    network_tensors,
    networks_config,
    version_config,
)
from pymc_lan.networks.program import Program
from pymc_lan.registry.table import check_names, digest

# The arrays of a checkpoint, beside its config.
ARRAYS = "arrays"
_REMEDY_ORBAX = "export the network anew"


def weights_sha256(network: Network) -> str:
    """The sha256 that the weights file of a version has."""
    from safetensors.numpy import save

    return digest(save(network_tensors(network)))


def refuse_program(network: Network, format: str) -> None:
    """Refuse, with a ValueError, to write a network that is no plain multilayer perceptron for other tools."""
    if any(isinstance(each, Program) for each in (network.lan, network.choice)):
        found = f"one of another form, {network.name}"
        remedy = "write it as a version with out=..., or train an MLP"
        raise ValueError(explain(f"a plain multilayer perceptron for the format {format!r}", found, remedy))


def export_orbax(network: Network, out: Path) -> None:
    """Write a network as a new folder with its config and its arrays."""
    from pymc_lan.networks.orbax import write_arrays

    check_names(network.spec.name, network.version)
    refuse_program(network, "orbax")
    if os.path.exists(out):
        raise RegistryError(explain("a new folder", f"{out}, which exists", "choose another, or remove it"))
    config = {
        **version_config(network, ""),
        **network.config,
        "format": CONFIG_FORMAT,
        "model": network.spec.name,
        "version": network.version,
        "networks": networks_config(network),
        "weights_sha256": weights_sha256(network),
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
    ValueError
        For what is no path, or no model.
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
    folder = check_path("folder", folder)
    from pymc_lan.networks.orbax import read_arrays

    config = read_config(read_file(folder / CONFIG, _REMEDY_ORBAX, LARGEST_TEXT), folder / CONFIG)
    try:
        sizes = {name: entry["sizes"] for name, entry in config["networks"].items()}
        tensors = read_arrays(folder / ARRAYS, tensor_shapes(sizes))
    except (OSError, ValueError, KeyError, TypeError) as error:
        expected = f"a checkpoint of pl.export in {folder}"
        raise RegistryError(explain(expected, f"{error}", _REMEDY_ORBAX)) from error
    network = build_network(config, tensors, "", spec)
    found = weights_sha256(network)
    if found != config.get("weights_sha256"):
        expected = f"weights with sha256 {config.get('weights_sha256')} in {folder}"
        raise RegistryError(explain(expected, found, _REMEDY_ORBAX))
    return replace(network, sha256=found)
