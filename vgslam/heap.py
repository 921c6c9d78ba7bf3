"""Memory that was freed, given back to the system."""

import ctypes
import sys


def give_memory_back() -> None:
    """Let glibc return the memory that large steps have freed: it keeps what lies below anything still in use, and what
    comes next would lie on top. Does nothing with another C library."""
    if not sys.platform.startswith("linux"):
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
