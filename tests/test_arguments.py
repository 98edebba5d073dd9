"""What an argument cannot be, a path, a count, a seed, is refused in a sentence, wherever it is one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm
import pytest
from toy_simulators import COIN, GIVEN_UP

import pymc_lan as pl
from pymc_lan import diagnostics
from pymc_lan.errors import RegistryError

SHIPPED = Path(__file__).resolve().parents[1] / "weights_registry" / "ddm" / "1.0"
THETA = {"v": 0.8, "a": 1.1, "z": 0.4, "t": 0.3}
DDM = pl.load_network("ddm")
# What nothing is written to, because everything is refused.
NOWHERE = Path("/nowhere")

simulate = partial(pl.simulate, "ddm", THETA)
import_onnx = partial(pl.import_onnx, "x.onnx", "toy", bounds={"v": (-3, 3), "t": (0, 2)}, choices=(-1, 1))
train = partial(pl.train, "ddm", NOWHERE, progress=False)
publish = partial(pl.publish, SHIPPED, NOWHERE, dry_run=True)
simulate_to = partial(pl.simulate_to, COIN, NOWHERE, sets=1)


def builder() -> pm.Model:
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("x"), observed=0.0)
    return model


# Each argument that is a path, with a call that gives it one.
PATHS: dict[str, Callable[[Any], Any]] = {
    "path": lambda path: pl.import_onnx(path, "ddm"),
    "cpn": lambda path: import_onnx(cpn=path),
    "opn": lambda path: import_onnx(opn=path),
    "out": lambda path: import_onnx(out=path),
    "folder": pl.import_orbax,
    "folder of a version": lambda path: pl.publish(path, NOWHERE),
    "folder of a study": lambda path: diagnostics.sbc(builder, folder=path),
    "folder of simulations": lambda path: pl.simulate_to(COIN, path, sets=1),
    "out of an export": partial(pl.export, DDM),
    "out of a training": partial(pl.train, "ddm"),
    "checkpoints": lambda path: train(checkpoints=path),
    "simulations": lambda path: pl.train(COIN, NOWHERE, simulations=[path], progress=False),
}
OPTIONAL = ("cpn", "opn", "out", "folder of a study", "checkpoints")


@pytest.mark.parametrize(("argument", "call"), PATHS.items(), ids=PATHS)
@pytest.mark.parametrize("path", [None, 3, b"x", Path("a\0b")], ids=repr)
def test_a_path_is_one(argument: str, call: Callable[[Any], Any], path: Any) -> None:
    if path is None and argument in OPTIONAL:
        path = 0.5
    name = argument.split()[0]
    message = rf"^Expected a path as {name}, in text .*\. Found {re.escape(repr(path))}\. Remedy: give {name} so\.$"
    with pytest.raises(ValueError, match=message):
        call(path)


# Each argument that counts, from least to more, with a call that gives it a number.
COUNTS: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "n_measured": (1, lambda n: publish(n_measured=n)),
    "n_measured of a training": (1, lambda n: train(n_measured=n)),
    "n": (1, lambda n: diagnostics.accuracy(DDM, n=n)),
    "n_mass": (1, lambda n: diagnostics.accuracy(DDM, n=1, n_mass=n)),
    "n_sets": (1, lambda n: diagnostics.accuracy_from_simulations(DDM, n_sets=n)),
    "n_trials": (1, lambda n: diagnostics.accuracy_from_simulations(DDM, n_trials=n)),
    "n_shown": (1, lambda n: diagnostics.accuracy_from_simulations(DDM, n_shown=n)),
    "sets": (1, lambda n: simulate_to(sets=n)),
    "trials": (1, lambda n: simulate_to(trials=n)),
    "files": (1, lambda n: simulate_to(files=n)),
    "n_simulations": (2, partial(diagnostics.sbc, builder)),
    "draws": (4, lambda n: diagnostics.sbc(builder, draws=n)),
    "tune": (0, lambda n: diagnostics.sbc(builder, tune=n)),
    "chains": (1, lambda n: diagnostics.sbc(builder, chains=n)),
    "steps": (1, lambda n: pl.fit_map(builder(), steps=n)),
    "n_starts": (1, lambda n: pl.fit_map(builder(), n_starts=n)),
    "log_every": (1, lambda n: pl.fit_map(builder(), log_every=n)),
    "draws of chains": (1, lambda n: pl.sample_blackjax(builder(), draws=n)),
    # Seeds of what is written down with them: a number, always.
    "seed": (0, lambda n: diagnostics.accuracy(DDM, seed=n)),
    "seed of simulations": (0, lambda n: diagnostics.accuracy_from_simulations(DDM, seed=n)),
    "seed of files": (0, lambda n: simulate_to(seed=n)),
    "seed of a study": (0, lambda n: diagnostics.sbc(builder, seed=n)),
    "seed of panels": (0, lambda n: pl.plots.network(DDM, THETA, "v", [0.0], seed=n)),
}


@pytest.mark.parametrize(("argument", "least", "call"), [(k, *v) for k, v in COUNTS.items()], ids=COUNTS)
def test_a_count_is_a_whole_number(argument: str, least: int, call: Callable[[Any], Any]) -> None:
    name = argument.split()[0]
    for value in ("a", True, 1.5, least - 1):
        found = re.escape(f"{name}={value!r}")
        message = rf"^Expected {name} as a whole number, {least} or more\. Found {found}\. Remedy: give {name} so\.$"
        with pytest.raises(ValueError, match=message):
            call(value)


@pytest.mark.parametrize("seed", ["a", True, np.True_, 1.5, -1, [-1]], ids=repr)
def test_a_seed_is_one(seed: Any) -> None:
    message = rf"^Expected seed as a whole number, 0 or more\. Found {re.escape(f'seed={seed!r}')}\."
    for call in (simulate, partial(pl.fit_map, builder()), partial(pl.plots.cartoon, "ddm", THETA)):
        with pytest.raises(ValueError, match=message):
            call(seed=seed)


@pytest.mark.parametrize("seed", [7, 7.0, np.int64(7), [7], np.random.SeedSequence(7)], ids=repr)
def test_seeds_that_numpy_takes_are_taken(seed: Any) -> None:
    assert simulate(n=5, seed=seed).equals(simulate(n=5, seed=np.random.default_rng(7)))


def test_a_seed_fits_into_the_keys_of_jax() -> None:
    with pytest.raises(ValueError, match=r"seed as a whole number from 0 to 9,223,372,036,854,775,807\. Found seed=92"):
        train(seed=2**63)


OTHERS: dict[str, tuple[Callable[[], Any], str]] = {
    "one choice": (lambda: import_onnx(choices=(1,)), r"two response codes or more as choices\. Found \(1,\)"),
    "bounds True": (
        lambda: import_onnx(bounds={"v": (False, True), "t": (0, 2)}),
        "bounds of v as finite .* Found False and True",
    ),
    "a bound of a parameter": (lambda: pl.Parameter("v", (0, True), "", ""), "bounds of v .* Found 0 and True"),
    "default True": (
        lambda: pl.Parameter("v", (0, 1), "", "", default=True),
        "a number as the default .*Found True",
    ),
    "no version": (lambda: train(version=None), r"a version of letters.*Found None"),
    "a version that is a number": (lambda: train(version=1.0), r"a version of letters.*Found 1\.0\. Remedy: .*'1\.0'"),
    "no registry": (lambda: pl.publish(SHIPPED, None), r"the argument repo as 'org/repo'.*Found None"),
    "a home": (lambda: pl.publish(SHIPPED, "~root/x", dry_run=True), r"the argument repo as .*Found '~root/x'"),
    "registries None": (lambda: pl.load_network("ddm", registries=None), "registries as a list of .*Found None"),
    "registries in text": (
        lambda: pl.load_network("ddm", registries="lab/nets"),
        r"registries as a list of .*Found 'lab/nets'\. Remedy: write \[\.\.\.\] around one",
    ),
    "no registry of several": (lambda: pl.load_network("ddm", registries=[None]), "as 'org/repo', .*Found None"),
    "a spec that is none": (lambda: pl.load_network("ddm", spec=[]), "spec as a model. Found a list"),
    "a folder's spec": (lambda: publish(spec="ddm"), r"spec as a model. Found a str\. Remedy: .*pl\.get_model"),
    "what to simulate": (lambda: pl.simulate_to("coin", NOWHERE, sets=1), "spec as a model. Found a str"),
    "no spec to register": (lambda: pl.register(None, DDM), "spec as a model. Found a NoneType"),
    "no network to register": (
        lambda: pl.register(replace(DDM.spec, name="mine"), None),
        r"a Network. Found a NoneType\. Remedy: .*pl\.load_network",
    ),
    "no network": (lambda: diagnostics.accuracy("ddm"), "a Network. Found a str"),
    "no network of a simulator": (lambda: diagnostics.accuracy_from_simulations(None), "a Network. Found a NoneType"),
    "no format": (lambda: pl.export(DDM, NOWHERE, None), "Unknown format None. Known formats: onnx, orbax."),
    "no part": (lambda: pl.export(DDM, NOWHERE, part=3), "Unknown part 3. Known parts: density, nogo."),
    "no recipe": (lambda: train(lan_recipe=3), r"lan_recipe as a Recipe\. Found a int\. Remedy: write pl\.Recipe\("),
    "another's recipe": (
        lambda: pl.train(GIVEN_UP, NOWHERE, simulation_recipe=pl.Recipe()),
        r"simulation_recipe as a SimulationRecipe\. Found a Recipe",
    ),
    "no builder": (
        lambda: diagnostics.sbc(builder()),
        r"a function that takes nothing .*Found a Model\. Remedy",
    ),
    "nothing to pull": (lambda: pl.pull(None), "the name of a model in text. Found a NoneType"),
    "a folder with a name": (
        lambda: pl.get_model("/folder:ddm@2.0"),
        "no folder '/folder:ddm@2.0'. Remedy: give the whole path, such as '/folder/ddm/2.0'; "
        "or 'ddm@2.0', with '/folder' among the registries",
    ),
}


@pytest.mark.parametrize(("call", "message"), OTHERS.values(), ids=OTHERS)
def test_other_arguments_are_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises((ValueError, RegistryError), match=message):
        call()
