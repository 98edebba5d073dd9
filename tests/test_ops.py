"""The Op: every backend gives the same value and gradient, in float64, without JAX where JAX is not asked for."""

from __future__ import annotations

import copy
import importlib
import pickle
import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from backends import AS_WRITTEN, MODES, assert_backends_agree, evaluate
from tables import one_of_a_kind

import pymc_lan as pl
from pymc_lan.models.likelihood import Likelihood
from pymc_lan.networks.kernel import kernel as kernels
from pymc_lan.networks.kernel.layout import TILE
from pymc_lan.networks.mlp import ACTIVATIONS, MLP
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.ops.likelihood import LANLogp, log_likelihood

INF = np.inf
DDM = pl.get_model("ddm")
ARGUMENTS = ("rt", "response", "deadline", "v", "a", "z", "t")


def random_mlp(n_inputs: int, activation: str, seed: int) -> MLP:
    """A network of uneven widths whose output is of order one."""
    rng = np.random.default_rng(seed)
    sizes = (n_inputs, 7, 5, 1)
    kernels = [rng.normal(0, i**-0.5, (i, j)) for i, j in pairwise(sizes)]
    biases = [rng.normal(0, 0.3, j) for j in sizes[1:]]
    return MLP(tuple(k.astype("f4") for k in kernels), tuple(b.astype("f4") for b in biases), activation)


def networks(activation: str) -> tuple[MLP, MLP]:
    """The shipped networks (squareplus), or random ones of the same inputs."""
    if activation == "shipped":
        network = pl.load_network("ddm")
        return network.lan, network.choice
    return random_mlp(4, activation, 1), random_mlp(6, activation, 2)


def random_trials(n: int, *, scalar: bool, seed: int = 0) -> dict[str, np.ndarray]:
    """Arguments of n trials well inside the bounds, some of them without a response."""
    rng = np.random.default_rng(seed)
    size = 1 if scalar else n
    theta = {
        "v": rng.uniform(-2.5, 2.5, size),
        "a": rng.uniform(0.4, 2.4, size),
        "z": rng.uniform(0.1, 0.9, size),
        "t": rng.uniform(0.05, 0.5, size),
    }
    rt = np.where(rng.random(n) < 0.3, INF, theta["t"] + rng.gamma(2, 0.5, n) + 0.01)
    return {
        "rt": rt,
        "response": rng.choice([-1.0, 1.0], n),
        "deadline": rng.choice([0.8, 1.5, 8.0, INF], size),
        **theta,
    }


def symbols(trials: dict[str, np.ndarray], *, scalar: bool) -> dict[str, pt.TensorVariable]:
    """One vector per argument; those shared by all trials are of static length 1."""
    data = ("rt", "response")
    return {
        name: pt.vector(name, dtype="float64", shape=(1 if scalar and name not in data else None,)) for name in trials
    }


def op_outputs(activation: str, x: dict[str, Any], *, go_nogo: bool) -> list[pt.TensorVariable]:
    """Log likelihoods, and the gradient of a weighted sum of them with respect to v, a, z, t."""
    lan, choice = networks(activation)
    value = LANLogp(DDM, lan, choice if go_nogo else None)(*(x[name] for name in ARGUMENTS))[0]
    return [value, *pt.grad(weighted(value), [x[name] for name in ("v", "a", "z", "t")])]


def weighted(value: pt.TensorVariable) -> pt.TensorVariable:
    return (pt.where(pt.isinf(value), 0.0, value) * (1 + pt.arange(value.shape[0]) % 3)).sum()


def float64_network(mlp: MLP) -> Any:
    """The network in float64 NumPy, of inputs that broadcast."""
    act = ACTIVATIONS[mlp.activation].value

    def network(inputs: tuple[Any, ...]) -> np.ndarray:
        x = np.stack(np.broadcast_arrays(*inputs), axis=-1)
        for kernel, bias in zip(mlp.kernels[:-1], mlp.biases[:-1], strict=True):
            x = act(np, x @ kernel.astype(float) + bias)
        return (x @ mlp.kernels[-1].astype(float) + mlp.biases[-1])[..., 0]

    return network


def reference(activation: str, trials: dict[str, np.ndarray], *, go_nogo: bool) -> list[np.ndarray]:
    """What the Op should give: the formulas in NumPy, all in float64, and central differences of them."""
    likelihood = Likelihood(DDM, *map(float64_network, networks(activation)))
    n = trials["rt"].size
    weights = 1 + np.arange(n) % 3

    def value(theta: dict[str, np.ndarray]) -> np.ndarray:
        deadline = trials["deadline"] if go_nogo else None
        return np.asarray(likelihood.log_trial(NUMPY, trials["rt"], trials["response"], deadline, theta)) * np.ones(n)

    def slope(name: str, h: float = 1e-6) -> np.ndarray:
        up, down = (value({**theta, name: theta[name] + step}) for step in (h, -h))
        difference = weights * np.where(np.isinf(up), 0.0, up - np.where(np.isinf(down), 0.0, down)) / (2 * h)
        return difference if theta[name].size == n else difference.sum(keepdims=True)

    theta = {name: trials[name] for name in DDM.names}
    return [value(theta), *(slope(name) for name in DDM.names)]


