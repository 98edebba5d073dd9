"""Checkpoints of a training run: the one file that knows orbax."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

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
    >>> from pymc_lan.checkpoint import Checkpoints
    >>> with Checkpoints(tempfile.mkdtemp()) as checkpoints:
    ...     checkpoints.save(10, {"x": jnp.ones(2)})
    ...     step, state = checkpoints.restore({"x": jnp.zeros(2)})
    >>> step
    10
    """

    def __init__(self, directory: str | Path):
        options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
        self._manager = ocp.CheckpointManager(Path(directory).absolute(), options=options)

    def save(self, step: int, state: Any) -> None:
        """Write the state under a step number; a step that is there already is left as it is."""
        if step not in self._manager.all_steps():
            self._manager.save(step, args=ocp.args.StandardSave(state))
            self._manager.wait_until_finished()

    def restore(self, like: Any) -> tuple[int, Any] | None:
        """The newest whole checkpoint as ``(step, state)``, with the structure and dtypes of `like`, or None."""
        step = self._manager.latest_step()
        if step is None:
            return None
        return step, self._manager.restore(step, args=ocp.args.StandardRestore(like))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._manager.close()
