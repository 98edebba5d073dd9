"""Posteriors of more subjects than fit into memory: a folder of Parquet parts in, a folder of Parquet parts out."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.amortized.standard import too_many
from pymc_lan.data.files import write_whole, writing
from pymc_lan.data.tables import whose
from pymc_lan.errors import explain
from pymc_lan.numerics.parallel import open_executor

Float = NDArray[np.float64]

# PyMC's own logger shows such lines, and is where users silence them.
logger = logging.getLogger("pymc.amortized")

# What a folder was begun with.
STUDY = "study.json"
# Parts that workers are given before they ask: so many, whatever the number of parts is, are in their memory.
AHEAD = 64
# The ends of intervals.
ENDS = (0.05, 0.95)
# PyTensor compiles in one thread at a time, and workers of Dask have several.
_TURN = Lock()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is wanted of every part.

    Parameters
    ----------
    by, draws, correct, fallback
        As of `Amortizer.sample`.
    keep_draws : bool
    network : str
        What identifies its weights.
    seed : int, optional
    """

    by: str
    draws: int
    correct: bool
    fallback: str | None
    keep_draws: bool
    network: str
    seed: int | None


class Count(NamedTuple):
    """Subjects of a part, and how many of them are right, and unlike what the model simulates."""

    subjects: int
    right: int
    odd: int


def sample_parts(
    amortizer: Any,
    folder: Path,
    source: Path,
    wish: Wish,
    *,
    client: Any,
    processes: int | None,
    progressbar: bool,
) -> list[Path]:
    """Sample what is left to do; see `Amortizer.sample_to`."""
    import cloudpickle

    parts = sorted(source.glob("*.parquet"))
    if not parts:
        raise ValueError(explain("a folder with Parquet files", f"none in {source}", "write the trials there"))
    check_whole(parts, wish.by)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    wish = _begun(folder, wish)
    done = {path.name for path in folder.glob("*.parquet")}
    left = [part for part in parts if part.name not in done]
    content = cloudpickle.dumps(amortizer)
    total = Count(0, 0, 0)
    with ExitStack() as stack:
        told = stack.enter_context(_bar(progressbar, len(parts), len(parts) - len(left)))
        executor = open_executor(stack, processes, client=client) if left else None
        jobs = ((content, part, folder / part.name, wish) for part in left)
        for count in stack.enter_context(closing(_each(executor, jobs))):
            total = Count(*(x + y for x, y in zip(total, count, strict=True)))
            told(count.subjects)
    logger.info("amortized: %d subjects, of whom %d are right", total.subjects, total.right)
    if too_many(total.odd, total.subjects):
        logger.warning(
            "amortized: the data of %d of %d subjects are unlike what the model simulates, more than chance would have "
            "it: look whether the model is theirs; see the column 'usual'",
            *(total.odd, total.subjects),
        )
    return [folder / part.name for part in parts]


def check_whole(parts: Sequence[Path], by: str) -> None:
    """Refuse parts that share a subject, whose posterior would be of half of their trials.

    Raises
    ------
    ValueError
    """
    from pandas.util import hash_array

    seen: NDArray[np.uint64] = np.zeros(0, np.uint64)
    for part in parts:
        labels = np.unique(whose(read_part(part, [by]), by).astype(object).astype(str)).astype(object)
        codes = hash_array(labels)
        if (again := np.isin(codes, seen)).any():
            remedy = "write all trials of a subject into one part, or give each part's subjects names of their own"
            found = f"{labels[again][0]!r} in {part.name} and in one before it"
            raise ValueError(explain("each subject in one part", found, remedy))
        seen = np.concatenate([seen, codes])


