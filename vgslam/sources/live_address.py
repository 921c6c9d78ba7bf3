"""Addresses: with a user and a password in them, and in the place of a file."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from vgslam.errors import InputError

_AS_PATH = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):/+(.*)", re.DOTALL)
"""An address after `Path`, which makes one slash of two."""


def public(address: str) -> str:
    """An address as it may be shown and written down: without user, password and query."""
    if "://" not in address:
        return address
    return re.sub(r"://[^/?]*@", "://", address).split("?", 1)[0]


def split_login(url: str) -> tuple[str, str, str]:
    """URL without its login, user, password; empty if there are none. Raises ValueError for a malformed URL."""
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    return urlunsplit(parts._replace(netloc=host)), unquote(user), unquote(password)


def refuse_address(path: Path) -> None:
    """Raises InputError for an address in the place of a recording, with what takes it."""
    found = _AS_PATH.fullmatch(str(path))
    if found is None or path.exists():
        return
    if found[1] == "file":
        raise InputError(f"{path}: is an address, and a path is wanted: give /{found[2]}")
    address = public(f"{found[1]}://{found[2]}")
    raise InputError(f"{address}: is an address, and a recording is wanted; `vgslam live {address}` takes a stream, or "
                     f"record it first (`ffmpeg -i {address} -c copy recording.mkv`)")  # fmt: skip