CASES = {
    "shipped weights, a value per trial": ("shipped", 300, False, True),
    "shipped weights, one value for all": ("shipped", 300, True, True),
    "two choices": ("shipped", 300, False, False),
    "tanh": ("tanh", 200, True, True),
}


@pytest.mark.parametrize("case", one_of_a_kind(CASES, "shipped weights, one value for all", "tanh"))
def test_every_backend_gives_the_formula_and_its_gradient(case):
    activation, n, scalar, go_nogo = CASES[case]
    trials = random_trials(n, scalar=scalar)
    x = symbols(trials, scalar=scalar)
    assert_backends_agree(
        op_outputs(activation, x, go_nogo=go_nogo),
        {x[name]: trials[name] for name in x},
        expected=reference(activation, trials, go_nogo=go_nogo),
    )


@pytest.mark.parametrize("mode", ["numba", "c", "python"])
def test_any_number_of_trials(mode):
    """Tiles that are empty, full, or one trial off."""
    x = symbols(random_trials(1, scalar=False), scalar=False)
    function = pytensor.function(list(x.values()), op_outputs("shipped", x, go_nogo=True), mode=MODES[mode])
    for n in (0, 1, TILE - 1, TILE, TILE + 1, 1000):
        trials = random_trials(n, scalar=False, seed=n)
        results = function(*trials.values())
        for found, expected in zip(results, reference("shipped", trials, go_nogo=True), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=f"{n} trials")


@pytest.mark.parametrize("mode", ["jax"])
@pytest.mark.parametrize("n", [0, 1, TILE + 1])
def test_any_number_of_trials_in_jax(mode, n):
    trials = random_trials(n, scalar=False, seed=n)
    x = symbols(trials, scalar=False)
    expected = reference("shipped", trials, go_nogo=True)
    assert_backends_agree(
        op_outputs("shipped", x, go_nogo=True), {x[k]: trials[k] for k in x}, expected=expected, modes=[mode]
    )


@pytest.mark.parametrize(("silent", "scalar"), [(0.3, False), (1.0, True)])
def test_jax_takes_one_network_for_each_trial_of_known_data(silent, scalar):
    """Data that are part of the graph are sorted by whether there is a response; the result is that of unknown data."""
    trials = random_trials(50, scalar=scalar, seed=3)
    trials["rt"] = np.where(np.random.default_rng(4).random(50) < silent, INF, np.minimum(trials["rt"], 2.0))
    x = symbols(trials, scalar=scalar)
    known = x | {"rt": pt.constant(trials["rt"])}
    parameters = [x[name] for name in ("v", "a", "z", "t")]
    found = []
    for inputs in (known, x):
        value = op_outputs("shipped", inputs, go_nogo=True)[0]
        outputs = [value, *pt.grad(weighted(value), parameters)]
        found.append(evaluate(outputs, {x[name]: each for name, each in trials.items()}, "jax"))
    for one, other in zip(*found, strict=True):
        # Sums of 50 trials in another order; the networks are float32 inside.
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def logp_graph(cls: Any, n: int, **kwargs: Any) -> tuple[list[pt.TensorVariable], list[pt.TensorVariable]]:
    """Inputs (value, v, a, z, t, p_lapse) and outputs (log densities, gradient of their sum) of a distribution."""
    value = pt.matrix("value", dtype="float64")
    per_trial = kwargs.pop("per_trial", False)
    theta = [pt.tensor(name, dtype="float64", shape=(n,) if per_trial else ()) for name in DDM.names]
    p_lapse = pt.scalar("p_lapse", dtype="float64")
    if "lapse_window" in kwargs:
        kwargs["p_lapse"] = p_lapse
    wrt = [*theta, p_lapse] if "lapse_window" in kwargs else theta
    logp = pm.logp(cls.dist(*theta, **kwargs, shape=(n, 2)), value)
    return [value, *wrt], [logp, *pt.grad(logp.sum(), wrt)]


N = 8
TRIAL_TYPES = np.arange(N) % 2
DISTRIBUTIONS: dict[str, tuple[Any, dict[str, Any]]] = {
    "DDM": (pl.DDM, {}),
    "DDM, per trial, lapses": (pl.DDM, {"per_trial": True, "lapse_window": 2.0}),
    "GoNoGoDDM": (pl.GoNoGoDDM, {}),
    "GoNoGoDDM, all options": (
        pl.GoNoGoDDM,
        {"trial_type": TRIAL_TYPES, "deadline": 1.5, "lapse_window": 1.5, "per_trial": True, "lapse_go": 0.7},
    ),
}


