"""The command ``pymc-lan``; it parses arguments and prints, nothing else."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from pymc_lan.errors import RegistryError, explain
from pymc_lan.models.model import Model
from pymc_lan.numerics.parallel import WorkerDiedError

app = typer.Typer(help="Neural likelihoods for decision data.", no_args_is_help=True, pretty_exceptions_enable=False)

# Characters of a line, of a table that is piped: its columns are as wide as what is in them.
UNLIMITED = 10_000

Name = Annotated[str, typer.Argument(help="A model, 'ddm', 'ddm@1.0' or 'org/repo:ddm@1.0', or a version's folder.")]


@app.command("list")
def list_(
    everywhere: Annotated[bool, typer.Option("--all", help="Of all registries, and where each comes from.")] = False,
) -> None:
    """List models and versions."""
    from rich.console import Console
    from rich.table import Column, Table

    from pymc_lan.registry.listing import list_models

    figures = ("mean abs\nerror", "p99", "mass,\ncorners")
    origin = ["registry"] if everywhere else []
    # Nothing is cut: a name that is has to be guessed. What is piped has a line for each version.
    # What looks like markup in the name of a folder is none.
    console = Console(markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = UNLIMITED
    whole, folded = partial(Column, no_wrap=True), partial(Column, overflow="fold")
    table = Table(
        whole("model"),
        folded("version", min_width=len("(default)")),
        folded("parameters"),
        *map(whole, figures),
        *map(folded, ("sha256", *origin)),
        box=None,
        pad_edge=False,
    )
    for row in list_models(everywhere=everywhere).itertuples():
        version = f"{row.version} (default)" if row.default and row.version else row.version or row.registry
        table.add_row(
            row.model,
            version,
            " ".join(row.parameters),
            *(f"{x:g}" if x == x else "-" for x in (row.mean_abs_error, row.p99_abs_error, row.mass_corners)),
            row.sha256[:12],
            *([row.registry] if everywhere else []),
        )
    console.print(table)


@app.command()
def info(
    name: Name = "ddm", as_json: Annotated[bool, typer.Option("--json", help="Print the config.")] = False
) -> None:
    """Print the card of a version."""
    from pymc_lan.registry.card import write_card
    from pymc_lan.registry.corners import corner_lines
    from pymc_lan.registry.load import load_network

    network = load_network(name)
    card = "\n".join([write_card(network.config), *corner_lines(network.spec.name, network.sha256)])
    typer.echo(json.dumps(network.config, indent=2) if as_json else card)


@app.command()
def verify(
    name: Annotated[str | None, typer.Argument(help="A model; all versions without it.")] = None,
) -> None:
    """Check every file against the registry's hashes."""
    from pymc_lan.registry.load import all_names, verify_network

    for each in [name] if name else all_names():
        for path in verify_network(each):
            typer.echo(f"ok  {each}  {path.name}")


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="'org/repo:model@version', 'org/repo:model' or 'org/repo' for all.")],
) -> None:
    """Fetch versions from a repository of the hub, verify them, and print their folder."""
    from pymc_lan.registry.load import pull as pull_version

    typer.echo(pull_version(name))


@app.command()
def publish(
    folder: Annotated[Path, typer.Argument(help="A version's folder, as train writes it.")],
    repo: Annotated[str, typer.Option(help="'org/repo', a repository of the hub that exists, or a folder.")],
    license_: Annotated[str | None, typer.Option("--license", help="For the card, such as 'cc-by-4.0'.")] = None,
    n: Annotated[
        int | None,
        typer.Option(
            min=1000,
            help="Trials that measure the accuracy anew; with a simulator, of each of 50 sets.",
            show_default="4000; 50000",
        ),
    ] = None,
    simulator: Annotated[
        str | None, typer.Option(help="Of a network that has been trained on one: 'my_model.py:spec'.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, print what would be written.")] = False,
) -> None:
    """Check a version, and add it to a repository of the hub, in one commit with a tag, or to a registry's folder."""
    from pymc_lan.registry.publish import publish as publish_version

    spec = None if simulator is None else spec_of_file(simulator)
    typer.echo(publish_version(folder, repo, spec=spec, license=license_, n_measured=n, dry_run=dry_run))


