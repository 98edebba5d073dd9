"""Configs and names that mean harm: refused, nothing of them is executed, and nothing is shown raw.

Kinds, sizes and depth of files are in ``test_harm_files.py``, what a server can do beside it in ``test_hub_harm.py``;
``docs/weights.md`` says the same in sentences.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from harm_checks import IDENTIFIER, code_of_name, refusal, shipped
from hub_checks import SHIPPED, cache, forget
from hub_server import Hub, Repository
from safetensors.numpy import save
from typer.testing import CliRunner

import pymc_lan as pl
from pymc_lan.cli import app
from pymc_lan.errors import MAX_TEXT, explain
from pymc_lan.models.catalogue import MODELS
from pymc_lan.networks.config import CONFIG, check_config
from pymc_lan.networks.network import build_network, networks_config
from pymc_lan.ops.likelihood import LANLogp, compiled_kernel
from pymc_lan.registry.card import write_card
from pymc_lan.registry.table import CARD, REGISTRY, WEIGHTS, digest

pytestmark = pytest.mark.usefixtures("no_memory")

Change = Callable[[dict[str, Any]], Any]


# A config says what its release knows of a model


def parameter(number: int, **entries: Any) -> Change:
    return lambda c: c["parameters"][number].update(entries)


def whole(**entries: Any) -> Change:
    return lambda c: c.update(entries)


def lan(**entries: Any) -> Change:
    return lambda c: c["networks"]["lan"].update(entries)


RELEASE = (
    "Expected of model 'ddm' the parameters v [evidence/s], a [evidence], z [1] (by default 0.5), t [s] and choices"
)
PRINTABLE = "nothing but lines of at most 2,000 printable characters"
CONFIGS: dict[str, tuple[Change, str]] = {
    "code in a name": (parameter(0, name="v\n  ret void\n}\ndeclare i32 @system(ptr)\n;"), PRINTABLE),
    "code in a printable name": (parameter(0, name="v); import os; (x"), IDENTIFIER),
    "a name that LLVM would not read": (parameter(0, name="out.0"), IDENTIFIER),
    "a name of two words": (parameter(0, name="drift rate"), IDENTIFIER),
    "a name twice": (parameter(1, name="v"), "each once"),
    "a model that climbs": (whole(model="../../evil"), IDENTIFIER),
    "no model": (lambda c: c.pop("model"), IDENTIFIER),
    "a version that climbs": (whole(version="../1.0"), "a version of at most 64 letters"),
    "no version": (whole(version=None), "a version of at most 64 letters"),
    "a format below 1": (whole(format=-5), "a format number"),
    "a format that is true": (whole(format=True), "a format number"),
    "an escape in a description": (whole(description="\x1b[2J"), PRINTABLE),
    "another direction in a reference": (whole(reference="\u202egnp.exe"), PRINTABLE),
    "a novel in a unit": (parameter(0, unit="x" * 3000), PRINTABLE),
    "an escape in an entry that no reader knows": (whole(more={"deep": [{"\x1b]0;x": 1}]}), PRINTABLE),
    "no description": (whole(description=None), "a description"),
    "no unit": (parameter(0, unit=1), "a unit and a meaning of v"),
    "bounds the wrong way round": (parameter(0, bounds=[3.0, -3.0]), "bounds of v as finite (low, high)"),
    "infinite bounds": (parameter(0, bounds=[-3.0, float("inf")]), "bounds of v as finite (low, high)"),
    "bounds beyond all numbers": (parameter(0, bounds=[0, 10**400]), "bounds of v as finite (low, high)"),
    "bounds where the model is not": (parameter(1, bounds=[-1.0, 2.5]), "bounds of a within 0 to inf"),
    "parameters in another order": (lambda c: c["parameters"].reverse(), RELEASE),
    "no parameters": (whole(parameters=[]), "Expected parameters in"),
    "a parameter fewer": (lambda c: c["parameters"].pop(0), RELEASE),
    "parameters that are none": (whole(parameters=[[]]), "Expected parameters in"),
    "another unit": (parameter(3, unit="ms"), RELEASE),
    "another default": (parameter(2, default=0.9), RELEASE),
    "a default that is text": (parameter(2, default="0.5"), "a number as default of z"),
    "other choices": (whole(choices=[0, 1]), RELEASE),
    "a choice twice": (whole(choices=[1, 1]), "choices as whole numbers, each once"),
    "choices that are true": (whole(choices=[True, -1]), "choices as whole numbers, each once"),
    "another kind of model": (lan(transform="moving"), "the transform 'constant_drift' of model 'ddm'"),
    "two kinds": (lan(transform="simulated"), "the transform 'constant_drift' of model 'ddm'"),
    "a third network": (lambda c: c["networks"].update(more=c["networks"]["lan"]), "a network lan and, perhaps,"),
    "a layer of 10^9 units": (lan(sizes=[4, 10**9, 1]), "the widths of at most 32 layers of lan, each at most 4,096"),
    "a thousand layers": (lan(sizes=[4, *[1] * 1000, 1]), "the widths of at most 32 layers of lan"),
    "widths that are no whole numbers": (lan(sizes=[4.0, 24, 24, 1]), "the widths of at most 32 layers of lan"),
    "a transform that is no text": (lan(transform=["constant_drift"]), "the transform of lan"),
    "an accuracy that is text": (lambda c: c["accuracy"]["lan"].update(mean="perfect"), "numbers mean and p99"),
}


@pytest.mark.parametrize(("change", "sentence"), CONFIGS.values(), ids=CONFIGS)
def test_a_config_that_does_not_fit_the_release_is_refused(change: Change, sentence: str) -> None:
    config, tensors = shipped()
    change(config)
    assert sentence in refusal(lambda: build_network(config, tensors, ""))
    assert sentence in refusal(lambda: build_network(json.loads(json.dumps(config)), tensors, ""))


def test_a_spec_that_is_given_is_the_one_that_was_trained() -> None:
    config, tensors = shipped()
    mine = pl.get_model("weibull")
    text = refusal(lambda: build_network(config, tensors, "", mine))
    assert "Expected parameters v, a, z, t and choices [-1, 1]. Found parameters v, a, z, t, alpha, beta" in text
    assert "give the spec that the network was trained with" in text


def simulated(config: dict[str, Any]) -> None:
    """As a network that learned from simulations would describe itself."""
    for entry in config["networks"].values():
        entry["transform"] = "simulated"
    config["networks"]["lan"] |= networks_config(pl.load_network("levy"))["lan"] | {"sizes": [4, 24, 24, 1]}


def test_a_known_model_of_another_kind_is_refused() -> None:
    config, tensors = shipped()
    simulated(config)
    assert "a model of the kind 'simulated'" in refusal(lambda: build_network(config, tensors, ""))


STORED: dict[str, tuple[Change, str]] = {
    "a baseline that is not finite": (lambda c: c["baseline"]["inner"][0].__setitem__(0, float("nan")), "a baseline"),
    "a baseline of other inputs": (lambda c: c["baseline"]["inner"][0].append(0.0), "a baseline of"),
    "a baseline of other outputs": (lambda c: c["baseline"]["outer"].pop(), "a baseline of"),
    "no baseline": (lambda c: c.pop("baseline"), "a baseline. Found none"),
}


@pytest.mark.parametrize(("change", "sentence"), STORED.values(), ids=STORED)
def test_what_stands_for_a_simulator_is_checked(change: Change, sentence: str) -> None:
    config, tensors = shipped("levy")
    assert build_network(config, tensors, "").spec.name == "levy"
    change(config["networks"]["lan"])
    assert sentence in refusal(lambda: build_network(config, tensors, ""))


FOREIGN = {
    "a shift": ({"shift": "q"}, "Unknown shift"),
    "a mirror": ({"mirror": ["q"]}, "symmetries of the model's own parameters and choices"),
    "an exchange": ({"mirror": [], "exchange": [["v"]]}, "symmetries of the model's own parameters and choices"),
}


@pytest.mark.parametrize(("entries", "sentence"), FOREIGN.values(), ids=FOREIGN)
def test_a_model_of_ones_own_is_about_its_own_parameters(entries: dict[str, Any], sentence: str) -> None:
    config, tensors = shipped("levy")
    config["model"] = "mine"
    assert build_network(config, tensors, "").spec.shift == "t"
    config["networks"]["lan"] |= entries
    assert sentence in refusal(lambda: build_network(config, tensors, ""))


def test_bounds_belong_to_a_version(root: Path) -> None:
    """Weights are used with the bounds of their version, and these are shown."""
    narrow, wide = pl.load_network("ddm@1.0"), pl.load_network("ddm")
    assert narrow.spec.parameter("v").bounds == (-3.0, 3.0)
    assert wide.spec.parameter("v").bounds == MODELS["ddm"].parameter("v").bounds == (-6.0, 6.0)
    theta = {"v": 5.0, "a": 1.0, "z": 0.5, "t": 0.3}
    # Far from it: the first version's bounds end at 3.
    assert abs(narrow.logpdf(0.5, 1, **theta) - wide.logpdf(0.5, 1, **theta)) > 10
    rewrite(root, CONFIG, lambda content: content.replace(b"-6.0", b"-5.5"))
    assert pl.load_network("ddm").spec.parameter("v").bounds == (-5.5, 6.0)
    table = pl.list_models()
    assert table[table["default"]].set_index("model").loc["ddm", "bounds"]["v"] == (-5.5, 6.0)


def rewrite(root: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change a file of ddm 2.0 and make the table agree with it, as whoever writes a registry can."""
    path = root / "ddm" / "2.0" / name
    before = digest(path.read_bytes())
    path.write_bytes(change(path.read_bytes()))
    table = (root / REGISTRY).read_text().replace(before, digest(path.read_bytes()))
    (root / REGISTRY).write_text(table)
    forget()


