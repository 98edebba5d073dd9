"""What experiments write, read: files like those of jsPsych and PsychoPy, and by hand the trials that they hold."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pytest

from pymc_lan.data.observed import as_observed
from pymc_lan.data.reading import unpacked
from pymc_lan.data.trials import read_trials
from pymc_lan.errors import RegistryError

NAN = np.nan

# As jsPsych 7 writes it: every cell in quotes, null where nothing was pressed, nothing where nothing was asked.
JSPSYCH_CSV = """\
"rt","stimulus","response","trial_type","trial_index","time_elapsed","internal_node_id","task","correct"
"","","","preload","0","12","0.0-0.0","",""
"3421","<p>Welcome.
#1: press a key</p>"," ","html-keyboard-response","1","3500","0.0-1.0","",""
"null","+","null","html-keyboard-response","2","4000","0.0-2.0","fixation",""
"512","blue.png"," ","image-keyboard-response","3","4600","0.0-3.0","response","true"
"null","orange.png","null","image-keyboard-response","4","6500","0.0-4.0","response","false"
"640.5","orange.png","j","image-keyboard-response","5","7500","0.0-5.0","response","true"
"38","blue.png","j","image-keyboard-response","6","7600","0.0-6.0","response","false"
"""
SCREEN = {"trial_index": 0, "time_elapsed": 9, "internal_node_id": "0.0-0.0"}
JSPSYCH_JSON: list[dict[str, Any]] = [
    {"view_history": [{"page_index": 0, "viewing_time": 5000}], "rt": 5000, "trial_type": "instructions", **SCREEN},
    {"rt": 4000, "response": {"Q0": "18"}, "trial_type": "survey-text", **SCREEN},
    {"rt": 700, "response": 1, "trial_type": "html-button-response", "data": {"test_part": "practice"}, **SCREEN},
    {"rt": None, "response": None, "trial_type": "html-keyboard-response", "data": {"test_part": "fixation"}, **SCREEN},
    {"rt": 612.5, "response": 0, "trial_type": "html-button-response", "data": {"test_part": "test"}, **SCREEN},
    {"rt": None, "response": None, "trial_type": "html-button-response", "data": {"test_part": "test"}, **SCREEN},
    {"rt": 900, "trial_type": "html-audio-response", "data": {"test_part": "test"}, **SCREEN},
    {"rt": 480, "response": 1, "trial_type": "html-button-response", "data": {"test_part": "test"}, **SCREEN},
]
# As PsychoPy writes it: a separator ends each line, None where nothing was pressed, lists where all keys are stored.
PSYCHOPY = """practice.thisN,trials.thisN,side,key_resp.keys,key_resp.corr,key_resp.rt,key_start.keys,key_start.rt,\
participant,expName,psychopyVersion,
,,,,,,space,2.31,007,flanker,2023.2.3,
0,,left,left,1,0.81,,,007,flanker,2023.2.3,
,0,left,left,1,0.4312,,,007,flanker,2023.2.3,
,1,right,None,0,,,,007,flanker,2023.2.3,
,2,right,"['right', 'left']",1,"[0.52, 0.61]",,,007,flanker,2023.2.3,
,3,left,,,,,,007,flanker,2023.2.3,
,,,,,,,,007,flanker,2023.2.3,
"""


def table_of(report: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in report.table.itertuples(index=False)]


def check(df: pd.DataFrame, rt: list[float], response: list[Any]) -> None:
    np.testing.assert_array_equal(df["rt"].to_numpy(), rt)
    assert [None if each is None or each != each else each for each in df["response"]] == response


def test_the_csv_of_jspsych(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(JSPSYCH_CSV, encoding="utf-8-sig")
    df, report = read_trials(tmp_path / "a.csv")
    check(df, [0.512, NAN, 0.6405], ["space", None, "j"])
    assert df["correct"].tolist() == [True, False, True]
    assert "trial_type" not in df  # a go/no-go distribution would take it
    assert df["plugin"].tolist() == ["image-keyboard-response"] * 3
    assert table_of(report) == [
        ("changed", 7, "", "the column 'trial_type' is called 'plugin'"),
        ("dropped", 1, "", "no trials: screens of the plugin preload"),
        ("dropped", 1, "", "no trials: 'task' says fixation"),
        ("dropped", 1, "", "no trials: 'task' says nothing there, as of instructions"),
        ("changed", 1, "", "the response ' ' is called 'space'"),
        ("changed", 3, "", "rt divided by 1000: its median of 512 is milliseconds"),
        ("kept", 1, "", "no response: rt is empty"),
        ("dropped", 1, "", "faster than 0.1 s, of 4"),
    ]
    assert (report.source, report.unit, report.n_rows, report.n_trials) == ("jspsych", "ms", 7, 3)
    assert str(report).startswith(
        "3 trials of 7 rows; rt was in ms, written by jspsych. Responses: 'space' (1), none (1)"
    )
    assert "faster than 0.1 s" in str(report)
    # As it is when another program has written it anew, without null.
    (tmp_path / "a.csv").write_text(JSPSYCH_CSV.replace('"null"', '""'))
    pd.testing.assert_frame_equal(read_trials(tmp_path / "a.csv")[0], df)


@pytest.mark.parametrize(
    ("text", "times"),
    [
        pytest.param(json.dumps(JSPSYCH_JSON, indent=2), 1, id="jsPsych"),
        pytest.param(f"{json.dumps(JSPSYCH_JSON)}\n{json.dumps(JSPSYCH_JSON)}\n", 2, id="a session a line, as JATOS"),
        pytest.param(json.dumps([JSPSYCH_JSON, JSPSYCH_JSON]), 2, id="lists of sessions"),
        pytest.param(
            json.dumps({"workerId": "w1", "data": [{"trialdata": row, "uniqueid": "w1:a"} for row in JSPSYCH_JSON]}),
            1,
            id="psiTurk",
        ),
    ],
)
def test_the_json_of_jspsych(tmp_path: Path, text: str, times: int) -> None:
    (tmp_path / "a.json").write_text(text)
    df, report = read_trials(tmp_path / "a.json")
    check(df, [0.6125, NAN, 0.48] * times, [0, None, 1] * times)
    dropped = {why: rows for action, rows, _, why in table_of(report) if action == "dropped"}
    name = next(name for name in df if name.endswith("test_part"))
    assert dropped == {
        f"practice, says {name!r}": times,
        "no trials: screens of the plugin instructions": times,
        "no trials: screens of the plugin survey-text": times,
        "no trials: screens without an entry for a response": times,
        f"no trials: {name!r} says fixation": times,
    }


def test_jspsych_that_does_not_say_what_screens_are_for(tmp_path: Path) -> None:
    rows = [{key: cell for key, cell in row.items() if key != "data"} for row in JSPSYCH_JSON]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    df, report = read_trials(tmp_path / "a.json")
    check(df, [0.7, NAN, 0.6125, NAN, 0.48], [1, None, 0, None, 1])
    assert any(action == "kept" and rows == 5 and "fixation" in why for action, rows, _, why in table_of(report))


def test_the_csv_of_psychopy(tmp_path: Path) -> None:
    (tmp_path / "007.csv").write_text(PSYCHOPY)
    df, report = read_trials(tmp_path / "007.csv")
    # The fourth trial is empty, as of PsychoPy online: its loop is that of the others.
    check(df, [0.4312, NAN, 0.52, NAN], ["left", None, "right", None])
    assert df["subject"].tolist() == ["007"] * 4
    assert df.columns[-1] == "psychopyVersion"
    assert {(rows, why) for action, rows, _, why in table_of(report) if action == "dropped"} == {
        (1, "practice, by the name of the loop"),
        (2, "no trials: rows without an answer, outside the loops in which there are answers"),
    }
    named = {"rt": "key_resp.rt", "response": "key_resp.keys", "subject": "participant"}
    pd.testing.assert_frame_equal(read_trials(tmp_path / "007.csv", columns=named, source="psychopy")[0], df)
    pandas_read = pd.read_csv(tmp_path / "007.csv").dropna(axis=1, how="all")  # its None is empty, too
    check(read_trials(pandas_read)[0], [0.4312, NAN, 0.52, NAN], ["left", None, "right", None])


def test_several_components_of_psychopy_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(PSYCHOPY.replace(",3,left,,,,,,", ",3,left,,,,space,1.5,"))
    with pytest.raises(ValueError, match=r"Found key_resp.rt, key_start.rt. Remedy: say which, columns="):
        read_trials(tmp_path / "a.csv")
    assert len(read_trials(tmp_path / "a.csv", columns={"rt": "key_resp.rt"})[0]) == 4


PLAIN = "# Gerät 3\nsubject;rt;response;größe\n1;0,512;links;0,5\n1;999;;0,5\n# Pause\n2;0,7;rechts;1\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [";", "\t"])
def test_encodings_separators_and_decimal_commas(tmp_path: Path, encoding: str, separator: str) -> None:
    (tmp_path / "a.txt").write_bytes(PLAIN.replace(";", separator).encode(encoding))
    df, report = read_trials(tmp_path / "a.txt")
    check(df, [0.512, NAN, 0.7], ["links", None, "rechts"])
    assert df["größe"].tolist() == [0.5, 0.5, 1.0]
    done = {why: rows for _, rows, _, why in table_of(report)}
    assert done["no rows: lines that begin with # in a.txt"] == 2
    assert done["decimal commas in 'rt' of a.txt"] == 2
    assert done["an rt of 999 stands for none"] == 1
    assert any("cp1252" in why for why in done) == (encoding == "cp1252")
    observed = as_observed(df, omissions=True, response={"links": -1, "rechts": 1})
    assert observed.tolist() == [[0.512, -1.0], [np.inf, 0.0], [0.7, 1.0]]


# Two trials, as other programs make a table of them.
OTHERS = {
    "Excel's first line": "sep=;\r\nrt;response\r\n0,5;f\r\n0,6;j\r\n",
    "one after another": "rt,response\n0.5,f\nrt,response\n0.6,j\n",
    "columns of JSON": '{"rt": [0.5, 0.6], "response": ["f", "j"]}',
    "a row a line": '{"rt": 0.5, "response": "f"}\n{"rt": 0.6, "response": "j"}\n',
    "cells that are left out": "rt,response,note\n0.5,f\n\n0.6,j\n",
}


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS.keys())
def test_what_other_programs_make_of_a_table(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text, newline="")
    check(read_trials(tmp_path / "a.csv")[0], [0.5, 0.6], ["f", "j"])


def test_labels_are_labels() -> None:
    df, _ = read_trials(pd.DataFrame({"rt": ["0.5", "0.6"], "cue": ["None", "null"], "id": ["007", "010"]}))
    assert (df["cue"].tolist(), df["id"].tolist()) == (["None", None], ["007", "010"])


def test_a_colour_is_no_comment(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("colour,rt,response\n#ff0000,0.5,f\n# a note, of two, commas\n#00ff00,0.6,j\n")
    assert read_trials(tmp_path / "a.csv")[0]["colour"].tolist() == ["#ff0000", "#00ff00"]


def test_several_files(tmp_path: Path) -> None:
    (tmp_path / "s1.csv").write_text("rt,response\n500,f\n450,j\n")
    (tmp_path / "s2.csv").write_text("response,rt,block\nj,600,1\nf,20,1\n")
    (tmp_path / "s3.csv").write_text("")
    (tmp_path / "notes.txt").write_text("name,age\na,31\n")
    (tmp_path / "s1.psydat").write_bytes(b"\x80\x04.")
    df, report = read_trials(tmp_path)
    check(df, [0.5, 0.45, 0.6], ["f", "j", "j"])
    assert df["file"].tolist() == ["s1.csv", "s1.csv", "s2.csv"]
    assert df["subject"].tolist() == ["s1", "s1", "s2"]
    assert {
        ("read", 0, "", "no rows in s3.csv"),
        ("dropped", 1, "", "notes.txt has no column 'rt'"),
        ("dropped", 1, "s2", "faster than 0.1 s, of 2"),
    } <= set(table_of(report))
    again, _ = read_trials([str(tmp_path / "s1.csv"), tmp_path / "s2.csv"])
    assert again["rt"].tolist() == read_trials(str(tmp_path / "s[12].csv"))[0]["rt"].tolist() == df["rt"].tolist()
    (tmp_path / "s4.csv").write_text("rt,response\n0.5,f\n")
    with pytest.raises(ValueError, match=r"one unit in all files.*475 in s1.csv, 310 in s2.csv, 0.5 in s4.csv"):
        read_trials(tmp_path)
    (tmp_path / "s4.csv").write_text(JSPSYCH_CSV)
    with pytest.raises(ValueError, match=r"one program wrote. Found s1.csv, which was not written by jspsych"):
        read_trials(tmp_path)


def test_files_of_one_name_are_told_apart_and_subjects_filled_in(tmp_path: Path) -> None:
    for folder, subject in (("a", "x"), ("b", "")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "data.csv").write_text(f"participant,rt,response\n{subject},0.5,f\n")
    df, report = read_trials(str(tmp_path / "*" / "data.csv"))
    assert df["file"].tolist() == ["a/data.csv", "b/data.csv"]
    assert df["subject"].tolist() == ["x", "b/data"]
    assert ("changed", 1, "", "no subject is named: the name of the file stands for one") in table_of(report)


# (columns, arguments, rt, response): everything that stands for none, and what the response says beside it.
NONE = {
    "words": ({"rt": ["0.5", "", "None", "0.7"], "response": ["true", "", "null", "false"]}, {}, [0.5, NAN, NAN, 0.7],
              [True, None, None, False]),
    "-1": ({"rt": [0.5, -1, 0.7], "response": ["f", "none", "j"]}, {}, [0.5, NAN, 0.7], ["f", None, "j"]),
    "0": ({"rt": [500, 0, 700], "response": ["f", None, "j"]}, {}, [0.5, NAN, 0.7], ["f", None, "j"]),
    "9999 ms": ({"rt": [500, 9999, 9999, 700, 650], "response": [1, 0, 0, -1, 1]}, {"unit": "ms"},
                [0.5, NAN, NAN, 0.7, 0.65], [1, None, None, -1, 1]),
    "a true 999 ms": ({"rt": [500, 999, 700], "response": ["f", "f", "j"]}, {}, [0.5, 0.999, 0.7], ["f", "f", "j"]),
    "a word": ({"rt": [0.5, None, 0.7], "response": ["f", "timeout", "j"]}, {}, [0.5, NAN, 0.7], ["f", None, "j"]),
    "infinity": ({"rt": [0.5, np.inf], "response": [1, 0]}, {}, [0.5, NAN], [1, None]),
    "late": ({"rt": [500, 1600, 700], "response": ["f", "j", "j"], "deadline": [1500] * 3}, {}, [0.5, NAN, 0.7],
             ["f", None, "j"]),
    "fast ones kept": ({"rt": [0.5, 0.02], "response": ["f", "j"]}, {"fastest": 0}, [0.5, 0.02], ["f", "j"]),
    "a held key": ({"rt": [0.5, 0, 0, 0.7], "response": ["f", "f", "j", "j"]}, {}, [0.5, 0.7], ["f", "j"]),
    "a held key, of one": ({"rt": [0.5, 0, None], "response": [1, 1, 0]}, {}, [0.5, NAN], [1, None]),
    "practice": ({"rt": [0.5, 0.6, 0.7], "response": ["f", "f", "j"], "practice": ["True", "false", "False"]}, {},
                 [0.6, 0.7], ["f", "j"]),
    "practice in a phase": ({"rt": [0.5, 0.6], "response": ["f", "j"], "phase": ["Practice 1", "practical"]}, {},
                            [0.6], ["j"]),
    "names with spaces": ({"Reaction Time": [500, 600], "Key press": ["f", "j"], "Block type": ["practice", "a"]}, {},
                          [0.6], ["j"]),
    "names in humps": ({"reactionTime": [500, 600], "keyPress": ["f", "j"], "is.practice": [1, 0]}, {},
                       [0.6], ["j"]),
}  # fmt: skip


@pytest.mark.parametrize("name", ["Subject ID", "participantId", "Participant Private ID", "subject_nr"])
def test_who_the_subjects_are_however_it_is_written(name: str) -> None:
    df, _ = read_trials(pd.DataFrame({"rt": [0.5, 0.6], name: ["a", "b"]}))
    assert df["subject"].tolist() == ["a", "b"]


def test_files_that_gzip_has_packed(tmp_path: Path) -> None:
    for name in ("a.csv.gz", "b.CSV.GZ"):
        (tmp_path / name).write_bytes(gzip.compress(b"rt,response\n0.5,f\n"))
    (tmp_path / "c.log.gz").write_bytes(b"")
    with pytest.raises(RegistryError, match=r"at most 999 bytes in a\.csv\.gz, unpacked\. Found more"):
        unpacked(gzip.compress(bytes(1000)), "a.csv.gz", "none", largest=999)
    df, _ = read_trials(tmp_path)
    assert df["subject"].tolist() == ["a", "b"]
    check(df, [0.5, 0.5], ["f", "f"])


@pytest.mark.parametrize(("columns", "arguments", "rt", "response"), NONE.values(), ids=NONE.keys())
def test_what_stands_for_none(columns: Any, arguments: Any, rt: list[float], response: list[Any]) -> None:
    df, report = read_trials(pd.DataFrame(columns), **arguments)
    check(df, rt, response)
    changed = sum(rows for action, rows, _, _ in table_of(report) if action == "dropped")
    assert report.n_trials == len(df) == report.n_rows - changed


@pytest.mark.parametrize("make", [pd.DataFrame, polars.DataFrame])
def test_a_table_without_responses_is_one_of_presses(make: Any) -> None:
    df, report = read_trials(make({"RT": [0.5, None, 0.03], "trial_type": ["go", "nogo", "go"]}))
    assert [*df.columns] == ["rt", "trial_type"]
    assert as_observed(df, go_nogo=True).tolist() == [[0.5, 1.0], [np.inf, 0.0]]
    assert ("changed", 3, "", "the column 'RT' is called 'rt'") in table_of(report)


def test_a_name_that_is_taken() -> None:
    df, _ = read_trials(pd.DataFrame({"rt": [1, 2], "latency": [0.4, 0.5]}), columns={"rt": "latency"})
    assert (df["rt"].tolist(), df["rt_raw"].tolist()) == ([0.4, 0.5], [1, 2])


def test_responses_below_fastest_are_counted_for_each_subject() -> None:
    table = pd.DataFrame({"rt": [0.05, 0.5, 0.06, 0.04, 0.7, None], "subject": ["b", "b", "a", "a", "a", "a"]})
    df, report = read_trials(table)
    assert df["subject"].tolist() == ["b", "a", "a"]
    assert [row for row in table_of(report) if row[0] == "dropped"] == [
        ("dropped", 1, "b", "faster than 0.1 s, of 2"),
        ("dropped", 2, "a", "faster than 0.1 s, of 4"),
    ]


REFUSED = {
    "no numbers": ({"rt": ["0.5", "x"]}, {}, r"numbers as rt. Found something else in 1 of 2 rows: row 1 \(rt = 'x'\)"),
    "true": ({"rt": [0.5, True]}, {}, "numbers as rt"),
    "unclear": ({"rt": [20.0, 30.0]}, {}, r"0.05 to 10 \(s\), or of 50 and more \(ms\). Found 25 in the table"),
    "two units": (
        {"rt": [0.4, 0.5, 0.6, 500, 600], "subject": [1, 1, 1, 2, 2]},
        {},
        "one unit.*like milliseconds",
    ),
    "signed": ({"rt": [0.4, -0.5], "response": [1, -1]}, {}, "negative rt.*take the absolute value"),
    "before": ({"rt": [0.4, -0.05], "response": ["f", "j"]}, {}, "negative rt.*before the stimulus is a guess"),
    "unanswered": ({"rt": [0.4, 0.5], "response": ["f", ""]}, {}, r"without a response in 1 of 2 rows: row 1"),
    "untimed": ({"rt": [0.4, 0.5, 0], "response": ["f", "j", "j"]}, {}, r"code for none, with such a response.*row 2"),
    "at 0": ({"rt": [0.4, 0], "response": [1, 1]}, {"fastest": 0}, "rt above 0. Found presses at 0 s in 1 of 2"),
    "several in a cell": ({"rt": [0.4], "response": [[["f"], ["j"]]]}, {}, "one value in each cell of 'response'"),
    "deadline": ({"rt": [400, 500], "deadline": [1.5, 1.5]}, {}, "a deadline in the unit of rt"),
    "no rt": ({"time": [0.5]}, {}, "a column of response times, 'rt'. Found the columns time"),
    "other column": ({"rt": [0.5]}, {"columns": {"rt": "RT"}}, "Unknown column 'RT'. Known columns: rt"),
    "no trials": ({"rt": [0.5], "practice": [1]}, {}, "at least one trial. Found 1 dropped: practice, says 'practice'"),
    "unit": ({"rt": [0.5]}, {"unit": "min"}, "unit as 'auto', 's', 'ms'. Found 'min'"),
    "fastest": ({"rt": [0.5]}, {"fastest": 100}, "fastest as seconds"),
    "source": ({"rt": [0.5]}, {"source": "opensesame"}, "source as 'jspsych', 'psychopy' or None"),
    "columns": ({"rt": [0.5]}, {"columns": ["rt"]}, "columns as a dictionary"),
    "one for two": (
        {"rt": [0.5]},
        {"columns": {"rt": "rt", "response": "rt"}},
        "each column under one name. Found 'rt'",
    ),
}


@pytest.mark.parametrize(("columns", "arguments", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused(columns: Any, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        read_trials(pd.DataFrame(columns), **arguments)
    assert str(raised.value).startswith("Unknown column") or "Expected" in str(raised.value)
    assert "Remedy: " in str(raised.value)


MALFORMED = {
    "packed and cut": (gzip.compress(b"rt,response\n0.5,f\n")[:-9], "what gzip packed in "),
    "more cells": (b"rt,response\n0.5,f\n0,6,f\n", "2 cells in every row of .* Found 3 in row 1: 0, 6, f"),
    "an open quote": (b'rt,response\n0.5,"f\n', "a table of text in .* Found unexpected end of data"),
    "two of a name": (b"rt,rt\n1,2\n", "columns of different names in .* Found 'rt' twice"),
    "broken JSON": (b'[{"rt": 1},', "JSON in "),
    "no rows of JSON": (b"[1, 2]", "rows of JSON in "),
    "deep JSON": (b"[" * 40 + b"]" * 40, "nested more than 16 deep"),
    "nothing": (b"", "a table with a line of names, or rows of JSON"),
    "names alone": (b"rt,response\n", "at least one trial. Found no rows"),
    "no text": (b"rt,response\n\x81\x00,f", "in UTF-8, UTF-16 or cp1252"),
    "packed": (b"PK\x03\x04\x14\x00\x00abc", "in UTF-8, UTF-16 or cp1252"),
    "a large cell": (b"rt,response\n0.5," + b"f" * 200_000, "field larger than field limit .* leave out columns"),
}


@pytest.mark.parametrize(("content", "message"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_files(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_trials(tmp_path / "a.csv")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for where in (tmp_path / "a.csv", tmp_path, str(tmp_path / "*.csv"), [], [5], 5):
        with pytest.raises(ValueError, match="Remedy: "):
            read_trials(where)
