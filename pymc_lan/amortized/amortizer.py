"""What a trained network is good for: posteriors of many subjects, checked; and what is stored of it."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.amortized.described import Described
from pymc_lan.amortized.networks import Network
from pymc_lan.amortized.proposal import Answer, Corrected, Uncorrected
from pymc_lan.amortized.standard import Standard, Usual, too_many
from pymc_lan.amortized.trials import View
from pymc_lan.amortized.values import Scale
from pymc_lan.errors import check_count, check_path, explain
from pymc_lan.inference.subjects.posteriors import sample_each
from pymc_lan.inference.subjects.proposals import PROPOSALS, Proposal
from pymc_lan.inference.subjects.reading import OneByOne, Reading
from pymc_lan.inference.subjects.tables import Subject
from pymc_lan.registry.publish import Publication, add_to
from pymc_lan.registry.search import as_registry

Float = NDArray[np.float64]

# PyMC's own logger shows such lines, and is where users silence them.
logger = logging.getLogger("pymc.amortized")

# Subjects that a message names.
SHOWN = 5
NO_MODEL = explain(
    "a model to weigh draws with", "none: the prior of this one is code", "give it: pl.load_amortized(name, build=...)"
)


@final
@dataclass(frozen=True, eq=False)
class Amortizer:
    """A network that maps a subject's trials to their posterior, with the model that it was trained for.

    `pymc_lan.amortize` trains one, and `pymc_lan.load_amortized` loads one.

    Parameters
    ----------
    build : callable, optional
        From one subject's table to a PyMC model.
    variables : mapping of str to tuple of int
        Shapes of the model's free variables on the unconstrained scale.
    n_trials : tuple of int
        The least and the most that it was trained with.
    view : View
    scale : Scale
    standard : Standard
    network : Network
    usual : Usual
    losses : tuple of dict
        ``loss`` and ``validation`` of each epoch.
    accuracy : tuple of dict
        What was measured of its draws, as by `accuracy_of`, for some numbers of trials.

    Examples
    --------
    >>> network = pl.amortize(build, n_trials=(50, 500))  # doctest: +SKIP
    >>> network.sample(df, by="subject")["verdicts"].to_dataset().to_dataframe()  # doctest: +SKIP
    >>> network.save("my_network", name="mine")  # doctest: +SKIP
    """

    build: Any
    variables: Mapping[str, tuple[int, ...]]
    n_trials: tuple[int, int]
    view: View
    scale: Scale
    standard: Standard
    network: Network
    usual: Usual
    losses: tuple[Mapping[str, float], ...] = ()
    accuracy: tuple[Mapping[str, float], ...] = ()

    def sample(
        self,
        df: Any,
        by: str = "subject",
        draws: int = 1000,
        *,
        correct: bool = True,
        fallback: str | None = "nuts",
        var_names: str | Sequence[str] | None = None,
        cores: int | None = None,
        seed: int | None = None,
        progressbar: bool = True,
    ) -> Any:
        """Posteriors of all subjects.

        Parameters
        ----------
        df : DataFrame
            The trials of all subjects, with the columns of the design that was trained.
        by : str
            The column that says whose trials they are.
        draws : int
            Of each subject.
        correct : bool
            Whether draws are weighed by the likelihood and prior, with a verdict for each subject, and drawn otherwise
            where these were not right: by the steps of `pymc_lan.posteriors`.
        fallback : {"nuts", None}
            What is done where none of them was right.
        var_names, cores, seed, progressbar
            As of `pymc_lan.posteriors`.

        Returns
        -------
        xarray.DataTree
            That of `pymc_lan.posteriors`. Its ``verdicts`` have two more columns: ``distance`` of a subject's data from
            those of the training, in units of what 2 % of these exceed, and ``usual``, whether it is below 1 and no
            column of the design is beyond what was trained.

        Raises
        ------
        ValueError
            For subjects with fewer or more trials than the network was trained with, and for a design that it was not
            trained with.
        """
        if self.build is None:
            raise ValueError(NO_MODEL)
        distances, usual = list[float](), list[bool]()
        reading = self.reading(df, by)

        def propose(one: Subject, model: Any) -> Sequence[Proposal]:
            answer = self.answer(one, model, reading)
            distances.append(self.usual.distance(answer.condition, answer.middle))
            usual.append(distances[-1] <= 1 and not self.view.context.outside(one.table))
            return (Corrected(answer), *PROPOSALS) if correct else (Uncorrected(answer),)

        found = sample_each(
            reading,
            df,
            by,
            draws,
            propose,
            var_names=var_names,
            fallback=fallback if correct else None,
            cores=cores,
            seed=seed,
            progressbar=progressbar,
        )
        verdicts = found["verdicts"].to_dataset()
        found["verdicts"] = type(found)(
            verdicts.assign(distance=("subject", distances), usual=("subject", usual)), name="verdicts"
        )
        odd = [x for x, fine in zip(verdicts["subject"].to_numpy().tolist(), usual, strict=True) if not fine]
        if too_many(len(odd), len(usual)):
            names = ", ".join(map(repr, odd[:SHOWN])) + ", ..." * (len(odd) > SHOWN)
            logger.warning(
                "amortized: the data of %d of %d subjects (%s) are unlike what the model simulates, more than chance "
                "would have it: look whether the model is theirs; see verdicts",
                *(len(odd), len(usual), names),
            )
        return found

    def sbc(
        self,
        n_simulations: int = 500,
        n_trials: int | None = None,
        draws: int = 1000,
        *,
        design: Any = None,
        correct: bool = True,
        fallback: str | None = "nuts",
        seed: int = 0,
        cores: int | None = None,
        progressbar: bool = True,
    ) -> Any:
        """Simulation-based calibration: whether posteriors are right on data that the model makes itself.

        Parameters
        ----------
        n_simulations : int
        n_trials : int, optional
            Of each simulation; by default the most that it was trained with.
        draws : int
        design : callable or DataFrame, optional
            As of `pymc_lan.amortize`, for a network that was trained with one.
        correct, fallback
            As of `sample`. Without correction it is the network that is judged.
        seed : int
        cores, progressbar
            As of `sample`.

        Returns
        -------
        xarray.DataTree
            That of `pymc_lan.diagnostics.sbc`, which `pymc_lan.diagnostics.recovery` and ArviZ's plots take, with
            columns of the verdicts as ``sample_stats``.

        Raises
        ------
        ValueError
            For a model of other data than response times.
        """
        from pymc_lan.amortized.calibration import WHOSE, drawn, judged

        n, seed = check_count("n_simulations", n_simulations, 2), check_count("seed", seed, 0)
        trials = self.n_trials[1] if n_trials is None else check_count("n_trials", n_trials)
        df, truth = drawn(self, n, trials, design, seed)
        options: dict[str, Any] = {"correct": correct, "fallback": fallback, "cores": cores, "progressbar": progressbar}
        return judged(self.sample(df, WHOSE, draws, var_names=[*truth], seed=seed, **options), truth, seed)

    def latents(
        self, n_simulations: int = 500, n_trials: int | None = None, *, design: Any = None, seed: int = 0
    ) -> Any:
        """Where a network puts parameters of simulated data, before it makes draws of them.

        Parameters
        ----------
        n_simulations, n_trials, design, seed
            As of `sbc`.

        Returns
        -------
        pandas.DataFrame
            A row for each simulation, a column for each value. Where the network is right they are independent draws
            of one distribution, a t with the degrees of freedom ``network.df`` or a normal one, whatever the data are.

        Raises
        ------
        ValueError
            Without a model.
        """
        import pandas as pd

        from pymc_lan.amortized.calibration import latents

        if self.build is None:
            raise ValueError(NO_MODEL)
        n, seed = check_count("n_simulations", n_simulations, 2), check_count("seed", seed, 0)
        trials = self.n_trials[1] if n_trials is None else check_count("n_trials", n_trials)
        found = latents(self, n, trials, design, seed)
        return pd.DataFrame(found, columns=[f"latent_{i}" for i in range(found.shape[1])])

    def sample_to(
        self,
        folder: str | os.PathLike[str],
        source: str | os.PathLike[str],
        by: str = "subject",
        draws: int = 1000,
        *,
        client: Any = None,
        processes: int | None = None,
        correct: bool = True,
        fallback: str | None = "nuts",
        keep_draws: bool = False,
        seed: int | None = None,
        progressbar: bool = True,
    ) -> list[Path]:
        """Posteriors of more subjects than fit into memory: from a folder of Parquet files to another.

        One file is in the memory of a worker at a time. Called again, a run that was killed goes on with the files that
        are left to do.

        Parameters
        ----------
        folder : path
            Where results go: of each file of the source one of its name, which is written whole.
        source : path
            A folder of Parquet files ``*.parquet`` with trials. All trials of a subject are in one of them.
        by, draws, correct, fallback
            As of `sample`.
        client : distributed.Client, optional
            Of a Dask cluster, whose workers see both folders. What a worker that dies was at is done by another.
        processes : int, optional
            Without a client: processes of this machine, by default one for each core. With 1 nothing is started.
        keep_draws : bool
            Whether results hold draws, too, as lists.
        seed : int, optional
            Results do not depend on where, or in which order, files are done.
        progressbar : bool
            Files, time left and subjects per second.

        Returns
        -------
        list of Path
            The files of results. They have a row for each subject: the columns of ``verdicts``, and of each variable
            its mean, standard deviation and the ends of its 90 % interval: ``v_mean``, ``v_sd``, ``v_5%``, ``v_95%``.

        Raises
        ------
        ImportError
            Without the extra ``parquet``.
        ValueError
            For a folder without Parquet files, a subject in two of them, or a folder of results that was begun with
            other arguments.
        """
        from pymc_lan.amortized.parts import Wish, sample_parts

        if processes is not None:
            check_count("processes", processes)
        wish = Wish(
            by=by,
            draws=check_count("draws", draws),
            correct=correct,
            fallback=fallback,
            keep_draws=keep_draws,
            network=self.network.identity,
            seed=None if seed is None else check_count("seed", seed, 0),
        )
        places = check_path("folder", folder), check_path("source", source)
        return sample_parts(self, *places, wish, client=client, processes=processes, progressbar=progressbar)

    def reading(self, df: Any, by: str) -> Reading:
        """How subjects' tables are read."""
        alike = isinstance(self.build, Described) and not self.view.context.levels
        return self.build.reading(df, by) if alike else OneByOne(self.build)

    def answer(self, one: Subject, model: Any, reading: Reading) -> Answer:
        """What the network says of one subject."""
        n, (least, most) = one.n_trials, self.n_trials
        if not least <= n <= most:
            remedy = "use pl.posteriors for them, or train with other n_trials"
            raise ValueError(explain(f"{least} to {most} trials of each subject", f"{n} of {one.label!r}", remedy))
        own = {rv.name: tuple(rv.type.shape) for rv in model.free_RVs}
        if [*own] != [*self.variables]:
            remedy = "give the build that the network was trained for"
            raise ValueError(explain(f"a model with the variables {[*self.variables]}", f"{[*own]}", remedy))
        observed = [x[None] for x in reading.observed(one, model)]
        trials, whole, fastest = self.view.look(observed, one.table)
        condition = self.condition(trials[0], whole[0])
        centre, spread = self.standard.centre["values"], self.standard.spread["values"]
        return Answer(self.network, self.scale, centre, spread, condition, float(fastest[0]))

    def save(self, folder: str | os.PathLike[str], *, name: str, version: str = "1.0") -> Path:
        """Write it to a folder: weights, what they are of, and a card. Nothing in it is code.

        Parameters
        ----------
        folder : path
            It must not exist yet, or be empty.
        name, version : str
            What it is called, also in the folder ``amortized`` of a registry.

        Returns
        -------
        Path

        Raises
        ------
        RegistryError
            For what no version may be called.
        ValueError
            For networks that were not named, or other ones than the default, which are not stored by their weights.
        OSError
            Where it cannot be written.
        """
        from pymc_lan.amortized.files import write

        return write(self, folder, name, version)

    def publish(
        self, repo: str | os.PathLike[str], *, name: str, version: str = "1.0", dry_run: bool = False
    ) -> Publication:
        """Publish it as a version, which `pymc_lan.load_amortized` loads by its name.

        Parameters
        ----------
        repo : str or path
            A repository of the hub or a registry's folder, as of `pymc_lan.publish`. It is added to the registry in the
            folder ``amortized`` there, in one commit with a tag ``amortized-NAME-VERSION``.
        name, version : str
        dry_run : bool
            Whether to check everything and write nothing.

        Returns
        -------
        Publication
            Printed, it says what was written.

        Raises
        ------
        RegistryError
            If the version is there already, the hub cannot be reached or refuses, or the folder not be written to.
        ValueError
            As `save`.
        """
        from pymc_lan.amortized.files import BESIDE, contents

        registry = as_registry(repo, "the argument repo").beside(BESIDE)
        return add_to(registry, name, version, contents(self, name, version), card=None, dry_run=dry_run)

    def condition(self, trials: Float, whole: Float) -> Float:
        """What the network's draws depend on, of one data set's trials and numbers as a whole."""
        return self.network.condition(self.standard.of("trials", trials), self.standard.of("whole", whole))
