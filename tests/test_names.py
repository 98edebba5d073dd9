"""What users write to name a version of a model; each text is spelled out here as its parts, by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import pymc_lan as pl
from pymc_lan.errors import RegistryError
from pymc_lan.registry.names import ModelName, RepositoryName, parse_source
from pymc_lan.registry.sources import AnyModel, find_network, get_model

NAMES = {
    "ddm": ModelName("ddm"),
    "ddm@1.0": ModelName("ddm", "1.0"),
    "lab/nets:ddm": ModelName("ddm", None, RepositoryName("lab/nets", "main")),
    "lab/nets:ddm@1.0": ModelName("ddm", "1.0", RepositoryName("lab/nets", "main")),
    "lab/nets@v2:ddm@1.0": ModelName("ddm", "1.0", RepositoryName("lab/nets", "v2")),
    # A branch may have slashes, and what follows the colon may be any text: registries say that they lack it.
    "lab/nets@paper/final:ddm": ModelName("ddm", None, RepositoryName("lab/nets", "paper/final")),
    "lab/nets:../x": ModelName("../x", None, RepositoryName("lab/nets", "main")),
    "lab/nets:ddm@../x": ModelName("ddm", "../x", RepositoryName("lab/nets", "main")),
    "ddm@": ModelName("ddm", ""),
}


@pytest.mark.parametrize(("text", "name"), NAMES.items())
def test_names_are_read_and_written(text: str, name: ModelName) -> None:
    assert ModelName.parse(text) == parse_source(text) == name
    assert str(name) == text


@pytest.mark.parametrize("text", ["./ddm", "ddm/1.0", "/tmp/ddm", "a/b/c", "../lab/nets:ddm", "lab/nets", "a/b c:ddm"])
def test_what_has_a_separator_and_no_repository_is_a_path(text: str) -> None:
    assert parse_source(text) == Path(text)
    assert parse_source(Path("ddm@1.0")) == Path("ddm@1.0")


REPOSITORIES = {
    "lab/nets": RepositoryName("lab/nets", "main"),
    "lab/nets@paper/final": RepositoryName("lab/nets", "paper/final"),
    "a-b/c.d_e": RepositoryName("a-b/c.d_e", "main"),
    **dict.fromkeys(["", "nets", "a/b/c", "./nets", "lab/.nets", "lab/nets@", "lab/nets@.x", "lab/nets@a@b", "lab/né"]),
}


@pytest.mark.parametrize(("text", "name"), REPOSITORIES.items())
def test_repositories(text: str, name: RepositoryName | None) -> None:
    assert RepositoryName.match(text) == name
    if name is not None:
        assert (RepositoryName.parse(text), str(name)) == (name, text)


@pytest.mark.parametrize("text", ["nets:ddm", ":ddm", "lab:nets:ddm", "C:ddm"])
@pytest.mark.parametrize("read", [ModelName.parse, pl.load_network, pl.pull])
def test_what_stands_before_the_colon_is_a_repository(read: Callable[[str], object], text: str) -> None:
    place = text.rpartition(":")[0]
    sentences = f"Expected a repository as 'org/repo' or 'org/repo@revision'. Found '{place}'. Remedy: name it so."
    with pytest.raises(RegistryError) as error:
        read(text)
    assert str(error.value) == sentences


FOLDER = Path(__file__).resolve().parents[1] / "weights_registry" / "angle" / "2.0"
FORMS = {
    "a name": lambda: "angle",
    "a version": lambda: "angle@2.0",
    "a folder": lambda: FOLDER,
    "a folder's path": lambda: str(FOLDER),
    "a model": lambda: pl.get_model("angle"),
    "a network": lambda: pl.load_network("angle"),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_model_in_any_form(form: Callable[[], AnyModel]) -> None:
    network = pl.load_network(FOLDER)
    assert find_network(form()) == network
    assert get_model(form()).names == ("v", "a", "z", "t", "theta")
    theta = {"v": [0.0, 2.0], "a": 1.0, "t": 0.3, "theta": 0.4}
    assert pl.simulate(form(), theta, seed=1).equals(pl.simulate("angle", theta, seed=1))


def test_a_closed_form_is_a_model_without_a_network() -> None:
    assert get_model("lba2") is get_model(pl.get_model("lba2")) is pl.get_model("lba2")
    with pytest.raises(RegistryError, match=r"a model with a network\. Found 'lba2', a closed form"):
        find_network("lba2")
