"""Runs a program under limits: ``python confine.py <json> program args…``.

A script of its own, because limits set between fork and exec of a process with threads are not safe, and
limits set afterwards come too late. It imports nothing of the package, so that it starts quickly.
"""

import ctypes
import json
import os
import resource
import signal
import sys

_CLONE_NEWUSER_NEWNET = 0x10000000 | 0x40000000
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38

MISSING = 127
"""Exit status when the program does not exist, as a shell has it."""


def main() -> None:
    """Set the limits and become the program."""
    limits: dict[str, int] = json.loads(sys.argv[1])
    libc = ctypes.CDLL(None, use_errno=True)
    # If the worker is killed, the program must not go on writing to the scratch volume.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # A network of its own, with nobody in it. Pods' seccomp profiles often forbid this; then the headers that
    # were checked, the missing credentials and the NetworkPolicy must do.
    libc.unshare(_CLONE_NEWUSER_NEWNET)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bound, bound))
    try:
        os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - that is what this script is for
    except FileNotFoundError:
        sys.exit(MISSING)


if __name__ == "__main__":
    main()