@pytest.mark.parametrize("case", one_of_a_kind(DISTRIBUTIONS, "GoNoGoDDM, all options"))
def test_logp_and_gradient_agree_between_backends(case):
    cls, kwargs = DISTRIBUTIONS[case]
    kwargs = dict(kwargs)
    rng = np.random.default_rng(3)
    missing = np.arange(N) >= N // 2 if cls is pl.GoNoGoDDM else np.zeros(N, bool)
    response = np.where(missing, 0.0, 1.0 if cls is pl.GoNoGoDDM else rng.choice([-1.0, 1.0], N))
    value = np.column_stack([np.where(missing, INF, rng.uniform(0.35, 1.4, N)), response])
    theta = [np.asarray(x) for x in (1.0, 1.2, 0.55, 0.3)]
    if kwargs.get("per_trial"):
        theta = [x + rng.uniform(-0.04, 0.04, N) for x in theta]
    inputs, outputs = logp_graph(cls, N, **kwargs)
    given = [value, *theta, np.asarray(0.04)][: len(inputs)]
    assert_backends_agree(outputs, dict(zip(inputs, given, strict=True)))


@pytest.mark.parametrize("mode", list(MODES))
def test_float64_outside_the_network_whatever_floatx_is(mode):
    value = np.array([[0.5, 1.0], [INF, 0.0]])
    given = [value, *(np.asarray(x) for x in (1.0, 1.2, 0.55, 0.3))]
    inputs, outputs = logp_graph(pl.GoNoGoDDM, 2, deadline=1.5)
    expected = evaluate(outputs, dict(zip(inputs, given, strict=True)), "python")
    if mode == "jax":
        # It sets JAX's precision by floatX, for good, when it is first imported.
        importlib.import_module("pytensor.link.jax.dispatch")
    with pytensor.config.change_flags(floatX="float32"):
        inputs, outputs = logp_graph(pl.GoNoGoDDM, 2, deadline=1.5)
        assert_backends_agree(
            outputs, dict(zip(inputs, given, strict=True)), expected=expected, modes=[mode], rtol=1e-6
        )


# Compiling second derivatives of the plain formulas takes minutes in numba and C.
@pytest.mark.parametrize(
    ("go_nogo", "mode"),
    [
        (False, AS_WRITTEN),
        pytest.param(True, AS_WRITTEN, marks=pytest.mark.slow),
        pytest.param(False, "NUMBA", marks=pytest.mark.slow),
    ],
)
def test_hessian_is_the_derivative_of_the_gradient(go_nogo, mode):
    trials = random_trials(40, scalar=True)
    trials["rt"] = trials["rt"] if go_nogo else np.where(np.isinf(trials["rt"]), 1.5, trials["rt"])
    point = np.concatenate([trials[name] for name in DDM.names])
    theta = pt.vector("theta", dtype="float64", shape=(4,))
    lan, choice = networks("shipped")
    data = [pt.constant(trials[name]) for name in ("rt", "response")]
    deadline = pt.constant(trials["deadline"]) if go_nogo else None
    value = log_likelihood(DDM, lan, choice, [*data, deadline, *(theta[i] for i in range(4))]).sum()
    gradient = pt.grad(value, theta)
    hessian = pt.stack([pt.grad(gradient[i], theta) for i in range(4)])
    slope = pytensor.function([theta], gradient, mode=AS_WRITTEN)
    found = pytensor.function([theta], hessian, mode=mode)(point)
    # The step is wide because the gradient carries the noise of float32; the curvature's own change is of order h^2.
    h = 2e-3
    expected = np.stack([(slope(point + h * e) - slope(point - h * e)) / (2 * h) for e in np.eye(4)])
    scale = np.sqrt(np.abs(np.outer(np.diag(expected), np.diag(expected))))
    assert np.max(np.abs(found - expected) / scale) < 5e-3
    np.testing.assert_allclose(found, found.T, rtol=1e-6, atol=1e-6 * np.abs(found).max())


def test_equal_ops_are_equal_and_others_are_not():
    lan, choice = networks("shipped")
    same = MLP(tuple(k.copy() for k in lan.kernels), tuple(b.copy() for b in lan.biases), lan.activation)
    op = LANLogp(DDM, lan, choice)
    assert op == LANLogp(DDM, same, choice)
    assert hash(op) == hash(LANLogp(DDM, same, choice))
    nudged = MLP((lan.kernels[0] + np.float32(1e-3), *lan.kernels[1:]), lan.biases, lan.activation)
    others = (
        LANLogp(DDM, nudged, choice),
        LANLogp(DDM, lan, None),
        LANLogp(DDM, MLP(lan.kernels, lan.biases, "tanh"), choice),
    )
    for other in others:
        assert op != other


