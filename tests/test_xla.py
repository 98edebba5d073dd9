"""The likelihood in JAX: the kernel on a CPU, the formulas elsewhere; sets of trials, threads, curvature, samplers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from forms import FORMS, in_box
from numpy.typing import NDArray

import pymc_lan as pl
from pymc_lan.models.likelihood import Likelihood
from pymc_lan.networks.kernel.kernel import compile_kernel
from pymc_lan.networks.kernel.layout import TILE
from pymc_lan.networks.kernel.xla import VERSION
from pymc_lan.numerics.passage import NUMPY
from pymc_lan.ops import xla
from pymc_lan.ops.xla import Trials, value_and_partials

Float = NDArray[np.float64]
NETWORK = pl.load_network("ddm")
TRIALS = Trials(NETWORK.spec, NETWORK.lan, NETWORK.choice)
N_ARGUMENTS = 7


@pytest.fixture(autouse=True)
def double() -> Any:
    """Let JAX compute in float64, as PyTensor does."""
    with jax.enable_x64(True):
        yield


def arguments(n: int, *, shared: bool = False, seed: int = 0) -> list[Float]:
    """Arguments of trials inside the bounds, three in ten without a response."""
    rng = np.random.default_rng(seed)
    size = 1 if shared else n
    theta = [rng.uniform(*x, size) for x in ((-2.5, 2.5), (0.4, 2.4), (0.1, 0.9), (0.05, 0.5))]
    rt = np.where(rng.random(n) < 0.3, np.inf, theta[3] + rng.gamma(2, 0.5, n) + 0.01)
    return [rt, rng.choice([-1.0, 1.0], n), rng.choice([0.8, 1.5, 8.0, np.inf], size), *theta]


def expected(given: list[Float]) -> Float:
    """The log likelihoods by the formulas in NumPy."""
    rt, response, deadline, *theta = given
    likelihood = Likelihood(NETWORK.spec, NETWORK.lan, NETWORK.choice)
    named = dict(zip(NETWORK.spec.names, theta, strict=True))
    return np.asarray(likelihood.log_trial(NUMPY, rt, response, deadline, named)) * np.ones(rt.size)


def value(*given: Any) -> Any:
    return value_and_partials(TRIALS, given)[0]


@jax.jit
def both(*given: Any) -> Any:
    """Value and partials of one set of trials, by the kernel."""
    return value_and_partials(TRIALS, given)


def total(*given: Any) -> Any:
    return value(*given).sum()


def close(found: Any, target: Any) -> None:
    # Networks are float32 inside, and what calls them sums in another order.
    np.testing.assert_allclose(found, target, rtol=1e-5, atol=1e-5)


# What it is lowered to


def lowered(platform: str, *, double: bool = True) -> str:
    given = [jnp.asarray(x, "f8" if double else "f4") for x in arguments(5)]
    return str(jax.jit(value).trace(*given).lower(lowering_platforms=(platform,)).as_text())


@pytest.fixture
def other_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let jaxlib have a version of the interface that has not been tested."""
    monkeypatch.setattr(xla, "interface_version", lambda: (VERSION[0], VERSION[1] + 1))
    jax.clear_caches()


def test_this_jaxlib_has_the_version_that_was_tested() -> None:
    assert xla.interface_version() == VERSION


def test_a_cpu_calls_the_kernel() -> None:
    name = compile_kernel(NETWORK.spec, NETWORK.lan, NETWORK.choice).name
    assert lowered("cpu").count(f"@{name}_xla") == 1


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_other_platforms_compute_the_formulas(platform: str) -> None:
    assert "lan_" not in lowered(platform)
    assert "stablehlo.log" in lowered(platform)


def test_single_precision_computes_the_formulas() -> None:
    with jax.enable_x64(False):
        assert "_xla" not in lowered("cpu", double=False)
        given = arguments(40)
        close(jax.jit(value)(*given), expected(given))


def test_an_unknown_version_computes_the_formulas(other_version: None) -> None:
    assert "_xla" not in lowered("cpu")


@pytest.mark.parametrize("known", [False, True])
def test_formulas_give_what_the_kernel_gives(known: bool, other_version: None) -> None:
    given = arguments(60, shared=known)
    trials = Trials(NETWORK.spec, NETWORK.lan, NETWORK.choice, tuple(np.isfinite(given[0]).tolist()) if known else None)
    wide = np.stack([np.broadcast_to(x, 60) for x in given])
    value, partials = compile_kernel(NETWORK.spec, NETWORK.lan, NETWORK.choice)(wide)
    found = jax.jit(lambda *x: value_and_partials(trials, x))(*given)
    close(found[0], value)
    close(found[1], partials)


