"""Networks from ONNX: small files made here, those published for HSSM where they are at hand; what is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
import pytest
from backends import AS_WRITTEN, assert_backends_agree
from onnx import TensorProto, helper, numpy_helper
from onnx_files import (
    CONSTANT,
    ENDS,
    SAME,
    Float,
    by_onnxruntime,
    layers,
    make_file,
    matmul_add,
    rows_over_bounds,
    scaled_gemm,
    small,
)
from tables import one_of_a_kind

import pymc_lan as pl
from pymc_lan.models.imported import PLAIN, PLAIN_OMISSION
from pymc_lan.models.likelihood import Likelihood
from pymc_lan.networks.mlp import ACTIVATIONS, MLP
from pymc_lan.networks.network import Network
from pymc_lan.networks.onnx.read import read_onnx
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.ops.likelihood import LANLogp, compiled_kernel
from pymc_lan.registry import import_onnx as interop

# ssm-simulators' bounds of the race model whose network HSSM has; a model that is not known here.
RACE = {"v0": (0.0, 2.5), "v1": (0.0, 2.5), "v2": (0.0, 2.5), "a": (1.0, 3.0), "z": (0.0, 0.9), "t": (0.0, 2.0)}

# Every import warns; `test_the_accuracy_is_said` reads the warning.
pytestmark = pytest.mark.filterwarnings("ignore:.*is imported as it is:UserWarning")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Leave the accuracy unmeasured, which takes ten seconds, where it is not what a test is about."""
    if request.node.originalname == "test_the_accuracy_is_measured":
        return
    figures = pl.load_network("ddm").config["accuracy"]
    monkeypatch.setattr(interop, "accuracy", lambda network, n, n_mass: figures)


READABLE: dict[str, dict[str, Any]] = {
    "Gemm and Tanh": {},
    "Gemm with factors": {"build": scaled_gemm},
    "MatMul and Add, a vector": {"build": matmul_add, "shape": [6]},
    "MatMul and Add, a batch": {"build": matmul_add, "shape": ["batch", 6]},
    "Relu": {"activation": "Relu"},
    "Sigmoid": {"activation": "Sigmoid"},
    "double precision": {"precision": "float64"},
} | {end: {"end": end} for end in ENDS if end}


@pytest.mark.parametrize("case", READABLE)
def test_what_is_read_is_what_onnxruntime_computes(case: str, tmp_path: Path) -> None:
    path = make_file(tmp_path / "x.onnx", layers(6, 8, 5, 1), **READABLE[case])
    mlp, log_sigmoid = read_onnx(path)
    rows = np.random.default_rng(1).normal(0, 2, (50, 6))
    found = mlp(tuple(rows.T))
    assert log_sigmoid == bool(READABLE[case].get("end"))
    expected = by_onnxruntime(path, rows)
    np.testing.assert_allclose(-np.logaddexp(0, -found) if log_sigmoid else found, expected, **SAME)


def two_outputs(model: Any) -> None:
    model.graph.output.append(helper.make_tensor_value_info("h0", TensorProto.FLOAT, [1, 8]))


def external(model: Any) -> None:
    model.graph.initializer[1].data_location = TensorProto.EXTERNAL


def operator(name: str) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        model.graph.node[1].op_type = name

    return change


def infinite(model: Any) -> None:
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.full((8, 6), np.inf, "f4"), "w0"))


def skip(model: Any) -> None:
    """A connection around a layer."""
    model.graph.node.append(helper.make_node("Add", ["h2", "h1"], ["sum"]))
    model.graph.output[0].name = "sum"


def early(model: Any) -> None:
    model.graph.output[0].name = "h1"


def wrong_bias(model: Any) -> None:
    model.graph.initializer[2].CopyFrom(numpy_helper.from_array(np.zeros((8, 1), "f4"), "b0"))


def own_domain(model: Any) -> None:
    model.graph.node[1].domain = "lab"


