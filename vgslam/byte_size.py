"""Amounts of memory as people write them, and how much of it this machine has left."""

import os
import re
from pathlib import Path

from vgslam.errors import ConfigError

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def parse_size(text: str) -> int:
    """'8GiB', '500 MB', '6g', '123' -> bytes. ConfigError for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]i?)?b?\s*", text, re.IGNORECASE)
    if match is None or float(match[1]) <= 0:
        raise ConfigError(f"'{text}' is not an amount of memory: write for example 8GiB or 500MB")
    return int(float(match[1]) * _UNITS[(match[2] or "").lower()])


def format_size(n_bytes: float) -> str:
    """'4.68 GiB', '12 MiB'."""
    return f"{n_bytes / 2**30:.2f} GiB" if n_bytes >= 2**30 / 10 else f"{n_bytes / 2**20:.0f} MiB"


def free_bytes() -> int | None:
    """Memory that programs can still have; None where the system does not say."""
    file = Path("/proc/meminfo")
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", file.read_text()) if file.exists() else None
        if found:
            return int(found[1]) * 1024
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return None
