"""What sampling returned is kept on a disk, and comes back."""

from __future__ import annotations

from pathlib import Path

import arviz as az
import numpy as np
import pymc as pm
from xarray import Dataset, DataTree

import pymc_lan as pl


def test_what_sampling_returns_is_written_and_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    trials = np.column_stack([0.3 + rng.gamma(2, 0.2, 20), rng.choice([-1, 1], 20)])
    with pm.Model(coords={"größe": ["klein", "groß"]}) as model:
        v = pm.Normal("v", 1, 1, dims="größe")
        pl.DDM("obs", v[np.resize([0, 1], 20)], 1.0, 0.5, 0.2, observed=trials)
    # What the samplers hand to PyMC, which adds data and coordinates; nutpie's messages are objects, mostly None.
    drawn = {"v": rng.normal(size=(2, 3, 2)), "obs": rng.normal(size=(2, 3, 20, 2))}
    idata = pm.to_inference_data(posterior_predictive=drawn, model=model)
    idata["sample_stats"] = DataTree(Dataset({"divergence_message": (("chain", "draw"), np.full((2, 3), None))}))
    # A name such as people have on their disks.
    file = tmp_path / "Versuch 1 für Übung.nc"
    idata.to_netcdf(file)
    back = az.from_netcdf(file)
    assert {*back.children} == {*idata.children} >= {"constant_data", "posterior_predictive", "observed_data"}
    for group in set(idata.children) - {"sample_stats"}:
        for name, values in idata[group].data_vars.items():
            np.testing.assert_array_equal(back[group][name].to_numpy(), values.to_numpy())
    assert back["posterior_predictive"]["größe"].to_numpy().tolist() == ["klein", "groß"]
    assert pl.cite(back) == pl.cite(idata)
