"""The operator as a process of its own, which can be killed as a node's failure kills it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.integration.reconcilers.stage import CLIENT_SECRET, Stage
from tests.support.azure import SUBSCRIPTION


class OperatorProcess:
    """One operator at a time, started again and again; all of them write to one log."""

    def __init__(self, stage: Stage, log: Path) -> None:
        self.stage = stage
        self.log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; the one before has ended."""
        arguments = ["run", "--kubeconfig", str(self.stage.api.kubeconfig), "--namespace", self.stage.namespace]
        arguments += ["--no-leader-election", "--poll-seconds", "0.2", "--resync-seconds", "3"]
        arguments += ["--health-port", "0", "--metrics-port", "0", "--worker-image", "x", "--cluster-name", "test"]
        arguments += ["--log-level", "debug", "--log-format", "json"]
        environment = {
            **os.environ,
            **self.stage.azure.environment,
            "AZURE_CLIENT_SECRET": CLIENT_SECRET,
            "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
            "PYTHONPATH": str(Path(__file__).parents[3] / "operator"),
        }
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gallery_operator", *arguments, env=environment, stderr=output
            )

    def text(self) -> str:
        """What all of them have logged."""
        return self.log.read_text() if self.log.exists() else ""

    async def at_work(self, since: int) -> None:
        """Wait until it has asked Azure for something.

        Args:
            since: Length of the log before.
        """
        await self.stage.until(lambda: "gallery_operator.azure" in self.text()[since:])

    async def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def terminate(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self._process is not None
        self._process.terminate()
        return await self._process.wait()
