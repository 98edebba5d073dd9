"""What all distributions share: data in, parameters checked, one random variable out."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, ClassVar

import numpy as np
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.distributions.distribution import Continuous
from pymc.distributions.shape_utils import convert_shape, convert_size, find_size
from pymc.model.core import modelcontext
from pymc.pytensorf import convert_observed_data
from pytensor.graph.basic import Constant, Variable
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.variable import TensorVariable

from pymc_lan.data.labelled import Trials
from pymc_lan.data.messages import say
from pymc_lan.data.observation import Observation, Silence
from pymc_lan.data.observed import RESPONSE, grid_of, read_observed
from pymc_lan.data.partly_seen import Parts
from pymc_lan.data.tables import AUTO, by_label, column_names, from_table
from pymc_lan.distributions.extent import (
    check_dims,
    check_total_size,
    fixed_lengths,
    names_of,
    trials_of_dims,
)
from pymc_lan.distributions.nodes import trial_node
from pymc_lan.distributions.provenance import COORDINATE, DATA, record
from pymc_lan.distributions.rows import read_rows
from pymc_lan.distributions.trial_rv import TrialRV
from pymc_lan.distributions.unobserved import mark_unobserved
from pymc_lan.distributions.values import (
    as_numbers,
    check_covariates,
    check_indices,
    check_parameter,
    is_minibatch,
    known_numbers,
    known_value,
    shared_by_trials,
)
from pymc_lan.errors import check_length, explain, unknown
from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.density import DeadlineView
from pymc_lan.models.model import Model, bind, require_views
from pymc_lan.models.simulator.logits import require_times
from pymc_lan.networks.network import Network
from pymc_lan.networks.program import AnyNetwork
from pymc_lan.registry.sources import AnyModel, find_network, get_model

LIKELIHOODS = ("lan", "exact")
WHOLE = Parts()
# Times whose latest is any: of responses alone it does not matter when a guess comes, unless something ends.
ANY_WINDOW = np.ones(1)

Float = NDArray[np.float64]


class TrialDistribution(Continuous):
    """A distribution over trials ``[rt, response]``; abstract, see the named ones."""

    # The model of a named distribution; those that take any model have None and take it as first argument.
    model: ClassVar[str | None] = None
    # The arguments that may be a column of the observed table, and are by default the one of their name.
    from_columns: ClassVar[tuple[str, ...]] = ("deadline",)

    def __new__(cls, name: str, *args: Any, observed: Any = None, dims: Any = None, **kwargs: Any) -> TensorVariable:  # type: ignore[misc]
        """Add the trials to the current PyMC model."""
        kwargs["total_size"] = check_total_size(kwargs.get("total_size"))
        source, positional = split_model(cls, args)
        spec, now = get_model(source), None
        require_times(spec)
        table, trials = None if isinstance(observed, Variable) else observed, _of_dims(dims)
        theta = in_order(table, dict(zip(spec.names, positional, strict=False)), trials)
        kwargs = in_order(table, kwargs, trials)
        if observed is not None:
            # Who says that there is no deadline has thought of the trials that would be missing.
            asked = kwargs.get("deadline", AUTO) is None
            kwargs |= {each: cls._from_table(each, kwargs, table, source) for each in cls.from_columns}
            observed, now, kwargs = cls._observe(observed, kwargs, spec)
            if kwargs["_times"] is not None and not asked:
                cls._look_at(kwargs["_times"], spec, kwargs)
            theta, kwargs = ({k: shared_by_trials(x, now) for k, x in each.items()} for each in (theta, kwargs))
        args = (*args[: len(args) - len(positional)], *theta.values(), *positional[len(theta) :])
        rv = super().__new__(cls, name, *args, observed=observed, dims=_value_dims(name, dims, now), **kwargs)
        write_record(rv)
        finish(cls, rv, observed, theta | kwargs)
        return rv

    @classmethod
    def _from_table(cls, argument: str, kwargs: dict[str, Any], table: Any, source: AnyModel) -> Any:
        """The values of an argument that may be a column."""
        value = kwargs.get(argument, AUTO)
        if isinstance(value, Variable):
            return value
        auto = isinstance(value, str) and value == AUTO
        if auto and column_names(table) is None and not getattr(table, "lost", ()):
            cls._say_none(argument, source, kwargs)
        is_there = auto and argument in (column_names(table) or ())
        if is_there and not cls.uses(argument, source, kwargs):
            say(
                "deadline: the column 'deadline' of the observed data is not used, because what this model knows of "
                "trials without a response depends on no deadline. If late trials were left out, estimates are biased."
            )
            return None
        return from_table(value, table, argument)

    @classmethod
    def _say_none(cls, argument: str, source: AnyModel, kwargs: Mapping[str, Any]) -> None:
        """Say that no column is taken, because there are none, where the distribution would have a use for one."""
        if argument == "deadline" and cls._takes_deadline(source, kwargs):
            say("deadline: the observed data have no columns, so there is none. deadline=... gives one; None is none.")

    @classmethod
    def uses(cls, argument: str, source: AnyModel, kwargs: Mapping[str, Any]) -> bool:
        """Whether a column that has the name of an argument is taken, where nothing is said."""
        return argument != "deadline" or cls._takes_deadline(source, kwargs)

    @classmethod
    def _takes_deadline(cls, source: AnyModel, kwargs: Mapping[str, Any]) -> bool:
        """Whether the model knows how likely it is that nothing happens before a deadline."""
        spec, network = resolve_model(source, kwargs.get("weights"), kwargs.get("likelihood"))
        return cls._knows_deadline(spec, network)

    @classmethod
    @abstractmethod
    def _knows_deadline(cls, spec: Model, network: Network | None) -> bool:
        """Whether such a model with such a network does."""

    @classmethod
    @abstractmethod
    def _observation(cls, spec: Model, deadline: Any, parts: Parts = WHOLE) -> Observation:
        """What is seen of the trials; `deadline` is None where there is none, and `parts` say what else is hidden."""

    @classmethod
    @abstractmethod
    def _check_network(cls, spec: Model, network: Network | None, deadline: Any) -> None:
        """Refuse, with a ValueError, networks that do not know all that may be seen."""

    @classmethod
    def _take_parts(cls, observed: Any, kwargs: dict[str, Any]) -> tuple[Float | None, Parts]:
        """Times in place of a column, and what is not seen of the trials; arguments of that are made numbers."""
        return None, WHOLE

    @classmethod
    def _observe(cls, observed: Any, kwargs: dict[str, Any], spec: Model) -> tuple[Any, Any, dict[str, Any]]:
        """Check the observed data, of a variable as they are now, and return them and the shape of the trials now."""
        deadline, response = kwargs["deadline"], kwargs.pop("response", RESPONSE)
        times, parts = cls._take_parts(observed, kwargs)
        observation, known = cls._observation(spec, deadline, parts), known_numbers(kwargs.get("rt_interval", 0.0))
        interval = 0.0 if known is None else known
        if isinstance(observed, Variable):
            _, now = read_rows(observed, observation, deadline, response, interval)
            # A length that is not known yet is looked at when the model is evaluated.
            grid = observed.type.shape[:-1]
            now = grid if is_minibatch(observed) else now
            return observed, now, kwargs | {"_grid": None if None in grid else grid, "_times": None}
        limits = None if deadline is None else known_value(deadline)
        checked = read_observed(
            observed, observation, response=response, deadline=limits, times=times, interval=interval
        )
        matrix = np.asarray(checked).reshape(*(grid_of(observed) or (-1,)), 2)
        grid = matrix.shape[:-1]
        return convert_observed_data(matrix), grid, kwargs | {"_grid": grid, "_times": checked[:, 0]}

    @classmethod
    def _look_at(cls, times: Float, spec: Model, kwargs: Mapping[str, Any]) -> None:
        """Warn of what the times of a table tell."""

    @classmethod
    def _make(
        cls,
        source: AnyModel,
        theta: dict[str, Any],
        extras: dict[str, Any],
        *,
        drifts: Mapping[str, Any] | None = None,
        likelihood: str | None,
        weights: AnyModel | None,
        grid: tuple[int, ...] | None,
        parts: Parts = WHOLE,
        **kwargs: Any,
    ) -> TensorVariable:
        """Build the random variable from bound parameters and checked extras; `drifts` are what v is made of."""
        spec, network = resolve_model(source, weights, likelihood)
        require_times(spec)
        deadline = extras.get("deadline")
        observation = cls._observation(spec, deadline, parts)
        cls._check_network(spec, network, deadline)
        for name, value in (drifts or {}).items():
            check_parameter(spec.parameter("v"), value, trained=network is not None, name=name)
        for p in spec.parameters:
            check_parameter(p, theta[p.name], trained=network is not None)
        spec.check_values({name: x for name, value in theta.items() if (x := constant_value(value)) is not None})
        params = theta | extras
        for name, value in params.items():
            check_indices(name, value, grid)
            check_covariates(name, value, grid)
        if grid is not None:
            for name, value in params.items():
                check_length(name, value, grid)
        op = TrialRV(
            spec,
            network.lan if network is not None else None,
            None if network is None else needed_choice(network, observation.silence),
            observation=observation,
            lapses=not is_zero(extras["p_lapse"]),
            record=record(network),
        )
        return apply_rv(op, [pt.as_tensor_variable(params[name]) for name in op.parameters], **kwargs)


def in_order(table: Any, arguments: Mapping[str, Any], trials: Trials | None = None) -> dict[str, Any]:
    """Put what has labels among arguments into the order of the observed trials."""
    return {k: x if isinstance(x, Variable | str) else by_label(x, table, k, trials) for k, x in arguments.items()}


def finish(cls: Any, rv: TensorVariable, observed: Any, arguments: Mapping[str, Any]) -> None:
    """Tell the random variable what has been given with it: arguments by name, and whether there are data."""
    node = trial_node(rv)
    assert node is not None, rv
    spec = node.op.spec
    numbers = {*spec.names, *(p.keyword for p in spec.parameters), *signature(cls.dist).parameters}
    numbers = {
        name for name in numbers - {"likelihood", "weights", "missing", "truncation"} if not name.startswith("_")
    }
    node.op.lengths = fixed_lengths({name: x for name, x in arguments.items() if name in numbers and x is not None})
    if observed is None:
        mark_unobserved(str(rv.name), node.op, modelcontext(None).rvs_to_values[rv])


def write_record(rv: TensorVariable) -> None:
    """Put what is known of the weights into the model, so that every sampler copies it into its results."""
    from pymc.data import Data

    node = trial_node(rv)
    assert node is not None, rv
    lines, name = node.op.record, DATA.format(rv.name)
    modelcontext(None).add_coord(COORDINATE.format(rv.name), lines)
    Data(name, np.arange(len(lines)), dims=COORDINATE.format(rv.name))


def deadline_view(network: Network | None) -> DeadlineView | None:
    """How a network sees deadlines that it has a network of trials without a response for."""
    return None if network is None or network.choice is None else require_views(network.spec).choice


def needed_choice(network: Network, silence: Silence | None) -> AnyNetwork | None:
    """The network of trials without a response where it knows them, or both are parts of the density, as of a race."""
    if silence is Silence.OMISSION and network.survivor is not None:
        return network.survivor
    view = require_views(network.spec).choice
    return network.choice if view is None or view.silence is silence else None


def apply_rv(
    op: RandomVariable,
    params: Sequence[TensorVariable],
    *,
    shape: Any = None,
    size: Any = None,
    rng: Any = None,
    return_next_rng: bool = False,
) -> Any:
    """Apply a random variable as `pymc.Distribution.dist` does, which knows only one random variable per class."""
    shape = convert_shape(shape)
    if shape is not None and len(shape) == max(p.type.ndim for p in params) and op.ndim_supp:
        # The shape of a parameter, as in shape=v.shape, is that of the trials.
        shape = (*shape, 2)
    if shape and op.ndim_supp and isinstance(shape[-1], int) and shape[-1] != 2:
        remedy = f"shape={(*shape, 2)} for as many trials, or give a parameter one value for each"
        raise ValueError(explain("shape to end in 2, for rt and response", f"{tuple(shape)}", remedy))
    size = find_size(shape=shape, size=convert_size(size), ndim_supp=op.ndim_supp)
    rng = pt.random.shared_rng(seed=None) if rng is None else rng
    next_rng, rv = op(*params, size=size, rng=rng, return_next_rng=True)
    return (next_rng, rv) if return_next_rng else rv


def split_model(cls: Any, args: Sequence[Any]) -> tuple[AnyModel, tuple[Any, ...]]:
    """Separate the model from the parameters, for distributions that name theirs and those that do not."""
    if cls.model is not None:
        return cls.model, tuple(args)
    if not args or not isinstance(args[0], (str, Model, Network, os.PathLike)):
        raise ValueError(
            explain(
                f"{cls.__name__}(name, model, *parameters)",
                "no model",
                "give a model's name, a Model, a folder or a Network as first argument after the name",
            )
        )
    return args[0], tuple(args[1:])


def resolve_model(source: AnyModel, weights: AnyModel | None, likelihood: str | None) -> tuple[Model, Network | None]:
    """Find spec and network; the network is None for the closed form.

    Without `likelihood` it is the network, and the closed form of a model that has nothing else.

    Raises
    ------
    ValueError
        If `likelihood` is unknown, the model has no closed form, or the weights are those of another model.
    RegistryError
        If the weights cannot be found or verified.
    """
    if likelihood not in (None, *LIKELIHOODS):
        raise ValueError(unknown("likelihood", str(likelihood), LIKELIHOODS))
    spec = get_model(source)
    if spec.views is None:
        if likelihood == "lan" or weights is not None:
            found = "likelihood='lan'" if weights is None else "weights"
            remedy = "leave likelihood and weights out"
            raise ValueError(explain(f"the closed form of {spec.name!r}, which has no network", found, remedy))
        return spec, None
    if likelihood == "exact":
        if spec.exact is None:
            raise ValueError(
                explain(
                    "a model with a closed form, for likelihood='exact'",
                    f"{spec.name!r}",
                    "use likelihood='lan'",
                )
            )
        return spec, None
    # A simulator draws the trials of a model that is known by it; only the spec that was given has one.
    own = spec if spec.simulator is not None else None
    network = find_network(source if weights is None else weights, own)
    if network.spec.name != spec.name:
        raise ValueError(
            explain(
                f"weights of model {spec.name!r}",
                f"weights of {network.name!r}",
                "give the model's own weights",
            )
        )
    # The network's own: other weights of a model may see trials in another way, within other bounds.
    return network.spec, network


def extract_theta(cls: Any, spec: Model, positional: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Take the model's parameters out of `kwargs` and match them with the positional ones of a distribution."""
    known_to_pymc = {"shape", "size", "rng", "return_next_rng"}
    names = {p.keyword: p.name for p in spec.parameters}
    named = {names.get(key, key): kwargs.pop(key) for key in [*kwargs] if key not in known_to_pymc}
    if RESPONSE in named and RESPONSE not in spec.names:
        expected = "observed trials beside response=..., which says how they are read"
        raise ValueError(explain(expected, "none", "give observed=..., or leave response out"))
    _refuse_of_others(spec, named)
    for name in named:
        spec.parameter(name, also=[key for key in signature(cls.dist).parameters if not key.startswith("_")])
    return {name: as_numbers(spec.parameter(name).keyword, x) for name, x in bind(spec, positional, named).items()}


