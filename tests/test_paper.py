"""The page "From data to paper": its code is that of the command, and its figures are there and small."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_examples import assert_figures, run

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs" / "paper"
TEXT = (ROOT / "docs" / "paper.md").read_text("utf-8")
SCRIPT = (ROOT / "examples" / "paper_figures.py").read_text("utf-8")
NAMES = re.findall(r"\]\(paper/(\w+\.png)\)", TEXT)


def lines(text: str) -> list[str]:
    """Lines without their indentation, which differs between a page and a function."""
    return [line.strip() for line in text.strip().splitlines()]


@pytest.mark.parametrize("block", re.findall(r"```python\n(.+?)```", TEXT, re.DOTALL))
def test_the_code_of_the_page_is_that_of_the_command(block: str) -> None:
    assert "\n".join(lines(block)) in "\n".join(lines(SCRIPT))


def test_the_page_shows_every_figure() -> None:
    assert len(NAMES) == len(set(NAMES)) >= 8
    assert_figures(FIGURES, *NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_small(name: str) -> None:
    assert (FIGURES / name).stat().st_size < 60_000


@pytest.mark.slow
def test_the_command_makes_the_figures(tmp_path: Path, shared_data: Path) -> None:
    small = ("--subjects", 2, "--draws", 100, "--tune", 200)
    printed = run("paper_figures.py", shared_data / "data", "--out", tmp_path, *small)
    assert_figures(tmp_path, *NAMES)
    assert [line for line in printed.splitlines() if line.endswith(".png")]
