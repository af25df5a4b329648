"""How the gateway's process treats freed memory."""

from __future__ import annotations

import ctypes
import platform

KEEP_BYTES = 32 * 2**20
"""Freed memory that each thread's heap keeps: more than the chunks of one upload that are in memory at a time."""
HEAP_BELOW_BYTES = 4 * 2**20
"""Smaller pieces come from the heap. A chunk is one of 1 MiB; left alone, each would be a mapping of its own."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def keep_freed_memory() -> None:
    """Have glibc reuse the memory of chunks that are done with. Other C libraries are left as they are.

    By default it goes back to the kernel with each chunk, and the next one waits for the kernel to clear it again: a third
    of the time that receiving takes.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    library.mallopt(_M_MMAP_THRESHOLD, HEAP_BELOW_BYTES)
    library.mallopt(_M_TRIM_THRESHOLD, KEEP_BYTES)
