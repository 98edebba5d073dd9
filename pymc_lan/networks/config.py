"""What a ``config.json`` may say: it may come from a file that somebody else wrote, so each entry is checked first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pymc_lan.data.reading import parse_json
from pymc_lan.errors import MAX_NAME, MAX_TEXT, RegistryError, explain, is_name, is_text
from pymc_lan.models.model import Model

CONFIG = "config.json"
# What a version may be called: it becomes the name of a folder and a key of the table of a registry.
PLAIN_NAME = re.compile(rf"[0-9A-Za-z][0-9A-Za-z._-]{{0,{MAX_NAME - 1}}}")
# Raised whenever a reader of an older release could misread a config.
CONFIG_FORMAT = 1

REMEDY_ANEW = "install or fetch this version of the weights anew"

# Layers of a network and units of a layer; choices of a model and their codes.
MOST_LAYERS, WIDEST, MOST_CHOICES, LARGEST_CODE = 32, 4096, 64, 2**31
# Beyond single precision.
_LARGEST = 1e38


def rounded(x: Any) -> float:
    """Three significant digits: more would not repeat with another seed."""
    return float(f"{float(x):.3g}")


def read_config(content: bytes, where: object = CONFIG) -> dict[str, Any]:
    """A config from the content of its file.

    Parameters
    ----------
    content : bytes
    where : object
        The file's place, for the message.

    Raises
    ------
    RegistryError
        As `check_config`, or if it is no JSON.
    """
    config: dict[str, Any] = parse_json(content, where, REMEDY_ANEW)
    check_config(config, where)
    return config


def check_config(config: Any, where: object = CONFIG) -> None:
    """Refuse a config of a newer format, and one that lacks an entry or has one that cannot be used or shown.

    Raises
    ------
    RegistryError
    """

    def require(holds: bool, expected: str, found: Any, remedy: str = REMEDY_ANEW) -> None:
        if not holds:
            raise RegistryError(explain(f"{expected} in {where}", f"{found!r:.200}", remedy))

    entries: Any = config if isinstance(config, Mapping) else {}
    number = entries.get("format")
    require(_is_whole(number, 1, LARGEST_CODE), "a format number", number)
    if number > CONFIG_FORMAT:
        raise RegistryError(
            explain(f"a config of format {CONFIG_FORMAT} or older", f"format {number}", "upgrade pymc-lan")
        )
    for text in _texts(entries):
        require(is_text(text), f"nothing but lines of at most {MAX_TEXT:,} printable characters", text)
    model, version = entries.get("model"), entries.get("version")
    require(is_name(model), f"a model named with a Python identifier of at most {MAX_NAME} characters", model)
    plain = isinstance(version, str) and PLAIN_NAME.fullmatch(version)
    require(bool(plain), f"a version of at most {MAX_NAME} letters, digits, dots, dashes and underscores", version)
    for key in ("description", "reference"):
        require(isinstance(entries.get(key), str), f"a {key}", entries.get(key))
    choices = entries.get("choices")
    codes = isinstance(choices, list) and all(_is_whole(x, -LARGEST_CODE, LARGEST_CODE) for x in choices)
    distinct = codes and 0 < len(choices) <= MOST_CHOICES and len({*choices}) == len(choices)
    require(distinct, "choices as whole numbers, each once,", choices)
    parameters = entries.get("parameters")
    objects = isinstance(parameters, list) and parameters and all(isinstance(p, Mapping) for p in parameters)
    require(bool(objects), "parameters", parameters)
    named = [p.get("name") for p in parameters]
    for p, name in zip(parameters, named, strict=True):
        expected = f"parameters named with Python identifiers of at most {MAX_NAME} characters, each once,"
        require(is_name(name) and named.count(name) == 1, expected, name)
        pair = p.get("bounds")
        numbers = isinstance(pair, list) and len(pair) == 2 and all(map(_is_number, pair))
        require(numbers and pair[0] < pair[1], f"bounds of {name} as finite (low, high)", pair)
        words = [p.get("unit"), p.get("meaning")]
        require(all(isinstance(x, str) for x in words), f"a unit and a meaning of {name}", words)
        default = p.get("default")
        require(default is None or _is_number(default), f"a number as default of {name}", default)
    _check_networks(entries.get("networks"), require)
    _check_accuracy(entries.get("accuracy"), require)


def _check_networks(networks: Any, require: Any) -> None:
    whole = isinstance(networks, Mapping) and "lan" in networks and {*networks} <= {"lan", "choice", "survivor"}
    require(whole, "a network lan and, perhaps, networks choice and survivor", networks)
    for key, entry in networks.items():
        require(isinstance(entry, Mapping), f"what the network {key} is", entry)
        require(isinstance(entry.get("transform"), str), f"the transform of {key}", entry.get("transform"))
        if "program" in entry:
            _check_program(key, entry, require)
            continue
        sizes = entry.get("sizes")
        layers = isinstance(sizes, list) and 2 <= len(sizes) <= MOST_LAYERS + 1
        expected = f"the widths of at most {MOST_LAYERS} layers of {key}, each at most {WIDEST:,},"
        require(layers and all(_is_whole(n, 1, WIDEST) for n in sizes), expected, sizes)
        require(isinstance(entry.get("activation"), str), f"the activation of {key}", entry.get("activation"))


def _check_program(key: str, entry: Mapping[str, Any], require: Any) -> None:
    """Whether the operations go together is looked at when they are read."""
    steps = entry["program"]
    shaped = isinstance(steps, list) and all(
        isinstance(step, list) and len(step) == 3 and isinstance(step[0], str) and _places(step[1]) and _places(step[2])
        for step in steps
    )
    require(shaped, f"steps of the program {key}, each a name and two lists of whole numbers,", steps)
    for word, most in (("inputs", WIDEST), ("flop", LARGEST_CODE)):
        require(_is_whole(entry.get(word), 0, most), f"the {word} of {key} as a whole number", entry.get(word))


def _places(x: Any) -> bool:
    return isinstance(x, list) and all(_is_whole(each, -LARGEST_CODE, LARGEST_CODE) for each in x)


def _check_accuracy(measured: Any, require: Any) -> None:
    """That of the density is listed, so it has to be numbers."""
    require(measured is None or isinstance(measured, Mapping), "what accuracy was measured", measured)
    if measured is not None and "lan" in measured:
        lan = measured["lan"]
        told = isinstance(lan, Mapping) and all(_is_number(lan.get(key)) for key in ("mean", "p99"))
        require(told, "numbers mean and p99 of the accuracy of lan", lan)


def check_agreement(config: Mapping[str, Any], spec: Model, *, released: bool) -> None:
    """Refuse a config that says another thing of a model than its spec does, but for bounds: those are a version's own.

    Parameters
    ----------
    config : mapping
        Checked before.
    spec : Model
    released : bool
        Whether it is this release's own, which knows units and defaults too.

    Raises
    ------
    RegistryError
    """
    kept = ("name", "unit", "default") if released else ("name",)
    mine = [tuple(getattr(p, key) for key in kept) for p in spec.parameters]
    found, choices = [tuple(p.get(key) for key in kept) for p in config["parameters"]], config["choices"]
    if (mine, list(spec.choices)) != (found, choices):
        told = [f"{_in_words(mine)} and choices {list(spec.choices)}", f"{_in_words(found)} and choices {choices}"]
        if released:
            raise RegistryError(explain(f"of model {spec.name!r} the {told[0]} in {CONFIG}", told[1], REMEDY_ANEW))
        raise RegistryError(explain(told[1], told[0], "give the spec that the network was trained with"))
    for p, entry in zip(spec.parameters, config["parameters"], strict=True):
        low, high = entry["bounds"]
        if not p.domain[0] <= low < high <= p.domain[1]:
            expected = f"bounds of {p.name} within {p.domain[0]:g} to {p.domain[1]:g}, where {spec.name!r} is defined,"
            raise RegistryError(explain(f"{expected} in {CONFIG}", f"{low:g} and {high:g}", REMEDY_ANEW))


def _in_words(parameters: list[tuple[Any, ...]]) -> str:
    def each(name: str, unit: str = "", default: float | None = None) -> str:
        words = [name]
        if unit:
            words.append(f"[{unit}]")
        if default is not None:
            words.append(f"(by default {default})")
        return " ".join(words)

    return "parameters " + ", ".join(each(*p) for p in parameters)


def _texts(value: Any) -> list[Any]:
    """All the text of a config, names of its entries included."""
    if isinstance(value, Mapping):
        return [text for pair in value.items() for each in pair for text in _texts(each)]
    if isinstance(value, list | tuple):
        return [text for each in value for text in _texts(each)]
    return [value] if isinstance(value, str) else []


def _is_whole(x: Any, low: int, high: int) -> bool:
    return isinstance(x, int) and not isinstance(x, bool) and low <= x <= high


def _is_number(x: Any) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool) and abs(x) <= _LARGEST