def test_names_of_other_alphabets_are_names() -> None:
    config, tensors = shipped("levy")
    renamed = {"v": "t0", "alpha": "\u03b1"}
    config["model"] = "\u03bb"
    for each in config["parameters"]:
        each["name"] = renamed.get(each["name"], each["name"])
    text = json.dumps(config["networks"]["lan"].get("mirror", []))
    config["networks"]["lan"]["mirror"] = [renamed.get(name, name) for name in json.loads(text)]
    network, levy = build_network(config, tensors, ""), pl.load_network("levy")
    middle = {p.name: sum(p.bounds) / 2 for p in levy.spec.parameters}
    mine = {renamed.get(name, name): x for name, x in middle.items()}
    assert network.logpdf(1.5, 1, **mine) == levy.logpdf(1.5, 1, **middle)


# Weights


WRONG = {"a number that is none": np.nan, "an infinite one": np.inf}


@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("name", ["lan/layers/1/kernel", "choice/layers/2/bias"])
def test_weights_that_are_not_finite_are_refused(name: str, value: float) -> None:
    config, tensors = shipped()
    tensors[name] = tensors[name].copy()
    tensors[name].flat[-1] = value
    assert f"finite numbers in tensor {name}. Found 1 that are not" in refusal(
        lambda: build_network(config, tensors, "")
    )


