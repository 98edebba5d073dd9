"""What the package tells its user while it works, in sentences."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_SAID: ContextVar[set[str] | None] = ContextVar("said", default=None)


@contextmanager
def each_once() -> Iterator[None]:
    """Where many models are built alike: say each sentence the first time only."""
    token = _SAID.set(set())
    try:
        yield
    finally:
        _SAID.reset(token)


def say(sentence: str) -> None:
    """Log a sentence at INFO, on stderr unless the user's program has set up logging itself.

    As PyMC does with its own; but the handler is added with the first message, so that importing changes nothing.

    Parameters
    ----------
    sentence : str
    """
    said = _SAID.get()
    if said is not None:
        if sentence in said:
            return
        said.add(sentence)
    logger = logging.getLogger("pymc_lan")
    if not logging.root.handlers and not logger.handlers:
        logger.addHandler(logging.StreamHandler())
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
    logger.info(sentence)
