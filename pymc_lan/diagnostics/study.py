"""The folder of a calibration study: what it is a study of, its simulated truths and data, and its finished fits.

``study.json`` says what was asked for and how likely the model finds its own first prior draws, which changes with its
priors, its likelihood, its networks and its covariates; ``simulations.npz`` has truths and data; ``fits-*.npz`` has a
chunk of fits each. Every file is written whole, so a killed run leaves what it had finished and nothing else.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_lan.disk import write_whole
from pymc_lan.errors import explain

Arrays = dict[str, NDArray[Any]]

STUDY, SIMULATIONS, FITS = "study.json", "simulations.npz", "fits-{:06d}.npz"
FORMAT = 1
# Prior draws at which the density tells models apart, and by how much it may differ on another machine.
N_COMPARED, TOLERANCE = 3, 1e-5


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays into one file, whole or not at all."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    write_whole(path, content.getvalue())


def read_arrays(path: Path) -> Arrays:
    """Read what `write_arrays` wrote.

    Raises
    ------
    ValueError
        If the file is damaged.
    """
    try:
        # From memory: NumPy leaves the file of a damaged archive open.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(explain(f"a readable {path}", f"{error}", "delete that file and run again")) from error


def open_simulations(folder: Path) -> tuple[Arrays, Arrays] | None:
    """Truths and data of the study in a folder; None where there is none yet."""
    if not (folder / STUDY).exists():
        return None
    arrays = read_arrays(folder / SIMULATIONS)
    truth, data = ({name.split("/", 1)[1]: x for name, x in arrays.items() if name.startswith(kind)} for kind in KINDS)
    return truth, data


KINDS = ("truth/", "data/")


def start(folder: Path, description: Mapping[str, Any], truth: Arrays, data: Arrays) -> None:
    """Begin a study; its description is written last, so a folder that has one is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = dict(zip(KINDS, (truth, data), strict=True))
    write_arrays(folder / SIMULATIONS, {kind + name: x for kind, each in kinds.items() for name, x in each.items()})
    write_whole(folder / STUDY, (json.dumps(description, indent=1) + "\n").encode())


def check_same(folder: Path, description: Mapping[str, Any]) -> None:
    """Refuse a folder that belongs to another study.

    Raises
    ------
    ValueError
    """
    before = json.loads((folder / STUDY).read_text())
    for key, now in description.items():
        then = before.get(key)
        close = key == "log_density" and then is not None and np.allclose(then, now, rtol=TOLERANCE, atol=TOLERANCE)
        if then != now and not close:
            which = key.replace("_", " ")
            found = f"one with {which} {then}, which is {now} now"
            raise ValueError(explain(f"the same study as before in {folder}", found, "give another folder"))


def finished(folder: Path) -> dict[int, Arrays]:
    """The fits in a folder, by number of the simulation."""
    fits: dict[int, Arrays] = {}
    for path in sorted(folder.glob(FITS.replace("{:06d}", "*"))):
        chunk = read_arrays(path)
        fits |= {int(i): {k: x[row] for k, x in chunk.items() if k != "index"} for row, i in enumerate(chunk["index"])}
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
