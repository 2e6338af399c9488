"""Running other programs, and saying what is going on."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from hack.localcluster.errors import ClusterError
from hack.localcluster.instance import REPO_ROOT


def say(text: str) -> None:
    """Tells the person; standard output is left to results."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Says what is being done and, when it is done, how long it took."""
    started = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - started:.1f} s")


def run(argv: Sequence[str | Path], *, text_input: str | None = None) -> str:
    """Runs a program and returns its standard output.

    Raises:
        ClusterError: it is not there, or it failed; carries the end of its standard error.
    """
    try:
        done = subprocess.run(argv, input=text_input, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ClusterError(f"'{argv[0]}' is not installed; 'hack/setup system' installs what is needed") from None
    if done.returncode != 0:
        command = " ".join(map(str, argv))
        raise ClusterError(f"'{command}' failed with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def tool(name: str) -> Path:
    """Path of a tool pinned in hack/tools, built first where it is missing.

    Raises:
        ClusterError: it could not be built; what went wrong has been printed.
    """
    done = subprocess.run([REPO_ROOT / "hack/tools/path", name], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"could not get {name}; the reason is above")
    return Path(done.stdout.strip())


def tools(*names: str) -> dict[str, Path]:
    """Paths of several tools, by name."""
    return {name: tool(name) for name in names}
