"""The folder of a calibration study: what it is a study of, its simulated truths and data, and its finished fits.

``study.json`` says what was asked for and how likely the model finds its own first prior draws, which changes with its
priors, its likelihood, its networks and its covariates; ``simulations.npz`` has truths and data; ``fits-*.npz`` has a
chunk of fits each. Every file is written whole, so a killed run leaves what it had finished and nothing else.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.data.files import write_whole, writing
from pymc_lan.errors import explain

Arrays = dict[str, NDArray[Any]]

STUDY, SIMULATIONS, FITS = "study.json", "simulations.npz", "fits-{:06d}.npz"
FORMAT = 1
# Prior draws at which the density tells models apart, and by how much it may differ on another machine.
N_COMPARED, TOLERANCE = 3, 1e-5


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays into one file, whole or not at all.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    with writing(path):
        write_whole(path, content.getvalue())


def read_arrays(path: Path) -> Arrays:
    """Read what `write_arrays` wrote.

    Raises
    ------
    DamagedError
        If the file is not whole.
    OSError
        If it cannot be read.
    """
    content = path.read_bytes()
    try:
        # From memory: NumPy leaves the file of a damaged archive open.
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, zipfile.BadZipFile, EOFError, NotImplementedError, AttributeError) as error:
        raise DamagedError(f"{error}") from error


class DamagedError(Exception):
    """A file was cut, or holds something else."""


def open_simulations(folder: Path) -> tuple[Arrays, Arrays] | None:
    """Truths and data of the study in a folder; None where there is none yet.

    Raises
    ------
    ValueError
        If they cannot be read.
    """
    if not os.path.exists(folder / STUDY):
        return None
    try:
        arrays = read_arrays(folder / SIMULATIONS)
    except (OSError, DamagedError) as error:
        raise ValueError(explain(f"a readable {folder / SIMULATIONS}", f"{error}", _ANOTHER)) from error
    truth, data = ({name.split("/", 1)[1]: x for name, x in arrays.items() if name.startswith(kind)} for kind in KINDS)
    return truth, data


KINDS = ("truth/", "data/")
# Fits of simulations that are lost belong to nothing.
_ANOTHER = "give another folder, or remove this one with its fits"


def start(folder: Path, description: Mapping[str, Any], truth: Arrays, data: Arrays) -> None:
    """Begin a study; its description is written last, so a folder that has one is whole."""
    kinds = dict(zip(KINDS, (truth, data), strict=True))
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_arrays(folder / SIMULATIONS, {kind + name: x for kind, each in kinds.items() for name, x in each.items()})
    with writing(folder / STUDY):
        write_whole(folder / STUDY, (json.dumps(description, indent=1) + "\n").encode())


def check_same(folder: Path, description: Mapping[str, Any]) -> None:
    """Refuse a folder that belongs to another study, or does not say to which.

    Raises
    ------
    ValueError
    """
    try:
        before = dict(json.loads((folder / STUDY).read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(explain(f"a readable {folder / STUDY}", f"{error}", _ANOTHER)) from error
    for key, now in description.items():
        then = before.get(key)
        close = key == "log_density" and then is not None and np.allclose(then, now, rtol=TOLERANCE, atol=TOLERANCE)
        if then != now and not close:
            which = key.replace("_", " ")
            found = f"one with {which} {then}, which is {now} now"
            raise ValueError(explain(f"the same study as before in {folder}", found, "give another folder"))


def finished(folder: Path) -> dict[int, Arrays]:
    """The fits in a folder, by number of the simulation; those of a damaged file are left out, and made again.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    fits: dict[int, Arrays] = {}
    for path in sorted(folder.glob(FITS.replace("{:06d}", "*"))):
        try:
            chunk = read_arrays(path)
            numbers = [int(i) for i in chunk.pop("index")]
            fits |= {i: {name: x[row] for name, x in chunk.items()} for row, i in enumerate(numbers)}
        except (DamagedError, KeyError, IndexError, TypeError, ValueError):
            continue
    return fits


def log_density(model: Any, truth: Arrays) -> list[float]:
    """How likely a model finds its first prior draws and the data it was built with.

    Parameters
    ----------
    model : pymc.Model
    truth : dict of str to ndarray, shape (n, ...)
        Of every free variable.

    Returns
    -------
    list of float
        One for each variable and draw; what is not finite is a large number, which JSON can hold.
    """
    from pymc.model.transform.conditioning import remove_value_transforms

    plain = remove_value_transforms(model)
    density = plain.compile_logp(sum=False, mode="FAST_COMPILE")
    names = [rv.name for rv in plain.free_RVs]
    found = []
    for row in range(min(N_COMPARED, len(truth[names[0]]))):
        values = density({name: truth[name][row] for name in names})
        found += [float(np.nan_to_num(np.sum(x), neginf=-1e300)) for x in values]
    return found
