"""Opens the source on a claim without following its links out of it."""

import ctypes
import errno
import os
import stat
from pathlib import Path, PurePosixPath

from gallery_operator.contract import FailureCode
from gallery_operator.worker.errors import WorkerError

_SYS_OPENAT2 = 437  # The same on every architecture (it is younger than the common system call table).
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_beneath(root: Path, path: str) -> int:
    """Open a regular file below a folder.

    Symbolic links are followed as long as they stay below the folder (the kernel sees to it, with
    ``openat2``); where that system call is barred, none are followed.

    Args:
        root: The mount point.
        path: Path below it, with or without a leading slash.

    Returns:
        A descriptor, read-only; the caller closes it.

    Raises:
        WorkerError: ``SourceNotFound``, ``SourceForbidden``, or ``BadConfiguration`` for a path that leads out.
    """
    parts = [part for part in PurePosixPath(path).parts if part != "/"]
    if not parts or ".." in parts or "\0" in path:
        message = f"source.pvc.path {path!r} must name a file below the claim, without '..'."
        raise WorkerError(FailureCode.BAD_CONFIGURATION, message)
    try:
        folder = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise WorkerError(FailureCode.SOURCE_NOT_FOUND, f"The claim is not mounted at {root}: {error}.") from error
    try:
        fd = _open(folder, parts)
    except OSError as error:
        raise _explain(error, path) from error
    finally:
        os.close(folder)
    kind = os.fstat(fd).st_mode
    if not stat.S_ISREG(kind):
        os.close(fd)
        what = "a folder" if stat.S_ISDIR(kind) else "not a regular file"
        raise WorkerError(FailureCode.NOT_A_DISK, f"{path} on the claim is {what}; name the disk file.")
    return fd


def open_device(path: Path) -> int:
    """Open the device of a block-mode claim, read-only.

    Raises:
        WorkerError: ``SourceNotFound`` or ``NotADisk``.
    """
    try:
        fd = os.open(path, _FLAGS)
    except OSError as error:
        message = f"The claim's device {path} cannot be opened: {error.strerror}. Is it a block-mode claim?"
        raise WorkerError(FailureCode.SOURCE_NOT_FOUND, message) from error
    if not stat.S_ISBLK(os.fstat(fd).st_mode):
        os.close(fd)
        raise WorkerError(FailureCode.NOT_A_DISK, f"{path} is no block device; for a file on a claim give its path.")
    return fd


def _open(folder: int, parts: list[str]) -> int:
    how = _OpenHow(_FLAGS, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    libc = ctypes.CDLL(None, use_errno=True)
    name = "/".join(parts).encode()
    fd = int(libc.syscall(_SYS_OPENAT2, folder, ctypes.c_char_p(name), ctypes.byref(how), ctypes.sizeof(how)))
    if fd >= 0:
        return fd
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EPERM):
        return _open_without_links(folder, parts)
    raise OSError(number, os.strerror(number))


def _open_without_links(folder: int, parts: list[str]) -> int:
    """What ``openat2`` does, for kernels and sandboxes without it; stricter: no links at all."""
    current = os.dup(folder)
    try:
        for part in parts[:-1]:
            deeper = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=current)
            os.close(current)
            current = deeper
        return os.open(parts[-1], _FLAGS | os.O_NOFOLLOW, dir_fd=current)
    finally:
        os.close(current)


def _explain(error: OSError, path: str) -> WorkerError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return WorkerError(FailureCode.SOURCE_NOT_FOUND, f"There is no {path} on the claim. Correct source.pvc.path.")
    if error.errno in (errno.EXDEV, errno.ELOOP):
        message = f"{path} on the claim is or passes a symbolic link that leads out of the claim or in a circle."
        return WorkerError(FailureCode.SOURCE_FORBIDDEN, message)
    if error.errno in (errno.EACCES, errno.EPERM):
        message = (
            f"{path} on the claim may not be read by uid {os.getuid()}, gid {os.getgid()}. Make it readable for "
            "the group of the pod (fsGroup), or for all."
        )
        return WorkerError(FailureCode.SOURCE_FORBIDDEN, message)
    return WorkerError(FailureCode.SOURCE_UNREACHABLE, f"{path} on the claim cannot be opened: {error.strerror}.")
