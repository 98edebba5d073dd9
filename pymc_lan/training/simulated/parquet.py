"""Simulations in Parquet files: a row for each parameter set, with its trials as lists."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.files import array_header
from pymc_lan.errors import explain

# Rows that are in memory at once.
BLOCK = 1024


def unpack_parquet(path: Path, names: Sequence[str], folder: Path) -> dict[str, Any]:
    """Copy the columns of a Parquet file to disk as arrays and map them into memory.

    Parameters
    ----------
    path : Path
    names : sequence of str
        The columns that are looked for.
    folder : Path
        Takes a file for each column.

    Returns
    -------
    dict of str to ndarray
        For a column of numbers of shape (rows,), for one of lists of shape (rows, length); of float64. Where the file
        has other columns than those that are looked for, their names alone.

    Raises
    ------
    ImportError
        Without the package pyarrow.
    ValueError
        If it is not a Parquet file, a column holds anything but numbers or lists of equally many numbers, or a list is
        missing.
    """
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        expected = f"the package pyarrow, to read {path}"
        raise ImportError(explain(expected, "none", "pip install 'pymc-lan[parquet]'")) from error
    with ParquetFile(path) as file:
        found = file.schema_arrow.names
        if {*found} != {*names}:
            return dict.fromkeys(found)
        shapes: dict[str, tuple[int, ...]] = {}
        with ExitStack() as stack:
            written = {name: stack.enter_context((folder / f"{name}.npy").open("wb")) for name in names}
            for batch in file.iter_batches(BLOCK):
                for name in names:
                    block = _numbers(name, batch.column(name))
                    if name not in shapes:
                        shapes[name] = block.shape[1:]
                        written[name].write(array_header(block.dtype, (file.metadata.num_rows, *block.shape[1:])))
                    if block.shape[1:] != shapes[name]:
                        raise ValueError(f"lists of different lengths in {name}")
                    written[name].write(np.ascontiguousarray(block).tobytes())
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r") if name in shapes else np.empty(0) for name in names}


def _numbers(name: str, column: Any) -> NDArray[np.float64]:
    """A column of numbers, shape (rows,), or of lists of them, shape (rows, length); missing numbers are NaN."""
    from pyarrow import compute, types

    lists = types.is_list(column.type) or types.is_large_list(column.type) or types.is_fixed_size_list(column.type)
    values = compute.list_flatten(column) if lists else column
    kind = values.type
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        raise ValueError(f"{name} of type {column.type}")
    numbers = values.cast("float64").to_numpy(zero_copy_only=False)
    if not lists:
        return numbers
    lengths = np.unique(compute.list_value_length(column).to_numpy(zero_copy_only=False))
    if len(lengths) != 1 or not lengths[0] > 0:
        raise ValueError(f"lists of the lengths {', '.join(map(str, lengths))} in {name}")
    return numbers.reshape(len(column), int(lengths[0]))
