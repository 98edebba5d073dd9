"""Published trials and weights: read as psyphy 0.0.5 reads them, and refused in sentences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm
import pytest
from backends import AS_WRITTEN

import pymc_lan as pl

# Rows as the published files have them: further columns, a cell for each stimulus.
PUBLISHED = """trial,TrialType,xref,x1,y,RT
0,AEPsych_sobol_pregen,"0.61996435,-0.67159398","0.65,-0.60",1,0.7
1,AEPsych_adaptive,"-0.1, 0.25","-0.2, 0.4",0,1.1
2,MOCS_cond3,"0.0,0.0","0.1,0.1",1,0.9
3,AEPsych_adaptive,"1.0,-1.0","0.9,-0.8",1,0.5
"""
OWN = """ref,probe,response
"[0.5, -0.2]","[0.6, -0.1]",1
"(0.1, 0.0)","(0.3, 0.0)",0
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (1, 2):
        (tmp_path / f"trial_data_pooled_by_type_sub{number}.csv").write_text(PUBLISHED)
    return tmp_path


def test_trials_of_all_observers_are_one_table(folder: Path) -> None:
    df = pl.read_answers(folder)
    assert df["observer"].tolist() == ["1"] * 3 + ["2"] * 3
    assert df["ref_1"].tolist()[:3] == [0.61996435, -0.1, 1.0]
    assert df["comparison_2"].tolist()[:3] == [-0.6, 0.4, -0.8]
    assert df["correct"].tolist()[:3] == [1, 0, 1]
    assert df["trial_type"].tolist()[0] == "AEPsych_sobol_pregen"
    assert len(pl.read_answers(folder / "trial_data_pooled_by_type_sub1.csv", trial_types=None)) == 4
    assert pl.read_answers(folder, trial_types=["MOCS"])["correct"].tolist() == [1, 1]
    with pm.Model() as model:
        eye = 0.01 * np.eye(2)
        pl.Oddity("obs", df[["ref_1", "ref_2"]], df[["comparison_1", "comparison_2"]], eye, eye, observed=df)
    assert np.isfinite(model.compile_logp(mode=AS_WRITTEN)({}))


def test_psyphys_own_tables_are_read(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(OWN)
    df = pl.read_answers(tmp_path / "mine.csv")
    assert df.columns.tolist() == ["observer", "ref_1", "ref_2", "comparison_1", "comparison_2", "correct"]
    assert df.iloc[0].tolist() == ["mine", 0.5, -0.2, 0.6, -0.1, 1]


def test_weights_are_in_their_places(tmp_path: Path) -> None:
    expected = np.random.default_rng(1).normal(size=(5, 5, 2, 3))
    rows = [(place, expected[place]) for place in np.ndindex(expected.shape)]
    np.random.default_rng(2).shuffle(rows)
    lines = [f'"{",".join(map(str, place))}",{float(x)!r},0' for place, x in rows]
    (tmp_path / "Bestfit_W_sub1.csv").write_text("\n".join(['"i,j,k,l",W_org,W_btst0_rank1', *lines]))
    np.testing.assert_array_equal(pl.read_wishart_weights(tmp_path / "Bestfit_W_sub1.csv"), expected)
    assert not pl.read_wishart_weights(tmp_path / "Bestfit_W_sub1.csv", "W_btst0_rank1").any()


HEAD = "TrialType,xref,x1,y\n"
ERRORS: dict[str, tuple[Callable[[Any], Any], str, str]] = {
    "no file": (pl.read_answers, "", r"Expected a table in .*none\.csv\. Found No such file"),
    "other columns": (pl.read_answers, "a,b\n1,2\n", r"the columns xref, x1, y, or ref, .* Found a, b"),
    "no rows": (pl.read_answers, HEAD, r"Expected rows in .* Found none"),
    "no such type": (pl.read_answers, HEAD + 'MOCS_1,"0,0","0,1",1\n', r"begins with AEPsych in t\.csv\. Found MOCS_1"),
    "a cell that cannot be read": (pl.read_answers, HEAD + 'AEPsych,"0,x","0,1",1\n', r"finite coordinates.*of xref"),
    "another dimension": (
        pl.read_answers,
        HEAD + 'AEPsych,"0,0","0,1",1\nAEPsych,"0","0,1",1\n',
        r"2 finite coordinates in each cell of xref.*1 of 2 rows: row 1",
    ),
    "an answer that is none": (pl.read_answers, HEAD + 'AEPsych,"0,0","0,1",2\n', r"1 \(right\) or 0 \(wrong\)"),
    "no weights": (pl.read_wishart_weights, "a,W_org\n1,2\n", r"'i,j,k,l' as the first column of t\.csv\. Found 'a'"),
    "another fit": (pl.read_wishart_weights, '"i,j,k,l",W\n"0,0,0,0",1\n', r"Unknown column 'W_org' of t\.csv"),
    **{
        f"an index {cell}": (
            pl.read_wishart_weights,
            f'"i,j,k,l",W_org\n"{cell}",1\n"0,0,0,1",1\n',
            r"four whole numbers, 0 or more, in each cell of i,j,k,l\. Found others in 1 of 2 rows: row 0",
        )
        for cell in ("0,0,0", "0,0,0,x", "0,0,0,-1", "0,0,0,0.5")
    },
    "an index twice": (
        pl.read_wishart_weights,
        '"i,j,k,l",W_org\n"0,0,0,0",1\n"0,0,0,0",1\n',
        r"each once\. Found 2 rows, 1 of different",
    ),
    "a gap": (pl.read_wishart_weights, '"i,j,k,l",W_org\n"0,0,0,0",1\n"0,0,1,1",1\n', r"a number for each index"),
}


@pytest.mark.parametrize(("read", "text", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_are_sentences(read: Callable[[Any], Any], text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / ("t.csv" if text else "none.csv")
    if text:
        file.write_text(text)
    with pytest.raises(ValueError, match=message):
        read(file)
