"""Which registries are looked into, and in which order.

A registry is a folder or a repository of the hub with ``registry.toml`` at its root. After the embedded one come those
of the argument ``registries=``, of the environment variable ``PYMC_LAN_REGISTRIES`` (separated like ``PATH``), and of
``~/.config/pymc_lan/config.toml`` (``registries = [...]``), each in the order given.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from pymc_lan.data.reading import parse_toml, read_if_there
from pymc_lan.errors import RegistryError, check_path, explain
from pymc_lan.registry.hub import HubRegistry
from pymc_lan.registry.names import RepositoryName
from pymc_lan.registry.table import Entry, read_registry

VARIABLE = "PYMC_LAN_REGISTRIES"


@final
@dataclass(frozen=True)
class FolderRegistry:
    """A registry in a folder.

    Parameters
    ----------
    root : Path
    origin : str, optional
        What to call it; the path by default.
    """

    root: Path
    origin: str = ""

    def __str__(self) -> str:
        """The name in lists and errors: `origin`, or the path."""
        return self.origin or str(self.root)

    def beside(self, folder: str) -> FolderRegistry:
        """The registry in a folder of this one."""
        return FolderRegistry(self.root / folder, self.origin and f"{self.origin}, {folder}")

    def entries(self) -> list[Entry]:
        """Every version of every model.

        Raises
        ------
        RegistryError
            If the table cannot be read.
        """
        remedy = "reinstall pymc-lan" if self.origin else "mend it, or leave it out of the registries"
        return [
            Entry(model, version, found["files"], self.root / model / version, str(self), version == content["default"])
            for model, content in read_registry(self.root, remedy).items()
            for version, found in content["versions"].items()
        ]

    def known(self) -> list[tuple[str, str]]:
        """Models and versions."""
        return [(entry.model, entry.version) for entry in self.entries()]

    def find(self, model: str, version: str | None, *, fetch: bool = True) -> Entry | None:
        """A version of a model, or its default one; None where there is none."""
        return next(
            (
                e
                for e in self.entries()
                if e.model == model and (e.default if version is None else e.version == version)
            ),
            None,
        )


Registry = FolderRegistry | HubRegistry


def as_registry(source: str | os.PathLike[str], named_by: str) -> Registry:
    """A registry from its path or name.

    Raises
    ------
    RegistryError
        If it is neither a folder's whole path nor a repository's name. A relative path must be a `pathlib.Path`, so
        that no folder that happens to lie in the working directory is taken for a repository; and ``~`` is the home of
        who asks, and nobody else's.
    ValueError
        For a `pathlib.Path` with a null character.
    """
    if isinstance(source, os.PathLike):
        return FolderRegistry(check_path(named_by, source))
    if isinstance(source, str):
        own = Path(source).parts[:1] == ("~",)
        folder = Path(os.path.expanduser(source) if own else source)
        if folder.is_absolute() and "\0" not in source:
            return FolderRegistry(folder)
        if (repository := RepositoryName.match(source)) is not None:
            return HubRegistry(repository)
    expected = f"registries in {named_by} as 'org/repo', 'org/repo@revision' or a folder's whole path"
    raise RegistryError(explain(expected, f"{source!r:.80}", "name it so"))


def configured(registries: Sequence[str | os.PathLike[str]] = ()) -> list[Registry]:
    """The registries of the argument, of the environment and of the configuration, in this order.

    Raises
    ------
    RegistryError
        If one is neither a folder nor a repository, or the configuration cannot be read.
    ValueError
        If the argument is no sequence.
    """
    if isinstance(registries, str | bytes | os.PathLike) or not isinstance(registries, Iterable):
        expected, remedy = "registries as a list of folders and repositories", "write [...] around one, () for none"
        raise ValueError(explain(expected, f"{registries!r:.80}", remedy))
    named = {
        "the argument registries": registries,
        VARIABLE: [each for each in os.environ.get(VARIABLE, "").split(os.pathsep) if each],
        str(config_path()): _from_config(config_path()),
    }
    return [as_registry(each, place) for place, sources in named.items() for each in sources]


def config_path() -> Path:
    """The user's configuration: ``pymc_lan/config.toml`` in ``XDG_CONFIG_HOME`` or ``~/.config``."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "pymc_lan" / "config.toml"


def _from_config(path: Path) -> list[str]:
    remedy = "mend or remove it"
    content = read_if_there(path, remedy)
    found = [] if content is None else parse_toml(content, path, remedy).get("registries", [])
    if not (isinstance(found, list) and all(isinstance(each, str) for each in found)):
        raise RegistryError(explain(f"registries = ['org/repo', ...] in {path}", f"{found!r}", "mend it"))
    return found