COPIES = {"pickle": lambda x: pickle.loads(pickle.dumps(x)), "deepcopy": copy.deepcopy}


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES.keys())
@pytest.mark.parametrize("what", ["Op", "compiled function"])
def test_ops_and_functions_survive_copying(duplicate, what):
    op = LANLogp(DDM, *networks("shipped"))
    trials = random_trials(20, scalar=False)
    x = symbols(trials, scalar=False)
    if what == "Op":
        assert duplicate(op) == op
        assert hash(duplicate(op)) == hash(op)
        return
    function = pytensor.function(list(x.values()), op_outputs("shipped", x, go_nogo=True), mode="FAST_COMPILE")
    for found, expected in zip(duplicate(function)(*trials.values()), function(*trials.values()), strict=True):
        np.testing.assert_array_equal(found, expected)


def neuroracer() -> pm.Model:
    """The same model every time, built anew."""
    observed = np.array([[0.6, 1.0], [0.8, 1.0], [INF, 0.0], [INF, 0.0]])
    with pm.Model() as model:
        v = pm.Normal("v", 0, 1)
        a = pm.Uniform("a", 0.5, 2)
        pl.GoNoGoDDM("obs", v, a, t=0.3, trial_type=[1, 0, 1, 0], observed=observed)
    return model


@pytest.mark.parametrize("mode", ["numba", "c", "python"])
def test_kernel_is_compiled_once_however_often_it_is_used(mode, monkeypatch):
    built = []
    load = kernels.load_objects
    monkeypatch.setattr(kernels, "load_objects", lambda *args: built.append(args) or load(*args))
    kernels.compile_kernel.cache_clear()
    for _ in range(2):
        model = neuroracer()
        function = model.compile_fn([model.logp(), model.dlogp()], mode=MODES[mode])
        for shift in range(3):
            function({name: x + 0.1 * shift for name, x in model.initial_point().items()})
    assert len(built) == 1


def test_jax_traces_formulas_once_however_often_they_are_called(monkeypatch):
    from pymc_lan.ops import xla

    traced = []
    log_density = Likelihood.log_density

    def counting(self, xp, *args, **kwargs):
        traced.append(xp)
        return log_density(self, xp, *args, **kwargs)

    monkeypatch.setattr(Likelihood, "log_density", counting)
    monkeypatch.setattr(xla, "interface_version", lambda: None)
    model = neuroracer()
    function = model.compile_fn(model.dlogp(), mode="JAX")
    point = model.initial_point()
    function(point)
    first = len(traced)
    assert first > 0
    for shift in range(5):
        function({name: x + 0.1 * shift for name, x in point.items()})
    assert len(traced) == first


NO_JAX = """
import sys
from itertools import pairwise
import arviz, numpy as np, pymc as pm, pytensor, pymc_lan as pl
from pytensor.compile.mode import Mode

def main():
    df = pl.simulate("ddm", dict(v=1.0, a=1.0, z=0.5, t=0.3), n=20, seed=1)
    for mode in {modes}:
        with pytensor.config.change_flags(mode=mode), pm.Model() as model:
            v = pm.Normal("v", 0, 1)
            a = pm.Uniform("a", 0.5, 2)
            pl.DDM("two", v, a, t=0.1, p_lapse=0.01, observed=df)
            pl.GoNoGoDDM("go", v, a, t=0.1, deadline=1.5, observed=np.array([[0.5, 1], [np.inf, 0]]))
            model.compile_dlogp()(model.initial_point())
            pm.draw(model["go"], random_seed=1)
            pl.load_network("ddm").logpdf(np.array([0.5]), 1, v=1.0, a=1.0, z=0.5, t=0.3)
            pm.sample_prior_predictive(3, random_seed=1)
            if {sample}:
                pm.sample(5, tune=5, chains=2, cores=2, nuts_sampler="pymc", progressbar=False, random_seed=1,
                          compute_convergence_checks=False)
    # Not "jax": arviz puts a lazy stand-in under that name, which imports nothing until it is used.
    print("jaxlib" in sys.modules, "flax" in sys.modules)

if __name__ == "__main__":
    main()
"""
NO_JAX_MODES = {
    "numba, sampling in forked workers": ("['NUMBA']", True),
    "C and Python": ("[Mode('cvm', 'fast_run'), 'FAST_COMPILE']", False),
}


@pytest.mark.parametrize("case", one_of_a_kind(NO_JAX_MODES, "numba, sampling in forked workers"))
def test_jax_is_not_imported_outside_jax_mode(case, tmp_path):
    modes, sample = NO_JAX_MODES[case]
    script = tmp_path / "script.py"
    script.write_text(NO_JAX.format(modes=modes, sample=sample))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["False", "False"]
