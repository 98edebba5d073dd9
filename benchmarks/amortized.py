"""Posteriors by a network that are checked by the likelihood: every bar that they have to reach, measured.

    python benchmarks/amortized.py [--part gaussian speed nuts factor many shares sbc contaminants group]
                                   [--subjects 1000] [--trials 200] [--against 50] [--many 20000] [--json FILE]

``gaussian`` trains on the mean of four-dimensional normal data, 10 epochs of 500 batches of 32, and BayesFlow alone
the same networks as long; posteriors are compared with the conjugate one. All else is of ``pl.load_amortized("ddm")``
and data from its prior. ``speed`` is 1,000 subjects by it, and by `pl.posteriors`. ``nuts`` compares the weighted
moments of 4,000 draws with those of 20,000 of NUTS, and ``factor`` what a subject takes by the network with what it
takes by `pm.sample`, and by nutpie on a model that was compiled once. ``many`` is `sample_to` of Parquet parts by two
Dask workers, one of which is killed. ``shares`` are those of subjects that need no NUTS; of other models by
`pl.posteriors`, see ``benchmarks/posteriors.py``. ``contaminants`` replaces a tenth of the trials by responses at any
time up to 5 s. ``group`` is `pl.group_posterior` against NUTS on hierarchical models. CPU seconds are those of whole
calls, with what they compile.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
from _common import Json, argument_parser, print_table, report

import pymc_lan as pl

SEED = 2026
NAMES = ("v", "a", "z", "t")
# Normal on v, log a, logit z and log t, as `pl.regression` has them; v and a end at the network's bounds.
PRIOR = {"v": (0.0, 2.0), "a": (np.log(0.7), 0.4), "z": (0.0, 0.5), "t": (np.log(0.4), 0.4)}
QUIET: dict[str, Any] = {"seed": 1, "progressbar": False}
# Draws of NUTS that moments are compared with, by chain, and the weighted draws that are compared.
NUTS, CHAINS, WEIGHED = 5000, 4, 4000
# Share of guesses, and until when they come [s].
GUESSES, LATEST = 0.1, 5.0
# Dimensions and observations of the normal data.
D, N = 4, 50
# Priors of subjects in studies of groups.
OF_GROUP = {"v": ("Normal", 0.8, 1.0), "a": ("LogNormal", np.log(1.1), 0.3), "t": ("LogNormal", np.log(0.3), 0.3)}
# The size of the article's training.
TRAINING = {"epochs": 10, "batches": 500, "batch_size": 32}


def truths(subjects: int, seed: int) -> pd.DataFrame:
    """Parameters of subjects from the prior."""
    rng = np.random.default_rng(seed)
    many = {name: rng.normal(mean, sd, 4 * subjects) for name, (mean, sd) in PRIOR.items()}
    many |= {"a": np.exp(many["a"]), "z": 1 / (1 + np.exp(-many["z"])), "t": np.exp(many["t"])}
    table = pd.DataFrame(many)
    inside = (table["v"].abs() < 6) & table["a"].between(0.3, 4.0)
    return table[inside].head(subjects).reset_index(drop=True)


def trials_of(truth: pd.DataFrame, trials: int, seed: int) -> pd.DataFrame:
    """Their trials."""
    rows = truth.loc[truth.index.repeat(trials)]
    df = pl.simulate("ddm", {name: rows[name].to_numpy() for name in NAMES}, seed=seed)
    return df.assign(subject=rows.index.to_numpy())


@contextmanager
def clock() -> Iterator[Json]:
    """CPU seconds and seconds of what is done within."""
    found: Json = {}
    cpu, wall = time.process_time(), time.perf_counter()
    yield found
    found |= {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}


def moments(weighted: Any, name: str) -> tuple[Any, Any]:
    """Weighted means and standard deviations."""
    w = np.exp(weighted["log_weight"].to_numpy()[0])
    x = weighted[name].to_numpy()[0]
    w = w.reshape(*w.shape, *(1,) * (x.ndim - 2))
    mean = (w * x).sum(axis=0)
    return mean, np.sqrt((w * (x - mean) ** 2).sum(axis=0))


def rms(x: Any) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(x))))


def verdicts(found: Any) -> pd.DataFrame:
    """The table of verdicts."""
    return found["verdicts"].to_dataset().to_dataframe()


def gaussian(_: Any) -> list[Json]:
    """The mean of normal data: three ways to draw it, against the conjugate posterior."""
    columns = [f"x{i}" for i in range(D)]

    def build(df: Any) -> pm.Model:
        with pm.Model() as model:
            mu = pm.Normal("mu", 0, 1, shape=D)
            pm.Normal("x", mu, 1, observed=df[columns].to_numpy())
        return model

    rng = np.random.default_rng(2)
    truth = rng.normal(size=(50, D))
    x = truth[:, None] + rng.normal(size=(50, N, D))
    mean, sd = x.sum(axis=1) / (N + 1), 1 / np.sqrt(N + 1)
    # Whoever comes first would pay for what both import.
    bayesflow_alone(x[:1], TRAINING | {"epochs": 1, "batches": 5})
    with clock() as own:
        network = pl.amortize(
            build, (N, N), design=pd.DataFrame(0.0, index=range(N), columns=columns), **TRAINING, **QUIET
        )
    with clock() as theirs:
        alone = bayesflow_alone(x, TRAINING)
    df = pd.DataFrame(x.reshape(-1, D), columns=columns).assign(subject=np.repeat(range(50), N))
    rows = [("BayesFlow alone", alone.mean(axis=1), alone.std(axis=1), theirs)]
    for correct in (False, True):
        found = network.sample(df, draws=20_000, correct=correct, **QUIET)["weighted_posterior"]
        rows.append(("corrected" if correct else "as it is", *moments(found, "mu"), own))
    return [
        {
            "draws": name,
            "means [sd], rms": rms((found - mean) / sd),
            "largest": float(np.abs((found - mean) / sd).max()),
            "sds, rms": rms(spread / sd - 1),
            "training, CPU s": spent["cpu"],
            "s": spent["wall"],
        }
        for name, found, spread, spent in rows
    ]


def bayesflow_alone(x: Any, size: dict[str, int]) -> Any:
    """Draws of the article's workflow, with the networks that `pl.amortize` takes."""
    from pymc_lan.amortized.backend import bayesflow, seeded
    from pymc_lan.amortized.estimator import networks

    bf = bayesflow()
    rng = np.random.default_rng(1)

    def prior() -> Any:
        return {"mu": rng.normal(size=D)}

    def likelihood(mu: Any) -> Any:
        return {"x": mu + rng.normal(size=(N, D))}

    with seeded(1):
        summary, inference = networks("mean_set", "coupling_flow")
        workflow = bf.BasicWorkflow(
            simulator=bf.make_simulator([prior, likelihood]),
            summary_network=summary,
            inference_network=inference,
            inference_variables=["mu"],
            summary_variables=["x"],
        )
        workflow.fit_online(
            epochs=size["epochs"], num_batches_per_epoch=size["batches"], batch_size=size["batch_size"], verbose=0
        )
        return workflow.sample(num_samples=20_000 if len(x) > 1 else 10, conditions={"x": x.astype(np.float32)})["mu"]


