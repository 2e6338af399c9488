"""Programs that the end-to-end tests run: tools of the checkout, kubectl, helm."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


class CommandError(AssertionError):
    """A program ended with an error; the text holds its last words."""


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    seconds: float = 1200.0,
) -> str:
    """Run a program to its end and return its output.

    Raises:
        CommandError: It ended with an error, or not in time.
    """
    shown = " ".join(str(part) for part in command[:6])
    try:
        done = subprocess.run(
            [str(part) for part in command],
            env={**os.environ, **(env or {})},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{shown} did not end within {seconds:.0f} s: {(error.stderr or b'')[-2000:]!r}") from None
    if done.returncode != 0:
        words = (done.stderr or done.stdout).decode(errors="replace")[-3000:]
        raise CommandError(f"{shown} ended with {done.returncode}: {words}")
    return done.stdout.decode()


@cache
def tool(name: str) -> str:
    """Return the path of a tool of hack/tools; it is built if it is missing."""
    return run([ROOT / "hack/tools/path", name]).strip()
