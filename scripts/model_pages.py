"""Write docs/models: a page and a picture for every model with weights, and their index.

    python scripts/model_pages.py [NAME ...]

Text comes from the spec and from the config.json of the default weights; formulas and the values in the pictures stand
below. Without names all models are written; the index always is.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pymc_lan as pl
from pymc_lan.models.diffusion import catalogue, closed_forms
from pymc_lan.models.diffusion.catalogue import DIFFUSIONS
from pymc_lan.models.diffusion.kinds import Diffusion
from pymc_lan.models.diffusion.trajectories import as_diffusion
from pymc_lan.registry.card import accuracy_lines

PAGES = Path(__file__).resolve().parents[1] / "docs" / "models"
INDEX = "README.md"

Values = Mapping[str, float]

# Lines of LaTeX by drift and boundary, so that a model that shares them needs none of its own; d is decision time.
FORMULAS: Mapping[Callable[..., Any], tuple[str, ...]] = {
    closed_forms.constant_drift: ("m &= v",),
    catalogue.leaky_drift: (r"m &= v - g \, X_d",),
    catalogue.gamma_drift: (
        r"m &= v + c \left(x \, e^{1 - x}\right)^{\mathrm{shape} - 1}",
        r"x &= \frac{d}{(\mathrm{shape} - 1) \, \mathrm{scale}}",
    ),
    catalogue.shrinking_spotlight: (
        r"m &= v + \mathrm{ptarget} \; p(0, 0.5) + \mathrm{pinner} \; p(0.5, 1.5) + \mathrm{pouter} \; p(1.5, \infty)",
        r"p(l, h) &= 2 \, \Phi(h / w) - 2 \, \Phi(l / w)",
        r"w &= \max(\mathrm{sda} - r \, d, \; 0.001)",
    ),
    catalogue.conflict_drift: (
        r"m &= v + \mathrm{tcoh} \; q + \mathrm{dcoh} \; \mathrm{dinit} \; e^{-\mathrm{dslope} \, d}",
        r"q &= \mathrm{tfixedp} + (\mathrm{tinit} - \mathrm{tfixedp}) \, e^{-\mathrm{tslope} \, d}",
    ),
    closed_forms.constant_boundary: ("b &= a",),
    closed_forms.straight_boundary: (r"b &= a - d \tan\theta",),
    catalogue.weibull_boundary: (r"b &= a \, e^{-(d / \beta)^\alpha}",),
    catalogue.exponential_boundary: (r"b &= a \, e^{-\mathrm{lam} \, d}",),
    catalogue.hyperbolic_boundary: (r"b &= \frac{a}{1 + \mathrm{lam} \, d}",),
}
VARIABILITY = {
    "normal": r"{0}_i &\sim \mathrm{{N}}({0}, \, \mathrm{{{1}}}^2)",
    "uniform": r"{0}_i &\sim \mathrm{{U}}({0} - \mathrm{{{1}}}, \; {0} + \mathrm{{{1}}})",
}

# What pictures are drawn with: these or, for a model whose point they miss, its own; else the middle of the bounds.
USUAL = {"v": 0.7, "a": 1.2, "z": 0.5, "t": 0.3, "sv": 1.2, "sz": 0.2, "st": 0.15}
OWN: Mapping[str, Values] = {
    "ddm_extended": {"v": 4.0, "a": 3.0},
    "angle": {"a": 1.5, "theta": 0.7},
    "weibull": {"a": 1.5, "alpha": 3.0, "beta": 1.2},
    "exponential_collapse": {"a": 2.0, "lam": 1.0},
    "hyperbolic_collapse": {"a": 2.0, "lam": 1.5},
    "ornstein": {"v": 1.0, "g": 1.0},
    "gamma_drift": {"v": -0.7, "a": 1.4, "shape": 4.0, "scale": 0.15, "c": 3.0},
    "gamma_drift_angle": {"v": -0.7, "a": 1.8, "theta": 0.6, "shape": 4.0, "scale": 0.15, "c": 3.0},
    "shrink_spot": {"v": 0.0, "ptarget": 4.0, "pinner": -2.0, "pouter": -2.0, "r": 0.05, "sda": 1.0},
    "conflict_ds": {
        "v": 0.0,
        "tinit": 0.0,
        "dinit": 5.0,
        "tslope": 2.0,
        "dslope": 4.0,
        "tfixedp": 3.0,
        "tcoh": 1.0,
        "dcoh": -0.8,
    },
}

# Paths drawn, and trials simulated for the bars.
N_PATHS, N_DRAWS = 8, 20_000
# Of the palette of a picture, which makes it a third as large.
N_COLOURS = 64


def model_names() -> list[str]:
    """Every model that has weights, in the order of the package."""
    weighted = set(pl.list_models()["model"])
    return [name for name in DIFFUSIONS if name in weighted]


def class_names(name: str) -> tuple[str, str]:
    """The two-choice and the go/no-go distribution of a model: `GoNoGo`, which takes any, where none is named."""
    if name not in DIFFUSIONS:
        raise LookupError(f"pages are of diffusions between boundaries, which {name} is not")
    named = [each for each in pl._distributions().values() if each.model == name]
    found = {issubclass(each, pl.GoNoGo): each.__name__ for each in named}
    if False not in found:
        raise LookupError(f"{name} has weights but no class in pymc_lan/distributions/named.py; add one")
    return found[False], found.get(True, "GoNoGo")


def picture_values(spec: Diffusion) -> dict[str, float]:
    """The parameters that a model's picture is drawn with."""
    chosen = USUAL | dict(OWN.get(spec.name, {}))
    return {p.name: chosen.get(p.name, sum(p.bounds) / 2) for p in spec.parameters}