def speed(options: Any) -> list[Json]:
    """A thousand subjects."""
    df, network = trials_of(truths(options.subjects, SEED), options.trials, SEED), pl.load_amortized("ddm")
    ways: dict[str, Callable[[], Any]] = {
        "network, corrected": lambda: network.sample(df, fallback=None, **QUIET),
        "pl.posteriors": lambda: pl.posteriors(network.build, df, fallback=None, **QUIET),
    }
    rows = []
    for name, way in ways.items():
        with clock() as spent:
            found = verdicts(way())
        right = float(found["right"].mean())
        rows.append(
            {"way": name, "subjects": options.subjects, "right": right, "CPU s": spent["cpu"], "s": spent["wall"]}
        )
    return rows


def by_nuts() -> Any:
    """The model of one subject, as PyMC's users write it; its trials are data."""
    with pm.Model() as model:
        prior = {
            "v": pm.TruncatedNormal("v", *PRIOR["v"], lower=-3, upper=3),
            "a": pm.Truncated("a", pm.LogNormal.dist(*PRIOR["a"]), lower=0.3, upper=2.5),
            "z": pm.LogitNormal("z", *PRIOR["z"]),
            "t": pm.LogNormal("t", *PRIOR["t"]),
        }
        example = pd.DataFrame({"rt": np.full(3, 5.0), "response": 1})
        pl.DDM("obs", **prior, observed=pm.Data("trials", np.asarray(pl.as_observed(example))))
    return model


