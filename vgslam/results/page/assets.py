"""The page's own style and script, as they are in the package."""

import base64
import hashlib
from functools import cache
from importlib import resources


@cache
def style() -> str:
    """The style sheet."""
    return _text("page.css")


@cache
def script() -> str:
    """The script: the 3-D view, and what unfolds the settings for print."""
    return _text("view.js")


def policy(script: str) -> str:
    """What a page may do (Content Security Policy): run this script, by its hash, if it is not empty, and show pictures
    within the page."""
    allowed = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return f"{allowed}; script-src 'sha256-{digest}'" if script else allowed


def _text(name: str) -> str:
    return resources.files("vgslam").joinpath("assets", "page", name).read_text(encoding="utf-8")
