"""Distributions for decision data in PyMC, with fast and verified neural likelihoods.

Names load on first use, so that importing the package costs little and has no side effects.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str

    from pymc_lan.amortized.amortize import amortize as amortize
    from pymc_lan.amortized.amortizer import Amortizer as Amortizer
    from pymc_lan.amortized.load import load_amortized as load_amortized
    from pymc_lan.data.observed import as_dataframe as as_dataframe
    from pymc_lan.data.observed import as_observed as as_observed
    from pymc_lan.data.stimuli import read_answers as read_answers
    from pymc_lan.data.stimuli import read_wishart_weights as read_wishart_weights
    from pymc_lan.data.trials import read_trials as read_trials
    from pymc_lan.diagnostics.check import check as check
    from pymc_lan.distributions.choice import ChoiceDist as ChoiceDist
    from pymc_lan.distributions.field import wishart_field as wishart_field
    from pymc_lan.distributions.flax_module import flax_module as flax_module
    from pymc_lan.distributions.gonogo import GoNoGo as GoNoGo
    from pymc_lan.distributions.landist import LANDist as LANDist
    from pymc_lan.distributions.named import *  # noqa: F403
    from pymc_lan.distributions.perception import Oddity as Oddity
    from pymc_lan.distributions.perception import ThreeAlternative as ThreeAlternative
    from pymc_lan.distributions.perception import TwoAlternative as TwoAlternative
    from pymc_lan.distributions.provenance import cite as cite
    from pymc_lan.distributions.races import LBA as LBA
    from pymc_lan.distributions.races import LNR as LNR
    from pymc_lan.distributions.races import RDM as RDM
    from pymc_lan.distributions.races import Race as Race
    from pymc_lan.distributions.softmax import Softmax as Softmax
    from pymc_lan.distributions.stop_signal import StopSignal as StopSignal
    from pymc_lan.errors import RegistryError as RegistryError
    from pymc_lan.inference import MapFit as MapFit
    from pymc_lan.inference import fit_map as fit_map
    from pymc_lan.inference import initvals as initvals
    from pymc_lan.inference import sample_blackjax as sample_blackjax
    from pymc_lan.inference.members.informed import informed as informed
    from pymc_lan.inference.members.table import informed_table as informed_table
    from pymc_lan.inference.subjects.hierarchy import group_posterior as group_posterior
    from pymc_lan.inference.subjects.posteriors import posteriors as posteriors
    from pymc_lan.models.diffusion.kinds import ModelSpec as ModelSpec
    from pymc_lan.models.parameters import Parameter as Parameter
    from pymc_lan.models.simulator.spec import simulator_spec as simulator_spec
    from pymc_lan.ops.jax_function.function import jax_function as jax_function
    from pymc_lan.registry.export import export as export
    from pymc_lan.registry.from_flax import from_flax as from_flax
    from pymc_lan.registry.import_onnx import import_onnx as import_onnx
    from pymc_lan.registry.listing import list_models as list_models
    from pymc_lan.registry.load import load_network as load_network
    from pymc_lan.registry.load import pull as pull
    from pymc_lan.registry.load import register as register
    from pymc_lan.registry.orbax import import_orbax as import_orbax
    from pymc_lan.registry.publish import publish as publish
    from pymc_lan.registry.simulate import simulate as simulate
    from pymc_lan.registry.sources import get_model as get_model
    from pymc_lan.regressions.bambi import bambi_family as bambi_family
    from pymc_lan.regressions.regression import load_regression as load_regression
    from pymc_lan.regressions.regression import regression as regression
    from pymc_lan.training.recipes import Recipe as Recipe
    from pymc_lan.training.recipes import SimulationRecipe as SimulationRecipe
    from pymc_lan.training.simulated.offline import simulate_to as simulate_to
    from pymc_lan.training.train import train as train
    from pymc_lan.training.training_data import training_data as training_data
    from pymc_lan.training.training_data import training_data_to as training_data_to

# Where each name is. Named distributions are not among them: they are the classes of `distributions.named`.
_SOURCES = {
    "Amortizer": "amortized.amortizer",
    "ChoiceDist": "distributions.choice",
    "GoNoGo": "distributions.gonogo",
    "LANDist": "distributions.landist",
    "LBA": "distributions.races",
    "LNR": "distributions.races",
    "MapFit": "inference",
    "ModelSpec": "models.diffusion.kinds",
    "Oddity": "distributions.perception",
    "Parameter": "models.parameters",
    "Recipe": "training.recipes",
    "RDM": "distributions.races",
    "Race": "distributions.races",
    "RegistryError": "errors",
    "SimulationRecipe": "training.recipes",
    "Softmax": "distributions.softmax",
    "StopSignal": "distributions.stop_signal",
    "ThreeAlternative": "distributions.perception",
    "TwoAlternative": "distributions.perception",
    "amortize": "amortized.amortize",
    "as_dataframe": "data.observed",
    "as_observed": "data.observed",
    "bambi_family": "regressions.bambi",
    "check": "diagnostics.check",
    "cite": "distributions.provenance",
    "export": "registry.export",
    "fit_map": "inference",
    "flax_module": "distributions.flax_module",
    "from_flax": "registry.from_flax",
    "get_model": "registry.sources",
    "group_posterior": "inference.subjects.hierarchy",
    "import_onnx": "registry.import_onnx",
    "import_orbax": "registry.orbax",
    "informed": "inference.members.informed",
    "informed_table": "inference.members.table",
    "initvals": "inference",
    "jax_function": "ops.jax_function.function",
    "list_models": "registry.listing",
    "load_amortized": "amortized.load",
    "load_network": "registry.load",
    "load_regression": "regressions.regression",
    "posteriors": "inference.subjects.posteriors",
    "publish": "registry.publish",
    "pull": "registry.load",
    "read_answers": "data.stimuli",
    "read_trials": "data.trials",
    "read_wishart_weights": "data.stimuli",
    "register": "registry.load",
    "regression": "regressions.regression",
    "sample_blackjax": "inference",
    "simulate": "registry.simulate",
    "simulate_to": "training.simulated.offline",
    "simulator_spec": "models.simulator.spec",
    "train": "training.train",
    "training_data": "training.training_data",
    "training_data_to": "training.training_data",
    "wishart_field": "distributions.field",
}
_MODULES = ("diagnostics", "plots")


def _distributions() -> Mapping[str, Any]:
    """Named distributions by their names: the classes of `pymc_lan.distributions.named`, which loads PyMC."""
    import_module("pymc_lan.distributions.named")
    from pymc_lan.distributions.naming import DISTRIBUTIONS

    return DISTRIBUTIONS


def __getattr__(name: str) -> Any:
    if name in _SOURCES:
        return getattr(import_module(f"pymc_lan.{_SOURCES[name]}"), name)
    if name in _MODULES:
        return import_module(f"pymc_lan.{name}")
    if name == "__version__":
        from importlib.metadata import version

        return version("pymc-lan")
    if name == "__all__":
        return ["__version__", *_SOURCES, *_distributions(), *_MODULES]
    if name[:1].isupper() and name in _distributions():
        return _distributions()[name]
    raise AttributeError(f"module 'pymc_lan' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__getattr__("__all__"))
