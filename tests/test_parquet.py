"""Training from Parquet files of simulations: what is read from them, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from toy_simulators import COIN, ODDITY

import pymc_lan as pl
from pymc_lan.training.simulated import parquet
from pymc_lan.training.simulated.offline import Offline

pytest.importorskip("pyarrow")
import pyarrow as pa
import pyarrow.parquet as pq

SETS, TRIALS = 700, 16


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (path,) = pl.simulate_to(COIN, tmp_path_factory.mktemp("simulations"), sets=SETS, trials=TRIALS, seed=1)
    return path


def opened(files: Any, spec: pl.ModelSpec = COIN) -> Offline:
    return Offline(spec, files, sets=300, held=50, seed=3)


def frame(path: Path) -> pd.DataFrame:
    """What a user of pandas has: a row for each parameter set, its trials in cells."""
    found = np.load(path)
    return pd.DataFrame(
        {name: list(found[name]) if found[name].ndim > 1 else found[name] for name in found.dtype.names}
    )


def by_pandas(path: Path, to: Path) -> None:
    frame(path).to_parquet(to, index=False)


def by_arrow(path: Path, to: Path) -> None:
    """Lists of one length, in groups of rows."""
    found = np.load(path)
    columns = {
        name: pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), TRIALS) if x.ndim > 1 else pa.array(x)
        for name, x in ((name, found[name]) for name in found.dtype.names)
    }
    pq.write_table(pa.table(columns), to, row_group_size=100)


@pytest.mark.parametrize("write", [by_pandas, by_arrow])
@pytest.mark.parametrize("block", [parquet.BLOCK, 33])
def test_a_parquet_file_is_read_like_an_npy_file(
    write: Any, block: int, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "BLOCK", block)
    write(written, tmp_path / "trials.parquet")
    with opened(tmp_path) as source, opened(written) as other:
        assert source.trials == TRIALS
        # On disk, not in memory.
        unpacked = Path(source._tables[0]["rt"].filename)
        assert unpacked.stat().st_size > SETS * TRIALS * 8
        for found, expected in ((source.chunk(2), other.chunk(2)), (source.held_out(0, 0), other.held_out(0, 0))):
            for x, y in zip(found, expected, strict=True):
                np.testing.assert_array_equal(x, y)
    assert not unpacked.parent.exists()


def test_responses_alone_are_read_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    delta, response = rng.uniform(0, 6, 50), rng.random((50, 20)) < 0.6
    pd.DataFrame({"delta": delta, "response": list(response)}).to_parquet(tmp_path / "odd.parquet")
    with Offline(ODDITY, tmp_path, sets=45, held=5, seed=3) as source:
        chunk = source.chunk(0)
    share = dict(zip(np.float32(delta), response.mean(axis=1), strict=True))
    np.testing.assert_allclose(chunk.share[:, 1], [share[x] for x in chunk.theta[:, 0]], rtol=1e-6)


def ragged(df: pd.DataFrame) -> Any:
    rt = [*df["rt"]]
    rt[5] = rt[5][:-1]
    return {"rt": rt}


def hole(df: pd.DataFrame) -> Any:
    rt = [*df["rt"]]
    rt[5] = None
    return {"rt": rt}


def missing(df: pd.DataFrame) -> Any:
    return {"rt": [[None, *x[1:]] for x in df["rt"]]}


WRONG = {
    "text": (lambda df: {"p": df["p"].astype(str)}, r"Expected arrays of numbers in .*parquet\. Found p of type "),
    "texts": (lambda df: {"rt": [[*map(str, x)] for x in df["rt"]]}, r"Found rt of type list<"),
    "ragged": (ragged, r"Found lists of the lengths 15, 16 in rt"),
    "a list missing": (hole, r"Found lists of the lengths 16.*nan in rt"),
    "a number missing": (missing, r"rt = missing"),
    "empty lists": (lambda df: {"rt": [[0.5][:0]] * len(df)}, r"Found rt of type list<"),
    "a trial in each row": (
        lambda df: {"rt": 0.5, "response": 1},
        r"rt and response of shape \(sets, trials\).* Found response of shape \(700,\) .*, one trial in each row\. "
        r"Remedy: gather those of each set, df\.groupby\(\['rate', 'p', 't'\]\)\.agg\(list\)\.reset_index\(\)",
    ),
    "lists of parameters": (lambda df: {"p": list(df[["p", "t"]].to_numpy())}, r"Found p of shape \(700, 2\)"),
    "a column more": (lambda df: {"a": 1.0}, r"the columns rate, p, t, rt, response in .*Found .*response, a\."),
    "bounds": (lambda df: {"rate": 30.0}, r"within the bounds of the spec\. Found others .*rate = 30\.0"),
    "codes": (lambda df: {"response": [x + 2 for x in df["response"]]}, r"Expected the responses 0, 1\."),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_files_that_cannot_be_are_refused(change: Any, message: str, written: Path, tmp_path: Path) -> None:
    df = frame(written)
    df.assign(**change(df)).to_parquet(tmp_path / "trials.parquet", index=False)

    def read() -> None:
        with opened(tmp_path) as source:
            source.chunk(0)

    with pytest.raises(ValueError, match=message):
        read()


def test_lists_that_change_their_length_are_refused(written: Path, tmp_path: Path) -> None:
    """Between blocks, of which each alone looks right."""
    df = frame(written)
    rt = [x[:-1] if i >= parquet.BLOCK else x for i, x in enumerate([*df["rt"]] * 2)]
    pd.concat([df, df]).assign(rt=rt).to_parquet(tmp_path / "trials.parquet", index=False)
    with pytest.raises(ValueError, match=r"Found lists of different lengths in rt"):
        opened(tmp_path).__enter__()


@pytest.mark.parametrize(
    ("content", "message"), [(b"rate,p,t", r"Expected arrays of numbers in .*no\.parquet"), (None, r"trials\)")]
)
def test_no_parquet_and_no_rows_are_refused(content: bytes | None, message: str, written: Path, tmp_path: Path) -> None:
    if content is None:
        frame(written)[:0].to_parquet(tmp_path / "no.parquet", index=False)
    else:
        (tmp_path / "no.parquet").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        opened(tmp_path).__enter__()


def test_without_pyarrow_its_extra_is_named(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_pandas(written, tmp_path / "trials.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ImportError, match=r"package pyarrow, to read .*pip install 'pymc-lan\[parquet\]'"):
        opened(tmp_path).__enter__()
