"""The table of a registry, ``registry.toml``: which versions of which models there are, with the sha256 of every file.

What it says becomes paths and requests, so its names are plain and its files are the three that a version has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from pymc_lan.data.reading import LARGEST_TEXT, parse_toml, read_file
from pymc_lan.errors import MAX_NAME, RegistryError, check_name, explain, is_name
from pymc_lan.networks.config import CONFIG, PLAIN_NAME
from pymc_lan.registry.names import ModelName

WEIGHTS, CARD = "weights.safetensors", "README.md"
REGISTRY = "registry.toml"

_BARE_KEY = re.compile(r"[0-9A-Za-z_-]+")
_DIGEST = re.compile(r"[0-9a-f]{64}")

Table = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Entry:
    """A version as a registry has it.

    Parameters
    ----------
    model, version : str
    files : mapping of str to str
        sha256 by name.
    folder : Path
        Where the files lie.
    origin : str
        The registry, in words: ``"embedded"``, a folder, or a repository and its commit.
    default : bool
        Whether the model's bare name means this version there.
    """

    model: str
    version: str
    files: Mapping[str, str]
    folder: Path
    origin: str
    default: bool

    @property
    def name(self) -> str:
        """``"model@version"``."""
        return str(ModelName(self.model, self.version))


def parse_table(content: bytes, where: object, remedy: str) -> Table:
    """Read a table: model to ``{"default": version, "versions": {version: {"files": {name: sha256}}}}``.

    Parameters
    ----------
    content : bytes
        Of ``registry.toml``.
    where, remedy
        For the message: the file's place, and what to do about a fault.

    Raises
    ------
    RegistryError
        If it is no such table, or a name in it is not plain.
    """
    return deepcopy(_parsed(content, str(where), remedy))


@lru_cache(maxsize=8)
def _parsed(content: bytes, where: str, remedy: str) -> Table:
    """The table of a content: parsing it anew took half of the time that a version loads in, and it rarely changes."""
    models: Table = parse_toml(content, where, remedy).get("models", {})
    try:
        whole = all(
            entry["default"] in entry["versions"]
            and all(isinstance(version["files"], dict) for version in entry["versions"].values())
            for entry in models.values()
        )
    except (KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        expected = f"a default version and the files of every version of each model in {where}"
        raise RegistryError(explain(expected, f"{models}", remedy))
    for model, entry in models.items():
        for version, content_ in entry["versions"].items():
            check_files(model, version, content_["files"], where, remedy)
    return models


def check_files(model: str, version: str, files: Mapping[str, Any], where: object, remedy: str) -> None:
    """Refuse names that could leave the version's folder, and hashes that are none.

    Raises
    ------
    RegistryError
    """
    if not is_name(model):
        expected = f"models named with Python identifiers of at most {MAX_NAME} characters in {where}"
        raise RegistryError(explain(expected, f"{model!r}", remedy))
    if not PLAIN_NAME.fullmatch(version):
        expected = f"versions of at most {MAX_NAME} letters, digits, dots, dashes and underscores in {where}"
        raise RegistryError(explain(expected, f"{version!r}", remedy))
    for name, digest in files.items():
        if name not in (WEIGHTS, CONFIG, CARD):
            expected = f"no other files of {model}@{version} than {WEIGHTS}, {CONFIG} and {CARD} in {where}"
            raise RegistryError(explain(expected, f"{name!r}", remedy))
        if not (isinstance(digest, str) and _DIGEST.fullmatch(digest)):
            expected = f"the sha256 of {name} of {model}@{version}, 64 hexadecimal digits, in {where}"
            raise RegistryError(explain(expected, f"{digest!r}", remedy))


def read_registry(root: Path, remedy: str = "reinstall pymc-lan") -> Table:
    """The table of the registry in a folder; see `parse_table`.

    Raises
    ------
    RegistryError
        If there is no registry at `root`, or it cannot be read.
    """
    return parse_table(read_file(root / REGISTRY, remedy, LARGEST_TEXT), root / REGISTRY, remedy)


def check_names(model: Any, version: Any) -> None:
    """Refuse what a model or a version that is written may not be called.

    Raises
    ------
    RegistryError
    """
    try:
        check_name("model", model)
    except ValueError as error:
        raise RegistryError(f"{error}") from error
    if not (isinstance(version, str) and PLAIN_NAME.fullmatch(version)):
        expected = f"a version of letters, digits, dots, dashes and underscores, {MAX_NAME} of them at most"
        raise RegistryError(explain(expected, f"{version!r:.80}", "name it like '1.0'"))


def add_version(models: Table, model: str, version: str, files: Mapping[str, str]) -> str:
    """Add a version to a table, as its model's default; return the text of the new ``registry.toml``."""
    check_names(model, version)
    entry = models.setdefault(model, {"versions": {}})
    entry["default"] = version
    entry["versions"][version] = {"files": dict(files)}
    lines = [
        "# Model versions with the sha256 of every file. A version never changes once it is published.",
        "",
    ]
    for name in sorted(models):
        key = name if _BARE_KEY.fullmatch(name) else _quoted(name)
        lines += [f"[models.{key}]", f"default = {_quoted(models[name]['default'])}", ""]
        for number, content in models[name]["versions"].items():
            lines += [f"[models.{key}.versions.{_quoted(number)}.files]"]
            lines += [f"{_quoted(file)} = {_quoted(digest)}" for file, digest in content["files"].items()] + [""]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    # TOML escapes in its strings what JSON does, and DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def digest(content: bytes) -> str:
    """The sha256 of a file's content, in hexadecimal digits."""
    return sha256(content).hexdigest()
