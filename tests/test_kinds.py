"""Every kind of model times every operation: a result that is checked, or the sentence that says why there is none.

The tables of `kinds_table` say what is expected of each cell. ``yes`` is a result, whose property the operation's
function below asserts; another word is the sentence of that name in `SENTENCES`; ``-`` is nothing to ask. With ``!``
the cell is expected and not so yet. One cell of each kind of behaviour runs by default, the whole table where changes
are checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pymc as pm
import pytest
from backends import AS_WRITTEN
from kinds import MAKERS, Float, Kind, kind, said_by
from kinds_table import FILES, FITS, LIKELIHOODS, SENTENCES
from onnx_files import by_onnxruntime
from toy_simulators import TINY

import pymc_lan as pl
from pymc_lan.models.diffusion import solver
from pymc_lan.models.model import require_labels
from pymc_lan.networks.network import Network
from pymc_lan.training.labelled import teacher
from pymc_lan.training.recipes import Recipe

NONE = [[np.inf, 0.0]]
# Where a network is as good as those of this release, or only says something [nats].
GOOD = 0.02


# What operations need


def log_p(dist: Any, trials: Any) -> Float:
    """The log density of trials as a distribution's graph says it."""
    return pm.logp(dist, np.asarray(trials)).eval(mode=AS_WRITTEN)


