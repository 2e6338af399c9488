"""A worker in a process of its own, as in its pod."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel

from gallery_operator.contract import Progress, Report, parse_report

OPERATOR = Path(__file__).resolve().parents[3] / "operator"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Worker:
    def __init__(self, job: str, config: BaseModel, folder: Path, environment: dict[str, str] | None = None) -> None:
        self.termination_log = folder / f"termination-{job}"
        self.termination_log.unlink(missing_ok=True)
        self.log = folder / f"log-{job}-{time.time_ns()}"
        self.port = free_port()
        values = json.loads(config.model_dump_json()) | {"port": self.port}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gallery_operator", "worker", job],
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(OPERATOR),
                    "WORKER_CONFIG": json.dumps(values),
                    "TERMINATION_LOG": str(self.termination_log),
                    **(environment or {}),
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def wait_for(self, condition: Callable[[Progress], bool], seconds: float = 60.0) -> Progress:
        """Poll the progress server, as the operator does, until it says what is awaited."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log.read_text()
            try:
                progress = Progress.model_validate_json(self.get("/progress"))
            except OSError:
                progress = None
            if progress is not None and condition(progress):
                return progress
            time.sleep(0.01)
        raise AssertionError(f"not in {seconds} s: {self.log.read_text()}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self, seconds: float = 120.0) -> tuple[int, Report | None]:
        status = self.process.wait(seconds)
        text = self.termination_log.read_text() if self.termination_log.exists() else ""
        return status, parse_report(text)

    def peak_memory(self) -> int:
        """Bytes of the process's largest resident set so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
