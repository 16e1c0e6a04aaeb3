"""The C library's settings for memory that is freed and wanted again a moment later."""

import ctypes
import platform
from typing import Final

M_TRIM_THRESHOLD: Final = -1  # numbers of <malloc.h>, part of glibc's interface
M_MMAP_THRESHOLD: Final = -3
LARGEST: Final = 32 * 2**20  # bytes; the most that every glibc takes for M_MMAP_THRESHOLD
KEPT: Final = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep freed memory; tell whether that could be arranged: with glibc it can.

    A step of training or sampling frees and allocates the same hundreds of megabytes again. By default glibc
    hands large pieces back to the kernel each time, which gives them out anew page by page, each one zeroed:
    thousands of page faults a step, a tenth of the processor's time on a virtual machine.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(M_TRIM_THRESHOLD, KEPT))