# Values, sets of trials, threads


@pytest.mark.parametrize(("n", "shared"), [(0, False), (1, False), (TILE + 1, True), (1000, False)])
def test_values_are_those_of_the_formulas(n: int, shared: bool) -> None:
    given = arguments(n, shared=shared)
    close(jax.jit(value)(*given), expected(given))


SETS = {
    "parameters": (None, None, None, 0, 0, 0, 0),
    "one parameter": (None, None, None, 0, None, None, None),
    "trials": (0, 0, 0, None, None, None, None),
    "all, in the last axis": (1, 1, 1, 1, 1, 1, 1),
}


@pytest.mark.parametrize("axes", SETS.values(), ids=SETS)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("n", [3, TILE + 5])
def test_sets_of_trials_are_one_call(axes: tuple[int | None, ...], shared: bool, n: int) -> None:
    sets = [arguments(n, shared=shared, seed=seed) for seed in range(4)]
    given = [sets[0][i] if axis is None else np.stack([x[i] for x in sets], axis=axis) for i, axis in enumerate(axes)]
    mapped = jax.jit(jax.vmap(lambda *x: value_and_partials(TRIALS, x), in_axes=axes))
    assert mapped.lower(*given).as_text().count("custom_call @lan_") == 1
    values, partials = mapped(*given)
    for k in range(4):
        one = [sets[0][i] if axis is None else sets[k][i] for i, axis in enumerate(axes)]
        close(values[k], expected(one))
        np.testing.assert_array_equal(partials[k], both(*one)[1])


def test_sets_of_sets() -> None:
    given = arguments(5, shared=True)
    drifts, widths = np.array([[-1.0], [0.5], [2.0]]), np.array([[0.8], [1.2]])

    def of(v: Any, a: Any) -> Any:
        return value(*given[:3], v, a, *given[5:])

    found = jax.jit(jax.vmap(jax.vmap(of, (None, 0)), (0, None)))(drifts, widths)
    for i, j in product(range(3), range(2)):
        close(found[i, j], expected([*given[:3], drifts[i], widths[j], *given[5:]]))


def test_many_threads_at_once() -> None:
    cases = [arguments(400 + 7 * seed, seed=seed) for seed in range(4)]
    alone = [[np.asarray(x) for x in both(*case)] for case in cases]

    def again(k: int) -> Any:
        with jax.enable_x64(True):
            return [np.asarray(x) for x in both(*cases[k % 4])]

    with ThreadPoolExecutor(8) as pool:
        for k, found in enumerate(pool.map(again, range(200))):
            for one, other in zip(found, alone[k % 4], strict=True):
                np.testing.assert_array_equal(one, other)


# Derivatives


def test_gradients_are_differences_of_values() -> None:
    given, h = arguments(30, shared=True, seed=2), 1e-4
    found = jax.jit(jax.grad(total, argnums=(3, 4, 5, 6)))(*given)
    for i, slope in zip((3, 4, 5, 6), found, strict=True):
        up, down = ([*given[:i], given[i] + step, *given[i + 1 :]] for step in (h, -h))
        assert slope == pytest.approx((expected(up).sum() - expected(down).sum()) / (2 * h), rel=2e-3, abs=2e-2)


HESSIANS = {"forwards over back": jax.hessian, "back over back": lambda f: jax.jacrev(jax.grad(f))}


@pytest.mark.parametrize(
    "hessian",
    [pytest.param(f, marks=() if f is jax.hessian else pytest.mark.slow) for f in HESSIANS.values()],
    ids=HESSIANS,
)
def test_hessians_are_differences_of_gradients(hessian: Any) -> None:
    """Curvature comes from the formulas; the gradients that it is compared with from the kernel."""
    given, h = arguments(30, shared=True, seed=2), 1e-3

    def of(theta: Any) -> Any:
        return total(*given[:3], *(theta[i : i + 1] for i in range(4)))

    point, slope = np.concatenate(given[3:]), jax.jit(jax.grad(of))
    target = np.stack([(slope(point + h * e) - slope(point - h * e)) / (2 * h) for e in np.eye(4)])
    scale = np.sqrt(np.abs(np.outer(np.diag(target), np.diag(target))))
    found = jax.jit(hessian(of))(point)
    assert np.max(np.abs(found - target) / scale) < 5e-3
    np.testing.assert_allclose(found, found.T, rtol=1e-6, atol=1e-6 * np.abs(found).max())


