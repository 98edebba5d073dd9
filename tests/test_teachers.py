"""Who teaches a model: what its teacher says of it is what the configs of the shipped versions say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toy_simulators import COIN

import pymc_lan as pl
from pymc_lan.training.labelled.answers import AnswerTeacher
from pymc_lan.training.labelled.teacher import LabelTeacher
from pymc_lan.training.simulated.teacher import SimulationTeacher
from pymc_lan.training.teacher import Wishes
from pymc_lan.training.train import teacher_of

CONFIGS = sorted((Path(__file__).resolve().parents[1] / "weights_registry").glob("*/*/config.json"))
TEACHERS = {"levy": SimulationTeacher, "lca_3": SimulationTeacher, "oddity_2d": AnswerTeacher}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.parts[-3])
def test_teachers_say_what_shipped_configs_say(path: Path) -> None:
    config = json.loads(path.read_text())
    spec = pl.get_model(config["model"])
    teacher = teacher_of(spec).of(spec, Wishes(), config["training"]["seed"])
    assert isinstance(teacher, TEACHERS.get(spec.name, LabelTeacher))
    assert (teacher.labels, teacher.outcome) == (config["labels"], config["outcome"])


def test_a_model_of_your_own_is_taught_by_what_it_has() -> None:
    assert isinstance(teacher_of(COIN).of(COIN, Wishes(), 0), SimulationTeacher)
