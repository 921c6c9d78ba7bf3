"""Addresses with a user and a password in them."""

import re
from urllib.parse import unquote, urlsplit, urlunsplit


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
