"""The progress bar of a run."""

from __future__ import annotations

from typing import Any


def progress_bar(shown: bool, *texts: str) -> Any:
    """Return a bar with a count and the time left; in `texts`, ``{task.fields[name]}`` stands for a figure."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        *(TextColumn(text) for text in texts),
        disable=not shown,
    )
