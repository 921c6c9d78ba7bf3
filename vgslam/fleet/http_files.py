"""Recordings on web servers, in the form in which `storage` asks fsspec's file systems; nothing has to be installed."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from vgslam.errors import InputError
from vgslam.sources.live_address import public, split_login

TIMEOUT_S = 30.0
"""Seconds for which a server may say nothing."""
CHUNK = 2**20
CLIENT_ERRORS = range(400, 500)
"""Answers that the same question gets again."""


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
