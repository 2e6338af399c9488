"""Starts a cluster's processes, starts again what ends, reaps what is orphaned.

Runs as `python -m hack.localcluster.supervisor SPEC`: as an ordinary process for a control plane alone, as
process 1 of the node's namespaces for a node. Tells its parent "ready" on standard output once it is prepared,
then waits for a line on standard input before it starts anything: a parent that dies before it has written
down who the supervisor is leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hack.localcluster import namespaces

SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
PR_SET_PDEATHSIG = 1
STOP_SECONDS = 5.0
LOG_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Program:
    """A process to keep running.

    Attributes:
        wait_for: addresses that must accept connections first, `tcp:HOST:PORT` or `unix:PATH`.
    """

    name: str
    argv: tuple[str, ...]
    wait_for: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Spec:
    """All the supervisor is told.

    Attributes:
        node: how to prepare the namespaces; None where there are none of its own.
    """

    programs: tuple[Program, ...]
    logs: Path
    status_file: Path
    node: namespaces.NodePlan | None = None

    def to_json(self) -> str:
        """The form in which the supervisor reads it; also what its digest is made from."""
        return json.dumps(asdict(self), default=str, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """Reads what `to_json` wrote."""
        data: dict[str, Any] = json.loads(text)
        programs = tuple(
            Program(one["name"], tuple(one["argv"]), tuple(one["wait_for"]), one["env"]) for one in data["programs"]
        )
        node = namespaces.NodePlan.from_dict(data["node"]) if data["node"] else None
        return cls(programs, Path(data["logs"]), Path(data["status_file"]), node)


@dataclass
class Running:
    """A program and how it is."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    exit_status: int | None = None
    not_before: float = 0.0
    started: float = 0.0

    def delay(self, now: float) -> float:
        """Seconds before the next start: short, and longer for one that keeps failing quickly."""
        if now - self.started > 60:
            return 0.5
        return min(0.5 * 2.0 ** min(self.restarts, 5), 10.0)


class Supervisor:
    """Keeps programs running until told to end."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.running = [Running(program) for program in spec.programs]
        self.stopping = False

    def loop(self) -> None:
        """Runs until SIGTERM or SIGINT, then ends every program."""
        self.spec.logs.mkdir(parents=True, exist_ok=True)
        while not self.stopping:
            pending = self._start_due()
            received = signal.sigtimedwait(SIGNALS, 0.05 if pending else 60.0)
            if received and received.si_signo in {signal.SIGTERM, signal.SIGINT}:
                self.stopping = True
            self._reap()
        self._stop()

    def _start_due(self) -> bool:
        """Starts what can be; says whether anything is still to be started."""
        pending = False
        for one in self.running:
            if one.process is not None:
                continue
            if time.monotonic() >= one.not_before and all(map(accepts, one.program.wait_for)):
                self._start(one)
            else:
                pending = True
        return pending

    def _start(self, one: Running) -> None:
        log = self.spec.logs / f"{one.program.name}.log"
        if log.exists() and log.stat().st_size > LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as stream:
            one.process = subprocess.Popen(
                one.program.argv,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env=os.environ | one.program.env,
                start_new_session=True,
                preexec_fn=_in_child,  # noqa: PLW1509  the supervisor has one thread
            )
        one.started = time.monotonic()
        self._write_status()

    def _reap(self) -> None:
        """Collects every ended child, adopted ones too: as process 1 nobody else does."""
        changed = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            for one in self.running:
                if one.process is not None and one.process.pid == pid:
                    one.exit_status = one.process.returncode = os.waitstatus_to_exitcode(status)
                    one.process = None
                    one.not_before = time.monotonic() + one.delay(time.monotonic())
                    one.restarts += 1
                    changed = True
        if changed:
            self._write_status()

    def _stop(self) -> None:
        """Ends all programs, the last started first asked, then by force."""
        for one in reversed(self.running):
            if one.process is not None:
                one.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        while any(one.process for one in self.running) and time.monotonic() < deadline:
            signal.sigtimedwait(SIGNALS, 0.1)
            self._reap()
        for one in self.running:
            if one.process is not None:
                one.process.kill()

    def _write_status(self) -> None:
        report = {
            one.program.name: {
                "running": one.process is not None,
                "restarts": one.restarts,
                "exitStatus": one.exit_status,
            }
            for one in self.running
        }
        part = self.spec.status_file.with_suffix(".part")
        with contextlib.suppress(OSError):  # the folder may be going away; keeping programs running comes first
            part.write_text(json.dumps(report))
            part.rename(self.spec.status_file)


def accepts(address: str) -> bool:
    """Whether something accepts connections at `tcp:HOST:PORT` or `unix:PATH`."""
    kind, _, rest = address.partition(":")
    family, target = socket.AF_UNIX, rest
    destination: str | tuple[str, int] = target
    if kind == "tcp":
        host, _, port = rest.rpartition(":")
        family, destination = socket.AF_INET, (host, int(port))
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(destination)
        except OSError:
            return False
    return True


def _in_child() -> None:
    """Between fork and exec: a child dies with the supervisor and gets its signals back."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def main() -> None:
    """Entry point."""
    spec = Spec.from_json(Path(sys.argv[1]).read_text())
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    if spec.node:
        namespaces.enter(spec.node)
    print("ready", flush=True)
    if not sys.stdin.readline():
        sys.exit(1)
    # From here on nobody listens: what is said goes to the log of the supervisor, given as standard error.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    Supervisor(spec).loop()


if __name__ == "__main__":
    main()
