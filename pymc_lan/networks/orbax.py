"""Checkpoints of a training run, and of a network's arrays: the one file that knows orbax."""

from __future__ import annotations

import logging
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import tensorstore
from numpy.typing import NDArray

from pymc_lan.data.files import writing
from pymc_lan.data.reading import LARGEST_FILE
from pymc_lan.errors import RegistryError, explain


@contextmanager
def _root_logger_kept() -> Iterator[None]:
    """Let orbax leave the root logger as it is.

    absl, with which it logs, gives that logger a handler for good where there is none, when the first message comes,
    and from then on what PyMC says is printed twice. Meanwhile messages go where Python prints them in such a case.
    """
    root, printed = logging.getLogger(), logging.lastResort
    if root.handlers or printed is None:
        yield
        return
    root.addHandler(printed)
    try:
        yield
    finally:
        root.removeHandler(printed)


@contextmanager
def _disk_errors() -> Iterator[None]:
    """Make an OSError of what orbax calls a ValueError: a full disk, for one."""
    try:
        yield
    except ValueError as error:
        if (found := re.search(r"os_error_code='(\d+)'", f"{error}")) is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1]))) from error


with _root_logger_kept():
    import orbax.checkpoint as ocp


class Checkpoints:
    """Numbered checkpoints in a folder, each written whole or not at all.

    Parameters
    ----------
    directory : path
        Created when missing.

    Examples
    --------
    >>> import tempfile, jax.numpy as jnp
    >>> from pymc_lan.networks.orbax import Checkpoints
    >>> with Checkpoints(tempfile.mkdtemp()) as checkpoints:
    ...     checkpoints.save(10, {"x": jnp.ones(2)})
    ...     step, state = checkpoints.restore({"x": jnp.zeros(2)})
    >>> step
    10
    """

    @_root_logger_kept()
    def __init__(self, directory: str | Path):
        options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
        self._directory = Path(directory).absolute()
        with writing(self._directory), _disk_errors():
            self._manager = ocp.CheckpointManager(self._directory, options=options)

    @_root_logger_kept()
    def save(self, step: int, state: Any) -> None:
        """Write the state under a step number; a step that is there already is left as it is.

        Raises
        ------
        OSError
            If it cannot be written; the states before stay.
        """
        if step not in self._manager.all_steps():
            with writing(f"the state at {step} to {self._directory}"), _disk_errors():
                self._manager.save(step, args=ocp.args.StandardSave(state))
                self._manager.wait_until_finished()

    @_root_logger_kept()
    def restore(self, like: Any) -> tuple[int, Any] | None:
        """The newest whole checkpoint as ``(step, state)``, with the structure and dtypes of `like`, or None."""
        step = self._manager.latest_step()
        if step is None:
            return None
        return step, self._manager.restore(step, args=ocp.args.StandardRestore(like))

    def __enter__(self) -> Self:
        return self

    @_root_logger_kept()
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._manager.close()


@_root_logger_kept()
def write_arrays(directory: Path, arrays: Mapping[str, NDArray[np.float32]]) -> None:
    """Write arrays, whose names are paths with slashes, as the tree that they name.

    Raises
    ------
    OSError
    """
    tree: dict[str, Any] = {}
    for path, array in arrays.items():
        *folders, name = path.split("/")
        leaf = tree
        for folder in folders:
            leaf = leaf.setdefault(folder, {})
        leaf[name] = array
    with _disk_errors(), ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(directory.absolute(), tree)


def read_arrays(directory: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    """Read them back, by path.

    Parameters
    ----------
    directory : path
    shapes : mapping of str to tuple of int
        What has to be there: what is stored is compared with it before any of it is unpacked.

    Raises
    ------
    RegistryError
        If a file is of another kind than regular, or they are too large.
    OSError, ValueError
        If there is no whole checkpoint, or one of other arrays.
    """
    _check_files(directory)
    # What orbax keeps arrays in, asked for one after another: orbax asks for all at once, goes away when the first is
    # found damaged, and each of the others that then comes prints a traceback.
    store = {"driver": "ocdbt", "base": {"driver": "file", "path": f"{directory.absolute()}/"}}
    keys = tensorstore.KvStore.open(store).result().list().result()
    known = {key.decode().rpartition("/")[0].replace(".", "/") for key in keys}
    if known != shapes.keys():
        raise ValueError(f"the arrays {', '.join(sorted(known)) or '(none)'}")
    opened = {path: _open_array(store, path) for path in shapes}
    found = {path: (array.shape, array.dtype.numpy_dtype) for path, array in opened.items()}
    # Values come out of chunks, which may claim to be larger than the array that they are of.
    largest = max(math.prod(array.chunk_layout.read_chunk.shape or ()) for array in opened.values())
    expected = {path: (shape, np.dtype(np.float32)) for path, shape in shapes.items()}
    if found != expected or largest > max(map(math.prod, shapes.values())):
        raise ValueError(f"arrays {found} in chunks of at most {largest:,} numbers")
    return {path: np.asarray(array.read().result()) for path, array in opened.items()}


def _open_array(store: Mapping[str, Any], path: str) -> Any:
    """An array as it is stored, without its values."""
    where = {**store, "path": f"{path.replace('/', '.')}/"}
    return tensorstore.open({"driver": "zarr", "kvstore": where}, open=True, read=True).result()


def _check_files(directory: Path) -> None:
    """Refuse what is no regular file, and more bytes than any network has."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            path = Path(folder, name)
            size = path.stat().st_size
            if not stat.S_ISREG(path.stat().st_mode):
                raise RegistryError(explain(f"regular files in {directory}", f"{path}", "export the network anew"))
            total += size
    if total > LARGEST_FILE:
        raise RegistryError(explain(f"at most {LARGEST_FILE:,} bytes in {directory}", f"{total:,}", "export it anew"))
