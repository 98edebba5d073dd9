"""The site: every public name is in the reference, every page in a table of contents, and links lead somewhere."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from pydoc import locate

import pytest

import pymc_lan as pl

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = {path.relative_to(DOCS).with_suffix("").as_posix(): path.read_text("utf-8") for path in DOCS.rglob("*.md")}
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]
SOURCES = [
    path
    for folder in ("pymc_lan", "tests", "benchmarks", "examples", "scripts")
    for path in (ROOT / folder).rglob("*.py")
]
# What public functions return, but nobody makes by hand.
RETURNED = {
    "data.trial_report.TrialReport",
    "distributions.field.WishartField",
    "regressions.regression.Regression",
    "networks.network.Network",
    "diagnostics.check.Check",
    "registry.publish.Publication",
    "registry.publish.HubPublication",
    "registry.publish.FolderPublication",
}


def public_names() -> set[str]:
    """Every name that users write after `pl.`, those of the public modules included."""
    modules = ("diagnostics", "plots")
    inside = {f"{module}.{name}" for module in modules for name in getattr(pl, module).__all__}
    return {*pl.__all__} - {*modules} | inside


def referenced(text: str) -> list[str]:
    """The names that tables of a reference list, or that it describes itself."""
    tables = re.findall(r"^\.\. autosummary::\n(?:   :.*\n)*\n((?:   \S+\n)+)", text, re.MULTILINE)
    return [*re.findall(r"^\.\. py:data:: (\S+)", text, re.MULTILINE), *" ".join(tables).split()]


def contents(text: str) -> list[str]:
    """The entries of a page's tables of contents."""
    tables = re.findall(r"```\{toctree\}\n(?::[^\n]*\n)*\n(.*?)```", text, re.DOTALL)
    return [re.sub(r".*<(.*)>", r"\1", line) for line in "\n".join(tables).splitlines() if line]


def anchors(text: str) -> set[str]:
    """What links to the headings of a page are called, on the site and elsewhere."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(path: Path) -> Iterator[str]:
    """Links to files of the repository that are not there, or lack the heading."""
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, heading = link.partition("#")
        target = path.parent / name if name else path
        if not target.exists() or (heading and heading not in anchors(target.read_text("utf-8"))):
            yield link


def test_the_reference_lists_every_public_name() -> None:
    listed = referenced((DOCS / "reference.rst").read_text("utf-8"))
    assert len(listed) == len(set(listed))
    assert {*listed} == public_names() | RETURNED
    assert [name for name in RETURNED if locate(f"pymc_lan.{name}") is None] == []


def test_no_page_of_the_reference_is_an_alias() -> None:
    """Of a name for something that is called otherwise there would be no more on its page than that."""
    found = {name: locate(f"pymc_lan.{name}") for name in public_names()}
    classes = {name: thing for name, thing in found.items() if isinstance(thing, type)}
    assert {"ModelSpec", "DDM"} <= {*classes}
    assert [name for name, thing in classes.items() if thing.__name__ != name.split(".")[-1]] == []


def test_every_page_is_in_one_table_of_contents() -> None:
    entries = [entry for text in PAGES.values() for entry in contents(text)]
    pages = {*PAGES} - {"index"} | {"reference"}
    # The only pattern stands for the pages that scripts/model_pages.py writes.
    entries.remove("models/[a-z]*")
    entries += [page for page in pages if re.match("models/[a-z]", page)]
    assert sorted(entries) == sorted(pages)


def test_the_first_page_has_the_six_parts() -> None:
    assert contents(PAGES["index"]) == ["start", "howto", "explanations", "models", "reference", "development"]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    assert [*dead_links(path)] == []


def test_dead_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A title: `it`\n")
    page = tmp_path / "b.md"
    page.write_text("# B\n[1](a.md) [2](a.md#a-title-it) [3](#b) [4](https://a.org) [5](c.md) [6](a.md#b) [7](#a)")
    assert [*dead_links(page)] == ["c.md", "a.md#b", "#a"]


def test_files_that_are_named_are_there() -> None:
    folders = "docs|tests|benchmarks|examples|scripts|pymc_lan"
    named = re.compile(rf"(?<![\w/.])(?:{folders})/[\w/]+\.(?:md|py|png|sh)\b")
    found = {path: named.findall(path.read_text("utf-8")) for path in [*SOURCES, *TEXTS]}
    assert [(path, name) for path, names in found.items() for name in names if not (ROOT / name).exists()] == []


def test_pages_that_docstrings_name_are_there() -> None:
    sources = [path.read_text("utf-8") for path in (ROOT / "pymc_lan").rglob("*.py")]
    found = {name for source in sources for name in re.findall(r"[\w/]+\.md\b", source)}
    # A card is a README.md beside the weights.
    assert [name for name in found - {"README.md"} if not (ROOT / name).exists()] == []


def test_the_settings_need_no_sphinx_and_no_server() -> None:
    settings = runpy.run_path(str(DOCS / "conf.py"))
    assert settings["release"] == pl.__version__
    assert all((DOCS / folder).is_dir() for folder in settings["html_static_path"] + settings["templates_path"])
    assert all((DOCS / "_static" / name).is_file() for name in settings["html_css_files"])
    assert "http" not in (DOCS / "conf.py").read_text("utf-8")
