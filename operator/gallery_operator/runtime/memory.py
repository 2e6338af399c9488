"""Gives memory that is free, but still held by the C library, back to the system."""

import ctypes
import gc
import logging

_log = logging.getLogger(__name__)


def give_back() -> None:
    """Return free memory of the process to the system; does nothing where the C library is not glibc.

    Loading azure-mgmt-compute (six megabytes of source) leaves some 65 MiB of holes behind that glibc keeps: 135 MiB
    resident before, 69 MiB after (measured with CPython 3.11, azure-mgmt-compute 39).
    """
    gc.collect()
    try:
        trim = ctypes.CDLL("libc.so.6").malloc_trim
    except (OSError, AttributeError):
        _log.debug("malloc_trim is not there")
        return
    trim(0)