def test_a_tensor_that_belongs_to_no_network_is_refused() -> None:
    config, tensors = shipped()
    tensors["\x1b[2Jmore"] = np.zeros(3, "f4")
    assert r"Found '\x1b[2Jmore'" in refusal(lambda: build_network(config, tensors, ""))


# Nothing raw


MARKUP = "<script>alert(1)</script> [click](javascript:x) ![x](y) `c` | a *b* _c_ &lt; $x$"
# The same as Markdown that shows every character.
SHOWN = r"\<script\>alert(1)\</script\> \[click\](javascript:x) !\[x\](y) \`c\` \| a \*b\* \_c\_ \&lt; \$x\$"


def test_a_card_shows_markup_as_it_is() -> None:
    config, _ = shipped()
    for key in ("description", "reference", "outcome", "labels"):
        config[key] = MARKUP
    config["parameters"][0] |= {"unit": MARKUP, "meaning": MARKUP}
    config["packages"] = {MARKUP: MARKUP}
    config["networks"]["lan"]["activation"] = MARKUP
    config["training"]["seed"] = MARKUP
    check_config(config)
    card = write_card(config)
    assert card.count(SHOWN) == 10
    assert "<script>" not in card
    config["training"] = {"imported": {"lan": {"file": "a`b`<script>", "sha256": "x`<b>"}}}
    assert "`a'b'<script>` (sha256 `x'<b>`)" in write_card(config)
    config["description"] = "# a heading"
    assert "\n\\# a heading\n" in write_card(config)


CARDS: dict[str, Change] = {
    "no labels": lambda c: c.pop("labels"),
    "training as text": whole(training="x"),
    "seconds as text": lambda c: c["training"].update(seconds="x"),
    "accuracy of nothing": whole(accuracy={}),
    "figures as text": lambda c: c["accuracy"]["mass"].update(p50="x"),
}


