"""How networks see the trials of a model that is known by its simulator alone.

Nothing is known of the density but trials, so the baseline is fitted first: for each choice a log-normal density of
decision times, times the chance of the choice. Its locations, spreads and chances depend on the parameters through a
small network of one hidden layer, whose weights are part of the model's spec (`baseline`). The likelihood network
corrects it, and sees decision times in its units, in which all parameter sets look nearly alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from pymc_lan.errors import explain
from pymc_lan.models.diffusion.closed_deadline import softplus
from pymc_lan.models.diffusion.kinds import unknown_dynamics
from pymc_lan.models.spec import Model, Parameter, Reference, seen
from pymc_lan.numerics.passage import LOG_SQRT_2PI, Namespace, Theta

# A parameter whose bounds are positive and this many times apart is seen on a logarithmic scale.
WIDE_RATIO = 4.0
# So many standard deviations before the typical decision, the log density goes on in a straight line ...
ONSET_DEVIATIONS = 5.0
# ... and the shortest decision time that is looked at [s]: a tenth of what any clock of an experiment resolves.
SHORTEST = 1e-4
# Standard deviations of log decision times are never smaller or larger than this, and no trial is seen farther out.
LEAST_SPREAD, MOST_SPREAD, FARTHEST = 0.01, 10.0, 20.0
# The transform of a spec whose networks see trials in this way.
SIMULATED = "simulated"
# Numbers of the baseline for each choice: location, log spread, logit.
PER_CHOICE = 3


def scaled(xp: Namespace, spec: Model, theta: Theta) -> list[Any]:
    """The parameters as networks see them, from -1 to 1 over the bounds, without a shift."""
    return [_scaled(xp, p, theta[p.name], linear=p.name in spec.mirror) for p in seen(spec)]


def _scaled(xp: Namespace, p: Parameter, x: Any, *, linear: bool) -> Any:
    low, high = p.bounds
    if not linear and low > 0 and high / low >= WIDE_RATIO:
        low, high, x = math.log(low), math.log(high), xp.log(x)
    return (x - (low + high) / 2) * (2 / (high - low))


def is_symmetric(spec: Model) -> bool:
    """Whether what holds of one choice holds, with parameters that change places or sign, of the others."""
    return bool(spec.mirror or spec.exchange)


def views(xp: Namespace, spec: Model, theta: Theta) -> list[list[Any]]:
    """The scaled parameters as each choice of a symmetric model sees them, its own first; else the only view."""
    found = {p.name: x for p, x in zip(seen(spec), scaled(xp, spec, theta), strict=True)}
    if spec.mirror:
        # The last choice sees them as they are.
        return [[-x if name in spec.mirror else x for name, x in found.items()], [*found.values()]]
    if not spec.exchange:
        return [[*found.values()]]
    result = []
    for k in range(len(spec.choices)):
        moved = {old: new for group in spec.exchange for old, new in zip(group, group[k:] + group[:k], strict=True)}
        result.append([found[moved.get(name, name)] for name in found])
    return result


def _is(xp: Namespace, response: Any, code: int) -> Any:
    """Whether a response is that choice; PyTensor's variables know no ``==``."""
    return xp.abs(response - code) < 0.5


