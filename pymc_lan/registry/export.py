"""Networks to other tools: ONNX files as HSSM loads them, and orbax checkpoints."""

from __future__ import annotations

import json
import os
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np

from pymc_lan.data.files import write_whole, writing
from pymc_lan.errors import RegistryError, check_path, explain, unknown
from pymc_lan.models.model import require_views, shift
from pymc_lan.networks.kernel.layout import PARTS
from pymc_lan.networks.network import (
    Network,
)
from pymc_lan.networks.onnx.read import require_onnx
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.registry.orbax import export_orbax, refuse_program
from pymc_lan.registry.sources import AnyModel, find_network

FORMATS = ("onnx", "orbax")
# Trials on which a written graph is compared with what it was written from; by how much they may differ [nats] and,
# for log densities that no trial of the model has, relatively.
N_CHECKED, TOLERANCE, RELATIVE = 1000, 1e-4, 1e-5
# Log likelihoods below this are those of trials that never happen; formulas for them may overflow.
IMPOSSIBLE = -200.0


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
        For an unknown format or part, or one that the network does not have; for an `out` that is no path.
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
    path, network = check_path("out", out), find_network(network)
    if format == "orbax":
        export_orbax(network, path)
    else:
        _export_onnx(network, path, part)


def _export_onnx(network: Network, out: Path, part: str) -> None:
    require_onnx()
    if network.spec.times and require_views(network.spec).lan is None:
        found = f"{network.name}, a race composed of the networks of one accumulator"
        raise ValueError(explain("a model whose likelihood is one network", found, "use format='orbax'"))
    from pymc_lan.networks.onnx.write import write_graph

    refuse_program(network, "onnx")
    mlp: Any = network.lan if part == "density" else network.choice
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
