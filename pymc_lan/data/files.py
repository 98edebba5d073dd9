"""Files are written whole, by one process at a time where it matters, and what fails is said in a sentence."""

from __future__ import annotations

import errno
import io
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pymc_lan.errors import explain

# Beside what it guards; it stays there, because who removes a lock that others wait for lets two of them in.
LOCK = ".registry.lock"
# Seconds to wait for it: a change takes milliseconds, and this many processes may want it at once.
PATIENCE = 60

# What a full disk answers.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_REMEDIES = {
    **dict.fromkeys(FULL, "make room and try again; what was there before is whole"),
    errno.ENAMETOOLONG: "give a shorter path",
    errno.ENOLCK: "give a folder on a disk of this machine, whose file system has locks",
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "give a folder that you may write to"),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST, errno.EISDIR), "give the path of a folder"),
}


@contextmanager
def writing(what: object, kind: type[Exception] = OSError) -> Iterator[None]:
    """Turn an OSError of what is written within into a sentence.

    Parameters
    ----------
    what : object
        What is written, for the message.
    kind : type of Exception
        What to raise in its place; the OSError is the cause.

    Examples
    --------
    >>> import errno
    >>> with writing("notes.txt"):
    ...     raise OSError(errno.EROFS, "Read-only file system")
    Traceback (most recent call last):
    OSError: Expected to write notes.txt. Found the answer 'read-only file system'. Remedy: give a folder ...
    """
    try:
        yield
    except OSError as error:
        says = error.strerror or str(error) or type(error).__name__
        place = f" ({error.filename})" if error.filename is not None else ""
        remedy = _REMEDIES.get(error.errno or 0, "see to the disk and try again; what was there before is whole")
        worded = explain(f"to write {what}", f"the answer {says[0].lower() + says[1:]!r}{place}", remedy)
        raise kind(worded) from error


def write_whole(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write or replace a file, so that nobody ever sees a part of it, even if the machine stops.

    Parameters
    ----------
    path : Path
    content : bytes or iterable of bytes
        One part after another.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for part in (content,) if isinstance(content, bytes) else content:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(0o644)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Write a folder, so that nobody ever sees a part of it: it appears when the block ends, or not at all.

    Parameters
    ----------
    path : Path
        Where it is to be; the folder around it exists.

    Yields
    ------
    Path
        The folder to write into.

    Examples
    --------
    >>> place = Path(tempfile.mkdtemp()) / "notes"
    >>> with whole_folder(place) as folder:
    ...     write_whole(folder / "one.txt", b"one")
    ...     print(place.exists())
    False
    >>> [file.name for file in place.iterdir()]
    ['one.txt']
    """
    folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    try:
        yield folder
        folder.chmod(0o755)
        folder.rename(path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def array_header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The header of an ``.npy`` file; the bytes of the array follow it.

    Files are written so because a write to a memory map kills the process without a message when the disk is full.
    """
    header = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    return header.getvalue()


@contextmanager
def alone(folder: Path, kind: type[Exception]) -> Iterator[None]:
    """Let one process at a time change what lies in a folder.

    The lock is let go when its process ends, however that ends; on a file system without such locks the file is the
    lock, which a process that was killed leaves behind.

    Parameters
    ----------
    folder : Path
        Exists. Who may write to it may lock it.
    kind : type of Exception
        What to raise where another process keeps the lock.

    Raises
    ------
    OSError
        If the lock cannot be made.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK, timeout=PATIENCE, mode=folder.stat().st_mode & 0o666)
    try:
        lock.acquire()
    except Timeout as error:
        found = f"another one that has held {folder / LOCK} for {PATIENCE} seconds"
        remedy = "wait until it is done and try again; if no process writes there any more, remove that file"
        raise kind(explain(f"one process at a time to write to {folder}", found, remedy)) from error
    try:
        yield
    finally:
        lock.release()