def _refuse_of_others(spec: Model, named: Mapping[str, Any]) -> None:
    """Refuse a parameter that other models have: they are told, and not one that is spelled like it."""
    alike = [other for other in MODELS.values() if other.choices == spec.choices]
    for name in named:
        others = [other.name for other in alike if name in other.names]
        if others and name not in spec.names:
            found = f"{name}, a parameter of {', '.join(others)}"
            remedy = "take one of those, or leave it out"
            raise ValueError(explain(f"the parameters {', '.join(spec.names)} of model {spec.name!r}", found, remedy))


def lapse_window(value: Any, p_lapse: Any, deadline: Any, times: Any) -> Any:
    """The window in which each trial's guess falls: as given, else its deadline where finite, else the largest rt."""
    if value is not None:
        return _check_window(as_numbers("lapse_window", value))
    ends = constant_value(np.inf if deadline is None else deadline)
    if ends is not None and np.all(np.isfinite(ends)):
        return deadline
    seen = [] if times is None else times[np.isfinite(times) & (times > 0)]
    longest = float(np.max(seen)) if len(seen) else None
    if ends is None and longest is not None:
        return pt.where(pt.isinf(deadline), longest, deadline)
    if longest is not None:
        return np.where(np.isfinite(ends), ends, longest)
    now = known_numbers(deadline)
    if ends is None and (now is None or np.all(np.isfinite(now))):
        return deadline
    if is_zero(p_lapse):
        return 1.0
    raise ValueError(
        explain(
            "a lapse_window, because p_lapse is not 0",
            "neither finite deadlines nor observed times to take it from (those of pm.Data may change)",
            "give lapse_window=..., the seconds in which a guess may fall",
        )
    )


