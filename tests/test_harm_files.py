"""Files that mean harm: of other kinds, too large, too deep, graphs and checkpoints; none hangs or fills memory."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harm_checks import IDENTIFIER, refusal
from hub_checks import SHIPPED, cache, forget
from hub_server import Hub, Repository
from onnx import AttributeProto, TensorProto, helper, numpy_helper
from onnx_files import layers, make_file

import pymc_lan as pl
from pymc_lan.data import reading
from pymc_lan.data.reading import DEEPEST, LARGEST_FILE, LARGEST_TEXT
from pymc_lan.networks.config import CONFIG, read_config
from pymc_lan.networks.onnx.read import read_onnx
from pymc_lan.registry.load import verify_network
from pymc_lan.registry.table import CARD, REGISTRY, WEIGHTS, read_registry

pytestmark = pytest.mark.usefixtures("no_memory")


# ONNX: every input of every node counts


def residual(model: Any) -> None:
    """The second layer adds what it was given: ``Gemm(A=a1, B=w1, C=a1)``."""
    node = next(n for n in model.graph.node if n.op_type == "Gemm" and "w1" in n.input)
    node.input[2] = node.input[0]


def twice(model: Any) -> None:
    node = next(n for n in model.graph.node if n.op_type == "Tanh")
    node.op_type = "Add"
    node.input.append(node.input[0])


def gated(model: Any) -> None:
    next(n for n in model.graph.node if n.op_type == "Tanh").input.append("b0")


def attributed(operator: str, attribute: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        next(n for n in model.graph.node if n.op_type == operator).attribute.append(attribute)

    return change


def scaled(value: float) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        node = next(n for n in model.graph.node if n.op_type == "Gemm")
        next(a for a in node.attribute if a.name == "alpha").f = value

    return change


def weights(array: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        tensor = next(t for t in model.graph.initializer if t.name == "w0")
        tensor.CopyFrom(numpy_helper.from_array(array, "w0"))

    return change


def hollow(model: Any) -> None:
    """Weights of no numbers, and of 10^12 outputs."""
    tensor = next(t for t in model.graph.initializer if t.name == "w0")
    tensor.CopyFrom(TensorProto(name="w0", data_type=TensorProto.FLOAT, dims=[10**12, 0]))


def shadow(model: Any) -> None:
    """A node that gives another value under the name of weights."""
    model.graph.node.insert(0, helper.make_node("Identity", ["b0"], ["w0"]))


def function(model: Any) -> None:
    """An own meaning of Tanh."""
    node = helper.make_node("Relu", ["x"], ["y"])
    model.functions.append(
        helper.make_function("", "Tanh", ["x"], ["y"], [node], [helper.make_opsetid("", 17)]),
    )


def second_output(model: Any) -> None:
    next(n for n in model.graph.node if n.op_type == "Tanh").output.append("more")


AXIS = AttributeProto(name="axis", type=AttributeProto.INT, i=1)
CRAFTY: dict[str, tuple[Callable[[Any], None], str]] = {
    "a residual connection": (residual, "the operator Gemm, which takes what comes before it 2 times"),
    "a value added to itself": (twice, "the operator Add, which takes what comes before it 2 times"),
    "an activation of two inputs": (gated, "the operator Tanh"),
    "an attribute that is not understood": (attributed("Gemm", AXIS), "the operator Gemm with the attribute 'axis'"),
    "an attribute of a function": (attributed("Tanh", AXIS), "the operator Tanh with the attribute 'axis'"),
    "a scale that is not finite": (scaled(float("inf")), "weights that are not finite"),
    "double precision beyond single": (weights(np.full((8, 6), 1e40)), "or beyond single"),
    "weights of no size": (hollow, "weights of shape (0, 1000000000000)"),
    "a layer of 5,000 units": (weights(np.zeros((5000, 6), "f4")), "layers of at most 4,096 units"),
    "one name of two values": (shadow, "two values called 'w0'"),
    "functions of its own": (function, "Found functions of its own"),
    "a node of two outputs": (second_output, "the operator Tanh with 2 outputs"),
}


@pytest.mark.parametrize(("change", "sentence"), CRAFTY.values(), ids=CRAFTY)
def test_a_graph_is_read_whole_or_refused(change: Callable[[Any], None], sentence: str, tmp_path: Path) -> None:
    path = make_file(tmp_path / "x.onnx", layers(6, 8, 8, 1), change=change)
    assert sentence in refusal(lambda: read_onnx(path))


@pytest.mark.parametrize("name", ["my model", "../up", "v\x1b[31m", "lambda"])
def test_an_import_under_such_a_name_is_refused(name: str, tmp_path: Path) -> None:
    path = make_file(tmp_path / "x.onnx", layers(4, 8, 1))
    for given in ({"model": name, "bounds": {"v": (-3, 3), "t": (0, 2)}}, {"model": "toy", "bounds": {name: (0, 1)}}):
        bounds = {"t": (0.0, 2.0)} | given["bounds"]
        with pytest.raises(ValueError, match=IDENTIFIER) as caught:
            pl.import_onnx(path, given["model"], bounds=bounds, choices=(-1, 1), out=tmp_path / "out")
        assert str(caught.value).isprintable()
    assert not (tmp_path / "out").exists()


# Kinds and sizes of files


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


def sparse(path: Path) -> None:
    """Six gigabytes that take no room."""
    with path.open("wb") as file:
        file.truncate(6 * 2**30)


def loop(path: Path) -> None:
    path.symlink_to(path)


KINDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a pipe": (pipe, "another kind of file"),
    "a device": (device, "another kind of file"),
    "a folder": (folder, "another kind of file"),
    "six gigabytes": (sparse, "6,442,450,944"),
    "a link to itself": (loop, "symbolic links"),
}


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """See to it that what is refused is neither hashed nor parsed."""

    def never(*_: Any) -> Any:
        raise AssertionError("parsed")

    with monkeypatch.context() as context:
        context.setattr(reading.tomllib, "loads", never)
        yield


@pytest.mark.parametrize(("make", "sentence"), KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, CARD])
def test_files_of_a_version_are_regular_and_not_large(
    name: str, make: Callable[[Path], None], sentence: str, root: Path
) -> None:
    path = root / "ddm" / "2.0" / name
    path.unlink()
    make(path)
    calls: list[Callable[[], Any]] = [lambda: verify_network("ddm")]
    if name != CARD:  # which nothing but this reads
        calls += [lambda: pl.load_network("ddm"), lambda: pl.load_network(path.parent), pl.list_models]
    for call in calls:
        forget()
        assert sentence in refusal(call)


@pytest.mark.parametrize(("make", "sentence"), KINDS.values(), ids=KINDS)
def test_a_table_is_regular_and_not_large(
    make: Callable[[Path], None], sentence: str, tmp_path: Path, unread: None
) -> None:
    make(tmp_path / REGISTRY)
    with pytest.MonkeyPatch.context() as context:
        context.setattr("pymc_lan.registry.load.embedded_root", lambda: tmp_path)
        assert sentence in refusal(lambda: pl.load_network("mine"))


@pytest.mark.parametrize(("make", "sentence"), KINDS.values(), ids=KINDS)
def test_what_is_imported_is_regular_and_not_large(make: Callable[[Path], None], sentence: str, tmp_path: Path) -> None:
    make(tmp_path / "x.onnx")
    assert sentence in refusal(lambda: read_onnx(tmp_path / "x.onnx"))
    (tmp_path / "orbax").mkdir()
    make(tmp_path / "orbax" / CONFIG)
    assert sentence in refusal(lambda: pl.import_orbax(tmp_path / "orbax"))


@pytest.mark.parametrize(("make", "sentence"), KINDS.values(), ids=KINDS)
def test_the_cache_of_the_hub_is_regular_and_not_large(
    make: Callable[[Path], None], sentence: str, hub: Hub, nets: Repository
) -> None:
    network = pl.load_network("lab/nets:ddm@1.1")
    record = cache() / "pymc_lan" / "main" / "ddm@1.1.json"
    kept = record.read_bytes()
    record.unlink()
    make(record)
    forget()
    assert sentence in refusal(lambda: pl.load_network("lab/nets:ddm@1.1"))
    record.rmdir() if record.is_dir() else record.unlink()
    record.write_bytes(kept)
    path = next((cache() / "snapshots").rglob(CONFIG))
    path.unlink()
    make(path)
    forget()
    if make is not loop:  # which does not exist, for the client: it is fetched anew
        assert sentence in refusal(lambda: pl.load_network("lab/nets:ddm@1.1"))
    else:
        assert pl.load_network("lab/nets:ddm@1.1") == network


def test_a_file_is_cut_off_where_it_grows_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(50))
    assert reading.read_file(path, "wait", 50) == bytes(50)
    monkeypatch.setattr(reading.os, "fstat", lambda _: os.stat_result((0,) * 10))
    assert "at most 49 bytes" in refusal(lambda: reading.read_file(path, "wait", 49))


def test_limits_leave_room() -> None:
    """No file that ships has a tenth of its limit."""
    for path in SHIPPED.rglob("*.*"):
        if path.is_file():
            assert path.stat().st_size < (LARGEST_FILE if path.name == WEIGHTS else LARGEST_TEXT) / 10


# Depth


TABLES = {
    "a dotted key": b".".join([b"a"] * 40_000) + b" = 1",
    "a dotted header": b"[" + b".".join([b"a"] * 40_000) + b"]",
    "dots behind a line": b"[models]\n" + b" . ".join([b"a"] * 100) + b" = 1",
}
DEEP = {
    "brackets": b"x = " + b"[" * 100_000,
    "brackets that close": b"x = " + b"[" * 50 + b"]" * 50,
    "tables in tables": b"x = " + b"{a = " * 5000,
    "a dotted key of 20 levels": b".".join([b"a"] * 20) + b" = 1",
}


@pytest.mark.parametrize("content", TABLES.values(), ids=TABLES)
def test_a_deep_table_is_not_even_parsed(content: bytes, tmp_path: Path, unread: None) -> None:
    (tmp_path / REGISTRY).write_bytes(content)
    assert "nested more than 16 deep" in refusal(lambda: read_registry(tmp_path))


@pytest.mark.parametrize("content", DEEP.values(), ids=DEEP)
def test_a_deep_table_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / REGISTRY).write_bytes(content)
    assert "nested more than 16 deep" in refusal(lambda: read_registry(tmp_path))


NESTED = {
    "brackets": b"[" * 100_000,
    "brackets that close": b"[" * 50_000 + b"]" * 50_000,
    "objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "a few levels too many": b'{"a":' * (DEEPEST + 1) + b"1" + b"}" * (DEEPEST + 1),
}


@pytest.mark.parametrize("content", NESTED.values(), ids=NESTED)
def test_deep_json_is_refused(content: bytes, tmp_path: Path, hub: Hub, nets: Repository) -> None:
    assert "nested more than 16 deep" in refusal(lambda: read_config(content))
    shutil.copytree(SHIPPED / "ddm" / "2.0", tmp_path / "ddm")
    (tmp_path / "ddm" / CONFIG).write_bytes(content)
    assert "nested more than 16 deep" in refusal(lambda: pl.load_network(tmp_path / "ddm"))
    assert "nested more than 16 deep" in refusal(lambda: pl.import_orbax(tmp_path / "ddm"))
    records = cache() / "pymc_lan" / "main"
    records.mkdir(parents=True)
    (records / "ddm@1.1.json").write_bytes(content)
    assert "nested more than 16 deep" in refusal(lambda: pl.load_network("lab/nets:ddm@1.1"))


def test_numbers_of_a_million_digits_are_refused() -> None:
    assert "Expected JSON" in refusal(lambda: read_config(b'{"format": ' + b"9" * 10**6 + b"}"))


@pytest.mark.parametrize("path", [REGISTRY, f"ddm/1.1/{CONFIG}"])
def test_text_of_two_megabytes_is_not_fetched(path: str, hub: Hub, nets: Repository) -> None:
    nets.commit(nets.commits[nets.refs["main"]] | {path: b"#" * 2 * 2**20})
    assert f"{path} of lab/nets below 1,048,576 bytes. Found 2,097,152" in refusal(
        lambda: pl.load_network("lab/nets:ddm@1.1")
    )
    assert not any(each.startswith("GET") and each.endswith(path) for each in hub.requests)


# Orbax


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    pl.export("ddm", tmp_path / "checkpoint", "orbax")
    return tmp_path / "checkpoint"


def test_a_checkpoint_that_means_harm_is_refused(checkpoint: Path) -> None:
    tree = checkpoint / "arrays" / "_METADATA"
    config = json.loads((checkpoint / CONFIG).read_bytes())
    # Of it nothing is read: what arrays there are, their store says.
    tree.write_bytes(b"[" * 100_000)
    assert pl.import_orbax(checkpoint) == pl.load_network("ddm")
    tree.unlink()
    for make, sentence in ((pipe, "regular files"), (sparse, "at most 268,435,456 bytes")):
        make(tree)
        assert sentence in refusal(lambda: pl.import_orbax(checkpoint))
        tree.unlink()
    # What is stored has other shapes than the config says: it is not unpacked.
    config["networks"]["lan"]["sizes"] = [4, 4096, 4096, 1]
    (checkpoint / CONFIG).write_text(json.dumps(config))
    assert "Expected a checkpoint of pl.export" in refusal(lambda: pl.import_orbax(checkpoint))
    config["parameters"][0]["name"] = "drift rate"
    (checkpoint / CONFIG).write_text(json.dumps(config))
    assert IDENTIFIER in refusal(lambda: pl.import_orbax(checkpoint))