@dataclass(frozen=True, slots=True)
class SimulatedTransform:
    """What stands for a `pymc_lan.models.diffusion.closed_view.Transform` where only a simulator is known.

    Parameters
    ----------
    spec : Model
        With its `baseline`.
    """

    spec: Model

    @property
    def n_inputs(self) -> int:
        """Three of the time, those of the parameters and, without symmetry, one less than there are choices."""
        return 3 + len(seen(self.spec)) + (0 if is_symmetric(self.spec) else len(self.spec.choices) - 1)

    def _chosen(self, xp: Namespace, response: Any, values: Sequence[Any]) -> Any:
        """The value of the choice that was made; that of the last for any other code."""
        pairs = list(zip(self.spec.choices, values, strict=True))
        return reduce(lambda rest, each: xp.where(_is(xp, response, each[0]), each[1], rest), pairs[:-1], pairs[-1][1])

    def _units(self, xp: Namespace, response: Any, theta: Theta) -> tuple[Any, Any, Any]:
        """Location and spread of the log decision time, and log chance, of the choice that was made."""
        assert self.spec.baseline is not None  # networks are built with it
        out = [x for view in views(xp, self.spec, theta) for x in self.spec.baseline(xp, view)]
        location, log_spread, logit = (self._chosen(xp, response, out[k::PER_CHOICE]) for k in range(PER_CHOICE))
        low, high = math.log(LEAST_SPREAD), math.log(MOST_SPREAD)
        log_chance = logit - reduce(xp.logaddexp, out[2::PER_CHOICE])
        return location, xp.exp(xp.minimum(xp.maximum(log_spread, low), high)), log_chance

    def _told(self, xp: Namespace, response: Any, theta: Theta) -> list[Any]:
        """What the network sees of response and parameters: with symmetry, parameters as the choice made sees them."""
        if not is_symmetric(self.spec):
            codes = [xp.where(_is(xp, response, code), 1.0, -1.0) for code in self.spec.choices[1:]]
            return [*codes, *scaled(xp, self.spec, theta)]
        columns = zip(*views(xp, self.spec, theta), strict=True)
        return [x[0] if all(each is x[0] for each in x) else self._chosen(xp, response, x) for x in columns]

    def look(self, xp: Namespace, log_d: Any, response: Any, theta: Theta) -> tuple[tuple[Any, ...], Any]:
        """Network inputs, and the baseline as a log density of the logarithm of the decision time."""
        location, spread, log_chance = self._units(xp, response, theta)
        s = (log_d - location) / spread
        near = xp.minimum(xp.maximum(s, -FARTHEST), FARTHEST)
        late, early = xp.exp(near), xp.exp(-near)
        inputs = (near, late / (1 + 0.1 * late), early / (1 + 0.1 * early), *self._told(xp, response, theta))
        return inputs, log_chance - xp.log(spread) - LOG_SQRT_2PI - s * s / 2

    def baseline(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> Any:
        """The reference's log density, which the network corrects."""
        log_d = xp.log(xp.maximum(d, SHORTEST))
        return self.look(xp, log_d, response, theta)[1] - log_d

    def inputs(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> tuple[Any, ...]:
        """Network inputs, each of order one."""
        return self.look(xp, xp.log(xp.maximum(d, SHORTEST)), response, theta)[0]

    def onset(self, xp: Namespace, d: Any, response: Any, theta: Theta) -> tuple[Any, Any]:
        """``(d_min, slope)`` as for closed forms, `ONSET_DEVIATIONS` before the typical decision."""
        location, spread, _ = self._units(xp, response, theta)
        d_min = xp.maximum(xp.exp(location - ONSET_DEVIATIONS * spread), SHORTEST)
        return d_min, xp.maximum(ONSET_DEVIATIONS / spread - 1, 1.0) / d_min


@dataclass(frozen=True, slots=True)
class SimulatedChoice:
    """What stands for a choice transform: the network gives the logit of a trial without a response.

    Parameters
    ----------
    spec : Model
    """

    spec: Model

    @property
    def n_inputs(self) -> int:
        """Those of the parameters."""
        return len(seen(self.spec))

    def log_go(self, xp: Namespace, network: Callable[..., Any], horizon: Any, theta: Theta) -> tuple[Any, Any]:
        """Log probability of a response, and of none; a deadline, where there is one, is a parameter."""
        logit = network(tuple(scaled(xp, self.spec, theta)))
        return -softplus(xp, logit), -softplus(xp, -logit)


def simulated_spec(spec: Model | None, config: Mapping[str, Any]) -> Model:
    """The spec that a network was trained for: the given one, or one without a simulator, with what the config says.

    Raises
    ------
    ValueError
        If the given spec has other parameters or choices.
    """
    lan = config["networks"]["lan"]
    parameters = tuple(
        Parameter(p["name"], (p["bounds"][0], p["bounds"][1]), p["unit"], p["meaning"], p.get("default"))
        for p in config["parameters"]
    )
    names, choices = tuple(p.name for p in parameters), tuple(config["choices"])
    # A model of responses alone has neither.
    baseline = Reference.from_lists(lan["baseline"]) if "baseline" in lan else None
    fixed = {"transform": lan["transform"], "baseline": baseline, "shift": lan.get("shift")}
    fixed["mirror"] = tuple(lan.get("mirror", ()))
    fixed["exchange"] = tuple(map(tuple, lan.get("exchange", ())))
    if spec is None:
        spec = Model(
            config["model"],
            parameters,
            unknown_dynamics,
            unknown_dynamics,
            config["description"],
            config["reference"],
            choices,
            **fixed,
            omissions="choice" in config["networks"],
        )
    if spec.transform != fixed["transform"]:
        kinds = [f"{each!r}" for each in (fixed["transform"], spec.transform)]
        raise ValueError(explain(f"a model of the kind {kinds[0]}", kinds[1], "give the spec that it was trained with"))
    trained_with = {name: fixed[name] for name in ("shift", "mirror", "exchange")}
    mine = {name: getattr(spec, name) for name in trained_with}
    if (spec.names, spec.choices, mine) != (names, choices, trained_with):
        expected = f"{_in_words(names, choices, trained_with)} of {config['model']!r}"
        found = _in_words(spec.names, spec.choices, mine)
        remedy = "give the spec that the network was trained with"
        raise ValueError(explain(expected, found, remedy))
    bounds = [p.bounds for p in parameters]
    trained = tuple(replace(p, bounds=b) for p, b in zip(spec.parameters, bounds, strict=True))
    spec = replace(spec, parameters=trained, **fixed)
    _check_stored(spec)
    return spec


def _check_stored(spec: Model) -> None:
    """Refuse a baseline or a symmetry that does not go together with the parameters and choices."""
    n, seen_names = len(spec.choices), [p.name for p in seen(spec)]
    named = [name for group in (spec.mirror, *spec.exchange) for name in group]
    alike = all(len(group) == n for group in spec.exchange) and (not spec.mirror or n == 2)
    if not ({*named} <= {*seen_names} and alike):
        found = _in_words(spec.names, spec.choices, {"mirror": spec.mirror, "exchange": spec.exchange})
        raise ValueError(explain("symmetries of the model's own parameters and choices", found, "train it anew"))
    rows = None if spec.baseline is None else (spec.baseline.inner, spec.baseline.outer)
    if rows is None and spec.transform == SIMULATED:
        raise ValueError(explain("a baseline", "none", "train it anew"))
    if rows is not None:
        units, width = len(rows[0]), len(seen_names)
        outputs = PER_CHOICE * (1 if is_symmetric(spec) else n)
        lengths = ([len(row) for row in rows[0]], [len(row) for row in rows[1]])
        finite = all(math.isfinite(x) for part in rows for row in part for x in row)
        if lengths != ([width + 1] * units, [units + 1] * outputs) or not finite:
            expected = f"a baseline of {width} inputs and {outputs} outputs, all finite"
            raise ValueError(explain(expected, f"rows of {lengths}", "train it anew"))


def _in_words(names: Sequence[str], choices: Sequence[int], rest: Mapping[str, Any]) -> str:
    """In words, what of a spec its networks depend on."""
    return f"parameters {', '.join(names)}, choices {choices}, " + ", ".join(f"{k} {x}" for k, x in rest.items())
