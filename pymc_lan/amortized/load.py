"""Amortised posteriors by a path, or by the name that a registry in a folder has for them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from pymc_lan.amortized.amortizer import Amortizer
from pymc_lan.amortized.files import BESIDE, READ, read
from pymc_lan.data.reading import read_file
from pymc_lan.errors import RegistryError, explain
from pymc_lan.inference.subjects.posteriors import check_build
from pymc_lan.networks.config import REMEDY_ANEW
from pymc_lan.registry.hub import HubRegistry
from pymc_lan.registry.load import search_path
from pymc_lan.registry.names import parse_source


def load_amortized(
    source: str | os.PathLike[str], build: Any = None, *, registries: Sequence[str | os.PathLike[str]] = ()
) -> Amortizer:
    """Load a network that maps a subject's trials to their posterior.

    It runs without BayesFlow.

    Parameters
    ----------
    source : str or path
        The folder that `Amortizer.save` wrote: a `pathlib.Path`, or text with a path separator. Or a name, as
        ``"mine"`` or ``"mine@1.0"``, of one in `registries` or in those that are configured; or
        ``"org/repo:mine@1.0"`` of one in a repository of the hub.
    build : callable, optional
        From one subject's table to a PyMC model: that which it was trained for, or one with other priors of the
        same kinds, by which draws are weighed then. It may be left out where the model travels as data.
    registries : sequence of str or path
        Folders or repositories; in each, the folder ``amortized`` is a registry: ``registry.toml``, and versions below
        it. What is in a repository is fetched once, at the commit that its revision means then.

    Returns
    -------
    Amortizer

    Raises
    ------
    RegistryError
        For an unknown name, a file that is missing, corrupted or of a newer format, or a hub that cannot be reached.

    Notes
    -----
    ``"ddm"`` ships with the package: v, a, z and t of 50 to 1,000 trials of one condition, under the priors that
    `pymc_lan.regression` takes for an intercept; those of v and a end where the likelihood network does.

    Examples
    --------
    >>> import pymc_lan as pl
    >>> network = pl.load_amortized("ddm")
    >>> network.n_trials, [*network.variables]
    ((50, 1000), ['v', 'a', 'z', 't'])
    >>> df = pl.simulate("ddm", dict(v=1.0, a=1.0, z=0.5, t=0.3), n=200, seed=1).assign(subject="ann")
    >>> found = network.sample(df, seed=1, progressbar=False)
    >>> found["verdicts"]["step"].values.tolist(), bool(abs(found.posterior["v"].mean() - 1) < 0.3)
    (['network'], True)
    """
    if build is not None:
        check_build(build)
    named = parse_source(source)
    if isinstance(named, Path):
        return _amortizer(
            {name: read_file(named / name, REMEDY_ANEW, most) for name, most in READ.items()}, named, build
        )
    named_in = [HubRegistry(named.repository)] if named.repository else search_path(registries)
    where = [registry.beside(BESIDE) for registry in named_in]
    where = [x for x in where if isinstance(x, HubRegistry) or x.root.is_dir()]
    entry = next((e for registry in where if (e := registry.find(named.model, named.version))), None)
    if entry is None:
        known = ", ".join(e.name for registry in where for e in registry.entries())
        remedy = "give its folder, as pathlib.Path, or the registry that has it in registries=[...]"
        found = f"{str(named)!r} among {known or 'none'}"
        raise RegistryError(explain("an amortised posterior by its name", found, remedy))
    files = {name: read_file(entry.folder / name, REMEDY_ANEW, most) for name, most in READ.items()}
    for name, content in files.items():
        if sha256(content).hexdigest() != entry.files.get(name):
            expected = f"{name} of {entry.name} as the registry lists it"
            raise RegistryError(explain(expected, "another file", REMEDY_ANEW))
    return _amortizer(files, entry.folder, build)


def _amortizer(files: Mapping[str, bytes], where: Path, build: Any) -> Amortizer:
    made = read(files, where)
    return Amortizer(**(made | {"build": made["build"] if build is None else build}))
