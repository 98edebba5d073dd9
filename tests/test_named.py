"""Named distributions: plain classes that one can read, public by themselves, and described by their models."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import pymc_lan as pl
from pymc_lan.distributions import named
from pymc_lan.models.catalogue import MODELS
from pymc_lan.models.diffusion.catalogue import DIFFUSIONS

NAMED = pl._distributions()
# Written by hand; the others are described by their models.
DESCRIBED = {"DDM", "GoNoGoDDM"}


@pytest.mark.parametrize("name", NAMED)
def test_a_name_leads_to_a_plain_class_of_three_lines(name: str) -> None:
    cls = getattr(pl, name)
    assert cls is NAMED[name]
    assert cls is getattr(named, name)
    lines = inspect.getsource(cls).splitlines()
    base = "GoNoGo" if name.startswith("GoNoGo") else "LANDist"
    assert lines[:2] == ["@named", f"class {name}({base}):"]
    assert lines[-1] == f'    model = "{cls.model}"'
    assert (len(lines) == 3) != (name in DESCRIBED)


def test_every_model_has_its_distribution() -> None:
    """One for two choices or more, and at most one for go/no-go trials, of diffusions alone; tasks have their own."""
    timed = sorted(name for name, spec in MODELS.items() if spec.times)
    press = [cls.model for cls in NAMED.values() if issubclass(cls, pl.GoNoGo)]
    assert sorted(cls.model for cls in NAMED.values() if not issubclass(cls, pl.GoNoGo)) == timed
    assert {"ddm", "angle", "weibull", "full_ddm"} <= {*press} <= {*DIFFUSIONS}
    assert len({*press}) == len(press)


def test_a_model_describes_its_distribution() -> None:
    text = inspect.getdoc(pl.GoNoGoOrnstein)
    assert text is not None
    assert text.splitlines()[0] == "Ornstein-Uhlenbeck process."
    assert "``GoNoGoOrnstein(name, v, a, z, g, t, ...)``: " in text
    assert "z : tensor_like, default 0.5\n" in text
    assert "As `GoNoGo` has them." in text
    assert "Responses are coded (0, 1, 2); " in (inspect.getdoc(pl.RDM3) or "")
    assert "The likelihood is a closed form" in (inspect.getdoc(pl.LBA2) or "")


def test_a_parameter_of_other_models_leads_to_them() -> None:
    others = "ddm_sdv, full_ddm"
    with pytest.raises(ValueError, match=rf"v, a, z, t of model 'ddm'\. Found sv, a parameter of {others}\. Remedy"):
        pl.DDM.dist(1.0, 1.0, t=0.3, sv=0.5)
    # Of an accumulator, whose responses are others.
    with pytest.raises(ValueError, match=r"Unknown parameter 'A' of model 'ddm'.*Did you mean 'a'"):
        pl.DDM.dist(1.0, A=1.0, t=0.3)


def test_all_names_come_with_a_star() -> None:
    names: dict[str, Any] = {}
    exec("from pymc_lan import *", names)
    assert {*NAMED, "LANDist", "GoNoGo", "ChoiceDist", "train", "plots"} <= {*names}
    assert {*pl.__all__} <= {*names}
    assert {*NAMED} <= {*dir(pl)}


def test_a_further_one_is_public_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from pymc_lan.distributions.naming import DISTRIBUTIONS, named

    # So that what the decorator adds is taken away again.
    monkeypatch.setitem(DISTRIBUTIONS, "Falling", pl.Angle)

    @named
    class Falling(pl.LANDist):
        model = "angle"

    assert getattr(pl, "Falling") is Falling  # noqa: B009 - type checkers know no such name
    assert "Falling" in pl.__all__
    assert "``Falling(name, v, a, z, t, theta, ...)``: " in (Falling.__doc__ or "")
