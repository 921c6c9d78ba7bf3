"""Memory that was freed, given back to the system, and kept in one place."""

import ctypes
import sys

M_ARENA_MAX = -8  # number of `mallopt` for the most heaps (malloc.h)


def keep_one_heap() -> None:
    """Have all threads take their memory from one heap: with one each, none can use what was freed in another. Does
    nothing with another C library than glibc."""
    if sys.platform.startswith("linux"):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(ctypes.c_int(M_ARENA_MAX), ctypes.c_int(1))


def give_memory_back() -> None:
    """Let glibc return the memory that large steps have freed: it keeps what lies below anything still in use, and what
    comes next would lie on top. Does nothing with another C library."""
    if not sys.platform.startswith("linux"):
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
