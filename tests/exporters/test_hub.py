"""Upload and download with the hub's real client, against a hub of this test that keeps repositories as folders."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants

from core.errors import BackboneError, UsageError
from exporters import hub
from exporters.published import CARD, CLAP, CONFIG, Published, read_published
from tests.exporters.test_published import publish_tiny

NAME = "ann/tiny-latents"
COMMIT = "0" * 40


class LocalHub(BaseHTTPRequestHandler):
    """What the client asks of a hub to make a repository, commit files to it, and fetch them again."""

    root: Path

    def log_message(self, format: str, *args: object) -> None:
        """Keeps pytest's output clean."""

    def _address(self) -> str:
        return f"http://{self.headers['Host']}/{NAME}"

    def _json(self, value: object, status: int = 200) -> None:
        self._bytes(json.dumps(value).encode(), {"Content-Type": "application/json"}, status)

    def _bytes(self, body: bytes, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, content in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, content)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or self._chunks()
        if self.path == "/api/repos/create":
            self._json({"url": self._address(), "name": NAME})
        elif self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            self._json({"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                                  for f in json.loads(body)["files"]]})  # fmt: skip
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    path = self.root / line["value"]["path"]
                    path.write_bytes(base64.b64decode(line["value"]["content"]))
            self._json({"commitUrl": f"{self._address()}/commit/{COMMIT}", "commitOid": COMMIT, "pullRequestUrl": None})
        else:
            self._json({}, 404)

    def _chunks(self) -> bytes:
        found = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        return found

    def do_GET(self) -> None:
        files = sorted(path.name for path in self.root.iterdir())
        if self.path.startswith(f"/api/models/{NAME}/revision/") or self.path == f"/api/models/{NAME}":
            self._json({"id": NAME, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]})
        elif self.path.startswith(f"/api/models/{NAME}/tree/"):
            self._json(
                [{"type": "file", "path": n, "size": (self.root / n).stat().st_size, "oid": COMMIT} for n in files]
            )
        elif self.path.startswith(f"/{NAME}/resolve/") and (path := self.root / self.path.rsplit("/", 1)[1]).exists():
            body = path.read_bytes()
            self._bytes(body, {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha1(body).hexdigest()}"'})
        else:
            self._bytes(b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}, 404)

    do_HEAD = do_GET


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HfApi]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # as everywhere else; put back afterwards
    LocalHub.root = tmp_path / "hub"
    LocalHub.root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), LocalHub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield HfApi(endpoint=f"http://127.0.0.1:{server.server_port}", token="hf_test")
    server.shutdown()
    server.server_close()


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return publish_tiny(tmp_path / "published")


def test_what_is_uploaded_comes_back_whole(api: HfApi, published: Published, tmp_path: Path) -> None:
    (published.folder / "diary.txt").write_text("nobody's business")
    assert hub.upload(published.folder, NAME, api=api).endswith(COMMIT)
    assert sorted(path.name for path in LocalHub.root.iterdir()) == sorted([CARD, CLAP, CONFIG])
    folder = hub.download(NAME, tmp_path / "mine", api=api)
    assert read_published(folder).config == published.config
    assert (folder / CLAP).read_bytes() == published.clap.read_bytes()


def test_a_folder_that_is_not_sound_is_not_uploaded(api: HfApi, published: Published) -> None:
    published.clap.write_bytes(b"other")
    with pytest.raises(BackboneError, match="damaged"):
        hub.upload(published.folder, NAME, api=api)
    assert not list(LocalHub.root.iterdir())


def test_what_was_tampered_with_on_the_way_is_refused(api: HfApi, published: Published, tmp_path: Path) -> None:
    hub.upload(published.folder, NAME, api=api)
    (LocalHub.root / CLAP).write_bytes(b"other")
    with pytest.raises(BackboneError, match="damaged"):
        hub.download(NAME, tmp_path / "mine", api=api)


def test_a_wrong_name_and_no_network_are_told_in_one_line(api: HfApi, published: Published, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="OWNER/NAME"):
        hub.download("not a name!", tmp_path / "mine", api=api)
    with pytest.raises(BackboneError, match="nobody/nothing"):
        hub.download("nobody/nothing", tmp_path / "mine", api=api)
    nowhere = HfApi(endpoint="http://127.0.0.1:9", token="hf_test")
    with pytest.raises(BackboneError, match="Nothing was changed here"):
        hub.upload(published.folder, NAME, api=nowhere)
