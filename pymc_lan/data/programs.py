"""The programs that run experiments: by which columns their tables are known, and which of their rows are no trials."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pymc_lan.data.cells import is_nothing, nothing
from pymc_lan.data.tables import spelled
from pymc_lan.errors import explain

Mask = NDArray[np.bool_]

# Columns that say what part of the session a row belongs to, as `spelled` has them, and words in them, at their
# beginning, for practice.
PARTS = ("task", "testpart", "trialpart", "phase", "stage", "part", "block", "blocktype", "sessionpart", "trialtype")
PRACTICE = re.compile(r"\W*(practi[cs]e|prac(?![a-z])|warm[-_ ]?up|familiari[sz]ation)", re.IGNORECASE)
# Columns that say of each row whether it is practice.
IS_PRACTICE = ("practice", "ispractice", "practise", "ispractise", "practicetrial")
YES = ("true", "1", "1.0", "yes", "y")


class Strange(NamedTuple):
    """Rows that are no trials of the experiment, and why."""

    rows: Mask
    why: str


def last_part(name: Any) -> str:
    """The name of a column, as it is spelled, without that of what held it: ``data.task`` is a task."""
    return spelled(str(name).rsplit(".", 1)[-1])


def practice(table: pd.DataFrame) -> Iterator[Strange]:
    """Find rows that a column says are practice."""
    for name in table.columns:
        if last_part(name) in IS_PRACTICE:
            said = [str(cell).strip().lower() in YES or bool(PRACTICE.match(str(cell))) for cell in table[name]]
            yield Strange(np.array(said, bool), f"practice, says {name!r}")
        elif last_part(name) in PARTS:
            said = [isinstance(cell, str) and bool(PRACTICE.match(cell)) for cell in table[name]]
            yield Strange(np.array(said, bool), f"practice, says {name!r}")


class Program(ABC):
    """A program that writes tables of trials."""

    # What `source=` calls it.
    name: ClassVar[str | None]
    # Names of its columns for ours, the likeliest first, as they are spelled.
    known: ClassVar[Mapping[str, Sequence[str]]]

    @staticmethod
    @abstractmethod
    def wrote(names: Sequence[str]) -> bool:
        """Whether a table with columns of these names is its work."""

    def columns(self, table: pd.DataFrame, given: Mapping[str, str]) -> dict[str, str]:
        """Its columns for ours, as far as there are any; `given` are those that the user named."""
        names = {spelled(name): str(name) for name in reversed(table.columns)}
        found = {
            ours: next((names[each] for each in theirs if each in names), None) for ours, theirs in self.known.items()
        }
        return {ours: theirs for ours, theirs in found.items() if theirs is not None}

    @abstractmethod
    def strange(self, table: pd.DataFrame) -> Iterator[Strange]:
        """Find rows that are no trials; `table` has a column ``rt`` and, where there are responses, ``response``."""


@final
class JsPsych(Program):
    """jsPsych: a row for every screen, named in ``trial_type`` by the plugin that showed it; rt in milliseconds."""

    name = "jspsych"
    known: ClassVar = {"rt": ("rt",), "response": ("response", "keypress", "buttonpressed")}
    # Plugins that ask for no choice whose time is measured; the families of surveys and initialisers go by their names.
    SCREENS = frozenset(
        [
            "browser-check",
            "call-function",
            "cloze",
            "external-html",
            "free-sort",
            "fullscreen",
            "instructions",
            "maxdiff",
            "mirror-camera",
            "preload",
            "reconstruction",
            "resize",
            "virtual-chinrest",
            "webgazer-calibrate",
            "webgazer-init-camera",
            "webgazer-validate",
        ]
    )
    SCREEN_FAMILIES = ("survey", "initialize-", "extension-")
    # These always write rt and response, null where nothing was pressed.
    ANSWERED = ("keyboard-response", "button-response")
    # Columns that experimenters add to say what a screen is for, and words in them for screens between trials.
    SAYS = ("task", "testpart", "trialpart")
    BETWEEN = frozenset(
        [
            "fixation",
            "fix",
            "feedback",
            "instruction",
            "instructions",
            "welcome",
            "iti",
            "isi",
            "break",
            "consent",
            "debrief",
            "debriefing",
        ]
    )

    @staticmethod
    def wrote(names: Sequence[str]) -> bool:
        """Whether there are the columns that it adds to every row."""
        return {"trial_type", "trial_index", "time_elapsed"} <= set(names)

    def says(self, table: pd.DataFrame) -> list[Any]:
        """The columns that say what a screen is for."""
        return [name for name in table.columns if last_part(name) in self.SAYS]

    def strange(self, table: pd.DataFrame) -> Iterator[Strange]:
        """Find screens that are no trials, by their plugin, and by the column that says what they are for."""
        plugins = table["plugin"].astype(str) if "plugin" in table else pd.Series("", table.index)
        for plugin in dict.fromkeys(plugins):
            if plugin in self.SCREENS or plugin.startswith(self.SCREEN_FAMILIES):
                yield Strange((plugins == plugin).to_numpy(), f"no trials: screens of the plugin {plugin}")
        if "response" in table:
            unasked = np.array([isinstance(cell, str) and cell == "" for cell in table["response"]], bool)
            unasked &= ~plugins.str.endswith(self.ANSWERED).to_numpy()
            yield Strange(unasked, "no trials: screens without an entry for a response")
        for name in self.says(table):
            words = table[name].map(lambda cell: cell.strip().lower() if isinstance(cell, str) else cell)
            for word in [each for each in dict.fromkeys(words) if isinstance(each, str) and each in self.BETWEEN]:
                yield Strange((words == word).to_numpy(), f"no trials: {name!r} says {word}")
            unsaid = nothing(table[name])
            if not unsaid.all():
                yield Strange(unsaid, f"no trials: {name!r} says nothing there, as of instructions")


@final
class PsychoPy(Program):
    """PsychoPy: a row for every turn of a loop, and others; a keyboard writes ``key_resp.keys`` and ``key_resp.rt``."""

    name = "psychopy"
    known: ClassVar = {}
    COUNTER = ".thisN"
    # What of a component says the time, and what was answered.
    ANSWERS = ((".rt", ".keys"), (".rt", ".response"), (".time", ".clicked_name"))

    @staticmethod
    def wrote(names: Sequence[str]) -> bool:
        """Whether there is the counter of a loop, or the version of the program."""
        return "psychopyVersion" in names or any(name.endswith(PsychoPy.COUNTER) for name in names)

    def columns(self, table: pd.DataFrame, given: Mapping[str, str]) -> dict[str, str]:
        """The component that was answered in loops that are no practice; ValueError where there are several."""
        names = [str(name) for name in table.columns]
        pairs = [
            (name, name.removesuffix(time) + answer)
            for time, answer in self.ANSWERS
            for name in names
            if name.endswith(time) and name.removesuffix(time) + answer in names
        ]
        pairs = [p for p in pairs if given.get("rt", p[0]) == p[0] and given.get("response", p[1]) == p[1]]
        if "rt" in given and len(pairs) != 1:
            return {}
        looped = np.array([bool(loops) and not _of_practice(loops) for loops in self._loops(table)], bool)
        used = [(rt, keys) for rt, keys in pairs if (looped & ~nothing(table[rt])).any()]
        if len(used) == 1 or (not used and len(pairs) == 1):
            return dict(zip(("rt", "response"), (used or pairs)[0], strict=True))
        expected = "one component that takes the responses, in the loop of the trials"
        found = ", ".join(rt for rt, _ in used or pairs) or f"none in the columns {', '.join(names)}"
        rt, keys = (used or pairs or [("key_resp.rt", "key_resp.keys")])[0]
        raise ValueError(explain(expected, found, f"say which, columns={{'rt': {rt!r}, 'response': {keys!r}}}"))

    def strange(self, table: pd.DataFrame) -> Iterator[Strange]:
        """Find turns of loops of practice, and rows without an answer outside the loops in which there are answers."""
        loops = self._loops(table)
        yield Strange(np.array([_of_practice(each) for each in loops], bool), "practice, by the name of the loop")
        told = [name for name in ("rt", "response") if name in table]
        # The word None says that nothing was pressed; an empty cell, that nothing was asked, or that it ran online.
        asked = (~table[told].map(_is_empty)).any(axis=1).to_numpy()
        of_trials = {loop for loop, answered in zip(loops, asked, strict=True) if answered and loop}
        outside = ~asked & np.array([loop not in of_trials for loop in loops], bool)
        yield Strange(outside, "no trials: rows without an answer, outside the loops in which there are answers")

    def _loops(self, table: pd.DataFrame) -> list[frozenset[str]]:
        """The loops that each row is a turn of."""
        counters = [name for name in table.columns if str(name).endswith(self.COUNTER)]
        turns = [[not is_nothing(cell) for cell in table[name]] for name in counters]
        loops = [str(name).removesuffix(self.COUNTER) for name in counters]
        rows = zip(*turns, strict=True) if turns else ([] for _ in range(len(table)))
        return [frozenset(loop for loop, turn in zip(loops, row, strict=True) if turn) for row in rows]


@final
class Plain(Program):
    """Any other table: every row is a trial."""

    name = None
    known: ClassVar = {
        "rt": ("rt", "reactiontime", "responsetime", "latency"),
        "response": ("response", "choice", "keypress", "key"),
    }

    @staticmethod
    def wrote(names: Sequence[str]) -> bool:
        """Whether it could be: always."""
        return True

    def strange(self, table: pd.DataFrame) -> Iterator[Strange]:
        """Find none."""
        yield from ()


PROGRAMS: tuple[Program, ...] = (JsPsych(), PsychoPy(), Plain())


def program_of(source: Any, names: Sequence[str]) -> Program:
    """The program that `source` names or, where it is None, that wrote columns of these names."""
    known = {program.name: program for program in PROGRAMS if program.name is not None}
    if source is None:
        return next(program for program in PROGRAMS if program.wrote(names))
    if not isinstance(source, str) or source not in known:
        expected = f"source as {', '.join(map(repr, known))} or None"
        raise ValueError(explain(expected, f"{source!r:.80}", "leave it out where another program wrote the table"))
    return known[source]


def _is_empty(cell: Any) -> bool:
    return cell is None or cell == "" or cell != cell


def _of_practice(loops: frozenset[str]) -> bool:
    return any("prac" in loop.lower() for loop in loops)