def function_lines(symbol: str, function: Callable[..., Any]) -> tuple[str, ...]:
    """Lines of LaTeX for a drift or a boundary: those above or, where there are none, what its docstring says."""
    said = (function.__doc__ or function.__name__).splitlines()[0].rstrip(".")
    return FORMULAS.get(function, (rf"{symbol} &= \text{{{said}}}",))


def formula(spec: Diffusion) -> list[str]:
    """The process as a block of LaTeX."""
    lines = [
        r"X_0 &= -b(0) + 2 \, z \, b(0)",
        r"\mathrm{d}X_d &= m \, \mathrm{d}d + \mathrm{d}W_d",
        *function_lines("m", spec.drift),
        *function_lines("b", spec.boundary),
        *(VARIABILITY[each.distribution].format(each.parameter, each.spread) for each in spec.variability),
    ]
    rows = [*(rf"{line} \\" for line in lines[:-1]), lines[-1]]
    return ["```math", r"\begin{aligned}", *rows, r"\end{aligned}", "```"]


def process_lines(spec: Diffusion) -> list[str]:
    """Formula and conventions."""
    varying = [each.parameter for each in spec.variability]
    lines = [
        *formula(spec),
        "",
        "$X_d$ is the evidence after $d$ seconds of decision and $W$ a Wiener process: the noise is 1. The response is",
        "+1 where $X$ reaches $+b(d)$, -1 where it reaches $-b(d)$, and `rt = t + d`, in seconds. `a` is **half** the",
        "separation of the boundaries at the start, as in HSSM and ssm-simulators.",
    ]
    if varying:
        drawn = ", ".join(f"${each}_i$ takes the place of ${each}$" for each in varying)
        lines += ["", f"Trials differ: in trial $i$, {drawn}."]
    return lines


def usage_lines(name: str, values: Values) -> list[str]:
    """A fit, and the same for go/no-go trials."""
    two_choice, go_nogo = class_names(name)
    given = ", ".join(f"{key}={value:g}" for key, value in values.items())
    model = f'"{name}", ' if go_nogo == "GoNoGo" else ""
    return [
        "```python",
        "import pymc as pm, pymc_lan as pl",
        "",
        f"truth = dict({given})",
        f'df = pl.simulate("{name}", truth, n=500, seed=1)  # or your trials',
        "with pm.Model():",
        f'    theta = {{p.keyword: pm.Uniform(p.name, *p.bounds) for p in pl.get_model("{name}").parameters}}',
        f'    pl.{two_choice}("obs", **theta, observed=df)',
        "    idata = pm.sample()",
        "```",
        "",
        "Priors of your own take the place of the uniform ones. For go/no-go trials, `rt` empty where nothing was",
        f'pressed: `pl.{go_nogo}("obs", {model}**theta, deadline=1.5, observed=df)`.',
    ]


def training_lines(config: Mapping[str, Any]) -> list[str]:
    """Labels and recipe."""
    training, networks = config["training"], list(config["networks"])
    keys = [*dict.fromkeys(key for each in networks for key in training[each])]
    rows = []
    for key in keys:
        found = [training[each].get(key, "-") for each in networks]
        cells = [
            " - ".join(map(str, x)) if isinstance(x, list) else f"{x:,}" if isinstance(x, int) else x for x in found
        ]
        rows.append(f"| {key.replace('_', ' ')} | {' | '.join(map(str, cells))} |")
    return [
        f"Labels: {config['labels']}.",
        "",
        f"| recipe | {' | '.join(networks)} |",
        "|---" * (1 + len(networks)) + "|",
        *rows,
        "",
        f"Seed {training['seed']}, {training['seconds']:g} s. `pymc-lan train {config['model']}` trains it anew.",
    ]