def nuts(options: Any) -> list[Json]:
    """Moments of some subjects against those of NUTS."""
    import nutpie

    df, network = trials_of(truths(options.against, SEED + 1), options.trials, SEED + 1), pl.load_amortized("ddm")
    ways: dict[str, Callable[[], Any]] = {
        "as it is": lambda: network.sample(df, draws=WEIGHED, correct=False, **QUIET),
        "corrected": lambda: network.sample(df, draws=WEIGHED, fallback=None, **QUIET),
        "pl.posteriors": lambda: pl.posteriors(network.build, df, draws=WEIGHED, fallback=None, **QUIET),
    }
    found = {name: way() for name, way in ways.items()}
    right = {name: x["verdicts"]["right"].to_numpy() | (name == "as it is") for name, x in found.items()}
    compiled = nutpie.compile_pymc_model(by_nuts())
    off: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for i, mine in df.groupby("subject"):
        chains = nutpie.sample(
            compiled.with_data(trials=np.asarray(pl.as_observed(mine))),
            draws=NUTS,
            tune=1000,
            chains=CHAINS,
            seed=2,
            target_accept=0.9,
            progress_bar=False,
        )
        for name, x in found.items():
            for parameter in NAMES if right[name][i] else ():
                mean, sd = (each[i] for each in moments(x["weighted_posterior"], parameter))
                y = chains.posterior[parameter].to_numpy()
                off[name].append(((mean - y.mean()) / y.std(), sd / y.std() - 1))
    rows = []
    for name, pairs in off.items():
        means, sds = np.array(pairs).T
        rows.append({"draws": name, "subjects": int(right[name].sum()), "means [sd]": rms(means), "sds": rms(sds)})
    return rows


def factor(options: Any) -> list[Json]:
    """What a subject takes by chains, over what it takes by the network."""
    import nutpie

    df, network = trials_of(truths(options.subjects, SEED), options.trials, SEED), pl.load_amortized("ddm")
    with clock() as whole:
        network.sample(df, fallback=None, **QUIET)
    model = by_nuts()
    compiled = nutpie.compile_pymc_model(model)
    some = [np.asarray(pl.as_observed(df[df["subject"] == i])) for i in range(options.chains)]
    with clock() as once:
        for trials in some:
            nutpie.sample(
                compiled.with_data(trials=trials), draws=1000, tune=1000, chains=4, cores=1, seed=1, progress_bar=False
            )
    with clock() as plain, model:
        for trials in some:
            pm.set_data({"trials": trials})
            pm.sample(cores=1, random_seed=1, progressbar=False, quiet=True)
    each = whole["cpu"] / options.subjects
    ways = {"pm.sample as it is called": plain, "nutpie, compiled once": once}
    return [
        {
            "way": name,
            "CPU s a subject": x["cpu"] / len(some),
            "by the network": each,
            "times": x["cpu"] / len(some) / each,
        }
        for name, x in ways.items()
    ]


def parts_of(folder: Path, subjects: int, trials: int) -> Path:
    """Parquet parts of a thousand subjects each."""
    folder.mkdir()
    truth = truths(subjects, SEED + 2)
    for i in range(0, subjects, 1000):
        trials_of(truth.iloc[i : i + 1000], trials, SEED + i).to_parquet(folder / f"part-{i // 1000:04d}.parquet")
    return folder


class Watched:
    """Two Dask workers: what they take, and the end of one of them."""

    def __init__(self, client: Any) -> None:
        import psutil

        self.seconds, self.memory, self.killed = dict[int, float](), 0, False
        self._client, self._process, self._done = client, psutil.Process, threading.Event()
        self._error = psutil.Error

    def look(self) -> None:
        """At all workers that are there."""
        for pid in self._client.run(os.getpid).values():
            try:
                process = self._process(pid)
                times = process.cpu_times()
                self.seconds[pid] = times.user + times.system
                self.memory = max(self.memory, process.memory_info().rss)
            except self._error:
                continue

    @contextmanager
    def watching(self, out: Path, kill_after: int | None) -> Iterator[None]:
        """Look every half second; kill a worker when so many parts are done."""

        def watch() -> None:
            while not self._done.wait(0.5):
                try:
                    self.look()
                except Exception:
                    # Of a worker that has just died.
                    continue
                if kill_after is not None and not self.killed and len(list(out.glob("*.parquet"))) >= kill_after:
                    os.kill(next(iter(self._client.run(os.getpid).values())), signal.SIGKILL)
                    self.killed = True

        self.look()
        before, self.memory = sum(self.seconds.values()), 0
        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()
            self.look()
            self.spent = sum(self.seconds.values()) - before


