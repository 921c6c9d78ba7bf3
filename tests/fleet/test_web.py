"""Recordings on a web server of this machine, and storages whose packages are missing."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from vgslam.errors import InputError, MissingDependencyError
from vgslam.fleet import storage
from vgslam.fleet.items import find_items

CONTENT = bytes(range(256)) * 20


class Handler(BaseHTTPRequestHandler):
    """Serves what its server holds: content, and a tag where it has one."""

    server: "Server"

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def do_GET(self) -> None:
        self.server.n_gets += 1
        self._answer(has_body=True)

    def _answer(self, has_body: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.logins.append(self.headers.get("Authorization"))
        if path == "/silent.mp4":
            self.server.released.wait()
            return
        if path == "/busy.mp4":
            self.send_error(503)
            return
        if path == "/away.mp4":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
            return
        held = self.server.files.get(path)
        if held is None:
            self.send_error(404)
            return
        self.send_response(200)
        if path != "/endless.mp4":
            self.send_header("Content-Length", str(len(held) + self.server.n_missing))
        if self.server.tag:
            self.send_header("ETag", self.server.tag)
        self.end_headers()
        if has_body:
            self.wfile.write(held)

    def log_message(self, *args: object) -> None:
        pass


class Server(HTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"/walks/a.mp4": CONTENT, "/endless.mp4": CONTENT}
        self.tag, self.n_missing, self.n_gets = '"1"', 0, 0
        self.released = threading.Event()
        self.logins: list[str | None] = []

    def at(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.released.set()
    made.shutdown()
    thread.join()
    made.server_close()


def everything(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_recording_is_fetched_once_and_again_when_it_has_changed(server: Server, tmp_path: Path) -> None:
    url, cache = server.at("/walks/a.mp4?token=secret"), tmp_path / "cache"
    file = storage.fetch(url, cache)
    assert (file.name, file.read_bytes()) == ("a.mp4", CONTENT)
    assert storage.fetch(url, cache) == file
    assert server.n_gets == 1
    assert everything(tmp_path) == {file.relative_to(tmp_path).as_posix()}
    server.files["/walks/a.mp4"], server.tag = b"other", '"2"'
    assert storage.fetch(url, cache).read_bytes() == b"other"
    [item] = find_items([url], ())
    assert (item.name, item.trouble) == ("a", "")


def test_a_login_of_the_address_is_sent_and_not_written_down(server: Server, tmp_path: Path) -> None:
    url = server.at("/walks/a.mp4").replace("http://", "http://me:secret@")
    assert storage.fetch(url, tmp_path).read_bytes() == CONTENT
    assert set(server.logins) == {"Basic bWU6c2VjcmV0"}
    assert not any("secret" in name for name in everything(tmp_path))


def test_a_server_that_tells_no_mark_is_read_to_tell_the_content(server: Server) -> None:
    server.tag = ""
    before = storage.identity(server.at("/walks/a.mp4"))
    assert storage.identity(server.at("/walks/a.mp4")) == before
    server.files["/walks/a.mp4"] = CONTENT[::-1]
    assert storage.identity(server.at("/walks/a.mp4")) != before


@pytest.mark.parametrize(
    ("path", "kind", "says"),
    [
        ("/gone.mp4?token=secret", InputError, "404"),
        ("/busy.mp4", storage.StorageError, "503"),
        ("/away.mp4", InputError, "redirect|302|refuses|cannot be read"),
        ("/silent.mp4", storage.StorageError, "says nothing for 0.2 s"),
    ],
)
def test_what_cannot_be_fetched_is_one_line_and_leaves_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, kind: type, says: str
) -> None:
    monkeypatch.setattr(storage, "TIMEOUT_S", 0.2)
    with pytest.raises(kind, match=says) as raised:
        storage.fetch(server.at(path), tmp_path / "cache")
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)
    assert everything(tmp_path) == set()


def test_a_server_that_is_not_there(tmp_path: Path, server: Server) -> None:
    url = server.at("/walks/a.mp4").replace(str(server.server_port), "9")
    with pytest.raises(storage.StorageError, match=r"cannot be read \(Connection refused\)"):
        storage.fetch(url, tmp_path)


@pytest.mark.parametrize("path", ["/walks/a.mp4", "/endless.mp4"])
def test_a_file_that_is_too_large_is_not_kept(server: Server, tmp_path: Path, path: str) -> None:
    """Whether or not the server says how large it is."""
    assert storage.fetch(server.at(path), tmp_path / "a", len(CONTENT)).read_bytes() == CONTENT
    with pytest.raises(InputError, match="at most 5119 are fetched"):
        storage.fetch(server.at(path), tmp_path / "b", len(CONTENT) - 1)
    assert everything(tmp_path / "b") == set()


def test_a_file_that_came_in_part_is_not_kept(server: Server, tmp_path: Path) -> None:
    server.n_missing = 100
    with pytest.raises(storage.StorageError, match=r"5120 of 5220 bytes|broke off"):
        storage.fetch(server.at("/walks/a.mp4"), tmp_path)
    assert everything(tmp_path) == set()


@pytest.mark.parametrize(("url", "package"), [("s3://b/a.mp4", "s3fs"), ("gs://b/a.mp4", "gcsfs")])
def test_a_storage_without_its_package_names_it(monkeypatch: pytest.MonkeyPatch, url: str, package: str) -> None:
    def missing(url: str) -> None:
        raise ImportError("install it")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(MissingDependencyError, match=f"needs {package}: pip install {package}"):
        storage.identity(url)
