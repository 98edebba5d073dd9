"""Registries in repositories of the hub: the one module that pulls over the network.

A branch or tag becomes a commit once. What was pulled is recorded beside the hub's own cache of the repository, in
``pymc_lan/REVISION/MODEL@VERSION.json``, with its commit and the sha256 of its files; the record is written last, after
every file has been verified, and whole. From then on the version loads from the cache without any request. Files,
resuming, locks, tokens and progress bars are those of the hub's client.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, final
from urllib.parse import quote

from pymc_lan.data.files import write_whole
from pymc_lan.data.reading import LARGEST_FILE, LARGEST_TEXT, parse_json, read_file, read_if_there
from pymc_lan.errors import RegistryError, explain, is_name
from pymc_lan.networks.config import PLAIN_NAME
from pymc_lan.registry.names import ModelName, RepositoryName
from pymc_lan.registry.table import REGISTRY, WEIGHTS, Entry, Table, check_files, digest, parse_table

# Seconds that a hub may take for its first answer; HF_HUB_ETAG_TIMEOUT changes it. The client alone would take 23.
PATIENCE = 4.0

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REMEDY_PULL = "ask whoever publishes the registry, or take another revision"


@final
@dataclass(frozen=True)
class HubRegistry:
    """A registry in a repository of the hub.

    Parameters
    ----------
    name : RepositoryName
    under : str
        The folder of the repository that is the registry; none for all of it.
    """

    name: RepositoryName
    under: str = ""

    def __str__(self) -> str:
        """The name in lists and errors: ``"org/repo"``, with the revision unless it is main."""
        return str(self.name)

    def beside(self, folder: str) -> HubRegistry:
        """The registry in a folder of this one."""
        return replace(self, under=folder)

    def placed(self, path: str) -> str:
        """A path of the registry as one of the repository."""
        return f"{self.under}/{path}" if self.under else path

    @property
    def repo(self) -> str:
        """``"org/repo"``."""
        return self.name.repo

    def entries(self) -> list[Entry]:
        """Every version that was pulled; makes no request.

        Raises
        ------
        RegistryError
            If a record cannot be read.
        """
        names = [ModelName.parse(stem) for stem in sorted(path.stem for path in self._records.glob("*@*.json"))]
        return [entry for name in names if (entry := self._at(name.model, name.version))]

    def known(self) -> list[tuple[str, str]]:
        """Models and versions that the repository holds now, from a fresh request.

        Raises
        ------
        RegistryError
            If the hub cannot be reached or refuses, or the table cannot be read.
        """
        table = self._table(self._resolve(self.name.revision))
        return [(model, version) for model, content in table.items() for version in content["versions"]]

    def find(self, model: str, version: str | None, *, fetch: bool = True) -> Entry | None:
        """A version of a model, or its default one: as recorded, else pulled, unless `fetch` is false.

        Returns
        -------
        Entry or None
            None where the repository has no such version, or no record and `fetch` is false.

        Raises
        ------
        RegistryError
            If the hub cannot be reached or refuses, or what it has is not what was recorded.
        """
        if not is_name(model) or not (version is None or PLAIN_NAME.fullmatch(version)):
            return None
        entry = self._at(model, version or self._default(model))
        if fetch and entry is None:
            return next(iter(self.pull(model, version)), None)
        if fetch and entry is not None and not all((entry.folder / name).exists() for name in entry.files):
            # The cache was cleaned since.
            self._fetch(entry, self._resolve(self._commit(entry)))
        return entry

    def pull(self, model: str | None = None, version: str | None = None) -> list[Entry]:
        """Fetch versions at the commit that the revision means now, verify and record them.

        Parameters
        ----------
        model, version : str, optional
            All models without the first, the model's default version without the second.

        Returns
        -------
        list of Entry
            Empty where the repository has no such model or version.

        Raises
        ------
        RegistryError
            If the hub cannot be reached or refuses, the table or a file is not what it should be, a version is not what
            was recorded of it, or the cache cannot be written.
        """
        commit = self._resolve(self.name.revision)
        table = self._table(commit)
        wanted = [
            self._entry(name, number, commit, found["files"], default=number == content["default"])
            for name, content in table.items()
            for number, found in content["versions"].items()
            if model is None or (name == model and number == (version or content["default"]))
        ]
        for entry in wanted:
            self._refuse_changed(entry)
            self._fetch(entry, commit)
            self._record(entry.name, {"commit": commit, "files": dict(entry.files)})
            if entry.default and version is None:
                # Asked for by number, a version leaves the meaning of the bare name.
                self._record(entry.model, {"version": entry.version})
        return wanted

    def head(self) -> tuple[str, Table]:
        """The newest commit and its table, which is empty where the repository has none.

        Raises
        ------
        RegistryError
            If the hub cannot be reached, or the table cannot be read.
        """
        from huggingface_hub import HfApi

        seconds, revision = _patience(), self.name.revision
        with explained(self.repo, f"revision {revision!r}"):
            found = _within(seconds, lambda: HfApi().model_info(self.repo, revision=revision, timeout=seconds))
        if self.placed(REGISTRY) not in {each.rfilename for each in found.siblings or ()}:
            return str(found.sha), {}
        return str(found.sha), self._table(str(found.sha))

    def has(self, revision: str) -> bool:
        """Whether the repository has a branch, tag or commit of this name.

        Raises
        ------
        RegistryError
            If the hub refuses to say.
        """
        from huggingface_hub import HfApi

        with explained(self.repo, f"revision {revision!r}"):
            return HfApi().revision_exists(self.repo, revision)

    # Records

    @property
    def cache(self) -> Path:
        """The repository's folder in the hub's cache."""
        from huggingface_hub import constants

        return Path(constants.HF_HUB_CACHE, constants.REPO_ID_SEPARATOR.join(["models", *self.repo.split("/")]))

    @property
    def _records(self) -> Path:
        return self.cache / "pymc_lan" / quote(self.name.revision, safe="") / self.under

    def _at(self, model: str, version: str | None) -> Entry | None:
        record = self._read(ModelName(model, version)) if version is not None else None
        if record is None or version is None:
            return None
        commit, files = record["commit"], record["files"]
        return self._entry(model, version, commit, files, default=version == self._default(model))

    def _default(self, model: str) -> str | None:
        record = self._read(ModelName(model))
        return record["version"] if record is not None else None

    def _entry(self, model: str, version: str, commit: str, files: Mapping[str, str], *, default: bool) -> Entry:
        folder = self.cache / "snapshots" / commit / self.under / model / version
        return Entry(model, version, files, folder, f"{self.repo}@{commit}", default)

    def _commit(self, entry: Entry) -> str:
        return entry.origin.removeprefix(f"{self.repo}@")

    def _refuse_changed(self, entry: Entry) -> None:
        known = self._at(entry.model, entry.version)
        if known is not None and known.files != entry.files:
            raise RegistryError(
                explain(
                    f"{entry.name} of {self} as it was recorded at commit {self._commit(known)}",
                    f"other files under the same version at commit {self._commit(entry)}",
                    "use the recorded one, which still loads, or name the other commit: "
                    f"'{self.repo}@{self._commit(entry)}:{entry.name}'; published versions never change",
                )
            )

    def _read(self, name: ModelName) -> dict[str, Any] | None:
        path, remedy = self._records / f"{name}.json", "remove it, and pull anew"
        content = read_if_there(path, remedy)
        if content is None:
            return None
        record = parse_json(content, f"the record {path}", remedy)
        try:
            if name.version is None:
                whole = bool(PLAIN_NAME.fullmatch(record["version"]))
            else:
                check_files(name.model, name.version, record["files"], path, remedy)
                whole = bool(_COMMIT.fullmatch(record["commit"]))
        except (KeyError, TypeError, AttributeError):
            whole = False
        if not whole:
            raise RegistryError(explain(f"a commit and files, or a version, in {path}", f"{record}", remedy))
        return dict(record)

    def _record(self, key: str, content: Mapping[str, Any]) -> None:
        with explained(self.repo, f"a record of {key}"):
            self._records.mkdir(parents=True, exist_ok=True)
            write_whole(self._records / f"{key}.json", json.dumps(content).encode())

    # Requests

    def _resolve(self, revision: str) -> str:
        """The commit of a revision, from one request that is answered soon or not at all."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        from huggingface_hub.errors import HfHubHTTPError

        seconds = _patience()
        with explained(self.repo, f"{REGISTRY} at revision {revision!r}"):
            url = hf_hub_url(self.repo, self.placed(REGISTRY), revision=revision)
            try:
                found = _within(seconds, partial(get_hf_file_metadata, url, timeout=seconds))
            except HfHubHTTPError as error:
                if error.response.status_code not in (429, 503):
                    raise
                found = get_hf_file_metadata(url, retry_on_errors=True)  # there, and busy: the client waits as told
        commit = found.commit_hash or ""
        if not _COMMIT.fullmatch(commit) or (_COMMIT.fullmatch(revision) and commit != revision):
            raise RegistryError(
                explain(f"the commit of revision {revision!r} of {self.repo}", f"{commit!r}", "check HF_ENDPOINT")
            )
        return commit

    def _table(self, commit: str) -> Table:
        content = self._download(commit, self.placed(REGISTRY), fresh=True)
        return parse_table(content, f"{REGISTRY} of {self.repo}@{commit[:12]}", _REMEDY_PULL)

    def _fetch(self, entry: Entry, commit: str) -> None:
        for name, expected in entry.files.items():
            path = self.placed(f"{entry.model}/{entry.version}/{name}")
            content = self._download(commit, path)
            if digest(content) != expected:
                content = self._download(commit, path, fresh=True)
            if (found := digest(content)) != expected:
                raise RegistryError(
                    explain(
                        f"{path} of {self.repo}@{commit[:12]} with sha256 {expected}",
                        f"{found} ({len(content)} bytes), twice",
                        "try again; if it stays so, ask whoever publishes the registry",
                    )
                )

    def _download(self, commit: str, path: str, *, fresh: bool = False) -> bytes:
        """A file at a commit, through the hub's cache; `fresh` replaces what lies there."""
        from huggingface_hub import hf_hub_download

        largest = LARGEST_FILE if path.endswith(WEIGHTS) else LARGEST_TEXT
        with explained(self.repo, path):
            size = hf_hub_download(self.repo, path, revision=commit, dry_run=True).file_size
            if size is not None and size > largest:
                expected = f"{path} of {self.repo} below {largest:,} bytes"
                raise RegistryError(explain(expected, f"{size:,}", _REMEDY_PULL))
            kept = hf_hub_download(self.repo, path, revision=commit, force_download=fresh)
        return read_file(Path(kept), _REMEDY_PULL, largest)