def many(options: Any) -> list[Json]:
    """Folders of parts, by two Dask workers; of the larger one, one is killed."""
    from distributed import Client, LocalCluster

    network, rows = pl.load_amortized("ddm"), []
    with tempfile.TemporaryDirectory() as name:
        for subjects in (1000, options.many):
            source, out = parts_of(Path(name) / f"{subjects}", subjects, options.trials), Path(name) / f"out-{subjects}"
            with (
                LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
                Client(cluster) as client,
            ):
                watched = Watched(client)
                with watched.watching(out, 5 if subjects > 1000 else None), clock() as spent:
                    files = network.sample_to(out, source, client=client, fallback=None, **QUIET)
            found = pd.concat([pd.read_parquet(path, columns=["subject", "right"]) for path in files])
            rows.append(
                {
                    "subjects": subjects,
                    "once each": bool(sorted(found["subject"]) == [*range(subjects)]),
                    "killed": int(watched.killed),
                    "right": float(found["right"].mean()),
                    "CPU ms of workers each": 1000 * watched.spent / subjects,
                    "s": spent["wall"],
                    "peak MiB of a worker": watched.memory / 2**20,
                }
            )
    return rows


def shares(options: Any) -> list[Json]:
    """Subjects that need no NUTS, and by which step."""
    network, rows = pl.load_amortized("ddm"), []
    for trials in (50, 200, 500):
        with clock() as spent:
            found = verdicts(
                network.sample(trials_of(truths(options.subjects, SEED), trials, SEED), fallback=None, **QUIET)
            )
        alone = found["right"] & (found["step"] == "network")
        effective = found["effective"].quantile([0.5, 0.05, 0]).tolist()
        rows.append(
            {
                "trials": trials,
                "subjects": options.subjects,
                "right before NUTS": float(found["right"].mean()),
                "by the network": float(alone.mean()),
                "effective, median": effective[0],
                "5 %": effective[1],
                "least": effective[2],
                "CPU s": spent["cpu"],
            }
        )
    return rows


def sbc(options: Any) -> list[Json]:
    """Uniformity of where truths lie among draws."""
    network, rows = pl.load_amortized("ddm"), []
    for correct in (True, False):
        study = network.sbc(options.simulations, options.trials, correct=correct, fallback=None, progressbar=False)
        table = pl.diagnostics.recovery(study)
        p, covered = table["p_uniform"], table["coverage_90"]
        name = "corrected" if correct else "as it is"
        rows.append(
            {"draws": name, **{f"p of {k}": p[k] for k in NAMES}, **{f"90 % of {k}": covered[k] for k in NAMES}}
        )
    return rows


def contaminants(options: Any) -> list[Json]:
    """Subjects that are called unusual."""
    network, rows = pl.load_amortized("ddm"), []
    right = trials_of(truths(options.subjects, SEED + 3), options.trials, SEED + 3)
    rng = np.random.default_rng(SEED)
    guess = rng.random(len(right)) < GUESSES
    wrong = right.assign(
        rt=np.where(guess, rng.uniform(0.05, LATEST, len(right)), right["rt"]),
        response=np.where(guess, rng.choice([-1, 1], len(right)), right["response"]),
    )
    for name, df in (("of the model", right), ("a tenth are guesses", wrong)):
        found = verdicts(network.sample(df, correct=False, **QUIET))
        distance = found["distance"].quantile([0.05, 0.5, 0.95]).tolist()
        row = {"data": name, "subjects": options.subjects, "unusual": float((~found["usual"]).mean())}
        rows.append(row | dict(zip(("distance, 5 %", "50 %", "95 %"), distance, strict=True)))
    return rows