def sigmoid_end(model: Any) -> None:
    model.graph.node.append(helper.make_node("Sigmoid", ["h2"], ["p"]))
    model.graph.output[0].name = "p"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another operator": ({"change": operator("Softmax")}, "Found the operator Softmax."),
    "another activation": ({"activation": "Softplus"}, "Found the activation Softplus."),
    "an operator of a lab": ({"change": own_domain}, "Found the operator lab.Tanh."),
    "mixed activations": ({"change": operator("Relu")}, "these functions after the layers: Relu; Tanh; nothing"),
    "a skipped layer": ({"change": skip}, "the operator Add with the input 'h1', which is not constant"),
    "an output in between": ({"change": early}, "the output 'h1', which is not what the last node gives"),
    "a probability": ({"change": sigmoid_end}, "Tanh; Tanh; Sigmoid"),
    "a bias of another shape": ({"change": wrong_bias}, "a bias of shape (8, 1) after a layer of 8 outputs"),
    "two outputs": ({"change": two_outputs}, "Found 1 inputs and 2 outputs."),
    "external data": ({"change": external}, "Found 'w0' in another file. Remedy: save it as a single file."),
    "weights that are not finite": ({"change": infinite}, "weights that are not finite"),
    "half precision": ({"precision": "float16"}, "weights that are not finite numbers in single or double precision"),
    "other inputs": ({"inputs": 7}, "network of the 6 inputs v, a, z, t, rt, response"),
    "several values": ({"outputs": 2}, "Found 2 outputs."),
    "a CPN as LAN": ({"end": "softplus"}, "a LAN that ends in the last layer"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_imported_is_refused_in_a_sentence(case: str, tmp_path: Path) -> None:
    options, message = REFUSED[case]
    options = dict(options)
    given = layers(options.pop("inputs", 6), 8, 5, options.pop("outputs", 1))
    path = make_file(tmp_path / "x.onnx", given, **options)
    with pytest.raises(pl.RegistryError) as error:
        pl.import_onnx(path, "ddm")
    assert message in str(error.value)
    assert " Remedy: " in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\x80\x04not a network", b"\x00" * 100, None], ids=str)
def test_what_is_no_onnx_file_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(pl.RegistryError, match="Expected"):
        pl.import_onnx(path, "ddm")


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    whole = make_file(tmp_path / "x.onnx", layers(3, 2, 1), build=matmul_add, end="softplus").read_bytes()
    rng, refused = np.random.default_rng(0), 0
    for _ in range(600):
        damaged = bytearray(whole)
        for place in rng.integers(len(whole), size=rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        (tmp_path / "y.onnx").write_bytes(damaged[: rng.integers(len(whole) // 2, 2 * len(whole))])
        try:
            with np.errstate(all="ignore"):
                read_onnx(tmp_path / "y.onnx")
        except pl.RegistryError:
            refused += 1
    assert 300 < refused < 600


OWN: dict[str, Any] = {"model": "own", "bounds": {"v": (-3, 3), "t": (0, 2)}, "choices": (-1, 1)}
ARGUMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "both networks of no response": ({"cpn": "x.onnx", "opn": "x.onnx"}, "Expected a CPN or an OPN"),
    "an unknown model": ({"model": "addm"}, "Remedy: give bounds="),
    "without t": ({"model": "addm", "bounds": {"v": (0, 1)}, "choices": (-1, 1)}, "t among them"),
    "another parameter": ({"bounds": {"theta": (0, 1)}}, "Unknown parameter 'theta' of model 'ddm'"),
    "bounds the wrong way round": ({"bounds": {"v": (3, -3)}}, "Expected bounds of v as finite (low, high)"),
    "other choices": ({"choices": (0, 1)}, "the responses (-1, 1) of 'ddm'"),
    "bounds where the model is not": ({"bounds": {"a": (-1, 3)}}, "bounds of a within 0 to inf"),
    "no model": ({"model": 3}, "Expected a model or its name, to import networks of. Found a int"),
    **{
        f"choices {choices!r}": (OWN | {"choices": choices}, f"as choices, each once. Found {choices}")
        for choices in ((), (1, 1), (0.5, 1), 5, ("a", "b"))
    },
    **{
        f"bounds {ends!r}": (
            OWN | {"bounds": {"v": ends, "t": (0, 2)}},
            f"bounds of v as finite (low, high). Found {told}",
        )
        for ends, told in (
            (3, "3"),
            ((1, 2, 3), "1 and 2 and 3"),
            (("a", "b"), "'a' and 'b'"),
            ((None, 3), "None and 3"),
            ((0, 0), "0 and 0"),
            ((0, 10**400), "0 and 1000"),
            ((), "none"),
        )
    },
    "t before the stimulus": (OWN | {"bounds": {"v": (-3, 3), "t": (-1, 2)}}, "bounds of t within 0 to inf"),
    "bounds without names": (OWN | {"bounds": [(-3, 3), (0, 2)]}, "bounds by the names of parameters. Found a list"),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_arguments_that_do_not_go_together_are_refused(case: str, tmp_path: Path) -> None:
    path = make_file(tmp_path / "x.onnx", layers(6, 8, 1))
    options, message = ARGUMENTS[case]
    with pytest.raises(ValueError, match=r"Expected|Unknown") as error:
        pl.import_onnx(path, **{"model": "ddm", **options})
    assert message in str(error.value)


def test_without_onnx_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    for call in (lambda: pl.import_onnx(tmp_path / "x", "ddm"), lambda: pl.export("ddm", tmp_path / "x")):
        with pytest.raises(ImportError, match=r"pip install 'pymc-lan\[onnx\]'"):
            call()


# --- imported networks in distributions ---


def trials(n: int = 60) -> Float:
    rng = np.random.default_rng(2)
    return np.column_stack([CONSTANT["t"] + 0.01 + rng.gamma(2, 0.3, n), rng.choice([-1.0, 1.0], n)])


@pytest.mark.parametrize("activation", one_of_a_kind(["Tanh", "Relu", "Sigmoid"], "Tanh"))
def test_every_backend_gives_the_file_s_log_density(activation: str, tmp_path: Path) -> None:
    network, data = small(tmp_path, activation=activation), trials()
    expected = by_onnxruntime(
        tmp_path / "x.onnx", np.column_stack([*(np.full(60, x) for x in CONSTANT.values()), data])
    )
    theta = {name: pt.dscalar(name) for name in CONSTANT}
    logp = pm.logp(pl.LANDist.dist(network, **theta, shape=(60, 2)), data)
    values = {theta[name]: np.float64(x) for name, x in CONSTANT.items()}
    slopes = [central_difference(network, data, name) for name in CONSTANT]
    assert_backends_agree([logp], values, expected=[expected], **SAME)
    gradient = pt.grad(logp.sum(), list(theta.values()))
    assert_backends_agree(gradient, values, expected=slopes, rtol=1e-4, atol=1e-4)


def float64_network(mlp: MLP) -> Callable[..., Float]:
    """The network in double precision, of inputs that broadcast."""
    act = ACTIVATIONS[mlp.activation].value

    def network(inputs: tuple[Any, ...]) -> Float:
        x = np.stack(np.broadcast_arrays(*inputs), axis=-1)
        for kernel, bias in zip(mlp.kernels[:-1], mlp.biases[:-1], strict=True):
            x = act(np, x @ kernel.astype(float) + bias)
        return (x @ mlp.kernels[-1].astype(float) + mlp.biases[-1])[..., 0]

    return network


def central_difference(network: Network, data: Float, name: str, step: float = 1e-6) -> Float:
    likelihood = Likelihood(network.spec, float64_network(network.lan))
    up, down = (
        likelihood.log_density(NUMPY, *data.T, CONSTANT | {name: CONSTANT[name] + move}).sum() for move in (step, -step)
    )
    return np.asarray((up - down) / (2 * step))


def test_before_t_the_log_density_loses_a_nat_each_millisecond(tmp_path: Path) -> None:
    network, t = small(tmp_path), CONSTANT["t"]
    at, before, after = network.logpdf([t, t - 0.002, t + 1e-7], 1, **CONSTANT)
    assert at - before == pytest.approx(2, abs=1e-4)
    assert at == pytest.approx(after, abs=1e-4)


def test_outside_the_trained_bounds_there_is_a_penalty(tmp_path: Path) -> None:
    path = make_file(tmp_path / "x.onnx", layers(6, 8, 1))
    network = pl.import_onnx(path, "ddm", bounds={"z": (0.1, 0.9)})
    inside, edge, outside = (network.logpdf(0.8, 1, **{**CONSTANT, "z": z}) for z in (0.89, 0.9, 0.95))
    assert abs(inside - edge) < 0.1
    assert edge - outside > 1
    with pytest.raises(ValueError, match=r"trained bounds, 0\.1 to 0\.9"):
        pl.LANDist.dist(network, **{**CONSTANT, "z": 0.95})


def test_weights_bring_their_own_view(tmp_path: Path) -> None:
    network = small(tmp_path)
    found = pm.logp(pl.DDM.dist(**CONSTANT, weights=network, shape=(60, 2)), trials()).eval(mode=AS_WRITTEN)
    np.testing.assert_allclose(found, network.logpdf(*trials().T, **CONSTANT), **SAME)
    exact = pm.logp(pl.LANDist.dist(network, **CONSTANT, likelihood="exact", shape=(60, 2)), trials())
    expected = pm.logp(pl.DDM.dist(**CONSTANT, likelihood="exact", shape=(60, 2)), trials())
    np.testing.assert_array_equal(exact.eval(mode=AS_WRITTEN), expected.eval(mode=AS_WRITTEN))


def test_go_nogo_takes_no_press_from_the_cpn(tmp_path: Path) -> None:
    network = small(tmp_path, cpn=True)
    data = np.array([[0.8, 1.0], [np.inf, 0.0]])
    found = pm.logp(pl.GoNoGo.dist(network, **CONSTANT, shape=(2, 2)), data)
    row = np.array([[*CONSTANT.values()]])
    expected = [network.logpdf(0.8, 1, **CONSTANT), by_onnxruntime(tmp_path / "cpn.onnx", row)[0]]
    assert_backends_agree([found], {}, expected=[np.array(expected)], **SAME)


def test_omissions_take_theirs_from_the_opn(tmp_path: Path) -> None:
    network, deadline = small(tmp_path, opn=True), 1.5
    data = np.array([[0.8, 1.0], [0.7, -1.0], [np.inf, 0.0], [1.6, 1.0]])
    found = pm.logp(pl.LANDist.dist(network, **CONSTANT, deadline=deadline, shape=(4, 2)), data)
    row = np.array([[*CONSTANT.values(), deadline]])
    late = by_onnxruntime(tmp_path / "opn.onnx", row)[0]
    expected = [*network.logpdf([0.8, 0.7], [1, -1], **CONSTANT), late, -np.inf]
    assert_backends_agree([found], {}, expected=[np.array(expected)], **SAME)


NO_FORM: dict[str, tuple[dict[str, Any], Callable[[Network], Any], str]] = {
    "go/no-go without a CPN": ({}, lambda n: pl.GoNoGo.dist(n, **CONSTANT), "import one with its CPN"),
    "go/no-go with an OPN": ({"opn": True}, lambda n: pl.GoNoGo.dist(n, **CONSTANT), "Found an OPN"),
    "a deadline and a CPN": (
        {"cpn": True},
        lambda n: pl.GoNoGo.dist(n, **CONSTANT, deadline=1.0),
        "Found a CPN, which knows no deadline",
    ),
    "a deadline that varies": (
        {"cpn": True},
        lambda n: pl.GoNoGo.dist(n, **CONSTANT, deadline=pt.dscalar()),
        "Found a CPN, which knows no deadline",
    ),
    "no end": ({"opn": True}, lambda n: pl.LANDist.dist(n, **CONSTANT, deadline=np.inf), "finite deadlines"),
    "a response without an rt": (
        {"opn": True},
        lambda n: pl.LANDist("x", n, **CONSTANT, deadline=1.0, observed=[[0.5, 1.0], [np.nan, -1.0]]),
        "a response without an rt in 1 of 2 rows: row 1",
    ),
}


@pytest.mark.parametrize("case", NO_FORM)
def test_forms_that_a_network_does_not_know_are_refused(case: str, tmp_path: Path) -> None:
    options, build, message = NO_FORM[case]
    network = small(tmp_path, **options)
    with pm.Model(), pytest.raises(ValueError, match="Expected") as error:
        build(network)
    assert message in str(error.value)


@pytest.mark.parametrize("lapses", [0.0, 0.2])
def test_draws_and_observations_with_omissions(lapses: float, tmp_path: Path) -> None:
    network = small(tmp_path, opn=True)
    trials = pl.LANDist.dist(network, **CONSTANT, deadline=1.0, p_lapse=lapses, shape=(400, 2))
    draws = pm.draw(trials, random_seed=1)
    omitted = np.isinf(draws[:, 0])
    exact = pl.simulate("ddm", CONSTANT, n=4000, seed=1)["rt"].to_numpy()
    expected = (1 - lapses) * np.mean(exact > 1.0)
    assert abs(omitted.mean() - expected) < 0.08
    assert draws[~omitted, 0].max() <= 1.0
    table = pl.as_dataframe(draws)
    with pm.Model() as model:
        pl.LANDist("obs", network, **CONSTANT, deadline=1.0, p_lapse=lapses, observed=table)
    observed = model.rvs_to_values[model["obs"]].data
    np.testing.assert_array_equal(observed, np.where(omitted[:, None], [np.inf, 0.0], draws))
    assert np.isfinite(model.compile_logp()({}))


@pytest.mark.parametrize("strip", [False, True], ids=["column", "matrix"])
def test_omissions_take_the_column_deadline(strip: bool, tmp_path: Path) -> None:
    network = small(tmp_path, opn=True)
    table = pd.DataFrame({"rt": [0.8, 0.7, np.nan], "response": [1, -1, 0], "deadline": [1.5, 1.0, 1.2]})
    observed = pl.as_observed(table, omissions=True) if strip else table
    with pm.Model() as model:
        pl.LANDist("obs", network, **CONSTANT, observed=observed)
    late = by_onnxruntime(tmp_path / "opn.onnx", np.array([[*CONSTANT.values(), 1.2]]))[0]
    expected = [*network.logpdf([0.8, 0.7], [1, -1], **CONSTANT), late]
    np.testing.assert_allclose(model.compile_logp(sum=False, mode="FAST_COMPILE")({})[0], expected, rtol=1e-5)


def test_a_model_that_is_only_a_network(tmp_path: Path) -> None:
    path = make_file(tmp_path / "race.onnx", layers(8, 8, 1))
    network = pl.import_onnx(path, "race", bounds=RACE, choices=(0, 1, 2), out=tmp_path)
    assert network == pl.load_network(tmp_path / "race" / "imported")
    theta = {"v0": 1.0, "v1": 2.0, "v2": 0.5, "a": 2.0, "z": 0.3, "t": 0.3}
    data = np.array([[0.8, 0.0], [0.9, 1.0], [1.1, 2.0]])
    expected = by_onnxruntime(path, np.column_stack([*(np.full(3, x) for x in theta.values()), data]))
    with pm.Model() as model:
        pl.LANDist("obs", network, **theta, observed=data)
    np.testing.assert_allclose(model.compile_logp(sum=False)({})[0], expected, **SAME)
    for call in (
        lambda: pm.draw(pl.LANDist.dist(network, **theta, shape=(2, 2)), mode=AS_WRITTEN),
        lambda: pl.LANDist("bad", network, **theta, observed=np.array([[0.8, 3.0]])),
        lambda: pl.GoNoGo.dist(network, **theta),
    ):
        with pm.Model(), pytest.raises(ValueError, match="Expected"):
            call()


def test_a_version_s_folder_keeps_an_imported_network(tmp_path: Path) -> None:
    files = [make_file(tmp_path / f"{n}.onnx", layers(n, 8, 1), end="softplus" if n == 4 else "") for n in (6, 4)]
    network = pl.import_onnx(files[0], "ddm", cpn=files[1], bounds={"z": (0.1, 0.9)}, out=tmp_path / "w", version="2")
    again = pl.load_network(tmp_path / "w" / "ddm" / "2")
    assert again == network
    assert again.sha256 == network.sha256
    assert again.spec.parameter("z").bounds == (0.1, 0.9)
    card = (tmp_path / "w" / "ddm" / "2" / "README.md").read_text()
    assert "Imported from `6.onnx` (sha256 " in card
    config = json.loads((tmp_path / "w" / "ddm" / "2" / "config.json").read_text())
    config["choices"] = [0, 1]
    folder = tmp_path / "w" / "ddm" / "2"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(pl.RegistryError, match="Expected"):
        pl.load_network(folder)


def test_the_accuracy_is_said(tmp_path: Path) -> None:
    path = make_file(tmp_path / "x.onnx", layers(6, 8, 1))
    with pytest.warns(UserWarning, match=r"on 58,358 trials over the bounds, its log density is off by 2.3e-05 nats"):
        pl.import_onnx(path, "ddm")
    bounds = {p.name: p.bounds for p in pl.get_model("weibull").parameters}
    path = make_file(tmp_path / "y.onnx", layers(len(bounds) + 2, 8, 1))
    with pytest.warns(UserWarning, match="its accuracy is unknown"):
        pl.import_onnx(path, "weibull")


@pytest.mark.slow
@pytest.mark.parametrize(("model", "bounds", "mean"), [("ddm", {"z": (0.1, 0.9)}, 0.061), ("angle", {}, 0.083)])
def test_the_accuracy_is_measured(model: str, bounds: Any, mean: float, peers: Path) -> None:
    # What benchmarks/peers.py measures of these networks, on other trials.
    with pytest.warns(UserWarning, match="Against the closed form"):
        network = pl.import_onnx(peers / f"{model}.onnx", model, bounds=bounds)
    assert network.config["accuracy"]["lan"]["mean"] == pytest.approx(mean, rel=0.1)


# --- files that HSSM publishes ---

PEERS = {
    "ddm": ("ddm", {}),
    "angle": ("angle", {}),
    "race_3_no_bias": ("race_3_no_bias", {"bounds": RACE, "choices": (0, 1, 2)}),
}


@pytest.fixture
def peers(shared_data: Path) -> Path:
    return shared_data / "peers"


@pytest.mark.parametrize("name", PEERS)
def test_published_lans_are_what_onnxruntime_computes(name: str, peers: Path) -> None:
    model, options = PEERS[name]
    network = pl.import_onnx(peers / f"{name}.onnx", model, **options)
    theta, rt, response = rows_over_bounds(network)
    found = network.logpdf(rt, response, **theta)
    expected = by_onnxruntime(peers / f"{name}.onnx", np.column_stack([*theta.values(), rt, response]))
    np.testing.assert_allclose(found, expected, **SAME)
    # The kernel that samplers run.
    none = np.full_like(rt, np.inf)
    value, _ = compiled_kernel(LANLogp(network.spec, network.lan, None))(
        np.stack([rt, response, none, *theta.values()])
    )
    np.testing.assert_allclose(value, expected, **SAME)


@pytest.mark.parametrize(("kind", "view"), [("cpn", PLAIN), ("opn", PLAIN_OMISSION)])
def test_published_networks_of_no_response_are_too(kind: str, view: str, peers: Path) -> None:
    network = pl.import_onnx(peers / "ddm.onnx", "ddm", **{kind: peers / f"ddm_{kind}.onnx"})
    assert network.spec.views.tag == view
    theta, deadline, _ = rows_over_bounds(network)
    log_go, log_none = network.likelihood.log_go(NUMPY, deadline, theta)
    columns = [*theta.values(), *([deadline] if kind == "opn" else [])]
    expected = by_onnxruntime(peers / f"ddm_{kind}.onnx", np.column_stack(columns))
    np.testing.assert_allclose(log_none, expected, **SAME)
    np.testing.assert_allclose(np.logaddexp(log_go, log_none), 0, atol=1e-6)


SAMPLED: dict[str, tuple[tuple[str, ...], dict[str, Any], type]] = {
    "ddm": ((), {}, pl.LANDist),
    "angle": ((), {}, pl.LANDist),
    "race_3_no_bias": ((), {}, pl.LANDist),
    "ddm_cpn": (("cpn",), {}, pl.GoNoGo),
    "ddm_opn": (("opn",), {"deadline": 1.5}, pl.LANDist),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLED)
def test_published_networks_are_sampled(name: str, peers: Path) -> None:
    kinds, arguments, distribution = SAMPLED[name]
    lan = name.removesuffix("_cpn").removesuffix("_opn")
    model, options = PEERS[lan]
    files = {kind: peers / f"{lan}_{kind}.onnx" for kind in kinds}
    network = pl.import_onnx(peers / f"{lan}.onnx", model, **options, **files)
    theta = {"v": 1.0, "a": 1.2, "z": 0.5, "t": 0.3, "theta": 0.2, "v0": 1.5, "v1": 0.7, "v2": 0.5}
    theta = {key: theta[key] for key in network.spec.names}
    drift = network.spec.names[0]
    if "race" in name:
        rng = np.random.default_rng(1)
        observed = np.column_stack([0.5 + rng.gamma(4, 0.2, 200), rng.choice([0.0, 0, 1, 2], 200)])
    else:
        observed = pm.draw(distribution.dist(network, **theta, **arguments, shape=(300, 2)), random_seed=1)
    with pm.Model():
        free = pm.Uniform(drift, *network.spec.parameter(drift).bounds)
        distribution("obs", network, **{**theta, drift: free}, **arguments, observed=observed)
        idata = pm.sample(200, tune=300, chains=2, cores=1, progressbar=False, random_seed=1)
    draws = idata.posterior[drift].to_numpy()
    assert np.isfinite(draws).all()
    assert draws.std() > 0
    if "race" not in name:
        assert abs(draws.mean() - theta[drift]) < 0.25
