"""The models this release knows by name."""

from __future__ import annotations

from pymc_lan.models.diffusion.catalogue import DIFFUSIONS
from pymc_lan.models.model import Model
from pymc_lan.models.perception.catalogue import TASK_SPECS
from pymc_lan.models.race.catalogue import RACE_SPECS
from pymc_lan.models.simulator.catalogue import SIMULATED_SPECS

MODELS: dict[str, Model] = {**DIFFUSIONS} | {spec.name: spec for spec in (*RACE_SPECS, *SIMULATED_SPECS, *TASK_SPECS)}
"""The models by name."""