def in_a_group(df: Any) -> pm.Model:
    """One subject of a study in two stages."""
    with pm.Model() as model:
        v, a, t = (getattr(pm, kind)(name, *prior) for name, (kind, *prior) in OF_GROUP.items())
        pl.DDM("obs", v, a, 0.5, t, observed=df)
    return model


def whole_group(subject: Any, df: Any) -> pm.Model:
    """All subjects of a study at once, under the same priors of the group."""
    with pm.Model() as model:
        values = []
        for name, (kind, centre, spread) in OF_GROUP.items():
            mu, sd = pm.Normal(f"{name}_mu", centre, spread), pm.HalfNormal(f"{name}_sd", spread)
            x = pm.Normal(f"{name}_scaled", mu, sd, shape=subject.max() + 1)
            values.append((x if kind == "Normal" else pm.math.exp(x))[subject])
        v, a, t = values
        pl.DDM("obs", v, a, 0.5, t, observed=pm.Data("trials", np.asarray(pl.as_observed(df))))
    return model


def group(options: Any) -> list[Json]:
    """Studies of 20 subjects with 100 trials in two stages, against NUTS on the whole hierarchical model."""
    import nutpie

    priors = {k: (pm.Normal.dist(m, s), pm.HalfNormal.dist(s)) for k, (_, m, s) in OF_GROUP.items()}
    off, wide, right, compiled = [], [], [], None
    stages: list[Json] = []
    for study in range(options.studies):
        rng = np.random.default_rng([SEED, study])
        subject = np.repeat(np.arange(20), 100)
        scaled = {k: rng.normal(rng.normal(m, s / 3), s / 2, 20) for k, (_, m, s) in OF_GROUP.items()}
        truth = {k: (x if OF_GROUP[k][0] == "Normal" else np.exp(x))[subject] for k, x in scaled.items()}
        df = pl.simulate("ddm", truth | {"z": 0.5}, seed=study).assign(subject=subject)
        with clock() as two:
            alone = pl.posteriors(in_a_group, df, draws=2000, **QUIET)
            found = pl.group_posterior(alone, in_a_group(df), priors=priors, draws=4000, seed=1)
        if compiled is None:
            compiled = nutpie.compile_pymc_model(whole_group(subject, df))
        with clock() as at_once:
            chains = nutpie.sample(
                compiled.with_data(trials=np.asarray(pl.as_observed(df))),
                draws=2000,
                tune=1000,
                chains=4,
                seed=2,
                target_accept=0.9,
                progress_bar=False,
            )
        stages.append({"two stages": two["cpu"], "NUTS": at_once["cpu"]})
        right.append(bool(found["verdicts"]["right"]))
        for name in [f"{k}_{word}" for k in OF_GROUP for word in ("mu", "sd")]:
            x, y = (tree.posterior[name].to_numpy() for tree in (found, chains))
            off.append((x.mean() - y.mean()) / y.std())
            wide.append(x.std() / y.std() - 1)
    cpu = pd.DataFrame(stages).mean()
    shown: Json = {"studies": options.studies, "right": float(np.mean(right)), "means [sd]": rms(off), "sds": rms(wide)}
    return [shown | {"CPU s a study": cpu["two stages"], "of NUTS": cpu["NUTS"]}]


PARTS: dict[str, Callable[[Any], list[Json]]] = {
    "gaussian": gaussian,
    "speed": speed,
    "nuts": nuts,
    "factor": factor,
    "many": many,
    "shares": shares,
    "sbc": sbc,
    "contaminants": contaminants,
    "group": group,
}


def main() -> None:
    """Run and print."""
    parser = argument_parser(__doc__)
    parser.add_argument("--part", nargs="+", choices=[*PARTS], default=[*PARTS])
    parser.add_argument("--subjects", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--against", type=int, default=50)
    parser.add_argument("--chains", type=int, default=5, help="subjects that are timed by chains")
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument("--many", type=int, default=20_000)
    parser.add_argument("--simulations", type=int, default=500)
    options = parser.parse_args()
    figures: Json = {}
    for name in options.part:
        figures[name] = rows = PARTS[name](options)
        print_table(f"{name}: {PARTS[name].__doc__}", [*rows[0]], [[*row.values()] for row in rows])
    report(figures, options.json)


if __name__ == "__main__":
    main()
