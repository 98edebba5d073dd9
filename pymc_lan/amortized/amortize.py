"""`amortize`: from a function that builds a model to a network that answers with its posterior."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pymc_lan.amortized.amortizer import Amortizer
from pymc_lan.amortized.backend import seeded
from pymc_lan.amortized.estimator import estimator, networks, stored
from pymc_lan.amortized.filed import APART, Filed
from pymc_lan.amortized.networks import Network
from pymc_lan.amortized.simulated import Batch, Simulated, sizes
from pymc_lan.amortized.standard import Standard, Usual
from pymc_lan.amortized.training import Batches, Inputs, Plan, learn, schedule
from pymc_lan.amortized.trials import Context, View, seen
from pymc_lan.amortized.values import Scale, scale
from pymc_lan.errors import check_count, check_path, explain, is_real
from pymc_lan.inference.subjects.posteriors import check_build
from pymc_lan.numerics.seeds import as_generator

Float = NDArray[np.float64]

# Batches from which it is known what is usual, and what is held out of learning.
PILOT, HELD_OUT = 40, 16
# Standardised numbers beyond are cut.
FAR = 8.0


def amortize(
    build: Any,
    n_trials: tuple[int, int] = (50, 500),
    *,
    design: Any = None,
    simulations: Any = None,
    summary: Any = "mean_set",
    inference: Any = "coupling_flow",
    regime: str = "online",
    rounds: int = 4,
    epochs: int = 30,
    batches: int = 1000,
    batch_size: int = 64,
    rate: float = 1e-3,
    patience: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    seed: int | None = None,
    progressbar: bool = True,
) -> Amortizer:
    """Train a network that maps the trials of one subject to their posterior.

    It needs the extra ``amortized``. Parameters are drawn from the model's prior, and trials from its distribution.

    Parameters
    ----------
    build : callable
        From one subject's table to a PyMC model of it, as of `pymc_lan.posteriors`: free variables that are continuous,
        and observed ones with a row for each trial.
    n_trials : tuple of int
        The least and the most that a subject has.
    design : callable or DataFrame, optional
        What the table of a subject holds beside their responses: a table whose rows are resampled, or a function from a
        `numpy.random.Generator` to one. All its columns but ``rt`` and ``response`` are shown to the network.
    simulations : path or sequence of path, optional
        With ``regime="offline"``: files, or a folder of them, as `pymc_lan.simulate_to` writes them, with a column for
        each free variable of the model, to learn from instead of draws of the model. Their parameters need not be
        draws of the prior: draws of the network are weighed by it.
    summary : {"mean_set", "deep_set", "set_transformer"} or bayesflow.networks.SummaryNetwork
        What makes numbers of trials.
    inference : {"coupling_flow", "flow_matching"} or bayesflow.networks.InferenceNetwork
        What makes draws of these.
    regime : {"online", "offline", "rounds", "replay"}
        New data sets at every step; the same in every epoch; the same in the epochs of each of some rounds; or old ones
        between new ones.
    rounds : int
        Of the regime of that name.
    epochs, batches, batch_size : int
        Epochs, batches in each, and data sets in a batch.
    rate : float
        Largest learning rate; it falls as a cosine.
    patience : int, optional
        Epochs without a lower loss on data that are held out, after which learning ends; the best weights are kept.
    checkpoint : path, optional
        A folder for what learning has come to after each epoch. Where it has some, it goes on from there.
    seed : int, optional
    progressbar : bool

    Returns
    -------
    Amortizer

    Raises
    ------
    ImportError
        Without BayesFlow.
    RuntimeError
        Where Keras runs on another backend than JAX in this process.
    ValueError
        For a model whose data cannot be simulated, files that are not of this model, a network that is not known, or a
        checkpoint of another training.

    Examples
    --------
    >>> import pymc as pm, pymc_lan as pl
    >>> def build(df):
    ...     with pm.Model() as model:
    ...         v, a = pm.Normal("v", 1, 1), pm.LogNormal("a", 0, 0.3)
    ...         pl.DDM("obs", v, a, 0.5, pm.Gamma("t", mu=0.3, sigma=0.1), observed=df)
    ...     return model
    >>> few = dict(n_trials=(50, 50), epochs=1, batches=5, batch_size=16)
    >>> pl.amortize(build, **few, seed=1, progressbar=False).n_trials  # doctest: +SKIP
    (50, 50)
    """
    check_build(build)
    counts = {"rounds": rounds, "epochs": epochs, "batches": batches, "batch_size": batch_size}
    for name, value in counts.items():
        check_count(name, value)
    if patience is not None:
        check_count("patience", patience)
    if not is_real(rate) or not 0 < rate <= 1:
        raise ValueError(explain("rate as a number above 0, at most 1", f"{rate!r:.80}", "try 0.001"))
    root = int(as_generator(seed).integers(2**62))
    order = schedule(regime, batches, epochs, rounds, root)
    if simulations is not None and (regime != "offline" or design is not None):
        found = f"regime={regime!r}" if regime != "offline" else "a design"
        remedy = "leave simulations out, or give regime='offline' and no design"
        raise ValueError(explain("simulations for offline training, of trials that are all alike", found, remedy))
    with seeded(root):
        made = networks(summary, inference)
    with ExitStack() as stack:
        drawn: Simulated | Filed
        if simulations is None:
            drawn, kept = Simulated(build, design, sizes(n_trials), batch_size, root), order.kept
        else:
            # Files are at hand already, and may be larger than memory.
            drawn, kept = Filed(build, simulations, sizes(n_trials), batch_size, root, stack), 0
        source = _source(drawn)
        which = [counts, rate, str(summary), str(inference), regime, [*n_trials], seed, source.scale.n, *drawn.identity]
        plan = Plan(
            epochs=epochs,
            batches=batches,
            rate=float(rate),
            patience=patience,
            checkpoint=None if checkpoint is None else check_path("checkpoint", checkpoint),
            fingerprint=json.dumps(which),
        )
        with seeded(root):
            found = estimator(*made, {name: x.shape for name, x in source(APART).items()})
        held_out = [source(APART + i) for i in range(HELD_OUT)]
        with _progress(progressbar, epochs * batches) as told:
            losses = learn(found, plan, order, Batches(source, kept), held_out, told)
        network = stored(found)
        usual = usual_to(network, source, range(APART, APART + PILOT))
    variables = {rv.name: tuple(rv.type.shape) for rv in drawn.models[0].free_RVs}
    return Amortizer(
        build=build,
        variables=variables,
        n_trials=(int(n_trials[0]), int(n_trials[1])),
        view=source.view,
        scale=source.scale,
        standard=source.standard,
        network=network,
        usual=usual,
        losses=tuple(losses),
    )


@final
@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Batches as networks see them.

    Parameters
    ----------
    simulated : Simulated or Filed
    view : View
    scale : Scale
    standard : Standard
    """

    simulated: Simulated | Filed
    view: View
    scale: Scale
    standard: Standard

    def __call__(self, number: int) -> Inputs:
        """A batch by its number."""
        names = {"trials": "summary_variables", "whole": "inference_conditions", "values": "inference_variables"}
        found = _looked(self.simulated.batch(number), self.view, self.scale)
        # A network need not answer for what is further out: the likelihood does.
        return {
            names[name]: np.clip(self.standard.of(name, x), -FAR, FAR).astype(np.float32) for name, x in found.items()
        }


