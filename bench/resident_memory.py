"""Resident memory of this process, as the system sees it: what a stage of a computation really took on a CPU.

`LiveMemory` sums tensors; this also has the kernels' scratch space and what the allocator keeps. Linux only.
"""

import contextlib
import ctypes
import re
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def resident_bytes() -> int | None:
    """The memory that the process holds now; None if the system does not say."""
    return _field("VmRSS")


def peak_resident_bytes() -> int | None:
    """The most that it has held since it began, or since `reset_peak`."""
    return _field("VmHWM")


def reset_peak() -> bool:
    """Let the peak begin again at what is held now, after what is free has gone back to the system.

    False if the system cannot.
    """
    with contextlib.suppress(OSError, AttributeError):  # with another C library, freed memory may count as held
        ctypes.CDLL(None).malloc_trim(0)
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def _field(name: str) -> int | None:
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return None if found is None else int(found[1]) * 1024