def test_a_gradient_does_not_trace_the_formulas(monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[Any] = []
    log_density = Likelihood.log_density
    monkeypatch.setattr(Likelihood, "log_density", lambda *args: traced.append(args) or log_density(*args))
    given = arguments(33)
    jax.jit(jax.vmap(jax.value_and_grad(total, argnums=3), (None,) * 3 + (0,) + (None,) * 3))(
        *given[:3], np.stack([given[3]] * 2), *given[4:]
    )
    assert not traced


# Samplers of JAX

SCRIPT = """
import json, sys
import numpy as np, pymc as pm, pymc_lan as pl

def main():
    given = json.load(open(sys.argv[1]))
    cls = getattr(pl, given["cls"])
    observed = np.array(given["observed"])
    with pm.Model():
        theta = {k: pm.Uniform(k, *b) if isinstance(b, list) else b for k, b in given["theta"].items()}
        cls("obs", **theta, likelihood=given["likelihood"], observed=observed)
        idata = pm.sample(150, tune=300, chains=2, random_seed=1, progressbar=False, compute_convergence_checks=False,
                          nuts_sampler=given["sampler"], initvals=given["start"],
                          nuts_sampler_kwargs={"chain_method": given["method"]})
    print(json.dumps({k: idata["posterior"][k].values.tolist() for k in given["start"]}))

if __name__ == "__main__":
    main()
"""
WAYS = {
    f"{sampler}, {method}": (sampler, method)
    for sampler in ("numpyro", "blackjax")
    for method in ("vectorized", "parallel")
}
NAMED = {name: form for name, form in FORMS.items() if not form.network and not form.late}
CASES = [f"{name}: {way}" for name, way in product(NAMED, WAYS)]


# Each in a process of its own, some ten seconds: one where a change is checked, as in test_samplers, all for a night.
USUAL = "DDM-lan: numpyro, parallel"


@pytest.mark.parametrize(
    "case", [pytest.param(x, marks=pytest.mark.table if x == USUAL else pytest.mark.slow) for x in CASES]
)
def test_chains_side_by_side_find_the_parameter(case: str, tmp_path: Path) -> None:
    """One parameter is sampled, the others are known; what it should be is the one that the trials were drawn with."""
    name, way = case.split(": ")
    form, (sampler, method) = NAMED[name], WAYS[way]
    rng = np.random.default_rng(3)
    # In the middle of the box, where the trials say most of it, and the non-decision time well inside its own.
    middle = {p.name: 0.55 * p.bounds[0] + 0.45 * p.bounds[1] for p in form.spec.parameters}
    middle = {k: min(x, 0.3) if k == "t" else x for k, x in middle.items()}
    assert middle.keys() == in_box(form, rng, 1).keys()
    options = {"deadline": 2.0} if form.ends else {}
    data = pl.simulate(form.spec.name, middle, n=400, seed=4)
    rows = data[["rt", "response"]].to_numpy(float)
    if form.go_nogo:
        late = ~((rows[:, 1] > 0) & (rows[:, 0] < options.get("deadline", np.inf)))
        rows[late] = np.inf, 0
    asked = form.spec.parameters[0]
    keywords = {p.name: p.keyword for p in form.spec.parameters}
    theta: dict[str, Any] = {keywords[k]: x for k, x in middle.items()} | options
    theta[asked.keyword] = list(asked.bounds)
    given = {"cls": form.cls.__name__, "theta": theta, "likelihood": form.likelihood, "observed": rows.tolist()}
    given |= {"sampler": sampler, "method": method, "start": {asked.keyword: middle[asked.name]}}
    (tmp_path / "given.json").write_text(json.dumps(given))
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "given.json")]
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    # A likelihood that hangs does not fail.
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    draws = np.array(json.loads(done.stdout.splitlines()[-1])[asked.keyword])
    assert draws.shape == (2, 150)
    assert len({*draws.ravel().tolist()}) > 100
    assert np.abs(np.diff(draws.mean(axis=1))) < draws.std()
    assert abs(draws.mean() - middle[asked.name]) < 5 * draws.std()
