"""What is exported says what the network does: ONNX graphs run by onnxruntime, orbax checkpoints to the last bit."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import onnx
import pymc as pm
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_files import CONSTANT, SAME, by_onnxruntime, layers, make_file, rows_over_bounds, small
from tables import one_of_a_kind

import pymc_lan as pl
from pymc_lan.networks.mlp import MLP
from pymc_lan.networks.onnx import write as onnx_writer
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.registry import import_onnx as interop

PAGE = Path(__file__).resolve().parents[1] / "docs" / "interoperability.md"


@pytest.mark.parametrize("model", one_of_a_kind(["ddm", "ddm_sdv", "angle", "full_ddm", "weibull"], "ddm", "full_ddm"))
def test_an_exported_graph_says_what_the_network_does(model: str, tmp_path: Path) -> None:
    network, path = pl.load_network(model), tmp_path / "x.onnx"
    pl.export(model, path)
    theta = {p.name: np.random.default_rng(4).uniform(*p.bounds, 300) for p in network.spec.parameters}
    trials = pl.simulate(network.spec, theta, seed=4).dropna()
    kept = trials["trial"].to_numpy()
    theta = {name: x[kept] for name, x in theta.items()}
    rt, response = trials["rt"].to_numpy(), trials["response"].to_numpy().astype(float)
    found = by_onnxruntime(path, np.column_stack([*theta.values(), rt, response]))
    np.testing.assert_allclose(found, network.logpdf(rt, response, **theta), rtol=0, atol=1e-4)
    # Before t, and outside the bounds.
    theta = {p.name: np.array([p.bounds[0] - 0.1, p.bounds[1] + 0.1]) for p in network.spec.parameters}
    rt = theta["t"].clip(0) + 0.1
    found = by_onnxruntime(path, np.column_stack([*theta.values(), rt, [1, -1]]))
    np.testing.assert_allclose(found, network.logpdf(rt, [1, -1], **theta), rtol=1e-6)


@pytest.mark.parametrize("model", ["ddm", "angle"])
def test_no_press_is_exported_too(model: str, tmp_path: Path) -> None:
    network, path = pl.load_network(model), tmp_path / "x.onnx"
    pl.export(network, path, part="nogo")
    theta, deadline, _ = rows_over_bounds(network, 200)
    found = by_onnxruntime(path, np.column_stack([*theta.values(), deadline]))
    np.testing.assert_allclose(found, network.likelihood.log_go(NUMPY, deadline, theta)[1], rtol=0, atol=1e-4)


def test_the_file_is_a_vector_in_double_precision_and_says_where_it_is_from(tmp_path: Path) -> None:
    pl.export("ddm", tmp_path / "x.onnx")
    model = onnx.load(tmp_path / "x.onnx")
    (given,), (result,) = model.graph.input, model.graph.output
    for value, size in ((given, 6), (result, 1)):
        assert value.type.tensor_type.elem_type == TensorProto.DOUBLE
        assert [dim.dim_value for dim in value.type.tensor_type.shape.dim] == [size]
    about = {entry.key: entry.value for entry in model.metadata_props}
    network = pl.load_network("ddm")
    assert (about["model"], about["sha256"]) == (network.name, network.sha256)
    assert model.graph.doc_string == "trial: v, a, z, t, rt, response"


@pytest.mark.filterwarnings("ignore:.*is imported as it is:UserWarning")
def test_an_imported_network_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interop, "accuracy", lambda network, n, n_mass: pl.load_network("ddm").config["accuracy"])
    network = small(tmp_path, cpn=True)
    for part in ("density", "nogo"):
        pl.export(network, tmp_path / f"{part}.onnx", part=part)
    row = np.array([[*CONSTANT.values(), 0.8, 1.0]])
    expected = by_onnxruntime(tmp_path / "x.onnx", row)
    np.testing.assert_allclose(by_onnxruntime(tmp_path / "density.onnx", row), expected, **SAME)


def test_a_graph_that_says_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = pl.load_network("ddm")
    spoiled = MLP((*network.lan.kernels[:-1], network.lan.kernels[-1] * 1.01), network.lan.biases)
    write = onnx_writer.write_graph
    monkeypatch.setattr(onnx_writer, "write_graph", lambda spec, mlp, part, about: write(spec, spoiled, part, about))
    with pytest.raises(pl.RegistryError, match=r"agrees with ddm@2\.0 within 0\.0001 nats"):
        pl.export(network, tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []


CONVERTED: dict[str, tuple[Callable[[Any], Any], list[float]]] = {
    "whole numbers": (lambda x: x.astype(int) * 0.5, [-1.0, 0.0, 0.0, 0.0, 1.0]),
    "truths": (lambda x: (x > -1).astype(int) + (x > 1).astype(float), [0.0, 1.0, 1.0, 1.0, 2.0]),
    "numbers as truths": (lambda x: jnp.where(x.astype(bool), 2.0, 3.0), [2.0, 2.0, 3.0, 2.0, 2.0]),
}


@pytest.mark.parametrize(("function", "expected"), CONVERTED.values(), ids=CONVERTED)
def test_conversions_do_in_a_graph_what_they_do_in_numpy(
    function: Callable[[Any], Any], expected: list[float], tmp_path: Path
) -> None:
    graph = onnx_writer.Graph()
    (output,) = graph.trace(function, ["x"])
    names = graph.needed(output)
    nodes = [helper.make_node(graph.nodes[name][0], graph.nodes[name][1], [name]) for name in names]
    # HSSM runs graphs with jaxonnxruntime 0.3, which knows these and has neither Floor nor Sign.
    assert {node.op_type for node in nodes} <= {"Add", "Ceil", "Equal", "Less", "Mul", "Neg", "Where"}
    ends = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [1]) for name in ("x", output)]
    tensors = [numpy_helper.from_array(x, name) for name, x in graph.constants.items()]
    whole = helper.make_graph(nodes, "f", ends[:1], ends[1:], tensors)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    file = tmp_path / "f.onnx"
    file.write_bytes(model.SerializeToString())
    assert by_onnxruntime(file, np.array([[-2.6], [-0.3], [0.0], [0.3], [2.6]])).tolist() == expected


BAD_EXPORTS: dict[str, tuple[dict[str, Any], str]] = {
    "format": ({"format": "torch"}, "Unknown format 'torch'"),
    "part": ({"part": "cdf"}, "Unknown part 'cdf'"),
    "no such network": ({"part": "nogo"}, "Expected a choice/deadline network"),
}


@pytest.mark.parametrize("case", BAD_EXPORTS)
def test_exports_that_cannot_be(case: str, tmp_path: Path) -> None:
    options, message = BAD_EXPORTS[case]
    network = replace(pl.load_network("ddm"), choice=None)
    with pytest.raises(ValueError, match=message):
        pl.export(network, tmp_path / "x", **options)


def test_orbax_keeps_every_bit(tmp_path: Path) -> None:
    network = pl.load_network("angle")
    pl.export("angle", tmp_path / "x", "orbax")
    again = pl.import_orbax(tmp_path / "x")
    assert again == network
    assert (again.sha256, again.name) == (network.sha256, network.name)
    with pytest.raises(pl.RegistryError, match="Expected a new folder"):
        pl.export("angle", tmp_path / "x", "orbax")
    config = tmp_path / "x" / "config.json"
    config.write_text(config.read_text().replace(network.sha256, "0" * 64))
    with pytest.raises(pl.RegistryError, match="Expected weights with sha256 000"):
        pl.import_orbax(tmp_path / "x")
    with pytest.raises(pl.RegistryError, match=r"Expected a file .*config\.json.*Remedy: export the network anew"):
        pl.import_orbax(tmp_path / "nothing")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "gone": lambda file: file.unlink(),
    "other bytes": lambda file: file.write_bytes(bytes(byte ^ 0x55 for byte in file.read_bytes())),
    "empty": lambda file: file.write_bytes(b""),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_one_sentence_and_nothing_is_printed(
    tmp_path: Path, damage: Callable[[Path], object], capfd: pytest.CaptureFixture[str]
) -> None:
    pl.export("ddm", tmp_path / "x", "orbax")
    files = sorted(file.relative_to(tmp_path) for file in (tmp_path / "x" / "arrays").rglob("*") if file.is_file())
    refused = []
    for file in files:
        shutil.copytree(tmp_path / "x", tmp_path / "damaged" / "x")
        damage(tmp_path / "damaged" / file)
        try:
            # Some files hold nothing of an array.
            assert pl.import_orbax(tmp_path / "damaged" / "x") == pl.load_network("ddm")
        except pl.RegistryError as error:
            refused.append(str(error))
        shutil.rmtree(tmp_path / "damaged")
    # The manifest, the tree that it leads to, and the values, which are in one file or in several.
    assert len(refused) >= 3
    assert all(re.match(r"Expected a checkpoint of pl\.export in .* Found .* Remedy: export", each) for each in refused)
    # Threads that read print what they do not hand on.
    assert capfd.readouterr() == ("", "")


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(interop, "accuracy", lambda network, n, n_mass: pl.load_network("ddm").config["accuracy"])
    monkeypatch.setattr(pm, "sample", lambda: None)
    for name, n in (("ddm", 6), ("race_3_no_bias", 8), ("ddm_cpn", 4), ("ddm_opn", 5)):
        make_file(tmp_path / f"{name}.onnx", layers(n, 8, 1), end="log of sigmoid" if n < 6 else "")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.+?)```", PAGE.read_text("utf-8"), re.DOTALL):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*is imported as it is", UserWarning)
            exec(block, names)
    assert names["same"] == pl.load_network("ddm")
    assert (tmp_path / "angle.onnx").is_file()


def test_a_network_that_gives_no_probability_is_no_cpn(tmp_path: Path) -> None:
    lan = make_file(tmp_path / "lan.onnx", layers(6, 8, 1))
    cpn = make_file(tmp_path / "cpn.onnx", layers(4, 8, 1))
    with pytest.raises(pl.RegistryError) as error:
        pl.import_onnx(lan, "ddm", cpn=cpn)
    expected = f"Expected a CPN or OPN that ends in a log-sigmoid in {cpn}."
    assert str(error.value) == f"{expected} Found one that ends in the last layer. Remedy: export it anew."