@app.command()
def evaluate(
    name: Name = "ddm",
    n: Annotated[
        int | None, typer.Option(min=1, help="Trials; with a simulator, of each set.", show_default="60000; 100000")
    ] = None,
    n_mass: Annotated[
        int | None,
        typer.Option(
            min=1, help="Sets for the density's integral; with a simulator, all sets.", show_default="1000; 50"
        ),
    ] = None,
    seed: int = 12345,
    simulator: Annotated[
        str | None, typer.Option(help="Of a network that has been trained on one: 'my_model.py:spec'.")
    ] = None,
) -> None:
    """Measure a network against exact labels, or against its simulator."""
    from pymc_lan.networks.accuracy.accuracy import accuracy
    from pymc_lan.registry.card import accuracy_lines
    from pymc_lan.registry.load import load_network

    network = load_network(name, spec=None if simulator is None else spec_of_file(simulator))
    typer.echo("\n".join(accuracy_lines(accuracy(network, n=n, n_mass=n_mass, seed=seed))))


@app.command()
def train(
    model: Annotated[
        str, typer.Argument(help="A model of this release, or 'my_model.py:spec' for one of your own.")
    ] = "ddm",
    out: Annotated[Path, typer.Option(help="The registry's folder.")] = Path("weights"),
    version: str = "1.0",
    seed: int = 0,
    checkpoints: Annotated[
        Path | None,
        typer.Option(help="Save the run's state here and go on from it; with a simulator OUT/.checkpoints."),
    ] = None,
    resume: Annotated[bool, typer.Option(help="With a simulator: go on with a run that was stopped.")] = False,
    scheduler: Annotated[
        str | None, typer.Option(help="A Dask scheduler, tcp://host:8786, whose workers make the training trials.")
    ] = None,
    hidden: Annotated[
        str | None, typer.Option(help="Widths of the hidden layers of the likelihood network, such as 32,32.")
    ] = None,
    n_measured: Annotated[
        int | None,
        typer.Option(min=1, help="Trials that measure the accuracy.", show_default="60000; with a simulator 5000000"),
    ] = None,
    chunks: Annotated[
        int | None, typer.Option(min=1, help="With a simulator: chunks of about a million trials to train on.")
    ] = None,
    simulations: Annotated[
        Path | None, typer.Option(help="With a simulator: train on the files of this folder, from pl.simulate_to.")
    ] = None,
    report: Annotated[
        bool, typer.Option(help="With a simulator: write a report, OUT/MODEL/VERSION-report.html.")
    ] = True,
) -> None:
    """Train a model's networks from nothing, measure them, and write them with their card."""
    from pymc_lan.registry.card import accuracy_lines
    from pymc_lan.registry.sources import get_model
    from pymc_lan.training.recipes import usual_recipes, usual_simulation_recipe
    from pymc_lan.training.simulated.teacher import SimulationTeacher, refuse_begun
    from pymc_lan.training.train import teacher_of
    from pymc_lan.training.train import train as train_model

    spec = spec_of_file(model) if ".py:" in model else get_model(model)
    simulated = teacher_of(spec) is SimulationTeacher
    wanted: dict[str, Any] = {} if hidden is None else {"hidden": _widths(hidden)}
    trained = partial(train_model, spec, out, version=version, seed=seed, n_measured=n_measured, scheduler=scheduler)
    if not simulated:
        if resume or chunks or simulations:
            raise typer.BadParameter(f"--resume, --chunks and --simulations are for a simulator, which {model} has not")
        if wanted:
            trained = partial(trained, lan_recipe=replace(usual_recipes(spec)[0], **wanted))
        network = trained(checkpoints=checkpoints)
    else:
        checkpoints = checkpoints or out / ".checkpoints"
        if not resume:
            refuse_begun(spec, checkpoints)
        if report and find_spec("matplotlib") is None:
            typer.echo("No report: it needs the package matplotlib, pip install 'pymc-lan[plots]'.")
            report = False
        wanted |= {"chunks": chunks} if chunks else {}
        drawn = replace(usual_simulation_recipe(spec), **wanted)
        try:
            network = trained(checkpoints=checkpoints, simulation_recipe=drawn, simulations=simulations, report=report)
        except KeyboardInterrupt:
            typer.echo(f"Stopped. {checkpoints} holds the state after the last whole chunk; go on with --resume.")
            raise typer.Exit(130) from None
    typer.echo(f"{out / network.spec.name / version}\n")
    typer.echo("\n".join(accuracy_lines(network.config["accuracy"])))
    if simulated and report:
        from pymc_lan.training.simulated.report import report_path

        typer.echo(f"\nReport: {report_path(out, network)}")


