"""The skips that are in order. With `--strict-skips`, as `make test` runs it, any other fails: a package, a program or
a file that is lost must not take its tests along in silence."""

import os
import platform
import re
import shutil
import sys
from ctypes.util import find_library
from pathlib import Path

import pytest
from browser import browser_python

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = re.compile(r"\.\./shared[\w./-]*")
"""Material beside the repository, as a reason names it."""

EXPECTED = {
    "CUDA device": not Path("/proc/driver/nvidia").exists(),
    "needs /proc": not Path("/proc/net/tcp").exists(),
    "a shell script": os.name != "posix",
    "needs GStreamer:": shutil.which("gst-launch-1.0") is None,
    "GStreamer's RTSP server": find_library("gstrtspserver-1.0") is None,
    "needs rclpy": (sys.platform, platform.machine()) != ("linux", "x86_64") or sys.version_info >= (3, 14),
    "needs node": shutil.which("node") is None,
    "needs PyQt6-WebEngine": browser_python() is None,
}
"""Words of a reason, and whether it is true of this machine."""


def is_expected(reason: str) -> bool:
    """Whether a reason is listed and true: what it names is not there, or the machine has no such thing."""
    named = OUTSIDE.findall(reason)
    if named:
        return any(not (ROOT / path.rstrip(".")).exists() for path in named)
    return any(words in reason and is_true for words, is_true in EXPECTED.items())


def failed_if_unexpected(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turns a skip that is not expected into a failure."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not is_expected(reason):
        report.outcome = "failed"
        report.longrepr = f"{reason}\nnot among the skips of tests/expected_skips.py that are in order here"
