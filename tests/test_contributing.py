"""What CONTRIBUTING.md says of the house is what tests/test_layers.py holds the package to."""

from __future__ import annotations

import re

from test_layers import FLOORS, IMPORTERS, LONGEST_BODY, MOST_ENTRIES, REPOSITORY

TEXT = (REPOSITORY / "CONTRIBUTING.md").read_text("utf-8")
ROWS = re.findall(r"^\| (\d+) \| `(\w+)` \| .+? \| (.*?) ?\|$", TEXT, re.MULTILINE)
# The roof, pymc_lan/__init__.py, has a sentence instead of a row.
PACKAGES = {package: number for number, packages in enumerate(FLOORS[:-1], 1) for package in packages}


def test_every_package_has_its_floor() -> None:
    assert {package: int(number) for number, package, _ in ROWS} == PACKAGES
    assert [int(number) for number, _, _ in ROWS] == sorted(PACKAGES.values(), reverse=True)


def test_every_package_names_what_it_may_import() -> None:
    allowed = {package: sorted(name for name, users in IMPORTERS.items() if package in users) for package in PACKAGES}
    assert {package: libraries.split(", ") if libraries else [] for _, package, libraries in ROWS} == allowed


def test_limits_are_those_that_are_tested() -> None:
    prose = " ".join(TEXT.split())
    assert f"at most {MOST_ENTRIES} packages and modules" in prose
    assert f"function bodies at most {LONGEST_BODY} lines" in prose


def test_code_that_is_named_is_there() -> None:
    sources = "\n".join(path.read_text("utf-8") for path in (REPOSITORY / "pymc_lan").rglob("*.py"))
    for name in ("FolderRegistry", "as_registry"):
        assert f"`{name}`" in TEXT
        assert re.search(rf"^(?:class|def) {name}\b", sources, re.MULTILINE)
