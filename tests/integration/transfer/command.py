"""``gallery-operator upload`` as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.worker.process import OPERATOR
from tests.support.azure import AzureStand

CLIENT_SECRET = "canary-client-secret"
_SECRETS = ("sig=", CLIENT_SECRET, "eyJ")


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def report(self) -> Any:
        return json.loads(self.out)


class Command:
    """Runs the command with a home of its own; nothing it says may hold a secret."""

    def __init__(self, folder: Path, azure: AzureStand) -> None:
        self.home = folder / "home"
        self.home.mkdir(exist_ok=True)
        self.azure = azure

    @property
    def state(self) -> Path:
        return self.home / ".local" / "state" / "gallery-operator" / "uploads"

    def left(self) -> list[Path]:
        """What is left of uploads on this machine."""
        return sorted(self.state.iterdir()) if self.state.exists() else []

    def start(self, *arguments: str, stderr: int = subprocess.PIPE, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "gallery_operator", "upload", *arguments],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "PYTHONPATH": str(OPERATOR),
                **self.azure.environment,
                "AZURE_CLIENT_SECRET": CLIENT_SECRET,
                "GALLERY_OPERATOR_AZURE_RATE_FACTOR": "100",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def end(self, process: subprocess.Popen[str]) -> Ended:
        out, err = process.communicate(timeout=120)
        err = err or ""
        for secret in _SECRETS:
            assert secret not in out + err
        for each in self.state.rglob("*"):
            if each.is_file() and each.stat().st_size < 1024 * 1024:
                data = each.read_bytes()
                assert not any(secret.encode() in data for secret in _SECRETS), f"{each} holds a secret"
        return Ended(process.returncode, out, err)

    def run(self, *arguments: str, **environment: str) -> Ended:
        return self.end(self.start(*arguments, **environment))