@contextmanager
def explained(repo: str, what: str = "") -> Iterator[None]:
    """Turn what the hub's client raises into a RegistryError that says what to do.

    Parameters
    ----------
    repo : str
    what : str
        What is asked of the repository, for the message.
    """
    import httpx2
    from huggingface_hub import constants, errors

    try:
        yield
    except (OSError, ValueError, httpx2.HTTPError) as error:
        # The client wraps what went wrong where it then looked into its cache.
        wrapped = isinstance(error, errors.LocalEntryNotFoundError | ValueError) and error.__cause__ is not None
        cause = error.__cause__ if wrapped else error
        raise RegistryError(explain(*_sentences(cause, repo, what or "a registry", constants.ENDPOINT))) from error


def _sentences(error: BaseException | None, repo: str, what: str, endpoint: str) -> tuple[str, str, str]:
    """What was expected, what was found, and what to do about it."""
    import httpx2
    from huggingface_hub import errors

    says = str(error).split("\n", 1)[0].rstrip(".") or type(error).__name__
    match error:
        case errors.OfflineModeIsEnabled():
            expected = f"{what} of {repo} in the cache, because HF_HUB_OFFLINE is set"
            return expected, "none", f"pull it once where there is a network: pymc-lan pull {repo}"
        case errors.GatedRepoError():
            return f"leave to read {repo}", "a gated repository", "ask for it at the hub, and log in or set HF_TOKEN"
        case errors.RevisionNotFoundError():
            return f"{what} of {repo}", "no such revision", "name a branch, a tag or a commit of the repository"
        case errors.RemoteEntryNotFoundError():
            return f"{what} of {repo}", "no such file there", "check that the repository is a registry of pymc-lan"
        case errors.HfHubHTTPError(response=response) if response.status_code in (401, 403, 404):
            found = f"none at {endpoint}, or one that this token may not use ({response.status_code})"
            return f"a repository {repo}", found, "check the name; for a private one log in or set HF_TOKEN"
        case errors.HfHubHTTPError(response=response):
            return f"{what} of {repo} from {endpoint}", f"the answer {response.status_code} ({says})", "try again later"
        case TimeoutError() | httpx2.TransportError():
            expected, found = f"an answer about {what} of {repo} from {endpoint}", f"none in time ({says})"
            return expected, found, "check the network and HF_ENDPOINT; what was pulled before loads without them"
        case errors.FileMetadataError():
            return f"a hub at {endpoint}", says, "check HF_ENDPOINT and proxies"
        case errors.HFValidationError():
            return "a repository's name", says, "check it"
        case OSError():
            return f"{what} of {repo} to fit into the cache", says, "check HF_HOME, the disk, and who may write there"
        case _:
            return f"{what} of {repo}", says, "check HF_ENDPOINT and the version of huggingface-hub"


def _patience() -> float:
    from huggingface_hub import constants

    changed = constants.HF_HUB_ETAG_TIMEOUT != constants.DEFAULT_ETAG_TIMEOUT
    return constants.HF_HUB_ETAG_TIMEOUT if changed else PATIENCE


def _within[T](seconds: float, call: Callable[[], T]) -> T:
    """The result of a call, or a TimeoutError: looking up a host's name has no limit of its own."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future.result(seconds)
