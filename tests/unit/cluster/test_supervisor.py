"""The supervisor, with programs that do little."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hack.localcluster.process import Identity
from hack.localcluster.supervisor import Program, Running, Spec, accepts

ROOT = Path(__file__).resolve().parents[3]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Supervised:
    """A supervisor in a process of its own."""

    def __init__(self, folder: Path, *programs: Program) -> None:
        self.spec = Spec(programs, folder / "log", folder / "status.json")
        path = folder / "spec.json"
        path.write_text(self.spec.to_json())
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hack.localcluster.supervisor", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def status(self, name: str) -> dict[str, object]:
        try:
            found: dict[str, object] = json.loads(self.spec.status_file.read_text())[name]
        except FileNotFoundError:
            return {}
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Supervised]]:
    started: list[Supervised] = []

    def start(*programs: Program) -> Supervised:
        started.append(Supervised(tmp_path, *programs))
        return started[-1]

    yield start
    for one in started:
        one.close()


def pid_file_program(tmp_path: Path, name: str = "sleeper", wait_for: tuple[str, ...] = ()) -> tuple[Program, Path]:
    file = tmp_path / f"{name}.pid"
    return Program(
        name, ("sh", "-c", f"echo $$ >{file}.part && mv {file}.part {file} && exec sleep 600"), wait_for
    ), file


def test_starts_nothing_before_it_is_told_to(supervise: Callable[..., Supervised], tmp_path: Path) -> None:
    program, file = pid_file_program(tmp_path)
    supervised = supervise(program)
    assert supervised.process.stdin is not None
    supervised.process.stdin.close()  # as when its parent dies
    assert supervised.process.wait(20) == 1
    assert not file.exists()


def test_starts_again_what_ends(supervise: Callable[..., Supervised], tmp_path: Path) -> None:
    program, file = pid_file_program(tmp_path)
    supervised = supervise(program)
    supervised.go()
    wait_until(file.exists)
    first = int(file.read_text())
    file.unlink()
    os.kill(first, signal.SIGKILL)
    wait_until(file.exists)
    assert int(file.read_text()) != first
    wait_until(lambda: supervised.status("sleeper") == {"running": True, "restarts": 1, "exitStatus": -9})


def test_waits_for_what_a_program_needs(supervise: Callable[..., Supervised], tmp_path: Path) -> None:
    address = tmp_path / "socket"
    server = Program("server", (sys.executable, "-c", SERVER, str(address)))
    program, file = pid_file_program(tmp_path, wait_for=(f"unix:{address}",))
    supervised = supervise(program, server)
    supervised.go()
    wait_until(file.exists)
    assert accepts(f"unix:{address}")
    # The one that came first in the list was started second.
    assert supervised.status("sleeper")["restarts"] == 0


SERVER = """
import socket, sys, time
time.sleep(0.3)
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
while True:
    s.accept()[0].close()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_it_started_outlives_it(
    supervise: Callable[..., Supervised], tmp_path: Path, number: signal.Signals
) -> None:
    program, file = pid_file_program(tmp_path)
    supervised = supervise(program)
    supervised.go()
    wait_until(file.exists)
    child = Identity.of(int(file.read_text()))
    assert child is not None
    supervised.process.send_signal(number)
    supervised.process.wait(20)
    wait_until(lambda: not child.alive())


def test_output_goes_to_a_log(supervise: Callable[..., Supervised], tmp_path: Path) -> None:
    supervised = supervise(Program("speaker", ("sh", "-c", "echo hello; exec sleep 600")))
    supervised.go()
    log = tmp_path / "log/speaker.log"
    wait_until(lambda: log.exists() and log.read_text() == "hello\n")


def test_spec_survives_json(tmp_path: Path) -> None:
    spec = Spec((Program("a", ("b", "c"), ("tcp:x:1",), {"D": "e"}),), tmp_path, tmp_path / "s")
    assert Spec.from_json(spec.to_json()) == spec


def test_what_fails_quickly_is_started_more_and_more_slowly() -> None:
    delays = [Running(Program("x", ("x",)), restarts=count, started=100).delay(101) for count in range(8)]
    assert delays == [0.5, 1, 2, 4, 8, 10, 10, 10]
    assert Running(Program("x", ("x",)), restarts=7, started=100).delay(200) == 0.5