def network_lines(config: Mapping[str, Any]) -> list[str]:
    """Sizes and cost of the networks."""
    flop = config["accuracy"]["flop"]
    rows = [
        f"| {key} | {' - '.join(map(str, entry['sizes']))} | {entry['activation']} | {flop[key]:,} |"
        for key, entry in config["networks"].items()
    ]
    return ["| network | layers | activation | FLOP per trial, forward |", "|---|---|---|---|", *rows]


def page_text(name: str) -> str:
    """The page of a model."""
    network = pl.load_network(name)
    spec, config = as_diffusion(network.spec), network.config
    values = picture_values(spec)
    two_choice, go_nogo = class_names(name)
    shown = ", ".join(f"{key} = {value:g}" for key, value in values.items())
    parameters = [
        f"| `{p.name}` | {p.bounds[0]:g} to {p.bounds[1]:g} | {p.unit} | {p.meaning} "
        f"| {'-' if p.default is None else format(p.default, 'g')} |"
        for p in spec.parameters
    ]
    return "\n".join(
        [
            f"# {name}: `{two_choice}`, `{go_nogo}`",
            "",
            spec.description,
            "",
            *process_lines(spec),
            "",
            f"![Paths between the boundaries, densities of the response times]({name}.png)",
            "",
            f"Drawn with {shown}.",
            f"{N_PATHS} simulated paths coloured by response (grey: none yet), dashed the one without noise. Curves",
            f"are the network's densities, bars {N_DRAWS:,} simulated trials. The non-decision time is shaded.",
            "",
            "## Use",
            "",
            *usage_lines(name, values),
            "",
            "## Parameters",
            "",
            "| parameter | trained bounds | unit | meaning | default |",
            "|---|---|---|---|---|",
            *parameters,
            "",
            "## Accuracy",
            "",
            f"Of `{network.name}`, from its card; `pymc-lan evaluate {name}` measures it anew.",
            "",
            *accuracy_lines(config["accuracy"]),
            "",
            *network_lines(config),
            "",
            "## Training",
            "",
            *training_lines(config),
            "",
            "## References",
            "",
            *(f"* {each.strip().rstrip('.')}." for each in spec.reference.split(";")),
            "",
            "[All models](README.md). Written by `scripts/model_pages.py`; do not edit.",
            "",
        ]
    )


def index_text() -> str:
    """The table of all pages."""
    rows = []
    for name in model_names():
        network = pl.load_network(name)
        measured = network.config["accuracy"]
        lan, choice = measured["lan"], measured["choice"]
        error = "-" if choice is None else f"{choice['go']['mean']:g} / {choice['go']['p99']:g}"
        two_choice, go_nogo = class_names(name)
        rows.append(
            f"| [{name}]({name}.md) | `{two_choice}`, `{go_nogo}` | {', '.join(network.spec.names)} "
            f"| {lan['mean']:g} / {lan['p99']:g} | {error} | {measured['flop']['lan']:,} |"
        )
    return "\n".join(
        [
            "# Models",
            "",
            "Errors are absolute, mean / p99, in nats; FLOP are those of one trial's log density, forward.",
            "",
            "| model | distribution, go/no-go form | parameters | log f | log P(go) | FLOP |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            "Written by `scripts/model_pages.py`; do not edit.",
            "",
        ]
    )


def draw(name: str, path: Path) -> None:
    """Draw the picture of a model."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from PIL import Image  # matplotlib needs it too

    spec = pl.get_model(name)
    values = picture_values(spec)
    trials = pl.simulate(name, values, n=N_DRAWS, seed=1)
    fig, axes = plt.subplots(
        3, 1, figsize=(6.4, 4.4), sharex=True, height_ratios=(1, 2, 1), gridspec_kw={"hspace": 0.1}
    )
    pl.plots.cartoon(name, values, trials=trials, n_paths=N_PATHS, ax=axes)
    image = io.BytesIO()
    fig.savefig(image, dpi=130, bbox_inches="tight")
    plt.close(fig)
    Image.open(image).convert("RGB").quantize(N_COLOURS).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="models; all that have weights without it")
    names = parser.parse_args().names or model_names()
    PAGES.mkdir(parents=True, exist_ok=True)
    for name in names:
        (PAGES / f"{name}.md").write_text(page_text(name), "utf-8")
        draw(name, PAGES / f"{name}.png")
        print(f"{name}: {PAGES / name}.md, .png")
    (PAGES / INDEX).write_text(index_text(), "utf-8")


if __name__ == "__main__":
    main()