def read_part(path: Path, columns: Sequence[str] | None = None) -> Any:
    """A part as a pandas table.

    Raises
    ------
    ImportError
        Without the package pyarrow.
    ValueError
        For what is no Parquet file, or lacks a column.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        expected = f"the package pyarrow, to read {path}"
        raise ImportError(explain(expected, "none", "pip install 'pymc-lan[parquet]'")) from error
    try:
        with ParquetFile(path) as file:
            there = file.schema_arrow.names
            if columns is not None and (missing := [name for name in columns if name not in there]):
                remedy = "name the column that says whose trials they are: by=..."
                raise ValueError(explain(f"a column {missing[0]!r} in {path.name}", f"{there}", remedy))
            return file.read(columns=columns).to_pandas()
    except ArrowException as error:
        remedy = "write it anew, for instance by df.to_parquet"
        raise ValueError(explain(f"a Parquet file at {path}", f"{error!s:.120}", remedy)) from error


def _begun(folder: Path, wish: Wish) -> Wish:
    """The wish that a folder was begun with, which is written down there if it is new."""
    path = folder / STUDY
    if path.exists():
        other = json.loads(path.read_text())
        own = asdict(wish)
        # Nobody who leaves the seed out wants another.
        differ = [name for name, x in own.items() if other.get(name) != x and not (name == "seed" and x is None)]
        if differ:
            found = f"one with {differ[0]}={other.get(differ[0])!r}"
            raise ValueError(
                explain(f"a folder begun with {differ[0]}={own[differ[0]]!r}", found, "give another folder")
            )
        return Wish(**other)
    if any(folder.glob("*.parquet")):
        raise ValueError(explain("a folder without Parquet files", f"some in {folder}", "give a new folder"))
    # Called again without a seed, it goes on with this one.
    wish = replace(wish, seed=int(np.random.default_rng().integers(2**62)) if wish.seed is None else wish.seed)
    with writing(path):
        write_whole(path, json.dumps(asdict(wish)).encode())
    return wish


def _each(executor: Executor | None, jobs: Iterator[tuple[bytes, Path, Path, Wish]]) -> Generator[Count]:
    """Do jobs, of which no more than some wait at a time."""
    if executor is None:
        yield from (sample_part(*job) for job in jobs)
        return
    waiting: set[Future[Count]] = set()
    try:
        for job in jobs:
            waiting.add(executor.submit(sample_part, *job))
            if len(waiting) >= AHEAD:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (each.result() for each in done)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (each.result() for each in done)
    finally:
        for each in waiting:
            each.cancel()


def sample_part(content: bytes, path: Path, out: Path, wish: Wish) -> Count:
    """Sample one part and write what is found, whole."""
    import cloudpickle
    import pandas as pd

    amortizer = cloudpickle.loads(content)
    # What is drawn for a part depends on its name, not on what was done before.
    seed = int.from_bytes(sha256(f"{wish.seed} {path.name}".encode()).digest()[:8])
    with _TURN:
        found = amortizer.sample(
            read_part(path),
            wish.by,
            wish.draws,
            correct=wish.correct,
            fallback=wish.fallback,
            cores=1,
            seed=seed,
            progressbar=False,
        )
    verdicts = found["verdicts"].to_dataset().to_dataframe().reset_index(names=wish.by)
    frame = pd.concat([verdicts, pd.DataFrame(_columns(found, keep_draws=wish.keep_draws))], axis=1)
    content_out = io.BytesIO()
    frame.to_parquet(content_out, index=False)
    with writing(out):
        write_whole(out, content_out.getvalue())
    return Count(len(frame), int(frame["right"].sum()), int((~frame["usual"]).sum()))


def _columns(found: Any, *, keep_draws: bool) -> Mapping[str, Any]:
    """Means, standard deviations and ends of intervals of each variable, by subject; and draws."""
    weighted, equal = found["weighted_posterior"], found["posterior"]
    weights = np.exp(weighted["log_weight"].to_numpy()[0])
    columns: dict[str, Any] = {}
    for name in equal.data_vars:
        every, drawn = weighted[name].to_numpy()[0], equal[name].to_numpy()[0]
        for at in np.ndindex(every.shape[2:]):
            label = f"{name}[{','.join(map(str, at))}]" if at else str(name)
            x, y = every[(..., *at)], drawn[(..., *at)]
            # A subject with fewer weighted draws than others has none in the last places.
            mean = (weights * np.where(weights > 0, x, 0.0)).sum(axis=0)
            off = np.where(weights > 0, x - mean, 0.0)
            none = np.isnan(y).all(axis=0)
            columns[f"{label}_mean"] = np.where(none, np.nan, mean)
            columns[f"{label}_sd"] = np.where(none, np.nan, np.sqrt((weights * off**2).sum(axis=0)))
            for end in ENDS:
                ends = [np.nan if no else np.nanquantile(each, end) for each, no in zip(y.T, none, strict=True)]
                columns[f"{label}_{100 * end:.0f}%"] = ends
            if keep_draws:
                columns[f"{label}_draws"] = [*y.T.astype(np.float32)]
    return columns


@contextmanager
def _bar(shown: bool, parts: int, done: int) -> Iterator[Callable[[int], None]]:
    """A bar of parts, which is told of subjects, with as many of them as are done in a second."""
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    begun, subjects = perf_counter(), 0
    with Progress(*columns, TextColumn("{task.fields[speed]}"), disable=not shown) as bar:
        task = bar.add_task("parts", total=parts, completed=done, speed="")

        def told(n: int) -> None:
            nonlocal subjects
            subjects += n
            bar.update(task, advance=1, speed=f"{subjects / max(perf_counter() - begun, 1e-9):.1f} subjects/s")

        yield told
