"""Memory that was freed, given back to the system, and kept in one place."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Numbers of `mallopt` (malloc.h): what is free at the heap's end before it is given back, the size from which a block
is given back for itself, and the most heaps."""
KEPT_BYTES, LARGE_BYTES = 64 * 2**20, 4 * 2**20
"""glibc would learn from the first large array that such sizes belong into the heap, where they leave holes. Images and
what is computed of a frame are smaller than LARGE_BYTES."""


def keep_one_heap() -> None:
    """Have all threads take their memory from one heap, as with one each none can use what was freed in another, and
    large blocks from none. Does nothing with another C library than glibc."""
    if sys.platform.startswith("linux"):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            for what, value in ((M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, LARGE_BYTES), (M_TRIM_THRESHOLD, KEPT_BYTES)):
                mallopt(ctypes.c_int(what), ctypes.c_int(value))


def give_memory_back() -> None:
    """Let glibc return the memory that large steps have freed: it keeps what lies below anything still in use, and what
    comes next would lie on top. Does nothing with another C library."""
    if not sys.platform.startswith("linux"):
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
