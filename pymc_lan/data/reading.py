"""Reading what somebody else wrote: regular files of a bounded size, and text that is not nested without end.

Limits hold before anything is hashed or parsed, because parsers take many times the memory of what they read.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import tomllib
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pymc_lan.errors import RegistryError, explain

# No network here has a thousandth of it, and no table, config or card a tenth.
LARGEST_FILE, LARGEST_TEXT = 2**28, 2**20
# How every file begins that gzip has packed (RFC 1952).
GZIP = b"\x1f\x8b"
# How deep a table or a config is nested at most, and how many dots a line of a table has: each may stand for a level.
DEEPEST, MOST_DOTS = 16, 64


def read_file(path: Path, remedy: str, largest: int = LARGEST_FILE) -> bytes:
    """The content of a regular file, or of one that a link leads to.

    Parameters
    ----------
    path : Path
    remedy : str
        For the message.
    largest : int
        Bytes that it may have.

    Raises
    ------
    RegistryError
        If there is no such file, it is another kind of file or too large, or it cannot be read.
    """
    try:
        # Before it is opened: to open a device may do something, and to open a pipe may never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise RegistryError(explain(f"a regular file {path}", "another kind of file", remedy))
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            size = os.fstat(descriptor).st_size
            content = file.read(largest + 1) if size <= largest else b""
    except (OSError, ValueError) as error:  # ValueError: a null character in its name
        reason = getattr(error, "strerror", None) or f"{error}"
        raise RegistryError(explain(f"a file {path}", reason, remedy)) from error
    if max(size, len(content)) > largest:
        raise RegistryError(explain(f"at most {largest:,} bytes in {path}", f"{max(size, len(content)):,}", remedy))
    return content


def unpacked(content: bytes, where: object, remedy: str, largest: int = LARGEST_FILE) -> bytes:
    """What gzip has packed; other content as it is.

    Raises
    ------
    RegistryError
        If it is more than `largest` bytes, or broken.
    """
    if not content.startswith(GZIP):
        return content
    try:
        with gzip.open(io.BytesIO(content)) as file:
            found = file.read(largest + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise RegistryError(explain(f"what gzip packed in {where}", f"{error}", remedy)) from error
    if len(found) > largest:
        raise RegistryError(explain(f"at most {largest:,} bytes in {where}, unpacked", "more", remedy))
    return found


def read_if_there(path: Path, remedy: str) -> bytes | None:
    """The content of a file of text, which is small, or None where there is no such file."""
    try:
        return read_file(path, remedy, LARGEST_TEXT)
    except RegistryError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return None
        raise


def parse_json(content: bytes, where: object, remedy: str) -> Any:
    """Read JSON.

    Parameters
    ----------
    content : bytes
    where, remedy
        For the message: the file's place, and what to do about a fault.

    Raises
    ------
    RegistryError
        If it is not JSON, or is nested deeper than `DEEPEST`.
    """
    return _parse(json.loads, content, "JSON in", where, remedy)


def parse_toml(content: bytes, where: object, remedy: str) -> dict[str, Any]:
    """Read TOML, nested no deeper than `DEEPEST`; a RegistryError names the place of the file and the remedy."""
    # Each dot of a dotted key may open a table, and the parser goes through all of them for each.
    if max(line.count(b".") for line in content.split(b"\n")) > MOST_DOTS:
        raise _too_deep("a readable", where, remedy)
    found: dict[str, Any] = _parse(lambda text: tomllib.loads(text.decode()), content, "a readable", where, remedy)
    return found


def _parse(parser: Callable[[bytes], Any], content: bytes, what: str, where: object, remedy: str) -> Any:
    try:
        found = parser(content)
    except ValueError as error:
        raise RegistryError(explain(f"{what} {where}", f"{error}", remedy)) from error
    except (RecursionError, MemoryError) as error:
        raise _too_deep(what, where, remedy) from error
    level = [found]
    for _ in range(DEEPEST):
        level = [x for each in level for x in _within(each)]
    if level:
        raise _too_deep(what, where, remedy)
    return found


def _within(value: Any) -> list[Any]:
    return [*value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []


def _too_deep(what: str, where: object, remedy: str) -> RegistryError:
    return RegistryError(explain(f"{what} {where}", f"values nested more than {DEEPEST} deep", remedy))