def logistic(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def times(k: Kind) -> bool:
    return k.model.times


def form(k: Kind) -> tuple[Any, tuple[int, ...]]:
    """The distribution that takes any such model, and the shape of one value."""
    return (pl.LANDist, (2,)) if times(k) else (pl.ChoiceDist, ())


def some_trials(k: Kind) -> Float:
    """Two trials of each choice."""
    return np.array([(rt, code) for code in k.model.choices for rt in (0.6, 1.1)], float)


def by_hand(k: Kind, part: str, *trial: float) -> float:
    """What the file of an imported network says."""
    assert k.files is not None
    return said_by(k.files[part], [*(k.theta[name] for name in k.model.names), *trial])


def shares(k: Kind, log_density: Callable[[Float, Float], Float], last: float = 20.0) -> Float:
    """The integral of the density of each choice up to a time."""
    first = k.theta["t"] - k.theta.get("st", 0.0)
    rt = first + np.geomspace(1e-3, last - first, 800)
    each = [np.exp(log_density(rt, np.full_like(rt, code))) for code in k.model.choices]
    return np.trapezoid(each, rt, axis=1)


def assert_shares_of_trials(k: Kind, log_density: Callable[[Float, Float], Float]) -> None:
    """Assert that a density integrates to one, and gives each choice the share that it has of simulated trials."""
    p, n = shares(k, log_density), 4000
    assert p.sum() == pytest.approx(1, abs=0.02)
    drawn = pl.simulate(k.model, k.theta, n=n, seed=1)["response"].to_numpy()
    found = np.mean(drawn == np.array(k.model.choices)[:, None], axis=1)
    assert np.all(np.abs(found - p) < 4 * np.sqrt(p * (1 - p) / n) + 0.01)


# Operations


def density(k: Kind, folder: Path) -> None:
    dist = pl.LANDist.dist(k.source, **k.theta)
    if k.files is not None:
        expected = [by_hand(k, "lan", *trial) for trial in some_trials(k)]
        np.testing.assert_allclose(log_p(dist, some_trials(k)), expected, rtol=1e-5)
    elif k.network is not None:
        expected = k.network.logpdf(*some_trials(k).T, **k.theta)
        np.testing.assert_allclose(log_p(dist, some_trials(k)), expected, rtol=1e-5, atol=1e-5)
    else:
        assert_shares_of_trials(k, lambda rt, response: log_p(dist, np.column_stack([rt, response])))


def numpy(k: Kind, folder: Path) -> None:
    found = k.found.logpdf(*some_trials(k).T, **k.theta)
    if k.true:
        assert_shares_of_trials(k, lambda rt, response: k.found.logpdf(rt, response, **k.theta))
    elif k.files is not None:
        np.testing.assert_allclose(found, [by_hand(k, "lan", *trial) for trial in some_trials(k)], rtol=1e-5)
    else:
        assert np.isfinite(found).all()


def no_press(k: Kind, folder: Path) -> None:
    cpn = k.files is not None and "cpn" in k.files
    found = np.exp(log_p(pl.GoNoGo.dist(k.source, **k.theta, deadline=np.inf if cpn else 1.0), NONE))[0]
    if cpn:
        assert found == pytest.approx(logistic(by_hand(k, "cpn")), rel=1e-5)
    else:
        pressed = shares(k, lambda rt, response: k.found.logpdf(rt, response, **k.theta), last=1.0)[-1]
        assert found == pytest.approx(1 - pressed, abs=0.01)


def omission(k: Kind, folder: Path) -> None:
    ends = {} if k.model.omissions else {"deadline": 1.0}
    found = np.exp(log_p(pl.LANDist.dist(k.source, **k.theta, **ends), NONE))[0]
    if k.files is not None and "opn" in k.files:
        assert found == pytest.approx(logistic(by_hand(k, "opn", 1.0)), rel=1e-5)
    elif k.true:
        dist = pl.LANDist.dist(k.source, **k.theta)
        decided = shares(k, lambda rt, response: log_p(dist, np.column_stack([rt, response])), last=1.0).sum()
        assert found == pytest.approx(1 - decided, abs=0.003)
    else:
        # With random weights the density has its own mass, but this remains a probability of its own.
        assert 0.01 < found < 0.99


def probabilities(k: Kind, folder: Path) -> None:
    """Of the choices or, beside times, of no response and of one."""
    files = k.files or {}
    found = k.found.probabilities(**k.theta, **({"deadline": 1.0} if "opn" in files else {}))
    assert found.shape == (2 if times(k) else len(k.model.choices),)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    for name in files.keys() - {"lan"}:
        assert found[0] == pytest.approx(logistic(by_hand(k, name, *([1.0] if name == "opn" else []))), rel=1e-5)


def responses(k: Kind, folder: Path) -> None:
    n = len(k.model.choices)
    found = np.exp(log_p(pl.ChoiceDist.dist(k.source, **k.theta, shape=(n,)), k.model.choices))
    np.testing.assert_allclose(found, k.found.probabilities(**k.theta), rtol=1e-6)


def exact(k: Kind, folder: Path) -> None:
    found = log_p(pl.LANDist.dist(k.source, **k.theta, likelihood="exact"), some_trials(k))
    np.testing.assert_allclose(found, log_p(pl.LANDist.dist(k.source, **k.theta), some_trials(k)), atol=GOOD)


def labels(k: Kind, folder: Path) -> None:
    """Trials of the model with their true log densities: by count, more than half go up where the drift does."""
    found = require_labels(k.model).model_trials(np.random.default_rng(1), 64)
    assert np.isfinite(found.label).all()
    assert found.d.size >= 60
    if k.network is not None:
        learned = k.network.logpdf(found.d + k.theta["t"], found.response, **found.theta, t=k.theta["t"])
        assert (np.median(np.abs(learned - found.label)) < GOOD) == k.true


def draw(k: Kind, folder: Path) -> None:
    found = pl.simulate(k.model, k.theta, n=300, seed=1)
    assert set(found["response"]) <= {*k.model.choices, 0}
    assert len(found) == 300
    if times(k):
        first = k.theta.get("t", 0.2) - k.theta.get("st", 0.0)
        assert (found["rt"].dropna() > first).all()
        assert found["rt"].isna().any() == k.model.omissions


def predict(k: Kind, folder: Path) -> None:
    cls, value = form(k)
    found = pm.draw(cls.dist(k.source, **k.theta, shape=(300, *value)), random_seed=1, mode=AS_WRITTEN)
    assert found.shape == (300, *value)
    assert set(found[:, 1] if times(k) else found) <= {*k.model.choices, 0}


def start(k: Kind, folder: Path) -> None:
    cls, value = form(k)
    with pm.Model() as model:
        x = cls("x", k.source, **k.theta, shape=(3, *value))
    found = model.initial_point()["x"]
    assert found.shape == (3, *value)
    assert np.isfinite(log_p(x, found)).all()
    if k.true and times(k):
        low, high = pl.simulate(k.model, k.theta, n=2000, seed=1)["rt"].quantile([0.01, 0.99])
        assert np.all((low < found[:, 0]) & (found[:, 0] < high))


def initvals(k: Kind, folder: Path) -> None:
    rng, n = np.random.default_rng(1), 100
    df = pd.DataFrame({"rt": rng.uniform(0.4, 1.0, n), "response": rng.choice(k.model.choices, n)})
    with pm.Model() as model:
        name = "t" if "t" in k.theta else k.model.names[0]
        free = {name: pm.Uniform(name, *k.model.parameter(name).bounds)}
        form(k)[0]("obs", k.source, **{**k.theta, **free}, observed=df)
    found = pl.initvals(model, df)
    assert 0.2 < found["t"] < df["rt"].min()


LABELLED = Recipe(hidden=(4,), steps=10, batch=16, pool=100)


@pytest.fixture
def _coarse(monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    """Solve on the first grid alone where hundreds of sets are: finer ones take a quarter of a minute to compile.

    What the first leaves is far less than `GOOD`.
    """
    if operation in ("train", "measure"):
        monkeypatch.setattr(solver, "STEPS", solver.STEPS[:1])
        monkeypatch.setattr(solver, "TOLERANCE", 1e-3)


def train(k: Kind, folder: Path) -> None:
    model = k.model.untrained
    recipes: dict[str, Any] = {"lan_recipe": LABELLED, "choice_recipe": LABELLED}
    if model.simulator is not None:
        recipes = {"simulation_recipe": TINY}
    elif not times(k):
        recipes.pop("choice_recipe")
    network = pl.train(model, folder, n_measured=500, progress=False, **recipes)
    assert network.name == f"{model.name}@1.0"
    assert network.spec.untrained == model
    assert pl.load_network(folder / model.name / "1.0", spec=model) == network
    if times(k):
        assert np.isfinite(network.logpdf(*some_trials(k).T, **k.theta)).all()
    else:
        assert network.probabilities(**k.theta).sum() == pytest.approx(1)


def measure(k: Kind, folder: Path) -> None:
    found = pl.diagnostics.accuracy(k.found, n=200, n_mass=3)
    if "answers" in found:
        assert found["labels"]["mean"] < GOOD
        return
    by_labels, by_trials = found.get("lan"), found.get("simulations")
    assert (by_labels or by_trials)["median"] < (GOOD if by_labels else 0.1) or not k.true


def check(k: Kind, folder: Path) -> str | None:
    (name, *_), n, rng = k.model.names, 20, np.random.default_rng(2)
    codes = rng.choice(k.model.choices, n)
    bounds = k.model.parameter(name).bounds
    with pm.Model() as model:
        free = {name: pm.Uniform(name, *bounds)}
        data = np.column_stack([rng.uniform(0.5, 1.5, n), codes]) if times(k) else codes
        form(k)[0]("obs", k.source, **{**k.theta, **free}, observed=data)
    draws = rng.normal(k.theta[name], 0.01, (4, 150))
    found = pl.check(az.from_dict({"posterior": {name: draws}}), model, n_draws=8, progressbar=False)
    assert found.means.loc[name, "mean"] == pytest.approx(draws.mean())
    errors = found.table.set_index("check")["value"].filter(like="error of the log likelihood per trial, mean")
    if len(errors):
        assert (errors.item() < GOOD) == k.true
    return found.verdict if "Cannot say" in found.verdict else None


def cartoon(k: Kind, folder: Path) -> None:
    first, *others = pl.plots.cartoon(k.source, k.theta, n_paths=2)
    lines = [first.lines[0], others[-1].lines[0]] if k.model.choices == (-1, 1) else first.lines
    for line, code in zip(lines, sorted(k.model.choices, reverse=len(others) == 2), strict=True):
        rt, height = line.get_data()
        if k.network is not None:
            np.testing.assert_allclose(height, np.exp(k.network.logpdf(rt, code, **k.theta)), rtol=1e-6)
        assert np.all(height >= 0)
        assert height.max() > 0.1


def picture(k: Kind, folder: Path) -> None:
    name, *rest = k.model.names
    (ax,) = pl.plots.network(k.source, {each: k.theta[each] for each in rest}, name, [k.theta[name]], n=300)
    assert ax.get_title() == f"{name} = {k.theta[name]:g}"


def config(k: Kind, folder: Path) -> None:
    pl.export(k.found, folder / "x", "orbax")
    assert pl.import_orbax(folder / "x", spec=k.model) == k.network


def onnx(k: Kind, folder: Path) -> None:
    pl.export(k.found, folder / "x.onnx")
    rows = [[*(k.theta[name] for name in k.model.names), *trial] for trial in some_trials(k)]
    expected = k.found.logpdf(*some_trials(k).T, **k.theta)
    np.testing.assert_allclose(by_onnxruntime(folder / "x.onnx", np.array(rows)), expected, rtol=1e-4, atol=1e-4)


def page(k: Kind, folder: Path) -> None:
    from model_pages import page_text

    assert k.model.description in page_text(k.model.name)


def listing(k: Kind, folder: Path) -> str | None:
    table = pl.list_models().set_index("model")
    if k.model.name not in table.index:
        return f"{k.model.name!r} is not listed"
    # Every version has a row, and bounds of its own.
    rows = table.loc[[k.model.name]]
    (listed,) = rows.loc[rows["default"] | (len(rows) == 1), "bounds"]
    assert listed == {p.name: p.bounds for p in k.model.parameters}
    return None


OPERATIONS: tuple[Callable[[Kind, Path], str | None], ...] = (
    *(density, numpy, no_press, omission, probabilities, responses, exact, labels),
    *(draw, predict, start, initvals, train, measure, check),
    *(cartoon, picture, config, onnx, page, listing),
)


# The table as tests


def cells(table: str) -> Iterator[tuple[str, str, str]]:
    """Yield (kind, operation, what is expected) of a table."""
    header, *rows = table.strip().splitlines()
    operations = header.split()
    for row in rows:
        name, *words = row.split()
        for operation, word in zip(operations, words, strict=True):
            if word != "-":
                yield name, operation, word


CELLS = {(name, operation): word for table in (LIKELIHOODS, FITS, FILES) for name, operation, word in cells(table)}

# Results that run by default; sentences cost nothing.
BY_DEFAULT = {
    "density": ("ddm", "lba2", "race_3", "imported"),
    "numpy": ("ddm", "race_3", "levy"),
    "no_press": ("ddm", "with_cpn"),
    "omission": ("with_opn",),
    "probabilities": ("ddm", "responses", "with_cpn", "with_opn"),
    "responses": ("responses",),
    "exact": ("ddm", "lba2"),
    "labels": ("ddm", "race_3"),
    "draw": ("ddm", "full_ddm", "lba2", "race_3", "levy", "responses", "omissions"),
    "predict": ("ddm", "responses"),
    "start": ("ddm", "lba2", "responses", "stranger"),
    "initvals": ("ddm",),
    "train": (),  # test_training does
    "measure": ("responses",),
    "check": ("ddm", "lba2"),
    "cartoon": ("ddm",),
    "picture": ("ddm",),
    "config": ("ddm", "race_3", "responses", "stranger"),
    "onnx": ("ddm", "with_opn"),
    "page": ("ddm",),
    "listing": ("ddm", "lba2"),
}


# Half a minute each, and of the kind of another: solved as `own` and `weibull` are, or simulated as `omissions` is.
LONG = {("ornstein", "train"), ("weibull", "train"), ("levy", "train"), ("lca_3", "train"), ("ornstein", "measure")}


def parameters() -> Iterator[Any]:
    """One parameter of the test for each cell."""
    for (name, operation), word in CELLS.items():
        marks = [pytest.mark.xfail(reason="not so yet")] if word.endswith("!") else []
        if (word == "yes" or word.endswith("!")) and name not in BY_DEFAULT[operation]:
            marks.append(pytest.mark.slow if (name, operation) in LONG else pytest.mark.table)
        yield pytest.param(name, operation, word.rstrip("!"), marks=marks, id=f"{name}-{operation}")


def test_every_kind_meets_every_operation() -> None:
    tables = [[line.split() for line in table.strip().splitlines()] for table in (LIKELIHOODS, FITS, FILES)]
    assert [word for header, *_ in tables for word in header] == [each.__name__ for each in OPERATIONS]
    assert all([name for name, *_ in rows] == [*MAKERS] for _, *rows in tables)
    assert {word.rstrip("!") for word in CELLS.values()} == {"yes", *SENTENCES}
    assert all(CELLS[name, each].rstrip("!") == "yes" for each, names in BY_DEFAULT.items() for name in names)


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Measure after training on few parameter sets, find the scripts, and close figures."""
    usual = teacher.accuracy

    def quick(network: Network, n: int, seed: int) -> dict[str, Any]:
        # What ten steps have taught may overflow.
        with np.errstate(over="ignore"):
            return usual(network, n=n, n_mass=3, seed=seed)

    monkeypatch.setattr(teacher, "accuracy", quick)
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1] / "scripts")
    yield
    plt.close("all")


@pytest.mark.usefixtures("_small", "_coarse")
@pytest.mark.parametrize(("name", "operation", "expected"), list(parameters()))
def test_cell(name: str, operation: str, expected: str, tmp_path: Path) -> None:
    k = kind(name)
    operate = {each.__name__: each for each in OPERATIONS}[operation]
    if expected == "yes":
        assert operate(k, tmp_path) is None
        return
    try:
        said = operate(k, tmp_path)
    except (ValueError, LookupError, pl.RegistryError) as error:
        said = str(error)
    assert said is not None
    words = {"name": k.model.name, "names": ", ".join(k.model.names), "choices": k.model.choices}
    assert SENTENCES[expected].format(**words) in said