def usual_to(network: Network, source: Source, numbers: Iterable[int]) -> Usual:
    """What the data sets of some batches look like to a network."""
    conditions, answers = [], []
    for x in map(source, numbers):
        for trials, whole in zip(x["summary_variables"], x["inference_conditions"], strict=True):
            conditions.append(network.condition(trials, whole))
            answers.append(network.middle(source.scale.n, conditions[-1]))
    k = len(source.standard.centre["whole"])
    return Usual.of(np.array(conditions), np.array(answers), k)


def _source(simulated: Simulated | Filed) -> Source:
    every = [scale(model) for model in simulated.models]
    if any(x != every[0] for x in every):
        remedy = "let build take names, levels and shapes from all of the design, not from the table it is given"
        raise ValueError(explain("one model of all designs", "several", remedy))
    view = View(seen(simulated.models[0]), Context.of(simulated.tables))
    looks = [_looked(simulated.batch(APART + i), view, every[0]) for i in range(PILOT)]
    centre, spread = {}, {}
    for name in looks[0]:
        x = np.concatenate([look[name].reshape(-1, look[name].shape[-1]) for look in looks])
        centre[name], spread[name] = x.mean(axis=0), x.std(axis=0)
        # What is the same everywhere stays so.
        spread[name] = np.where(spread[name] > 1e-8, spread[name], 1.0)
    return Source(simulated, view, every[0], Standard(centre, spread))


def _looked(batch: Batch, view: View, by: Scale) -> dict[str, Float]:
    trials, whole, fastest = view.look(batch.observed, batch.table)
    return {"trials": trials, "whole": whole, "values": by.forward(batch.rows, fastest)}


@contextmanager
def _progress(shown: bool, steps: int) -> Iterator[Any]:
    """A bar with the losses of the latest epoch and the time that is left."""
    from rich.progress import Progress, TextColumn, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:3], TimeRemainingColumn(), TextColumn("{task.fields[losses]}"))
    with Progress(*columns, disable=not shown) as bar:
        task = bar.add_task("amortize", total=steps, losses="")

        def told(step: int, losses: list[dict[str, float]]) -> None:
            words = ", ".join(f"{name} {value:.3f}" for name, value in losses[-1].items()) if losses else ""
            bar.update(task, completed=step, losses=words)

        yield told
