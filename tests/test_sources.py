"""Several registries: the order in which they are asked, who is asked at all, and what happens where they disagree."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hub_checks import forget, write
from hub_server import Hub, Repository
from onnx_files import layers, make_file

import pymc_lan as pl
from pymc_lan import cli
from pymc_lan.errors import RegistryError, UnknownNameError
from pymc_lan.registry.load import search_path
from pymc_lan.registry.search import VARIABLE

pytestmark = pytest.mark.usefixtures("no_memory")

SHIPPED = Path(__file__).resolve().parents[1] / "weights_registry"
Configure = Callable[[str, Path], None]


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Return a function that names a registry in the environment or in the user's configuration."""
    home = tmp_path / "config"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.delenv(VARIABLE, raising=False)

    def configure(where: str, registry: Path | str) -> None:
        if where == "environment":
            monkeypatch.setenv(VARIABLE, str(registry))
        else:
            (home / "pymc_lan").mkdir(parents=True)
            (home / "pymc_lan" / "config.toml").write_text(f'registries = ["{registry}"]\n')

    return configure


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Return a registry with ddm 1.2 and another ddm 1.1 than the lab's."""
    write(tmp_path / "other", "1.1", 0.7)
    write(tmp_path / "other", "1.2", 0.9)
    return tmp_path / "other"


