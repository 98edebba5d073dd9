"""What users write to name a version of a model: ``"ddm"``, ``"ddm@1.0"``, ``"org/repo@revision:ddm@1.0"``, or a path.

A revision of git has no colon, and a version none either, so each text can be read in one way only.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

from pymc_lan.errors import RegistryError, explain

# A revision does not begin with a dot, so it can be the name of a folder.
_REPOSITORY = re.compile(r"(?P<repo>[0-9A-Za-z][\w.-]*/[0-9A-Za-z][\w.-]*)(@(?P<revision>\w[^:@]*))?", re.ASCII)


@final
@dataclass(frozen=True)
class RepositoryName:
    """A repository of the hub, at a revision.

    Parameters
    ----------
    repo : str
        ``"org/repo"``.
    revision : str
        A branch, a tag or a commit.
    """

    repo: str
    revision: str = "main"

    def __str__(self) -> str:
        """The text that `parse` reads."""
        return self.repo if self.revision == "main" else f"{self.repo}@{self.revision}"

    @classmethod
    def match(cls, text: Any) -> Self | None:
        """The repository ``"org/repo"`` or ``"org/repo@revision"``; None for anything else.

        Examples
        --------
        >>> RepositoryName.match("lab/nets@v2")
        RepositoryName(repo='lab/nets', revision='v2')
        """
        found = _REPOSITORY.fullmatch(text) if isinstance(text, str) else None
        return cls(found["repo"], found["revision"] or "main") if found else None

    @classmethod
    def parse(cls, text: Any) -> Self:
        """The repository that a text must name.

        Raises
        ------
        RegistryError
            If it names none.
        """
        found = cls.match(text)
        if found is None:
            expected = "a repository as 'org/repo' or 'org/repo@revision'"
            raise RegistryError(explain(expected, f"{text!r:.80}", "name it so"))
        return found


@final
@dataclass(frozen=True)
class ModelName:
    """A version of a model. Whether there is such a one, the registries know.

    Parameters
    ----------
    model : str
    version : str, optional
        None means the default one.
    repository : RepositoryName, optional
        None means wherever names are looked up.
    """

    model: str
    version: str | None = None
    repository: RepositoryName | None = None

    def __str__(self) -> str:
        """The text that `parse` reads."""
        place = "" if self.repository is None else f"{self.repository}:"
        return place + self.model + ("" if self.version is None else f"@{self.version}")

    @classmethod
    def parse(cls, text: Any) -> Self:
        """Read ``"model"`` or ``"model@version"``, alone or behind ``"org/repo:"`` or ``"org/repo@revision:"``.

        Raises
        ------
        RegistryError
            If what stands before the colon is no repository, and for what is no text.

        Examples
        --------
        >>> ModelName.parse("lab/nets:ddm@1.0").model
        'ddm'
        """
        if not isinstance(text, str):
            found = f"a {type(text).__name__}"
            raise RegistryError(explain("the name of a model in text", found, "name it like 'ddm' or 'ddm@1.0'"))
        place, colon, name = text.rpartition(":")
        model, at, version = name.partition("@")
        return cls(model, version if at else None, RepositoryName.parse(place) if colon else None)


def parse_source(source: Any) -> Path | ModelName:
    """What networks are loaded from: a version's folder, or its name.

    Parameters
    ----------
    source : str or path
        Text is a path if it has a separator and no repository before a colon: ``"./ddm"`` is one, ``"ddm"`` never,
        whatever lies in the working directory.

    Raises
    ------
    RegistryError
        As `ModelName.parse`, and for what is neither text nor a path.

    Examples
    --------
    >>> parse_source("ddm@1.0")
    ModelName(model='ddm', version='1.0', repository=None)
    """
    if isinstance(source, os.PathLike):
        return Path(source)
    if not isinstance(source, str):
        expected, found = "the name of a model, or the path of a version's folder", f"a {type(source).__name__}"
        raise RegistryError(explain(expected, found, "name it like 'ddm' or 'ddm@1.0'"))
    place, colon, _ = source.partition(":")
    separated = os.sep in source or "/" in source
    return Path(source) if separated and not (colon and RepositoryName.match(place)) else ModelName.parse(source)