@pytest.mark.parametrize("change", CARDS.values(), ids=CARDS)
def test_a_card_of_half_a_config_is_refused(change: Change) -> None:
    config, _ = shipped()
    change(config)
    assert "a complete config.json" in refusal(lambda: write_card(config))


def test_the_command_shows_no_markup(root: Path) -> None:
    rewrite(root, CONFIG, lambda content: content.replace(b"constant drift between", b"[red] <b>"))
    assert r"\[red\] \<b\>" in CliRunner().invoke(app, ["info", "ddm"]).output


def test_the_list_shows_folders_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = tmp_path / "[red]"
    shutil.copytree(SHIPPED / "ddm", named / "mine")
    config, tensors = shipped()
    config = json.dumps(config | {"model": "mine"}).encode()
    (named / "mine" / "1.0" / CONFIG).write_bytes(config)
    files = {WEIGHTS: digest(save(tensors)), CONFIG: digest(config)}
    (named / "mine" / "1.0" / WEIGHTS).write_bytes(save(tensors))
    lines = [f'"{name}" = "{sha}"' for name, sha in files.items()]
    head = ["[models.mine]", 'default = "1.0"', '[models.mine.versions."1.0".files]']
    (named / REGISTRY).write_text("\n".join([*head, *lines]))
    monkeypatch.setenv("PYMC_LAN_REGISTRIES", str(named))
    monkeypatch.setenv("COLUMNS", "400")
    assert "[red]" in CliRunner().invoke(app, ["list", "--all"]).output


def test_citations_show_no_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    data = xr.Dataset(coords={"obs_network_record": ["network: \x1b]0;evil\x07ddm@1.0"]})
    pl.cite(xr.DataTree.from_dict({"constant_data": data}))
    out = capsys.readouterr().out
    assert r"\x1b]0;evil\x07ddm@1.0" in out
    assert all(line.isprintable() for line in out.splitlines())


def test_messages_show_no_escapes(tmp_path: Path) -> None:
    text = explain("a\x1b[2J", "b\nc" * MAX_TEXT, "\u202ed")
    assert text.isprintable()
    assert len(text) < 4 * MAX_TEXT
    assert r"a\x1b[2J. Found b\nc" in text
    named = tmp_path / "x\x1b[2J"
    shutil.copytree(SHIPPED / "ddm" / "1.0", named)
    (named / WEIGHTS).write_bytes(b"another")
    assert r"x\x1b[2J" in refusal(lambda: pl.load_network(named))


# The whole way


def evaluate() -> None:
    network = pl.load_network("lab/evil:mine")
    compiled_kernel(LANLogp(network.spec, network.lan, None))(np.ones((7, 1)))


def test_code_in_names_is_not_executed(hub: Hub, tmp_path: Path) -> None:
    """A network pulled from a server, whose names carry a function that LLVM would call for its activation."""
    marker = tmp_path / "executed"
    code = code_of_name(f"touch {marker}")
    tensors = {
        f"lan/layers/{i}/{name}": np.ones(shape, "f4")
        for i, pair in enumerate(((6, 8), (8, 1)))
        for name, shape in (("kernel", pair), ("bias", pair[1:]))
    }
    for change in (whole(model=code), parameter(0, name=code), parameter(0, name=code.replace("\n", " "))):
        config, _ = shipped()
        config |= {"model": "mine", "weights_sha256": digest(save(tensors))}
        config["networks"] = {"lan": {"sizes": [6, 8, 1], "activation": "tanh", "transform": "plain"}}
        change(config)
        files = {WEIGHTS: save(tensors), CONFIG: json.dumps(config).encode(), CARD: b""}
        lines = [f'"{name}" = "{digest(content)}"' for name, content in files.items()]
        head = ["[models.mine]", 'default = "1.0"', '[models.mine.versions."1.0".files]']
        table = {REGISTRY: "\n".join([*head, *lines]).encode()}
        hub.repositories["lab/evil"] = Repository()
        hub.repositories["lab/evil"].commit({f"mine/1.0/{name}": x for name, x in files.items()} | table)
        shutil.rmtree(cache().parent, ignore_errors=True)
        forget()
        text = refusal(evaluate)
        assert PRINTABLE in text or IDENTIFIER in text
    assert not marker.exists()
