"""Memory that the process keeps between the steps of a job."""

import contextlib
import ctypes
import os
from collections.abc import Iterator

from bioq.fast.switch import switched_off

# <malloc.h> of the GNU C library.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_NEVER = -1
_USUAL_MMAP_MAX = 65536
# The values that the library's adaptive thresholds reach after large blocks were freed.
_USUAL_MMAP_BYTES, _USUAL_TRIM_BYTES = 32 << 20, 64 << 20


@contextlib.contextmanager
def kept_memory() -> Iterator[None]:
    """Keep memory that is freed within the block for the next tensors; return it at the end.

    The GNU C library requests the memory of every large tensor from the system and returns it when
    the tensor is freed. The system clears and maps it page by page, each by a page fault: a
    quarter of a training step of `bioq`. With another C library nothing changes. BIOQ_PLAIN=1
    switches this off.
    """
    library = _gnu_library()
    if library is None:
        yield
        return
    library.mallopt(_MMAP_MAX, 0)
    library.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        library.mallopt(_MMAP_MAX, _USUAL_MMAP_MAX)
        library.mallopt(_MMAP_THRESHOLD, _USUAL_MMAP_BYTES)
        library.mallopt(_TRIM_THRESHOLD, _USUAL_TRIM_BYTES)
        library.malloc_trim(0)


def _gnu_library() -> ctypes.CDLL | None:
    try:
        is_gnu = "glibc" in (os.confstr("CS_GNU_LIBC_VERSION") or "")
    except (AttributeError, ValueError):  # not a POSIX system, or without that name
        return None
    return ctypes.CDLL(None) if is_gnu and not switched_off() else None
