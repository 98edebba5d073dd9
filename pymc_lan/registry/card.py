"""The model card of a version, written from its config."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from pymc_lan.errors import RegistryError, explain
from pymc_lan.networks.config import REMEDY_ANEW
from pymc_lan.networks.mlp import flop

# What Markdown or HTML would take for more than a character: an underscore inside a word is none.
_MARKUP = re.compile(r"[\\`*\[\]<>|~$]|&(?=[#\w])|(?<!\w)_|_(?!\w)|^[#+=-]")


def markdown(text: Any) -> str:
    r"""Text of a config as Markdown that shows it as it is.

    Examples
    --------
    >>> print(markdown("<b>bold</b> & [link](x)"))
    \<b\>bold\</b\> & \[link\](x)
    """
    return _MARKUP.sub(r"\\\g<0>", str(text))


def _code(text: Any) -> str:
    """Text of a config as a span of code, in which nothing can be escaped."""
    return f"`{str(text).replace('`', chr(39))}`"


def write_card(config: Mapping[str, Any]) -> str:
    """Write the card of a version.

    Parameters
    ----------
    config : mapping
        The content of ``config.json``.

    Returns
    -------
    str
        Markdown.

    Raises
    ------
    RegistryError
        If an entry is missing or is something else than it should be.
    """
    try:
        return _write_card(config)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise RegistryError(explain("a complete config.json", f"no usable entry {error}", REMEDY_ANEW)) from error


def _write_card(config: Mapping[str, Any]) -> str:
    name, measured = f"{config['model']}@{config['version']}", config["accuracy"]
    parameters = [
        f"| `{p['name']}` | {p['bounds'][0]:g} to {p['bounds'][1]:g} | {markdown(p['unit'])} | "
        f"{markdown(p['meaning'])} |"
        for p in config["parameters"]
    ]
    networks = [
        _program_row(key, entry)
        if "program" in entry
        else f"| {key} | {' - '.join(map(str, entry['sizes']))} | {markdown(entry['activation'])} | "
        f"{flop(entry['sizes']):,} |"
        for key, entry in config["networks"].items()
    ]
    packages = markdown(", ".join(f"{package} {number}" for package, number in config["packages"].items()))
    return "\n".join(
        [
            f"# {name}",
            "",
            markdown(config["description"]),
            "",
            f"Reference: {markdown(config['reference'])}",
            "",
            "| parameter | trained bounds | unit | meaning |",
            "|---|---|---|---|",
            *parameters,
            "",
            f"Outcome: {markdown(config['outcome'])}.",
            "",
            "## Networks",
            "",
            "| network | layers | activation | FLOP per trial, forward |",
            "|---|---|---|---|",
            *networks,
            "",
            f"Labels: {markdown(config['labels'])}.",
            *_origin(config["training"], packages),
            "",
            "## Accuracy",
            "",
            *(["Unknown."] if measured is None else accuracy_lines(measured)),
            "",
        ]
    )


def _program_row(key: str, entry: Mapping[str, Any]) -> str:
    """The row of a network that is no plain multilayer perceptron."""
    return f"| {key} | {len(entry['program'])} operations on {entry['inputs']} inputs | - | {entry['flop']:,} |"


def _origin(training: Mapping[str, Any], packages: str) -> list[str]:
    if "imported" in training:
        files = [f"{_code(each['file'])} (sha256 {_code(each['sha256'])})" for each in training["imported"].values()]
        return [f"Imported from {' and '.join(files)} with {packages}."]
    if "elsewhere" in training:
        return [f"Trained elsewhere: {markdown(training['elsewhere'])}; made a network with {packages}."]
    return [
        f"Trained in {training['seconds']:g} s from seed {markdown(training['seed'])} with {packages};",
        "the recipe is in `config.json`.",
    ]


def accuracy_lines(measured: Mapping[str, Any]) -> list[str]:
    """Accuracy as lines of Markdown, for cards and the command line.

    Parameters
    ----------
    measured : mapping
        What `pymc_lan.diagnostics.accuracy` returns.

    Returns
    -------
    list of str
    """
    if "simulations" in measured:
        return _simulated_lines(measured)
    if "answers" in measured:
        return _answer_lines(measured)
    lan, mass, choice, gradient = (measured[key] for key in ("lan", "mass", "choice", "gradient"))
    lines = [
        f"Errors in nats against the labels on {measured['n']:,} trials of the model, parameters uniform over the "
        "bounds,",
        "5 ms < rt - t, rt < 20 s:",
        "",
        "| quantity | mean | p95 | p99 | max |",
        "|---|---|---|---|---|",
        f"| abs error of log f(rt, response) | {lan['mean']:g} | {lan['p95']:g} | {lan['p99']:g} | {lan['max']:g} |",
    ]
    if choice is not None:
        rows = {
            "go": "abs error of log P(go)",
            "nogo": "abs error of log P(no go)",
            "go_deadline": "the same, finite deadlines only: go",
            "nogo_deadline": "the same, finite deadlines only: no go",
        }
        for key, label in ((key, label) for key, label in rows.items() if key in choice):
            e = choice[key]
            lines.append(f"| {label} | {e['mean']:g} | {e['p95']:g} | {e['p99']:g} | {e['max']:g} |")
    if (e := measured.get("survivor")) is not None:
        label = "abs error of log P(neither boundary by a deadline)"
        lines.append(f"| {label} | {e['mean']:g} | {e['p95']:g} | {e['p99']:g} | {e['max']:g} |")
    lines += [
        "",
        f"Median absolute error {lan['median']:g}, bias {lan['bias']:g}. Mass of the density, distance from 1 over "
        f"{measured['n_mass']:,} parameter sets: median {mass['p50']:g}, p99 {mass['p99']:g}.",
    ]
    if measured["dropped"]:
        lines[-1] += f" Parameter sets left out for want of an accurate label: {100 * measured['dropped']:.2g} %."
    if gradient is not None:
        lines += ["", "| derivative with respect to | relative error, median | p99 |", "|---|---|---|"]
        lines += [f"| {_code(name)} | {e['median']:g} | {e['p99']:g} |" for name, e in gradient.items()]
    if choice is not None:
        deadlines = "one deadline in eight is none" if "go_deadline" in choice else "no trial has a deadline"
        lines += ["", f"Probabilities below 1e-4 are left out; {deadlines}."]
    return lines


def _simulated_lines(measured: Mapping[str, Any]) -> list[str]:
    """Accuracy of a network that was measured against simulations, as lines of Markdown."""
    kl, alone = measured["simulations"], "log_odds" in measured
    bins = "the choices" if alone else "bins of choice and time"
    lines = [
        f"Measured against {measured['n_trials']:,} fresh trials of each of {measured['n_sets']:,} parameter sets, "
        "uniform over the",
        f"bounds: the Kullback-Leibler divergence over {bins}, less what chance alone brings, in nats.",
        "",
        "| quantity | median | p95 | max |",
        "|---|---|---|---|",
        f"| divergence from the simulator | {kl['median']:g} | {kl['p95']:g} | {kl['max']:g} |",
        "",
    ]
    if alone:
        e = measured["log_odds"] or {"mean": math.nan, "max": math.nan}
        lines.append(
            f"Log odds of each choice, absolute error: mean {e['mean']:g}, largest {e['max']:g}; chance alone brings a "
            f"mean of {measured['log_odds_chance'] or math.nan:g}."
        )
        return lines
    mass, omission = measured["mass"], measured["omission"]
    lines.append(f"Total probability, distance from 1: median {mass['p50']:g}, p99 {mass['p99']:g}.")
    if omission is not None:
        lines.append(
            f"Probability of no response, absolute error: mean {omission['mean']:g}, largest {omission['max']:g}."
        )
    # Cards of earlier releases have no such entry.
    if (told := measured.get("c2st")) is not None:
        lines += [
            "",
            f"Of {told['n']:,} trials, half from the simulator and half drawn from the network, a classifier tells "
            f"{100 * told['accuracy']:.3g} % right (chance: up to {100 * told['accuracy_chance']:.3g} %),",
            f"area under the curve {told['auc']:g} (chance: up to {told['auc_chance']:g}).",
        ]
    return lines


def _answer_lines(measured: Mapping[str, Any]) -> list[str]:
    """Accuracy of the network of a task of perception, as lines of Markdown."""
    simulated, exact = measured["answers"], measured["labels"]
    return [
        "Absolute error of the log odds of a right answer, where both answers have a probability of 0.02 or more:",
        "",
        "| tasks | against | mean | p99 | largest |",
        "|---|---|---|---|---|",
        f"| {measured['n_tasks']:,} of ellipses with axes in ratios up to 5, one up to twice as large as the other, "
        f"distances d' of 0 to 5 | {measured['n_trials']:,} simulated trials of each, which alone bring a mean of "
        f"{simulated['chance']:g} | {simulated['mean']:g} | | {simulated['max']:g} |",
        f"| {measured['n_labels']:,} with variances in ratios of 1 / 300 to 300, distances of 0 to 16 | exact "
        f"probabilities | {exact['mean']:g} | {exact['p99']:g} | {exact['max']:g} |",
        "",
        f"Largest error of a probability, anywhere: {exact['probability']:g}.",
    ]