def test_the_order_is_argument_environment_configuration(
    tmp_path: Path, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure("configuration", tmp_path / "d")
    configure("environment", os.pathsep.join([str(tmp_path / "b"), "org/c@v1"]))
    # The same registry twice is asked once.
    path = search_path([tmp_path / "a", tmp_path / "b", "org/e"])
    names = ["embedded", str(tmp_path / "a"), str(tmp_path / "b"), "org/e", "org/c@v1", str(tmp_path / "d")]
    assert [str(registry) for registry in path] == names
    monkeypatch.delenv(VARIABLE)
    assert [str(registry) for registry in search_path()] == ["embedded", str(tmp_path / "d")]


@pytest.mark.parametrize("where", ["environment", "configuration"])
def test_a_configured_folder_is_searched(lab: Path, configure: Configure, where: str) -> None:
    with pytest.raises(RegistryError, match=r"Unknown version '1\.1' of model 'ddm'"):
        pl.load_network("ddm@1.1")
    configure(where, lab)
    network = pl.load_network("ddm@1.1")
    assert network == pl.load_network(lab / "ddm" / "1.1")
    assert network.origin == str(lab)
    # The bare name is the embedded version still.
    assert pl.load_network("ddm").name == "ddm@2.0"
    assert pl.load_network("ddm").origin == "embedded"


def test_a_model_of_a_configured_folder_is_one(tmp_path: Path, configure: Configure) -> None:
    file = make_file(tmp_path / "x.onnx", layers(4, 3, 1))
    with pytest.warns(UserWarning, match="its accuracy is unknown"):
        pl.import_onnx(file, "drum", bounds={"v": (-3, 3), "t": (0, 2)}, choices=(-1, 1), out=tmp_path / "nets")
    with pytest.raises(ValueError, match=r"Unknown model 'drum'\. Known models: .*, ddm, .*, lba2"):
        pl.get_model("drum")
    configure("environment", tmp_path / "nets")
    for name in ("drum", "drum@imported"):
        assert pl.get_model(name).names == ("v", "t")
        assert pl.get_model(name) == pl.load_network(name).spec
        with pytest.raises(ValueError, match=r"whose process is known, to draw trials of 'drum'"):
            pl.simulate(name, {"v": 1.0, "t": 0.3})
    with pytest.raises(ValueError, match=r"Unknown version '2' of model 'drum'\. Known versions: imported\."):
        pl.get_model("drum@2")


def test_the_first_registry_that_has_it(lab: Path, other: Path) -> None:
    for registries, folder in (([lab, other], other), ([other, lab], other)):
        assert pl.load_network("ddm@1.2", registries=registries) == pl.load_network(folder / "ddm" / "1.2")


@pytest.mark.parametrize("name", ["ddm@1.1", "lab/nets:ddm@1.1"])
def test_registries_that_disagree(hub: Hub, nets: Repository, lab: Path, other: Path, name: str) -> None:
    if ":" in name:
        # Between a folder and what was pulled of a repository: the comparison makes no request.
        pl.pull(name)
        hub.requests.clear()
        both: list[str | Path] = [other, "lab/nets"]
    else:
        both = [lab, other]
    for registries in (both, both[::-1]):
        with pytest.raises(
            RegistryError, match=r"the same files of ddm@1.1 in every registry. Found others in .* than"
        ):
            pl.load_network("ddm@1.1", registries=registries)
    assert hub.requests == []


def test_registries_that_agree(lab: Path, tmp_path: Path) -> None:
    mirror = shutil.copytree(lab, tmp_path / "mirror")
    with pytest.raises(UnknownNameError, match=r"Known versions: 1\.0, 2\.0, 1\.1\. Did"):
        pl.load_network("ddm@1.9", registries=[lab, mirror])
    assert pl.load_network("ddm@1.1", registries=[lab, mirror]).origin == str(lab)


def test_shipped_names_are_never_asked_of_a_hub(hub: Hub, configure: Configure) -> None:
    configure("configuration", "lab/nets")
    configure("environment", "lab/others")
    hub.stop()
    for row in pl.list_models().query("sha256 != ''").itertuples():
        assert pl.load_network(row.model, registries=["lab/third"]).origin == "embedded"
        assert pl.load_network(f"{row.model}@{row.version}").origin == "embedded"
    assert hub.requests == []


def test_a_configured_repository_is_searched(hub: Hub, nets: Repository, lab: Path, configure: Configure) -> None:
    configure("environment", "lab/nets")
    assert pl.load_network("ddm@1.1").origin == f"lab/nets@{nets.refs['main']}"
    hub.stop()
    forget()
    assert pl.load_network("ddm@1.1") == pl.load_network(lab / "ddm" / "1.1")
    # A repository that cannot be asked is no reason to go on to the next.
    with pytest.raises(RegistryError, match="an answer about"):
        pl.load_network("ddm@1.2", registries=[])


WRONG = {
    "nets": "as 'org/repo', 'org/repo@revision' or a folder's whole path. Found 'nets'",
    "./nets": "a folder's whole path. Found './nets'",
    "a/b/c": "a folder's whole path. Found 'a/b/c'",
    "org/repo:ddm": "Found 'org/repo:ddm'",
    # Of nobody else's home, whether there is one or not.
    "~root/nets": "a folder's whole path. Found '~root/nets'",
    "~nobody-is-called-so/nets": "a folder's whole path. Found '~nobody-is-called-so/nets'",
    "/nowhere": "a file /nowhere/registry.toml",
}


@pytest.mark.parametrize(("registry", "message"), WRONG.items())
def test_registries_that_are_none(registry: str, message: str) -> None:
    with pytest.raises(RegistryError, match=rf"{re.escape(message)}.*Remedy: "):
        pl.load_network("ddm@1.1", registries=[registry])


def test_ones_own_home_has_registries(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for home in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(home, str(lab.parent))
    assert pl.load_network("ddm@1.1", registries=[f"~/{lab.name}"]).origin == str(lab)


@pytest.mark.parametrize("content", [b"registries = 3", b"registries = [3]", b"[", b"\xff"])
def test_a_configuration_that_cannot_be_read(configure: Configure, tmp_path: Path, content: bytes) -> None:
    configure("configuration", "/x")
    (tmp_path / "config" / "pymc_lan" / "config.toml").write_bytes(content)
    with pytest.raises(RegistryError, match=r"config.toml. Found .*Remedy: mend"):
        pl.load_network("ddm")


def test_a_damaged_registry_is_told_even_for_shipped_names(lab: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(lab, tmp_path / "damaged")
    (damaged / "registry.toml").write_text("[")
    with pytest.raises(RegistryError, match=r"Remedy: mend it, or leave it out of the registries"):
        pl.load_network("ddm", registries=[damaged])


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setattr(sys, "argv", ["pymc-lan", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return (int(stop.value.code or 0), *capsys.readouterr())


def test_list_all_says_where_each_version_comes_from(
    hub: Hub,
    nets: Repository,
    lab: Path,
    configure: Configure,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure("configuration", lab)
    configure("environment", "lab/nets")
    everywhere = pl.list_models(everywhere=True)
    assert everywhere.query("model == 'ddm' and version == '1.1'")["registry"].tolist() == [str(lab)]
    code, out, _ = run(monkeypatch, capsys, "pull", "lab/nets:ddm@1.1")
    assert (code, Path(out.strip()).parts[-2:]) == (0, ("ddm", "1.1"))
    code, out, _ = run(monkeypatch, capsys, "list", "--all")
    rows = {tuple(re.split(" {2,}", line.strip())[:2]): line for line in out.splitlines()}
    assert "embedded" in rows["ddm", "2.0 (default)"]
    assert f"lab/nets@{nets.refs['main']}" in rows["ddm", "1.1"]
    assert "embedded" not in run(monkeypatch, capsys, "list")[1]
    assert "1.1" not in pl.list_models().query("model == 'ddm'")["version"].tolist()


def test_commands_fail_in_one_sentence(
    hub: Hub, nets: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(SHIPPED / "ddm" / "2.0")
    hub.faults.append(lambda request: request.refuse(500))
    for arguments in (("pull", "lab/nets:ddm"), ("pull", "ddm"), ("publish", f"{folder}/x", "--repo", "lab/nets")):
        code, out, err = run(monkeypatch, capsys, *arguments)
        assert (code, out) == (1, "")
        assert re.fullmatch(r"pymc-lan: Expected .* Found .* Remedy: .*\.\n", err)


def test_publish_prints_what_it_would_do(
    hub: Hub, nets: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pymc_lan.registry.publish.accuracy", lambda network, **_: network.config["accuracy"])
    arguments = ("publish", str(SHIPPED / "angle" / "2.0"), "--repo", "lab/nets", "--license", "apache-2.0")
    code, out, _ = run(monkeypatch, capsys, *arguments, "--dry-run")
    assert code == 0
    assert "dry run, nothing was written" in out
    assert hub.writes == []
    code, out, _ = run(monkeypatch, capsys, *arguments)
    assert f"lab/nets: commit {nets.refs['angle-2.0']}" in out
    assert pl.load_network("lab/nets:angle").name == "angle@2.0"
