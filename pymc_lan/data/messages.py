"""What the package tells its user while it works, in sentences."""

from __future__ import annotations

import logging


def say(sentence: str) -> None:
    """Log a sentence at INFO, on stderr unless the user's program has set up logging itself.

    As PyMC does with its own; but the handler is added with the first message, so that importing changes nothing.

    Parameters
    ----------
    sentence : str
    """
    logger = logging.getLogger("pymc_lan")
    if not logging.root.handlers and not logger.handlers:
        logger.addHandler(logging.StreamHandler())
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
    logger.info(sentence)
