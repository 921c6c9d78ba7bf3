"""Recordings that lie elsewhere, fetched once: at addresses that fsspec reads, or on web servers, by Python alone."""

import base64
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from vgslam.errors import InputError, MissingDependencyError, OutputError
from vgslam.guards.wording import first_line
from vgslam.sources.live_address import public, split_login

T = TypeVar("T")
PROTOCOLS = ("s3", "s3a", "gs", "gcs", "http", "https", "file", "memory")
"""Kinds of address that are read. fsspec knows more, some of which run code or reach further than they say."""
PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}  # what fsspec needs for a kind of address
WEB = ("http", "https")
MOST_BYTES = 256 * 2**30  # largest file that is fetched
LIVE = ("rtsp", "rtsps", "rtmp", "udp", "srt")
MARKS = ("ETag", "etag", "md5Hash", "crc32c", "generation", "last_modified", "LastModified", "mtime", "size")
"""What a storage may say of an object that changes with its content."""
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


class StorageError(InputError):
    """A storage could not be read; it may be later."""


def is_address(text: str) -> bool:
    """Whether this names something in a storage, not a path."""
    return _ADDRESS.match(text) is not None


def check_address(url: str) -> None:
    """Raises InputError for an address of a kind that is not read."""
    protocol = _protocol(url)
    if protocol in LIVE:
        raise InputError(f"{public(url)}: is a live stream, not a recording; use vgslam live")
    if protocol not in PROTOCOLS or "::" in url:
        raise InputError(f"{public(url)}: addresses of this kind are not read; known are {', '.join(PROTOCOLS)}")


def _protocol(url: str) -> str:
    match = _ADDRESS.match(url)
    return match[1].lower() if match else ""


def find(url: str) -> list[str]:
    """The addresses that wildcards stand for, in order. Raises StorageError, InputError and MissingDependencyError."""
    if not any(c in url for c in "*[") or _protocol(url) in WEB:  # a web server lists nothing
        return [url]
    with _opened(url) as (fs, path):
        return [fs.unstrip_protocol(p) for p in sorted(fs.glob(path))]


def entries(url: str) -> list[str] | None:
    """Addresses of what lies in a folder, in order; None if it is a file or does not exist."""
    with _opened(url) as (fs, path):
        if not fs.isdir(path):
            return None
        return [fs.unstrip_protocol(p) for p in sorted(fs.ls(path, detail=False)) if p.rstrip("/") != path.rstrip("/")]


def identity(url: str) -> str:
    """What tells the content at an address from another: its mark and size. Raises StorageError where there is none."""
    with _opened(url) as (fs, path):
        if not fs.exists(path):
            raise StorageError(f"{public(url)}: there is no such recording")
        digest = hashlib.sha256(public(url).encode())
        for name, info in _files_at(fs, path).items():
            marks = {mark: str(info[mark]) for mark in MARKS if info.get(mark) is not None}
            if not marks.keys() - {"size"}:  # as http servers without tags: the content itself
                with fs.open(name, "rb") as file:
                    marks["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{name}\0{sorted(marks.items())}\n".encode())
        return digest.hexdigest()


def fetch(url: str, cache: Path, most_bytes: int = MOST_BYTES) -> Path:
    """The recording at an address as a file or folder of this machine, fetched into `cache` if need be. Raises
    StorageError, InputError for a file of more than `most_bytes`, and OutputError where it cannot be kept."""
    name = PurePosixPath(public(url).rstrip("/")).name
    if name in ("", ".", ".."):
        raise InputError(f"{public(url)}: has no name")
    place = cache / identity(url)[:32]
    if (place / name).exists():
        return place / name
    try:
        cache.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".fetching-", dir=cache))
    except OSError as error:
        raise OutputError(f"{cache}: cannot be written ({error.strerror or error}); choose another --cache") from error
    try:
        _copy(url, made / name, most_bytes)
        return _placed(made, place) / name
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _copy(url: str, to: Path, most_bytes: int) -> None:
    with _opened(url, most_bytes) as (fs, path):
        for name, info in _files_at(fs, path).items():
            size = info.get("size")
            if size is not None and size > most_bytes:
                raise too_large(url, size, most_bytes)
            inner = name[len(path) :].strip("/")
            if ".." in PurePosixPath(inner).parts:
                raise InputError(f"{public(url)}: holds a file called {inner}, which would lie outside")
            file = to / inner if inner else to
            file.parent.mkdir(parents=True, exist_ok=True)
            fs.get_file(name, str(file))
            if size is not None and file.stat().st_size != size:
                raise StorageError(f"{public(url)}: {file.stat().st_size} of {size} bytes came")


def _placed(made: Path, place: Path) -> Path:
    """The folder at its place; another task may have been faster."""
    try:
        os.rename(made, place)
    except OSError as error:
        if not place.is_dir():
            raise OutputError(f"{place}: cannot be made ({error.strerror or error})") from error
    return place


