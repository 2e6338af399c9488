"""Which process is which: a process id alone says nothing after a crash or a reboot."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path


def boot_id() -> str:
    """Identifies this boot of the kernel."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_ticks(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None where there is no such process or it is dead.

    Source: proc(5), field 22 of /proc/PID/stat. Field 2 is a name in parentheses that may hold anything.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, start = fields[0], fields[19]
    return None if state in "ZX" else int(start)


@dataclass(frozen=True)
class Identity:
    """One process of one boot, however often its id is used again."""

    pid: int
    start: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The identity of a running process, None where there is none."""
        start = start_ticks(pid)
        return None if start is None else cls(pid, start, boot_id())

    def alive(self) -> bool:
        """Whether exactly this process still runs."""
        return self.boot == boot_id() and start_ticks(self.pid) == self.start

    def kill(self, number: signal.Signals) -> None:
        """Signals this process if it still runs, never another one that got its id."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            # Checked after opening: from here on the descriptor cannot come to mean another process.
            if self.alive():
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)

    def wait(self, seconds: float) -> bool:
        """Waits for the process to end, at most so long; says whether it has."""
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > deadline:
                return False
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, os.WNOHANG)
            time.sleep(0.02)
        return True


@dataclass(frozen=True)
class Record:
    """What is written down about a running cluster.

    Attributes:
        supervisor: the process everything else hangs from.
        mode: `node` or `control-plane`.
        digest: of everything the processes were started with.
        address: where the API server listens, `host:port`.
    """

    supervisor: Identity
    mode: str
    digest: str
    address: str

    def save(self, path: Path) -> None:
        """Writes the record so that a reader sees all of it or none."""
        # Nothing secret: whoever asks how the cluster is may read it.
        write_private(path, json.dumps(asdict(self), indent=1), mode=0o644)

    @classmethod
    def load(cls, path: Path) -> Record | None:
        """Reads a record; None where there is none or it cannot be understood."""
        try:
            data = json.loads(path.read_text())
            return cls(Identity(**data["supervisor"]), data["mode"], data["digest"], data["address"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Writes a file, at once or not at all; only its owner can read it unless another mode is given."""
    part = path.with_name(f".{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    part.rename(path)
