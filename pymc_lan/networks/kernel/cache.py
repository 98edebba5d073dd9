"""Object code kept on disk, in a folder of the user's own.

What lies there is executed. So nothing is read unless the folder and the file belong to this user and nobody else may
write to them; links are not followed. A digest over its key and its content tells whether a file is whole and what it
was asked for; it would not protect from somebody who can write a file, for he can write a digest, too.

The folder is ``kernels`` in the one that the environment variable ``PYMC_LAN_CACHE`` names, or in the user's cache of
this package. Where none can be used, code is compiled anew in every process.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path

from pymc_lan.data.files import write_whole
from pymc_lan.errors import explain

ENVIRONMENT = "PYMC_LAN_CACHE"
# Files that are kept, a few hundred kB each at most; those written first make room.
MOST_FILES = 500
# Before the digest in a file; of another format another.
_MAGIC = b"pymc_lan kernel 1\n"
_DIGEST_LENGTH = sha256().digest_size


def kept(key: str, make: Callable[[], bytes]) -> bytes:
    """Return the content of a key: as it lies in the cache, else made and kept for next time.

    Parameters
    ----------
    key : str
        Everything that the content depends on.
    make : callable
        ``()`` to the content.

    Returns
    -------
    bytes
    """
    content = _read(key)
    if content is None:
        content = make()
        _write(key, content)
    return content


def folder() -> Path | None:
    """Where object code is kept, whether or not there is such a folder; None where there is no place for one."""
    # A user without a home, or a relative path from a folder that has been removed.
    with suppress(RuntimeError, OSError):
        if given := os.environ.get(ENVIRONMENT):
            return Path(given).absolute() / "kernels"
        base = os.environ.get("XDG_CACHE_HOME", "")
        # As the XDG base directory specification has it, a relative path counts as none.
        return (Path(base) if os.path.isabs(base) else Path("~/.cache").expanduser()) / "pymc_lan" / "kernels"
    return None


def _file_name(key: str) -> str:
    return f"{sha256(key.encode()).hexdigest()}.kernel"


def _seal(key: str, content: bytes) -> bytes:
    return sha256(_MAGIC + sha256(key.encode()).digest() + content).digest()


@contextmanager
def _opened() -> Iterator[int | None]:
    """Open the folder as one that only this user can write to; None where it is none, or there is none."""
    place = folder()
    if place is None or not hasattr(os, "geteuid") or os.open not in os.supports_dir_fd:
        yield None
        return
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        # Of a path that this user may not even look at, nothing is known.
        if os.path.lexists(place):
            _warn(place, "a link, a file, or a folder that cannot be opened")
        yield None
        return
    try:
        yield descriptor if _is_private(place, os.fstat(descriptor)) else None
    finally:
        os.close(descriptor)


def _is_private(place: Path, status: os.stat_result) -> bool:
    """Whether a folder belongs to this user alone; if not, it is said."""
    if status.st_uid != os.geteuid():
        _warn(place, "one of another user")
    elif stat.S_IMODE(status.st_mode) & 0o077:
        _warn(place, f"one that others may use (mode {stat.S_IMODE(status.st_mode):04o})")
    else:
        return True
    return False


@cache
def _warn(place: Path, found: str) -> None:
    """Say it once that a folder is not used."""
    remedy = f"remove it, or set {ENVIRONMENT} to another folder; until then every process compiles its kernels anew"
    expected = f"a folder of compiled kernels, {place}, that is yours alone (mode 0700)"
    warnings.warn(explain(expected, found, remedy), UserWarning, stacklevel=2)


def _read(key: str) -> bytes | None:
    """The content of a key, where it lies in the cache, is this user's own and whole."""
    with _opened() as place:
        if place is None:
            return None
        try:
            descriptor = os.open(_file_name(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            mine = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
            if not mine or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return None
            try:
                stored = file.read()
            except OSError:
                return None
    start = len(_MAGIC) + _DIGEST_LENGTH
    content = stored[start:]
    return content if stored[:start] == _MAGIC + _seal(key, content) else None


def _write(key: str, content: bytes) -> None:
    """Keep the content of a key, where that can be done."""
    place = folder()
    if place is None:
        return
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir(mode=0o700)
    with _opened() as descriptor, suppress(OSError):
        if descriptor is not None:
            _make_room(place)
            write_whole(place / _file_name(key), _MAGIC + _seal(key, content) + content)


def _make_room(place: Path) -> None:
    """Remove the files that were written first, those of processes that were killed while writing among them."""
    files = [entry for entry in os.scandir(place) if entry.is_file(follow_symlinks=False)]
    if len(files) >= MOST_FILES:
        files.sort(key=lambda entry: entry.stat(follow_symlinks=False).st_mtime)
        for entry in files[: len(files) - MOST_FILES + 1]:
            Path(entry.path).unlink(missing_ok=True)