def _files_at(fs: Any, path: str) -> dict[str, dict[str, Any]]:
    """What the storage says of the file at a path, or of all files below it, in order."""
    if fs.isfile(path):
        return {path: fs.info(path)}
    return dict(sorted(fs.find(path, detail=True).items()))


@contextmanager
def _opened(url: str, most_bytes: int = MOST_BYTES) -> Iterator[tuple[Any, str]]:
    """The file system of an address and the path in it. What it raises becomes one line."""
    check_address(url)
    try:
        yield (HttpFiles(url, most_bytes), public(url)) if _protocol(url) in WEB else _of_fsspec(url)
    except (InputError, MissingDependencyError):
        raise
    except Exception as error:  # each storage raises errors of its own library
        raise StorageError(f"{public(url)}: cannot be read ({public(first_line(error))[:200]})") from error


def _of_fsspec(url: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError as error:
        raise MissingDependencyError(f"{public(url)} needs fsspec: pip install 'vgslam[fleet]'") from error
    try:
        found: tuple[Any, str] = fsspec.core.url_to_fs(url)
        return found
    except ImportError as error:
        package = PACKAGES.get(_protocol(url), "a package")
        raise MissingDependencyError(f"{public(url)} needs {package}: pip install {package}") from error


def retried(do: Callable[[], T], retries: int) -> T:
    """What `do` returns, tried again where a storage fails."""
    for left in range(retries, -1, -1):
        try:
            return do()
        except StorageError:
            if left == 0:
                raise
    raise AssertionError("not reached")


TIMEOUT_S = 30.0  # seconds for which a server may say nothing
CHUNK = 2**20
CLIENT_ERRORS = range(400, 500)  # answers that the same question gets again


class HttpFiles:
    """One file at an address; a path is the address without its secrets. most_bytes: a larger one is not read."""

    def __init__(self, url: str, most_bytes: int) -> None:
        self._url, self._most = url, most_bytes

    def isdir(self, path: str) -> bool:
        """Servers list nothing."""
        return False

    def isfile(self, path: str) -> bool:
        return True

    def exists(self, path: str) -> bool:
        """Raises InputError where the server says that it is not there."""
        self.info(path)
        return True

    def info(self, path: str) -> dict[str, Any]:
        """What the server says of the file: its size and what changes with its content. Raises as `open`."""
        with self._asked("HEAD") as answer:
            size = answer.headers.get("Content-Length")
            said = {"ETag": answer.headers.get("ETag"), "LastModified": answer.headers.get("Last-Modified")}
            return said | {"size": int(size) if size is not None and size.isdecimal() else None}

    @contextmanager
    def open(self, path: str, mode: str = "rb") -> Iterator[HTTPResponse]:
        """The content. Raises InputError where it is not there, OSError for a server that fails."""
        with self._asked("GET") as answer:
            yield answer

    def get_file(self, path: str, to: str) -> None:
        """Raises as `open`, and InputError for a file that is too large."""
        n = 0
        with self.open(path) as answer, Path(to).open("wb") as file:
            while chunk := answer.read(CHUNK):
                n += len(chunk)
                if n > self._most:
                    raise too_large(self._url, n, self._most)
                file.write(chunk)

    @contextmanager
    def _asked(self, method: str) -> Iterator[HTTPResponse]:
        url, user, password = split_login(self._url)
        request = Request(url, method=method, headers={"User-Agent": "vgslam"})
        if user:  # not told to where a server sends on
            login = base64.b64encode(f"{user}:{password}".encode()).decode()
            request.add_unredirected_header("Authorization", f"Basic {login}")
        try:
            with urlopen(request, timeout=TIMEOUT_S) as answer:
                if urlsplit(answer.url).scheme not in ("http", "https"):
                    raise InputError(f"{public(self._url)}: leads elsewhere than to a web server")
                yield answer
        except HTTPError as error:
            if error.code in CLIENT_ERRORS:
                raise InputError(f"{public(self._url)}: the server refuses it ({error.code} {error.reason})") from None
            raise OSError(f"the server answers {error.code} {error.reason}") from None
        except TimeoutError:
            raise OSError(f"the server says nothing for {TIMEOUT_S:g} s") from None
        except URLError as error:
            why = error.reason
            if isinstance(why, TimeoutError):
                raise OSError(f"the server says nothing for {TIMEOUT_S:g} s") from None
            raise OSError(getattr(why, "strerror", None) or str(why)) from None
        except HTTPException as error:
            raise OSError(f"the server broke off ({type(error).__name__})") from None


def too_large(url: str, n_bytes: int, most: int) -> InputError:
    """The error for a recording that is larger than may be fetched."""
    return InputError(f"{public(url)}: has {n_bytes} bytes or more; at most {most} are fetched")
