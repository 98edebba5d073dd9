"""A hub on the loopback address: the part of the protocol that the real client uses to resolve, download and commit.

Repositories are dictionaries of files by commit. A test makes the hub misbehave by appending to `faults` a function
that sees every request first, and says whether it has answered it.
"""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

Fault = Callable[["Request"], bool]


@dataclass
class Repository:
    """Files by commit, commits by branch or tag."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    token: str | None = None

    def commit(self, files: Mapping[str, bytes], ref: str = "main") -> str:
        """Make a commit that has these files and no others; a ref moves to it."""
        content = repr((len(self.commits), sorted(files.items())))
        sha = sha1(content.encode()).hexdigest()
        self.commits[sha] = dict(files)
        self.refs[ref] = sha
        return sha

    def commit_folder(self, folder: Path, ref: str = "main") -> str:
        return self.commit({str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}, ref)

    def files(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        sha = self.refs.get(revision, revision)
        return (sha, self.commits[sha]) if sha in self.commits else None


class Hub:
    """The server; `requests` are its methods and paths, in order."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[str] = []
        self.faults: list[Fault] = []
        # What the hub sends in place of a file, under the hash of the right one.
        self.sent: dict[str, bytes] = {}
        self.connections: list[socket.socket] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Request)
        self.server.daemon_threads = True
        self.server.hub = self  # type: ignore[attr-defined]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def writes(self) -> list[str]:
        """Requests that may change something."""
        return [each for each in self.requests if not each.startswith(("GET ", "HEAD "))]

    def stop(self) -> None:
        """Refuse connections from now on."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        for connection in self.connections:
            # Clients keep connections open, and have closed some of them since.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Request(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined]

    def setup(self) -> None:
        super().setup()
        self.hub.connections.append(self.connection)

    def log_message(self, *_: Any) -> None:
        pass

    def answer(
        self, status: int, content: bytes | dict[str, Any] = b"", headers: Mapping[str, str] | None = None
    ) -> bool:
        """Send a whole answer."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | dict(headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        return True

    def refuse(self, status: int, code: str = "") -> bool:
        """Send an error as the hub does, which names its kind in a header."""
        return self.answer(status, {"error": code or "refused"}, {"X-Error-Code": code} if code else {})

    def handle_request(self) -> None:
        self.connection.settimeout(20)
        path = urlsplit(self.path).path
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.requests.append(f"{self.command} {unquote(path)}")
        if any(fault(self) for fault in list(self.hub.faults)):
            return
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if parts[0] == "api":
            self.api(parts[1:])
        elif parts[2:3] == ["resolve"]:
            self.resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            self.refuse(404)

    do_GET = do_HEAD = do_POST = handle_request  # noqa: N815 - the names that the standard library calls

    def repository(self, name: str) -> Repository | None:
        """The repository, if this request may see it."""
        found = self.hub.repositories.get(name)
        if found is None or (found.token and self.headers.get("authorization") != f"Bearer {found.token}"):
            self.refuse(401 if found or "authorization" not in self.headers else 404, "RepoNotFound")
            return None
        return found

    def resolve(self, name: str, revision: str, path: str) -> bool | None:
        """Send a file, or what is left of it from where a range begins."""
        if (repository := self.repository(name)) is None:
            return None
        if (found := repository.files(revision)) is None:
            return self.refuse(404, "RevisionNotFound")
        commit, files = found
        if path not in files:
            return self.refuse(404, "EntryNotFound")
        content = files[path]
        headers = {"X-Repo-Commit": commit, "ETag": f'"{git_hash(content)}"', "Accept-Ranges": "bytes"}
        content = self.hub.sent.get(path, content)
        begin, _, _ = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        if int(begin):
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            return self.answer(206, content[int(begin) :], headers)
        return self.answer(200, content, headers)

    def api(self, parts: list[str]) -> bool | None:
        if parts == ["validate-yaml"]:
            return self.answer(200, {"warnings": [], "errors": []})
        if parts[0] != "models":
            return self.refuse(404)
        if (repository := self.repository("/".join(parts[1:3]))) is None:
            return None
        match parts[3:]:
            case [] | ["revision", _]:
                revision = parts[4] if parts[3:] else "main"
                found = repository.files(revision)
                if found is None:
                    return self.refuse(404, "RevisionNotFound")
                siblings = [{"rfilename": path} for path in found[1]]
                return self.answer(200, {"id": "/".join(parts[1:3]), "sha": found[0], "siblings": siblings})
            case ["preupload", _]:
                asked = json.loads(self.body)["files"]
                modes = [{"path": each["path"], "uploadMode": "regular", "shouldIgnore": False} for each in asked]
                return self.answer(200, {"files": modes})
            case ["commit", revision]:
                return self.commit("/".join(parts[1:3]), repository, revision)
            case ["tag", revision]:
                tag = json.loads(self.body)["tag"]
                if tag in repository.refs:
                    return self.refuse(409)
                repository.refs[tag] = repository.refs.get(revision, revision)
                return self.answer(200, {})
        return self.refuse(404)

    def commit(self, name: str, repository: Repository, revision: str) -> bool:
        """Apply the lines of a commit at once, if nobody else has committed since its parent."""
        lines = [json.loads(line) for line in self.body.splitlines()]
        parent, files = repository.files(revision) or ("", {})
        if lines[0]["value"].get("parentCommit", parent) != parent:
            return self.refuse(412)
        added = {each["value"]["path"]: base64.b64decode(each["value"]["content"]) for each in lines[1:]}
        sha = repository.commit(files | added, revision)
        return self.answer(200, {"commitUrl": f"{self.hub.endpoint}/{name}/commit/{sha}", "commitOid": sha})


def git_hash(content: bytes) -> str:
    """The name git gives to a file's content, which the hub sends as its ETag."""
    return sha1(b"blob %d\0" % len(content) + content).hexdigest()