def _check_window(value: Any) -> Any:
    """Refuse a constant window in which no guess can fall."""
    window = known_numbers(value)
    if window is not None and not np.all((window > 0) & (window < np.inf)):
        expected = "lapse_window above 0 s and finite"
        raise ValueError(
            explain(expected, f"{window}", "give the seconds from stimulus onset in which a guess may fall")
        )
    return value


def constant_value(value: Any) -> Any:
    """The number or array behind a constant; None for anything symbolic."""
    if isinstance(value, Constant):
        return np.asarray(value.data, np.float64)
    return None if isinstance(value, Variable) else np.asarray(value, np.float64)


def is_zero(value: Any) -> bool:
    """Whether a value is a constant, and nothing but zeros."""
    constant = constant_value(value)
    return constant is not None and not np.any(constant)


def _of_dims(dims: Any) -> Trials | None:
    """What the model says of the trials' dimensions."""
    return None if dims is None else trials_of_dims(modelcontext(None), names_of(dims))


def _value_dims(name: str, dims: Any, grid: tuple[int | None, ...] | None) -> Any:
    """Let users name the trials' dimensions only: the axis of rt and response gets a name that none of theirs is."""
    if dims is None:
        return None
    names = names_of(dims)
    if grid is not None:
        check_dims(modelcontext(None), names[: len(grid)] if len(names) == len(grid) + 1 else names, grid)
    if len(names) != (1 if grid is None else len(grid)):
        return names
    model, labels, axis = modelcontext(None), ("rt", "response"), "trial_value"
    while axis in {*model.dim_lengths, *model.named_vars, *names} and model.coords.get(axis) != labels:
        axis = f"{name}_{axis}"
    model.add_coord(axis, labels)
    return (*names, axis)