@app.command()
def export(
    name: Name,
    out: Annotated[Path, typer.Option(help="The file or, of orbax, the folder.")],
    format_: Annotated[str, typer.Option("--format", help="onnx, as HSSM loads it, or orbax.")] = "onnx",
    part: Annotated[str, typer.Option(help="Of ONNX: density, or nogo.")] = "density",
) -> None:
    """Write a network for other tools."""
    from pymc_lan.registry.export import export as export_network

    export_network(name, out, format_, part=part)
    typer.echo(f"{out}")


@app.command("import-onnx")
def import_onnx(
    file: Annotated[Path, typer.Argument(help="A likelihood network published for HSSM.")],
    model: Annotated[str, typer.Option(help="The model it is of.")],
    out: Annotated[Path, typer.Option(help="The registry's folder.")] = Path("weights"),
    cpn: Annotated[Path | None, typer.Option(help="Its choice probability network.")] = None,
    opn: Annotated[Path | None, typer.Option(help="Its omission probability network.")] = None,
    version: str = "imported",
) -> None:
    """Import a network as a version of a registry."""
    import warnings

    from pymc_lan.registry.import_onnx import import_onnx as import_network

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        network = import_network(file, model, cpn=cpn, opn=opn, out=out, version=version)
    typer.echo(f"{out / network.spec.name / network.version}")
    for each in caught:
        typer.echo(f"{each.message}")


def _widths(text: str) -> tuple[int, ...]:
    """Widths of layers from ``"32,32"``."""
    found = text.split(",")
    if not all(each.strip().isdecimal() and int(each) for each in found):
        expected = "widths of hidden layers as whole numbers with commas between them"
        raise ValueError(explain(expected, f"--hidden {text}", "write them as in --hidden 32,32"))
    return tuple(int(each) for each in found)


def spec_of_file(text: str) -> Model:
    """The model that a Python file holds, from ``"my_model.py:spec"``.

    Raises
    ------
    ValueError
        If there is no such file, no such name in it, or something else than a model under it.
    """
    path, _, name = text.rpartition(":")
    file = Path(path).resolve()
    if not os.path.isfile(file):
        raise ValueError(explain("a Python file and a name in it, 'my_model.py:spec'", f"{text!r}", "check the path"))
    # By its own name and from its own folder, so that worker processes find its functions too.
    sys.path.insert(0, str(file.parent))
    found = getattr(import_module(file.stem), name, None)
    if not isinstance(found, Model):
        raise ValueError(
            explain(f"a ModelSpec called {name!r} in {path}", f"{found!r}", "make one with pl.simulator_spec")
        )
    return found


def main() -> None:
    """Run the command; an error the user can mend is one sentence, not a traceback."""
    try:
        app()
    except (ValueError, RegistryError, FloatingPointError, ImportError, OSError, WorkerDiedError) as error:
        typer.echo(f"pymc-lan: {error}", err=True)
        sys.exit(1)
